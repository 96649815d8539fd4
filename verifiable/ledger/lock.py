# SPDX-License-Identifier: Apache-2.0
"""One writer at a time: an advisory lock that the kernel drops when its holder dies, and a token that shows when it was lost.

``flock`` alone has a hole: when somebody removes the lock file, a second process locks a new file of that name while the first
goes on. So each holder writes a token into the file, and asks for it again (:meth:`Lock.check`) before whatever only one may
do.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from verifiable.errors import ConflictError, FatalStateError

_POLL = 0.05


class Lock:
    """Held from :meth:`acquire` until :meth:`release`, or until the process ends in whatever way; not by a forked child."""

    def __init__(self, path: Path, descriptor: int, token: bytes) -> None:
        self._path, self._descriptor, self._token = path, descriptor, token
        _held.add(self)

    @classmethod
    def acquire(
        cls,
        path: Path,
        *,
        wait: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Lock:
        """Lock the file ``path``, waiting up to ``wait`` seconds for its holder. Raises ConflictError, FatalStateError."""
        deadline = clock() + wait
        while True:
            try:
                if lock := cls._try(path):
                    return lock
            except OSError as error:
                raise FatalStateError(f"log lock: cannot lock {path}: {error.strerror}") from error
            if clock() >= deadline:
                raise ConflictError(f"log lock: {path} is held by {_holder(path)}", hint="one process writes to a log at a time")
            sleep(_POLL)

    @classmethod
    def _try(cls, path: Path) -> Lock | None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            token = f"{secrets.token_hex(16)} {os.getpid()}\n".encode()
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, token, 0)
            lock = cls(path, descriptor, token)
            lock.check()  # the file may have been removed between open and flock
        except (BlockingIOError, ConflictError):
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        return lock

    def check(self) -> None:
        """Raises ConflictError when this process no longer holds the lock: the file was removed or replaced, or we are a fork."""
        if self._descriptor < 0 or self._found() != self._token:
            raise ConflictError(
                f"log lock: {self._path} is no longer held by this process",
                hint="stop one of the two writers, and keep the lock file",
            )

    def release(self) -> None:
        """Let the next one in. The file stays: removing it is what lets two in."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _found(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except OSError:
            return None

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _let_go() -> None:
    """In a forked child. The kernel drops a lock with its last descriptor: a worker would keep it beyond its parent's end."""
    for lock in [*_held]:
        lock.release()


os.register_at_fork(after_in_child=_let_go)


def _holder(path: Path) -> str:
    try:
        pid = path.read_text().split()[1]
    except (OSError, IndexError, UnicodeDecodeError):
        return "another process"
    return f"process {pid}" if pid.isdigit() else "another process"
