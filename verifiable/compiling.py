# SPDX-License-Identifier: Apache-2.0
"""``check``, ``compile`` and ``audit``: from an ONNX file to a circuit, and back to the question whether it is the right one.

Orchestration only: each step lives below (``model``, ``zk``). Nothing is written here; :meth:`Compiled.save` writes the folder.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from verifiable.digest import Digest
from verifiable.errors import BindingError, MalformedError, TrustError, UnsupportedError
from verifiable.zk import directory, registry
from verifiable.zk.circuit import Circuit, TensorSpec, TensorType, Visibility
from verifiable.zk.quantise import dequantise, quantise
from verifiable.zk.registry import SYSTEMS, Stores
from verifiable.zk.system import Limits, ModelProgram, Progress, ProverCircuit, no_progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from verifiable.model.fidelity import Fidelity
    from verifiable.model.onnx_file import Model
    from verifiable.model.preflight import Report
    from verifiable.zk.ezkl.cost import Cost
    from verifiable.zk.ezkl.parameters import EzklParameters
    from verifiable.zk.ezkl.tuner import Tuning
    from verifiable.zk.srs.store import SrsInfo

SYNTHETIC_SAMPLES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A compiled circuit with the report on it. ``explanation``: what was chosen and why, line by line; ``seconds`` by phase."""

    prover: ProverCircuit
    fidelity: Fidelity
    explanation: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def circuit(self) -> Circuit:
        return self.prover.circuit

    def save(self, path: str | Path, *, replace: bool = False) -> None:
        """Write the circuit folder, whole or not at all. Raises FatalStateError."""
        directory.save(self.prover, Path(path), replace=replace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What ``audit`` established: the circuit id re-derived from the model, and whether fidelity was measured again."""

    circuit: Circuit
    fidelity_measured: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The report of ``check``, and what proving would cost: None for a model with defects, or one too large for any circuit."""

    report: Report
    cost: Cost | None


def check(
    model: str | Path,
    *,
    system: str = "ezkl",
    visibility: Visibility | None = None,
    dims: Mapping[str, int] | None = None,
    progress: Progress = no_progress,
) -> Checked:
    """Can it be proved, at what cost, what to change: every node and every defect in one report, before any work.

    Raises MalformedError when the file is no ONNX model at all; defects of a readable model are in the report.
    """
    from verifiable.model.normalise import normalise
    from verifiable.model.onnx_file import Model
    from verifiable.model.preflight import preflight
    from verifiable.zk.ezkl.estimate import estimate
    from verifiable.zk.ezkl.operators import OPERATORS

    _known(system)
    loaded = Model.load(_path(model))
    report = preflight(loaded, operators=OPERATORS, dims=dims or {})
    if report.defects:
        return Checked(report=report, cost=None)
    program = normalise(loaded, dims=dims or {})
    return Checked(report=report, cost=estimate(program, visibility=visibility or Visibility(), progress=progress))


def compile(  # noqa: A001 - the verb of the public API
    model: str | Path,
    *,
    system: str = "ezkl",
    calibration: str | Path | Sequence[Mapping[str, NDArray[np.generic]]] | None = None,
    max_error: float | None = None,
    visibility: Visibility | None = None,
    dims: Mapping[str, int] | None = None,
    srs: str | Path = "ceremony",
    max_logrows: int = 22,
    stores: Stores | None = None,
    limits: Limits | None = None,
    progress: Progress = no_progress,
) -> Compiled:
    """Turn an ONNX model into a circuit.

    ``calibration``: samples as a file (see ``verifiable.model.data``) or as mappings from input name to array in the model's
    shapes; without it, synthetic inputs uniform in [-1, 1] are used and the circuit takes only that range. ``max_error``:
    largest absolute output error accepted over the calibration set (None: arg-max agreement and 1 % of the output range).
    ``srs``: ``ceremony`` (the smallest known one in the store that fits), ``dev-insecure``, or a file to import.

    Raises MalformedError, UnsupportedError (cannot be proved, or not within ``max_error``), TrustError (no setup that fits).
    """
    from verifiable.model.fidelity import measure
    from verifiable.zk.ezkl.tuner import tune

    _known(system)
    clock = Stopwatch(progress)
    stores, limits, visibility = stores or Stores.default(), limits or Limits(), visibility or Visibility()
    with clock.phase("checking the model"):
        loaded, shaped = _prepare(_path(model), dims or {})
    with clock.phase("running the float model"):
        samples, note = _samples(calibration, shaped)
        floats = _float_outputs(shaped, samples)
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


def audit(
    circuit: str | Path,
    model: str | Path,
    *,
    calibration: str | Path | Sequence[Mapping[str, NDArray[np.generic]]] | None = None,
    dims: Mapping[str, int] | None = None,
    stores: Stores | None = None,
    limits: Limits | None = None,
    progress: Progress = no_progress,
) -> Audited:
    """Re-derive the circuit in folder ``circuit`` from the ONNX file and compare ids: is it what its maker says it is?

    The parameters and input ranges are taken from the circuit (they are its maker's to choose), everything else is made
    again. With ``calibration`` the fidelity report is measured again too. Raises BindingError naming what differs, TrustError
    when the setup is not on this machine.
    """
    from verifiable.model.fidelity import Fidelity
    from verifiable.zk.ezkl.settings import EzklSettings

    stores, limits = stores or Stores.default(), limits or Limits()
    claimed = directory.load_verifier(_path(circuit))
    loaded, shaped = _prepare(_path(model), dims or {})
    named = claimed.circuit
    _program(loaded, shaped).open(claimed)
    if named.setup is None or not {"settings", "fidelity"} <= set(claimed.parts):
        raise BindingError("audit: the circuit lacks a setup, settings or a fidelity report, so it is none of this proof system")
    Fidelity.parse(claimed.parts["fidelity"])
    srs = stores.srs.by_digest(named.setup.digest)
    if srs is None:
        raise TrustError(
            f"audit: the setup {named.setup.digest} is not on this machine", hint="`verifiable srs fetch` or `import`"
        )
    parameters = EzklSettings.parse(claimed.parts["settings"]).parameters
    rebuilt = _build(
        model=loaded.digest, shaped=shaped, parameters=parameters, visibility=named.visibility, inputs=named.inputs,
        fidelity=claimed.parts["fidelity"], srs=srs, stores=stores, limits=limits, progress=progress,
        wanted_settings=claimed.parts["settings"],
    )  # fmt: skip
    if rebuilt.circuit != named:
        raise BindingError(f"audit: re-derived circuit {rebuilt.circuit.id} differs in {_difference(rebuilt.circuit, named)}")
    if calibration is not None:
        _audit_fidelity(rebuilt, shaped, calibration, claimed.parts["fidelity"])
    return Audited(circuit=named, fidelity_measured=calibration is not None)


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


class Stopwatch:
    """Seconds by phase, and the phase's name to whoever watches."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self._progress(name, None)
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started


def _known(system: str) -> None:
    if system not in SYSTEMS:
        raise UnsupportedError(f"proof system {system[:40]!r} is not known to this version", hint=f"known: {', '.join(SYSTEMS)}")


def _prepare(path: Path, dims: Mapping[str, int]) -> tuple[Model, Model]:
    """The model as given, and as normalised; every defect of it is one error."""
    from verifiable.model.normalise import normalise
    from verifiable.model.onnx_file import Model
    from verifiable.model.preflight import preflight
    from verifiable.zk.ezkl.operators import OPERATORS

    loaded = Model.load(path)
    preflight(loaded, operators=OPERATORS, dims=dims).require()
    return loaded, Model.parse(normalise(loaded, dims=dims))


def program_of(model: str | Path, *, circuit: Circuit, dims: Mapping[str, int] | None = None) -> ModelProgram:
    """What ``model`` is proved as by the system of ``circuit``, for a verifier who has the model and runs it again.

    Nothing is compared here: the verifier holds the circuit to what this returns. Raises MalformedError and UnsupportedError as
    :func:`compile`.
    """
    _known(circuit.system)
    return _program(*_prepare(_path(model), dims or {}))


def _program(loaded: Model, shaped: Model) -> ModelProgram:
    inputs, outputs = (
        tuple(TensorType(name=i.name, dtype=i.dtype, shape=tuple(d for d in i.shape if isinstance(d, int))) for i in infos)
        for infos in (shaped.inputs, shaped.outputs)
    )
    return ModelProgram(model=loaded.digest, inputs=inputs, outputs=outputs, program=shaped.data)


def _path(value: object) -> Path:
    """A path that a caller gave. Raises MalformedError for something else."""
    if not isinstance(value, str | PathLike) or not isinstance(fspath(value), str):
        raise MalformedError(f"a path is wanted, not {type(value).__name__}")
    return Path(value)


def _worse_agreement(now: float | None, then: float | None) -> bool:
    return now is not None and (then is None or now < then)


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


def _float_outputs(shaped: Model, samples: Sequence[Mapping[str, NDArray[np.generic]]]) -> list[dict[str, NDArray[np.generic]]]:
    from verifiable.model.runtime import FloatModel

    reference = FloatModel(shaped.data)
    return [reference.run(sample) for sample in samples]


def _difference(a: Circuit, b: Circuit) -> str:
    """The names of the fields that differ, for an auditor."""
    names = [f.name for f in fields(Circuit) if getattr(a, f.name) != getattr(b, f.name)]
    if "parts" in names:
        names += [f"part {role}" for role in sorted({*a.parts, *b.parts}) if a.parts.get(role) != b.parts.get(role)]
        names.remove("parts")
    return ", ".join(names)


def _audit_fidelity(
    rebuilt: ProverCircuit, shaped: Model, calibration: str | Path | Sequence[Mapping[str, NDArray[np.generic]]], claimed: bytes
) -> None:
    """Run the auditor's samples through the circuit; they must be as close to the float model as the report says."""
    from verifiable.model.data import conform
    from verifiable.model.fidelity import Fidelity, measure

    samples, _ = _samples(calibration, shaped)
    system = registry.executor(registry.find(registry.default_systems(), rebuilt.circuit.system))
    computed = []
    for sample in samples:
        tensors = conform(sample, shaped.inputs)
        found = system.execute(rebuilt, {spec.name: quantise(tensors[spec.name], spec) for spec in rebuilt.circuit.inputs})
        computed.append({spec.name: dequantise(found[spec.name], spec.scale) for spec in rebuilt.circuit.outputs})
    measured, reported = measure(_float_outputs(shaped, samples), computed), Fidelity.parse(claimed)
    for now, then in zip(measured.outputs, reported.outputs, strict=True):
        if now.max_abs_error > then.max_abs_error or _worse_agreement(now.argmax_agreement, then.argmax_agreement):
            raise BindingError(
                f"audit: on these samples output {now.name!r} is off by {now.max_abs_error:.3g}, the circuit's report says"
                f" {then.max_abs_error:.3g}",
                hint="the report was measured on other samples; decide whether the difference matters to you",
            )


def _samples(
    calibration: str | Path | Sequence[Mapping[str, NDArray[np.generic]]] | None, shaped: Model
) -> tuple[list[dict[str, NDArray[np.generic]]], tuple[str, ...]]:
    """Calibration samples as arrays in the model's dtypes, and what to tell about them."""
    from verifiable.model.data import conform, read_samples

    if calibration is None:
        note = f"no calibration data given: {SYNTHETIC_SAMPLES} synthetic inputs in [-1, 1] stand in"
        return _synthetic(shaped), (note,)
    if not isinstance(calibration, str | Path | Sequence):
        raise MalformedError(f"calibration: a path or a list of samples is wanted, not {type(calibration).__name__}")
    if isinstance(calibration, str | Path):
        samples = read_samples(Path(calibration), shaped.inputs)
    else:
        samples = [conform(sample, shaped.inputs) for sample in calibration]
    return [{name: tensor.array() for name, tensor in sample.items()} for sample in samples], (
        f"calibrated on {len(samples)} samples",
    )


def _synthetic(shaped: Model) -> list[dict[str, NDArray[np.generic]]]:
    """The same inputs on every machine: a compile that is repeated gives the same circuit."""
    import numpy as np

    generator = np.random.Generator(np.random.PCG64(0))
    return [
        {
            info.name: generator.uniform(-1, 1, size=info.shape).astype(info.dtype)  # type: ignore[arg-type]
            if info.dtype.startswith("float")
            else generator.integers(0, 2, size=info.shape).astype(info.dtype)  # type: ignore[arg-type]
            for info in shaped.inputs
        }
        for _ in range(SYNTHETIC_SAMPLES)
    ]
