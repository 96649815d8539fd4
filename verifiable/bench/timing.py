# SPDX-License-Identifier: Apache-2.0
"""How often something is run, and how long one run takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
#: A first run of so many seconds is no warm-up: it counts, and is the only one. All runs together stop after the second number.
SLOW, BUDGET = 20.0, 60.0


def repeat(call: Callable[[], T], runs: int) -> list[T]:
    """The results of a warm-up (dropped unless it is slow) and ``runs`` more, or of as many as fit the budget."""
    started = time.monotonic()
    first = call()
    if time.monotonic() - started > SLOW:
        return [first]
    found = [call()]
    while len(found) < runs and time.monotonic() - started < BUDGET:
        found.append(call())
    return found


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.monotonic()
    call()
    return time.monotonic() - started


__all__ = ["BUDGET", "SLOW", "repeat", "timed"]
