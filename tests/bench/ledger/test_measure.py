# SPDX-License-Identifier: Apache-2.0
"""From size to size in processes of their own: limits, damage, room, and what is left behind."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

from verifiable.bench import child, step
from verifiable.bench.ledger import STEPS, measure, steps
from verifiable.bench.ledger.measure import Options, sizes
from verifiable.bench.ledger.results import BYTES, COUNTS, RATES, SECONDS, Results
from verifiable.bench.ledger.steps import Job
from verifiable.errors import ConflictError, UnsupportedError
from verifiable.zk.system import Limits
from verifiable_cli.commands import bench_ledger

Do = Callable[..., dict[str, Any]]


def _before(monkeypatch: pytest.MonkeyPatch, name: str, entries: int, event: Callable[[Path], None]) -> None:
    """Let ``event`` happen to the log just before that step at that size."""
    do: Do = step.do

    def eventful(suite: str, job: dict[str, Any], answer: Path, **limits: Any) -> dict[str, Any]:
        if (job["step"], job["entries"]) == (name, entries):
            event(Path(job["log"]))
        return do(suite, job, answer, **limits)

    monkeypatch.setattr(step, "do", eventful)


def _damage(log: Path) -> None:
    path = log / "tile/entries/001"
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def test_sizes_are_two_a_decade_and_the_one_that_was_asked_for() -> None:
    assert sizes(10_000_000) == (
        1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000,
    )  # fmt: skip
    assert sizes(1_000) == (1_000,)
    assert sizes(1_001) == (1_001,)
    assert sizes(7_000) == (1_000, 3_000, 7_000)


def test_every_figure_at_every_size_and_nothing_left_behind(isolated_home: Path) -> None:
    phases: list[str] = []
    found = [*measure.measure(Options(entries=2_000, runs=1), progress=lambda phase, _: phases.append(phase))]
    assert [(m.entries, m.status, m.reason) for m in found] == [(1_000, "measured", ""), (2_000, "measured", "")]
    for each in found:
        assert [set(kind) for kind in (each.seconds, each.rates, each.bytes, each.counts)] == [
            set(names) for names in (SECONDS, RATES, BYTES, COUNTS)
        ]
        assert all(10e6 < each.bytes[f"memory-{name}"] < 1e9 for name in STEPS), "a Python process, and no more than a log takes"
    assert phases == [f"{entries:,} entries: {name}" for entries in (1_000, 2_000) for name in STEPS]
    assert {path.name for path in (isolated_home / "cache" / "bench").iterdir()} == {"lock"}


def test_a_limit_that_the_log_does_not_grow_under_ends_the_run(isolated_home: Path) -> None:
    found = [*measure.measure(Options(entries=3_000, runs=1, limits=Limits(memory=5_000_000)))]
    assert [(m.entries, m.status) for m in found] == [(1_000, "skipped")]
    assert found[0].reason.startswith("append: over the limit of 0.005 GB")


def test_a_limit_that_is_hit_later_leaves_the_rest_measured_and_the_log_growing(
    isolated_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def over(_log: Path) -> None:
        raise child.Over("fsck: over the limit of time")

    _before(monkeypatch, "fsck", 1_000, over)
    first, second = measure.measure(Options(entries=2_000, runs=1))
    assert (first.status, first.reason) == ("measured", "fsck: over the limit of time")
    assert "append" in first.rates
    assert "fsck" not in first.rates
    assert (second.status, second.reason) == ("measured", "")


def test_damage_to_the_log_is_a_failure_by_name_and_in_the_exit_code(
    isolated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _before(monkeypatch, "fsck", 1_000, _damage)
    arguments = ["--entries", "1000", "--runs", "1", "-o", str(tmp_path / "out")]
    with pytest.raises(click.exceptions.Exit) as ended, click.Context(bench_ledger.command) as context:
        context.invoke(bench_ledger.command, **bench_ledger.command.make_context("ledger", arguments).params)
    assert ended.value.exit_code == 1
    assert "1,000 entries: failed: fsck: log: tile/entries/001: " in capsys.readouterr().err
    (failed,) = Results.parse((tmp_path / "out" / "ledger.json").read_bytes()).measurements
    assert failed.status == "failed"
    assert failed.figure("append") is None, "what was found before the damage is no figure of a sound log"


class _Disk(NamedTuple):
    free: int


def test_a_log_that_the_disk_has_no_room_for_is_refused_before_anything(
    isolated_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: _Disk(free=measure.BYTES * 2_000 - 1))
    with pytest.raises(UnsupportedError, match=r"2,000 entries takes 0\.0012 GB") as refused:
        next(measure.measure(Options(entries=2_000)))
    assert "VERIFIABLE_CACHE" in refused.value.hint


def test_what_the_disk_is_said_to_need_is_no_less_than_it_takes(tmp_path: Path) -> None:
    job = Job(step="append", log=tmp_path / "log", entries=30_000, runs=1)
    steps.run(job)
    sizes = steps.run(replace(job, step="open")).bytes
    assert sizes["allocated"] + sizes["private"] < measure.BYTES * job.entries


def test_one_benchmark_at_a_time(isolated_home: Path) -> None:
    lock = isolated_home / "cache" / "bench" / "lock"
    lock.parent.mkdir(parents=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(ConflictError, match="another benchmark"):
            next(measure.measure(Options(entries=1_000)))
    finally:
        os.close(descriptor)
