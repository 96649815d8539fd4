# SPDX-License-Identifier: Apache-2.0
"""The verifier: nine numbered checks, the same here, in docs/formats/receipt.md and in the output.

1. parse: canonical, within its limits, its claim consistent in itself
2. signature: holds under the key in the claim; that key is the trust root's, and valid at its place in the ledger, else now
3. circuit: pinned; its parts are those it names; it is of the claimed model; its setup is acceptable
4. inputs: the circuit's, and the values are what their digests and commitments say
5. outputs: likewise
6. evidence: what the claim describes, each verified against the instance rebuilt from the claim; a re-run where asked for; what
   hardware says, up to its vendor's root and held to reference values, at its time
7. ledger: the entry is this receipt's, is included, and the log and a quorum of its cosigners signed the checkpoint
8. freshness: the caller's nonce; times in order and not in the future
9. policy
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from verifiable.checklist import Checklist, Step
from verifiable.claim import Claim
from verifiable.encoding.record import CLOCK_SKEW, format_time
from verifiable.encoding.tensor import Tensor
from verifiable.errors import (
    BindingError,
    SignatureError,
    StaleError,
    TrustError,
)
from verifiable.keys.public import fingerprint, verify_signature
from verifiable.receipt import Receipt
from verifiable.trust import TrustRoot
from verifiable.verify import arguments, evidence
from verifiable.verify import setup as _setup
from verifiable.verify.attestation import Appraiser
from verifiable.verify.binding import Binder
from verifiable.verify.caveats import caveats
from verifiable.verify.keys import KeyHistory, signatory
from verifiable.verify.ledger import Finding
from verifiable.verify.policy import DEFAULT, Policy, judge, require_grounds
from verifiable.verify.rerun import float_errors, rerun
from verifiable.verify.verified import NAMES, Signatory, Verified
from verifiable.zk import registry
from verifiable.zk.circuit import VerifierCircuit
from verifiable.zk.system import ModelProgram, ProofSystem, Public


class Verifier:
    """Judges receipts by a trust root. Stateless between calls; may be shared among threads as far as the systems may."""

    def __init__(self, trust: TrustRoot, systems: Mapping[str, ProofSystem] | None = None) -> None:
        """Raises MalformedError when ``trust`` is none."""
        arguments.wanted("trust", trust, TrustRoot, hint="TrustRoot.pin(circuit_id), or TrustRoot.parse(data)")
        self._trust = trust
        self._systems = systems

    def verify(
        self,
        receipt: bytes,
        *,
        now: datetime,
        policy: Policy | None = None,
        inputs: Mapping[str, Tensor] | None = None,
        outputs: Mapping[str, Tensor] | None = None,
        circuit: VerifierCircuit | None = None,
        program: ModelProgram | None = None,
        nonce: bytes | None = None,
        key_events: Sequence[bytes] = (),
        collateral: Sequence[bytes] = (),
        allow_dev_srs: bool = False,
        allow_simulated_tee: bool = False,
    ) -> Verified:
        """What ``receipt`` establishes at ``now`` (aware). Whatever fails raises an Error with the ``checks`` done so far.

        ``inputs``: expected tensors in the model's dtypes; ``outputs``: expected int64 integers; ``circuit``: its parts, where
        the receipt does not carry them (giving it does not pin it: the trust root does); ``program``: what
        ``verifiable.compiling.program_of`` derived from the ONNX file, to compare with the circuit and to run again; ``nonce``:
        the challenge that the claim must carry; ``key_events``: settled key events (Sigstore bundles), each of which must hold;
        of others nothing is known; ``collateral``: what TEE evidence is judged with, where the receipt only names it;
        ``allow_dev_srs``: accept a setup whose maker could forge, and say so in the verdict; ``allow_simulated_tee``: let TEE
        evidence count that no hardware stands behind, and say so.
        """
        steps = Checklist(NAMES)
        with steps.step(1) as step:
            now = arguments.aware(now)
            arguments.check(
                receipt=receipt, circuit=circuit, program=program, nonce=nonce, inputs=inputs, outputs=outputs,
                collateral=collateral,
            )  # fmt: skip
            require_grounds(rules := DEFAULT if policy is None else policy)
            parsed = Receipt.parse(receipt)
            claim = parsed.claim
            step.note(f"{len(receipt):,} bytes in canonical form")
        with steps.step(2) as step:
            history = KeyHistory.read(key_events, self._trust, now=now)
            found = Finding.of(parsed.entry, parsed.log_entries, self._trust.logs, now=now)
            signer = self._signature(parsed, history, found, now, step)
        with steps.step(3) as step:
            chosen = self._circuit(parsed, circuit, now, step)
            system = registry.find(self._known_systems(), chosen.circuit.system)
            accepted = _setup.accept(chosen, self._trust, now=now, allow_dev_srs=allow_dev_srs, step=step)
            system.media_types.check(chosen.circuit)
            runnable = None if program is None else program.open(chosen)
            if runnable is not None:
                step.note("of the model given: its digest, its tensors and its program")
        named, visible = chosen.circuit, chosen.circuit.visibility

        def commit(integers: Tensor) -> bytes:
            return system.commit(named, integers)

        with steps.step(4) as step:
            binder = Binder(
                kind="input", specs=named.inputs, visibility=visible.inputs, given=inputs or {}, commit=commit
            )  # fmt: skip
            bound_inputs, verified_inputs = binder.bind(claim.inputs, step)
        with steps.step(5) as step:
            binder = Binder(
                kind="output", specs=named.outputs, visibility=visible.outputs, given=outputs or {}, commit=commit
            )  # fmt: skip
            bound_outputs, verified_outputs = binder.bind(claim.outputs, step)
        errors: Mapping[str, float] = {}
        with steps.step(6) as step:
            public = Public(inputs=bound_inputs, outputs=bound_outputs)
            kinds = evidence.verify_all(parsed, chosen, public, system, step)
            if runnable is not None:
                rerun(system, runnable, verified_inputs, verified_outputs, commit=commit, step=step)
                if program is not None and program.reference is not None:
                    errors = float_errors(program.reference, verified_inputs, verified_outputs)
                kinds = (*kinds, "rerun")
            appraiser = Appraiser.of(self._trust, now=now, blobs=collateral, allow_simulated=allow_simulated_tee)
            attested = appraiser.judge(parsed, found.places, step)
            kinds = (*kinds, *dict.fromkeys("tee" for each in attested if each.counts))
            if not kinds:
                step.skip("nothing was run again")
        with steps.step(7) as step:
            found.report(step, claimed=len(parsed.log_entries), logs=len(self._trust.logs))
        with steps.step(8) as step:
            _freshness(claim, nonce, now, step)
        verified = Verified(
            claim=claim,
            circuit=named,
            model=None if visible.weights == "private" else claim.model,
            inputs=verified_inputs,
            outputs=verified_outputs,
            signer=signer,
            evidence=kinds,
            setup=accepted,
            nonce=nonce,
            now=now,
            checks=steps.checks,
            caveats=(),
            float_errors=errors,
            settled=found.places,
            attested=attested,
        )
        with steps.step(9) as step:
            step.note(judge(rules, verified).detail)
        return replace(verified, checks=steps.checks, caveats=(*caveats(verified, chosen), *system.caveats(chosen)))

    def _signature(self, receipt: Receipt, history: KeyHistory, found: Finding, now: datetime, step: Step) -> Signatory:
        key = receipt.claim.public_key
        own = fingerprint(key)
        if receipt.keyid != own or receipt.key_hint != own:
            raise SignatureError(f"the envelope names another key than the claim, which is by {own}")
        verify_signature(key, receipt.signed_bytes, receipt.signature)
        name = signatory(key, self._trust, history, found.places, now=now)
        if name is None:
            step.skip(f"intact under key {own}, but the trust root names no keys: who signed is not established")
        else:
            step.note(f"signed by {name!r} ({own})")
        return Signatory(fingerprint=own, name=name)

    def _circuit(self, receipt: Receipt, given: VerifierCircuit | None, now: datetime, step: Step) -> VerifierCircuit:
        claim = receipt.claim
        entries = [entry for entry in self._trust.circuits if entry.digest == claim.circuit]
        if not entries:
            raise TrustError(
                f"the claim is about circuit {claim.circuit}, which is not one that you trust"
                if self._trust.circuits
                else f"no circuit is pinned to judge the claim by; it is about {claim.circuit}",
                hint="name the circuit that you expect: --circuit ID, or [[circuits]] in a trust root",
            )
        current = next((entry for entry in entries if entry.validity.holds(now)), None)
        if current is None:
            raise StaleError(f"circuit {entries[0].name!r} is in the trust root, but not for this time")
        chosen = _parts(receipt, given)
        if claim.model != chosen.circuit.model:
            raise BindingError(f"the claim names model {claim.model}, the circuit is of {chosen.circuit.model}")
        step.note(f"{claim.circuit} ({current.name})")
        if chosen.circuit.visibility.weights == "private":
            step.note("the model is not established: its weights are the prover's secret and bound to nothing")
        return chosen

    def _known_systems(self) -> Mapping[str, ProofSystem]:
        return registry.default_systems() if self._systems is None else self._systems


def _parts(receipt: Receipt, given: VerifierCircuit | None) -> VerifierCircuit:
    """The circuit of the claim, opened. An embedded one must be right even when the caller has brought their own."""
    opened = None
    if receipt.circuit is not None:
        if receipt.circuit.id != receipt.claim.circuit:
            raise BindingError("the circuit in the receipt is not the one that the claim names")
        opened = receipt.circuit.open()
    if given is not None and given.circuit.id != receipt.claim.circuit:
        raise BindingError(f"the circuit given is {given.circuit.id}, the claim is about {receipt.claim.circuit}")
    chosen = given or opened
    if chosen is None:
        raise TrustError("the receipt does not carry its circuit", hint="pass its folder: --circuit DIR")
    return chosen


def _freshness(claim: Claim, nonce: bytes | None, now: datetime, step: Step) -> None:
    if nonce is not None and claim.nonce != nonce:
        raise BindingError(
            "the claim answers another challenge: its nonce is not the one given" if claim.nonce else "the claim has no nonce"
        )
    if claim.started_on > claim.finished_on:
        raise BindingError("the claim says that the run finished before it started")
    if claim.finished_on - now > CLOCK_SKEW:  # a sum could leave the calendar
        raise StaleError(f"the run finished {format_time(claim.finished_on)}, which has not come yet", hint="compare the clocks")
    step.note(f"finished {format_time(claim.finished_on)} by the node's clock")
    step.note("made for the nonce given" if nonce is not None else "no nonce was asked for")
