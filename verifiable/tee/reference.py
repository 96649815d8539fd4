# SPDX-License-Identifier: Apache-2.0
"""Reference values: what somebody wants evidence to say, and the appraisal of verified evidence by them
(docs/formats/attestation.md).

A TOML file that a person writes, or a table of a trust root; strict like a trust root. One that named no measurement would take
any program for the right one and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from verifiable.checklist import Check, Checklist
from verifiable.encoding.record import CLOCK_SKEW, Record, format_duration, format_time, parse_duration
from verifiable.encoding.toml import read_toml
from verifiable.errors import AttestationError, MalformedError, StaleError
from verifiable.tee.binding import SCOPES
from verifiable.tee.evidence import KINDS, VerifiedEvidence

MAX_REFERENCES = 256
#: The numbered appraisal of docs/formats/attestation.md.
NAMES = ("kind", "debug", "measurements", "tcb", "advisories", "age", "binding")
#: By kind, the registers of which at least one must be named: what says which code it was.
IDENTIFYING = {
    "tdx": ("mrtd",),
    "sgx": ("mrenclave", "mrsigner"),
    "nitro": ("pcr0",),
    "snp": ("measurement",),
    "nvidia": ("driver", "vbios"),
    "software": ("measurement",),
}
# Whose vendor says what it thinks of the platform.
_RATED = frozenset({"tdx", "sgx"})
_MAX_LIST = 256
_REGISTER = re.compile(r"[a-z][a-z0-9-]{0,31}")
_VALUE = re.compile(r"[0-9A-Za-z._-]{1,256}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What is wanted of evidence of ``kind``.

    ``measurements``: register to the values allowed in it; registers that are not named may hold anything. ``max_age``: from
    when it was made to the time that it is to stand for. ``binding``: ``key`` takes evidence that is bound to the key or to the
    receipt, ``receipt`` only the latter. ``tcb_status``: Intel's, those allowed. ``advisories``: those tolerated.
    ``minimum_tcb``: component to the lowest security version. ``allow_debug``: also where the machine's owner can look inside.
    Raises MalformedError.
    """

    name: str
    kind: str
    measurements: Mapping[str, tuple[str, ...]]
    max_age: timedelta
    binding: str = "key"
    tcb_status: tuple[str, ...] = ("UpToDate",)
    advisories: tuple[str, ...] = ()
    minimum_tcb: Mapping[str, int] = field(default_factory=dict)
    allow_debug: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.binding not in SCOPES:
            raise MalformedError(f"reference {self.name!r}: its kind is one of {', '.join(KINDS)}, its binding key or receipt")
        if not any(register in self.measurements for register in IDENTIFYING[self.kind]):
            raise MalformedError(
                f"reference {self.name!r}: names no measurement that says which code it is",
                hint=f"name {' or '.join(IDENTIFYING[self.kind])} under measurements",
            )
        if not all(self.measurements.values()):
            raise MalformedError(f"reference {self.name!r}: a register without an allowed value", hint="leave the register out")
        for each in (*self.measurements, *self.minimum_tcb):
            if not _REGISTER.fullmatch(each):
                raise MalformedError(f"reference {self.name!r}: {each[:40]!r} is no register's or component's name")
        for values in (*self.measurements.values(), self.tcb_status, self.advisories):
            # A text in the place of a list of texts would allow every piece of itself.
            if not isinstance(values, tuple) or not all(isinstance(v, str) and _VALUE.fullmatch(v) for v in values):
                raise MalformedError(f"reference {self.name!r}: lists of values of up to 256 of [0-9A-Za-z._-] are wanted")
        if self.max_age != parse_duration(format_duration(self.max_age), f"reference {self.name!r}: its age"):
            raise MalformedError(f"reference {self.name!r}: its age is not one of whole seconds")

    @classmethod
    def from_record(cls, record: Record) -> Reference:
        """One ``[[references]]`` table. Raises MalformedError."""
        registers, tcb = record.record("measurements"), record.record("minimum-tcb") if record.has("minimum-tcb") else None
        reference = cls(
            name=record.text("name", max_length=256),
            kind=record.choice("kind", KINDS),
            measurements={n: _values(registers, n) for n in registers.names()},
            max_age=parse_duration(record.text("max-age", max_length=16), f"{record.where}.max-age"),
            binding=record.choice("binding", SCOPES) if record.has("binding") else "key",
            tcb_status=_values(record, "tcb-status") if record.has("tcb-status") else ("UpToDate",),
            advisories=_values(record, "advisories") if record.has("advisories") else (),
            minimum_tcb={n: tcb.integer(n) for n in tcb.names()} if tcb is not None else {},
            allow_debug=record.boolean("allow-debug") if record.has("allow-debug") else False,
        )
        record.done()
        return reference

    def to_toml(self) -> str:
        """As a ``[[references]]`` table; ``parse_references`` reads it back to an equal one."""
        lines = ["[[references]]", f"name = {_quoted(self.name)}", f"kind = {_quoted(self.kind)}"]
        lines += [f"max-age = {_quoted(format_duration(self.max_age))}", f"binding = {_quoted(self.binding)}"]
        if self.kind in _RATED or (self.tcb_status, self.advisories) != (("UpToDate",), ()):
            lines += [f"tcb-status = {_list(self.tcb_status)}", f"advisories = {_list(self.advisories)}"]
        if self.allow_debug:
            lines.append("allow-debug = true")
        if self.minimum_tcb:
            lines.append(f"minimum-tcb = {{ {', '.join(f'{name} = {value}' for name, value in self.minimum_tcb.items())} }}")
        lines.append("[references.measurements]")
        lines += [f"{register} = {_list(values)}" for register, values in self.measurements.items()]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraisal:
    """Evidence that is what ``reference`` wants, and the numbered checks that say so."""

    reference: Reference
    checks: tuple[Check, ...]


def appraise(evidence: VerifiedEvidence, reference: Reference, *, made: datetime, at: datetime, scope: str | None) -> Appraisal:
    """That verified evidence is what ``reference`` wants.

    ``made``: when it was made, unless the hardware itself says so; ``at``: the time that it is to stand for; ``scope``: what its
    binding was found to be, None where nobody looked. Raises AttestationError, StaleError for its age; ``.checks`` travel on
    them.

    1. kind: the reference's
    2. debug: off, or allowed
    3. measurements: each register named holds one of its values
    4. tcb: the vendor's status is allowed, and no component is below its minimum
    5. advisories: none beyond those tolerated
    6. age
    7. binding
    """
    steps = Checklist(NAMES)
    with steps.step(1) as step:
        if evidence.kind != reference.kind:
            raise AttestationError(f"reference {reference.name!r} is for {reference.kind}, the evidence is {evidence.kind}")
        step.note(evidence.kind)
    with steps.step(2) as step:
        if evidence.debug and not reference.allow_debug:
            raise AttestationError(
                f"{evidence.kind}: in debug mode, where the machine's owner can look inside and change things",
                hint="have it launched without debug; to try things out, allow-debug = true in the reference values",
            )
        step.note("on, and allowed" if evidence.debug else "off")
    with steps.step(3) as step:
        for register, allowed in reference.measurements.items():
            found = evidence.measurements.get(register)
            if found not in allowed:
                held = "is not in the evidence" if found is None else f"holds {found}, which is not among those allowed"
                raise AttestationError(
                    f"{evidence.kind}: register {register} {held} by {reference.name!r}",
                    hint=f"it is other code, or another build; one that you accept too is listed in measurements.{register}",
                )
            step.note(f"{register} as wanted")
    with steps.step(4) as step:
        if (evidence.tcb_status or evidence.kind in _RATED) and evidence.tcb_status not in reference.tcb_status:
            raise AttestationError(
                f"{evidence.kind}: the platform is {evidence.tcb_status or 'unrated'}, which is not allowed",
                hint="have the machine updated; what you accept besides is listed in tcb-status",
            )
        for component, least in reference.minimum_tcb.items():
            version = evidence.tcb.get(component)
            if version is None or version < least:
                found = "not in the evidence" if version is None else f"at version {version}"
                raise AttestationError(
                    f"{evidence.kind}: {component} is {found}, at least {least} is wanted",
                    hint="have the machine updated; minimum-tcb in the reference values sets the least",
                )
        step.note(evidence.tcb_status or f"{len(reference.minimum_tcb)} minimum versions")
    with steps.step(5) as step:
        if unknown := sorted(set(evidence.advisories) - set(reference.advisories)):
            raise AttestationError(
                f"{evidence.kind}: {', '.join(unknown)} applies to the platform, and is not tolerated",
                hint="read it (intel.com/sa); what you tolerate is listed in advisories",
            )
        step.note(", ".join(evidence.advisories) or "none")
    with steps.step(6) as step:
        since = evidence.issued_on or made
        if since - at > CLOCK_SKEW or at - since > reference.max_age:
            raise StaleError(
                f"{evidence.kind}: made {format_time(since)}, to stand for {format_time(at)}; "
                f"{format_duration(reference.max_age)} is the most allowed by {reference.name!r}"
            )
        step.note(f"made {format_time(since)}{' by its own clock' if evidence.issued_on else ''}")
    with steps.step(7) as step:
        if scope is None:
            step.skip("not compared with any key or receipt")
        elif reference.binding == "receipt" and scope != "receipt":
            raise AttestationError(
                f"{evidence.kind}: bound to the key, and {reference.name!r} asks for evidence of each receipt",
                hint="ask the node for some: prove --attest-scope receipt",
            )
        else:
            step.note(f"to the {scope}")
    return Appraisal(reference=reference, checks=steps.checks)


def parse_references(data: bytes) -> tuple[Reference, ...]:
    """Read a file of ``[[references]]`` tables, at least one. Raises MalformedError."""
    root = Record(read_toml(data, what="reference values"), "reference values")
    found = tuple(Reference.from_record(r) for r in root.records("references", maximum=MAX_REFERENCES))
    root.done()
    if not found:
        raise MalformedError("reference values: none", hint="`verifiable attest reference --from EVIDENCE` writes a first draft")
    require_distinct(found)
    return found


def require_distinct(references: tuple[Reference, ...]) -> None:
    """Raises MalformedError where two have one name: a policy names them."""
    if len({reference.name for reference in references}) != len(references):
        raise MalformedError("reference values: two of one name", hint="a name is one reference's; list the values allowed in it")


def _values(record: Record, name: str) -> tuple[str, ...]:
    found = record.items(name, maximum=_MAX_LIST)
    if not all(isinstance(value, str) for value in found):
        raise MalformedError(f"{record.where}.{name}: a list of values in quotes is wanted")
    return tuple(found)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c for c in escaped) + '"'


def _list(values: tuple[str, ...]) -> str:
    return f"[{', '.join(map(_quoted, values))}]"


__all__ = ["IDENTIFYING", "NAMES", "Appraisal", "Reference", "appraise", "parse_references", "require_distinct"]
