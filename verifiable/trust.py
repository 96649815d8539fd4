# SPDX-License-Identifier: Apache-2.0
"""The trust root: what a verifier believes before it reads a receipt (docs/formats/trust.md).

A TOML file that a person writes: signing keys, circuits, setups, logs and verifiers, each with a name and the time it is good
for. It is strict the way signed documents are: an unknown or misspelled setting is refused, since one that was silently
ignored could be the one that was meant to forbid something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from verifiable.digest import Digest
from verifiable.encoding.record import Record
from verifiable.encoding.toml import MAX_SIZE, read_toml
from verifiable.errors import MalformedError
from verifiable.keys.public import fingerprint, parse_public_key_pem
from verifiable.ledger.note import ED25519, NoteKey
from verifiable.ledger.policy import Policy
from verifiable.ledger.sigstore import log_id
from verifiable.tee.reference import Reference, require_distinct
from verifiable.tee.roots import ROOT_KINDS, Roots

_MAX_ENTRIES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """The time in which a judgement may rest on an entry: ``since <= now < until``; None leaves that side open."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        return (self.since is None or self.since <= now) and (self.until is None or now < self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A signing key: DER SubjectPublicKeyInfo."""

    name: str
    public_key: bytes
    validity: Validity = Validity()

    @property
    def digest(self) -> Digest:
        """The key's fingerprint."""
        return fingerprint(self.public_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """A circuit by its id, or a setup by its fingerprint."""

    name: str
    digest: Digest
    validity: Validity = Validity()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedLog:
    """A transparency log. ``key``: its Ed25519 key, whose name is the log's origin; ``policy``: that key and others of the log,
    all of which must have signed, and whose cosignatures settle an entry.

    ``administrator``: the DER public key whose key events in this log are believed; None: nobody's are.
    """

    name: str
    key: NoteKey
    policy: Policy
    administrator: bytes | None = None
    validity: Validity = Validity()

    @property
    def origin(self) -> str:
        return self.key.name

    @property
    def keys(self) -> tuple[NoteKey, ...]:
        """The log's own keys, each of which must have signed a checkpoint."""
        return tuple(log.key for log in self.policy.logs)

    @property
    def id(self) -> bytes:
        """How bundles name the log, 32 bytes."""
        return log_id(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRoot:
    """What is believed. ``setups`` are accepted besides the known ceremonies; ``keys`` sign receipts, ``verifiers`` verdicts.

    ``references``: what TEE evidence is to say; ``vendors``: roots of hardware besides those that come with this package.
    """

    keys: tuple[TrustedKey, ...] = ()
    circuits: tuple[Trusted, ...] = ()
    setups: tuple[Trusted, ...] = ()
    logs: tuple[TrustedLog, ...] = ()
    verifiers: tuple[TrustedKey, ...] = ()
    references: tuple[Reference, ...] = ()
    vendors: Roots = field(default_factory=Roots)

    @classmethod
    def pin(cls, *ids: Digest | str) -> TrustRoot:
        """A trust root of these circuits alone: receipts for them are judged whoever signed. Raises MalformedError."""
        return cls().pinning(*ids)

    def pinning(self, *ids: Digest | str) -> TrustRoot:
        """This trust root for these circuits alone. Those that it names keep their validity; the others are good at any time.

        Raises MalformedError.
        """
        wanted = [Digest.parse(i) if isinstance(i, str) else i for i in ids]
        kept = tuple(entry for entry in self.circuits if entry.digest in wanted)
        named = {entry.digest for entry in kept}
        added = tuple(Trusted(name="pinned by the caller", digest=d) for d in dict.fromkeys(wanted) if d not in named)
        return replace(self, circuits=(*kept, *added))

    def referring(self, references: Iterable[Reference]) -> TrustRoot:
        """This trust root with these reference values besides its own. Raises MalformedError where two have one name."""
        both = (*self.references, *references)
        require_distinct(both)
        return replace(self, references=both)

    @classmethod
    def parse(cls, data: bytes) -> TrustRoot:
        """Read the TOML file. Raises MalformedError, and UnsupportedError for keys that are not on P-256."""
        root = Record(read_toml(data, what="trust root"), "trust root")
        trust = cls(
            keys=_entries(root, "keys", _key),
            circuits=_entries(root, "circuits", lambda r: _trusted(r, "id")),
            setups=_entries(root, "setups", lambda r: _trusted(r, "fingerprint")),
            logs=_entries(root, "logs", _log),
            references=_entries(root, "references", Reference.from_record),
            vendors=Roots(roots=tuple(each for group in _entries(root, "vendors", _vendor) for each in group.roots)),
            verifiers=_entries(root, "verifiers", _key),
        )
        root.done()
        require_distinct(trust.references)
        if len({log.origin for log in trust.logs}) != len(trust.logs):
            raise MalformedError("trust root: two logs of one origin", hint="an origin is one log's, with one key")
        return trust


_T = TypeVar("_T")


def _entries(root: Record, name: str, read: Callable[[Record], _T]) -> tuple[_T, ...]:
    entries = []
    for record in root.records(name, maximum=_MAX_ENTRIES) if root.has(name) else ():
        entries.append(read(record))
        record.done()
    return tuple(entries)


def _key(record: Record) -> TrustedKey:
    return TrustedKey(
        name=record.text("name", max_length=256), public_key=_pem(record, "public-key"), validity=_validity(record)
    )  # fmt: skip


def _pem(record: Record, field: str) -> bytes:
    return parse_public_key_pem(record.text(field).encode("utf-8", "replace"), what=f"{record.where}.{field}")


def _log(record: Record) -> TrustedLog:
    key, text = NoteKey.parse(record.text("vkey")), record.text("policy", max_length=MAX_SIZE)
    policy = Policy.parse(f"log {key.encode()}\n{text}".encode("utf-8", "replace"))
    if key.type != ED25519 or {log.key.name for log in policy.logs} != {key.name}:
        raise MalformedError(
            f"{record.where}: vkey is not a log's Ed25519 key, or the policy names another log",
            hint="one [[logs]] table for each log; `verifiable log init` prints its vkey",
        )
    return TrustedLog(
        name=record.text("name", max_length=256),
        key=key,
        policy=policy,
        administrator=_pem(record, "administrator") if record.has("administrator") else None,
        validity=_validity(record),
    )


def _vendor(record: Record) -> Roots:
    kinds = record.items("kinds", maximum=16)
    if not kinds or not all(kind in ROOT_KINDS for kind in kinds):
        raise MalformedError(f"{record.where}.kinds: a list of {', '.join(ROOT_KINDS)} is wanted")
    return Roots.given(
        record.text("name", max_length=256), kinds, record.text("certificate", max_length=MAX_SIZE).encode("utf-8", "replace")
    )


def _trusted(record: Record, field: str) -> Trusted:
    return Trusted(name=record.text("name", max_length=256), digest=Digest.parse(record.text(field)), validity=_validity(record))


def _validity(record: Record) -> Validity:
    since, until = (_moment(record, field) if record.has(field) else None for field in ("valid-from", "valid-until"))
    if since is not None and until is not None and since >= until:
        raise MalformedError(f"{record.where}: valid-from is not before valid-until")
    return Validity(since=since, until=until)


def _moment(record: Record, field: str) -> datetime:
    value = record.take(field)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise MalformedError(
            f"{record.where}.{field}: not a date and time with an offset", hint="write it like 2026-01-02T03:04:05Z, unquoted"
        )
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise MalformedError(f"{record.where}.{field}: out of range") from error
