# SPDX-License-Identifier: Apache-2.0
"""The shape of what an operation makes, from the shapes of what it reads; anything that does not fit is malformed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from verifiable.encoding.tensor import MAX_RANK
from verifiable.errors import MalformedError
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
    Shape,
    Slice,
    SumPool,
    Transpose,
)

#: Elements of one tensor, and the largest window, stride or padding.
MAX_ELEMENTS = 1 << 27
MAX_EXTENT = 1 << 20


def check_shape(shape: Sequence[int], where: str) -> Shape:
    """Raises MalformedError unless ``shape`` has at most eight axes, each at least 1, and a bounded number of elements."""
    if len(shape) > MAX_RANK or any(not 1 <= d <= MAX_ELEMENTS for d in shape) or math.prod(shape) > MAX_ELEMENTS:
        raise MalformedError(f"{where}: {list(shape)[:12]} is not a shape of at most {MAX_ELEMENTS:,} elements")
    return tuple(shape)


def output_shape(op: Op, shapes: Sequence[Shape], constants: Sequence[Shape], where: str) -> Shape:
    """``shapes``: of :func:`ops.sources`; ``constants``: of :func:`ops.constants`. Raises MalformedError."""
    shape = _shape(op, shapes, constants, where)
    if shape is None:
        raise MalformedError(f"{where}: {type(op).__name__} does not fit its sources {[list(s) for s in shapes][:4]}")
    return check_shape(shape, where)


def _shape(op: Op, shapes: Sequence[Shape], constants: Sequence[Shape], where: str) -> Shape | None:
    x = shapes[0]
    if isinstance(op, Requantise):
        return x
    if isinstance(op, Dense):
        return _dense(x, constants)
    if isinstance(op, Conv):
        return _conv(op, x, constants)
    if isinstance(op, SumPool):
        return _windows(x, op.kernel, op.strides, op.pads)
    if isinstance(op, Combine | Maximum):
        return x if all(shape == x for shape in shapes) else None
    if isinstance(op, Scale):
        return x if all(_broadcasts(shape, x) for shape in constants) else None
    return _structural(op, shapes, where)


def _structural(op: Transpose | Reshape | Concat | Slice | Pad, shapes: Sequence[Shape], where: str) -> Shape | None:
    x = shapes[0]
    if isinstance(op, Transpose):
        return tuple(x[a] for a in op.axes) if sorted(op.axes) == list(range(len(x))) else None
    if isinstance(op, Reshape):
        return op.shape if math.prod(check_shape(op.shape, where)) == math.prod(x) else None
    if isinstance(op, Concat):
        return _concat(op, shapes)
    if isinstance(op, Slice):
        return op.sizes if _slice_fits(op, x) else None
    fits = len(op.before) == len(op.after) == len(x) and all(0 <= p <= MAX_EXTENT for p in (*op.before, *op.after))
    return tuple(b + d + a for b, d, a in zip(op.before, x, op.after, strict=True)) if fits else None


def _dense(x: Shape, constants: Sequence[Shape]) -> Shape | None:
    weight, multiplier, bias = constants
    if not x or len(weight) != 2 or weight[1] != x[-1] or multiplier != bias or multiplier != weight[:1]:
        return None
    return (*x[:-1], weight[0])


def _conv(op: Conv, x: Shape, constants: Sequence[Shape]) -> Shape | None:
    weight, multiplier, bias = constants
    if len(x) != 4 or len(weight) != 4 or multiplier != bias or multiplier != weight[:1] or op.groups < 1:
        return None
    if x[1] != weight[1] * op.groups or weight[0] % op.groups:
        return None
    windows = _windows(x, op.kernel, op.strides, op.pads) if op.kernel == weight[2:] else None
    return None if windows is None else (x[0], weight[0], *windows[2:])


def _windows(x: Shape, kernel: Shape, strides: Shape, pads: Shape) -> Shape | None:
    if len(x) != 4 or len(kernel) != 2 or len(strides) != 2 or len(pads) != 4:
        return None
    if any(not 1 <= v <= MAX_EXTENT for v in (*kernel, *strides)) or any(not 0 <= p <= MAX_EXTENT for p in pads):
        return None
    rooms = [x[2] + pads[0] + pads[2] - kernel[0], x[3] + pads[1] + pads[3] - kernel[1]]
    if min(rooms) < 0:
        return None
    return (x[0], x[1], rooms[0] // strides[0] + 1, rooms[1] // strides[1] + 1)


def _broadcasts(shape: Shape, x: Shape) -> bool:
    return len(shape) <= len(x) and all(a in (1, b) for a, b in zip(shape[::-1], x[::-1], strict=False))


def _concat(op: Concat, shapes: Sequence[Shape]) -> Shape | None:
    rank, axis = len(shapes[0]), op.axis
    if not 0 <= axis < rank or any(len(s) != rank for s in shapes):
        return None
    rest = {(*s[:axis], *s[axis + 1 :]) for s in shapes}
    return (*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :]) if len(rest) == 1 else None


def _slice_fits(op: Slice, x: Shape) -> bool:
    if not len(op.starts) == len(op.steps) == len(op.sizes) == len(x):
        return False
    axes = zip(op.starts, op.steps, op.sizes, x, strict=True)
    return all(start >= 0 and step >= 1 and size >= 1 and start + (size - 1) * step < d for start, step, size, d in axes)
