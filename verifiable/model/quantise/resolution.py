# SPDX-License-Identifier: Apache-2.0
"""How finely an accumulator must be rounded before a function is looked up of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from verifiable.model.quantise.calibration import Stats
from verifiable.model.quantise.grid import Grid

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]
_PROBES = 2049
# A slope this small makes the rounding before the function harmless.
_FLAT = 1 / 8


def aligned(function: Function, target: Grid) -> bool:
    """Whether the function of every multiple of the grid's scale is such a multiple, or hardly changes there: as for Relu."""
    reach = max(target.high, -target.low)
    steps = np.unique(np.rint(np.linspace(-reach, reach, _PROBES)))
    with np.errstate(all="ignore"):
        here, left, right = (function((steps + d) * target.scale) / target.scale for d in (0, -0.5, 0.5))
        whole = np.abs(here - np.rint(here)) < 1e-6
        flat = np.abs(right - left) < _FLAT
    return bool((whole | flat | ~np.isfinite(here)).all())


def needed(function: Function, target: Grid, stats: Stats) -> float:
    """The coarsest rounding of its argument that keeps ``function`` within an eighth of a step of ``target``."""
    if aligned(function, target):
        return target.scale
    points = np.linspace(stats.low, stats.high, _PROBES)
    with np.errstate(all="ignore"):
        values = np.clip(function(points) / target.scale, target.low, target.high)
        slopes = np.abs(np.diff(values)) / max(points[1] - points[0], 1e-300)
    steepest = float(np.max(slopes[np.isfinite(slopes)], initial=0.0))
    return 1 / (4 * steepest) if steepest > 0 else target.scale
