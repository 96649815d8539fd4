# SPDX-License-Identifier: Apache-2.0
"""Time and memory against the size of the model, as an SVG file, one colour per system.

The networks of the ladder are joined by a line; every other model is a mark by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from verifiable.bench import svg
from verifiable.bench.prove import SYSTEMS
from verifiable.bench.prove.goals import ladder
from verifiable.bench.prove.results import Results
from verifiable.model.synthetic import LADDER

_COLOURS = dict(zip(SYSTEMS, ("#0b6e4f", "#d1495b", "#5b6c8f"), strict=True))


def plot(results: Results) -> bytes:
    """The SVG document. Panels without any measurement are left empty."""
    panels = (("witness + proof", "total", svg.seconds), ("peak memory while proving", "memory-prove", svg.size))
    body = [line for left, panel in zip(svg.LEFTS, panels, strict=True) for line in _panel(results, left, *panel)]
    return svg.document([*_legend(results), *body], str(results.machine))


def _panel(results: Results, left: int, title: str, figure: str, unit: svg.Unit) -> Iterator[str]:
    points = [
        (m.model, m.system, m.size.parameters + m.size.activations, value)
        for m in results.measurements
        if (value := m.figure(figure)) and m.size.parameters + m.size.activations > 0
    ]
    yield svg.title(left, title)
    if not points:
        return
    x, y = svg.axes(left, [size for _, _, size, _ in points], [value for *_, value in points])
    yield from svg.frame(x, y, "parameters + activations", unit)
    for system in SYSTEMS:
        if len(joined := ladder(results, system, figure)) > 1:
            yield svg.line(x, y, joined, _COLOURS[system])
    for model, system, size, value in points:
        told = f"{model}, {system}: {unit(value)}"
        yield svg.mark(x.at(size), y.at(value), _COLOURS[system], filled=model in LADDER, told=told)


def _legend(results: Results) -> Iterator[str]:
    measured = {m.system for m in results.measurements if m.status == "measured"}
    yield from svg.legend(svg.LEFTS[0], [(s, _COLOURS[s]) for s in SYSTEMS if s in measured])
    yield f'<text x="{svg.LEFTS[1]}" y="22">dots joined: one MLP in four sizes; diamonds: other networks</text>'


__all__ = ["plot"]
