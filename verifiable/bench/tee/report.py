# SPDX-License-Identifier: Apache-2.0
"""Results as rows of text: for a terminal, and as Markdown for the documentation."""

from __future__ import annotations

from verifiable.bench import table
from verifiable.bench.tee.goals import judge
from verifiable.bench.tee.results import Measurement, Results

HEADINGS = (
    "evidence", "kind", "size", "collateral", "first call", "parse", "parse + verify", "CPU time", "memory", "goal"
)  # fmt: skip
_LEFT = ("evidence", "kind", "goal")


def rows(results: Results) -> list[tuple[str, ...]]:
    """One per measurement, in the columns of HEADINGS; what was not measured says why in the third."""
    return [_row(m) for m in results.measurements]


def lines(results: Results) -> list[str]:
    """The table, for a terminal."""
    return [*table.aligned(HEADINGS, rows(results), _LEFT), "", f"measured on {results.machine}"]


def markdown(results: Results) -> str:
    """The same as GitHub-flavoured Markdown."""
    return "\n".join([*table.markdown(HEADINGS, rows(results), _LEFT), "", f"Measured on {results.machine}.", ""])


def _row(m: Measurement) -> tuple[str, ...]:
    if m.status != "measured":
        return (m.name, m.kind, f"{m.status}: {m.reason}")
    return (
        m.name, m.kind, *(table.size(m.figure(name) or None) for name in ("evidence", "collateral")),
        *(table.seconds(m.figure(name)) for name in ("first", "parse")),
        *(table.spread(m.seconds.get(name, ())) for name in ("total", "cpu")),
        table.size(m.figure("memory-verify")), _goal(m),
    )  # fmt: skip


def _goal(m: Measurement) -> str:
    judged = judge(m)
    return "" if judged is None else f"{table.seconds(judged.limit)}: {'met' if judged.met else 'MISSED'}"


__all__ = ["HEADINGS", "lines", "markdown", "rows"]
