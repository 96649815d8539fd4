# SPDX-License-Identifier: Apache-2.0
"""Results as rows of text: for a terminal, and as Markdown for the documentation."""

from __future__ import annotations

from verifiable.bench import table
from verifiable.bench.prove import STOCK, SYSTEMS
from verifiable.bench.prove.goals import Judged, judge, slope
from verifiable.bench.prove.results import Measurement, Results

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
    shown = table.aligned(HEADINGS, rows(results), _LEFT)
    goals = table.goals([_goal(each) for each in judge(results)])
    return [*shown, "", *_notes(results), *growth(results), *goals, f"measured on {results.machine}"]


def markdown(results: Results) -> str:
    """The same as GitHub-flavoured Markdown."""
    text = table.markdown(HEADINGS, rows(results), _LEFT)
    text += ["", f"Measured on {results.machine}.", ""]
    text += [f"* {line}" for line in (*_notes(results), *growth(results))]
    text += table.goals_markdown([_goal(each) for each in judge(results)])
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
    return [f"{m.name}: {m.reason}" for m in results.measurements if m.status == "measured" and m.reason]


def _row(m: Measurement, results: Results) -> tuple[str, ...]:
    head = (m.model, f"{m.size.parameters:,}", m.system)
    if m.status != "measured":
        return (*head, f"{m.status}: {m.reason}")
    return (
        *head, table.seconds(m.figure("compile")), table.spread(m.seconds.get("total", ())),
        *(table.seconds(m.figure(name)) for name in ("command", "verify")),
        *(table.size(m.figure(name)) for name in ("memory-prove", "proving-key", "proof")),
        *(_ratio(m, results, figure) for figure in _RATIOS),
    )  # fmt: skip


def _goal(each: Judged) -> tuple[str, str, str, str]:
    goal = each.goal
    name = f"{goal.model}, {goal.system}: {goal.figure}"
    met = "met" if each.met else "MISSED"
    if goal.of is not None:
        other = goal.of[1] if goal.of[0] == goal.model else f"{goal.of[0]}, {goal.of[1]}"
        return name, f"{table.factor(goal.limit)} of {other}", table.factor(each.found), met
    show = table.seconds if goal.figure in ("total", "verify", "command", "compile") else table.size
    return name, show(goal.limit), show(each.found), met


def _ratio(m: Measurement, results: Results, figure: str) -> str:
    own, stock = m.figure(figure), results.figure(m.model, STOCK, figure)
    if m.system == STOCK or own is None or stock is None:
        return ""
    return table.factor(own / stock)


__all__ = ["HEADINGS", "growth", "lines", "markdown", "rows"]
