# SPDX-License-Identifier: Apache-2.0
"""Figures, goals, growth and the two ways to show them."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from tests.bench.prove.fabricated import measured, results, unmeasured
from verifiable.bench.prove import STOCK
from verifiable.bench.prove.goals import judge, slope
from verifiable.bench.prove.plot import plot
from verifiable.bench.prove.report import HEADINGS, lines, markdown, rows
from verifiable.bench.prove.results import Results
from verifiable.bench.svg import Axis
from verifiable.errors import MalformedError
from verifiable.model.synthetic import LADDER

MLP = "mlp-784-128-10"
MIXED = results(
    measured(MLP, "sumcheck", total=0.05, memory=200 * 10**6, seconds={"verify": (0.04,)}),
    unmeasured(MLP, "ezkl", "skipped", "prove: out of memory (limit 2 GB)"),
    measured(MLP, STOCK, total=8.0, memory=800 * 10**6),
    unmeasured("resnet18-cifar", STOCK, "left out", "takes minutes"),
    unmeasured("broken", "sumcheck", "failed", "compile: no"),
)


def test_json_and_back() -> None:
    assert Results.parse(MIXED.encode()) == MIXED
    document = json.loads(MIXED.encode())
    assert [m["status"] for m in document["measurements"]] == ["measured", "skipped", "measured", "left out", "failed"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"bench.v1", b"bench.v2"),
        (b'"skipped"', b'"fine"'),
        (b'"cores": 2', b'"cores": "2"'),
        (b'"witness"', b'"guessed"'),
        (b'"compile": [', b'"guessed": ['),
        (b'"proof": 2000', b'"proof": -1'),
        (b'"reason"', b'"Reason"'),
    ],
)
def test_another_document_is_malformed(old: bytes, new: bytes) -> None:
    data = results(measured("m", "ezkl", seconds={"witness": (1.0,)}), unmeasured("m", STOCK, "skipped", "x")).encode()
    assert old in data
    with pytest.raises(MalformedError):
        Results.parse(data.replace(old, new))


def test_a_figure_is_the_median_and_none_where_nothing_was_measured() -> None:
    assert measured("m", "ezkl", total=4.0).figure("total") == 4.0  # of 4, 2 and 12
    assert measured("m", "ezkl", memory=7).figure("memory-peak") == 14
    assert unmeasured("m", "ezkl", "skipped", "x").figure("total") is None
    assert MIXED.figure("nobody", "ezkl", "total") is None


def test_what_was_not_measured_stands_in_the_table_with_its_reason() -> None:
    shown = rows(MIXED)
    assert len(shown) == len(MIXED.measurements)
    assert shown[1][3:] == ("skipped: prove: out of memory (limit 2 GB)",)
    assert shown[3][3:] == ("left out: takes minutes",)
    assert shown[4][3:] == ("failed: compile: no",)
    partly = results(replace(measured("m", "ezkl"), reason="the command: over the limit of time"))
    assert "m, ezkl: the command: over the limit of time" in lines(partly)
    assert "* m, ezkl: the command: over the limit of time" in markdown(partly)
    text = "\n".join(lines(MIXED))
    for words in ("skipped: prove: out of memory", "left out: takes minutes", "failed: compile: no", "2026-01-02"):
        assert words in text


def test_ratios_are_to_the_stock_calibration_of_the_same_model() -> None:
    own, stock = rows(MIXED)[0], rows(MIXED)[2]
    assert own[-2:] == ("1/160", "1/4")
    assert stock[-2:] == ("", "")
    alone = results(measured("other", "sumcheck"), measured(MLP, STOCK))
    assert rows(alone)[0][-2:] == ("", "")


def test_markdown_is_one_table_of_equal_rows() -> None:
    table = [line for line in markdown(MIXED).splitlines() if line.startswith("|")][: 2 + len(MIXED.measurements)]
    assert {line.count("|") for line in table} == {len(HEADINGS) + 1}
    assert "Measured on Some <fast> & cheap processor, 2 cores, 24 GB" in markdown(MIXED)


def test_goals_compare_with_limits_and_with_other_measurements() -> None:
    judged = {(each.goal.figure, each.goal.of): each for each in judge(MIXED)}
    assert judged["total", (MLP, STOCK)].found == pytest.approx(0.05 / 8)
    assert judged["total", (MLP, STOCK)].met
    assert judged["memory-prove", None].met
    assert judged["verify", None].met
    assert not judged["proof", None].found > judged["proof", None].goal.limit
    slow = results(measured(MLP, "sumcheck", total=0.2), measured(MLP, STOCK, total=8.0))
    assert [each.met for each in judge(slow) if each.goal.of] == [False]
    assert not any(each.goal.of for each in judge(results(measured(MLP, "sumcheck"))))


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_slope_is_the_power(power: float) -> None:
    grown = results(*(measured(name, "ezkl", 10**i, total=3 * 10 ** (i * power)) for i, name in enumerate(LADDER, 2)))
    assert slope(grown, "ezkl", "total") == pytest.approx(power)
    assert slope(grown, "sumcheck", "total") is None


def test_the_plot_is_well_formed_and_holds_every_measurement() -> None:
    ladder = [measured(name, "sumcheck", 10**i, total=10.0**i) for i, name in enumerate(LADDER, 2)]
    drawn = ET.fromstring(plot(results(*ladder, *MIXED.measurements)))
    space = "{http://www.w3.org/2000/svg}"
    titles = [title.text or "" for title in drawn.iter(f"{space}title")]
    for model, system in [*((name, "sumcheck") for name in LADDER), (MLP, "sumcheck"), (MLP, STOCK)]:
        assert sum(title.startswith(f"{model}, {system}: ") for title in titles) == 2  # time and memory
    assert len(list(drawn.iter(f"{space}polyline"))) == 2
    assert not list(drawn.iter(f"{space}script"))
    ET.fromstring(plot(results()))


def test_an_axis_has_whole_decades() -> None:
    axis = Axis.over([0.3, 20.0], 0.0, 300.0)
    assert (axis.low, axis.high) == (-1, 2)
    assert [axis.at(value) for value in axis.decades()] == [0.0, 100.0, 200.0, 300.0]
    assert len(list(Axis.over([5.0], 0, 1).decades())) == 2
    assert len(list(Axis.over([10.0], 0, 1).decades())) == 2
