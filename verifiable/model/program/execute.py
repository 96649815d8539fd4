# SPDX-License-Identifier: Apache-2.0
"""The reference executor: what a Program means, in NumPy's int64. It defines the integers; provers and re-runners follow it.

Inside, everything carries one leading axis of samples. Products with weights run in floating point wherever every partial sum is
proved to be an integer that the type holds: there it is exact in any order, and BLAS is fifty times faster than int64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from verifiable.errors import MalformedError
from verifiable.model.guard import shown
from verifiable.model.program.bounds import Interval, bounds
from verifiable.model.program.ir import Input, Program
from verifiable.model.program.ops import (
    Combine,
    Concat,
    Conv,
    Dense,
    Maximum,
    Op,
    Pad,
    Requantise,
    Reshape,
    Scale,
    Slice,
    SumPool,
    Transpose,
    sources,
)

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """``tensors``: every tensor's integers, inputs first; ``saturated``: how many values each operation clamped.

    With ``samples`` given there is one more leading axis everywhere.
    """

    tensors: tuple[Integers, ...]
    outputs: Mapping[str, Integers]
    saturated: tuple[int, ...]


class Executor:
    """A program made ready to run: its bounds proved, its weights in the narrowest type that is exact.

    ``values``: what each tensor may hold where that is more than its bounds, as in cells that :meth:`apply` is given beyond the
    declared extents. Raises what :func:`bounds` raises.
    """

    def __init__(self, program: Program, *, values: Sequence[Interval] | None = None) -> None:
        self.program = program
        self.bounds = bounds(program)
        self._values = values or self.bounds.values
        self._arrays: list[Any] = [constant.array() for constant in program.constants]
        self._weights = {i: self._prepared(op) for i, op in enumerate(program.ops) if isinstance(op, Dense | Conv)}

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Execution:
        """Run on one set of integer inputs, of the program's own shapes. Raises MalformedError for inputs that do not fit."""
        ran = self.run_many({name: np.asarray(value)[None] for name, value in inputs.items()})
        return Execution(
            tensors=tuple(tensor[0] for tensor in ran.tensors),
            outputs={name: value[0] for name, value in ran.outputs.items()},
            saturated=ran.saturated,
        )

    def run_many(self, inputs: Mapping[str, NDArray[np.generic]]) -> Execution:
        """The same on many samples at once: every input has one more leading axis. Raises MalformedError."""
        tensors = _admitted(self.program, inputs)
        saturated = []
        for i, op in enumerate(self.program.ops):
            given = [tensors[s] for s in sources(op)]
            result, clamped = self._requantise(op, given[0]) if isinstance(op, Requantise) else (self._step(i, op, given), 0)
            tensors.append(result)
            saturated.append(clamped)
        outputs = {output.name: tensors[output.tensor] for output in self.program.outputs}
        return Execution(tensors=tuple(tensors), outputs=outputs, saturated=tuple(saturated))

    def admit(self, inputs: Mapping[str, NDArray[np.generic]]) -> int:
        """The number of samples that :meth:`run_many` would run on. Raises MalformedError."""
        return len(_admitted(self.program, inputs)[0])

    def apply(self, index: int, op: Op, given: Sequence[Any]) -> Any:
        """One operation but Requantise on its sources, [samples, ...]; axes that it treats alike may be longer than declared."""
        return self._step(index, op, given)

    def _prepared(self, op: Dense | Conv) -> Any:
        """The weights as [groups, inner, outer], in a floating type if all partial sums are exact in it."""
        weight = self._arrays[op.weight]
        groups = op.groups if isinstance(op, Conv) else 1
        matrix = weight.reshape(groups, weight.shape[0] // groups, -1).transpose(0, 2, 1)
        low, high = self._values[op.source]
        largest = max(abs(low), abs(high)) * int(np.abs(matrix.astype(np.int64)).sum(axis=1).max())
        kind = np.float32 if largest < 1 << 24 else np.float64 if largest < 1 << 53 else np.int64
        return np.ascontiguousarray(matrix.astype(kind))

    def _step(self, index: int, op: Op, given: Sequence[Any]) -> Any:
        if isinstance(op, Dense | Conv):
            tail = (slice(None), None, None) if isinstance(op, Conv) else (slice(None),)
            weight = self._weights[index]
            product = _conv(op, given[0], weight) if isinstance(op, Conv) else _dense(given[0], weight)
            return product * self._arrays[op.multiplier][tail] + self._arrays[op.bias][tail]
        if isinstance(op, Scale):
            return given[0] * self._arrays[op.multiplier] + self._arrays[op.bias]
        return _run(op, given)

    def _requantise(self, op: Requantise, t: Any) -> tuple[Any, int]:
        table = self.program.tables[op.table]
        rounded = round_half_even(t, op.shift)
        clamped = np.count_nonzero((rounded < table.faithful_low) | (rounded > table.faithful_high))
        return self._arrays[table.values][rounded - table.low].astype(np.int64), int(clamped)


def samples_at_once(program: Program) -> int:
    """How many samples to run together: 64 of a small Program, one of a large one, so that memory stays bounded."""
    elements = sum(math.prod(shape) for shape in program.shapes)
    return max(1, min(64, (1 << 24) // max(elements, 1)))


def execute(program: Program, inputs: Mapping[str, NDArray[np.generic]]) -> Execution:
    """:meth:`Executor.run`, for a single run."""
    return Executor(program).run(inputs)


def _admitted(program: Program, inputs: Mapping[str, NDArray[np.generic]]) -> list[Any]:
    if different := sorted(set(inputs) ^ {entry.name for entry in program.inputs}):
        raise MalformedError(f"input {shown(different[0])}: missing, or not an input of the program")
    if len({np.shape(value)[:1] for value in inputs.values()}) != 1:
        raise MalformedError("program: inputs differ in their number of samples")
    return [_admit(entry, np.asarray(inputs[entry.name])) for entry in program.inputs]


def _admit(entry: Input, value: NDArray[np.generic]) -> Integers:
    where = f"input {shown(entry.name)}"
    if value.dtype.kind not in "iu" or value.shape[1:] != entry.shape:
        raise MalformedError(
            f"{where}: expected integers of shape {list(entry.shape)}, found {value.dtype}{list(value.shape[1:])}"
        )
    if value.size and not entry.low <= int(value.min()) <= int(value.max()) <= entry.high:
        raise MalformedError(f"{where}: an integer is outside of [{entry.low}, {entry.high}]")
    return value.astype(np.int64)


def _run(op: Op, given: Sequence[Any]) -> Any:
    if isinstance(op, SumPool):
        return op.multiplier * _windows(given[0], op.kernel, op.strides, op.pads).sum(axis=(-2, -1)) + op.bias
    if isinstance(op, Combine):
        return sum(np.int64(m) * a for m, a in zip(op.coefficients, given, strict=True)) + np.int64(op.constant)
    if isinstance(op, Maximum):
        return np.maximum(*given)
    return _structural(op, given)


def _structural(op: Op, given: Sequence[Any]) -> Any:
    x = given[0]
    if isinstance(op, Transpose):
        return np.ascontiguousarray(x.transpose(0, *(axis + 1 for axis in op.axes)))
    if isinstance(op, Reshape):
        return x.reshape(len(x), *op.shape)
    if isinstance(op, Concat):
        return np.concatenate(given, axis=op.axis + 1)
    if isinstance(op, Slice):
        axes = zip(op.starts, op.steps, op.sizes, strict=True)
        return x[(slice(None), *(slice(start, start + (size - 1) * step + 1, step) for start, step, size in axes))].copy()
    assert isinstance(op, Pad)
    return np.pad(x, ((0, 0), *zip(op.before, op.after, strict=True)), constant_values=op.value)


def round_half_even(t: Integers, shift: int) -> Integers:
    """``t / 2^shift`` to the nearest integer, halves to even, in int64; exact for |t| < 2^62."""
    if shift == 0:
        return t
    half = np.int64(1 << (shift - 1))
    rounded = (t + half) >> np.int64(shift)
    tie = (t & np.int64((1 << shift) - 1)) == half
    return np.where(tie, rounded - (rounded & 1), rounded)


def _dense(x: Any, weight: Any) -> Any:
    return (x.astype(weight.dtype) @ weight[0]).astype(np.int64)


def _windows(x: Any, kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int]) -> Any:
    """A view [samples, N, C, oh, ow, kh, kw] of the zero-padded x [samples, N, C, H, W]."""
    if any(pads):
        x = np.pad(x, ((0, 0), (0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    views = sliding_window_view(x, tuple(kernel), axis=(3, 4))
    return views[:, :, :, :: strides[0], :: strides[1]]


def _conv(op: Conv, x: Any, weight: Any) -> Any:
    """Grouped cross-correlation as one matrix product per group (im2col). ``weight``: [groups, inner, outer]."""
    windows = _windows(x.astype(weight.dtype), op.kernel, op.strides, op.pads)
    samples, batch, channels, height, width = windows.shape[:5]
    columns = windows.reshape(samples, batch, op.groups, channels // op.groups, height, width, *op.kernel)
    columns = columns.transpose(2, 0, 1, 4, 5, 3, 6, 7).reshape(op.groups, -1, weight.shape[1])
    product = (columns @ weight).astype(np.int64).reshape(op.groups, samples, batch, height, width, -1)
    return np.ascontiguousarray(product.transpose(1, 2, 0, 5, 3, 4)).reshape(samples, batch, -1, height, width)
