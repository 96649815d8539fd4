# SPDX-License-Identifier: Apache-2.0
"""``verifiable bench`` as typed: real proofs of something tiny with both systems, its limits, and what it says of failures."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cli.conftest import Run
from verifiable.bench.prove.results import Results
from verifiable.model.synthetic import TINY


def _results(folder: Path) -> Results:
    return Results.parse((folder / "bench.json").read_bytes())


def test_both_systems_in_one_run(run: Run, isolated_home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("bench", TINY, "--system", "sumcheck", "--system", "ezkl", "--runs", "2", "-o", out, "--json")
    assert done.code == 0, done.err
    found = _results(out)
    assert done.json["measurements"] == [
        {**entry, "model": TINY, "status": "measured", "parameters": 119} for entry in done.json["measurements"]
    ]
    assert [m.system for m in found.measurements] == ["sumcheck", "ezkl"]
    for measured in found.measurements:
        assert {"compile", "witness", "prove", "total", "verify", "command"} == set(measured.seconds)
        assert all(value > 0 for values in measured.seconds.values() for value in values)
        assert len(measured.seconds["total"]) == len(measured.seconds["verify"]) == 2
        sums = [a + b for a, b in zip(measured.seconds["witness"], measured.seconds["prove"], strict=True)]
        assert list(measured.seconds["total"]) == pytest.approx(sums)
        # A Python process with NumPy in it, and no more than this network takes.
        assert all(20e6 < measured.bytes[f"memory-{step}"] < 2e9 for step in ("compile", "prove", "verify"))
        assert measured.bytes["proof"] > 1000
    sumcheck, ezkl = found.measurements
    assert "proving-key" not in sumcheck.bytes
    assert ezkl.bytes["proving-key"] > 1e6
    ET.fromstring((out / "bench.svg").read_bytes())
    kept = {path.name for path in (isolated_home / "cache" / "bench").iterdir()}
    assert kept <= {"lock", "srs", "loops"}  # no keys, no circuits

    again = run("bench", "--from", out / "bench.json", "--markdown", "-o", tmp_path / "other")
    assert again.code == 0, again.err
    assert again.out.count(f"| {TINY} | 119 |") == 2
    assert f"Measured on {found.machine}" in again.out
    assert not (tmp_path / "other").exists()


def test_a_failure_is_named_and_the_rest_goes_on(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"this is no model")
    done = run("bench", broken, TINY, "--system", "sumcheck", "--runs", "1", "-o", tmp_path / "out")
    assert done.code == 1
    assert [(m.model, m.status) for m in _results(tmp_path / "out").measurements] == [
        (str(broken), "failed"), (TINY, "measured"),
    ]  # fmt: skip
    assert str(broken) in done.err


def test_a_misspelt_name_is_found_before_anything_is_measured_or_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "bench.json").write_text("earlier")
    done = run("bench", TINY, "nonesuch", "-o", tmp_path / "out")
    assert done.code == 1
    assert "no model 'nonesuch'" in done.err
    assert "lenet5" in done.err
    assert (tmp_path / "out" / "bench.json").read_text() == "earlier"


@pytest.mark.parametrize(
    ("system", "limit", "reason"),
    [
        ("ezkl", ("--memory", "1MB"), "would take"),
        ("ezkl", ("--timeout", "0.5"), "compile: over the limit of time"),
        ("sumcheck", ("--memory", "30MB"), "compile: over the limit of 0.03 GB"),
        ("sumcheck", ("--timeout", "0.5"), "compile: over the limit of time"),
    ],
)
def test_a_limit_is_a_skip_with_its_reason(
    system: str, limit: tuple[str, str], reason: str, run: Run, tmp_path: Path
) -> None:  # fmt: skip
    done = run("bench", TINY, "--system", system, *limit, "--runs", "1", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    (found,) = _results(tmp_path / "out").measurements
    assert found.status == "skipped"
    assert reason in found.reason
    assert "skipped: " in done.out


def test_what_is_expensive_is_left_out_unless_it_is_asked_for(run: Run, tmp_path: Path) -> None:
    done = run("bench", "cifar-cnn", "--timeout", "0.1", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    found = {m.system: m.status for m in _results(tmp_path / "out").measurements}
    assert found == {"sumcheck": "skipped", "ezkl": "left out", "ezkl-stock": "left out"}
    assert "--all" in done.out
    done = run("bench", "cifar-cnn", "--system", "ezkl", "--timeout", "0.1", "-o", tmp_path / "out")
    assert {m.status for m in _results(tmp_path / "out").measurements} == {"skipped"}


def test_one_benchmark_at_a_time(run: Run, isolated_home: Path, tmp_path: Path) -> None:
    lock = isolated_home / "cache" / "bench" / "lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        done = run("bench", TINY, "-o", tmp_path / "out")
    assert done.code == 75
    assert "another benchmark" in done.err
    assert not (tmp_path / "out").exists()


def test_nowhere_to_write_is_said_before_anything_is_measured(run: Run, tmp_path: Path) -> None:
    done = run("bench", TINY, "-o", tmp_path / "no" / "such" / "folder")
    assert done.code == 70
    assert "benchmark" in done.err
    (tmp_path / "file").write_text("")
    assert run("bench", TINY, "-o", tmp_path / "file").code == 70


def test_what_was_measured_survives_a_cancelled_run(isolated_home: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "verifiable_cli.main",
        "bench",
        TINY,
        "cifar-cnn",
        "--system",
        "sumcheck",
        "-o",
        str(tmp_path / "out"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (tmp_path / "out" / "bench.svg").exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130, said
    assert "so far is in" in said
    assert TINY in {m.model for m in _results(tmp_path / "out").measurements}
