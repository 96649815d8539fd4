# SPDX-License-Identifier: Apache-2.0
"""Weights and coefficients as integers, for an accumulator whose unit is ``unit``.

A channel's multiplier M is chosen first, the channel's weight scale follows from it as ``M · unit / input scale``: rescaling is
exact, and only the weights are rounded. Multipliers are even and one bias is odd, so that no accumulator can be a tie.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verifiable.errors import UnsupportedError
from verifiable.model.quantise.steps import Floats

_LARGEST = 1 << 61
# Levels of a weight that are enough; wider weights need not use all of theirs.
_LEVELS = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Integers:
    """Weights, and a multiplier and bias per channel. ``fineness``: how much of 127 levels the weights use, 1 at best."""

    weight: NDArray[np.generic]
    multiplier: NDArray[np.int64]
    bias: NDArray[np.int64]
    fineness: float


def integers(weight: Floats, bias: Floats, *, scale: float, unit: float, bits: int) -> Integers:
    """``weight`` [O, ...] of an input with ``scale``. Raises UnsupportedError where a number leaves int64."""
    limit = (1 << (bits - 1)) - 1
    largest = np.abs(weight.reshape(weight.shape[0], -1)).max(axis=1)
    needed = largest / limit * (scale / unit)
    multiplier = np.maximum(2 * np.ceil(needed / 2), 2)
    steps = multiplier * (unit / scale)
    rounded = np.rint(weight / steps.reshape(-1, *(1,) * (weight.ndim - 1)))
    used = np.minimum(needed / multiplier * (limit / _LEVELS), 1.0)[largest > 0]
    return Integers(
        weight=np.clip(rounded, -limit, limit).astype(np.int8 if bits <= 8 else np.int16),
        multiplier=_int64(multiplier),
        bias=odd(bias / unit),
        fineness=float(used.mean()) if used.size else 1.0,
    )


def odd(values: Floats) -> NDArray[np.int64]:
    """The nearest odd integers."""
    return _int64(2 * np.floor(values / 2) + 1)


def even(values: Floats) -> NDArray[np.int64]:
    """The nearest even integers."""
    return _int64(2 * np.rint(values / 2))


def exactness(values: Floats) -> float:
    """1 less ten times the relative error of :func:`even`: 0.9 for coefficients within one per cent."""
    wanted = values[values != 0]
    return 1.0 if not wanted.size else 1 - 10 * float(np.abs(2 * np.rint(wanted / 2) / wanted - 1).mean())


def unit_for(resolution: float, shifts: tuple[int, ...], fineness: Callable[[float], float], enough: float = 0.9) -> float:
    """``resolution / 2^shift`` for the smallest shift that is fine enough, or the finest there is."""
    for shift in shifts:
        unit = math.ldexp(resolution, -shift)
        if fineness(unit) >= enough:
            break
    return unit


def _int64(values: Floats) -> NDArray[np.int64]:
    if not np.isfinite(values).all() or float(np.abs(values).max(initial=0)) >= _LARGEST:
        raise UnsupportedError("its weights or bias do not fit into 62 bits at the accuracy of its activations")
    return values.astype(np.int64)
