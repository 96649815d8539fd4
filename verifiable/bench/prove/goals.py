# SPDX-License-Identifier: Apache-2.0
"""What the proof systems are meant to reach on two cores, and how cost grows with size.

A goal that is missed is shown, and fails nothing: times depend on the machine and on who else uses it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from verifiable.bench.prove import STOCK
from verifiable.bench.prove.results import Results
from verifiable.model.synthetic import LADDER

MB, GB = 10**6, 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """``figure`` of a model with a system is at most ``limit``: seconds or bytes, or times the figure of ``of``."""

    model: str
    figure: str
    limit: float
    system: str = "sumcheck"
    of: tuple[str, str] | None = None


def _ours(model: str, **limits: float) -> tuple[Goal, ...]:
    return tuple(Goal(model=model, figure=name.replace("_", "-"), limit=limit) for name, limit in limits.items())


_MLP = "mlp-784-128-10"
GOALS = (
    Goal(model=_MLP, figure="total", limit=1 / 100, of=(_MLP, STOCK)),
    *_ours(_MLP, memory_prove=300 * MB, verify=0.05, proof=0.3 * MB),
    Goal(model=f"{_MLP}-batch32", figure="total", limit=4, of=(_MLP, "sumcheck")),
    Goal(model="lenet5-mnist", figure="total", limit=1 / 500, of=("lenet5-mnist", STOCK)),
    *_ours("lenet5-mnist", command=1.5, memory_prove=400 * MB, verify=0.1, proof=0.5 * MB),
    *_ours("cifar-cnn", total=0.6, memory_prove=1 * GB, verify=0.3, proof=1.5 * MB),
    *_ours("dense-4m", total=1.2, memory_prove=2 * GB, verify=0.3, proof=3 * MB),
    *_ours("resnet18-cifar", memory_peak=8 * GB),
    # ezkl as tuned here against its own calibration.
    Goal(model="lenet5-mnist", system="ezkl", figure="proving-key", limit=1, of=("lenet5-mnist", STOCK)),
    Goal(model="lenet5-mnist", system="ezkl", figure="total", limit=1, of=("lenet5-mnist", STOCK)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A goal, and what was ``found``, in the goal's unit."""

    goal: Goal
    found: float

    @property
    def met(self) -> bool:
        return self.found <= self.goal.limit


def judge(results: Results) -> Iterator[Judged]:
    """The goals whose figures were measured in this run."""
    for goal in GOALS:
        found = results.figure(goal.model, goal.system, goal.figure)
        base = 1.0 if goal.of is None else results.figure(*goal.of, goal.figure)
        if found is not None and base:
            yield Judged(goal=goal, found=found / base)


def slope(results: Results, system: str, figure: str) -> float | None:
    """Of ``figure`` over parameters + activations, both logarithmic, along the ladder: 1 is linear. None below two points."""
    points = ladder(results, system, figure)
    if len(points) < 2:
        return None
    xs, ys = zip(*((math.log(x), math.log(y)) for x, y in points), strict=True)
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    return float(sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread)


def ladder(results: Results, system: str, figure: str) -> list[tuple[int, float]]:
    """(parameters + activations, figure) of one shape in several sizes, smallest first."""
    found = []
    for name in LADDER:
        measured = results.find(name, system)
        if measured is not None and (value := measured.figure(figure)):
            found.append((measured.size.parameters + measured.size.activations, value))
    return sorted(found)


__all__ = ["GOALS", "Goal", "Judged", "judge", "ladder", "slope"]
