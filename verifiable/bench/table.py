# SPDX-License-Identifier: Apache-2.0
"""Rows of text, for a terminal and as Markdown, and figures as people read them."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence

Row = Sequence[str]


def aligned(headings: Row, rows: Sequence[Row], left: Collection[str]) -> list[str]:
    """For a terminal. Columns in ``left`` are left-aligned; the last cell of a row that is too short runs on."""
    table = [headings, *rows]
    widths = [max(len(row[i]) for row in table if len(row) == len(headings)) for i in range(len(headings))]
    return [_aligned(row, headings, widths, left) for row in table]


def _aligned(row: Row, headings: Row, widths: Sequence[int], left: Collection[str]) -> str:
    cells = [
        cell.ljust(width) if heading in left else cell.rjust(width)
        for cell, width, heading in zip(row, widths, headings, strict=False)
    ]
    if len(row) < len(headings):
        cells[-1] = row[-1]
    return "  ".join(cells).rstrip()


def markdown(headings: Row, rows: Sequence[Row], left: Collection[str]) -> list[str]:
    """The lines of a GitHub-flavoured table; rows that are too short are filled up."""
    rules = [":--" if heading in left else "--:" for heading in headings]
    table = [headings, rules, *((*row, *[""] * (len(headings) - len(row))) for row in rows)]
    return ["| " + " | ".join(row) + " |" for row in table]


def goals(judged: Sequence[Row]) -> list[str]:
    """(goal, limit, found, met) for a terminal."""
    widths = [max((len(row[i]) for row in judged), default=0) for i in range(4)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in judged]


def goals_markdown(judged: Sequence[Row]) -> list[str]:
    """The same as Markdown, after an empty line; nothing where nothing was judged."""
    if not judged:
        return []
    return ["", "| goal | limit | found | |", "|:--|--:|--:|:--|", *("| " + " | ".join(row) + " |" for row in judged)]


def factor(value: float) -> str:
    """``1/130`` below a half, else ``0.8`` or ``3.2``."""
    return f"1/{1 / value:,.0f}" if 0 < value < 0.5 else f"{value:.1f}"


def seconds(value: float | None) -> str:
    """``38 µs``, ``9.5 ms``, ``640 ms``, ``1.5 s``; empty for None."""
    if value is None:
        return ""
    if value < 0.001:
        return f"{value * 1e6:.0f} µs"
    if value < 1:
        return f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.1f} ms"
    return f"{value:.1f} s" if value < 100 else f"{value:,.0f} s"


def spread(times: Sequence[float]) -> str:
    """``42 ms (40 ms to 61 ms)``: the median, least and most; one alone by itself, empty for none."""
    median = seconds(statistics.median(times)) if times else ""
    return f"{median} ({seconds(min(times))} to {seconds(max(times))})" if len(times) > 1 else median


def size(value: float | None) -> str:
    """``512 B``, ``1.5 MB``; empty for None."""
    if value is None:
        return ""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= scale:
            return f"{value / scale:.1f} {unit}" if value < 100 * scale else f"{value / scale:.0f} {unit}"
    return f"{value:.0f} B"


__all__ = ["aligned", "factor", "goals", "goals_markdown", "markdown", "seconds", "size", "spread"]
