# SPDX-License-Identifier: Apache-2.0
"""What ``attest verify`` found of evidence, as lines and as JSON; ``attest show`` without any finding."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from verifiable.encoding.record import format_time
from verifiable_cli import output, verifying

if TYPE_CHECKING:
    from verifiable.checklist import Check
    from verifiable.tee.evidence import Evidence, VerifiedEvidence
    from verifiable.tee.reference import Appraisal

#: Characters of a fact about the hardware among the lines for people; JSON has all of them.
_MAX_SHOWN = 132


@dataclass(slots=True, kw_only=True)
class Findings:
    """What was found so far, for the output; an error leaves the rest empty. ``stated``: as of a time that a document states;
    ``in_receipt``: from one; ``wanted``: reference values were given; ``stage``: which checklist is being worked through,
    ``failed``: the one that failed.
    """

    verified: VerifiedEvidence | None = None
    bound: tuple[Check, ...] = ()
    appraisal: Appraisal | None = None
    stated: bool = False
    in_receipt: bool = False
    wanted: bool = False
    stage: str = "checks"
    failed: dict[str, tuple[Check, ...]] = field(default_factory=dict)

    def sections(self) -> dict[str, tuple[Check, ...]]:
        """The checks done, by what they are about."""
        done = {
            "checks": self.verified.checks if self.verified else (),
            "binding": self.bound,
            "appraisal": self.appraisal.checks if self.appraisal else (),
        }
        return done | self.failed


def shown(evidence: Evidence) -> dict[str, Any]:
    """All fields of parsed evidence, as JSON has them."""
    fields: dict[str, Any] = output.plain(evidence)
    return {"simulated": True, **fields} if evidence.kind == "software" else fields


def verdict(found: Findings) -> str:
    """In words, of evidence that held."""
    assert found.verified is not None
    held = "verified" if found.appraisal else "authentic, not appraised"
    return f"simulated: {held}" if found.verified.simulated else held


def render(found: Findings) -> list[str]:
    """The checklists, and what was established."""
    titles = {"checks": "evidence", "binding": "binding", "appraisal": "appraisal"}
    lines: list[str] = []
    for name, checks in found.sections().items():
        if checks:
            by = f" by {found.appraisal.reference.name!r}" if name == "appraisal" and found.appraisal else ""
            lines += [output.one_line(f"{titles[name]}{by}"), *verifying.render_checks(checks)]
    return [*lines, "", *_established(found, found.verified)] if found.verified else lines


def _established(found: Findings, verified: VerifiedEvidence) -> list[str]:
    rows = [("kind", verified.kind), ("anchor", verified.anchored), ("as of", format_time(verified.at))]
    rows += [("made", format_time(verified.issued_on))] if verified.issued_on else []
    rows += [(name, value) for name, value in verified.measurements.items() if value.strip("0")]
    rows += [("tcb", ", ".join(f"{name} {version}" for name, version in verified.tcb.items()))] if verified.tcb else []
    rows += [("tcb status", verified.tcb_status)] if verified.tcb_status else []
    rows += [("advisories", ", ".join(verified.advisories))] if verified.advisories else []
    rows += [("report data", verified.report_data.hex())] if verified.report_data else []
    facts = verified.identity.items()
    rows += [(name, value if len(value) <= _MAX_SHOWN else value[:_MAX_SHOWN] + "…") for name, value in facts]
    return [*output.table(rows, indent=0), *(f"note: {note}" for note in _notes(found, verified))]


def _notes(found: Findings, verified: VerifiedEvidence) -> list[str]:
    notes = []
    if verified.simulated:
        notes.append("simulated: whoever made this wrote what they liked; no hardware stands behind it")
    if verified.debug:
        notes.append("in debug mode: the machine's owner could look inside and change things")
    if found.stated and found.bound and found.bound[0].status == "skip":
        notes.append("made for a key or a receipt that was not compared: `verifiable verify RECEIPT` does, or --public-key FILE")
    if found.in_receipt:
        notes.append("the receipt's own signature, proof and values were not looked at: `verifiable verify RECEIPT` does that")
    if found.stated and found.appraisal is None:
        notes.append("judged as of a time that its maker states: how old it may be is for reference values to say")
    if found.appraisal is None and not found.failed and not found.wanted:
        held = "it says something" if verified.simulated else "it is real evidence of something"
        notes.append(f"not appraised: {held}, and nobody has said what it should be (--reference FILE)")
    return notes


def to_json(found: Findings, word: str) -> dict[str, Any]:
    """The whole outcome."""
    document: dict[str, Any] = {"verdict": word}
    document |= {name: verifying.checks_json(checks) for name, checks in found.sections().items()}
    document["reference"] = found.appraisal.reference.name if found.appraisal else None
    if (verified := found.verified) is not None:
        anchor = verified.anchor
        document |= {
            "kind": verified.kind,
            "at": format_time(verified.at),
            "anchor": None if anchor is None else {"name": anchor.name, "fingerprint": anchor.fingerprint.hex},
            "measurements": dict(verified.measurements),
            "tcb": dict(verified.tcb),
            "tcbStatus": verified.tcb_status,
            "advisories": list(verified.advisories),
            "debug": verified.debug,
            "simulated": verified.simulated,
            "reportData": verified.report_data.hex(),
            "issuedOn": format_time(verified.issued_on) if verified.issued_on else None,
            "identity": dict(verified.identity),
            "notes": _notes(found, verified),
        }
    return document
