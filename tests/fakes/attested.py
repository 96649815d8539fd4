# SPDX-License-Identifier: Apache-2.0
"""Receipts that hardware vouches for, minted by fake vendors: an honest run, attestations bound to it, and whoever accepts
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tests.fakes.receipts import NOW, Honest, node_key
from verifiable.digest import Digest
from verifiable.keys.signer import Signer
from verifiable.receipt import Evidence, Receipt, make_receipt
from verifiable.tee import binding
from verifiable.tee.attesting import Attached
from verifiable.tee.document import Attestation
from verifiable.tee.reference import Reference
from verifiable.tee.roots import Roots
from verifiable.trust import TrustRoot

#: report data (64 bytes) -> evidence, collateral, and the roots that it holds under.
Mint = Callable[[bytes], tuple[bytes, tuple[bytes, ...], Roots]]


@dataclass(frozen=True)
class Attested:
    """``receipt`` with attestations in it, and ``trust``: the run's, with the vendors' roots and the references."""

    run: Honest
    receipt: Receipt
    trust: TrustRoot

    def verify(self, data: bytes | None = None, *, trust: TrustRoot | None = None, **options: Any) -> Any:
        given = self.trust if trust is None else trust
        return self.run.verify(self.receipt.encode() if data is None else data, trust=given, **options)


def attest(
    run: Honest,
    mints: Sequence[tuple[str, Mint]],
    *,
    scope: str = "receipt",
    nonce: bytes | None = None,
    at: datetime = NOW,
    proof: bool = False,
    references: Sequence[Reference] = (),
    signer: Signer | None = None,
    change: Callable[[Attached], Attached] = lambda attached: attached,
    bound_to: Callable[[Digest, bytes, Digest | None], bytes] | None = None,
) -> Attested:
    """``mints``: kind and how to make it. ``nonce``: by default the claim's with scope ``receipt``, none with ``key``.
    ``proof``: keep the run's. ``change``: what an attacker does to each attestation. ``bound_to``: the report data instead of
    the right one, from key, nonce and claim's digest.
    """
    key = signer or node_key()
    kept = run.receipt.evidence if proof else ()
    claim = replace(run.receipt.claim, evidence=tuple(e.descriptor for e in kept), public_key=key.public_key)
    asked = nonce if nonce is not None else (claim.nonce or b"") if scope == "receipt" else b""
    about = claim.attested_digest if scope == "receipt" else None
    data = binding.report_data(key=key.fingerprint, nonce=asked, claim=about)
    if bound_to is not None:
        data = bound_to(key.fingerprint, asked, about)
    roots, pieces = Roots(), []
    for kind, mint in mints:
        evidence, collateral, trusted = mint(data)
        roots += trusted
        attestation = Attestation(
            kind=kind, evidence=evidence, scope=scope, nonce=asked, verified_at=at,
            collateral=tuple(dict.fromkeys(map(Digest.of, collateral))),
        )  # fmt: skip
        pieces += Evidence.attested(change(Attached(attestation=attestation, collateral=collateral)))
    evidence_list = (*kept, *dict.fromkeys(pieces))
    claim = replace(claim, evidence=tuple(each.descriptor for each in evidence_list))
    receipt = make_receipt(claim, evidence_list, key, run.circuit.verifier)
    trust = replace(run.trust, vendors=roots, references=tuple(references))
    return Attested(run=run, receipt=receipt, trust=trust)


def wanting(
    kind: str, register: str, value: str, *, name: str = "ours", max_age: timedelta = timedelta(days=1), **fields: Any
) -> Reference:
    """Reference values with one register."""
    return Reference(name=name, kind=kind, measurements={register: (value,)}, max_age=max_age, **fields)
