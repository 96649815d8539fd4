# SPDX-License-Identifier: Apache-2.0
"""A second executor, written from docs/formats/program.md: Python integers and loops, one element at a time, no NumPy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from verifiable.encoding.tensor import Tensor
from verifiable.model.program import ops
from verifiable.model.program.ir import Program

Index = tuple[int, ...]


class Grid:
    """A dense tensor of Python integers."""

    def __init__(self, shape: Sequence[int], at: Callable[[Index], int]) -> None:
        self.shape = tuple(shape)
        self.values = {i: at(i) for i in itertools.product(*map(range, self.shape))}

    def __getitem__(self, index: Index) -> int:
        return self.values[index]

    def or_zero(self, index: Index) -> int:
        return self.values.get(index, 0)

    def flat(self) -> list[int]:
        return list(self.values.values())


def constant(tensor: Tensor) -> Grid:
    size = {"int8": 1, "int16": 2, "int32": 4, "int64": 8}[tensor.dtype]
    numbers = [int.from_bytes(tensor.data[i : i + size], "little", signed=True) for i in range(0, len(tensor.data), size)]
    return reshaped(tensor.shape, numbers)


def reshaped(shape: Sequence[int], numbers: Sequence[int]) -> Grid:
    left = iter(numbers)
    return Grid(shape, lambda _: next(left))


def nearest_even(value: Fraction) -> int:
    low = math.floor(value)
    if value - low != Fraction(1, 2):
        return math.floor(value + Fraction(1, 2))
    return low if low % 2 == 0 else low + 1


def run(program: Program, inputs: dict[str, Any]) -> tuple[list[Grid], set[int]]:
    """Every tensor, and the operations that met a tie."""
    tensors = [reshaped(entry.shape, [int(v) for v in inputs[entry.name].ravel()]) for entry in program.inputs]
    constants = [constant(c) for c in program.constants]
    ties: set[int] = set()
    for number, op in enumerate(program.ops):
        if isinstance(op, ops.Requantise):
            tensors.append(requantise(program, op, tensors[op.source], constants, lambda n=number: ties.add(n)))
        else:
            tensors.append(
                step(op, [tensors[s] for s in ops.sources(op)], constants, program.shapes[len(program.inputs) + number])
            )
    return tensors, ties


def requantise(program: Program, op: ops.Requantise, x: Grid, constants: list[Grid], tie: Callable[[], None]) -> Grid:
    table = program.tables[op.table]

    def at(i: Index) -> int:
        exact = Fraction(x[i], 2**op.shift)
        if (exact * 2).denominator == 1 and exact.denominator == 2:
            tie()
        return constants[table.values][(nearest_even(exact) - table.low,)]

    return Grid(x.shape, at)


def step(op: ops.Op, given: list[Grid], constants: list[Grid], shape: tuple[int, ...]) -> Grid:
    x = given[0]
    if isinstance(op, ops.Dense):
        w, m, b = (constants[c] for c in (op.weight, op.multiplier, op.bias))
        return Grid(shape, lambda i: m[i[-1:]] * sum(w[i[-1], k] * x[(*i[:-1], k)] for k in range(w.shape[1])) + b[i[-1:]])
    if isinstance(op, ops.Conv):
        return Grid(shape, lambda i: convolved(op, x, constants, i))
    if isinstance(op, ops.SumPool):
        return Grid(shape, lambda i: op.multiplier * sum(x.or_zero(j) for j in window(op, i)) + op.bias)
    if isinstance(op, ops.Combine):
        return Grid(shape, lambda i: sum(m * a[i] for m, a in zip(op.coefficients, given, strict=True)) + op.constant)
    if isinstance(op, ops.Scale):
        m, b = constants[op.multiplier], constants[op.bias]
        return Grid(shape, lambda i: broadcast(m, i) * x[i] + broadcast(b, i))
    if isinstance(op, ops.Maximum):
        return Grid(shape, lambda i: max(given[0][i], given[1][i]))
    return moved(op, given, shape)


def window(op: Any, i: Index) -> list[Index]:
    rows = [i[2] * op.strides[0] + a - op.pads[0] for a in range(op.kernel[0])]
    columns = [i[3] * op.strides[1] + b - op.pads[1] for b in range(op.kernel[1])]
    return [(i[0], i[1], v, h) for v in rows for h in columns]


def convolved(op: ops.Conv, x: Grid, constants: list[Grid], i: Index) -> int:
    w, m, b = (constants[c] for c in (op.weight, op.multiplier, op.bias))
    n, o, v, h = i
    inner = w.shape[1]
    first = o // (w.shape[0] // op.groups) * inner
    total = 0
    for c in range(inner):
        for a in range(op.kernel[0]):
            for d in range(op.kernel[1]):
                at = (n, first + c, v * op.strides[0] + a - op.pads[0], h * op.strides[1] + d - op.pads[1])
                total += w[o, c, a, d] * x.or_zero(at)
    return m[(o,)] * total + b[(o,)]


def broadcast(c: Grid, i: Index) -> int:
    tail = i[len(i) - len(c.shape) :]
    return c[tuple(0 if d == 1 else k for d, k in zip(c.shape, tail, strict=True))]


def moved(op: ops.Op, given: list[Grid], shape: tuple[int, ...]) -> Grid:
    x = given[0]
    if isinstance(op, ops.Reshape):
        return reshaped(shape, x.flat())
    if isinstance(op, ops.Transpose):
        return Grid(shape, lambda i: x[tuple(i[op.axes.index(a)] for a in range(len(shape)))])
    if isinstance(op, ops.Slice):
        return Grid(shape, lambda i: x[tuple(s + k * d for s, k, d in zip(op.starts, i, op.steps, strict=True))])
    if isinstance(op, ops.Pad):
        return Grid(shape, lambda i: x.values.get(tuple(k - b for k, b in zip(i, op.before, strict=True)), op.value))
    assert isinstance(op, ops.Concat)

    def at(i: Index) -> int:
        k = i[op.axis]
        for part in given:
            if k < part.shape[op.axis]:
                return part[(*i[: op.axis], k, *i[op.axis + 1 :])]
            k -= part.shape[op.axis]
        raise AssertionError

    return Grid(shape, at)
