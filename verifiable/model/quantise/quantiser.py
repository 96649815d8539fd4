# SPDX-License-Identifier: Apache-2.0
"""The way in: a normalised float model and calibration samples become a Program, with a count of what saturates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.analysis import analyse
from verifiable.model.defects import refusal
from verifiable.model.guard import guarded
from verifiable.model.onnx_file import parse_proto
from verifiable.model.program.builder import Builder
from verifiable.model.program.execute import Executor
from verifiable.model.program.ir import Input, Program
from verifiable.model.program.values import quantise_inputs
from verifiable.model.quantise.calibration import Sample, Stats, observe
from verifiable.model.quantise.demand import demand
from verifiable.model.quantise.emitter import Emitter, Held
from verifiable.model.quantise.options import Options
from verifiable.model.quantise.planner import plan_of
from verifiable.model.quantise.scales import exact_grid, groups
from verifiable.model.shapes import Analysis, Value

_BATCH = 64
_IMAGE_RANK = 4
_WIDE_INPUT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantisation:
    """``clamped``: of ``values`` rounded on the calibration samples, how many saturated."""

    program: Program
    clamped: int
    values: int


def quantise(onnx: bytes, samples: Sequence[Sample], options: Options | None = None) -> Quantisation:
    """``onnx``: normalised. ``samples``: by input name, in the model's shapes and dtypes.

    Raises UnsupportedError naming the node that has no integer program, MalformedError for samples that do not fit.
    """
    with guarded("model: cannot be quantised", kind=UnsupportedError):
        return _quantised(onnx, samples, options or Options())


def _quantised(onnx: bytes, samples: Sequence[Sample], chosen: Options) -> Quantisation:
    analysis = analysed(onnx)
    plan = plan_of(analysis)
    stats = observe(onnx, analysis, samples)
    builder = Builder()
    inputs = {
        name: _input(builder, name, analysis.values[name], samples, stats[name], chosen.input_bits) for name in analysis.inputs
    }
    emitter = Emitter(
        plan=plan, demand=demand(plan, chosen), options=chosen, stats=stats, shared=groups(plan, stats), builder=builder
    )  # fmt: skip
    program = builder.finish(emitter.emit(inputs))
    clamped, values = _saturation(program, samples)
    return Quantisation(program=program, clamped=clamped, values=values)


def analysed(onnx: bytes) -> Analysis:
    """The analysis of a normalised model. Raises MalformedError or UnsupportedError for one that is none."""
    proto = parse_proto(onnx)
    weights = {tensor.name for tensor in proto.graph.initializer}
    shapes = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in proto.graph.input if value.name not in weights
    }  # fmt: skip
    opset = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 0)
    analysis = analyse(proto.graph, opset, shapes)
    if analysis.defects:
        raise refusal(analysis.defects)
    return analysis


def _input(  # noqa: PLR0917 - private, and called once
    builder: Builder, name: str, value: Value, samples: Sequence[Sample], stats: Stats, image_bits: int
) -> Held:
    if any(name not in sample or np.shape(sample[name]) != value.shape for sample in samples):
        raise MalformedError(f"calibration data: input {name[:80]!r} is missing, or not of shape {list(value.shape)}")
    bits = image_bits if len(value.shape) >= _IMAGE_RANK else _WIDE_INPUT
    levels = exact_grid(stats, [sample[name] for sample in samples], bits)
    entry = Input(name=name, dtype=value.dtype, shape=value.shape, scale=levels.scale, low=levels.low, high=levels.high)
    return Held(tensor=builder.input(entry), scale=levels.scale)


def _saturation(program: Program, samples: Sequence[Sample]) -> tuple[int, int]:
    executor = Executor(program)
    clamped = values = 0
    for start in range(0, len(samples), _BATCH):
        batch = samples[start : start + _BATCH]
        stacked = {entry.name: np.stack([sample[entry.name] for sample in batch]) for entry in program.inputs}
        integers, outside = quantise_inputs(program, stacked)
        ran = executor.run_many(integers)
        clamped += outside + sum(ran.saturated)
        values += sum(array.size for array in integers.values())
        values += sum(ran.tensors[len(program.inputs) + i].size for i in executor.bounds.rounded)
    return clamped, values
