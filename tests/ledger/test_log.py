# SPDX-License-Identifier: Apache-2.0
"""The log from outside: places, duplicates, many threads, two writers, and every wrong state it must refuse to write on."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.log_storage import MemoryStorage
from tests.ledger.conftest import make_identity
from verifiable.errors import (
    BindingError,
    ConflictError,
    ConsistencyError,
    Error,
    FatalStateError,
    InclusionError,
    MalformedError,
    SignatureError,
    TrustError,
)
from verifiable.ledger.checkpoint import SignedCheckpoint
from verifiable.ledger.dedup import DedupIndex
from verifiable.ledger.directory import LogDirectory
from verifiable.ledger.identity import Identity
from verifiable.ledger.lock import Lock
from verifiable.ledger.log import Appended, Log
from verifiable.ledger.stage import Stage
from verifiable.ledger.writer import Writer, initialise
from verifiable.merkle.hashing import leaf_hash
from verifiable.merkle.verify import verify_consistency, verify_inclusion


def _ignore() -> None:
    pass


class _State:
    """Both storages of a log, with ways to go back."""

    def __init__(self, identity: Identity) -> None:
        self.identity, self.public, self.private = identity, MemoryStorage(), MemoryStorage()
        initialise(self.public, self.private, identity)

    def append(self, *entries: bytes) -> Writer:
        writer = Writer(self.public, self.private, self.identity, _ignore)
        if entries:
            writer.commit(entries)
        return writer

    def copy(self) -> _State:
        other = object.__new__(_State)
        other.identity = self.identity
        other.public, other.private = MemoryStorage(dict(self.public.objects)), MemoryStorage(dict(self.private.objects))
        return other


@pytest.fixture
def state(identity: Identity) -> _State:
    state = _State(identity)
    state.append(b"one", b"two")
    state.append(b"three")
    return state


@pytest.fixture
def directory(tmp_path: Path) -> LogDirectory:
    directory = LogDirectory.at(tmp_path / "log")
    directory.initialise("log.example/test")
    return directory


def test_places_proofs_and_entries(directory: LogDirectory) -> None:
    identity = directory.identity()
    with directory.open() as log:
        entries = [b"entry %d" % i for i in range(700)]
        assert [done.index for done in log.append_many(entries)] == [*range(700)]
        old = identity.open(log.checkpoint())
        assert log.append(b"one more") == Appended(index=700, known=False)
        new = identity.open(log.checkpoint())
        for index in (0, 255, 256, 699):
            assert log.entry(index) == entries[index]
            verify_inclusion(leaf_hash(entries[index]), index, 701, log.inclusion(index), new.root)
            verify_inclusion(leaf_hash(entries[index]), index, 700, log.inclusion(index, 700), old.root)
        verify_consistency(700, old.root, 701, new.root, log.consistency(700, 701))
        for index, size in ((701, None), (-1, None), (5, 702), (5, 5)):
            with pytest.raises(InclusionError):
                log.inclusion(index, size)
        with pytest.raises(ConsistencyError):
            log.consistency(5, 702)


def test_every_checkpoint_bears_both_signatures(directory: LogDirectory) -> None:
    with directory.open() as log:
        log.append(b"one")
        checkpoint = SignedCheckpoint.open(log.checkpoint(), *directory.identity().keys)
    assert (checkpoint.size, checkpoint.origin) == (1, "log.example/test")
    assert [key.type for key in directory.identity().keys] == [0x01, 0x06]


def test_the_same_entry_keeps_its_place_also_after_a_restart(directory: LogDirectory) -> None:
    with directory.open() as log:
        assert [done.index for done in log.append_many([b"a", b"b", b"a"])] == [0, 1, 0]
        assert log.append(b"a") == Appended(index=0, known=True)
    with directory.open() as log:
        assert log.append(b"b") == Appended(index=1, known=True)
        before = log.checkpoint()
        assert log.append(b"a").known
        assert log.checkpoint() == before, "nothing new, nothing signed"
        assert log.size == 2


def _sql(statement: str) -> Callable[[Path], None]:
    def execute(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute(statement)
            database.commit()

    return execute


def _of_a_longer_log(path: Path) -> None:
    with contextlib.closing(DedupIndex(path)) as index:
        index.add([leaf_hash(b"never logged %d" % i) for i in range(100)])


def _of_another_branch(path: Path) -> None:
    with contextlib.closing(DedupIndex(path)) as index:
        index.reset()
        index.add([leaf_hash(b"another %d" % i) for i in range(300)])


INDEX_DAMAGE: dict[str, Callable[[Path], object]] = {
    "lost": Path.unlink,
    "garbage": lambda path: path.write_bytes(b"not a database" * 1000),
    "of a longer log": _of_a_longer_log,
    "of another branch": _of_another_branch,
    "without a size": _sql("DELETE FROM progress"),
    "a size that is text": _sql("UPDATE progress SET size = 'abc'"),
    "a size that is half": _sql("UPDATE progress SET size = 2.5"),
    "a negative size": _sql("UPDATE progress SET size = -5"),
    "of an older version": _sql("ALTER TABLE progress DROP COLUMN last"),
}


@pytest.mark.parametrize("damage", INDEX_DAMAGE)
def test_the_index_is_only_derived(damage: str, directory: LogDirectory) -> None:
    with directory.open() as log:
        log.append_many([b"%d" % i for i in range(300)])
    INDEX_DAMAGE[damage](directory.private / "entries.sqlite")
    for known in (False, True):
        with directory.open() as log:
            assert log.append(b"299") == Appended(index=299, known=True)
            assert log.append(b"never logged 5") == Appended(index=300, known=known)


@pytest.mark.parametrize("place", ["-1", "'abc'", "2.5", "x'00'", "5", "300", "9223372036854775807"])
def test_a_place_that_the_index_got_wrong_is_no_place(place: str, directory: LogDirectory) -> None:
    with directory.open() as log:
        log.append_many([b"%d" % i for i in range(300)])
    _sql(f"UPDATE entries SET position = {place}")(directory.private / "entries.sqlite")
    with directory.open() as log:
        assert log.append(b"7") == Appended(index=300, known=False), "twice in the log, but nothing lost and nothing stopped"


def test_a_lying_index_makes_no_entry_vanish(directory: LogDirectory) -> None:
    with directory.open() as log:
        log.append(b"a")
    index = DedupIndex(directory.private / "entries.sqlite")
    index.reset()
    index.add([leaf_hash(b"b")])  # says that b is entry 0
    index.last = leaf_hash(b"a")
    index.close()
    with directory.open() as log:
        assert log.append(b"b") == Appended(index=1, known=False)


def test_many_threads_share_batches(directory: LogDirectory) -> None:
    with directory.open() as log, ThreadPoolExecutor(16) as pool:
        done = [*pool.map(log.append, [b"%d" % (i % 150) for i in range(300)])]
        assert sorted({each.index for each in done}) == [*range(150)]
        assert all(log.entry(each.index) == b"%d" % (i % 150) for i, each in enumerate(done))


def test_an_oversized_entry_is_refused_and_harms_nobody(directory: LogDirectory) -> None:
    with directory.open() as log:
        with pytest.raises(MalformedError, match="65,536"):
            log.append(bytes(65_536))
        assert log.append(bytes(65_535)).index == 0
        assert log.entry(0) == bytes(65_535)


def test_a_cancelled_append_stops_nobody(directory: LogDirectory) -> None:
    with directory.open() as log:
        for number in range(50):
            log.submit((b"cancelled %d" % number,)).cancel()
        log.append(b"one")
        log.append(b"two")


def test_a_cancelled_append_does_not_leave_the_others_waiting_when_the_log_stops(
    directory: LogDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = threading.Event()

    def stop(_self: Writer, _entries: object) -> None:
        going.wait(30)
        raise FatalStateError("the disk is gone")

    monkeypatch.setattr(Writer, "commit", stop)
    with directory.open() as log:
        first = log.submit((b"first",))
        while not first.running():
            time.sleep(0.001)
        cancelled, last = log.submit((b"cancelled",)), log.submit((b"last",))
        assert cancelled.cancel()
        going.set()
        for waiting in (first, last):
            with pytest.raises(FatalStateError, match="the disk is gone"):
                waiting.result(timeout=30)


def test_of_many_entries_one_that_is_too_long_keeps_all_out(directory: LogDirectory) -> None:
    with directory.open(batch=2) as log:
        with pytest.raises(MalformedError, match="65,536"):
            log.append_many([b"one", b"two", b"three", bytes(65_536)])
        assert log.append(b"four").index == 0


def test_a_closed_log_refuses(directory: LogDirectory) -> None:
    log = directory.open()
    last = log.submit((b"waiting",))
    log.close()
    log.close()
    assert last.result()[0].index == 0, "what was waiting is written"
    with pytest.raises(FatalStateError, match="closed"):
        log.append(b"late")


def test_a_second_writer_waits_or_fails(directory: LogDirectory) -> None:
    first = directory.open()
    with pytest.raises(ConflictError, match="held by process"):
        directory.open()
    first.append(b"first")
    threading.Timer(0.2, first.close).start()
    with directory.open(wait=30) as second:
        assert second.append(b"second").index == 1
        assert second.entry(0) == b"first"


def test_a_fenced_off_writer_signs_nothing(directory: LogDirectory) -> None:
    """Somebody removes the lock file under a running writer: two believe that they hold it, one writes."""
    first = directory.open()
    first.append(b"one")
    (directory.private / "lock").unlink()
    with directory.open() as second:
        second.append(b"two")
        head = directory.head()
        with pytest.raises(ConflictError, match="no longer held"):
            first.append(b"three")
        assert directory.head() == head
        second.append(b"four")
        assert [second.entry(i) for i in range(3)] == [b"one", b"two", b"four"]
    first.close()


@pytest.mark.parametrize("step", ["stage", "head", "checkpoint"])
def test_without_the_lock_the_storage_still_lets_one_through(step: str, state: _State) -> None:
    """Two writers on one log whose lock does nothing: whoever is second at any shared name fails before it has done harm."""
    late = state.append()
    if step == "stage":
        state.private.objects[Stage.path_at(3)] = Stage(size=3, root=late.edge.root, entries=(b"other",)).encode()
    elif step == "head":
        state.private.objects["head"] += b"moved"
    else:
        state.public.objects["checkpoint"] += b"moved"
    published = state.public.objects["checkpoint"]
    with pytest.raises(ConflictError):
        late.commit([b"mine"])
    assert state.public.objects["checkpoint"] == published
    with pytest.raises(FatalStateError, match="stopped"):
        late.commit([b"mine"])


@pytest.mark.parametrize("checks", [0, 1])
def test_a_writer_asks_for_its_lock_before_it_stages_and_before_it_signs(checks: int, state: _State) -> None:
    """``checks``: how often the lock is still there."""
    left = [checks]

    def fence() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise ConflictError("the lock is gone")

    writer = Writer(state.public, state.private, state.identity, fence)
    before = dict(state.private.objects)
    with pytest.raises(ConflictError, match="is gone"):
        writer.commit([b"four"])
    assert (Stage.path_at(3) in state.private.objects) is (checks == 1)
    assert state.private.objects["head"] == before["head"], "nothing was signed"


def test_a_writer_asks_for_its_lock_before_it_puts_cosignatures_on(state: _State) -> None:
    def fence() -> None:
        raise ConflictError("the lock is gone")

    writer, before = Writer(state.public, state.private, state.identity, fence), state.public.objects["checkpoint"]
    with pytest.raises(ConflictError, match="is gone"):
        writer.publish(before)


def _staged(state: _State, **change: object) -> bytes:
    """A batch that a crash left staged, on top of the three entries."""
    root = state.identity.open(state.public.objects["checkpoint"]).root
    return replace(Stage(size=3, root=root, entries=(b"four",)), **change).encode()


def test_a_staged_batch_that_was_damaged_is_not_signed(state: _State) -> None:
    """Nobody was told of it, but tiles of it may be there; and a flipped bit in an entry would be signed as the entry."""
    data = _staged(state)
    for at in (0, data.index(b"four"), len(data) - 33, len(data) - 1):
        damaged = state.copy()
        damaged.private.objects[Stage.path_at(3)] = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(FatalStateError, match="the staged batch is damaged"):
            damaged.append()
        assert damaged.private.objects["head"] == state.private.objects["head"]
    state.private.objects[Stage.path_at(3)] = data
    assert state.append().edge.size == 4


@pytest.mark.parametrize("change", [{"size": 2}, {"root": bytes(32)}])
def test_a_staged_batch_of_another_tree_is_not_signed(change: dict[str, object], state: _State) -> None:
    state.private.objects[Stage.path_at(3)] = _staged(state, **change)
    with pytest.raises(FatalStateError, match="belongs to another tree"):
        state.append()
    assert state.identity.open(state.private.objects["head"]).size == 3


def test_a_rolled_back_directory(state: _State) -> None:
    old = state.copy()
    state.append(b"four")
    state.append(b"five")
    state.public = old.public
    with pytest.raises(FatalStateError, match="rolled back: it has size 3, and size 5 was signed"):
        state.append()
    del state.public.objects["checkpoint"]
    with pytest.raises(FatalStateError, match="no checkpoint is published"):
        state.append()


def test_a_rolled_back_private_folder(state: _State) -> None:
    old = state.copy()
    state.append(b"four")
    state.private = old.private
    with pytest.raises(FatalStateError, match="size 4 is published, but the private folder knows only of 3"):
        state.append()


def test_a_forked_copy(state: _State) -> None:
    fork = state.copy()
    fork.append(b"theirs")
    state.append(b"ours")
    state.public = fork.public
    with pytest.raises(ConsistencyError, match="fork"):
        state.append()


def test_a_fork_that_is_one_behind_is_not_completed_with_another_batch(state: _State) -> None:
    fork = state.copy()
    state.append(b"four")
    fork.private.objects["head"] = state.private.objects["head"]
    fork.private.objects[Stage.path_at(3)] = Stage(
        size=3, root=fork.identity.open(fork.public.objects["checkpoint"]).root, entries=(b"other",)
    ).encode()
    before = dict(fork.public.objects)
    with pytest.raises(FatalStateError, match="does not lead to the checkpoint that was signed"):
        fork.append()
    assert fork.public.objects == before


def test_another_logs_origin_or_key(state: _State) -> None:
    state.identity = make_identity(origin="log.example/other")
    with pytest.raises(BindingError, match=r"log\.example/other"):
        state.append()
    state.identity = make_identity(seed=2)
    with pytest.raises(TrustError, match="not signed by"):
        state.append()


def test_a_forged_checkpoint(state: _State) -> None:
    note = state.public.objects["checkpoint"]
    state.public.objects["checkpoint"] = note.replace(b"\n3\n", b"\n2\n")
    with pytest.raises(SignatureError):
        state.append()


@pytest.mark.parametrize("path", ["tile/0/000.p/3", "tile/entries/000.p/3"])
@pytest.mark.parametrize("how", ["flipped", "cut", "lost"])
def test_no_appending_on_a_damaged_edge(path: str, how: str, state: _State) -> None:
    data = state.public.objects.pop(path)
    if how != "lost":
        state.public.objects[path] = data[:-1] + (bytes([data[-1] ^ 1]) if how == "flipped" else b"")
    with pytest.raises(Error) as caught:
        state.append()
    assert caught.value.exit_code in {65, 70}
    assert path in str(caught.value) or "root" in str(caught.value)


def test_no_appending_on_an_inner_tile_that_leads_elsewhere(state: _State) -> None:
    state.append(*[b"%d" % i for i in range(600)])
    tile = state.public.objects["tile/1/000.p/2"]
    state.public.objects["tile/1/000.p/2"] = bytes(32) + tile[32:]
    with pytest.raises(FatalStateError, match="do not lead to the published root of size 603"):
        state.append()


def test_a_damaged_entry_is_not_given_out(directory: LogDirectory) -> None:
    with directory.open() as log:
        log.append_many([b"entry %d" % i for i in range(300)])
        bundle = directory.public / "tile" / "entries" / "000"
        bundle.write_bytes(bundle.read_bytes().replace(b"entry 7", b"entry x", 1))
        with pytest.raises(FatalStateError, match="entry 7 does not match its tile"):
            log.entry(7)
        assert log.entry(8) == b"entry 8"


def test_cosignatures_are_published_while_the_log_has_not_moved_on(state: _State, identity: Identity) -> None:
    writer = state.append()
    witness = make_identity(origin="witness.example", seed=9).signers[0]
    signed = SignedCheckpoint.parse(writer.checkpoint)
    cosigned = signed.with_signatures([witness.sign_checkpoint(signed.checkpoint, identity.now())]).encode()
    writer.publish(cosigned)
    assert state.public.objects["checkpoint"] == cosigned
    assert state.append().checkpoint == cosigned, "opening the log keeps them"
    writer.commit([b"four"])
    with pytest.raises(ConflictError, match="moved on to size 4"):
        writer.publish(cosigned)
    with pytest.raises(TrustError):
        writer.publish(
            replace(
                signed, note=replace(signed.note, signatures=(witness.sign_checkpoint(signed.checkpoint, identity.now()),))
            ).encode()
        )


def test_cosignatures_do_not_take_the_place_of_others(directory: LogDirectory) -> None:
    """Two that ask different cosigners at once, and one whose copy of the checkpoint lacks a line of the log's own."""
    keys, witnesses = directory.identity().keys, [make_identity(origin=f"w{i}.example", seed=i).signers[0] for i in range(1, 100)]
    with directory.open() as log:
        log.append(b"one")
        bare = SignedCheckpoint.parse(log.checkpoint())
        lines = [witness.sign_checkpoint(bare.checkpoint, directory.identity().now()) for witness in witnesses]
        for line in lines[:2]:
            log.publish(bare.with_signatures([line]).encode())
        ed25519 = replace(bare, note=replace(bare.note, signatures=(bare.note.signatures[0], lines[2])))
        log.publish(ed25519.encode())
        assert SignedCheckpoint.open(log.checkpoint(), *keys) == bare.checkpoint
        assert SignedCheckpoint.parse(log.checkpoint()).note.signatures == (*bare.note.signatures, *lines[:3])
        log.publish(bare.with_signatures(lines[1:98]).encode())
        with pytest.raises(MalformedError, match="101 signatures"):
            log.publish(bare.with_signatures(lines[98:]).encode())
        assert log.append(b"two").index == 1, "what cannot be published stops nobody"


def test_init_never_replaces_a_log(directory: LogDirectory) -> None:
    with pytest.raises(FatalStateError, match="already exists"):
        directory.initialise("log.example/test")
    with pytest.raises(ConflictError):
        initialise(directory.published, MemoryStorage(), directory.identity())


def test_the_private_folder_is_private(directory: LogDirectory) -> None:
    assert directory.private.stat().st_mode & 0o777 == 0o700
    with directory.open() as log:
        log.append(b"one")
    for path in directory.private.rglob("*"):
        if path.name in {"keys", "head", "lock"}:
            assert path.stat().st_mode & 0o077 == 0, path
    assert {path.name for path in directory.public.iterdir()} == {"checkpoint", "tile", ".incoming"}
    assert not [*(directory.public / ".incoming").iterdir()]


def test_a_failing_signer_stops_the_log_and_loses_nothing(state: _State, tmp_path: Path) -> None:
    class Broken(Identity):
        def sign(self, checkpoint: object) -> bytes:
            raise TrustError("the key is gone")

    good, state.identity = (
        state.identity,
        Broken(**{name: getattr(state.identity, name) for name in ("origin", "signers", "now")}),
    )
    with Lock.acquire(tmp_path / "lock") as lock:
        log = Log(state.public, state.private, state.identity, lock=lock, index=DedupIndex(None))
        with pytest.raises(TrustError, match="gone"):
            log.append(b"four")
        log.close()
    state.identity = good
    assert state.append().edge.size == 4, "the staged batch is finished with a working key"
