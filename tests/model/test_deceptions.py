# SPDX-License-Identifier: Apache-2.0
"""Models made so that what is proved would be another function than the file's, or so that reading them never ends."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

import verifiable
from tests.model import zoo
from verifiable.compiling import common
from verifiable.errors import UnsupportedError
from verifiable.model.normalise import normalise
from verifiable.model.onnx_file import Model
from verifiable.model.runtime import FloatModel


def along_the_width() -> bytes:
    """relu(conv(x) · k - 2), k along the width, which is as wide as there are channels; small inputs never get past the relu."""
    nodes = [
        zoo.node("Conv", ["x", "w"], ["c"]), zoo.node("Mul", ["c", "k"], ["m"]), zoo.node("Sub", ["m", "two"], ["s"]),
        zoo.node("Relu", ["s"], ["r"]), zoo.node("GlobalAveragePool", ["r"], ["g"]), zoo.node("Flatten", ["g"], ["y"]),
    ]  # fmt: skip
    weights = {
        "w": np.float32([[[[1.0]]], [[[0.8]]], [[[0.6]]]]), "k": np.float32([0.1, 0.1, 1.0]), "two": np.float32(2.0),
    }  # fmt: skip
    return zoo.build(nodes, {"x": [1, 1, 3, 3]}, {"y": [1, 3]}, weights)


def padded_by_axes() -> bytes:
    """Two rows above and below, by a Pad that names its axes."""
    nodes = [zoo.node("Pad", ["x", "pads", "", "axes"], ["p"]), zoo.node("Conv", ["p", "w"], ["y"], kernel_shape=[1, 1])]
    weights = {"pads": np.int64([2, 0, 2, 0]), "axes": np.int64([2, 3]), "w": np.ones((1, 1, 1, 1), np.float32)}
    return zoo.build(nodes, {"x": [1, 1, 4, 6]}, {"y": [1, 1, 8, 6]}, weights, opset=18)


@pytest.mark.parametrize("data", [along_the_width(), padded_by_axes()], ids=["along the width", "padded by axes"])
def test_the_normal_form_is_the_file_s_function_far_from_zero(data: bytes) -> None:
    normal = normalise(Model.parse(data))
    shape = Model.parse(normal).inputs[0].shape
    x = np.random.default_rng(0).integers(0, 256, size=shape).astype(np.float32)
    assert np.allclose(FloatModel(normal).run({"x": x})["y"], FloatModel(data).run({"x": x})["y"], rtol=1e-4)


def test_fidelity_is_to_the_file_and_not_to_what_became_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the optimiser to make a mistake that its own check does not see, the calibration data would."""
    model = tmp_path / "model.onnx"
    model.write_bytes(along_the_width())
    samples = [{"x": x} for x in np.random.default_rng(0).integers(0, 256, size=(8, 1, 1, 3, 3)).astype(np.float32)]
    verifiable.compile(model, calibration=samples)
    true = common.samples_of

    def mistaken(calibration, shaped):  # type: ignore[no-untyped-def]
        object.__setattr__(shaped, "data", shaped.data.replace(np.float32(0.8).tobytes(), np.float32(0.7).tobytes()))
        return true(calibration, shaped)

    monkeypatch.setattr("verifiable.compiling.sumcheck.samples_of", mistaken)
    with pytest.raises(UnsupportedError, match="off by"):
        verifiable.compile(model, calibration=samples)


@pytest.mark.parametrize("same", [True, False], ids=["v + v", "v + relu(v)"])
def test_a_value_that_is_read_twice_forty_times(tmp_path: Path, same: bool) -> None:
    """2^40 steps of one function of one value: a kilobyte."""
    nodes = []
    for i in range(40):
        v, w = (f"v{i}" if i else "x"), (f"v{i + 1}" if i < 39 else "y")
        if not same:
            nodes.append(zoo.node("Relu", [v], [f"r{i}"]))
        nodes.append(zoo.node("Add", [v, v if same else f"r{i}"], [w]))
    model = tmp_path / "model.onnx"
    model.write_bytes(zoo.build(nodes, {"x": [1, 4]}, {"y": [1, 4]}))
    started = time.monotonic()
    with pytest.raises(UnsupportedError, match="steps"):
        verifiable.compile(model, calibration=[{"x": np.zeros((1, 4), np.float32)}, {"x": np.ones((1, 4), np.float32)}])
    assert time.monotonic() - started < 30
