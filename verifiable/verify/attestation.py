# SPDX-License-Identifier: Apache-2.0
"""The TEE part of check 6: what a receipt's attestations establish, and for when (docs/formats/attestation.md, "In a receipt").

An attestation is judged at the time at which its maker verified it, with the collateral of that time; the receipt's own time
then must not be further away than the reference allows. That time is the ledger's where the receipt is settled, and the time of
judgement where it is not: a date that only the node states would let whoever broke a platform later speak for the past.

False evidence fails the receipt. Evidence that cannot be judged, that nobody wanted, or that is simulated fails nothing and
counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from verifiable.checklist import Step
from verifiable.claim import Claim
from verifiable.digest import Digest
from verifiable.encoding.record import CLOCK_SKEW, format_time
from verifiable.errors import AttestationError, BindingError, Error, MalformedError, StaleError, TrustError
from verifiable.keys.public import fingerprint
from verifiable.receipt import COLLATERAL_TYPE, Receipt
from verifiable.tee.document import MEDIA_TYPE, Attestation
from verifiable.tee.evidence import MAX_SIZE, Evidence, VerifiedEvidence
from verifiable.tee.reference import Appraisal, Reference, appraise
from verifiable.tee.roots import Roots, shipped
from verifiable.trust import TrustRoot
from verifiable.verify.verified import Attested, Settled

MAX_ATTESTATIONS = 16
#: Of collateral, in bytes, each piece as often as an attestation names it: it is read anew for each.
MAX_COLLATERAL_SIZE = 1 << 21


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraiser:
    """Judges all attestations of a receipt. ``now``: the time of judgement; ``blobs``: what the receipt names and has not got."""

    roots: Roots
    references: tuple[Reference, ...]
    now: datetime
    blobs: tuple[bytes, ...] = ()
    allow_simulated: bool = False

    @classmethod
    def of(cls, trust: TrustRoot, *, now: datetime, blobs: Sequence[bytes], allow_simulated: bool) -> Appraiser:
        """By the roots and reference values of ``trust``, and the vendors' roots that come with this package."""
        roots = shipped() + trust.vendors
        return cls(roots=roots, references=trust.references, now=now, blobs=tuple(blobs), allow_simulated=allow_simulated)

    def judge(self, receipt: Receipt, places: Iterable[Settled], step: Step) -> tuple[Attested, ...]:
        """In the receipt's order; empty where it has none. The pieces are those that the claim describes (check 6 has seen to
        it).

        Raises BindingError (not for this key, nonce or claim; not all for the same; collateral that none of them names, or by
        another name), SignatureError, AttestationError, StaleError (judged at their own time), MalformedError, UnsupportedError.
        """
        claim = receipt.claim
        carried = (each.data for each in receipt.evidence if each.data is not None)
        blobs = {Digest.of(data): data for data in (*carried, *self.blobs)}
        documents = _attestations(receipt, blobs)
        _one_binding(documents, receipt)
        _bounded(documents, receipt, blobs)
        stands_for = min((place.time for place in places if place.time is not None), default=self.now)
        found = [self._one(document, claim, blobs, stands_for) for document in documents]
        # A GPU signs any nonce for anybody; only the code in a CPU's TEE says that it is the GPU which the model ran on.
        if not any(each.counts and each.kind != "nvidia" for each in found):
            found = [replace(each, problem=each.problem or "a GPU counts only beside a CPU's TEE") for each in found]
        for each in found:
            step.note(_line(each))
        return tuple(found)

    def _one(self, document: Attestation, claim: Claim, blobs: Mapping[Digest, bytes], stands_for: datetime) -> Attested:
        evidence = document.open(key=fingerprint(claim.public_key), claim=claim.attested_digest)
        if document.verified_at - self.now > CLOCK_SKEW:
            raise StaleError(f"{document.kind}: verified {format_time(document.verified_at)}, which has not come yet")
        attested = Attested(
            kind=document.kind, scope=document.scope, nonce=document.nonce, at=document.verified_at, stands_for=stands_for
        )
        try:
            collateral = document.find_collateral(blobs)
            verified = evidence.verify(at=document.verified_at, roots=self.roots, collateral=collateral)
        except TrustError as error:
            return replace(attested, problem=error.message)
        attested = replace(attested, evidence=verified)
        if not self.references:
            return replace(attested, problem="no reference values to appraise it by")
        wanted = [reference for reference in self.references if reference.kind == verified.kind]
        met, reasons = _appraise(verified, document, wanted, at=stands_for)
        attested = replace(attested, appraisals=met)
        if not met:
            return replace(attested, problem="; ".join(reasons) or f"no reference values for {verified.kind}")
        if verified.simulated and not self.allow_simulated:
            return replace(attested, problem="simulated: no hardware stands behind it")
        return replace(attested, later=self._later(evidence, document, collateral, met))

    def _later(
        self, evidence: Evidence, document: Attestation, collateral: Sequence[bytes], met: Iterable[Appraisal]
    ) -> str | None:  # fmt: skip
        """Why the same evidence would not be accepted if it came now; None where it would: by one of the references, as then."""
        try:
            verified = evidence.verify(at=self.now, roots=self.roots, collateral=collateral)
        except Error as error:
            return error.message
        still, reasons = _appraise(verified, document, [each.reference for each in met], at=self.now)
        return None if still else "; ".join(reasons)


def _appraise(
    verified: VerifiedEvidence, document: Attestation, references: Iterable[Reference], *, at: datetime
) -> tuple[tuple[Appraisal, ...], tuple[str, ...]]:
    """By each of ``references``: those that it meets, and why not the others."""
    met, reasons = [], []
    for reference in references:
        try:
            met.append(appraise(verified, reference, made=document.verified_at, at=at, scope=document.scope))
        except (AttestationError, StaleError) as error:
            reasons.append(error.message)
    return tuple(met), tuple(reasons)


def _attestations(receipt: Receipt, blobs: Mapping[Digest, bytes]) -> list[Attestation]:
    """In order; each by its digest. Raises TrustError where one is elsewhere, BindingError, MalformedError."""
    found = []
    for descriptor in (each.descriptor for each in receipt.evidence if each.descriptor.kind == "tee"):
        if descriptor.media_type != MEDIA_TYPE:
            raise BindingError(f"the tee evidence is called {descriptor.media_type!r}, an attestation is {MEDIA_TYPE!r}")
        if descriptor.digest not in blobs:
            raise TrustError(
                f"the attestation {descriptor.digest} is not in the receipt", hint="give the file: --collateral FILE"
            )
        found.append(Attestation.parse(blobs[descriptor.digest]))
    return found


def _one_binding(documents: Sequence[Attestation], receipt: Receipt) -> None:
    """All attestations of a receipt are for one nonce, in one scope, and together name the collateral that there is."""
    if len({(document.scope, document.nonce) for document in documents}) > 1:
        raise BindingError("the attestations are not bound to one nonce in one scope, so nothing holds them together")
    if documents and documents[0].scope == "receipt" and documents[0].nonce != (receipt.claim.nonce or b""):
        raise BindingError("the attestation answers another challenge than the claim")
    named = {digest for document in documents for digest in document.collateral}
    carried = {each.descriptor.digest for each in receipt.evidence if each.descriptor.kind == "collateral"}
    if named != carried:
        raise BindingError("the collateral in the receipt is not what its attestations name")


def _bounded(documents: Sequence[Attestation], receipt: Receipt, blobs: Mapping[Digest, bytes]) -> None:
    """The collateral is called what it is, and there is no more of all this than can be read in no time."""
    if len(documents) > MAX_ATTESTATIONS:
        raise MalformedError(f"receipt: {len(documents)} attestations, at most {MAX_ATTESTATIONS} are allowed")
    for each in (evidence.descriptor for evidence in receipt.evidence if evidence.descriptor.kind == "collateral"):
        if each.media_type != COLLATERAL_TYPE:
            raise BindingError(f"collateral is called {each.media_type!r}, it is {COLLATERAL_TYPE!r}")
        if max(each.size, len(blobs.get(each.digest, b""))) > MAX_SIZE:
            raise MalformedError(f"collateral {each.digest}: more than the {MAX_SIZE:,} bytes allowed")
    total = sum(len(blobs.get(digest, b"")) for document in documents for digest in document.collateral)
    if total > MAX_COLLATERAL_SIZE:
        raise MalformedError(f"collateral: {total:,} bytes for all attestations, {MAX_COLLATERAL_SIZE:,} are allowed")


def _line(attested: Attested) -> str:
    head = f"{attested.kind} evidence of {format_time(attested.at)} for {format_time(attested.stands_for)}"
    if attested.evidence is not None:
        head += f", {attested.evidence.anchored}"
    if attested.problem is not None:
        return f"{head}: does not count: {attested.problem}"
    return f"{head}: as {', '.join(repr(each.reference.name) for each in attested.appraisals)} wants it"
