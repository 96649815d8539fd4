# SPDX-License-Identifier: Apache-2.0
"""What each step does to a real log, and that a log which is not what it should be is an error and no figure."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.receipts import honest
from verifiable.bench.ledger import STEPS, cold, steps
from verifiable.bench.ledger.entries import entries, entry, parts
from verifiable.bench.ledger.steps import Job
from verifiable.errors import FatalStateError, InclusionError, TrustError
from verifiable.ledger.checkpoint import SignedCheckpoint
from verifiable.ledger.entry import Entry
from verifiable.merkle.verify import verify_consistency

SIZE = 1500


@pytest.fixture(autouse=True)
def few_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "PROOFS", 20)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Of a log that was grown to SIZE entries."""
    job = Job(step="append", log=tmp_path / "log", entries=SIZE, runs=1)
    steps.run(job)
    return job


def _at(job: Job, step: str, entries: int = SIZE) -> Job:
    return replace(job, step=step, entries=entries)


def test_a_job_travels_whole(tmp_path: Path) -> None:
    job = Job(step="open", log=tmp_path / "log", entries=7, runs=2)
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job


def test_made_up_entries_are_leaves_like_those_of_receipts() -> None:
    real = honest().receipt.entry
    one, other = entry(1), entry(2)
    assert Entry.parse(one).encode() == one
    assert one != other
    assert (len(one), len(other)) == (len(entry(10**9)),) * 2
    assert abs(len(one) - len(real.encode())) <= 8, "a signature has 70 to 72 bytes, a key 91"
    assert len(set(entries(0, 1000))) == 1000
    assert entries(3, 5) == [entry(3), entry(4)]
    assert [*parts(1, 10, 4)] == [(1, 5), (5, 9), (9, 10)]


def test_the_log_grows_to_each_size_and_holds_the_made_up_entries(job: Job) -> None:
    directory = job.directory
    first = SignedCheckpoint.open(directory.published.read("checkpoint", max_size=10**6) or b"", *directory.identity().keys)
    assert first.size == SIZE
    found = steps.run(_at(job, "append", 2 * SIZE))
    assert found.rates["append"] >= found.rates["append-least"] > 0
    assert len(found.seconds["alone"]) == steps.ALONE
    assert len(found.seconds["sync"]) == steps.SYNCS
    with directory.open() as log:
        assert log.size == 2 * SIZE
        assert [log.entry(index) for index in (0, 19, 20, SIZE - 1, SIZE, 2 * SIZE - 1)] == [
            entry(index) for index in (0, 19, 20, SIZE - 1, SIZE, 2 * SIZE - 1)
        ]
        last = directory.identity().open(log.checkpoint())
        verify_consistency(SIZE, first.root, 2 * SIZE, last.root, log.consistency(SIZE, 2 * SIZE))
    assert {path.name for path in job.log.parent.iterdir()} == {"log", "log.private"}, "synced files are gone"


def test_batches_of_256_and_each_signed_by_both_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from verifiable.ledger.identity import Identity

    signed: list[tuple[int, int]] = []
    sign = Identity.sign

    def noted(self: Identity, checkpoint: object) -> bytes:
        note = sign(self, checkpoint)  # type: ignore[arg-type]
        opened = SignedCheckpoint.open(note, *self.keys)
        signed.append((opened.size, len(self.keys)))
        return note

    monkeypatch.setattr(Identity, "sign", noted)
    steps.run(Job(step="append", log=tmp_path / "log", entries=20 + 3 * 256, runs=1))
    assert signed == [*((size, 2) for size in range(21)), (276, 2), (532, 2), (788, 2)]


@pytest.mark.parametrize("step", STEPS[1:])
def test_a_step_gives_its_figures_and_leaves_the_log_as_it_was(step: str, job: Job) -> None:
    before = {path: path.read_bytes() for path in cold.files_below(job.log)}
    found = steps.run(_at(job, step))
    assert {path: path.read_bytes() for path in cold.files_below(job.log)} == before
    if step == "open":
        assert found.bytes["published"] == sum(map(len, before.values()))
        assert found.counts["files"] == len(before)
        assert found.bytes["private"] > 0
        assert {name: len(values) for name, values in found.seconds.items()} == {"open": 1, "open-cold": 1}
    elif step == "read":
        assert {name: len(values) for name, values in found.seconds.items()} == dict.fromkeys(
            ("prove", "prove-cold", "verify", "verify-path"), steps.PROOFS
        )
        assert all(value > 0 for values in found.seconds.values() for value in values)
    else:
        assert found.rates["fsck"] > 0
        assert found.rates["fsck-cold"] > 0


@pytest.mark.parametrize("step", STEPS[1:])
def test_a_log_of_another_size_is_no_figure(step: str, job: Job) -> None:
    with pytest.raises(FatalStateError, match="1,500 entries where 1,400"):
        steps.run(_at(job, step, 1400))


def test_a_size_that_was_passed_already_is_no_figure(job: Job) -> None:
    with pytest.raises(FatalStateError, match="1,500 entries where 1,400"):
        steps.run(_at(job, "append", 1400))


def _damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)


def test_damage_is_no_figure_of_fsck(job: Job) -> None:
    _damage(job.log / "tile/entries/002")
    with pytest.raises(FatalStateError, match="tile/entries/002"):
        steps.run(_at(job, "fsck"))


def test_a_proof_that_does_not_lead_to_the_root_is_no_figure(job: Job) -> None:
    for number in range(5):
        _damage(job.log / f"tile/0/00{number}")
    with pytest.raises(InclusionError):
        steps.run(_at(job, "read"))


def test_another_entry_than_was_appended_is_no_figure(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "entry", lambda index: entry(index + 1))
    with pytest.raises(InclusionError):
        steps.run(_at(job, "read"))


@pytest.mark.parametrize("step", ["read", "fsck"])
def test_a_checkpoint_that_only_one_key_signed_is_no_figure(step: str, job: Job) -> None:
    path = job.log / "checkpoint"
    text, blank, lines = path.read_bytes().partition(b"\n\n")
    first, _second = lines.splitlines(keepends=True)
    path.write_bytes(text + blank + first)
    with pytest.raises((TrustError, FatalStateError), match="not signed by"):
        steps.run(_at(job, step))


def test_files_below_are_regular_and_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_bytes(b"1")
    (tmp_path / "d").write_bytes(b"2")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert {str(path.relative_to(tmp_path)) for path in cold.files_below(tmp_path)} == {"a/b/c", "d"}


def _cached(path: Path) -> bool:
    """Whether the first byte can be had without asking the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.preadv(descriptor, [bytearray(1)], 0, os.RWF_NOWAIT) == 1
    except BlockingIOError:
        return False
    except OSError:
        pytest.skip("this file system does not tell what is in the page cache")
    finally:
        os.close(descriptor)


def _kind(path: Path) -> str:
    """Of the file system that ``path`` is on."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    found = max((m for m in mounts if path.is_relative_to(m[4])), key=lambda m: len(m[4]))
    return found[found.index("-") + 1]


def test_what_was_forgotten_comes_from_the_disk(tmp_path: Path) -> None:
    if _kind(tmp_path) not in {"ext4", "xfs", "btrfs"}:
        pytest.skip("only a disk can be cold")
    path = tmp_path / "file"
    with path.open("wb") as stream:
        stream.write(bytes(8192))
        stream.flush()
        os.fsync(stream.fileno())
    assert path.read_bytes()
    assert _cached(path)
    cold.forget([tmp_path / "absent", path])
    assert not _cached(path)


def test_the_recorder_reads_what_its_source_has(job: Job) -> None:
    recorder = cold.Recorder(job.directory.published)
    assert recorder.read("checkpoint", max_size=10**6) == (job.log / "checkpoint").read_bytes()
    assert recorder.read("tile/9/000", max_size=10) is None
    assert recorder.paths == ["checkpoint", "tile/9/000"]
