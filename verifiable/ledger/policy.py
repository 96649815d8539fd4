# SPDX-License-Identifier: Apache-2.0
"""Policies (c2sp.org/tlog-policy): which logs, which cosigners, and how many of them make a checkpoint good enough.

Offline: a policy and a checkpoint are all that is needed. The checks of :meth:`Policy.check`, in order: 1 the origin is a
known log's · 2 the log signed · 3 no known cosigner's signature is false · 4 the quorum is reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from verifiable.errors import MalformedError, PolicyError, TrustError
from verifiable.ledger.checkpoint import SignedCheckpoint
from verifiable.ledger.note import COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44, ED25519, NoteKey

MAX_POLICY = 1024 * 1024
_MAX_LINES = 1000
_LOG_TYPES = (ED25519, COSIGNATURE_ML_DSA_44)
_WITNESS_TYPES = (COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44)
NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyLog:
    """A log that is accepted; its key is named after its origin. ``url`` may be empty."""

    key: NoteKey
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyWitness:
    """A cosigner, under the name that this policy gives it. ``url``: its submission prefix, or empty."""

    name: str
    key: NoteKey
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """At least ``threshold`` of ``members``, each the name of a witness or of a group before this one."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """``quorum`` names a witness or a group, or is ``none``. Construction raises MalformedError when the parts do not fit."""

    logs: tuple[PolicyLog, ...]
    witnesses: tuple[PolicyWitness, ...]
    groups: tuple[Group, ...]
    quorum: str

    def __post_init__(self) -> None:
        _require_distinct([log.key.public for log in self.logs], "two log lines with one public key")
        # A key of a log among the witnesses would let the log vouch for itself.
        publics = [log.key.public for log in self.logs] + [w.key.public for w in self.witnesses]
        _require_distinct(publics, "a witness's public key is used twice")
        _require_distinct([NONE, *(w.name for w in self.witnesses), *(g.name for g in self.groups)], "a name is defined twice")
        for kind, keys, allowed in (
            ("log", [log.key for log in self.logs], _LOG_TYPES), ("witness", [w.key for w in self.witnesses], _WITNESS_TYPES),
        ):  # fmt: skip
            for key in keys:
                if key.type not in allowed:
                    raise MalformedError(f"policy: {key} cannot be a {kind}'s key: its type is 0x{key.type:02x}")
        self._require_groups()

    def _require_groups(self) -> None:
        known, used = {w.name for w in self.witnesses}, set[str]()
        whose = {w.name: {w.key.name} for w in self.witnesses}
        for group in self.groups:
            if not 1 <= group.threshold <= len(group.members):
                raise MalformedError(f"policy: group {group.name!r}: {group.threshold} of {len(group.members)} members")
            for member in group.members:
                if member not in known:
                    raise MalformedError(f"policy: group {group.name!r}: {member[:60]!r} is not defined before it")
                if member in used:
                    raise MalformedError(f"policy: {member!r} is a member twice: it would count twice")
                used.add(member)
            self._require_no_twice(group, [whose[member] for member in group.members])
            known.add(group.name)
            whose[group.name] = {name for member in group.members for name in whose[member]}
        if self.quorum not in known | {NONE}:
            raise MalformedError(f"policy: quorum {self.quorum[:60]!r} is not defined before it")

    @staticmethod
    def _require_no_twice(group: Group, members: Sequence[set[str]]) -> None:
        """One cosigner's two keys (it has one of each kind, under one name) are not two of the k that a group wants of n.

        Where one is enough, or all are wanted, nobody is counted.
        """
        cosigners = [name for names in members for name in names]
        if 1 < group.threshold < len(members) and len(set(cosigners)) != len(cosigners):
            twice = next(name for name in cosigners if cosigners.count(name) > 1)
            raise MalformedError(
                f"policy: group {group.name!r}: the cosigner {twice!r} could count twice towards {group.threshold}",
                hint="put its keys into a group of their own: `group NAME any ...`",
            )

    @classmethod
    def k_of_n(cls, logs: Sequence[NoteKey], witnesses: Mapping[str, NoteKey], k: int) -> Policy:
        """Any ``k`` of these witnesses, by name; ``k = 0`` asks for the log's own signature alone. Raises MalformedError."""
        name = "k-of-n"
        return cls(
            logs=tuple(PolicyLog(key=key) for key in logs),
            witnesses=tuple(PolicyWitness(name=each, key=key) for each, key in witnesses.items()),
            groups=(Group(name=name, threshold=k, members=tuple(witnesses)),) if k else (),
            quorum=name if k else NONE,
        )  # fmt: skip

    @classmethod
    def parse(cls, data: bytes) -> Policy:
        """Read a policy file. Raises MalformedError with the line's number, UnsupportedError (a key of another type)."""
        if len(data) > MAX_POLICY or data.count(b"\n") > _MAX_LINES:
            raise MalformedError(f"policy: more than {MAX_POLICY:,} bytes or {_MAX_LINES:,} lines")
        if data[-1:] != b"\n":  # a quorum line cut short could still name something defined
            raise MalformedError("policy: the last line does not end in a newline")
        if any((b < 0x20 and b not in b"\t\n") or b == 0x7F for b in data):
            raise MalformedError("policy: it contains a control character")
        try:
            lines = data.decode("utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise MalformedError("policy: not UTF-8") from error
        reader = _Reader()
        for number, line in enumerate(lines, 1):
            words = line.replace("\t", " ").split(" ")
            reader.line([word for word in words if word], f"policy: line {number}")
        return reader.policy()

    def check(self, signed: SignedCheckpoint) -> tuple[str, ...]:
        """The names of the cosigners and groups that stand behind ``signed``, when those are enough.

        Raises TrustError (no known log, or not signed by it), SignatureError (by a known key, and false), PolicyError (quorum).
        """
        origin = signed.checkpoint.origin
        keys = [log.key for log in self.logs if log.key.name == origin]
        if not keys:
            raise TrustError(f"checkpoint of {origin[:80]!r}: the policy names no such log")
        signatures = [signed.signed_by(key) for key in keys]  # each is judged, also after one that suffices
        if not any(signatures):
            raise TrustError(f"checkpoint of {origin!r}: not signed by any key that the policy has for this log")
        met = self._met({name for name, _ in self.cosigned(signed)})
        if self.quorum not in met | {NONE}:
            raise PolicyError(
                f"checkpoint of {origin!r}, size {signed.checkpoint.size}: the quorum {self.quorum!r} is not reached; "
                f"cosigned by {', '.join(w.name for w in self.witnesses if w.name in met) or 'nobody known'}",
                hint="ask the log for a checkpoint with more cosignatures, or try again later",
            )
        return tuple(name for name in (*(w.name for w in self.witnesses), *(g.name for g in self.groups)) if name in met)

    def reached(self, signed: SignedCheckpoint) -> datetime | None:
        """When the quorum of a checkpoint that :meth:`check` lets pass was reached; None where it is ``none``.

        That is the earliest time by which cosigners had signed who suffice: of every such set one is honest, so nobody dates
        back; and whoever is not needed cannot move it, whatever time he states. Raises SignatureError.
        """
        names = set[str]()
        for name, time in sorted(self.cosigned(signed), key=lambda each: each[1]):
            names.add(name)
            if self.quorum in self._met(names):
                return time
        return None

    def _met(self, names: set[str]) -> set[str]:
        """These cosigners, and the groups that they make up."""
        met = set(names)
        for group in self.groups:
            if sum(member in met for member in group.members) >= group.threshold:
                met.add(group.name)
        return met

    def cosigned(self, signed: SignedCheckpoint) -> tuple[tuple[str, datetime], ...]:
        """Each known cosigner that signed, and when last. One that states no time is no cosigner's and does not count.

        Raises SignatureError when a signature by a known cosigner does not hold, whether or not it is needed.
        """
        found = []
        for witness in self.witnesses:
            times = [time for time in signed.signed_by(witness.key) if time is not None]
            if times:
                found.append((witness.name, max(times)))
        return tuple(found)


class _Reader:
    """Collects the lines of one file; names must be defined before they are used, which construction alone cannot see."""

    def __init__(self) -> None:
        self._logs: list[PolicyLog] = []
        self._witnesses: list[PolicyWitness] = []
        self._groups: list[Group] = []
        self._names: set[str] = set()
        self._quorum = ""

    def line(self, words: list[str], where: str) -> None:
        match words:
            case []:
                pass
            case [first, *_] if first.startswith("#"):
                pass
            case ["log", key, *url] if len(url) < 2:
                self._logs.append(PolicyLog(key=NoteKey.parse(key), url="".join(url)))
            case ["witness", name, key, *url] if len(url) < 2:
                self._names.add(name)
                self._witnesses.append(PolicyWitness(name=name, key=NoteKey.parse(key), url="".join(url)))
            case ["group", name, count, *members]:
                self._require_known(members, where)
                self._names.add(name)
                self._groups.append(Group(name=name, threshold=_threshold(count, len(members), where), members=tuple(members)))
            case ["quorum", name] if not self._quorum:
                self._require_known([] if name == NONE else [name], where)
                self._quorum = name
            case _:
                raise MalformedError(f"{where}: not a log, witness, group or (only) quorum line")

    def policy(self) -> Policy:
        if not self._quorum:
            raise MalformedError("policy: no quorum line", hint="`quorum none` asks for no cosigners")
        return Policy(
            logs=tuple(self._logs), witnesses=tuple(self._witnesses), groups=tuple(self._groups), quorum=self._quorum
        )  # fmt: skip

    def _require_known(self, names: list[str], where: str) -> None:
        for name in names:
            if name not in self._names:
                raise MalformedError(f"{where}: {name[:60]!r} is not defined on a line before")


def _threshold(text: str, members: int, where: str) -> int:
    if text in {"any", "all"}:
        return 1 if text == "any" else members
    if not text.isascii() or not text.isdecimal() or len(text) > 6 or text != str(int(text)):
        raise MalformedError(f"{where}: {text[:20]!r} is not all, any or a number")
    return int(text)


def _require_distinct(values: Sequence[object], problem: str) -> None:
    if len(set(values)) != len(values):
        raise MalformedError(f"policy: {problem}")
