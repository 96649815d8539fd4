# SPDX-License-Identifier: Apache-2.0
"""The guided tour: a real model, a real sample, every step as a user would take it, and what must be refused.

Keys and a log are made in a folder of its own; the steps are told to whoever listens.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from verifiable import compiling, settling
from verifiable.catalogue import Entry
from verifiable.checklist import Step
from verifiable.claim import Claim, ClaimedTensor
from verifiable.compiling import Compiled
from verifiable.digest import Digest
from verifiable.encoding.tensor import Tensor
from verifiable.errors import FatalStateError, PolicyError, VerificationError
from verifiable.keys.signer import Signer, generate
from verifiable.ledger.client import LogClient
from verifiable.ledger.directory import LogDirectory
from verifiable.ledger.policy import Policy
from verifiable.proving import ProvedReceipt, prove
from verifiable.receipt import Evidence, Receipt, make_receipt
from verifiable.tee.attesters.software import Software
from verifiable.tee.attesting import Attached, attest
from verifiable.tee.drafting import draft
from verifiable.trust import TrustedLog, TrustRoot
from verifiable.verify.attestation import Appraiser
from verifiable.verify.policy import AllOf, LoggedIn, ProvedBy
from verifiable.verify.verified import Verified
from verifiable.verify.verifier import Verifier
from verifiable.zk.sumcheck.system import SumcheckSystem
from verifiable.zk.system import Progress, ProofSystem, no_progress

ORIGIN = "demo.example/ledger"
_REPORT = "do not trust this installation; please report it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgery:
    """A receipt with one output changed, and the error that it met."""

    description: str
    error: VerificationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """A receipt with simulated TEE evidence: how the default policy refused it, and what holds where that may count."""

    refusal: PolicyError
    verified: Verified


@dataclass(frozen=True, slots=True, kw_only=True)
class Tour:
    """One entry taken through compile, prove, verify, settle, attest and two forgeries; each step returns what it made."""

    entry: Entry
    folder: Path
    system: ProofSystem
    progress: Progress = no_progress

    @property
    def systems(self) -> dict[str, Any]:
        return {self.system.id: self.system}

    def compile(self) -> Compiled:
        """The circuit, by the default proof system."""
        return compiling.compile(
            self.entry.model, system=self.system.id, calibration=self.entry.calibration, max_error=self.entry.max_error,
            progress=self.progress,
        )  # fmt: skip

    def prove(self, compiled: Compiled) -> ProvedReceipt:
        """A signed receipt for the held-out sample."""
        return prove(
            compiled.prover, self.entry.sample, signer=generate(self.folder / "node.pem"), node="demo", systems=self.systems,
            progress=self.progress,
        )  # fmt: skip

    def verify(self, compiled: Compiled, receipt: bytes) -> Verified:
        """As a stranger who knows the circuit's id and nothing else."""
        verifier = Verifier(TrustRoot.pin(compiled.circuit.id), self.systems)
        return verifier.verify(receipt, now=datetime.now(UTC))

    def settle(self, compiled: Compiled, proved: ProvedReceipt) -> Verified:
        """The receipt put into a log of the tour's own, without cosigners, and judged by somebody who asks that it be there."""
        log = LogDirectory.at(self.folder / "ledger")
        key = log.initialise(ORIGIN)[0]
        with log.open() as writing:
            index = writing.append(settling.leaf_of(proved.receipt)).index
        place = settling.place_of(proved.receipt, LogClient(log.published, (key,)), key, index)
        trusted = TrustedLog(name="the demo's log", key=key, policy=Policy.k_of_n([key], {}, 0))
        trust = dataclasses.replace(TrustRoot.pin(compiled.circuit.id), logs=(trusted,))
        return Verifier(trust, self.systems).verify(
            settling.settled(proved.receipt, place).encode(), now=datetime.now(UTC), policy=AllOf((ProvedBy(), LoggedIn()))
        )

    def attest(self, compiled: Compiled) -> Vouched:
        """A receipt without a proof, for which a TEE vouches that is only simulated; judged by reference values made from it.

        The default policy must refuse it, and take it when simulated evidence is let count.
        """
        signer, software = generate(self.folder / "attested.pem"), Software()

        def vouch(key: Digest, nonce: bytes, claim: Digest) -> list[Attached]:
            return [attest(software, key=key, nonce=nonce, claim=claim, clock=lambda: datetime.now(UTC))]

        proved = prove(
            compiled.prover, self.entry.sample, signer=signer, node="demo", evidence="none", attest=vouch, systems=self.systems,
            progress=self.progress,
        )  # fmt: skip
        trust, data = TrustRoot.pin(compiled.circuit.id), proved.receipt.encode()
        now = datetime.now(UTC)
        (seen,) = Appraiser.of(trust, now=now, blobs=(), allow_simulated=True).judge(proved.receipt, (), Step())
        assert seen.evidence is not None
        trust = trust.referring([draft(seen.evidence, name="the demo's code")])
        verifier = Verifier(trust, self.systems)
        try:
            verifier.verify(data, now=now)
        except PolicyError as error:
            return Vouched(refusal=error, verified=verifier.verify(data, now=now, allow_simulated_tee=True))
        raise FatalStateError("simulated TEE evidence passed for real", hint=_REPORT)

    def forgeries(self, compiled: Compiled, proved: ProvedReceipt) -> tuple[Forgery, ...]:
        """One output changed by one unit: under the old signature, and signed again by the forger. Both must fail."""
        changed = _change(proved.receipt.claim, 0)
        forger = generate(self.folder / "forger.pem")
        resigned = _resign(changed, proved.receipt, compiled, forger)
        return (
            self._caught("one output changed", compiled, dataclasses.replace(proved.receipt, claim=changed)),
            self._caught("the same, signed again by the forger", compiled, resigned),
        )

    def _caught(self, description: str, compiled: Compiled, receipt: Receipt) -> Forgery:
        try:
            self.verify(compiled, receipt.encode())
        except VerificationError as error:
            return Forgery(description=description, error=error)
        raise FatalStateError(f"a forged receipt verified: {description}", hint=_REPORT)


def tour(entry: Entry, folder: Path, *, progress: Progress = no_progress) -> Tour:
    """The tour of ``entry`` with keys below ``folder``."""
    return Tour(entry=entry, folder=folder, system=SumcheckSystem(), progress=progress)


def _change(claim: Claim, index: int) -> Claim:
    """The claim with one more unit in the first element of output ``index``, and everything else made consistent with it."""
    output = claim.outputs[index]
    assert output.value is not None
    integers = output.value.array().copy()
    integers.ravel()[0] += 1
    forged = ClaimedTensor.public(output.name, Tensor.from_array(integers), scale=output.scale)
    return dataclasses.replace(claim, outputs=(*claim.outputs[:index], forged, *claim.outputs[index + 1 :]))


def _resign(claim: Claim, receipt: Receipt, compiled: Compiled, signer: Signer) -> Receipt:
    evidence = [Evidence(descriptor=e.descriptor, data=e.data) for e in receipt.evidence]
    return make_receipt(dataclasses.replace(claim, public_key=signer.public_key), evidence, signer, compiled.prover.verifier)


__all__ = ["Forgery", "Tour", "tour"]
