# SPDX-License-Identifier: Apache-2.0
"""The fault table: a crash at every write, with every part of that write persisted; then reload, fsck, and go on.

What must hold after each: nothing acknowledged is lost, the log is sound, and no two checkpoints that were ever signed disagree.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tests.fakes.log_storage import CrashingStorage, MemoryStorage, Plan, plans
from tests.ledger.conftest import make_identity
from verifiable.errors import Error, FatalStateError
from verifiable.ledger.dedup import DedupIndex
from verifiable.ledger.fsck import fsck
from verifiable.ledger.identity import Identity
from verifiable.ledger.lock import Lock
from verifiable.ledger.log import Log
from verifiable.ledger.tiles import width_at
from verifiable.ledger.tree import TileReader, read_entries
from verifiable.ledger.writer import Writer, initialise
from verifiable.merkle import proofs

# Around the borders: an empty log, a lone entry, a tile that fills exactly or overflows, two levels that do.
STARTS = (0, 1, 250, 255, 256, pytest.param(65_530, marks=pytest.mark.slow))
BATCHES = (1, 7, 260)
NEVER = 10**9


@cache
def _log_of(size: int) -> tuple[dict[str, bytes], dict[str, bytes]]:
    public, private = MemoryStorage(), MemoryStorage()
    initialise(public, private, make_identity())
    writer = Writer(public, private, make_identity(), lambda: None)
    for start in range(0, size, 4096):
        writer.commit([b"entry %d" % i for i in range(start, min(size, start + 4096))])
    return public.objects, private.objects


class _Disk:
    """What survives, and every checkpoint that was ever written anywhere."""

    def __init__(self, start: int) -> None:
        public, private = _log_of(start)
        self.public, self.private = MemoryStorage(dict(public)), MemoryStorage(dict(private))
        self.signed: set[tuple[int, bytes]] = set()

    def note(self, identity: Identity) -> None:
        for storage, path in ((self.public, "checkpoint"), (self.private, "head")):
            if note := storage.objects.get(path):
                checkpoint = identity.open(note)
                self.signed.add((checkpoint.size, checkpoint.root))


def _require_agreement(disk: _Disk, size: int) -> None:
    reader = TileReader(disk.public)
    for old, root in disk.signed:
        assert old <= size
        assert proofs.root(old, lambda level, index: reader.node(size, level, index)) == root, f"two trees of size {old}"


def _require_tidy(disk: _Disk) -> None:
    """Partial versions of full tiles are of no use to anybody, and nobody would look at them again, not even fsck."""
    left = [path for path in disk.public.objects if ".p/" in path and path.split(".p/")[0] in disk.public.objects]
    assert not left


def _run(
    disk: _Disk, plan: Plan, identity: Identity, path: Path, start: int, batches: tuple[int, ...] = BATCHES
) -> dict[int, bytes]:
    """Append until the crash; returns what was acknowledged."""
    acknowledged: dict[int, bytes] = {}
    public, private = CrashingStorage(disk.public, plan), CrashingStorage(disk.private, plan)
    with Lock.acquire(path) as lock:
        log = None
        try:
            log = Log(public, private, identity, lock=lock, index=DedupIndex(None))
            for step, count in enumerate(batches):
                entries = [b"new %d %d %d" % (start, step, i) for i in range(count)]
                for entry, done in zip(entries, log.append_many(entries), strict=True):
                    acknowledged[done.index] = entry
        except Exception:
            assert plan.crashed, "nothing but the planned crash stops a log"
        finally:
            if log is not None:
                log.close()
    disk.note(identity)
    return acknowledged


def _require_sound(disk: _Disk, identity: Identity, acknowledged: dict[int, bytes]) -> int:
    """fsck, the acknowledged entries, and every checkpoint ever written; returns the size of the log."""
    fsck(disk.public, identity.open, head=disk.private.objects["head"]).require_sound()
    size = identity.open(disk.public.objects["checkpoint"]).size
    for number in {index // 256 for index in acknowledged}:
        entries = read_entries(disk.public, number, width_at(0, number, size))
        for index in range(number * 256, number * 256 + len(entries)):
            assert acknowledged.get(index, entries[index % 256]) == entries[index % 256], "an acknowledged entry is lost"
    _require_agreement(disk, size)
    return size


@pytest.mark.parametrize("start", STARTS)
def test_a_crash_at_every_write(start: int, identity: Identity, tmp_path: Path) -> None:
    tried: list[Plan] = []
    for plan in plans(tried):
        disk = _Disk(start)
        disk.note(identity)
        acknowledged = _run(disk, plan, identity, tmp_path / "lock", start)
        Writer(disk.public, disk.private, identity, lambda: None)
        disk.note(identity)
        _require_sound(disk, identity, acknowledged)
        _require_tidy(disk)
        acknowledged |= _run(disk, Plan(step=NEVER, kept=0), identity, tmp_path / "lock", start)
        assert _require_sound(disk, identity, acknowledged) == start + sum(BATCHES), "the same entries got two places"
        assert sorted(acknowledged) == [*range(start, start + sum(BATCHES))]
    # For each batch at least: the stage, the tiles, the head, the checkpoint, and the stage's end.
    assert len({plan.step for plan in tried}) >= 5 * len(BATCHES)
    assert any(plan.width >= 3 and plan.kept == 2 for plan in tried), "a write of several objects is cut in the middle"


@pytest.mark.parametrize("start", [0, 250])
def test_a_crash_while_recovering(start: int, identity: Identity, tmp_path: Path) -> None:
    first: list[Plan] = []
    recoveries = 0
    for plan in plans(first):
        second: list[Plan] = []
        for nested in plans(second):
            disk = _Disk(start)
            acknowledged = _run(disk, Plan(plan.step, plan.kept), identity, tmp_path / "lock", start, (10,))
            acknowledged |= _run(disk, nested, identity, tmp_path / "lock", start, ())
            recoveries += nested.crashed
            Writer(disk.public, disk.private, identity, lambda: None)
            _require_sound(disk, identity, acknowledged)
            acknowledged |= _run(disk, Plan(step=NEVER, kept=0), identity, tmp_path / "lock", start, (10,))
            assert _require_sound(disk, identity, acknowledged) == start + 10
        _run(_Disk(start), plan, identity, tmp_path / "lock", start, (10,))  # for the enumeration
    assert recoveries > 20


def test_a_crash_while_a_log_is_made(identity: Identity) -> None:
    tried: list[Plan] = []
    for plan in plans(tried):
        public, private = MemoryStorage(), MemoryStorage()
        try:
            initialise(CrashingStorage(public, plan), CrashingStorage(private, plan), identity)
        except Exception:
            assert plan.crashed
        if "head" not in private.objects:
            with pytest.raises(FatalStateError, match="nothing was signed"):
                Writer(public, private, identity, lambda: None)
            initialise(public, private, identity)
        Writer(public, private, identity, lambda: None).commit([b"one"])
        fsck(public, identity.open, head=private.objects["head"]).require_sound()
    assert len(tried) == 4


def test_after_a_failed_write_the_log_stops(identity: Identity, tmp_path: Path) -> None:
    disk = _Disk(0)
    plan = Plan(step=NEVER, kept=0)
    with Lock.acquire(tmp_path / "lock") as lock:
        public, private = CrashingStorage(disk.public, plan), CrashingStorage(disk.private, plan)
        log = Log(public, private, identity, lock=lock, index=DedupIndex(None))
        log.append(b"one")
        plan.step = plan.count
        with pytest.raises(Error, match="Crash"):
            log.append(b"two")
        with pytest.raises(FatalStateError, match="stopped after an error"):
            log.append(b"three")
        log.close()
