# SPDX-License-Identifier: Apache-2.0
"""What the suites of the quantiser and of the lowering share: random samples, runs of float and integer models side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verifiable.model.normalise import normalise
from verifiable.model.onnx_file import Model
from verifiable.model.program.execute import Executor
from verifiable.model.program.ir import Program
from verifiable.model.program.values import output_values, quantise_inputs
from verifiable.model.quantise import plan_of, program
from verifiable.model.quantise.options import Options
from verifiable.model.quantise.plan import Plan
from verifiable.model.runtime import FloatModel

Sample = dict[str, np.ndarray]


def samples(model: bytes, count: int, seed: int = 5) -> list[Sample]:
    rng = np.random.default_rng(seed)
    infos = Model.parse(model).inputs
    return [{info.name: rng.normal(size=info.shape).astype(np.float32) for info in infos} for _ in range(count)]


@dataclass(frozen=True)
class Compared:
    """``expected`` of the float model, ``found`` of the Program, samples first."""

    expected: np.ndarray
    found: np.ndarray
    saturated: int
    clamped_inputs: int

    @property
    def error(self) -> float:
        """Root mean square, relative to the output's."""
        return float(np.sqrt(((self.expected - self.found) ** 2).mean() / (self.expected**2).mean()))

    @property
    def worst(self) -> float:
        """Largest error, relative to the output's range."""
        span = max(float(np.ptp(self.expected)), float(np.abs(self.expected).max()), 1e-12)
        return float(np.abs(self.expected - self.found).max()) / span

    @property
    def agreement(self) -> float:
        return float((self.expected.argmax(-1) == self.found.argmax(-1)).mean())


def compare(program: Program, onnx: bytes, given: Sequence[Sample]) -> dict[str, Compared]:
    stacked = {entry.name: np.stack([sample[entry.name] for sample in given]) for entry in program.inputs}
    integers, clamped = quantise_inputs(program, stacked)
    ran = Executor(program).run_many(integers)
    found = output_values(program, ran.outputs, samples=True)
    model = FloatModel(onnx)
    runs = [model.run(sample) for sample in given]
    return {
        name: Compared(
            expected=np.stack([run[name] for run in runs]).astype(np.float64), found=value.astype(np.float64),
            saturated=sum(ran.saturated), clamped_inputs=clamped,
        )
        for name, value in found.items()
    }  # fmt: skip


def normalised(data: bytes) -> bytes:
    return normalise(Model.parse(data))


def quantised(onnx: bytes, given: Sequence[Sample], options: Options | None = None) -> Program:
    """As somebody else makes it: from the model and the bytes of its Plan."""
    return program(onnx, Plan.parse(plan_of(onnx, given, options).encode()))
