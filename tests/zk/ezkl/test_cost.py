# SPDX-License-Identifier: Apache-2.0
"""The cost model against ezkl itself: key sizes to the byte but for headers, layouts without asking for each."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.zk.ezkl import small
from verifiable.zk.circuit import Visibility
from verifiable.zk.ezkl import dev_srs, steps
from verifiable.zk.ezkl.cost import Layout, blocks, predict
from verifiable.zk.ezkl.parameters import EzklParameters
from verifiable.zk.ezkl.process import job
from verifiable.zk.ezkl.search import Layouts, base_for, options, sizes
from verifiable.zk.system import Limits, no_progress

_LOGROWS = 11


@pytest.fixture(scope="module")
def srs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("srs") / "k.srs"
    dev_srs.generate(path, _LOGROWS, limits=Limits(), progress=no_progress)
    return path


def _parameters(**given: int) -> EzklParameters:
    base = {"input_scale": 6, "param_scale": 6, "decomp_base": 128, "decomp_legs": 3, "logrows": 8}
    return EzklParameters(**{**base, **given})


@pytest.mark.parametrize(
    ("activation", "visibility", "parameters"),
    [
        ("Relu", Visibility(), _parameters(num_inner_cols=1)),
        ("Relu", Visibility(), _parameters(num_inner_cols=2, scale_rebase_multiplier=10)),
        ("Relu", Visibility(), _parameters(num_inner_cols=3, logrows=9)),
        ("Relu", Visibility(), _parameters(num_inner_cols=4, logrows=9)),
        ("Sigmoid", Visibility(), _parameters(num_inner_cols=1, logrows=11, lookup_low=-900, lookup_high=900)),
        ("Sigmoid", Visibility(), _parameters(num_inner_cols=2, logrows=11, lookup_low=-900, lookup_high=900)),
        ("Relu", Visibility(inputs="hashed"), _parameters(num_inner_cols=2, logrows=11)),
        ("Relu", Visibility(outputs="hashed", weights="private"), _parameters(num_inner_cols=1, logrows=11)),
    ],
)
def test_key_sizes(activation: str, visibility: Visibility, parameters: EzklParameters, srs: Path, tmp_path: Path) -> None:
    """A wrong count of columns, blocks or tables would be off by a whole column, some per cent."""
    net = small.mlp(activation=activation)
    with job(limits=Limits(), progress=no_progress) as child:
        settings, _ = steps.make_settings(child, net.program, parameters, visibility)
        steps.compile_circuit(child, net.program, settings)
        vk = steps.set_up(child, settings, srs, tmp_path / "pk")
    cost = predict(Layout.of(settings), parameters.logrows)
    assert cost.verifying_key == len(vk)
    assert 0 <= (tmp_path / "pk").stat().st_size - cost.proving_key < 0.003 * cost.proving_key


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_more_digits_are_counted_without_asking(columns: int) -> None:
    net = small.mlp()
    with job(limits=Limits(), progress=no_progress) as child:
        layouts = Layouts(child=child, program=net.program, visibility=Visibility())
        for legs in (4, 5, 6, 7):
            parameters = _parameters(decomp_base=64, decomp_legs=legs, num_inner_cols=columns, logrows=16)
            settings, _ = steps.make_settings(child, net.program, parameters, Visibility())
            told, _ = layouts.layout(parameters)
            exact = Layout.of(settings)
            assert abs(told.cells - exact.cells) <= 2
            assert sorted(told.tables) == sorted(exact.tables)
        assert len(layouts.known) <= columns + 1


def _layout(**given: Any) -> Layout:
    base = {
        "cells": 1000, "constants": 100, "columns": 2, "tables": (3, 128), "lookups": 0, "lookup_rows": 0, "dynamic": 0,
        "least_rows": 12, "hashes": 0,
    }  # fmt: skip
    return Layout(**{**base, **given})


def test_blocks_repeat_until_all_cells_fit() -> None:
    layout = _layout(cells=2 * (256 - 6))
    assert blocks(layout, 9) == 1
    assert blocks(layout, 8) == 2
    assert blocks(dataclasses.replace(layout, cells=2 * (256 - 6) - 2), 8) == 1


def test_columns_are_never_shorter_than_tables_or_instances() -> None:
    found = list(sizes(_layout(tables=(3, 128)), 0, _parameters(decomp_base=128), 20))
    assert min(option.parameters.logrows for option in found) == 8
    found = list(sizes(_layout(least_rows=5000), 0, _parameters(), 20))
    assert min(option.parameters.logrows for option in found) == 13
    assert list(sizes(_layout(least_rows=5000), 0, _parameters(), 12)) == []


@pytest.mark.parametrize("bound", [1, 2, 127, 128, 2**20 - 1, 2**20, 10**15])
@pytest.mark.parametrize("legs", [1, 2, 3, 7])
def test_digits_reach_beyond_the_bound(bound: int, legs: int) -> None:
    base = base_for(bound, legs)
    assert base**legs - 1 >= bound
    assert base == 2 or (base // 2) ** legs - 1 < bound


def test_every_option_holds_the_bound() -> None:
    net = small.mlp()
    with job(limits=Limits(), progress=no_progress) as child:
        layouts = Layouts(child=child, program=net.program, visibility=Visibility())
        found = list(options(layouts, _parameters(), 123_456_789, max_logrows=12))
    assert found
    assert all(option.parameters.bound >= 123_456_789 and option.cost.logrows <= 12 for option in found)
    assert len({option.parameters.num_inner_cols for option in found}) == 3


def test_a_larger_network_costs_more() -> None:
    costs = [predict(_layout(cells=cells), 12) for cells in (1_000, 10_000, 100_000)]
    assert [c.seconds for c in costs] == sorted(c.seconds for c in costs)
    assert [c.proving_key for c in costs] == sorted(c.proving_key for c in costs)
    assert set(costs[0].to_json()) >= {"seconds", "memory", "proving_key", "logrows", "rows"}
