# SPDX-License-Identifier: Apache-2.0
"""The fault table: a crash at every write, with every part of that write persisted; then reload, fsck, and go on.

What must hold after each: nothing acknowledged is lost, the log is sound, and no two checkpoints that were ever signed disagree.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from tests.fakes.log_storage import CrashingStorage, MemoryStorage, Plan, plans
from tests.ledger.conftest import make_identity
from verifiable.errors import Error, FatalStateError
from verifiable.ledger.checkpoint import Checkpoint
from verifiable.ledger.dedup import DedupIndex
from verifiable.ledger.fsck import fsck
from verifiable.ledger.identity import Identity
from verifiable.ledger.lock import Lock
from verifiable.ledger.log import Log
from verifiable.ledger.tree import TileReader
from verifiable.ledger.writer import Writer, initialise
from verifiable.merkle import proofs

# Around the borders: an empty log, a lone entry, a tile that fills exactly or overflows, two levels that do.
STARTS = (0, 1, 250, 255, 256, 65_530)


@lru_cache(maxsize=None)
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


class _Witnessed(Identity):
    """Remembers everything it signs, also what never reached a disk."""

    made: list[Checkpoint] = []  # noqa: RUF012

    def sign(self, checkpoint: Checkpoint) -> bytes:
        self.made.append(checkpoint)
        return super().sign(checkpoint)


def _require_agreement(disk: _Disk, size: int) -> None:
    reader = TileReader(disk.public)
    for old, root in disk.signed:
        assert old <= size
        assert proofs.root(old, lambda level, index: reader.node(size, level, index)) == root, f"two trees of size {old}"


def _run(disk: _Disk, plan: Plan, identity: Identity, path: Path, start: int) -> dict[int, bytes]:
    """Append until the crash; returns what was acknowledged."""
    acknowledged: dict[int, bytes] = {}
    with Lock.acquire(path) as lock:
        log = None
        try:
            log = Log(CrashingStorage(disk.public, plan), CrashingStorage(disk.private, plan), identity, lock=lock, index=DedupIndex(None))
            for step, count in enumerate((1, 7, 260)):
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


@pytest.mark.parametrize("start", STARTS)
def test_a_crash_at_every_write(start: int, identity: Identity, tmp_path: Path) -> None:
    tried: list[Plan] = []
    for plan in plans(tried):
        disk = _Disk(start)
        disk.note(identity)
        acknowledged = _run(disk, plan, identity, tmp_path / "lock", start)
        again = Plan(step=10**9, kept=0)
        with Lock.acquire(tmp_path / "lock") as lock, Log(disk.public, disk.private, identity, lock=lock, index=DedupIndex(None)) as log:
            fsck(disk.public, identity.open, head=disk.private.objects["head"]).require_sound()
            for index, entry in acknowledged.items():
                assert log.entry(index) == entry, "an acknowledged entry is lost"
        acknowledged |= _run(disk, again, identity, tmp_path / "lock", start)
        fsck(disk.public, identity.open, head=disk.private.objects["head"]).require_sound()
        size = start + 268
        assert identity.open(disk.public.objects["checkpoint"]).size == size, "the same entries got two places"
        assert [*acknowledged] == [*range(start, size)] or sorted(acknowledged) == [*range(start, size)]
        _require_agreement(disk, size)
    # stage, tiles, head, checkpoint, discards: at least these, for each of the batches
    assert len({plan.step for plan in tried}) >= 4 * 4
    assert any(plan.width >= 3 and plan.kept == 2 for plan in tried)


@pytest.mark.parametrize("start", [0, 250])
def test_a_crash_while_recovering(start: int, identity: Identity, tmp_path: Path) -> None:
    first: list[Plan] = []
    for plan in plans(first):
        second: list[Plan] = []
        for nested in plans(second):
            disk = _Disk(start)
            acknowledged = _run(disk, Plan(plan.step, plan.kept), identity, tmp_path / "lock", start)
            _run(disk, nested, identity, tmp_path / "lock", start)
            _run(disk, Plan(step=10**9, kept=0), identity, tmp_path / "lock", start)
            fsck(disk.public, identity.open, head=disk.private.objects["head"]).require_sound()
            _require_agreement(disk, start + 268)
            reader = Writer(disk.public, disk.private, identity, lambda: None)
            assert reader.edge.size == start + 268
            assert len(acknowledged) <= 268
            if nested.step > 3:  # recovery is over by then; what follows is the first table again
                break
        plan.crashed = bool(second) and plan.step < 12


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
    plan = Plan(step=10**9, kept=0)
    with Lock.acquire(tmp_path / "lock") as lock:
        log = Log(CrashingStorage(disk.public, plan), CrashingStorage(disk.private, plan), identity, lock=lock, index=DedupIndex(None))
        log.append(b"one")
        plan.step = plan.count
        with pytest.raises(Error, match="Crash"):
            log.append(b"two")
        with pytest.raises(FatalStateError, match="stopped after an error"):
            log.append(b"three")
        log.close()
