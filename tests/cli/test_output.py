# SPDX-License-Identifier: Apache-2.0
"""What is printed is what it says it is."""

from __future__ import annotations

import json

import pytest

from verifiable_cli import output


def test_results_are_json_whatever_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    output.result_json({"a": [float("nan"), (float("inf"), -float("inf"))], "b": 1.5, "c": True})
    printed = capsys.readouterr().out
    strict = json.loads(printed, parse_constant=lambda text: pytest.fail(text))
    assert strict == {"a": ["NaN", ["Infinity", "-Infinity"]], "b": 1.5, "c": True}
