# SPDX-License-Identifier: Apache-2.0
"""ezkl counts rows by walking a hash map in random order: one model, two settings files. A circuit id must not depend on luck."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest

from verifiable.compiling import program_of
from verifiable.zk import directory
from verifiable.zk.circuit import Visibility
from verifiable.zk.ezkl import steps
from verifiable.zk.ezkl.process import job
from verifiable.zk.ezkl.settings import EzklSettings
from verifiable.zk.system import Limits, no_progress

MODEL = "mlp-breast-cancer"  # its count is one row higher in one run of six


def test_the_same_settings_each_time_and_the_rare_ones_on_request(checkout: Path) -> None:
    parameters = EzklSettings.parse(directory.load_verifier(checkout / "circuits" / MODEL).parts["settings"]).parameters
    program = program_of(checkout / "models" / MODEL / "model.onnx")
    with job(limits=Limits(), progress=no_progress) as child:
        seen = {steps.make_settings(child, program, parameters, Visibility())[0].data for _ in range(60)}
        assert len({steps.settled(child, program, parameters, Visibility())[0].data for _ in range(5)}) == 1
        for wanted in seen:
            assert steps.settled(child, program, parameters, Visibility(), wanted=wanted)[0].data == wanted


def test_of_two_counts_the_smaller_is_taken_and_the_other_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with a dice in place of ezkl's hash map, since that throws its rare side seldom."""
    rows = itertools.cycle([1430, 1429, 1429])

    def thrown(*_arguments: object) -> tuple[SimpleNamespace, None]:
        count = next(rows)
        return SimpleNamespace(num_rows=count, data=b"%d" % count), None

    monkeypatch.setattr(steps, "make_settings", thrown)
    everything = (None, b"", None, None)
    assert {steps.settled(*everything)[0].data for _ in range(7)} == {b"1429"}  # type: ignore[arg-type]
    assert steps.settled(*everything, wanted=b"1430")[0].data == b"1430"  # type: ignore[arg-type]
    assert steps.settled(*everything, wanted=b"never seen")[0].data == b"1429"  # type: ignore[arg-type]
