# SPDX-License-Identifier: Apache-2.0
"""From a normalised ONNX model and parameters to a circuit: deterministic, so that an auditor who repeats it gets the same id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from verifiable.blobs import LocalBlobs
from verifiable.digest import Digest
from verifiable.errors import UnsupportedError
from verifiable.zk.circuit import Circuit, Part, TensorSpec, VerifierCircuit, Visibility
from verifiable.zk.ezkl import VERSION, drift, instances, loading, steps, verifier_srs
from verifiable.zk.ezkl.parameters import EzklParameters, check_visibility
from verifiable.zk.ezkl.process import Child, job
from verifiable.zk.ezkl.settings import MEDIA_TYPE as SETTINGS_MEDIA_TYPE
from verifiable.zk.ezkl.settings import EzklSettings
from verifiable.zk.system import Limits, Progress, ProverCircuit, no_progress

if TYPE_CHECKING:
    from verifiable.zk.srs.store import SrsInfo

SYSTEM = "ezkl"
PROGRAM_MEDIA_TYPE = "application/vnd.verifiable.ezkl.program.v1+onnx"
VK_MEDIA_TYPE = "application/vnd.verifiable.ezkl.verifying-key.v1"
PK_MEDIA_TYPE = "application/vnd.verifiable.ezkl.proving-key.v1"
FIDELITY_MEDIA_TYPE = "application/vnd.verifiable.fidelity.v1+json"


class TensorLike(Protocol):
    """What is asked of a model's output: its name, its own dtype, and a fixed shape."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int | str | None, ...]: ...


def build(
    *,
    model: Digest,
    program: bytes,
    parameters: EzklParameters,
    visibility: Visibility,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorLike],
    fidelity: bytes,
    srs: SrsInfo,
    blobs: LocalBlobs,
    limits: Limits,
    progress: Progress = no_progress,
    wanted_settings: bytes | None = None,
) -> ProverCircuit:
    """Compile ``program`` (normalised ONNX) and make its keys; the proving key goes to ``blobs``, named by the circuit.

    ``inputs`` carry the calibrated ranges; their scales must be those that the parameters give. Raises UnsupportedError where
    ezkl cannot prove the program so, FatalStateError for memory, deadline and disk.
    """
    check_visibility(visibility)
    _check_booleans(inputs, visibility)
    if srs.logrows < parameters.logrows:
        raise UnsupportedError(
            f"the setup has 2^{srs.logrows} rows, the circuit needs 2^{parameters.logrows}",
            hint=f"`verifiable srs fetch {parameters.logrows}`, or choose a smaller circuit",
        )
    with job(limits=limits, progress=progress) as child:
        settings, plan = steps.settled(child, program, parameters, visibility, wanted=wanted_settings)
        specs = _output_specs(settings, outputs)
        moved = drift.require(program, settings, plan, inputs)
        steps.compile_circuit(child, program, settings)
        vk, proving_key = _keys(child, settings, srs, blobs)
        srs_part = verifier_srs.cut(srs.path)
        size = steps.proof_size(child, settings, vk, srs_part)
    parts = {
        "settings": (settings.data, SETTINGS_MEDIA_TYPE),
        "verifying-key": (vk, VK_MEDIA_TYPE),
        "proof-format": (
            instances.ProofFormat(size=size, divisions=plan.divisions, drift=moved if plan.divisions else ()).encode(),
            instances.FORMAT_MEDIA_TYPE,
        ),
        "fidelity": (fidelity, FIDELITY_MEDIA_TYPE),
        "srs": (srs_part, verifier_srs.MEDIA_TYPE),
    }
    circuit = Circuit(
        model=model,
        program=Part.of(program, PROGRAM_MEDIA_TYPE),
        system=SYSTEM,
        system_version=VERSION,
        visibility=visibility,
        inputs=tuple(inputs),
        outputs=specs,
        parts={role: Part.of(data, kind) for role, (data, kind) in parts.items()},
        setup=srs.setup(),
        proving_key=proving_key,
    )
    settings.check(circuit)
    loading.check(settings, vk)
    verifier = VerifierCircuit(circuit=circuit, parts={role: data for role, (data, _) in parts.items()})
    return ProverCircuit(verifier=verifier, program=program)


def make_proving_key(child: Child, settings: EzklSettings, srs: SrsInfo, blobs: LocalBlobs) -> tuple[bytes, Part]:
    """The verifying key, and the proving key as a part; its bytes are in ``blobs`` and nowhere else."""
    return _keys(child, settings, srs, blobs)


def _keys(child: Child, settings: EzklSettings, srs: SrsInfo, blobs: LocalBlobs) -> tuple[bytes, Part]:
    with blobs.incoming() as path:
        vk = steps.set_up(child, settings, srs.path, path)
        size = path.stat().st_size
        return vk, Part(media_type=PK_MEDIA_TYPE, digest=blobs.adopt(path), size=size)


def _output_specs(settings: EzklSettings, outputs: Sequence[TensorLike]) -> tuple[TensorSpec, ...]:
    """Outputs span what the circuit proves of them, ±(base^legs - 1): no calibration can bound what a hostile input gives."""
    if len(settings.output_scales) != len(outputs):
        raise UnsupportedError(f"ezkl sees {len(settings.output_scales)} outputs where the model has {len(outputs)}")
    bound = settings.parameters.bound
    specs = []
    for output, bits in zip(outputs, settings.output_scales, strict=True):
        shape = tuple(d for d in output.shape if isinstance(d, int))
        if len(shape) != len(output.shape):
            raise UnsupportedError(
                f"output {output.name!r}: its shape {list(output.shape)} is not fixed", hint="bind it with --dim"
            )
        specs.append(TensorSpec(name=output.name, dtype=output.dtype, shape=shape, scale=2.0**-bits, low=-bound, high=bound))
    return tuple(specs)


def _check_booleans(inputs: Sequence[TensorSpec], visibility: Visibility) -> None:
    """ezkl ties a boolean input to 0 and 1 only where it is public; elsewhere a prover could use any number for it."""
    for spec in inputs:
        if spec.dtype == "bool" and visibility.inputs != "public":
            raise UnsupportedError(
                f"input {spec.name!r}: a boolean cannot be {visibility.inputs}: ezkl does not tie it to 0 and 1",
                hint="make the inputs public, or the input a float",
            )


__all__ = ["SYSTEM", "build", "make_proving_key"]
