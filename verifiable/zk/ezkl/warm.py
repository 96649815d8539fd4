# SPDX-License-Identifier: Apache-2.0
"""One child process kept for short questions, so that verifying a small proof costs milliseconds and not a start of Python."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from verifiable.errors import Error, FatalStateError
from verifiable.zk.ezkl.process import Child, Refusal, check_installed
from verifiable.zk.system import Limits


class WarmChild:
    """One child kept for short questions; started at the first, replaced when found dead. Thread-safe, one question at a time.

    Files given to :meth:`keep` are written once, by names that tell their content; when too much is kept, the child is replaced.
    """

    def __init__(self, *, limits: Limits, max_cached: int = 1 << 28) -> None:
        self._limits = limits
        self._max_cached = max_cached
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._cached: dict[str, int] = {}
        self._owner = os.getpid()

    def use(self, question: Callable[[Child], Any], *, seconds: float) -> Any:
        """``question(child)`` under the lock; within it :meth:`keep`, :meth:`kept` and :meth:`adopt` may be used.

        After ``seconds`` the child is ended and FatalStateError raised, so that others get their turn.
        """
        if self._owner != os.getpid():  # after a fork: the lock may be held for ever, and the pipes are the parent's to talk on
            self._lock, self._child, self._cached, self._owner = threading.Lock(), None, {}, os.getpid()
        with self._lock:
            child = self._living()
            child.allow(seconds)
            try:
                return question(child)
            except (Error, Refusal):
                raise
            except BaseException:
                self._drop()
                raise

    def keep(self, name: str, data: bytes) -> str:
        """The path of a file with this content, written at its first use."""
        if (path := self.kept(name)) is not None:
            return path
        assert self._child is not None
        path = self._child.write(name, data)
        self._cached[name] = len(data)
        return path

    def kept(self, name: str) -> str | None:
        """The path of the file kept under this name, if there is one."""
        return str(self._child.folder / name) if self._child is not None and name in self._cached else None

    def adopt(self, name: str, path: Path) -> str:
        """Keep a file that the child wrote under ``name``. Raises FatalStateError."""
        target = path.with_name(name)
        try:
            self._cached[name] = path.stat().st_size
            path.replace(target)
        except OSError as error:
            raise FatalStateError(f"ezkl: cannot keep {path}: {error.strerror or error}") from error
        return str(target)

    def close(self) -> None:
        """End the child; the next question starts another."""
        with self._lock:
            self._drop()

    def _living(self) -> Child:
        if self._child is None or not self._child.alive or sum(self._cached.values()) > self._max_cached:
            self._drop()
            check_installed()
            self._child = Child(limits=Limits(memory=self._limits.memory), kind="warm")
        return self._child

    def _drop(self) -> None:
        if self._child is not None:
            self._child.close()
        self._child, self._cached = None, {}
