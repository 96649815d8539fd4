# SPDX-License-Identifier: Apache-2.0
"""The verdict: what was established, check by check, and what was not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from verifiable.checklist import Check
from verifiable.claim import Claim
from verifiable.digest import Digest
from verifiable.encoding.tensor import Tensor
from verifiable.tee.evidence import VerifiedEvidence
from verifiable.tee.reference import Appraisal
from verifiable.zk.circuit import Circuit, Post

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: The checklist of docs/formats/receipt.md; a check's number is its place here, from 1.
NAMES = ("parse", "signature", "circuit", "inputs", "outputs", "evidence", "ledger", "freshness", "policy")
#: The kinds of evidence that convince without the signer's word.
STANDS_ALONE = ("zk", "rerun", "tee")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedTensor:
    """An input or output as established.

    ``integers``: the int64 tensor that evidence is about, where it is known; real value = integers x ``scale``. ``stated``: the
    tensor before rounding, as the claim or the caller states it, in the model's dtype (outputs: the integers): evidence binds
    it only as far as it rounds to ``integers``. ``digest``: of a public tensor as stated. ``commitment``: of a hashed one's
    integers. ``post``: the model's last step, which is no part of what is proved: anybody can do it from the integers.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    visibility: str
    scale: float
    stated: Tensor | None = None
    integers: Tensor | None = None
    digest: Digest | None = None
    commitment: bytes | None = None
    post: Post | None = None

    @property
    def rounded(self) -> bool:
        """Whether other tensors than ``stated`` have the same integers, so that the last digits are somebody's word."""
        return self.stated not in (None, self.integers) and (self.dtype.startswith("float") or self.scale > 1)

    def values(self) -> NDArray[Any] | None:
        """float64 array ``integers x scale``, after ``post`` where there is one; None where they are not known."""
        from verifiable.zk.quantise import values

        found: NDArray[Any] | None = None if self.integers is None else values(self.integers, self.scale, self.post)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatory:
    """Who signed. ``name``: the trust root's name for the key; None when it names no keys, and nobody is established."""

    fingerprint: Digest
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The receipt's place in a log of the trust root, with inclusion and cosignatures verified.

    ``log``: the trust root's name for it; ``index``: the place, from 0; ``size``: of the tree that was signed; ``cosigners``:
    those whose cosignatures held; ``time``: the latest of their times, by which the entry was there; None without a quorum.
    """

    log: str
    origin: str
    index: int
    size: int
    cosigners: tuple[str, ...] = ()
    time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """One piece of TEE evidence in the receipt, none of which was found false.

    ``scope``, ``nonce``: what it is bound to: the receipt's key, or the claim. ``at``: the time at which it was judged;
    ``stands_for``: the receipt's, which is a log's where it is settled, else the time of judgement. ``evidence``: what the
    hardware signed, None where it could not be followed to a root. ``appraisals``: by the references that it meets. ``problem``:
    why it counts for nothing, None where it counts. ``later``: why the same evidence would not be accepted at the time of
    judgement, None where it would.
    """

    kind: str
    scope: str
    nonce: bytes
    at: datetime
    stands_for: datetime
    evidence: VerifiedEvidence | None = None
    appraisals: tuple[Appraisal, ...] = ()
    problem: str | None = None
    later: str | None = None

    @property
    def counts(self) -> bool:
        """Whether anything may rest on it."""
        return self.problem is None

    @property
    def simulated(self) -> bool:
        """No hardware stands behind it."""
        return self.evidence is not None and self.evidence.simulated

    @property
    def insecure(self) -> bool:
        """Whoever holds the machine can make it say anything: simulated, or in debug mode."""
        return self.evidence is not None and (self.evidence.simulated or self.evidence.debug)

    def meets(self, reference: str) -> bool:
        """Whether it is what the reference of this name wants."""
        return any(each.reference.name == reference for each in self.appraisals)


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedSetup:
    """The setup that the proof rests on, and by whose word. ``insecure``: accepted only because the caller allowed it."""

    fingerprint: Digest
    name: str
    insecure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Everything that holds. What is not in here was not established, whatever ``claim`` says.

    ``model``: None when the circuit keeps its weights private. ``evidence``: the kinds that were verified. ``setup``: None for
    systems without one. ``nonce``: the challenge that the claim was held to; None when none was given, whatever the claim
    carries. ``caveats``: what a careful reader should still know. ``now``: the time of judgement. ``float_errors``: after a
    re-run with the model at hand, by output, the largest difference from the float model's on these inputs. ``settled``: where
    logs hold it. ``attested``: its TEE evidence, also what does not count.
    """

    claim: Claim
    circuit: Circuit
    model: Digest | None
    inputs: tuple[VerifiedTensor, ...]
    outputs: tuple[VerifiedTensor, ...]
    signer: Signatory
    evidence: tuple[str, ...]
    setup: AcceptedSetup | None
    nonce: bytes | None
    now: datetime
    checks: tuple[Check, ...]
    caveats: tuple[str, ...]
    float_errors: Mapping[str, float] = field(default_factory=dict)
    settled: tuple[Settled, ...] = ()
    attested: tuple[Attested, ...] = ()

    @property
    def signature_only(self) -> bool:
        """Whether the values rest on the signer's word alone: no proof, nothing run again, no hardware that vouches."""
        return not set(STANDS_ALONE) & set(self.evidence)
