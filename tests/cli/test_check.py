# SPDX-License-Identifier: Apache-2.0
"""`check` on models that no machine like this could prove: at once, and with the reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.model import zoo


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A convolution of 150 million products in a file of 37 kB."""
    node = zoo.node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    path, shape = tmp_path / "wide.onnx", [1, 32, 128, 128]
    path.write_bytes(zoo.build([node], {"x": shape}, {"y": shape}, {"w": zoo.weight(32, 32, 3, 3)}))
    return path


def test_predicted_memory_is_held_against_this_machines(run: Run, wide: Path) -> None:
    told = run("check", "--system", "ezkl", wide)
    assert told.code == 0, told.err
    assert re.search(r"warning: proving needs [\d.]+ GB of memory, this machine has [\d.]+ GB\n", told.out)
    as_json = run("check", "--system", "ezkl", wide, "--json").json
    assert as_json["predicted"]["memory"] > as_json["machineMemory"] > 1 << 28


def test_a_check_can_be_given_a_deadline(run: Run, wide: Path) -> None:
    """Its analysis starts a process and imports onnx, which takes far longer than this."""
    told = run("check", wide, "--timeout", "0.1")
    assert told.code == 70
    assert "no answer within 0.1 s" in told.err
    assert "hint: allow more time" in told.err
