# SPDX-License-Identifier: Apache-2.0
"""Check 6: the evidence in the receipt is what the claim describes, and each piece holds for the rebuilt instance."""

from __future__ import annotations

from verifiable.checklist import Step
from verifiable.digest import Digest
from verifiable.errors import BindingError, TrustError
from verifiable.receipt import Evidence, Receipt
from verifiable.zk.circuit import VerifierCircuit
from verifiable.zk.system import ProofSystem, Public


def verify_all(receipt: Receipt, circuit: VerifierCircuit, public: Public, system: ProofSystem, step: Step) -> tuple[str, ...]:
    """The kinds of what was verified, in order; empty for a receipt without a proof.

    An offered re-run is only held to the circuit's program here: it is evidence once it has been made. So is evidence of
    hardware to its description. Raises BindingError (not what the claim describes), TrustError (its bytes are elsewhere), and
    what :meth:`ProofSystem.verify` raises.
    """
    described = receipt.claim.evidence
    if described != tuple(evidence.descriptor for evidence in receipt.evidence):
        raise BindingError("the evidence in the receipt is not what the claim describes")
    if len({descriptor.digest for descriptor in described}) != len(described):
        raise BindingError("the same evidence is listed twice")
    kinds = []
    for evidence in receipt.evidence:
        if evidence.descriptor.kind == "rerun":
            if evidence != Evidence.rerun(circuit.circuit):
                raise BindingError("the re-run that the receipt offers is not of the circuit's program")
            step.note("a re-run is offered")
            continue
        data = _data(evidence)
        if evidence.descriptor.kind != "zk":
            continue  # judged by :mod:`.attestation`
        proof = _proof(evidence, data, system)
        system.verify(circuit, public, proof)
        step.note(f"zk proof by {system.id}, {len(proof):,} bytes")
        kinds.append(evidence.descriptor.kind)
    if not described:
        step.note("the receipt has none")
    return tuple(kinds)


def _data(evidence: Evidence) -> bytes | None:
    """The bytes, if they are those described; None where they are elsewhere."""
    descriptor, data = evidence.descriptor, evidence.data
    if data is not None and (len(data) != descriptor.size or Digest.of(data) != descriptor.digest):
        raise BindingError(f"the {descriptor.kind} evidence is not the one that the claim describes")
    return data


def _proof(evidence: Evidence, data: bytes | None, system: ProofSystem) -> bytes:
    """A proof that is here, and described as what ``system`` verifies."""
    descriptor = evidence.descriptor
    if data is None:
        raise TrustError(f"the {descriptor.kind} evidence {descriptor.digest} is not in the receipt")
    if descriptor.media_type != system.media_types.proof:
        raise BindingError(
            f"the zk evidence is called {descriptor.media_type!r}, a proof by {system.id} is {system.media_types.proof!r}"
        )
    return data
