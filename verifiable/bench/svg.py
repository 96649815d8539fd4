# SPDX-License-Identifier: Apache-2.0
"""Plots as SVG files: two logarithmic panels side by side, no script and no fonts of their own.

A plot brings the points and what they are called; here are the axes, the grid, the marks and the page. Each mark tells its value
to whoever points at it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 960, 420
PANEL_WIDTH, PANEL_HEIGHT, TOP, LEFTS = 380, 300, 56, (78, 560)
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.t{font-size:14px;font-weight:600}.g{stroke:#e4e4e4}.m{stroke:#f3f3f3}"
    ".f{fill:none;stroke:#888}.l{fill:none;stroke-width:2}"
)
Unit = Callable[[float], str]


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


def document(body: Iterable[str], foot: str) -> bytes:
    """The page around ``body``, with one small line of text at its foot."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">'
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
    )
    line = f'<text x="{LEFTS[0]}" y="{HEIGHT - 8}" style="font-size:10px">{escape(foot)}</text>'
    return "\n".join([head, *body, line, "</svg>\n"]).encode()


def title(left: float, text: str) -> str:
    """Above the panel that begins at ``left``."""
    return f'<text class="t" x="{left}" y="{TOP - 10}">{escape(text)}</text>'


def axes(left: float, xs: Sequence[float], ys: Sequence[float]) -> tuple[Axis, Axis]:
    """Both axes of the panel at ``left``, around positive values."""
    return Axis.over(xs, left, left + PANEL_WIDTH), Axis.over(ys, TOP + PANEL_HEIGHT, TOP)


def frame(x: Axis, y: Axis, label: str, unit: Unit) -> Iterator[str]:
    """Grid, border and captions of a panel."""
    for kind, xs, ys in (("m", x.between(), y.between()), ("g", x.decades(), y.decades())):
        for value in xs:
            yield f'<path class="{kind}" d="M{x.at(value)} {y.start}V{y.end}"/>'
        for value in ys:
            yield f'<path class="{kind}" d="M{x.start} {y.at(value)}H{x.end}"/>'
    for value in x.decades():
        yield f'<text x="{x.at(value)}" y="{y.start + 16}" text-anchor="middle">{count(value)}</text>'
    for value in y.decades():
        yield f'<text x="{x.start - 6}" y="{y.at(value) + 4}" text-anchor="end">{unit(value)}</text>'
    yield f'<rect class="f" x="{x.start}" y="{y.end}" width="{PANEL_WIDTH}" height="{PANEL_HEIGHT}"/>'
    yield f'<text x="{x.start + PANEL_WIDTH / 2}" y="{y.start + 34}" text-anchor="middle">{escape(label)}</text>'


def line(x: Axis, y: Axis, points: Iterable[tuple[float, float]], colour: str) -> str:
    """Joins ``points``."""
    corners = " ".join(f"{x.at(size)},{y.at(value)}" for size, value in points)
    return f'<polyline class="l" stroke="{colour}" points="{corners}"/>'


def mark(x: float, y: float, colour: str, *, filled: bool, told: str) -> str:
    """A dot, or a diamond, that tells ``told``."""
    text = escape(told)
    if filled:
        return f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"><title>{text}</title></circle>'
    corners = f"M{x} {y - 5}L{x + 5} {y}L{x} {y + 5}L{x - 5} {y}Z"
    return f'<path d="{corners}" fill="#fff" stroke="{colour}" stroke-width="2"><title>{text}</title></path>'


def legend(left: float, names: Iterable[tuple[str, str]], *, step: int = 120) -> Iterator[str]:
    """``names``: (name, colour), from ``left`` on, above everything."""
    for i, (name, colour) in enumerate(names):
        x = left + step * i
        yield mark(x + 5, 18, colour, filled=True, told=name)
        yield f'<text x="{x + 16}" y="22">{escape(name)}</text>'


def count(value: float) -> str:
    """``3k``, ``10M``."""
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g}{unit}"
    return f"{value:.3g}"


def seconds(value: float) -> str:
    """``1.5 s``, ``30 ms``."""
    return f"{value:.3g} s" if value >= 1 else f"{value * 1000:.3g} ms"


def size(value: float) -> str:
    """``2 GB``, ``100 MB``."""
    return f"{value / 1e9:.3g} GB" if value >= 1e9 else f"{value / 1e6:.3g} MB"


__all__ = ["LEFTS", "Axis", "axes", "count", "document", "frame", "legend", "line", "mark", "seconds", "size", "title"]
