# SPDX-License-Identifier: Apache-2.0
"""Results as rows of text: for a terminal, and as Markdown for the documentation."""

from __future__ import annotations

from verifiable.bench import table
from verifiable.bench.ledger import STEPS
from verifiable.bench.ledger.goals import FLAT, SETTLED, Judged, growth, judge
from verifiable.bench.ledger.results import Measurement, Results

HEADINGS = (
    "entries", "append/s (least)", "alone", "open", "open, cold", "proof (worst)", "proof, cold (worst)", "verify (worst)",
    "fsck/s", "fsck/s, cold", *(f"memory: {step}" for step in STEPS), "on disk", "index", "files",
)  # fmt: skip


def rows(results: Results) -> list[tuple[str, ...]]:
    """One per measurement, in the columns of HEADINGS; what was not measured says why in the second."""
    return [_row(m) for m in results.measurements]


def lines(results: Results) -> list[str]:
    """The table and what follows it, for a terminal."""
    shown = table.aligned(HEADINGS, rows(results), ())
    return [*shown, "", *notes(results), *table.goals(_goals(results)), f"measured on {results.machine}"]


def markdown(results: Results) -> str:
    """The same as GitHub-flavoured Markdown."""
    text = table.markdown(HEADINGS, rows(results), ())
    text += ["", f"Measured on {results.machine}.", "", *(f"* {line}" for line in notes(results))]
    text += table.goals_markdown(_goals(results))
    return "\n".join(text) + "\n"


def notes(results: Results) -> list[str]:
    """What the table does not say."""
    found = [f"{m.name}: {m.reason}" for m in results.measurements if m.status == "measured" and m.reason]
    found.append(f"entries of {results.entry} bytes, {results.batch} under each checkpoint, signed with Ed25519 and ML-DSA-44")
    if syncs := results.points("sync"):
        found.append(f"this disk takes {table.seconds(syncs[-1][1])} to make a new file of 8 kB durable")
    if powers := growth(results):
        told = ", ".join(f"{step} {_power(power)}" for step, power in powers.items())
        found.append(f"from {SETTLED:,} entries on memory grows with the power: {told}")
    return found


def _row(m: Measurement) -> tuple[str, ...]:
    if m.status != "measured":
        return (f"{m.entries:,}", f"{m.status}: {m.reason}")
    return (
        f"{m.entries:,}", _rate(m.figure("append"), m.figure("append-least")),
        *(table.seconds(m.figure(name)) for name in ("alone", "open", "open-cold")),
        *(_worst(m, name) for name in ("prove", "prove-cold", "verify")),
        *(_rate(m.figure(name)) for name in ("fsck", "fsck-cold")),
        *(table.size(m.figure(f"memory-{step}")) for step in STEPS),
        *(table.size(m.figure(name)) for name in ("allocated", "private")), f"{m.figure('files') or 0:,.0f}",
    )  # fmt: skip


def _goals(results: Results) -> list[tuple[str, str, str, str]]:
    found = [_goal(each) for each in judge(results)]
    for step, power in growth(results).items():
        name = f"memory of {step} from {SETTLED:,} entries on: power of the size"
        found.append((name, f"at most {FLAT}", _power(power), _met(power <= FLAT)))
    return found


def _goal(each: Judged) -> tuple[str, str, str, str]:
    goal = each.goal
    show = _rate if goal.at_least else table.seconds
    least = "at least" if goal.at_least else "at most"
    return f"{each.entries:,} entries: {goal.figure}", f"{least} {show(goal.limit)}", show(each.found), _met(each.met)


def _power(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"  # + 0.0: nobody wants to read -0.000


def _met(met: bool) -> str:
    return "met" if met else "MISSED"


def _rate(value: float | None, least: float | None = None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if least is None else f"{value:,.0f} ({least:,.0f})"


def _worst(m: Measurement, name: str) -> str:
    median, most = m.figure(name), m.worst(name)
    return "" if median is None else f"{table.seconds(median)} ({table.seconds(most)})"


__all__ = ["HEADINGS", "lines", "markdown", "notes", "rows"]
