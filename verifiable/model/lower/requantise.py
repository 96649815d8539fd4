# SPDX-License-Identifier: Apache-2.0
"""QuantizeLinear: from a real value, however it is held, to the integers of a grid, rounded exactly."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from verifiable.errors import UnsupportedError
from verifiable.model.lower.exact import Row, rescaling, round_half_even
from verifiable.model.lower.states import Accumulator, Applied, Clip, Grid, Joined, Narrow, State, Sum
from verifiable.model.program.bounds import Interval
from verifiable.model.program.builder import Builder
from verifiable.model.program.ops import Combine, Concat
from verifiable.model.program.tables import Values, check_rows, clamped, tabulate

# Pairs of values that are gone through for a sum of two tensors.
_MAX_PAIRS = 1 << 17


def quantised(builder: Builder, state: State, grid: Grid) -> int:
    """The tensor of ``q - zero``. Raises UnsupportedError where exact integers cannot be had."""
    if isinstance(state, Narrow):
        return _narrow(builder, state, grid)
    if isinstance(state, Applied):
        return _applied(builder, state, grid)
    if isinstance(state, Accumulator):
        return _accumulator(builder, state, grid)
    if isinstance(state, Sum):
        return _sum(builder, state, grid)
    if isinstance(state, Joined):
        return builder.add(Concat(sources=tuple(_narrow(builder, part, grid) for part in state.parts), axis=state.axis))
    raise UnsupportedError(
        "what is quantised here is not a computed real value", hint="quantise every operator's input and output"
    )


def _narrow(builder: Builder, state: Narrow, grid: Grid) -> int:
    factor = state.scale / grid.scale
    low, high = builder.range(state.tensor)
    limits = _limits(state.clip, grid)
    if factor == 1 and limits[0] <= low and high <= limits[1]:
        return state.tensor
    check_rows((low, high), "its table")
    entries = np.array([float(round_half_even(factor * n)) for n in range(low, high + 1)])
    return builder.requantise(state.tensor, 0, _clipped(entries, (low, high), state.clip, grid))


def _applied(builder: Builder, state: Applied, grid: Grid) -> int:
    entries = tabulate(
        state.function, builder.range(state.tensor), scale_in=float(state.scale), scale_out=float(grid.scale), clamp=grid.clamp,
        where="its table",
    )  # fmt: skip
    return builder.requantise(state.tensor, 0, entries)


def _accumulator(builder: Builder, state: Accumulator, grid: Grid) -> int:
    factors = [channel.factor / grid.scale for channel in state.channels]
    shifts = [channel.shift / grid.scale for channel in state.channels]
    rows = [
        Row(low=channel.low, high=channel.high, factor=factor, shift=shift, channel=i)
        for i, (channel, factor, shift) in enumerate(zip(state.channels, factors, shifts, strict=True))
    ]
    found = rescaling(rows, factors, shifts, _limits(state.clip, grid))
    return _rounded(builder, state.emit(found.multipliers, found.biases), found.shift, state.clip, grid)


def _sum(builder: Builder, state: Sum, grid: Grid) -> int:
    (low, high), others = (builder.range(tensor) for tensor in state.tensors)
    if (high - low + 1) * (others[1] - others[0] + 1) > _MAX_PAIRS:
        raise UnsupportedError("a sum of tensors of more than 8 bits", hint="quantise activations to 8 bits")
    first, second = (factor / grid.scale for factor in state.factors)
    rows = [
        Row(low=low, high=high, factor=first, shift=second * other, other=other) for other in range(others[0], others[1] + 1)
    ]  # fmt: skip
    found = rescaling(rows, [first], [Fraction(0)], _limits(state.clip, grid), second)
    combined = Combine(sources=state.tensors, coefficients=(found.multipliers[0], found.second), constant=found.biases[0])
    return _rounded(builder, builder.add(combined), found.shift, state.clip, grid)


def _rounded(builder: Builder, tensor: int, shift: int, clip: Clip, grid: Grid) -> int:
    rounded = builder.rounded(tensor, shift)
    check_rows(rounded, "its table")
    return builder.requantise(tensor, shift, _clipped(np.arange(rounded[0], rounded[1] + 1.0), rounded, clip, grid))


def _clipped(entries: np.ndarray[tuple[int, ...], np.dtype[np.float64]], rounded: Interval, clip: Clip, grid: Grid) -> Values:
    """Clipping a real value and rounding it is rounding both and clipping, since rounding is monotone."""
    low, high = _steps(clip, grid)
    limited = np.minimum(np.maximum(entries, low), high)
    return clamped(limited, rounded, grid.clamp, "its table")


def _steps(clip: Clip, grid: Grid) -> tuple[float, float]:
    low = -np.inf if clip.low is None else float(round_half_even(clip.low / grid.scale))
    return low, np.inf if clip.high is None else float(round_half_even(clip.high / grid.scale))


def _limits(clip: Clip, grid: Grid) -> Interval:
    """Where steps of the rounding matter: within the grid, and within the clip."""
    low, high = _steps(clip, grid)
    first, last = grid.clamp
    return min(max(first, int(max(low, first))), last), max(min(last, int(min(high, last))), first)
