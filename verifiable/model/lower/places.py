# SPDX-License-Identifier: Apache-2.0
"""Pooling and moves of quantised values: what only sums, or only puts elements elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifiable.errors import UnsupportedError
from verifiable.model.lower.states import HINT, Accumulator, Channel, Joined, Narrow, Quantised, State
from verifiable.model.program.builder import Builder
from verifiable.model.program.ops import Combine, Pad, Reshape, Scale, SumPool
from verifiable.model.quantise.steps import Average, Move

Numbers = tuple[int, ...]


def average(builder: Builder, step: Average, x: Narrow) -> Accumulator:
    """The sum over windows, with the average's factor in its scale."""
    low, high = builder.range(x.tensor)
    if any(step.pads):
        low, high = min(low, 0), max(high, 0)
    area = step.kernel[0] * step.kernel[1]
    factor = x.scale / area if step.factor != 1 else x.scale

    def emit(multipliers: Numbers, biases: Numbers) -> int:
        pool = SumPool(
            source=x.tensor, kernel=step.kernel, strides=step.strides, pads=step.pads, multiplier=multipliers[0], bias=biases[0],
        )  # fmt: skip
        return builder.add(pool)

    return Accumulator(channels=(Channel(low=area * low, high=area * high, factor=factor, shift=Fraction(0)),), emit=emit)


def weighted(builder: Builder, state: State, factor: NDArray[np.float64]) -> Accumulator:
    """Sums over windows, each divided by the number of elements that it counts: ``factor`` [height, width] holds inverses."""
    assert isinstance(state, Accumulator)
    whole, inner = state.channels[0], state.emit
    channels = tuple(replace(whole, factor=whole.factor / round(1 / f)) for f in factor.ravel().tolist())

    def emit(multipliers: Numbers, biases: Numbers) -> int:
        numbers = [builder.constant(np.array(n, np.int64).reshape(factor.shape)) for n in (multipliers, biases)]
        return builder.add(Scale(source=inner((1,), (0,)), multiplier=numbers[0], bias=numbers[1]))

    return Accumulator(channels=channels, emit=emit)


def reshaped(builder: Builder, state: State, shape: Numbers) -> State:
    """A reshape, of an accumulator too."""
    if not isinstance(state, Accumulator):
        return moved(state, lambda t: builder.add(Reshape(source=t, shape=shape)))
    inner = state.emit
    return replace(state, emit=lambda m, b: builder.add(Reshape(source=inner(m, b), shape=shape)))


def moved(state: State, move: Callable[[int], int]) -> State:
    """The same kind of value, elements elsewhere. Raises UnsupportedError for one that is not held as integers yet."""
    if not isinstance(state, Narrow | Quantised):
        raise UnsupportedError("of a value that is neither quantised nor dequantised", hint=HINT)
    return replace(state, tensor=move(state.tensor))


def placed(builder: Builder, states: Sequence[State], move: Move, attributes: Mapping[str, Any]) -> State:
    """Any structural operator on one value or several."""
    if len(states) > 1:
        return _joined(builder, states, move, attributes)
    state = states[0]
    if move.constant is None:
        return moved(state, lambda t: builder.add(move.op((t,), 1.0)))
    value = Fraction(move.constant)
    steps = value / state.scale if isinstance(state, Narrow) else value - (state.zero if isinstance(state, Quantised) else 0)
    if steps.denominator != 1:
        raise UnsupportedError("its constant is not on the grid of its input", hint="pad with 0")
    return moved(state, lambda t: builder.add(_with_value(move, t, int(steps))))


def centred(builder: Builder, state: Quantised, zero: int) -> int:
    """The tensor of ``q - zero``."""
    if state.zero == zero:
        return state.tensor
    return builder.add(Combine(sources=(state.tensor,), coefficients=(1,), constant=state.zero - zero))


def _joined(builder: Builder, states: Sequence[State], move: Move, attributes: Mapping[str, Any]) -> State:
    whole = [s for s in states if isinstance(s, Quantised)]
    if len(whole) == len(states):
        tensors = tuple(centred(builder, s, whole[0].zero) for s in whole)
        return replace(whole[0], tensor=builder.add(move.op(tensors, 1.0)))
    parts = tuple(s for s in states if isinstance(s, Narrow))
    if len(parts) != len(states):
        raise UnsupportedError("of values that are not all dequantised", hint=HINT)
    if len({(part.scale, part.clip) for part in parts}) == 1:
        return replace(parts[0], tensor=builder.add(move.op(tuple(p.tensor for p in parts), 1.0)))
    return Joined(parts=parts, axis=attributes["axis"] % len(builder.shapes[parts[0].tensor]))


def _with_value(move: Move, tensor: int, value: int) -> Pad:
    pad = move.op((tensor,), 1.0)
    assert isinstance(pad, Pad)
    return replace(pad, value=value)
