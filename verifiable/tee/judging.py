# SPDX-License-Identifier: Apache-2.0
"""Evidence that comes by itself, outside a receipt: which key and which challenge it answers, and whose reference it meets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from verifiable.checklist import Check, Checklist
from verifiable.digest import Digest
from verifiable.errors import AttestationError, BindingError, PolicyError, StaleError, TrustError
from verifiable.tee import binding
from verifiable.tee.document import Attestation
from verifiable.tee.evidence import VerifiedEvidence
from verifiable.tee.reference import Appraisal, Reference, appraise

NAMES = ("key", "nonce")
_ANOTHER_CHALLENGE = "ask for evidence that is made for this nonce; an old one, used again, says nothing of today"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What verified evidence was found to be made for. ``scope``: ``key``, ``receipt``, or None where no key was compared."""

    scope: str | None
    checks: tuple[Check, ...]


def bind(
    verified: VerifiedEvidence, *, key: Digest | None = None, nonce: bytes | None = None, attestation: Attestation | None = None,
    claim: Digest | None = None,
) -> Bound:  # fmt: skip
    """That verified evidence was made for ``key`` (a receipt key's fingerprint) and answers ``nonce``, as far as given.

    ``attestation``: the document that the evidence came in; ``claim``: the digest of the receipt's that it was in. With a key,
    the nonce is the one bound together with it (:mod:`.binding`); without, the vendor's own: the nonce of a Nitro document, else
    the report data, as which the nonce stands with zeros behind it. Raises BindingError, TrustError (a nonce that only a key
    could establish).

    1. key
    2. nonce
    """
    steps = Checklist(NAMES)
    with steps.step(1) as step:
        if key is None:
            step.skip("compared with no key")
        else:
            about = claim if attestation is not None and attestation.scope == "receipt" else None
            if attestation is not None and attestation.scope == "receipt" and claim is None:
                raise BindingError(
                    "the attestation is bound to a receipt, and none is at hand",
                    hint="verify the receipt that carries it: `verifiable verify RECEIPT`",
                )
            used = attestation.nonce if attestation is not None else nonce or b""
            binding.check_binding(verified.kind, verified.report_data, binding.report_data(key=key, nonce=used, claim=about))
            step.note(f"made for the key {key}" + (" and this claim" if about is not None else ""))
    with steps.step(2) as step:
        if nonce is None:
            step.skip("no nonce was asked for")
        elif key is not None:
            if attestation is not None and attestation.nonce != nonce:
                raise BindingError(
                    "the attestation answers another challenge: its nonce is not the one given", hint=_ANOTHER_CHALLENGE
                )
            step.note("bound together with the key")
        elif attestation is not None:
            raise TrustError(
                "the attestation's nonce is bound together with a key, and no key was given", hint="name it: --public-key FILE"
            )
        else:
            _check_own_nonce(verified, nonce)
            step.note("the one given")
    scope = "key" if attestation is None else attestation.scope
    return Bound(scope=None if key is None else scope, checks=steps.checks)


def appraise_by_any(
    verified: VerifiedEvidence, references: Iterable[Reference], *, made: datetime, at: datetime, scope: str | None
) -> Appraisal:
    """By the first of ``references`` that the evidence meets. Raises PolicyError where none is for its kind, and what
    :func:`.appraise` raises; where several are not met, an AttestationError that says why of each.
    """
    failures: list[tuple[Reference, AttestationError | StaleError]] = []
    for reference in references:
        if reference.kind != verified.kind:
            continue
        try:
            return appraise(verified, reference, made=made, at=at, scope=scope)
        except (AttestationError, StaleError) as error:
            failures.append((reference, error))
    if not failures:
        raise PolicyError(
            f"none of the reference values is for {verified.kind} evidence",
            hint="`verifiable attest reference --from EVIDENCE` drafts some that are",
        )
    if len(failures) == 1:
        raise failures[0][1]
    raise AttestationError("; ".join(f"{reference.name!r}: {error.message}" for reference, error in failures)) from failures[0][1]


def _check_own_nonce(verified: VerifiedEvidence, nonce: bytes) -> None:
    if verified.kind == "nitro":
        answered = verified.identity.get("nonce") == nonce.hex()
    else:
        answered = nonce.ljust(len(verified.report_data), b"\0") == verified.report_data
    if not answered:
        raise BindingError(
            f"the {verified.kind} evidence answers another challenge than the nonce given, or none", hint=_ANOTHER_CHALLENGE
        )


__all__ = ["NAMES", "Bound", "appraise_by_any", "bind"]
