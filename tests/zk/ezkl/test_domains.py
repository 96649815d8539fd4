# SPDX-License-Identifier: Apache-2.0
"""Table functions: for every admissible input the argument is in the table and in the domain, or the model is refused."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.zk.ezkl import small
from tests.zk.ezkl.test_tuner import run, tuned
from verifiable.errors import UnsupportedError
from verifiable.zk.circuit import Visibility
from verifiable.zk.ezkl import drift, search, steps
from verifiable.zk.ezkl.intervals import Bounds, Unbounded
from verifiable.zk.ezkl.process import job
from verifiable.zk.ezkl.tables import TABLES
from verifiable.zk.system import Limits, no_progress

N = helper.make_node


def unary(op: str, low: float, *, before: list[Any] | None = None, **weights: Any) -> Any:
    nodes = [*(before or []), N(op, ["h" if before else "x"], ["y"], name="the-node")]
    return small.net(nodes, weights, [1, 4], [1, 4], low=low)


@pytest.mark.parametrize("op", ["Log", "Reciprocal"])
def test_the_range_is_not_widened_beyond_the_domain(op: str) -> None:
    """Samples in [0.1, 1], a quarter more at either end would admit -0.1, whose logarithm ezkl's table holds as 0."""
    net = unary(op, 0.1)
    tuning = tuned(net, max_error=0.05)
    low, high = tuning.input_ranges["x"]
    assert low > 0
    scale, out = tuning.input_scales["x"], tuning.output_scales["y"]
    given = np.array([[low, high, (low + high) // 2, low + 1]])
    (found,) = run(net, tuning, [given])
    exact = np.log(given * scale) if op == "Log" else 1 / (given * scale)
    assert np.abs(found * out - exact).max() < 0.05


def test_an_argument_outside_the_domain_is_refused() -> None:
    net = unary("Log", 0.1, before=[N("Sub", ["x", "c"], ["h"])], c=np.full(4, 0.5))
    net.floats[:] = [{"y": np.nan_to_num(floats["y"], posinf=0, neginf=0)} for floats in net.floats]
    with pytest.raises(UnsupportedError, match="Log the-node: its argument can be anything in") as caught:
        tuned(net, max_error=1e6)
    assert "clip" in caught.value.hint


def test_every_function_with_a_domain_is_held_to_it() -> None:
    """The same graph, with inputs that stay inside and with some that do not."""
    inside = {"Log": (1, 100), "Reciprocal": (1, 100), "Acosh": (128, 200)}
    outside = {"Log": (0, 100), "Reciprocal": (-1, 100), "Acosh": (127, 200), "Atanh": (-128, 0), "Tan": (0, 202)}
    partial = ["Reciprocal", *(name for name, table in TABLES.items() if table.domain != (-np.inf, np.inf))]
    assert set(partial) == {"Log", "Reciprocal", "Asin", "Acos", "Acosh", "Atanh", "Tan"}
    with job(limits=Limits(), progress=no_progress) as child:
        for op in partial:
            program = unary(op, 0.5).program
            parameters = search.wide(scale=7, multiplier=1, lookups=(-1024, 1024))
            settings, _ = steps.make_settings(child, program, parameters, Visibility())
            analysis = drift.analyse(program)
            assert isinstance(drift.bounds(analysis, settings, {"x": inside.get(op, (-120, 120))}), Bounds), op
            found = drift.bounds(analysis, settings, {"x": outside.get(op, (0, 129))})
            assert isinstance(found, Unbounded), op
            assert found.outside, op
            assert f"{op} the-node" in found.reason


def test_tables_hold_what_every_admissible_input_leads_to() -> None:
    """Sigmoid(a * a * w): the corners of the range reach far beyond the samples."""
    before = [N("Mul", ["x", "x"], ["s"]), N("Mul", ["s", "c"], ["h"])]
    net = unary("Sigmoid", -1.0, before=before, c=np.full(4, 6.0))
    for sample in net.samples:
        sample["x"][:] = np.clip(sample["x"], -0.4, 0.4)
    net.samples[0]["x"][0, 0], net.samples[1]["x"][0, 0] = -1.0, 1.0
    tuning = tuned(net, max_error=0.5)
    low, high = tuning.input_ranges["x"]
    corners = [np.array([corner]) for corner in itertools.product([low, high], repeat=4)]
    assert len(run(net, tuning, corners)) == len(corners)
    scale = 6.0 * (max(-low, high) * tuning.input_scales["x"]) ** 2
    assert tuning.parameters.lookup_high >= scale / tuning.output_scales["y"]


def test_a_table_that_would_be_too_large_is_refused_by_name() -> None:
    net = unary("Sigmoid", -1.0, before=[N("Mul", ["x", "c"], ["h"])], c=np.full(4, 1000.0))
    with pytest.raises(UnsupportedError, match=r"Sigmoid the-node: its argument can be any of [\d,]+ integers, .* 2\^9 rows"):
        tuned(net, max_logrows=9, max_error=0.6)


def test_a_table_behind_an_operator_that_is_not_understood_is_refused() -> None:
    net = unary("Sigmoid", -1.0, before=[N("ReduceMax", ["x"], ["p"], axes=[1], keepdims=1), N("Add", ["x", "p"], ["h"])])
    with pytest.raises(UnsupportedError, match=r"what reaches a table function is not bounded .* ReduceMax"):
        tuned(net)


@pytest.mark.parametrize("name", TABLES)
def test_images_and_slopes_are_those_of_the_function(name: str) -> None:
    import math

    table = TABLES[name]
    functions: dict[str, Any] = {
        "Sigmoid": lambda x: 1 / (1 + math.exp(-x)), "HardSwish": lambda x: x * min(max(x / 6 + 0.5, 0), 1),
        "Asin": math.asin, "Acos": math.acos, "Atan": math.atan, "Asinh": math.asinh, "Acosh": math.acosh, "Atanh": math.atanh,
    }  # fmt: skip
    function = functions.get(name) or getattr(math, name.lower())
    rng = np.random.default_rng(1)
    bottom, top = max(table.domain[0], -4.0), min(table.domain[1], 4.0)
    for _ in range(50):
        low, high = sorted(rng.uniform(bottom + 1e-3, top - 1e-3, 2))
        points = np.linspace(low, high, 101)
        values = np.array([function(x) for x in points])
        least, most = table.image(np.array(low), np.array(high))
        assert least - 1e-9 <= values.min()
        assert values.max() <= most + 1e-9
        steep = np.abs(np.diff(values)).max() / max(points[1] - points[0], 1e-12)
        assert steep <= table.slope(np.array(low), np.array(high)) + 1e-5
