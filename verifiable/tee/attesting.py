# SPDX-License-Identifier: Apache-2.0
"""From an attester to an attestation that a receipt can carry: bound to a key or a claim, and verified before it leaves here.

A node attests its key once, when it starts, and adds the result to all its receipts; or it attests each claim.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from verifiable.digest import Digest
from verifiable.tee import binding, registry
from verifiable.tee.document import Attestation
from verifiable.tee.roots import Roots, shipped

if TYPE_CHECKING:
    from verifiable.tee.attesters import Attester


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """An attestation, and the bytes of the collateral that it names, in that order."""

    attestation: Attestation
    collateral: tuple[bytes, ...] = ()


def attest(
    attester: Attester,
    *,
    key: Digest,
    clock: Callable[[], datetime],
    nonce: bytes = b"",
    claim: Digest | None = None,
    collateral: Sequence[bytes] = (),
    roots: Roots | None = None,
) -> Attached:
    """Ask the hardware to vouch for ``key`` (a receipt key's fingerprint) or, with ``claim``, for that very claim.

    ``nonce``: the caller's challenge. ``collateral``: what the machine itself cannot give (Intel's, a GPU's certificates and
    golden values). ``roots``: by default the vendors' that come with this package. Evidence that nobody could verify now is not
    handed out: raises what the attester and :meth:`.evidence.Evidence.verify` raise, BindingError where the hardware signed
    something else.
    """
    expected = binding.report_data(key=key, nonce=nonce, claim=claim)
    given = attester.attest(expected)
    evidence = registry.parse(attester.kind, given.evidence)
    binding.check_binding(attester.kind, evidence.report_data, expected)
    kept = tuple({Digest.of(data): data for data in (*given.collateral, *collateral)}.items())
    now = clock()
    evidence.verify(at=now, roots=shipped() if roots is None else roots, collateral=tuple(data for _, data in kept))
    attestation = Attestation(
        kind=attester.kind,
        evidence=given.evidence,
        scope="key" if claim is None else "receipt",
        nonce=nonce,
        verified_at=now,
        collateral=tuple(digest for digest, _ in kept),
    )
    return Attached(attestation=attestation, collateral=tuple(data for _, data in kept))


__all__ = ["Attached", "attest"]
