# SPDX-License-Identifier: Apache-2.0
"""The tables of a Program: any function of one rounded integer, activation, scaling and saturation in one.

Entries are computed in double precision and rounded half to even once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.program.bounds import Interval
from verifiable.model.program.ir import MAX_ROWS

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]
_MAX_ENTRY = 1 << 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """Entries for Y = low, low + 1, ...; clamped outside of [faithful_low, faithful_high]."""

    low: int
    array: NDArray[np.generic]
    faithful_low: int
    faithful_high: int


def tabulate(
    function: Function,
    rounded: Interval,
    *,
    scale_in: float,
    scale_out: float,
    clamp: Interval,
    where: str,
    max_rows: int = MAX_ROWS,
) -> Values:
    """``q = clamp(round(function(Y · scale_in) / scale_out))`` for every Y in ``rounded``.

    Raises UnsupportedError for more than ``max_rows`` rows, or a function that is not finite there.
    """
    check_rows(rounded, where, max_rows)
    points = np.arange(rounded[0], rounded[1] + 1, dtype=np.float64) * scale_in
    with np.errstate(all="ignore"):
        exact = np.asarray(function(points), np.float64) / scale_out
    if not np.isfinite(exact).all():
        at = points[~np.isfinite(exact)][0]
        raise UnsupportedError(
            f"{where}: its function is not finite at {at:.6g}, which its input can reach", hint="clip its input"
        )
    return clamped(np.rint(exact), rounded, clamp, where)


def clamped(entries: NDArray[np.float64], rounded: Interval, clamp: Interval, where: str) -> Values:
    """The table of ``entries`` saturated to ``clamp``. What is faithful is one interval: the longest that is not clamped."""
    if not -_MAX_ENTRY <= clamp[0] <= clamp[1] < _MAX_ENTRY:
        raise MalformedError(f"{where}: saturation to {list(clamp)} is not within int32")
    faithful = (entries >= clamp[0]) & (entries <= clamp[1])
    low, high = _longest(faithful)
    limited = np.clip(entries, *clamp).astype(np.int64)
    return Values(low=rounded[0], array=narrow(limited), faithful_low=rounded[0] + low, faithful_high=rounded[0] + high)


def check_rows(rounded: Interval, where: str, max_rows: int = MAX_ROWS) -> None:
    """Raises UnsupportedError for a table of more than ``max_rows`` rows."""
    rows = rounded[1] - rounded[0] + 1
    if rows > max_rows:
        raise UnsupportedError(
            f"{where}: its table would have {rows:,} rows, more than the {max_rows:,} allowed",
            hint="use fewer bits for activations",
        )


def narrow(values: NDArray[np.int64]) -> NDArray[np.generic]:
    """The same integers in the narrowest dtype of the Program's tables."""
    for dtype in (np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        if info.min <= int(values.min()) and int(values.max()) <= info.max:
            return values.astype(dtype)
    raise MalformedError("table: an entry beyond int32")


def _longest(faithful: NDArray[Any]) -> Interval:
    """First and last index of the longest run of True; a single one in the middle if there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], faithful.astype(np.int8), [0]])))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return len(faithful) // 2, len(faithful) // 2
    best = int(np.argmax(ends - starts))
    return int(starts[best]), int(ends[best] - 1)
