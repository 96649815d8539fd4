# SPDX-License-Identifier: Apache-2.0
"""The process that measures: what its death means, how often a step is run, what a job carries."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from verifiable.bench import child, timing
from verifiable.bench.prove import STOCK, SYSTEMS, measure, steps
from verifiable.bench.prove.measure import Options
from verifiable.bench.prove.steps import Job
from verifiable.bench.prove.subjects import find, noise
from verifiable.bench.step import death
from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.onnx_file import Model
from verifiable.model.synthetic import TINY, Net, network
from verifiable.zk.system import Limits


def _job(tmp_path: Path, **changes: object) -> Job:
    subject = find(TINY, tmp_path)
    job = Job(
        step="compile", system="sumcheck", model=subject.model, calibration=subject.calibration, sample=subject.sample,
        folder=tmp_path, max_error=None, runs=1, memory=None,
    )  # fmt: skip
    return dataclasses.replace(job, **changes)  # type: ignore[arg-type]


def _work(job: Job, answer: Path) -> dict[str, object]:
    command = [sys.executable, "-m", "verifiable.bench.worker", "prove", str(answer)]
    subprocess.run(command, input=json.dumps(job.to_json()), text=True, check=True, capture_output=True)
    return dict(json.loads(answer.read_text()))


def test_a_job_travels_whole(tmp_path: Path) -> None:
    job = _job(tmp_path, max_error=0.5, memory=7)
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job


def test_the_workers_peak_is_its_own_and_not_its_parents(tmp_path: Path) -> None:
    ballast = b"x" * (1 << 29)
    found = _work(_job(tmp_path), tmp_path / "answer")
    assert found["bytes"]["memory-compile"] < len(ballast)  # type: ignore[index]


def test_an_error_of_ours_is_a_failure(tmp_path: Path) -> None:
    failed = _work(_job(tmp_path, calibration=tmp_path / "absent.npz"), tmp_path / "answer")
    assert failed["error"] == "failed"
    assert "absent.npz" in str(failed["message"])


def test_memory_of_children_counts_and_too_much_is_killed(tmp_path: Path) -> None:
    code = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); b = b'x' * (200 << 20); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}, sys.argv[1]])"
    command = [sys.executable, "-c", parent, str(tmp_path / "pid")]
    started = time.monotonic()
    with pytest.raises(child.Over, match=r"over the limit of 0\.1 GB: 0\.\d+ GB"):
        child.run(command, given="", environment=os.environ, deadline=None, memory=100_000_000)
    assert time.monotonic() - started < 30
    grandchild = int((tmp_path / "pid").read_text())
    while child.resident(grandchild) and time.monotonic() - started < 30:  # the kernel takes a moment to end it
        time.sleep(0.05)
    assert not child.resident(grandchild)


def test_what_takes_too_long_is_killed() -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(child.Over, match="time"):
        child.run(command, given="", environment=os.environ, deadline=time.monotonic() + 0.3, memory=None)


def test_input_and_standard_error_of_any_size_get_through() -> None:
    command = [sys.executable, "-c", "import sys; sys.stderr.write(sys.stdin.read()); print('x' * 1000000); sys.exit(3)"]
    text = "y" * 1_000_000 + "\nlast\nhint: no\n"
    ended = child.run(command, given=text, environment=os.environ, deadline=None, memory=None)
    assert (ended.code, ended.said, ended.last_line) == (3, text, "last")


@pytest.mark.parametrize(
    ("code", "said", "kind"),
    [
        (-9, "", "memory"),
        (-6, "memory allocation of 4294967296 bytes failed", "memory"),
        (-2, "OpenBLAS error: Memory allocation still failed after 10 retries, giving up.", "memory"),
        (1, "Traceback ...\nMemoryError", "memory"),
        (-11, "", "failed"),
        (-6, "thread panicked", "failed"),
        (1, "ModuleNotFoundError: No module named 'x'", "failed"),
    ],
)
def test_a_death_without_an_answer(code: int, said: str, kind: str) -> None:
    assert death(child.Ended(code, said))["error"] == kind


def test_runs_follow_a_warm_up_that_is_dropped() -> None:
    calls = iter(range(100))
    assert timing.repeat(lambda: next(calls), 3) == [1, 2, 3]


def test_a_slow_first_run_counts_and_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SLOW", 0.01)
    calls = iter(range(100))
    assert timing.repeat(lambda: time.sleep(0.02) or next(calls), 3) == [0]


def test_runs_stop_when_the_budget_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "BUDGET", 0.03)
    calls = iter(range(100))
    assert 1 <= len(timing.repeat(lambda: time.sleep(0.01) or next(calls), 50)) < 10


def test_making_a_setup_is_not_counted() -> None:
    clock = steps._Clock()
    clock("laying out", None)
    clock(steps._NOT_COUNTED, None)
    time.sleep(0.2)
    clock("making keys", None)
    assert clock.seconds < 0.1


def test_the_uncounted_phase_is_what_the_setup_maker_calls_it(tmp_path: Path) -> None:
    from verifiable.zk.ezkl.dev_srs import generate

    phases: list[str] = []
    generate(tmp_path / "srs", 6, progress=lambda phase, _: phases.append(phase))
    assert steps._NOT_COUNTED in phases


def test_noise_is_the_same_every_time_and_fits_the_model() -> None:
    model = Model.parse(network(TINY))
    one, other = noise(model), noise(model)
    assert one["x"].shape == (8, 1, 1, 4, 4)
    assert (one["x"] == other["x"]).all()


def test_subjects_come_by_name_from_the_catalogue_and_from_files(tmp_path: Path) -> None:
    assert find("lenet5", tmp_path).name == "lenet5-mnist"
    path = tmp_path / "mine.onnx"
    path.write_bytes(network(TINY))
    mine = find(str(path), tmp_path)
    assert (mine.name, mine.size.parameters, mine.max_error) == ("mine", 119, None)
    with pytest.raises(UnsupportedError, match="nonesuch"):
        find("nonesuch", tmp_path)
    with pytest.raises(MalformedError):
        find(str(tmp_path / "absent.onnx"), tmp_path)


def test_a_limit_that_only_the_command_hits_leaves_the_rest_measured(isolated_home: Path) -> None:
    greedy = (sys.executable, "-c", "b = b'x' * (1100 << 20); import time; time.sleep(60)")
    options = Options(systems=("sumcheck",), runs=1, limits=Limits(memory=10**9), command=greedy)
    (found,) = measure.measure([TINY], options)
    assert (found.status, "command" in found.seconds) == ("measured", False)
    assert found.reason.startswith("the command: over the limit of 1 GB")
    assert {"total", "verify"} <= set(found.seconds)


@pytest.mark.slow
def test_the_tuner_against_ezkls_own_calibration(tmp_path: Path, isolated_home: Path) -> None:
    """One run, one model, the same samples; times only with much slack, since the machine may be busy."""
    path = tmp_path / "mlp.onnx"
    path.write_bytes(Net(1, 8).dense(16).relu().dense(4).encode())
    options = Options(systems=SYSTEMS, runs=3, limits=Limits(memory=8 << 30, seconds=1200))
    found = {m.system: m for m in measure.measure([str(path)], options)}
    assert {m.status for m in found.values()} == {"measured"}, [m.reason for m in found.values()]
    tuned, stock = found["ezkl"], found[STOCK]
    assert stock.bytes["proving-key"] >= 15 * tuned.bytes["proving-key"]
    assert stock.figure("total") >= 4 * tuned.figure("total"), "the goal is 8; half of it is left to a busy machine"  # type: ignore[operator]
    assert tuned.figure("verify") < 0.3, "the goal is 30 ms; ten times that is left to a busy machine"  # type: ignore[operator]
    assert stock.figure("total") >= 20 * found["sumcheck"].figure("total"), "the goal is 100"  # type: ignore[operator]
