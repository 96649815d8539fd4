# SPDX-License-Identifier: Apache-2.0
"""``prove`` and ``run``: from a circuit and an input to a signed receipt, or to the integers alone.

Orchestration only. Nothing is written here; the receipt's bytes are ``proved.receipt.encode()``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verifiable import paths
from verifiable.claim import MAX_NONCE_SIZE, Claim
from verifiable.digest import Digest
from verifiable.encoding.tensor import Tensor
from verifiable.errors import BindingError, MalformedError, UnsupportedError
from verifiable.receipt import Evidence, Receipt, make_receipt
from verifiable.tee.attesting import Attached
from verifiable.zk import directory, registry
from verifiable.zk.circuit import Circuit
from verifiable.zk.quantise import quantise, values
from verifiable.zk.system import Bound, Limits, Progress, ProofSystem, ProverCircuit, Public, no_progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from verifiable.keys.signer import Signer

    Inputs = str | Path | Mapping[str, Tensor] | Mapping[str, NDArray[np.generic]]

#: (the signing key's fingerprint, the nonce, the claim's digest) -> attestations of that claim.
Attest = Callable[[Digest, bytes, Digest], Iterable[Attached]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvedReceipt:
    """A receipt, the exact integer outputs by name (also those that the receipt hides), seconds by phase.

    ``proof_size``: 0 where the receipt only offers a re-run.
    """

    receipt: Receipt
    circuit: Circuit
    outputs: Mapping[str, Tensor]
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def proof_size(self) -> int:
        """Bytes of the proof alone."""
        return sum(evidence.descriptor.size for evidence in self.receipt.evidence if evidence.descriptor.kind == "zk")


@dataclass(frozen=True, slots=True, kw_only=True)
class RanOutput:
    """One output of ``run``: exact integers, their scale, what they say in the model's terms, and what the float model says.

    ``values`` has the shape of ``integers`` unless the model's last step changes it; ``reference`` has that of ``values``, and is
    None where there was no model to run.
    """

    name: str
    integers: NDArray[np.int64]
    scale: float
    values: NDArray[np.float64] | NDArray[np.int64]
    reference: NDArray[np.generic] | None

    @property
    def max_error(self) -> float | None:
        """Largest absolute difference between the integer program and the float model; None without one."""
        return None if self.reference is None else float(abs(self.values - self.reference.astype("float64")).max())


def prove(
    circuit: str | Path | ProverCircuit,
    inputs: Inputs,
    *,
    signer: Signer | None = None,
    nonce: bytes | None = None,
    node: str | None = None,
    request_id: str | None = None,
    embed_circuit: bool = True,
    evidence: str = "zk",
    attestations: Sequence[Attached] = (),
    attest: Attest | None = None,
    systems: Mapping[str, ProofSystem] | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    limits: Limits | None = None,
    progress: Progress = no_progress,
) -> ProvedReceipt:
    """Run ``circuit`` on ``inputs``, prove the run, and sign the claim.

    ``circuit``: a folder or what :func:`verifiable.compile` gave. ``inputs``: a file, or tensors or arrays by name in the model's
    own dtypes. ``signer``: by default this user's own key, made on first use. ``nonce``: the verifier's challenge, at
    most 64 bytes. ``evidence``: ``zk``, or ``rerun`` for no proof at all: a verifier who has the model runs it again, which is
    the cheapest honest evidence where everything is public; or ``none`` besides what hardware says. ``attestations``: of the
    signing key, made beforehand (:func:`verifiable.tee.attesting.attest`); ``attest``: called with the signing key's fingerprint,
    the nonce (empty for none) and the claim's digest, and gives attestations of this very claim.

    Raises MalformedError (inputs), UnsupportedError, TrustError (the setup is not here), FatalStateError (memory, deadline).
    """
    from verifiable.keys.signer import default_signer

    prover = circuit if isinstance(circuit, ProverCircuit) else directory.load_prover(Path(circuit))
    if nonce is not None and not 1 <= len(nonce) <= MAX_NONCE_SIZE:
        raise MalformedError(f"nonce: {len(nonce)} bytes, between 1 and {MAX_NONCE_SIZE} are allowed")
    given = read_inputs(prover.circuit, inputs)
    integers = {spec.name: quantise(given[spec.name], spec) for spec in prover.circuit.inputs}
    system = registry.find(systems or registry.default_systems(), prover.circuit.system)
    signer = signer or default_signer(paths.data_directory())[0]
    started = clock()
    made = _evidence(evidence, system, prover, integers, limits or Limits(), progress)
    claim = Claim.build(
        circuit=prover.circuit, inputs=given, public=made.public, evidence=[each.descriptor for each in made.evidence],
        public_key=signer.public_key, started_on=started, finished_on=max(clock(), started), nonce=nonce,
        request_id=request_id, node_name=node,
    )  # fmt: skip
    if attest is not None:
        progress("attesting", None)
        attestations = (*attestations, *attest(signer.fingerprint, nonce or b"", claim.attested_digest))
    if not (made.evidence or attestations):
        raise UnsupportedError("a receipt without any evidence is not made here", hint="--attest KIND, or --evidence zk or rerun")
    vouched = dict.fromkeys(piece for attached in attestations for piece in Evidence.attested(attached))
    pieces = (*made.evidence, *vouched)
    claim = replace(claim, evidence=tuple(piece.descriptor for piece in pieces))
    receipt = make_receipt(claim, pieces, signer, prover.verifier if embed_circuit else None)
    return ProvedReceipt(receipt=receipt, circuit=prover.circuit, outputs=made.outputs, seconds=made.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    evidence: tuple[Evidence, ...]
    public: Public
    outputs: Mapping[str, Tensor]
    seconds: Mapping[str, float]


def _evidence(  # noqa: PLR0917 - private, and called once
    kind: str, system: ProofSystem, prover: ProverCircuit, integers: Mapping[str, Tensor], limits: Limits, progress: Progress
) -> _Made:
    if kind == "zk":
        proved = system.prove(prover, integers, limits=limits, progress=progress)
        proof = Evidence.zk(proved.proof, proved.media_type)
        return _Made(evidence=(proof,), public=proved.public, outputs=proved.outputs, seconds=proved.seconds)
    if kind not in {"rerun", "none"}:
        raise UnsupportedError(f"evidence {kind[:40]!r} cannot be made here", hint="known: zk, rerun, none")
    visible = prover.circuit.visibility
    if (visible.inputs, visible.outputs) != ("public", "public"):
        raise UnsupportedError("what is hidden is shown by a proof alone", hint="prove it, or make inputs and outputs public")
    progress("running", None)
    started = time.monotonic()
    outputs = registry.executor(system).execute(prover, integers)
    public = Public(
        inputs=tuple(Bound(name=spec.name, integers=integers[spec.name]) for spec in prover.circuit.inputs),
        outputs=tuple(Bound(name=spec.name, integers=outputs[spec.name]) for spec in prover.circuit.outputs),
    )
    seconds = {"run": time.monotonic() - started}
    offered = (Evidence.rerun(prover.circuit),) if kind == "rerun" else ()
    return _Made(evidence=offered, public=public, outputs=outputs, seconds=seconds)


def run(
    circuit: str | Path | ProverCircuit,
    inputs: Inputs,
    *,
    model: str | Path | None = None,
    systems: Mapping[str, ProofSystem] | None = None,
) -> tuple[RanOutput, ...]:
    """The integer program's outputs without a proof, beside the float model's.

    ``model``: the circuit's ONNX file; not needed where the program is the model itself (ezkl). Raises like :func:`prove`, and
    BindingError for another model than the circuit's.
    """
    prover = circuit if isinstance(circuit, ProverCircuit) else directory.load_prover(Path(circuit))
    given = read_inputs(prover.circuit, inputs)
    integers = {spec.name: quantise(given[spec.name], spec) for spec in prover.circuit.inputs}
    system = registry.find(systems or registry.default_systems(), prover.circuit.system)
    outputs = registry.executor(system).execute(prover, integers)
    reference = _float_outputs(prover, model, given)
    return tuple(
        RanOutput(
            name=spec.name, integers=_int64(outputs[spec.name]), scale=spec.scale,
            values=values(outputs[spec.name], spec.scale, spec.post), reference=reference.get(spec.name),
        )
        for spec in prover.circuit.outputs
    )  # fmt: skip


def _float_outputs(
    prover: ProverCircuit, model: str | Path | None, given: Mapping[str, Tensor]
) -> Mapping[str, NDArray[np.generic]]:
    """What the float model says; nothing where there is none."""
    from verifiable.model.onnx_file import Model
    from verifiable.model.runtime import FloatModel

    if model is not None:
        loaded = Model.load(Path(model))
        if loaded.digest != prover.circuit.model:
            raise BindingError(f"the circuit is of model {prover.circuit.model}, the file given is {loaded.digest}")
    elif prover.circuit.program.media_type.endswith("+onnx"):
        loaded = Model.parse(prover.program)
    else:
        return {}
    return FloatModel(loaded.data).run({name: tensor.array() for name, tensor in given.items()})


def read_inputs(circuit: Circuit, inputs: Inputs) -> dict[str, Tensor]:
    """``inputs`` as tensors in the circuit's own dtypes and shapes, one per circuit input. Raises MalformedError."""
    from verifiable.model.data import conform, read_tensors
    from verifiable.model.onnx_file import TensorInfo

    infos = [TensorInfo(name=spec.name, dtype=spec.dtype, shape=spec.shape) for spec in circuit.inputs]
    if isinstance(inputs, str | Path):
        return read_tensors(Path(inputs), infos)
    return conform(inputs, infos)


def _int64(tensor: Tensor) -> Any:
    return tensor.array()


__all__ = ["ProvedReceipt", "RanOutput", "prove", "read_inputs", "run"]
