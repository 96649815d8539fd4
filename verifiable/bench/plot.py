# SPDX-License-Identifier: Apache-2.0
"""Time and memory against size, as an SVG file: two logarithmic panels, one colour per system, no script and no fonts of its own.

The networks of the ladder are joined by a line; every other model is a mark by itself. Each mark tells its model and value to
whoever points at it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from verifiable.bench import SYSTEMS
from verifiable.bench.goals import ladder
from verifiable.bench.results import Results
from verifiable.model.synthetic import LADDER

_COLOURS = dict(zip(SYSTEMS, ("#0b6e4f", "#d1495b", "#5b6c8f"), strict=True))
_WIDTH, _HEIGHT = 960, 420
_PANEL_WIDTH, _PANEL_HEIGHT, _TOP, _LEFTS = 380, 300, 56, (78, 560)
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.t{font-size:14px;font-weight:600}.g{stroke:#e4e4e4}.m{stroke:#f3f3f3}"
    ".f{fill:none;stroke:#888}.l{fill:none;stroke-width:2}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A logarithmic axis from 10^low to 10^high over the pixels ``start`` to ``end``."""

    low: int
    high: int
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float) -> Axis:
        """Whole decades around positive ``values``."""
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return cls(low=low, high=max(high, low + 1), start=start, end=end)

    def at(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def decades(self) -> Iterator[float]:
        return (10.0**power for power in range(self.low, self.high + 1))

    def between(self) -> Iterator[float]:
        """2, 3, ..., 9 times each decade."""
        return (n * 10.0**power for power in range(self.low, self.high) for n in range(2, 10))


def plot(results: Results) -> bytes:
    """The SVG document. Panels without any measurement are left empty."""
    panels = (("witness + proof", "total", _seconds), ("peak memory while proving", "memory-prove", _bytes))
    body = [line for left, panel in zip(_LEFTS, panels, strict=True) for line in _panel(results, left, *panel)]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}">'
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
    )
    machine = f'<text x="{_LEFTS[0]}" y="{_HEIGHT - 8}" style="font-size:10px">{escape(str(results.machine))}</text>'
    return "\n".join([head, *_legend(results), *body, machine, "</svg>\n"]).encode()


def _panel(results: Results, left: int, title: str, figure: str, unit: Callable[[float], str]) -> Iterator[str]:
    points = [
        (m.model, m.system, m.size.parameters + m.size.activations, value)
        for m in results.measurements
        if (value := m.figure(figure)) and m.size.parameters + m.size.activations > 0
    ]
    yield f'<text class="t" x="{left}" y="{_TOP - 10}">{escape(title)}</text>'
    if not points:
        return
    bottom, right = _TOP + _PANEL_HEIGHT, left + _PANEL_WIDTH
    x = Axis.over([size for _, _, size, _ in points], left, right)
    y = Axis.over([value for *_, value in points], bottom, _TOP)
    yield from _grid(x, y, unit)
    yield f'<rect class="f" x="{left}" y="{_TOP}" width="{_PANEL_WIDTH}" height="{_PANEL_HEIGHT}"/>'
    label = "parameters + activations"
    yield f'<text x="{left + _PANEL_WIDTH / 2}" y="{bottom + 34}" text-anchor="middle">{label}</text>'
    for system in SYSTEMS:
        if len(line := ladder(results, system, figure)) > 1:
            corners = " ".join(f"{x.at(size)},{y.at(value)}" for size, value in line)
            yield f'<polyline class="l" stroke="{_COLOURS[system]}" points="{corners}"/>'
    for model, system, size, value in points:
        told = escape(f"{model}, {system}: {unit(value)}")
        yield _mark(x.at(size), y.at(value), _COLOURS[system], filled=model in LADDER, title=told)


def _grid(x: Axis, y: Axis, unit: Callable[[float], str]) -> Iterator[str]:
    for kind, xs, ys in (("m", x.between(), y.between()), ("g", x.decades(), y.decades())):
        for value in xs:
            yield f'<path class="{kind}" d="M{x.at(value)} {y.start}V{y.end}"/>'
        for value in ys:
            yield f'<path class="{kind}" d="M{x.start} {y.at(value)}H{x.end}"/>'
    for value in x.decades():
        yield f'<text x="{x.at(value)}" y="{y.start + 16}" text-anchor="middle">{_count(value)}</text>'
    for value in y.decades():
        yield f'<text x="{x.start - 6}" y="{y.at(value) + 4}" text-anchor="end">{unit(value)}</text>'


def _mark(x: float, y: float, colour: str, *, filled: bool, title: str) -> str:
    if filled:
        return f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"><title>{title}</title></circle>'
    corners = f"M{x} {y - 5}L{x + 5} {y}L{x} {y + 5}L{x - 5} {y}Z"
    return f'<path d="{corners}" fill="#fff" stroke="{colour}" stroke-width="2"><title>{title}</title></path>'


def _legend(results: Results) -> Iterator[str]:
    measured = {m.system for m in results.measurements if m.status == "measured"}
    for i, system in enumerate(s for s in SYSTEMS if s in measured):
        x = _LEFTS[0] + 120 * i
        yield _mark(x + 5, 18, _COLOURS[system], filled=True, title=system)
        yield f'<text x="{x + 16}" y="22">{system}</text>'
    yield f'<text x="{_LEFTS[1]}" y="22">dots joined: one MLP in four sizes; diamonds: other networks</text>'


def _count(value: float) -> str:
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:g}{unit}"
    return f"{value:g}"


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value >= 1 else f"{value * 1000:.3g} ms"


def _bytes(value: float) -> str:
    return f"{value / 1e9:.3g} GB" if value >= 1e9 else f"{value / 1e6:.3g} MB"


__all__ = ["Axis", "plot"]
