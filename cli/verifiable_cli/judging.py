# SPDX-License-Identifier: Apache-2.0
"""What the ``attest`` commands read and print; the judging is all in ``verifiable.tee``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verifiable import files
from verifiable.digest import Digest
from verifiable.encoding.record import format_time
from verifiable.errors import MalformedError, PolicyError, StaleError, TrustError
from verifiable_cli import options, output, verifying

if TYPE_CHECKING:
    from verifiable.checklist import Check
    from verifiable.tee.document import Attestation
    from verifiable.tee.evidence import Evidence, VerifiedEvidence
    from verifiable.tee.reference import Appraisal, Reference
    from verifiable.tee.roots import Roots

KINDS = ("tdx", "sgx", "nitro", "snp", "nvidia", "software")
_MAX_ROOT = 1 << 18
#: Characters of a fact about the hardware among the lines for people; JSON has all of them.
_MAX_SHOWN = 132


def kind_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--kind``."""
    return click.option(
        "--kind", type=click.Choice(KINDS), help="What kind of evidence it is.  [default: told by its form, where that is clear]"
    )(function)


def judging_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What evidence is verified with, in every command that does; :func:`verify` reads them."""
    for option in reversed((
        click.option(
            "--collateral", multiple=True, type=options.PATH, metavar="FILE",
            help="What the vendor says about the evidence: Intel's collateral JSON, AMD's VCEK or VLEK, certificate chains, "
            "revocation lists, NVIDIA's RIM files. Repeatable, in any order.",
        ),
        click.option(
            "--root", "roots", multiple=True, type=options.PATH, metavar="PEM",
            help="Roots to trust in place of the vendor's that come with this program. Repeatable.",
        ),
        click.option(
            "--rim-root", "rim_roots", multiple=True, type=options.PATH, metavar="PEM",
            help="Likewise, for NVIDIA's golden values alone. Repeatable.",
        ),
        click.option("--at", metavar="TIME", help="Judge as of this time (2026-01-02T03:04:05Z) instead of now."),
    )):  # fmt: skip
        function = option(function)
    return function


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A file with evidence, parsed: a vendor's own, or an ``attestation`` of ours around it. ``carried``: what came along with
    it, where the file is a receipt.
    """

    path: Path
    evidence: Evidence
    attestation: Attestation | None
    carried: tuple[bytes, ...] = ()


@dataclass(slots=True, kw_only=True)
class Findings:
    """What was found so far, for the output; an error leaves the rest empty. ``stated``: as of a time that a document states;
    ``wanted``: reference values were given; ``stage``: which checklist is being worked through, ``failed``: the one that failed.
    """

    verified: VerifiedEvidence | None = None
    bound: tuple[Check, ...] = ()
    appraisal: Appraisal | None = None
    stated: bool = False
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


def read(path: Path, kind: str | None) -> Opened:
    """Parse the file. Raises MalformedError, UnsupportedError; TrustError for a receipt without such evidence in it."""
    from verifiable import receipt, settling
    from verifiable.tee import document, registry

    data = files.read(path, what="evidence", max_size=receipt.MAX_SIZE)
    carried: tuple[bytes, ...] = ()
    if settling.is_statement(data):
        data, *rest = _carried(path, data, kind)
        carried = tuple(rest)
    if len(data) > document.MAX_SIZE:
        raise MalformedError(f"evidence {path}: {len(data):,} bytes is more than the {document.MAX_SIZE:,} allowed")
    attestation = document.Attestation.parse(data) if document.is_attestation(data) else None
    if attestation is not None:
        if kind not in {None, attestation.kind}:
            raise MalformedError(f"{path}: an attestation of kind {attestation.kind}, not {kind}")
        evidence = registry.parse(attestation.kind, attestation.evidence)
        return Opened(path=path, evidence=evidence, attestation=attestation, carried=carried)
    return Opened(path=path, evidence=registry.parse(kind or registry.guess(data), data), attestation=None)


def _carried(path: Path, data: bytes, kind: str | None) -> list[bytes]:
    """The one attestation (of ``kind``) in a receipt, and then its collateral, as far as the receipt has it."""
    from verifiable.receipt import Receipt
    from verifiable.tee.document import Attestation

    pieces = [each for each in Receipt.parse(data).evidence if each.data is not None]
    held = [
        (each.data, Attestation.parse(each.data)) for each in pieces if each.descriptor.kind == "tee" and each.data is not None
    ]
    wanted = [(raw, attestation) for raw, attestation in held if kind in {None, attestation.kind}]
    if len(wanted) != 1:
        found = ", ".join(attestation.kind for _, attestation in held) or "none"
        raise TrustError(
            f"receipt {path}: one piece of {kind or 'TEE'} evidence is wanted, it has {found}",
            hint="name one: --kind KIND" if wanted else "have one made: prove --attest KIND",
        )
    ((raw, attestation),) = wanted
    blobs = {each.descriptor.digest: each.data for each in pieces}
    return [raw, *(blob for digest in attestation.collateral if (blob := blobs.get(digest)) is not None)]


def verify(
    opened: Opened, *, at: datetime, collateral: Sequence[Path], roots: Sequence[Path], rim_roots: Sequence[Path]
) -> VerifiedEvidence:
    """An attestation is judged as of the time at which its maker verified it, other evidence as of ``at``. Raises Error."""
    from verifiable.tee import evidence as _evidence
    from verifiable.tee.reference import CLOCK_SKEW

    if len(collateral) > _evidence.MAX_COLLATERAL:
        raise MalformedError(f"{len(collateral)} pieces of collateral, at most {_evidence.MAX_COLLATERAL} are read")
    given = [files.read(path, what="collateral", max_size=_evidence.MAX_SIZE) for path in collateral]
    trusted = _trusted(opened.evidence.kind, roots, rim_roots)
    attestation = opened.attestation
    if attestation is None:
        return opened.evidence.verify(at=at, roots=trusted, collateral=given)
    blobs = {Digest.of(data): data for data in (*opened.carried, *given)}
    if foreign := [path for path, data in zip(collateral, given, strict=True) if Digest.of(data) not in attestation.collateral]:
        raise MalformedError(f"collateral {foreign[0]}: not what the attestation names")
    if attestation.verified_at - at > CLOCK_SKEW:
        raise StaleError(f"the attestation was verified {format_time(attestation.verified_at)}, which has not come yet")
    return opened.evidence.verify(at=attestation.verified_at, roots=trusted, collateral=attestation.find_collateral(blobs))


def judge(
    found: Findings, opened: Opened, *, at: datetime, references: Sequence[Reference] | None, key: Digest | None,
    nonce: bytes | None, allow_simulated: bool, **given: Any,
) -> None:  # fmt: skip
    """Verify, compare with key and nonce, appraise; what holds is in ``found``, whatever is raised."""
    from verifiable.tee.judging import appraise_by_any, bind

    found.stated, found.wanted = opened.attestation is not None, references is not None
    found.verified = verify(opened, at=at, **given)
    found.stage = "binding"
    bound = bind(found.verified, key=key, nonce=nonce, attestation=opened.attestation)
    found.bound, found.stage = bound.checks, "appraisal"
    if references is not None:
        made = at if opened.attestation is None else opened.attestation.verified_at
        found.appraisal = appraise_by_any(found.verified, references, made=made, at=at, scope=bound.scope)
    if found.verified.simulated and not allow_simulated:
        raise PolicyError(
            "the evidence is simulated: no hardware stands behind it", hint="--allow-simulated-tee accepts it, to try things out"
        )


def read_references(path: Path | None) -> tuple[Reference, ...] | None:
    """``--reference``."""
    from verifiable.encoding import toml
    from verifiable.tee.reference import parse_references

    return None if path is None else parse_references(files.read(path, what="reference values", max_size=toml.MAX_SIZE))


def read_key(path: Path | None) -> Digest | None:
    """``--public-key``: its fingerprint."""
    from verifiable.keys.public import MAX_KEY_SIZE, fingerprint, parse_public_key_pem

    if path is None:
        return None
    return fingerprint(
        parse_public_key_pem(files.read(path, what="public key", max_size=MAX_KEY_SIZE), what=f"public key {path}")
    )


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


def _trusted(kind: str, roots: Sequence[Path], rim_roots: Sequence[Path]) -> Roots:
    """The vendors' roots, but for those that the options put others in place of."""
    from verifiable.tee.roots import Roots, shipped

    trusted = shipped()
    for target, paths in ((kind, roots), ("nvidia-rim", rim_roots)):
        if not paths:
            continue
        trusted = Roots(roots=tuple(root for root in trusted.roots if target not in root.kinds))
        for path in paths:
            trusted += Roots.given(str(path), (target,), files.read(path, what="root", max_size=_MAX_ROOT))
    return trusted
