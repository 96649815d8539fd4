# SPDX-License-Identifier: Apache-2.0
"""The ``ezkl`` proof system as the rest of the library sees it: prove, verify, commit, execute."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from verifiable.blobs import LocalBlobs
from verifiable.encoding.tensor import Tensor
from verifiable.errors import BindingError, FatalStateError, MalformedError, ProofError, TrustError, UnsupportedError
from verifiable.zk.circuit import Circuit, Setup, VerifierCircuit
from verifiable.zk.ezkl import VERSION, instances, loading, steps, verifier_srs
from verifiable.zk.ezkl.build import (
    FIDELITY_MEDIA_TYPE,
    PK_MEDIA_TYPE,
    PROGRAM_MEDIA_TYPE,
    SYSTEM,
    VK_MEDIA_TYPE,
    make_proving_key,
)
from verifiable.zk.ezkl.cost import Layout, predict
from verifiable.zk.ezkl.process import Child, Refusal, job, one_line
from verifiable.zk.ezkl.settings import MEDIA_TYPE as SETTINGS_MEDIA_TYPE
from verifiable.zk.ezkl.settings import EzklSettings
from verifiable.zk.ezkl.warm import WarmChild
from verifiable.zk.system import Limits, MediaTypes, Progress, Proved, ProverCircuit, Public, no_progress

if TYPE_CHECKING:
    from verifiable.zk.srs.store import SrsInfo, SrsStore

#: One verification; the largest circuits that were measured take half a second. A circuit that takes longer is not judged.
VERIFY_SECONDS = 20.0
#: One commitment to a tensor; one run without a proof, compiling the circuit included.
COMMIT_SECONDS, EXECUTE_SECONDS = 60.0, 900.0
#: Proving, where the caller sets no deadline: this many times the predicted seconds, and never less than ``PROVE_LEAST``.
PROVE_FACTOR, PROVE_LEAST = 50.0, 1800.0
VERIFY_MEMORY = 4 << 30
_MEDIA_TYPES = MediaTypes(
    proof=instances.PROOF_MEDIA_TYPE, program=PROGRAM_MEDIA_TYPE, proving_key=PK_MEDIA_TYPE,
    parts={
        "settings": SETTINGS_MEDIA_TYPE, "verifying-key": VK_MEDIA_TYPE, "proof-format": instances.FORMAT_MEDIA_TYPE,
        "fidelity": FIDELITY_MEDIA_TYPE, "srs": verifier_srs.MEDIA_TYPE,
    },
)  # fmt: skip


class EzklSystem:
    """ezkl over a blob store (proving keys) and a setup store. Starts nothing until it is asked; safe to share among threads.

    Proving runs in a fresh child per call; verifying, committing and executing share one warm child.
    """

    id = SYSTEM
    media_types = _MEDIA_TYPES

    def __init__(self, blobs: LocalBlobs, srs: SrsStore) -> None:
        self._blobs = blobs
        self._srs = srs
        self._warm = WarmChild(limits=Limits(memory=VERIFY_MEMORY))

    def prove(
        self,
        circuit: ProverCircuit,
        integers: Mapping[str, Tensor],
        *,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        progress: Progress = no_progress,
    ) -> Proved:
        """Prove the run on these int64 inputs; the proof has been verified as any verifier would before it is returned.

        Where ``limits`` set no deadline, it is ``PROVE_FACTOR`` times the predicted cost, at least ``PROVE_LEAST`` seconds.
        Raises UnsupportedError (input beyond the circuit), MalformedError, TrustError (the setup is not on this machine),
        FatalStateError (memory, deadline, disk, a damaged key).
        """
        settings = _settings(circuit.verifier)
        _check_inputs(circuit.circuit, integers)
        srs = self._find_setup(circuit.circuit)
        with job(limits=_deadline(limits, settings), progress=progress) as child:
            steps.compile_circuit(child, circuit.program, settings)
            witness = steps.witness(child, circuit.circuit.inputs, circuit.circuit.outputs, integers, tables=settings)
            public = _public(circuit.circuit, integers, witness)
            expected = instances.build(circuit.circuit, public, _no_commitment)
            found, proof = steps.prove(child, srs.path, self._proving_key(child, circuit, settings, srs))
            seconds = child.seconds
        if found != expected:
            raise FatalStateError(
                "ezkl proved another instance than the one it was asked for",
                hint="the circuit's program and settings do not belong together; compile the model again",
            )
        try:
            progress("verifying", None)
            self.verify(circuit.verifier, public, proof)
        except (ProofError, MalformedError) as error:
            raise FatalStateError(
                f"ezkl made a proof that does not verify: {error.message}",
                hint="a value left the range that the circuit can prove, or a key is damaged; compile the model again",
            ) from error
        return Proved(
            proof=proof, media_type=instances.PROOF_MEDIA_TYPE, public=public, outputs=witness.outputs, seconds=dict(seconds)
        )

    def verify(self, circuit: VerifierCircuit, public: Public, proof: bytes) -> None:
        """Return if the proof holds for exactly this instance.

        1. the circuit is one of ours, and its settings say what ``circuit.json`` says; 2. its ``srs`` part belongs to the setup
        that it names; 3. the instances are rebuilt from ``public``; 4. the proof has the pinned length; 5. ezkl accepts. Raises
        ProofError, BindingError, MalformedError, UnsupportedError; FatalStateError when the verifier itself failed, which is no
        verdict.
        """
        settings = _settings(circuit)  # 1
        verifier_srs.check(circuit.parts["srs"], _setup(circuit.circuit))  # 2
        rebuilt = instances.build(circuit.circuit, public, self._commit)  # 3
        _format(circuit)
        instances.check_proof(proof, circuit.parts["proof-format"])  # 4
        document = instances.proof_document(rebuilt, proof)
        digests = {role: circuit.circuit.parts[role].digest.hex for role in ("settings", "verifying-key", "srs")}

        def question(child: Child) -> None:
            steps.verify(  # 5
                child,
                proof=child.write("proof.json", document),
                settings=self._warm.keep(digests["settings"], settings.data),
                vk=self._warm.keep(digests["verifying-key"], circuit.parts["verifying-key"]),
                srs=self._warm.keep(digests["srs"], circuit.parts["srs"]),
                seconds=None,
            )

        try:
            self._warm.use(question, seconds=VERIFY_SECONDS)
        except Refusal as refusal:
            hint = "the settings and the verifying key may not belong together" if refusal.panicked else ""
            raise ProofError(f"ezkl: the proof does not hold: {refusal.message}", hint=hint) from refusal

    def commit(self, circuit: Circuit, integers: Tensor) -> bytes:
        """Poseidon over the tensor's elements as BN254 scalars, row-major: 32 bytes little-endian.

        Raises UnsupportedError where nothing of ``circuit`` is hashed.
        """
        if "hashed" not in (circuit.visibility.inputs, circuit.visibility.outputs):
            raise UnsupportedError("ezkl: no input or output of this circuit is hashed")
        return self._commit(integers)

    def execute(self, circuit: ProverCircuit, integers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The integer outputs, exactly those that a proof would show. Raises UnsupportedError, MalformedError."""
        settings = _settings(circuit.verifier)
        _check_inputs(circuit.circuit, integers)
        name = f"{circuit.circuit.program.digest.hex}-{circuit.circuit.parts['settings'].digest.hex[:32]}"

        def question(child: Child) -> dict[str, Tensor]:
            compiled = self._warm.kept(name)
            if compiled is None:
                # Their scales give the integers their meaning, and circuit.json is only compared with them.
                parameters, visibility = settings.parameters, settings.visibility
                made, _ = steps.settled(child, circuit.program, parameters, visibility, wanted=settings.data)
                if made.data != settings.data:
                    raise BindingError(
                        "the circuit's settings are not those that ezkl makes of its program",
                        hint="whoever made the circuit made it say something else; `verifiable audit` compares",
                    )
                steps.compile_circuit(child, circuit.program, settings)
                compiled = self._warm.adopt(name, child.folder / steps.COMPILED)
            found = steps.witness(
                child, circuit.circuit.inputs, circuit.circuit.outputs, integers, compiled=compiled, tables=settings
            )
            return dict(found.outputs)

        with _refusals():
            result: dict[str, Tensor] = self._warm.use(question, seconds=EXECUTE_SECONDS)
        return result

    def caveats(self, circuit: VerifierCircuit) -> tuple[str, ...]:
        """What a proof for this circuit does *not* establish, one line each; for reports. Raises like the checks of a circuit."""
        _settings(circuit)
        known = _format(circuit)
        visibility = circuit.circuit.visibility
        found = []
        if known.divisions:
            found.append(
                f"rounding: {known.divisions:,} rescaled values could be rounded up or down as the prover liked;"
                f" a cheating prover could have moved {_moved(circuit.circuit, known.drift)}"
            )
        if visibility.weights == "private":
            found.append("weights: private, so the proof holds for some weights in this architecture, not for this model's")
        if "hashed" in (visibility.inputs, visibility.outputs):
            found.append("commitments: unsalted, so whoever can guess a hashed value can confirm the guess")
        if "private" in (visibility.inputs, visibility.outputs):
            found.append("private values: not bound, the proof says only that some exist")
        return tuple(found)

    def close(self) -> None:
        """End the warm child; the next call starts another."""
        self._warm.close()

    def _commit(self, integers: Tensor) -> bytes:
        elements = instances.felts(integers)
        with _refusals():
            commitment: bytes = self._warm.use(lambda child: steps.poseidon(child, elements), seconds=COMMIT_SECONDS)
        return commitment

    def _find_setup(self, circuit: Circuit) -> SrsInfo:
        named = _setup(circuit)
        found = self._srs.by_digest(named.digest)
        if found is None:
            raise TrustError(
                f"the setup that this circuit was made with ({named.ceremony}, {named.digest}) is not on this machine",
                hint="import its maker's file with `verifiable srs import FILE`, or compile again here"
                if named.insecure
                else f"`verifiable srs fetch {named.logrows}`, or `verifiable srs import FILE`",
            )
        return found

    def _proving_key(self, child: Child, circuit: ProverCircuit, settings: EzklSettings, srs: SrsInfo) -> Path:
        """From the cache by digest, or made again; a key that comes out different is not used."""
        named = circuit.circuit.proving_key
        assert named is not None
        path = self._blobs.find(named.digest)
        if path is None:
            vk, made = make_proving_key(child, settings, srs, self._blobs)
            if made.digest != named.digest or vk != circuit.verifier.parts["verifying-key"]:
                raise BindingError(
                    "the keys made from this program and setup are not those that circuit.json names",
                    hint="the circuit was not made from this program; `verifiable audit` compares",
                )
            path = self._blobs.find(named.digest)
        if path is None:
            raise FatalStateError("the proving key vanished from the cache")
        return path


def _settings(circuit: VerifierCircuit) -> EzklSettings:
    """The circuit is one that this version makes: system, version, parts, and settings that agree with ``circuit.json``."""
    named = circuit.circuit
    if named.system != SYSTEM or named.system_version != VERSION:
        raise UnsupportedError(
            f"circuit: made for {one_line(named.system)} {one_line(named.system_version)}, this is {SYSTEM} {VERSION}"
        )
    if set(circuit.parts) != set(_MEDIA_TYPES.parts) or named.setup is None or named.proving_key is None:
        raise MalformedError("circuit: its parts are not those of an ezkl circuit")
    if any(spec.post is not None for spec in named.outputs):
        raise MalformedError("circuit: ezkl proves a model's last step too, so there is nothing to do after the proof")
    settings = EzklSettings.parse(circuit.parts["settings"])
    settings.check(named)
    loading.check(settings, circuit.parts["verifying-key"])
    return settings


def _deadline(limits: Limits, settings: EzklSettings) -> Limits:
    """A thread of ezkl's may end without a word and leave the others waiting: no job goes on for ever."""
    if limits.seconds is not None:
        return limits
    predicted = predict(Layout.of(settings), settings.parameters.logrows).seconds
    return replace(limits, seconds=max(PROVE_LEAST, PROVE_FACTOR * predicted))


def _format(circuit: VerifierCircuit) -> instances.ProofFormat:
    """The part that tells a proof's length and the drift of every output. Raises MalformedError."""
    known = instances.ProofFormat.parse(circuit.parts["proof-format"])
    if known.divisions and len(known.drift) != len(circuit.circuit.outputs):
        raise MalformedError(f"ezkl proof format: drift of {len(known.drift)} outputs, the circuit has another number")
    return known


def _moved(circuit: Circuit, drift: tuple[int, ...]) -> str:
    return ", ".join(
        f"output {one_line(spec.name, limit=80)!r} by up to {units:,} units ({units * spec.scale:.3g})"
        for spec, units in zip(circuit.outputs, drift, strict=True)
    )


def _setup(circuit: Circuit) -> Setup:
    if circuit.setup is None:
        raise MalformedError("circuit: an ezkl circuit names its setup")
    return circuit.setup


def _check_inputs(circuit: Circuit, integers: Mapping[str, Tensor]) -> None:
    if unknown := sorted(set(integers) - {spec.name for spec in circuit.inputs}):
        raise MalformedError(f"input {unknown[0][:80]!r} is not one of the circuit's")
    for spec in circuit.inputs:
        if spec.name not in integers:
            raise MalformedError(f"input {spec.name!r} is missing")
        instances.check_range(integers[spec.name], spec, where=f"input {spec.name!r}")


def _public(circuit: Circuit, integers: Mapping[str, Tensor], witness: steps.Witness) -> Public:
    return Public(
        inputs=instances.bounds(circuit.inputs, circuit.visibility.inputs, integers, witness.input_hashes),
        outputs=instances.bounds(circuit.outputs, circuit.visibility.outputs, witness.outputs, witness.output_hashes),
    )


def _no_commitment(_integers: Tensor) -> bytes:
    raise FatalStateError("ezkl: a commitment is missing from the witness")


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        raise UnsupportedError(f"ezkl cannot do this: {refusal.message}") from refusal


__all__ = ["EzklSystem"]
