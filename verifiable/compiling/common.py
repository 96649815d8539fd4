# SPDX-License-Identifier: Apache-2.0
"""What compiling needs with any proof system: samples, the float model's outputs, the model's interface, the results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from verifiable.errors import MalformedError
from verifiable.zk import directory
from verifiable.zk.circuit import Circuit, TensorType, Visibility
from verifiable.zk.registry import Stores
from verifiable.zk.system import Limits, ModelProgram, Progress, ProverCircuit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from verifiable.model.fidelity import Fidelity
    from verifiable.model.onnx_file import Model
    from verifiable.model.preflight import Report

    Sample = Mapping[str, NDArray[np.generic]]
    Calibration = str | Path | Sequence[Sample]

SYNTHETIC_SAMPLES = 32


class Cost(Protocol):
    """What one proof is predicted to cost."""

    @property
    def seconds(self) -> float:
        """Of proving."""
        ...

    @property
    def memory(self) -> int:
        """Bytes, at the peak."""
        ...

    def to_json(self) -> Mapping[str, object]: ...

    def summary(self) -> str:
        """What besides these is peculiar to the proof system, in a line for people."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What ``compile`` was asked for, whatever the proof system."""

    model: Path
    calibration: Calibration | None
    max_error: float | None
    visibility: Visibility
    dims: Mapping[str, int]
    limits: Limits
    stores: Stores
    progress: Progress


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
class Checked:
    """The report of ``check``, and what proving would cost: None for a model with defects, or one too large for any circuit."""

    report: Report
    cost: Cost | None


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


def countdown(seconds: float | None) -> Callable[[], float | None]:
    """What is left of ``seconds`` from now on; None where there is no limit."""
    deadline = None if seconds is None else time.monotonic() + seconds
    return lambda: None if deadline is None else max(deadline - time.monotonic(), 0.0)


def path_of(value: object) -> Path:
    """A path that a caller gave. Raises MalformedError for something else."""
    if not isinstance(value, str | PathLike) or not isinstance(fspath(value), str):
        raise MalformedError(f"a path is wanted, not {type(value).__name__}")
    return Path(value)


def interface(loaded: Model, shaped: Model, program: bytes) -> ModelProgram:
    """What a verifier holds a circuit to: the model's digest and tensors, with the program that it is proved as."""
    inputs, outputs = (
        tuple(TensorType(name=i.name, dtype=i.dtype, shape=tuple(d for d in i.shape if isinstance(d, int))) for i in infos)
        for infos in (shaped.inputs, shaped.outputs)
    )
    return ModelProgram(model=loaded.digest, inputs=inputs, outputs=outputs, program=program, reference=loaded.data)


def float_outputs(model: Model, samples: Sequence[Sample]) -> list[dict[str, NDArray[np.generic]]]:
    """The float model's outputs, sample by sample: of the file itself, never of what became of it here."""
    from verifiable.model.runtime import FloatModel

    reference = FloatModel(model.data)
    return [reference.run(sample) for sample in samples]


def samples_of(calibration: Calibration | None, shaped: Model) -> tuple[list[dict[str, NDArray[np.generic]]], tuple[str, ...]]:
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
