# SPDX-License-Identifier: Apache-2.0
"""Results as rows of text: for a terminal, and as Markdown for the documentation."""

from __future__ import annotations

from collections.abc import Sequence

from verifiable.bench import STOCK, SYSTEMS
from verifiable.bench.goals import Judged, judge, slope
from verifiable.bench.results import Measurement, Results

HEADINGS = (
    "model", "parameters", "system", "compile", "witness + proof", "as a command", "verify", "memory", "proving key", "proof",
    "time / stock", "memory / stock",
)  # fmt: skip
_LEFT = ("model", "system")
_RATIOS = ("total", "memory-prove")


def rows(results: Results) -> list[tuple[str, ...]]:
    """One per measurement, in the columns of HEADINGS; what was not measured says why in the fourth."""
    return [_row(m, results) for m in results.measurements]


def lines(results: Results) -> list[str]:
    """The table and what follows it, for a terminal."""
    table = [HEADINGS, *rows(results)]
    widths = [max(len(row[i]) for row in table if len(row) == len(HEADINGS)) for i in range(len(HEADINGS))]
    shown = [_aligned(row, widths) for row in table]
    return [*shown, "", *_notes(results), *growth(results), *_goals(results), f"measured on {results.machine}"]


def markdown(results: Results) -> str:
    """The same as GitHub-flavoured Markdown."""
    rules = [":--" if heading in _LEFT else "--:" for heading in HEADINGS]
    table = [HEADINGS, rules, *((*row, *[""] * (len(HEADINGS) - len(row))) for row in rows(results))]
    text = ["| " + " | ".join(row) + " |" for row in table]
    text += ["", f"Measured on {results.machine}.", ""]
    text += [f"* {line}" for line in (*_notes(results), *growth(results))]
    if judged := list(judge(results)):
        text += ["", "| goal | limit | found | |", "|:--|--:|--:|:--|"]
        text += ["| " + " | ".join(_goal(each)) + " |" for each in judged]
    return "\n".join(text) + "\n"


def growth(results: Results) -> list[str]:
    """How time and memory grow along the ladder, per system."""
    found = []
    for system in SYSTEMS:
        slopes = {name: slope(results, system, figure) for name, figure in (("time", "total"), ("memory", "memory-prove"))}
        told = [f"{name} grows with the power {value:.2f}" for name, value in slopes.items() if value is not None]
        if told:
            found.append(f"{system}: {', '.join(told)} of parameters + activations")
    return found


def _notes(results: Results) -> list[str]:
    return [f"{m.model}, {m.system}: {m.reason}" for m in results.measurements if m.status == "measured" and m.reason]


def _row(m: Measurement, results: Results) -> tuple[str, ...]:
    head = (m.model, f"{m.size.parameters:,}", m.system)
    if m.status != "measured":
        return (*head, f"{m.status}: {m.reason}")
    return (
        *head, _seconds(m.figure("compile")), _spread(m, "total"), _seconds(m.figure("command")), _seconds(m.figure("verify")),
        _size(m.figure("memory-prove")), _size(m.figure("proving-key")), _size(m.figure("proof")),
        *(_ratio(m, results, figure) for figure in _RATIOS),
    )  # fmt: skip


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.ljust(width) if heading in _LEFT else cell.rjust(width)
        for cell, width, heading in zip(row, widths, HEADINGS, strict=False)
    ]
    if len(row) < len(HEADINGS):
        cells[-1] = row[-1]
    return "  ".join(cells).rstrip()


def _goals(results: Results) -> list[str]:
    judged = [_goal(each) for each in judge(results)]
    widths = [max((len(row[i]) for row in judged), default=0) for i in range(4)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in judged]


def _goal(each: Judged) -> tuple[str, str, str, str]:
    goal = each.goal
    name = f"{goal.model}, {goal.system}: {goal.figure}"
    met = "met" if each.met else "MISSED"
    if goal.of is not None:
        other = goal.of[1] if goal.of[0] == goal.model else f"{goal.of[0]}, {goal.of[1]}"
        return name, f"{_factor(goal.limit)} of {other}", _factor(each.found), met
    show = _seconds if goal.figure in ("total", "verify", "command", "compile") else _size
    return name, show(goal.limit), show(each.found), met


def _ratio(m: Measurement, results: Results, figure: str) -> str:
    own, stock = m.figure(figure), results.figure(m.model, STOCK, figure)
    if m.system == STOCK or own is None or stock is None:
        return ""
    return _factor(own / stock)


def _factor(value: float) -> str:
    """``1/130`` below a half, else ``0.8`` or ``3.2``."""
    return f"1/{1 / value:,.0f}" if 0 < value < 0.5 else f"{value:.1f}"


def _spread(m: Measurement, name: str) -> str:
    runs = m.seconds.get(name, ())
    median = _seconds(m.figure(name))
    return f"{median} ({_seconds(min(runs))} to {_seconds(max(runs))})" if len(runs) > 1 else median


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    if value < 1:
        return f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.1f} ms"
    return f"{value:.1f} s" if value < 100 else f"{value:,.0f} s"


def _size(value: float | None) -> str:
    if value is None:
        return ""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= scale:
            return f"{value / scale:.1f} {unit}" if value < 100 * scale else f"{value / scale:.0f} {unit}"
    return f"{value:.0f} B"


__all__ = ["HEADINGS", "growth", "lines", "markdown", "rows"]
