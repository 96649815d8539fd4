# SPDX-License-Identifier: Apache-2.0
"""What a log is meant to reach on two cores, judged at the largest size that was measured; and how memory grows with size.

A goal that is missed is shown, and fails nothing: times depend on the machine, on its disk and on who else uses both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from verifiable.bench.ledger import STEPS
from verifiable.bench.ledger.results import Results

#: Below about so many entries the cache of the index of entries, 32 MB at most, is still being filled.
SETTLED = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """``figure`` is at most ``limit`` (seconds), or at least (entries per second)."""

    figure: str
    limit: float
    at_least: bool = False


GOALS = (
    Goal(figure="append", limit=5_000, at_least=True),
    Goal(figure="open", limit=0.1),
    Goal(figure="open-cold", limit=0.1),
    Goal(figure="prove", limit=0.005),
    Goal(figure="prove-cold", limit=0.005),
    Goal(figure="verify", limit=0.001),
    Goal(figure="fsck", limit=200_000, at_least=True),
)
#: Memory that is flat in the size of the log grows with a power no larger than this.
FLAT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A goal, and what was ``found`` in a log of ``entries``."""

    goal: Goal
    entries: int
    found: float

    @property
    def met(self) -> bool:
        return self.found >= self.goal.limit if self.goal.at_least else self.found <= self.goal.limit


def judge(results: Results) -> Iterator[Judged]:
    """The goals whose figures were measured in this run; of times the median counts."""
    for goal in GOALS:
        if points := results.points(goal.figure):
            entries, found = points[-1]
            yield Judged(goal=goal, entries=entries, found=found)


def growth(results: Results) -> dict[str, float]:
    """The power of the number of entries that memory grows with, per step: 0 is flat. Only from SETTLED entries on."""
    slopes = {step: _slope([p for p in results.points(f"memory-{step}") if p[0] >= SETTLED]) for step in STEPS}
    return {step: slope for step, slope in slopes.items() if slope is not None}


def _slope(points: list[tuple[int, float]]) -> float | None:
    """Of the line through ``points``, both axes logarithmic; None below two."""
    if len(points) < 2:
        return None
    xs, ys = zip(*((math.log(x), math.log(y)) for x, y in points), strict=True)
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    return float(sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread)


__all__ = ["FLAT", "GOALS", "SETTLED", "Goal", "Judged", "growth", "judge"]
