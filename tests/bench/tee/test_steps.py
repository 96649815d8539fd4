# SPDX-License-Identifier: Apache-2.0
"""That each kind of evidence is verified for its figure, and that what does not verify is none."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.bench.tee.fabricated import case
from tests.fakes.pki.amd import FakeAmd
from tests.fakes.pki.authority import NOW
from tests.fakes.pki.aws import FakeNitro
from tests.fakes.pki.intel import FakeIntel
from tests.fakes.pki.nvidia import FakeNvidia
from verifiable.bench.tee import steps
from verifiable.bench.tee.results import BYTES, SECONDS
from verifiable.bench.tee.steps import Job
from verifiable.bench.tee.subjects import Software
from verifiable.errors import Error, SignatureError, StaleError, TrustError
from verifiable.tee import registry
from verifiable.tee.evidence import Evidence

FAKES = {
    "tdx": FakeIntel(kind="tdx"), "sgx": FakeIntel(kind="sgx"), "nitro": FakeNitro(), "snp": FakeAmd(), "nvidia": FakeNvidia()
}  # fmt: skip


def _job(folder: Path, kind: str, **fields: Any) -> Job:
    (folder / "given").mkdir()
    (folder / "own").mkdir()
    subject = case(folder / "given", FAKES[kind].mint(), kind=kind).read()
    return Job.of(replace(subject, **fields), folder / "own", runs=3)


def test_a_job_travels_whole(tmp_path: Path) -> None:
    for roots in ({}, {"roots": None}):
        folder = tmp_path / str(len(roots))
        folder.mkdir()
        job = _job(folder, "nvidia", **roots)
        assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job
        assert (job.roots is None) == bool(roots)


@pytest.mark.parametrize("kind", FAKES)
def test_each_kind_is_parsed_and_verified_as_often_as_asked_for(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    job, parsed = _job(tmp_path, kind), []
    parse = registry.parse

    def counted(kind: str, data: bytes) -> Evidence:
        parsed.append(kind)
        return parse(kind, data)

    monkeypatch.setattr(registry, "parse", counted)
    found = steps.run(job)
    assert parsed == [kind] * (2 + 3), "the first, a warm-up, and three"
    assert {name: len(values) for name, values in found.seconds.items()} == {
        "first": 1, "parse": 3, "verify": 3, "total": 3, "cpu": 3
    }  # fmt: skip
    assert set(found.seconds) == set(SECONDS)
    assert set(found.bytes) == set(BYTES) - {"memory-verify"}, "its peak memory is told by the process"
    assert found.bytes["evidence"] == len((tmp_path / "given" / "evidence").read_bytes())
    assert (found.bytes["collateral"] == 0) == (kind == "nitro")
    for parsing, verifying, total, cpu in zip(*(found.seconds[n] for n in ("parse", "verify", "total", "cpu")), strict=True):
        assert parsing > 0
        assert verifying > 0
        assert total == pytest.approx(parsing + verifying)
        assert cpu > 0


def test_software_evidence_is_measured_without_any_file(tmp_path: Path) -> None:
    found = steps.run(Job.of(Software(at=NOW).read(), tmp_path, runs=2))
    assert len(found.seconds["cpu"]) == 2


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"roots": None}, TrustError),  # the vendor's own, not the fake's
        ({"collateral": ()}, TrustError),
        ({"at": NOW + timedelta(days=36_500)}, StaleError),
    ],
)
def test_what_does_not_verify_is_no_figure(fields: dict[str, Any], error: type[Error], tmp_path: Path) -> None:
    with pytest.raises(error):
        steps.run(_job(tmp_path, "snp", **fields))


def test_evidence_with_a_bit_turned_over_is_no_figure(tmp_path: Path) -> None:
    job = _job(tmp_path, "snp")
    path = job.folder / "evidence"
    data = bytearray(path.read_bytes())
    data[0x50] ^= 1
    path.write_bytes(data)
    with pytest.raises(SignatureError):
        steps.run(job)
