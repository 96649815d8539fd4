# SPDX-License-Identifier: Apache-2.0
"""The operations on padded tensors [samples, ...]: the reference executor's on the real extent, :mod:`.layout`'s beyond it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifiable.model.program.execute import Executor
from verifiable.model.program.ops import Concat, Conv, Dense, Pad, Reshape, Scale, Shape, Slice, SumPool, sources
from verifiable.zk.sumcheck.layout import Layout, axis_logs
from verifiable.zk.sumcheck.reshaping import first_moved
from verifiable.zk.sumcheck.structure import Structure

Integers = NDArray[np.int64]


def step(executor: Executor, structure: Structure, number: int, tensors: Sequence[Integers]) -> Integers:
    """What operation ``number`` makes of padded tensors, padded."""
    op = structure.ops[number]
    given = [tensors[s] for s in sources(op)]
    shapes = [structure.shapes[s] for s in sources(op)]
    shape = structure.shapes[len(structure.inputs) + number]
    if isinstance(op, Dense):
        made: Any = executor.apply(number, op, [given[0][..., : shapes[0][-1]]])
        return _filled(made, len(shape), shape, 0)
    if isinstance(op, Conv):
        made = executor.apply(number, op, [_cropped(given[0], shapes[0], 1)])
        bias = executor.program.constants[op.bias].array().astype(np.int64)
        out = np.zeros((*made.shape[:2], *(1 << n for n in axis_logs(shape[1:]))), np.int64)
        out[:, :, : len(bias)] = bias[:, None, None]
        out[:, :, : len(bias), : shape[2], : shape[3]] = made
        return out
    if isinstance(op, SumPool):
        return _filled(executor.apply(number, op, [_cropped(given[0], shapes[0], 2)]), 3, shape, op.bias)
    if isinstance(op, Reshape):
        return _reshaped(given[0], shapes[0], shape)
    if isinstance(op, Slice | Pad | Concat):
        return _moved(structure, number, given)
    if isinstance(op, Scale):
        multiplier, offset = (_zero_padded(executor.program.constants[c].array()) for c in (op.multiplier, op.bias))
        return np.asarray(given[0] * multiplier + offset)
    return np.asarray(executor.apply(number, op, given))


def _zero_padded(constant: NDArray[Any]) -> Integers:
    return np.pad(
        constant.astype(np.int64), [(0, (1 << n) - d) for n, d in zip(axis_logs(constant.shape), constant.shape, strict=True)]
    )


def part(layout: Layout, number: int, which: int, tensors: Sequence[Integers]) -> Integers:
    """A Concat's result with one source in place and zeros elsewhere, padded."""
    op = layout.structure.ops[number]
    assert isinstance(op, Concat)
    shape = layout.structure.shapes[layout.result(number)]
    given = layout.structure.shapes[op.sources[which]]
    start = sum(layout.structure.shapes[s][op.axis] for s in op.sources[:which])
    source = _cropped(tensors[op.sources[which]], given, op.axis)
    out = np.zeros((*source.shape[: op.axis + 1], *(1 << n for n in axis_logs(shape[op.axis :]))), np.int64)
    inner = tuple(slice(d) for d in shape[op.axis + 1 :])
    out[(*[slice(None)] * (op.axis + 1), slice(start, start + given[op.axis]), *inner)] = source
    return out


def _moved(structure: Structure, number: int, given: Sequence[Integers]) -> Integers:
    op = structure.ops[number]
    first = first_moved(structure, number)
    if isinstance(op, Concat):
        parts = [_cropped(x, structure.shapes[s], first) for x, s in zip(given, op.sources, strict=True)]
        made, fill = np.concatenate(parts, axis=first + 1), 0
    elif isinstance(op, Pad):
        around = [(0, 0)] * (first + 1) + list(zip(op.before[first:], op.after[first:], strict=True))
        made, fill = np.pad(_cropped(given[0], structure.shapes[op.source], first), around, constant_values=op.value), op.value
    else:
        assert isinstance(op, Slice)
        axes = zip(op.starts[first:], op.steps[first:], op.sizes[first:], strict=True)
        picked = tuple(slice(start, start + (size - 1) * by + 1, by) for start, by, size in axes)
        made, fill = given[0][(*[slice(None)] * (first + 1), *picked)], 0
    return _filled(made, first + 1, structure.shapes[len(structure.inputs) + number], fill)


def _reshaped(x: Integers, given: Shape, shape: Shape) -> Integers:
    """Leading axes that are alike stay padded as they are; the rest is taken from real cells to real cells."""
    old, new = [d for d in given if d > 1], [d for d in shape if d > 1]
    same = next((a for a, (d, e) in enumerate(zip(old, new, strict=False)) if d != e), min(len(old), len(new)))
    padded = [1 << n for n in axis_logs(tuple(old))]
    x = x.reshape(len(x), *padded)
    real = x[(*[slice(None)] * (same + 1), *map(slice, old[same:]))]
    real = real.reshape(len(x), *padded[:same], *new[same:])
    out = np.zeros((len(x), *padded[:same], *(1 << n for n in axis_logs(tuple(new[same:])))), np.int64)
    out[(*[slice(None)] * (same + 1), *map(slice, new[same:]))] = real
    return out.reshape(len(x), *(1 << n for n in axis_logs(shape)))


def _cropped(x: Integers, shape: Shape, first: int) -> Integers:
    """The real extent of the axes from ``first`` on (samples not counted)."""
    return x[(*[slice(None)] * (first + 1), *map(slice, shape[first:]))]


def _filled(made: Integers, first: int, shape: Shape, fill: int) -> Integers:
    """The axes from ``first`` on (samples counted) padded with ``fill``."""
    extents = [1 << n for n in axis_logs(shape)][first - 1 :]
    out = np.full((*made.shape[:first], *extents), fill, np.int64)
    out[tuple(map(slice, made.shape))] = made
    return out
