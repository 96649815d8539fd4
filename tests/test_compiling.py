# SPDX-License-Identifier: Apache-2.0
"""The verbs' doors: what cannot be a path or samples is named, and no other exception leaves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import verifiable
from verifiable.compiling import program_of
from verifiable.errors import MalformedError, UnsupportedError
from verifiable.zk import directory

VERBS: list[Callable[[Any], Any]] = [
    verifiable.check, verifiable.compile, lambda path: verifiable.audit(path, "m.onnx"),
]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("path", [None, 7, b"model.onnx", ["model.onnx"]])
def test_what_is_no_path_is_named(verb: Callable[[Any], Any], path: object) -> None:
    with pytest.raises(MalformedError, match=f"a path is wanted, not {type(path).__name__}"):
        verb(path)


def test_what_are_no_samples_is_named(checkout: Path) -> None:
    with pytest.raises(MalformedError, match="calibration: a path or a list of samples is wanted, not int"):
        verifiable.compile(checkout / "models" / "linear-diabetes" / "model.onnx", calibration=7)  # type: ignore[arg-type]


def test_a_program_is_derived_with_what_it_is_called(checkout: Path) -> None:
    name = "linear-diabetes"
    circuit = directory.load_verifier(checkout / "circuits" / "ezkl" / name)
    derived = program_of(checkout / "models" / name / "model.onnx", circuit=circuit)
    assert derived.model == circuit.circuit.model
    assert derived.open(circuit).circuit == circuit.circuit
    with pytest.raises(UnsupportedError, match="'other'"):
        program_of(
            "unread.onnx", circuit=dataclasses.replace(circuit, circuit=dataclasses.replace(circuit.circuit, system="other"))
        )
