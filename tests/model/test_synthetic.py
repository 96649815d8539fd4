# SPDX-License-Identifier: Apache-2.0
"""Generated networks: the sizes that their names promise, the same bytes every time, outputs that are numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from verifiable.errors import UnsupportedError
from verifiable.model.normalise import normalise
from verifiable.model.onnx_file import Model
from verifiable.model.preflight import preflight
from verifiable.model.runtime import FloatModel
from verifiable.model.synthetic import LADDER, NETWORKS, TINY, Net, network


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        (TINY, 119),
        ("mlp-784-128-10", 101_770),
        ("mlp-784-128-10-batch32", 101_770),
        ("cifar-cnn", 265_822),
        ("dense-4m", 4_208_650),
        ("resnet18-cifar", 11_169_162),
    ],
)
def test_sizes(name: str, parameters: int) -> None:
    assert preflight(Model.parse(network(name)), operators={}).parameters == parameters


def test_the_same_bytes_every_time() -> None:
    assert network("cifar-cnn") == network("cifar-cnn")


def test_each_step_of_the_ladder_is_four_times_the_one_before() -> None:
    sizes = [preflight(Model.parse(network(name)), operators={}).parameters for name in LADDER]
    assert all(3.8 < b / a < 4.2 for a, b in itertools.pairwise(sizes))


def test_batch_goes_through() -> None:
    model = Model.parse(network("mlp-784-128-10-batch32"))
    assert (model.inputs[0].shape, model.outputs[0].shape) == ((32, 784), (32, 10))


def test_residual_blocks_run_and_keep_values_in_bounds() -> None:
    net = Net(1, 3, 8, 8).conv(4).relu().residual(4).residual(8, stride=2).average().dense(5)
    program = normalise(Model.parse(net.encode()))
    out = FloatModel(program).run({"x": np.random.Generator(np.random.PCG64(1)).uniform(-1, 1, (1, 3, 8, 8)).astype("f4")})["y"]
    assert out.shape == (1, 5)
    assert np.isfinite(out).all()
    assert 0 < np.abs(out).max() < 100


def test_an_unknown_name_names_the_known_ones() -> None:
    with pytest.raises(UnsupportedError) as caught:
        network("nonesuch")
    assert all(name in caught.value.hint for name in NETWORKS)
