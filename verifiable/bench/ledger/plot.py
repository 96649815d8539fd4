# SPDX-License-Identifier: Apache-2.0
"""Entries per second and memory against the size of the log, as an SVG file, one colour per step.

What each is meant to reach at least is a dashed line in its colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from verifiable.bench import svg
from verifiable.bench.ledger import STEPS
from verifiable.bench.ledger.goals import GOALS
from verifiable.bench.ledger.results import Results

_COLOURS = dict(zip(STEPS, ("#0b6e4f", "#b8860b", "#5b6c8f", "#d1495b"), strict=True))
_TOLD = dict(zip(STEPS, ("append", "open", "prove and verify", "fsck"), strict=True))
_RATES = {"append": "append", "fsck": "fsck"}
_MEMORY = {step: f"memory-{step}" for step in STEPS}


def plot(results: Results) -> bytes:
    """The SVG document. Panels without any measurement are left empty."""
    goals = {goal.figure: goal.limit for goal in GOALS if goal.at_least}
    rates = _panel(results, svg.LEFTS[0], "entries per second", _RATES, svg.count, goals=goals)
    memory = _panel(results, svg.LEFTS[1], "peak memory", _MEMORY, svg.size, goals={})
    return svg.document([*_legend(results), *rates, *memory], str(results.machine))


def _panel(
    results: Results, left: int, title: str, figures: Mapping[str, str], unit: svg.Unit, *, goals: Mapping[str, float]
) -> Iterator[str]:
    """``figures``: by step; ``goals``: likewise, for those that have one."""
    drawn = {step: points for step, figure in figures.items() if (points := results.points(figure))}
    yield svg.title(left, title)
    if not drawn:
        return
    aims = {step: goals[step] for step in drawn if step in goals}
    every = [point for points in drawn.values() for point in points]
    x, y = svg.axes(left, [size for size, _ in every], [*(value for _, value in every), *aims.values()])
    yield from svg.frame(x, y, "entries in the log", unit)
    for step, aim in aims.items():
        yield f'<path d="M{x.start} {y.at(aim)}H{x.end}" stroke="{_COLOURS[step]}" stroke-dasharray="5 4"/>'
    for step, points in drawn.items():
        if len(points) > 1:
            yield svg.line(x, y, points, _COLOURS[step])
        for size, value in points:
            told = f"{_TOLD[step]}, {size:,} entries: {unit(value)}"
            yield svg.mark(x.at(size), y.at(value), _COLOURS[step], filled=True, told=told)


def _legend(results: Results) -> Iterator[str]:
    measured = [step for step in STEPS if results.points(_MEMORY[step])]
    yield from svg.legend(svg.LEFTS[0], [(_TOLD[step], _COLOURS[step]) for step in measured])
    yield f'<text x="{svg.LEFTS[1]}" y="22">dashed: what it is meant to reach at least</text>'


__all__ = ["plot"]
