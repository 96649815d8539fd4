# SPDX-License-Identifier: Apache-2.0
"""Where a benchmark works: a cache folder of its own, one benchmark at a time, and folders that are gone afterwards."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from verifiable import paths
from verifiable.errors import ConflictError, FatalStateError


def cache_directory() -> Path:
    """On the disk of the user's caches: not created here."""
    return paths.cache_directory() / "bench"


@contextlib.contextmanager
def alone(cache: Path) -> Iterator[None]:
    """One benchmark at a time: two would measure each other. Raises ConflictError, FatalStateError."""
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(cache / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise FatalStateError(f"benchmark: cannot use {cache}: {error.strerror or error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ConflictError("another benchmark is running on this machine", hint="wait for it: each slows the other") from None
    finally:
        os.close(lock)


@contextlib.contextmanager
def folder(cache: Path) -> Iterator[Path]:
    """For one piece of work, on the cache's disk: it may take gigabytes, and ``/tmp`` is memory on many machines."""
    with tempfile.TemporaryDirectory(dir=cache, prefix="run-", ignore_cleanup_errors=True) as place:
        yield Path(place)


__all__ = ["alone", "cache_directory", "folder"]
