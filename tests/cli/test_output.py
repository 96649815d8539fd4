# SPDX-License-Identifier: Apache-2.0
"""What is printed is what it says it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.model import zoo
from verifiable_cli import output


def test_results_are_json_whatever_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    output.result_json({"a": [float("nan"), (float("inf"), -float("inf"))], "b": 1.5, "c": True})
    printed = capsys.readouterr().out
    strict = json.loads(printed, parse_constant=lambda text: pytest.fail(text))
    assert strict == {"a": ["NaN", ["Infinity", "-Infinity"]], "b": 1.5, "c": True}


def test_a_float_model_that_gives_nan(run: Run, tmp_path: Path) -> None:
    """ln(-0.1): the circuit has some integer there, the float model none."""
    nodes = [zoo.node("Log", ["x"], ["y"])]
    model = tmp_path / "log.onnx"
    model.write_bytes(zoo.build(nodes, {"x": [1, 2]}, {"y": [1, 2]}))
    np.save(tmp_path / "samples.npy", np.float32([[[0.5, 1.0]], [[0.25, 2.0]]]))
    (tmp_path / "below.json").write_text("[[-0.1, 1.0]]")
    made = run(
        "compile", model, "--calibration", tmp_path / "samples.npy", "--system", "ezkl", "--srs", "dev-insecure",
        "-o", tmp_path / "circuit",
    )  # fmt: skip
    assert made.code == 0, made.err
    told = run("run", tmp_path / "circuit", tmp_path / "below.json", "--json")
    assert told.code == 0, told.err
    assert told.json["y"]["float"][0][0] == "NaN"
    assert told.json["y"]["maxError"] == "NaN"
