# SPDX-License-Identifier: Apache-2.0
"""What is known of a value of a quantised model while it is lowered. Scales are exact fractions throughout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifiable.model.program.bounds import Interval
from verifiable.model.quantise.functions import Function

Integers = NDArray[np.int64]
HINT = "quantise every operator's input and output (QDQ format, all operators)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """``real = scale · (q - zero)`` for q of an integer ``dtype``."""

    scale: Fraction
    zero: int
    dtype: str

    @property
    def clamp(self) -> Interval:
        """What q - zero can be."""
        info = np.iinfo(np.dtype(self.dtype))
        return int(info.min) - self.zero, int(info.max) - self.zero


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatInput:
    """An input of the model in floating point, before its quantisation."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """The model holds integers q of a dtype; the Program's ``tensor`` holds q - zero, for whatever zero suits it."""

    tensor: int
    zero: int
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Limits of a real value, None where there is none."""

    low: Fraction | None = None
    high: Fraction | None = None

    def then(self, other: Clip) -> Clip:
        """The limits of clipping by this one and then by ``other``."""
        return Clip(low=_limited(self.low, other, max), high=_limited(self.high, other, min))


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrow:
    """The real value ``scale · tensor``, clipped."""

    tensor: int
    scale: Fraction
    clip: Clip = field(default_factory=Clip)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """Constant integers, centred: ``real = scales[i] · values`` along ``axis``; one scale if that is None."""

    values: Integers
    scales: tuple[Fraction, ...]
    axis: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """``factor · s + shift`` for integers s in [low, high]; ``factor`` is positive."""

    low: int
    high: int
    factor: Fraction
    shift: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Accumulator:
    """A linear operation that waits for its target: ``emit(multipliers, biases)`` makes the tensor."""

    channels: tuple[Channel, ...]
    emit: Callable[[tuple[int, ...], tuple[int, ...]], int]
    clip: Clip = field(default_factory=Clip)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """``factors[0] · tensors[0] + factors[1] · tensors[1]``, clipped; the first factor is positive."""

    tensors: tuple[int, int]
    factors: tuple[Fraction, Fraction]
    clip: Clip = field(default_factory=Clip)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """``function(scale · tensor)``, not rational in general."""

    tensor: int
    scale: Fraction
    function: Function


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Parts with scales of their own, to be put side by side along ``axis``."""

    parts: tuple[Narrow, ...]
    axis: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What is computed of an output after the proof."""

    value: Any
    post: str
    axis: int


State = FloatInput | Quantised | Narrow | Constant | Accumulator | Sum | Applied | Joined | Posted


def _limited(limit: Fraction | None, other: Clip, outer: Callable[[Fraction, Fraction], Fraction]) -> Fraction | None:
    """``limit`` as ``other`` leaves it: the tighter of two on one side, but never across the other side."""
    own = other.low if outer is max else other.high
    if limit is None:
        return own
    moved = limit if other.low is None else max(limit, other.low)
    return moved if other.high is None else min(moved, other.high)
