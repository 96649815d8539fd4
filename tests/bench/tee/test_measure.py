# SPDX-License-Identifier: Apache-2.0
"""Evidence in processes of their own: limits, what cannot be read or verified, and what is left behind."""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.bench.tee.fabricated import case
from tests.fakes.pki.authority import NOW
from tests.fakes.pki.aws import FakeNitro
from verifiable.bench.tee import MAX_RUNS
from verifiable.bench.tee.measure import Options, measure
from verifiable.bench.tee.results import BYTES, SECONDS
from verifiable.bench.tee.subjects import Software
from verifiable.errors import ConflictError
from verifiable.zk.system import Limits

FEW = Options(runs=3)


def test_every_figure_of_each_and_the_rest_goes_on(isolated_home: Path, tmp_path: Path) -> None:
    good = case(tmp_path, FakeNitro().mint())
    bad = [
        replace(good, name="late", at=NOW + timedelta(days=2)),
        replace(good, name="trusts others", roots=(), kind="nitro"),
        replace(good, name="absent", evidence=tmp_path / "absent"),
    ]
    phases: list[str] = []
    found = [*measure([*bad, good, Software(at=NOW)], FEW, progress=lambda phase, _: phases.append(phase))]
    assert [(m.name, m.kind, m.status) for m in found] == [
        ("late", "nitro", "failed"), ("trusts others", "nitro", "failed"), ("absent", "", "failed"),
        ("fake", "nitro", "measured"), ("software", "software", "measured"),
    ]  # fmt: skip
    assert found[0].reason.startswith("verify: the certificate of ")
    assert "no root that is trusted here" in found[1].reason
    assert "absent" in found[2].reason
    for each in found[3:]:
        assert (set(each.seconds), set(each.bytes)) == (set(SECONDS), set(BYTES))
        assert len(each.seconds["cpu"]) == FEW.runs
        assert 10e6 < each.bytes["memory-verify"] < 200e6, "a Python process, and what verifying takes"
        assert max(each.seconds["parse"]) < each.seconds["first"][0], "the first loads what reads it"
    assert phases == [m.name for m in found]
    assert {path.name for path in (isolated_home / "cache" / "bench").iterdir()} == {"lock"}


def test_a_limit_is_a_reason_to_skip(isolated_home: Path, tmp_path: Path) -> None:
    long = case(tmp_path, FakeNitro().mint())  # seconds, with so many runs: memory is looked at ten times in each
    memory, seconds = (
        next(measure([long], Options(runs=MAX_RUNS, limits=limits))) for limits in (Limits(memory=5_000_000), Limits(seconds=0.0))
    )
    assert (memory.status, seconds.status) == ("skipped", "skipped")
    assert memory.reason.startswith("verify: over the limit of 0.005 GB")
    assert seconds.reason == "verify: over the limit of time"


def test_one_benchmark_at_a_time(isolated_home: Path) -> None:
    lock = isolated_home / "cache" / "bench" / "lock"
    lock.parent.mkdir(parents=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(ConflictError, match="another benchmark"):
            next(measure([Software(at=NOW)], FEW))
    finally:
        os.close(descriptor)
