# SPDX-License-Identifier: Apache-2.0
"""One scale for each activation: ranges that always hold 0, clipped where that lowers the error of the samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from verifiable.model.quantise.calibration import Stats
from verifiable.model.quantise.grid import Grid
from verifiable.model.quantise.steps import Largest, Move, Outline

# Shares of the observed range that are tried, largest first; a smaller one must lower the error by a twentieth to be taken.
_SHARES = tuple(round(1 - 0.04 * i, 2) for i in range(16))
_GAIN = 0.95
# Bits of a scale's mantissa. Calibration runs in float32, whose last bits differ between machines; scales must not.
_MANTISSA = 12


def groups(outline: Outline, stats: Mapping[str, Stats]) -> dict[str, Stats]:
    """By value: statistics over all values that share its scale, as the ends of moves and maxima do."""
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for name, step in outline.steps.items():
        related = step.sources if isinstance(step, Move) else (step.source,) if isinstance(step, Largest) else ()
        for source in related:
            parent[find(source)] = find(name)
    members: dict[str, list[Stats]] = {}
    for name, step in outline.steps.items():
        found = members.setdefault(find(name), [])
        found += [stats[name]] if name in stats else []
        if isinstance(step, Move) and step.constant is not None:
            found.append(Stats.of([np.array([step.constant])]))
    merged = {root: Stats.union(found) for root, found in members.items() if found}
    return {name: merged[find(name)] for name in outline.steps if find(name) in merged}


def grid(stats: Stats, bits: int, *, search: bool = True, headroom: float = 1.0) -> Grid:
    """The grid of 2^bits levels, 0 among them, with the least squared error on the samples kept."""
    low, high = min(stats.low, 0.0) * headroom, max(stats.high, 0.0) * headroom
    if high - low <= 0:
        return Grid(scale=1.0, low=0, high=(1 << bits) - 1)
    best, least = _levels(low, high, bits), math.inf
    for share in _SHARES if search else _SHARES[:1]:
        candidate = _levels(low * share, high * share, bits)
        error = _error(candidate, stats.kept)
        if error < least * _GAIN:
            best, least = candidate, error
    return best


def exact_grid(stats: Stats, samples: Sequence[NDArray[np.generic]], bits: int, *, headroom: float = 1.0) -> Grid:
    """For inputs: all integers of so many bits, or 2^8 levels from lowest to highest, where all samples lie on them; else 2^bits.

    A circuit refuses what lies outside of them.
    """
    values = [np.asarray(sample, np.float64) for sample in samples]
    if all(bool((value == np.rint(value)).all()) for value in values) and max(-stats.low, stats.high) < 1 << 15:
        first, last = math.floor(stats.low), max(math.ceil(stats.high), 0)
        return Grid(scale=1.0, low=-(1 << (-first - 1).bit_length()) if first < 0 else 0, high=(1 << last.bit_length()) - 1)
    low, high = min(stats.low, 0.0), max(stats.high, 0.0)
    scale = (high - low) / 255 or 1.0
    if all(float(np.abs(value / scale - np.rint(value / scale)).max()) < 1e-3 for value in values):
        return Grid(scale=scale, low=round(low / scale), high=round(high / scale))
    return grid(stats, bits, search=False, headroom=headroom)


def _levels(low: float, high: float, bits: int) -> Grid:
    scale = snapped((high - low) / ((1 << bits) - 1))
    first = -min(round(-low / scale), (1 << bits) - 1)
    return Grid(scale=scale, low=first, high=first + (1 << bits) - 1)


def snapped(scale: float) -> float:
    """The next larger number with a short mantissa."""
    mantissa, exponent = math.frexp(scale)
    return math.ldexp(math.ceil(mantissa * (1 << _MANTISSA)), exponent - _MANTISSA)


def _error(candidate: Grid, values: NDArray[np.float64]) -> float:
    levels = np.clip(np.rint(values / candidate.scale), candidate.low, candidate.high)
    return float(((levels * candidate.scale - values) ** 2).mean())
