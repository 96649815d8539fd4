# SPDX-License-Identifier: Apache-2.0
"""The private folder of a child process: made, removed, and, where a killed parent left one, swept up by the next.

It holds the witness, hidden inputs and weights included, so it is not left to whoever empties ``/tmp``. A lock that dies with its
holder tells a folder in use from one left behind; process ids would not, since containers share ``/tmp`` but not ids.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

from verifiable.errors import FatalStateError

_PREFIX = "verifiable-ezkl-"
_LOCK = ".lock"
#: A younger folder may be between its making and its locking.
_GRACE_SECONDS = 60.0


def make() -> tuple[Path, int]:
    """A new folder of mode 0700, and the descriptor of its lock, to be closed when it is removed. Raises FatalStateError."""
    sweep()
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        raise FatalStateError(f"ezkl: cannot create a temporary folder: {error.strerror or error}") from error
    return folder, lock


def sweep() -> None:
    """Remove what killed processes of this user left behind. Best effort: what cannot be removed stays."""
    try:
        entries = [entry for entry in os.scandir(tempfile.gettempdir()) if entry.name.startswith(_PREFIX)]
    except OSError:
        return
    for entry in entries:
        with contextlib.suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False) and status.st_uid == os.geteuid():
                _remove_if_stale(Path(entry.path), time.time() - status.st_mtime)


def _remove_if_stale(folder: Path, age: float) -> None:
    if age < _GRACE_SECONDS:
        return
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError, an OSError, where its holder lives
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
