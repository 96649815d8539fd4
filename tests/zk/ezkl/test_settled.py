# SPDX-License-Identifier: Apache-2.0
"""ezkl counts rows by walking a hash map in random order: one model, two settings files. An audit must not depend on luck."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from verifiable.compiling import program_of
from verifiable.zk import directory
from verifiable.zk.circuit import Visibility
from verifiable.zk.ezkl import steps
from verifiable.zk.ezkl.process import job
from verifiable.zk.ezkl.settings import EzklSettings, canonicalise
from verifiable.zk.system import Limits, no_progress

MODEL = "mlp-breast-cancer"  # its count is one row higher in some runs


def edited(data: bytes, **changes: Any) -> bytes:
    return canonicalise(json.dumps({**json.loads(data), **changes}).encode())


def test_an_auditor_gets_the_count_that_the_maker_got_and_nothing_else(checkout: Path) -> None:
    circuit = directory.load_verifier(checkout / "circuits" / "ezkl" / MODEL)
    theirs = circuit.parts["settings"]
    parameters, rows = EzklSettings.parse(theirs).parameters, json.loads(theirs)["num_rows"]
    program = program_of(checkout / "models" / MODEL / "model.onnx", circuit=circuit).program
    near = edited(theirs, num_rows=rows + 1, total_assignments=rows + 1)
    far = edited(theirs, num_rows=rows + 100, total_assignments=rows + 100)
    other = edited(theirs, total_const_size=json.loads(theirs)["total_const_size"] + 1)
    with job(limits=Limits(), progress=no_progress) as child:
        for wanted, granted in ((theirs, True), (near, True), (far, False), (other, False)):
            found = steps.settled(child, program, parameters, Visibility(), wanted=wanted)[0].data
            assert (found == wanted) == granted


def test_of_two_counts_the_smaller_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a dice in place of ezkl's hash map, since that throws its rare side seldom."""
    rows = itertools.cycle([1430, 1429, 1429])

    def thrown(*_arguments: object) -> tuple[SimpleNamespace, None]:
        count = next(rows)
        return SimpleNamespace(num_rows=count, data=b"%d" % count), None

    monkeypatch.setattr(steps, "make_settings", thrown)
    everything: Any = (None, b"", None, None)
    assert {steps.settled(*everything)[0].data for _ in range(7)} == {b"1429"}
