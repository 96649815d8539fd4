# SPDX-License-Identifier: Apache-2.0
"""Compiling with ``ezkl``: the normalised model is the program; scales and layout are tuned, keys are made on a setup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from verifiable.compiling.common import Checked, Compiled, Request, Stopwatch, countdown, float_outputs, interface, samples_of
from verifiable.errors import BindingError, TrustError
from verifiable.zk.circuit import TensorSpec, VerifierCircuit, Visibility
from verifiable.zk.registry import Stores
from verifiable.zk.system import Limits, ModelProgram, Progress, ProverCircuit, no_progress

if TYPE_CHECKING:
    from verifiable.digest import Digest
    from verifiable.model.onnx_file import Model
    from verifiable.zk.ezkl.parameters import EzklParameters
    from verifiable.zk.ezkl.tuner import Tuning
    from verifiable.zk.srs.store import SrsInfo


SYSTEM = "ezkl"


def check(path: Path, dims: Mapping[str, int], visibility: Visibility, limits: Limits, progress: Progress) -> Checked:
    """Every node by its operator, then the cost of the whole."""
    from verifiable.model.normalise import normalise
    from verifiable.model.onnx_file import Model
    from verifiable.model.preflight import preflight
    from verifiable.zk.ezkl.estimate import estimate
    from verifiable.zk.ezkl.operators import OPERATORS

    loaded = Model.load(path)
    left = countdown(limits.seconds)
    report = preflight(loaded, operators=OPERATORS, dims=dims, seconds=left())
    if report.defects:
        return Checked(report=report, cost=None)
    program = normalise(loaded, dims=dims, seconds=left())
    cost = estimate(
        program, visibility=visibility, multiply_adds=report.multiply_adds, activations=report.activations,
        limits=replace(limits, seconds=left()), progress=progress,
    )  # fmt: skip
    return Checked(report=report, cost=cost)


def compile(request: Request, *, srs: str | Path, max_logrows: int) -> Compiled:  # noqa: A001 - one per proof system
    """``srs``, ``max_logrows``: see :func:`verifiable.compiling.compile`, which says what is raised."""
    from verifiable.model.fidelity import measure
    from verifiable.zk.ezkl.tuner import tune

    clock = Stopwatch(progress := request.progress)
    visibility, stores, limits, max_error = request.visibility, request.stores, request.limits, request.max_error
    with clock.phase("checking the model"):
        loaded, shaped = prepare(request.model, request.dims)
    with clock.phase("running the float model"):
        samples, note = samples_of(request.calibration, shaped)
        floats = float_outputs(loaded, samples)
    with clock.phase("choosing parameters"):
        tuning = tune(
            program=shaped.data, visibility=visibility, calibration=samples, float_outputs=floats, max_error=max_error,
            max_logrows=max_logrows, limits=limits, progress=progress,
        )  # fmt: skip
        fidelity = measure(floats, tuning.outputs)
        fidelity.require(max_error)
    with clock.phase("making keys"):
        prover = _build(
            model=loaded.digest, shaped=shaped, parameters=tuning.parameters, visibility=visibility,
            inputs=_input_specs(shaped, tuning), fidelity=fidelity.encode(),
            srs=choose_srs(srs, tuning.parameters.logrows, stores, limits=limits, progress=progress), stores=stores,
            limits=limits, progress=progress,
        )  # fmt: skip
    return Compiled(prover=prover, fidelity=fidelity, explanation=(*note, *tuning.explanation), seconds=clock.seconds)


def rebuild(
    claimed: VerifierCircuit, loaded: Model, shaped: Model, *, stores: Stores, limits: Limits, progress: Progress
) -> ProverCircuit:
    """The circuit made again from the model, with the parameters and ranges of ``claimed``, which are its maker's to choose.

    Raises BindingError for a circuit of another form, TrustError when its setup is not on this machine.
    """
    from verifiable.zk.ezkl.settings import EzklSettings

    named = claimed.circuit
    if named.setup is None or not {"settings", "fidelity"} <= set(claimed.parts):
        raise BindingError("audit: the circuit lacks a setup, settings or a fidelity report, so it is none of this proof system")
    srs = stores.srs.by_digest(named.setup.digest)
    if srs is None:
        raise TrustError(
            f"audit: the setup {named.setup.digest} is not on this machine", hint="`verifiable srs fetch` or `import`"
        )
    parameters = EzklSettings.parse(claimed.parts["settings"]).parameters
    return _build(
        model=loaded.digest, shaped=shaped, parameters=parameters, visibility=named.visibility, inputs=named.inputs,
        fidelity=claimed.parts["fidelity"], srs=srs, stores=stores, limits=limits, progress=progress,
        wanted_settings=claimed.parts["settings"],
    )  # fmt: skip


def program_of(claimed: VerifierCircuit, loaded: Model, shaped: Model) -> ModelProgram:  # noqa: ARG001 - each system's own
    """The normalised model: it is what ezkl proves, whatever the circuit."""
    return interface(loaded, shaped, shaped.data)


def choose_srs(choice: str | Path, logrows: int, stores: Stores, *, limits: Limits, progress: Progress) -> SrsInfo:
    """The setup to prove on, at least ``logrows`` large. Raises TrustError when none of the wanted kind is here."""
    if str(choice) == "dev-insecure":
        return stores.srs.find(logrows, ceremony="dev-insecure") or development_srs(
            logrows, stores, limits=limits, progress=progress
        )
    if str(choice) == "ceremony":
        found = stores.srs.find(logrows)
        if found is None:
            raise TrustError(
                f"no ceremony setup for 2^{logrows} rows on this machine",
                hint=f"`verifiable srs fetch {logrows}`, or try it out with --srs dev-insecure",
            )
        return found
    return stores.srs.import_file(Path(choice), progress=progress)


def development_srs(logrows: int, stores: Stores, *, limits: Limits | None = None, progress: Progress = no_progress) -> SrsInfo:
    """A setup made here and now. Whoever made it can forge any proof on it; it is labelled so for ever."""
    from verifiable.zk.ezkl.dev_srs import generate

    return stores.srs.dev_insecure(logrows, lambda path, k: generate(path, k, limits=limits or Limits(), progress=progress))


def prepare(path: Path, dims: Mapping[str, int]) -> tuple[Model, Model]:
    """The model as given, and as normalised; every defect of it is one error."""
    from verifiable.model.normalise import normalise
    from verifiable.model.onnx_file import Model
    from verifiable.model.preflight import preflight
    from verifiable.zk.ezkl.operators import OPERATORS

    loaded = Model.load(path)
    preflight(loaded, operators=OPERATORS, dims=dims).require()
    return loaded, Model.parse(normalise(loaded, dims=dims))


def _build(
    *, model: Digest, shaped: Model, parameters: EzklParameters, visibility: Visibility, inputs: Sequence[TensorSpec],
    fidelity: bytes, srs: SrsInfo, stores: Stores, limits: Limits, progress: Progress, wanted_settings: bytes | None = None,
) -> ProverCircuit:  # fmt: skip
    from verifiable.zk.ezkl.build import build

    return build(
        model=model, program=shaped.data, parameters=parameters, visibility=visibility, inputs=inputs, outputs=shaped.outputs,
        fidelity=fidelity, srs=srs, blobs=stores.blobs, limits=limits, progress=progress, wanted_settings=wanted_settings,
    )  # fmt: skip


def _input_specs(shaped: Model, tuning: Tuning) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            name=info.name, dtype=info.dtype, shape=tuple(d for d in info.shape if isinstance(d, int)),
            scale=tuning.input_scales[info.name], low=tuning.input_ranges[info.name][0], high=tuning.input_ranges[info.name][1],
        )
        for info in shaped.inputs
    )  # fmt: skip
