# SPDX-License-Identifier: Apache-2.0
"""Figures of a log, goals, growth and the two ways to show them."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from tests.bench.ledger.fabricated import GOOD, measured, results, times
from tests.bench.prove import fabricated as proving
from verifiable.bench.ledger import STEPS
from verifiable.bench.ledger.goals import GOALS, growth, judge
from verifiable.bench.ledger.plot import plot
from verifiable.bench.ledger.report import HEADINGS, lines, markdown, rows
from verifiable.bench.ledger.results import Measurement, Results, Spread
from verifiable.errors import MalformedError

SVG = "{http://www.w3.org/2000/svg}"
SLOW = {"append": 4000.0, "fsck": 300_000.0}
MIXED = results(
    measured(1000, open=times(0.001, 0.002, 0.009), verify=times(0.0004)),
    replace(measured(3000, rates=SLOW, open=times(0.2), verify=times(0.0004)), reason="fsck: over the limit of time"),
    Measurement(entries=10_000, status="skipped", reason="append: over the limit of time"),
    Measurement(entries=30_000, status="failed", reason="append: no"),
)


def test_json_and_back() -> None:
    assert Results.parse(MIXED.encode()) == MIXED
    document = json.loads(MIXED.encode())
    assert [m["status"] for m in document["measurements"]] == ["measured", "measured", "skipped", "failed"]
    assert document["measurements"][0]["seconds"]["open"] == {"count": 3, "least": 0.001, "median": 0.002, "most": 0.009}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"ledger.v1", b"ledger.v2"),
        (b'"skipped"', b'"left out"'),
        (b'"batch": 256', b'"batch": "256"'),
        (b'"open"', b'"shut"'),
        (b'"append": 4000.0', b'"prepend": 4000.0'),
        (b'"append": 4000.0', b'"append": "4000"'),
        (b'"memory-read"', b'"memory-write"'),
        (b'"files": 7', b'"files": -7'),
        (b'"median"', b'"mean"'),
        (b'"most": 0.009', b'"most": 0.009, "p99": 0.008'),
        (b'"reason"', b'"Reason"'),
    ],
)
def test_another_document_is_malformed(old: bytes, new: bytes) -> None:
    data = MIXED.encode()
    assert old in data
    with pytest.raises(MalformedError):
        Results.parse(data.replace(old, new, 1))


def test_what_was_measured_of_proving_is_another_document() -> None:
    with pytest.raises(MalformedError, match="format"):
        Results.parse(proving.results(proving.measured("m", "sumcheck")).encode())


def test_figures_are_medians_rates_and_sizes_and_none_where_nothing_was_measured() -> None:
    one, _, skipped, _ = MIXED.measurements
    assert (one.figure("open"), one.worst("open")) == (0.002, 0.009)
    assert [one.figure(name) for name in ("append", "memory-open", "files")] == [6000.0, 10**8, 7]
    assert [one.figure("prove"), one.worst("prove"), skipped.figure("append"), skipped.worst("open")] == [None] * 4
    assert MIXED.points("append") == [(1000, 6000.0), (3000, 4000.0)]
    assert Spread.of((3.0, 1.0, 2.0)) == Spread(count=3, least=1.0, median=2.0, most=3.0)


def test_goals_are_judged_at_the_largest_size_that_has_the_figure() -> None:
    judged = {each.goal.figure: each for each in judge(MIXED)}
    assert {name: (each.entries, each.met) for name, each in judged.items()} == {
        "append": (3000, False),  # fewer per second than wanted
        "open": (3000, False),  # longer than wanted
        "verify": (3000, True),
        "fsck": (3000, True),
    }
    assert not [*judge(results())]
    every = {goal.figure.replace("-", "_"): times(goal.limit) for goal in GOALS if not goal.at_least}
    limits = {goal.figure: goal.limit for goal in GOALS if goal.at_least}
    exact = [*judge(results(measured(1000, rates=limits, **every)))]
    assert len(exact) == len(GOALS)
    assert all(each.met for each in exact)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_growth_is_the_power_of_memory_in_each_step(power: float) -> None:
    grown = [measured(n, memory={"append": int(10**8 * (n / 10**6) ** power), "open": 10**8}) for n in (10**6, 10**7, 10**8)]
    assert growth(results(*grown)) == {"append": pytest.approx(power, abs=1e-4), "open": pytest.approx(0, abs=1e-9)}
    assert growth(results(*grown[:1])) == {}
    table = "\n".join(lines(results(*grown)))
    assert ("MISSED" in [line.split()[-1] for line in table.splitlines() if line.startswith("memory of append")]) == (power > 0)
    assert "met" in [line.split()[-1] for line in table.splitlines() if line.startswith("memory of open")]


def test_memory_that_shrinks_by_nothing_is_flat() -> None:
    text = markdown(results(measured(10**6, memory=100_000_001), measured(10**7, memory=100_000_000)))
    assert "-0.000" not in text
    assert "append 0.000, open 0.000" in text


def test_what_was_not_measured_stands_in_the_table_with_its_reason() -> None:
    shown = rows(MIXED)
    assert [len(row) for row in shown] == [len(HEADINGS), len(HEADINGS), 2, 2]
    assert shown[0][:4] == ("1,000", "6,000 (5,500)", "", "2.0 ms")
    assert shown[0][HEADINGS.index("verify (worst)")] == "400 µs (400 µs)"
    assert shown[2] == ("10,000", "skipped: append: over the limit of time")
    text = "\n".join(lines(MIXED))
    for words in ("3,000 entries: fsck: over the limit of time", "failed: append: no", "MISSED", "489 bytes", "2026-01-02"):
        assert words in text


def test_markdown_is_one_table_of_equal_rows_and_one_of_goals() -> None:
    text = markdown(MIXED).splitlines()
    table = [line for line in text if line.startswith("|")][: 2 + len(MIXED.measurements)]
    assert {line.count("|") for line in table} == {len(HEADINGS) + 1}
    assert "| 3,000 entries: append | at least 5,000 | 4,000 | MISSED |" in text
    assert "* 3,000 entries: fsck: over the limit of time" in text
    assert "Measured on Some <fast> & cheap processor, 2 cores, 24 GB" in markdown(MIXED)


def test_the_plot_is_well_formed_and_holds_every_point_and_goal() -> None:
    drawn = ET.fromstring(plot(MIXED))
    titles = [title.text or "" for title in drawn.iter(f"{SVG}title")]
    for entries in ("1,000", "3,000"):
        assert sum(f", {entries} entries: " in title for title in titles) == 2 + len(STEPS)  # two rates, memory of every step
    assert not any("10,000" in title or "30,000" in title for title in titles)
    assert len(list(drawn.iter(f"{SVG}polyline"))) == 2 + len(STEPS)
    assert len([path for path in drawn.iter(f"{SVG}path") if path.get("stroke-dasharray")]) == 2
    assert not list(drawn.iter(f"{SVG}script"))
    assert not list(ET.fromstring(plot(results())).iter(f"{SVG}circle"))
    one = ET.fromstring(plot(results(measured(1000, rates=GOOD))))
    assert not list(one.iter(f"{SVG}polyline"))
    assert list(one.iter(f"{SVG}circle"))
