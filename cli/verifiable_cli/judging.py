# SPDX-License-Identifier: Apache-2.0
"""What the ``attest`` commands read; the judging is all in ``verifiable.tee``, what they print in :mod:`.findings`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verifiable import files
from verifiable.digest import Digest
from verifiable.encoding.record import CLOCK_SKEW, format_time
from verifiable.errors import BindingError, MalformedError, PolicyError, StaleError, TrustError
from verifiable.tee.evidence import KINDS
from verifiable_cli import options
from verifiable_cli.findings import Findings

if TYPE_CHECKING:
    from verifiable.tee.document import Attestation
    from verifiable.tee.evidence import Evidence, VerifiedEvidence
    from verifiable.tee.reference import Reference
    from verifiable.tee.roots import Roots


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
    it, where the file is a receipt; ``key``, ``claim``: that receipt's, by their digests.
    """

    path: Path
    evidence: Evidence
    attestation: Attestation | None
    carried: tuple[bytes, ...] = ()
    key: Digest | None = None
    claim: Digest | None = None


def read(path: Path, kind: str | None) -> Opened:
    """Parse the file. Raises MalformedError, UnsupportedError; TrustError for a receipt without such evidence in it."""
    from verifiable import receipt, settling
    from verifiable.tee import document, registry

    data = files.read(path, what="evidence", max_size=receipt.MAX_SIZE)
    if settling.is_statement(data):
        return _from_receipt(path, data, kind)
    if len(data) > document.MAX_SIZE:
        raise MalformedError(f"evidence {path}: {len(data):,} bytes is more than the {document.MAX_SIZE:,} allowed")
    attestation = document.Attestation.parse(data) if document.is_attestation(data) else None
    if attestation is None:
        return Opened(path=path, evidence=registry.parse(kind or registry.guess(data), data), attestation=None)
    if kind not in {None, attestation.kind}:
        raise MalformedError(f"{path}: an attestation of kind {attestation.kind}, not {kind}")
    return Opened(path=path, evidence=registry.parse(attestation.kind, attestation.evidence), attestation=attestation)


def _from_receipt(path: Path, data: bytes, kind: str | None) -> Opened:
    """The one attestation (of ``kind``) in a receipt, with its collateral, as far as the receipt has it."""
    from verifiable.keys.public import fingerprint
    from verifiable.receipt import Receipt
    from verifiable.tee import registry
    from verifiable.tee.document import Attestation

    receipt = Receipt.parse(data)
    carried = [(each.descriptor.kind, each.data) for each in receipt.evidence if each.data is not None]
    held = [Attestation.parse(piece) for what, piece in carried if what == "tee"]
    wanted = [attestation for attestation in held if kind in {None, attestation.kind}]
    if len(wanted) != 1:
        found = ", ".join(attestation.kind for attestation in held) or "none"
        raise TrustError(
            f"receipt {path}: one piece of {kind or 'TEE'} evidence is wanted, it has {found}",
            hint="name one: --kind KIND" if wanted else "have one made: prove --attest KIND",
        )
    (attestation,) = wanted
    return Opened(
        path=path,
        evidence=registry.parse(attestation.kind, attestation.evidence),
        attestation=attestation,
        carried=tuple(piece for what, piece in carried if what == "collateral"),
        key=fingerprint(receipt.claim.public_key),
        claim=receipt.claim.attested_digest,
    )


def verify(
    opened: Opened, *, at: datetime, collateral: Sequence[Path], roots: Sequence[Path], rim_roots: Sequence[Path]
) -> VerifiedEvidence:
    """An attestation is judged as of the time at which its maker verified it, other evidence as of ``at``. Raises Error."""
    from verifiable.tee import evidence as _evidence

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

    if key is not None and opened.key not in {None, key}:
        raise BindingError(f"the receipt is by the key {opened.key}, not by the one given")
    found.stated, found.wanted = opened.attestation is not None, references is not None
    found.in_receipt = opened.claim is not None
    found.verified = verify(opened, at=at, **given)
    found.stage = "binding"
    bound = bind(found.verified, key=key or opened.key, nonce=nonce, attestation=opened.attestation, claim=opened.claim)
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


def _trusted(kind: str, roots: Sequence[Path], rim_roots: Sequence[Path]) -> Roots:
    """The vendors' roots, but for those that the options put others in place of."""
    from verifiable.tee.roots import MAX_SIZE, shipped

    trusted = shipped()
    for target, paths in ((kind, roots), ("nvidia-rim", rim_roots)):
        given = [(str(path), files.read(path, what="root", max_size=MAX_SIZE)) for path in paths]
        trusted = trusted.replacing(target, given)
    return trusted
