# SPDX-License-Identifier: Apache-2.0
"""ezkl counts rows by walking a hash map in random order: one model, two settings files. A circuit id must not depend on luck."""

from __future__ import annotations

from pathlib import Path

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
        assert len(seen) == 2, "ezkl has become deterministic: settled() can go"
        assert len({steps.settled(child, program, parameters, Visibility())[0].data for _ in range(5)}) == 1
        for wanted in seen:
            assert steps.settled(child, program, parameters, Visibility(), wanted=wanted)[0].data == wanted
