# SPDX-License-Identifier: Apache-2.0
"""Nodes that only move elements, as the Program's structural operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx

from verifiable.errors import UnsupportedError
from verifiable.model.program.ops import Concat, Pad, Reshape, Shape, Slice, Transpose
from verifiable.model.quantise.steps import Move

Maker = Callable[[Mapping[str, Any], Sequence[Any], Sequence[Shape], Sequence[Shape]], list[Move]]


def sources(node: onnx.NodeProto) -> tuple[str, ...]:
    """The inputs that hold elements; the others say where they go."""
    return tuple(node.input) if node.op_type == "Concat" else (node.input[0],)


def _reshape(_: Mapping[str, Any], __: Sequence[Any], ___: Sequence[Shape], outs: Sequence[Shape]) -> list[Move]:
    return [Move(sources=(), op=lambda t, _: Reshape(source=t[0], shape=outs[0]))]


def _transpose(attributes: Mapping[str, Any], _: Sequence[Any], shapes: Sequence[Shape], __: Sequence[Shape]) -> list[Move]:
    axes = tuple(attributes.get("perm", range(len(shapes[0]))[::-1]))
    return [Move(sources=(), op=lambda t, _: Transpose(source=t[0], axes=axes))]


def _concat(attributes: Mapping[str, Any], _: Sequence[Any], shapes: Sequence[Shape], __: Sequence[Shape]) -> list[Move]:
    axis = attributes["axis"] % len(shapes[0])
    return [Move(sources=(), op=lambda t, _: Concat(sources=t, axis=axis))]


def _slice(_: Mapping[str, Any], constants: Sequence[Any], shapes: Sequence[Shape], outs: Sequence[Shape]) -> list[Move]:
    given = [None if c is None else [int(v) for v in c.reshape(-1)] for c in constants[1:]]
    if len(given) < 2 or given[0] is None or given[1] is None:
        raise UnsupportedError("its bounds depend on the inputs")
    rank, count = len(shapes[0]), len(given[0])
    axes = given[2] if len(given) > 2 and given[2] is not None else list(range(count))
    steps = given[3] if len(given) > 3 and given[3] is not None else [1] * count
    starts, strides = [0] * rank, [1] * rank
    for axis, start, step in zip(axes, given[0], steps, strict=True):
        if step < 1:
            raise UnsupportedError("with a negative step")
        size = shapes[0][axis]
        starts[axis], strides[axis] = min(max(start + size if start < 0 else start, 0), size), step
    return [_sliced(starts, strides, outs[0])]


def _split(attributes: Mapping[str, Any], _: Sequence[Any], shapes: Sequence[Shape], outs: Sequence[Shape]) -> list[Move]:
    axis, at, moves = attributes.get("axis", 0) % len(shapes[0]), 0, []
    for out in outs:
        moves.append(_sliced([at if i == axis else 0 for i in range(len(out))], [1] * len(out), out))
        at += out[axis]
    return moves


def _sliced(starts: Sequence[int], steps: Sequence[int], sizes: Shape) -> Move:
    first, strides = tuple(starts), tuple(steps)
    return Move(sources=(), op=lambda t, _: Slice(source=t[0], starts=first, steps=strides, sizes=sizes))


def _pad(attributes: Mapping[str, Any], constants: Sequence[Any], shapes: Sequence[Shape], _: Sequence[Shape]) -> list[Move]:
    if attributes.get("mode", "constant") != "constant":
        raise UnsupportedError(f"mode {attributes['mode']}", hint="pad with a constant")
    given = [None if c is None else c.reshape(-1) for c in constants[1:]]
    if not given or given[0] is None:
        raise UnsupportedError("its widths depend on the inputs")
    value = float(given[1][0]) if len(given) > 1 and given[1] is not None else 0.0
    rank = len(shapes[0])
    axes = [int(a) % rank for a in given[2]] if len(given) > 2 and given[2] is not None else list(range(rank))
    before, after = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        before[axis], after[axis] = int(given[0][i]), int(given[0][i + len(axes)])
    if min(before + after) < 0:
        raise UnsupportedError("with negative widths", hint="use Slice")
    low, high = tuple(before), tuple(after)
    move = Move(
        sources=(), constant=value, op=lambda t, scale: Pad(source=t[0], before=low, after=high, value=round(value / scale))
    )  # fmt: skip
    return [move]


#: operator -> the moves for its outputs, from attributes, constants (None for what is computed) and shapes
OPS: Mapping[str, Maker] = {
    "Reshape": _reshape, "Flatten": _reshape, "Squeeze": _reshape, "Unsqueeze": _reshape, "Transpose": _transpose,
    "Concat": _concat, "Slice": _slice, "Split": _split, "Pad": _pad,
}  # fmt: skip
