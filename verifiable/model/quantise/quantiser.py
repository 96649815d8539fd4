# SPDX-License-Identifier: Apache-2.0
"""The two halves of a quantisation: a Plan from calibration samples, and a Program from the model and its Plan alone.

The second half is exact integers and basic operations of IEEE 754, which are rounded in one way on every machine: no
function of a C library, no sum whose order is left open. Therefore everybody who has model and Plan has the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.guard import guarded, shown
from verifiable.model.lower.lowering import is_quantised, lowered
from verifiable.model.program.builder import Builder
from verifiable.model.program.execute import Execution, Executor, samples_at_once
from verifiable.model.program.ir import Input, Program
from verifiable.model.program.values import quantise_inputs
from verifiable.model.quantise.calibration import Sample, Stats, observe
from verifiable.model.quantise.choices import Choices, Deciding, Following
from verifiable.model.quantise.demand import demand
from verifiable.model.quantise.emitter import Emitter, Held
from verifiable.model.quantise.grid import Grid
from verifiable.model.quantise.normalised import analysed
from verifiable.model.quantise.options import Options
from verifiable.model.quantise.outline import outline_of
from verifiable.model.quantise.plan import Plan
from verifiable.model.quantise.scales import exact_grid, groups
from verifiable.model.quantise.steps import Outline
from verifiable.model.runtime import FloatModel
from verifiable.model.shapes import Analysis

_IMAGE_RANK = 4
_WIDE_INPUT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """Of ``values`` rounded, how many were ``clamped``."""

    clamped: int
    values: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slips:
    """Of ``values`` of the outputs, how many are ``differing`` integers, and by how many steps at most."""

    differing: int
    values: int
    farthest: int


def plan_of(onnx: bytes, samples: Sequence[Sample], options: Options | None = None) -> Plan:
    """See :func:`verifiable.model.quantise.plan_of`."""
    with guarded("model: cannot be quantised", kind=UnsupportedError):
        analysis = analysed(onnx)
        return Plan() if is_quantised(analysis) else _decided(onnx, analysis, samples, options or Options())


def program(onnx: bytes, plan: Plan) -> Program:
    """See :func:`verifiable.model.quantise.program`."""
    with guarded("model: cannot be quantised", kind=UnsupportedError):
        analysis = analysed(onnx)
        if is_quantised(analysis) != (plan.options is None):
            raise MalformedError("the plan is of another model", hint="give the plan that was made of this very model")
        # What a strange plan makes infinite is an error here, not a warning.
        with np.errstate(divide="raise", invalid="raise", over="raise"):
            return lowered(analysis) if plan.options is None else _followed(analysis, plan, plan.options)


def saturation(program: Program, samples: Sequence[Sample]) -> Saturation:
    """See :func:`verifiable.model.quantise.saturation`."""
    clamped = values = 0
    for _, integers, outside, executor, ran in _runs(program, samples):
        clamped += outside + sum(ran.saturated)
        values += sum(array.size for array in integers.values())
        values += sum(ran.tensors[len(program.inputs) + i].size for i in executor.bounds.rounded)
    return Saturation(clamped=clamped, values=values)


def slips(onnx: bytes, program: Program, samples: Sequence[Sample]) -> Slips:
    """See :func:`verifiable.model.quantise.slips`."""
    model = FloatModel(onnx)
    differing = values = farthest = 0
    for batch, _, _, _, ran in _runs(program, samples):
        theirs = [model.run(sample) for sample in batch]
        for output in program.outputs:
            if output.post == "none":
                expected = np.stack([np.asarray(outputs[output.name], np.float64) for outputs in theirs])
                apart = np.abs(np.rint(expected / output.scale) - ran.outputs[output.name])
                differing, values = differing + int(np.count_nonzero(apart)), values + apart.size
                farthest = max(farthest, int(apart.max(initial=0)))
    return Slips(differing=differing, values=values, farthest=farthest)


def _runs(
    program: Program, samples: Sequence[Sample]
) -> Iterator[tuple[Sequence[Sample], dict[str, NDArray[np.int64]], int, Executor, Execution]]:
    """By batches: samples, their integers and how many of these were clamped, the executor, and what it made of them."""
    executor = Executor(program)
    count = samples_at_once(program)
    for start in range(0, len(samples), count):
        batch = samples[start : start + count]
        stacked = {entry.name: np.stack([sample[entry.name] for sample in batch]) for entry in program.inputs}
        integers, outside = quantise_inputs(program, stacked)
        yield batch, integers, outside, executor, executor.run_many(integers)


def _decided(onnx: bytes, analysis: Analysis, samples: Sequence[Sample], options: Options) -> Plan:
    outline = outline_of(analysis)
    stats = observe(onnx, analysis, samples)
    inputs = {name: _input_grid(name, analysis, samples, stats[name], options) for name in analysis.inputs}
    deciding = Deciding(
        outline=outline, demand=demand(outline, options), options=options, stats=stats, shared=groups(outline, stats)
    )  # fmt: skip
    _emitted(analysis, outline, options, inputs, deciding)
    return Plan(options=options, inputs=inputs, grids=deciding.grids, units=deciding.units, shifts=deciding.shifts)


def _followed(analysis: Analysis, plan: Plan, options: Options) -> Program:
    if set(plan.inputs) != set(analysis.inputs):
        raise MalformedError("the plan has other inputs", hint="give the plan that was made of this very model")
    following = Following(plan=plan)
    made = _emitted(analysis, outline_of(analysis), options, plan.inputs, following)
    following.done()
    return made


def _emitted(
    analysis: Analysis, outline: Outline, options: Options, inputs: Mapping[str, Grid], choices: Choices
) -> Program:  # fmt: skip
    builder = Builder()
    held = {name: _input(builder, name, analysis, inputs[name]) for name in analysis.inputs}
    emitter = Emitter(outline=outline, demand=demand(outline, options), options=options, choices=choices, builder=builder)
    return builder.finish(emitter.emit(held))


def _input(builder: Builder, name: str, analysis: Analysis, grid: Grid) -> Held:
    value = analysis.values[name]
    entry = Input(name=name, dtype=value.dtype, shape=value.shape, scale=grid.scale, low=grid.low, high=grid.high)
    return Held(tensor=builder.input(entry), scale=grid.scale)


def _input_grid(name: str, analysis: Analysis, samples: Sequence[Sample], stats: Stats, options: Options) -> Grid:
    shape = analysis.values[name].shape
    if any(name not in sample or np.shape(sample[name]) != shape for sample in samples):
        raise MalformedError(f"calibration data: input {shown(name)} is missing, or not of shape {list(shape)}")
    bits = options.input_bits if len(shape) >= _IMAGE_RANK else _WIDE_INPUT
    return exact_grid(stats, [sample[name] for sample in samples], bits, headroom=options.headroom)
