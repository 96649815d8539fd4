# SPDX-License-Identifier: Apache-2.0
"""The directory keeps the contract of Storage when any of its system calls fails, and when the disk is full."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from verifiable.errors import ConflictError, FatalStateError, MalformedError
from verifiable.ledger.lock import Lock
from verifiable.ledger.storage import DirectoryStorage

OBJECTS = {"tile/0/000.p/3": b"a" * 96, "tile/entries/000.p/3": b"entries", "tile/1/000": b"b" * 8192}
CALLS = ("open", "fsync", "link", "replace", "mkdir")


def test_objects_are_created_once(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    storage.create(OBJECTS)
    storage.create(OBJECTS)
    assert {path: storage.read(path, max_size=8192) for path in OBJECTS} == OBJECTS
    for other in (b"c" * 96, b"a" * 95, b"a" * 97):
        with pytest.raises(ConflictError, match="other contents"):
            storage.create({"tile/0/000.p/3": other})
    assert storage.read("tile/0/000.p/3", max_size=96) == b"a" * 96
    assert storage.read("tile/0/001", max_size=96) is None
    assert storage.read("tile/0/000.p/3/4", max_size=96) is None


def test_replace_wants_what_was_there(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    storage.replace("checkpoint", b"one", expected=None)
    for expected in (None, b"two"):
        with pytest.raises(ConflictError):
            storage.replace("checkpoint", b"three", expected=expected)
    storage.replace("checkpoint", b"two", expected=b"one")
    assert storage.read("checkpoint", max_size=3) == b"two"


def test_a_read_is_bounded(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    storage.create(OBJECTS)
    with pytest.raises(MalformedError, match="8,192"):
        storage.read("tile/1/000", max_size=8191)
    with pytest.raises(MalformedError, match="regular"):
        storage.read("tile/1", max_size=8191)


def test_discard_takes_what_is_below_and_never_raises(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    storage.create(OBJECTS)
    storage.discard("tile/0/000.p")
    storage.discard("tile/0/000.p")
    assert storage.read("tile/0/000.p/3", max_size=96) is None
    assert storage.read("tile/1/000", max_size=8192) is not None


class _Failing:
    """The n-th call of any of CALLS fails, as on a full or broken disk; before it or, for what has effects, after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at, self.count, self.after, self._lock = -1, 0, False, threading.Lock()
        for name in CALLS:
            monkeypatch.setattr(os, name, self._wrap(getattr(os, name), name))

    def _wrap(self, real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            # Making what is there already cannot fail, and whether the sweep succeeds is nobody's concern.
            if (name == "mkdir" and Path(arguments[0]).is_dir()) or (name == "open" and str(arguments[0]).endswith(".incoming")):
                return real(*arguments, **options)
            with self._lock:
                mine, self.count = self.count == self.at, self.count + 1
            if mine and self.after and name in {"fsync", "link", "replace"}:
                real(*arguments, **options)
            if mine:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*arguments, **options)

        return call


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("operation", ["create", "replace"])
def test_every_failing_system_call(operation: str, after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = _Failing(monkeypatch)
    failing.after = after
    seen = 0
    for at in range(200):
        root = tmp_path / str(at)
        root.mkdir()
        if operation == "replace":
            DirectoryStorage(root).replace("checkpoint", b"old", expected=None)
        storage = DirectoryStorage(root)
        failing.at, failing.count = at, 0
        try:
            if operation == "create":
                storage.create(OBJECTS)
            else:
                storage.replace("checkpoint", b"new", expected=b"old")
        except FatalStateError as error:
            seen += "No space left on device" in str(error)
        else:
            assert failing.count <= at, "a call failed, and nobody was told"
            break
        finally:
            failing.at = -1
        again = DirectoryStorage(root)
        if operation == "create":
            for path, data in OBJECTS.items():
                assert again.read(path, max_size=8192) in {None, data}, "half an object has a name"
            again.create(OBJECTS)
            assert {path: again.read(path, max_size=8192) for path in OBJECTS} == OBJECTS
        else:
            now = again.read("checkpoint", max_size=8)
            assert now in {b"old", b"new"}
            again.replace("checkpoint", b"newest", expected=now)
        assert not [*(root / ".incoming").iterdir()], "what a failure left aside is swept"
    assert seen >= (15 if operation == "create" else 4)


def test_data_and_names_are_synced_before_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order that makes it durable: contents, then the name, then the folders that hold the name."""
    events: list[tuple[str, int]] = []
    real_link, real_fsync = os.link, os.fsync

    def link(source: Any, target: Any) -> None:
        events.append(("link", os.stat(source).st_ino))
        real_link(source, target)

    def fsync(descriptor: int) -> None:
        real_fsync(descriptor)
        events.append(("fsync", os.fstat(descriptor).st_ino))

    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(os, "fsync", fsync)
    DirectoryStorage(tmp_path).create(OBJECTS)
    for path in OBJECTS:
        file = tmp_path / path
        linked = events.index(("link", file.stat().st_ino))
        assert ("fsync", file.stat().st_ino) in events[:linked]
        for folder in file.relative_to(tmp_path).parents:
            assert ("fsync", (tmp_path / folder).stat().st_ino) in events[linked:]


def test_a_folder_that_comes_again_has_its_name_synced_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = DirectoryStorage(tmp_path)
    storage.create({"stage/7": b"one", "tile/0/000.p/3": b"two", "tile/0/000.p/inner/4": b"three", "tile/1/000.p/5": b"four"})
    for gone in ("stage", "tile/0/000.p", "tile/1/000.p/5"):
        storage.discard(gone)
    synced: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    storage.create({"stage/8": b"one"})
    assert tmp_path.stat().st_ino in synced
    storage.create({"tile/0/000.p/inner/4": b"three"})
    assert {(tmp_path / each).stat().st_ino for each in ("tile/0", "tile/0/000.p")} <= {*synced}
    synced.clear()
    storage.create({"tile/1/000.p/6": b"four"})
    assert (tmp_path / "tile/1").stat().st_ino not in synced, "this folder never went"


def test_what_a_storage_remembers_does_not_grow_with_what_it_has_stored(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    sizes = []
    for number in range(200):
        storage.create({f"tile/0/{number:03d}": b"full", f"tile/0/{number + 1:03d}.p/9": b"partial"})
        storage.discard(f"tile/0/{number:03d}.p")
        sizes.append(len(storage._synced))
    assert max(sizes) == sizes[0]


_FULL = """
import sys
from pathlib import Path
from verifiable.errors import FatalStateError
from verifiable.ledger.directory import LogDirectory
from verifiable.ledger.fsck import fsck
log = LogDirectory.at(Path(sys.argv[1]) / "log")
log.initialise("log.example/full")
acknowledged = {}
try:
    with log.open() as writing:
        for number in range(10_000):
            entry = b"%d " % number + bytes(2000)
            acknowledged[writing.append(entry).index] = entry
except FatalStateError as error:
    assert "No space" in str(error) or "full" in str(error), error
else:
    raise SystemExit("the disk never filled up")
(Path(sys.argv[1]) / "ballast").unlink()
with log.open() as writing:
    for index, entry in acknowledged.items():
        assert writing.entry(index) == entry
    writing.append(b"and on")
fsck(log.published, log.identity().open, head=log.head()).require_sound()
print(len(acknowledged))
"""


def test_a_full_disk(tmp_path: Path) -> None:
    """A real one: a small tmpfs in a mount namespace of our own."""
    unshare = shutil.which("unshare")
    mount = [
        "-rm",
        "sh",
        "-c",
        f'mount -t tmpfs -o size=3m none {tmp_path} && head -c 1000000 /dev/zero > {tmp_path}/ballast && exec "$@"',
        "sh",
    ]
    if unshare is None or subprocess.run([unshare, *mount, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us mount a small disk (unshare -rm)")
    done = subprocess.run(
        [unshare, *mount, sys.executable, "-c", _FULL, str(tmp_path)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with Lock.acquire(path) as lock:
        lock.check()
        with pytest.raises(ConflictError, match=f"process {os.getpid()}"):
            Lock.acquire(path)
    Lock.acquire(path).release()


def test_a_waiting_writer_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    first, naps = Lock.acquire(tmp_path / "lock"), []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            first.release()

    with Lock.acquire(tmp_path / "lock", wait=10, clock=lambda: float(len(naps)), sleep=nap) as second:
        second.check()
    with pytest.raises(ConflictError, match="no longer held"):
        first.check()


def test_whoever_lost_the_lock_file_stops(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = Lock.acquire(path)
    path.unlink()
    second = Lock.acquire(path)
    second.check()
    with pytest.raises(ConflictError, match="no longer held"):
        first.check()
    first.release()
    second.check()
    second.release()


_FORK = """
import os, sys
from pathlib import Path
from verifiable.errors import ConflictError
from verifiable.ledger.lock import Lock
path = Path(sys.argv[1])
lock, (told, tell), (ended, end) = Lock.acquire(path), os.pipe(), os.pipe()
if os.fork() == 0:
    os.close(end)
    try:
        lock.check()
        os.write(tell, b"it has")
    except ConflictError:
        os.write(tell, b"no")
    os.read(ended, 1)  # lives as long as its parent
    os._exit(0)
os.close(tell)
assert os.read(told, 9) == b"no"
lock.check()
lock.release()
Lock.acquire(path).release()
"""


def test_a_forked_child_neither_has_nor_keeps_the_lock(tmp_path: Path) -> None:
    """Workers are forked while a log is open, and live on after it was closed, or after its process was killed."""
    done = subprocess.run([sys.executable, "-c", _FORK, str(tmp_path / "lock")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_lock_file_that_goes_between_opening_and_locking_it_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "lock", fcntl.flock
    thefts = [path.unlink]

    def flock(descriptor: int, how: int) -> None:
        real(descriptor, how)
        if thefts:
            thefts.pop()()

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(ConflictError):
        Lock.acquire(path)
    Lock.acquire(path).release()


def test_a_replaced_object_is_durable_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events, real_replace, real_fsync = list[tuple[str, int]](), os.replace, os.fsync

    def replace(source: Any, target: Any) -> None:
        events.append(("replace", os.stat(source).st_ino))
        real_replace(source, target)

    def fsync(descriptor: int) -> None:
        real_fsync(descriptor)
        events.append(("fsync", os.fstat(descriptor).st_ino))

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(os, "fsync", fsync)
    DirectoryStorage(tmp_path).replace("checkpoint", b"new", expected=None)
    file = (tmp_path / "checkpoint").stat().st_ino
    named = events.index(("replace", file))
    assert ("fsync", file) in events[:named]
    assert ("fsync", tmp_path.stat().st_ino) in events[named:]
