# SPDX-License-Identifier: Apache-2.0
"""A first draft of reference values, out of evidence that was verified: what one machine was, for a person to review."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta

from verifiable.encoding.record import format_time
from verifiable.errors import MalformedError, PolicyError
from verifiable.tee.evidence import VerifiedEvidence
from verifiable.tee.reference import IDENTIFYING, Reference, parse_references

MAX_AGE = timedelta(hours=24)
#: By kind, the registers that a draft names beside those that say which code it was: what was booted in a TDX guest.
_BESIDE = {"tdx": ("rtmr0", "rtmr1", "rtmr2")}


def draft(verified: VerifiedEvidence, *, name: str, allow_debug: bool = False) -> Reference:
    """The reference that evidence like this meets. Raises PolicyError in debug mode, unless that is allowed."""
    if verified.debug and not allow_debug:
        raise PolicyError(
            f"the {verified.kind} evidence is in debug mode, where measurements say nothing", hint="--allow-debug drafts from it"
        )
    registers = (*IDENTIFYING[verified.kind], *_BESIDE.get(verified.kind, ()))
    return Reference(
        name=name,
        kind=verified.kind,
        measurements={
            register: (verified.measurements[register],) for register in registers if register in verified.measurements
        },
        max_age=MAX_AGE,
        tcb_status=(verified.tcb_status,) if verified.tcb_status else ("UpToDate",),
        advisories=tuple(sorted(verified.advisories)),
        minimum_tcb=dict(verified.tcb),
        allow_debug=verified.debug,
    )


def to_toml(reference: Reference, verified: VerifiedEvidence, *, source: str) -> str:
    """``reference`` as a file, with comments for whoever reviews it; ``source``: where the evidence came from.

    Raises MalformedError where it could not be read again.
    """
    lines = [
        f"# Reference values for {verified.kind} evidence: a draft, from {_quoted(source)},",
        f"# which was verified as of {format_time(verified.at)}, {verified.anchored}.",
        "#",
        "# It says what one machine was, not what it should be. Before you rely on it:",
        *(f"#   {line}" for line in _advice(reference, verified)),
        "",
        reference.to_toml().rstrip("\n"),
    ]
    others = [(name, value) for name, value in verified.measurements.items() if name not in reference.measurements]
    if others:
        lines += ["", "# Also in the evidence. A register that is not named may hold anything:"]
        lines += [f"# {name} = [{_quoted(value)}]" for name, value in others]
    text = "\n".join(lines) + "\n"
    if parse_references(text.encode()) != (reference,):
        raise MalformedError(f"reference {reference.name!r}: it could not be read again as it is")
    return text


def _advice(reference: Reference, verified: VerifiedEvidence) -> Iterable[str]:
    if verified.simulated:
        yield "simulated    no hardware stands behind this evidence; use it to try things out"
    if reference.allow_debug:
        yield "allow-debug  the machine's owner could look inside and change things: remove it for real use"
    yield "measurements are they those of a build that you made, or can make again? list each that you accept"
    yield "max-age      how old may the evidence be for what it is to stand for?"
    yield 'binding      "receipt" asks for evidence of each receipt, "key" takes one for the key that signs them'
    if verified.tcb_status:
        yield "tcb-status   Intel's word for that machine; leave only what you accept"
        yield "advisories   read each (intel.com/sa) before you tolerate it"
    if reference.minimum_tcb:
        yield "minimum-tcb  the versions found; lower ones are refused"


def _quoted(text: str) -> str:
    """On one line, whatever is in it."""
    return json.dumps(text)


__all__ = ["MAX_AGE", "draft", "to_toml"]
