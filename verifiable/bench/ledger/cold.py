# SPDX-License-Identifier: Apache-2.0
"""Making the machine forget files, so that they come from the disk when they are read again.

The kernel drops what it holds of a file's contents when it is asked to and the contents are on the disk; names and places of
files (directories, inodes) stay in its memory. What the disk itself remembers is out of reach.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from verifiable.ledger.storage import Source


def forget(paths: Iterable[Path]) -> None:
    """Drop the contents of these files from the page cache; one that is not there is skipped."""
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def files_below(folder: Path) -> Iterator[Path]:
    """Every regular file at any depth, without links."""
    with os.scandir(folder) as found:
        for each in found:
            if each.is_dir(follow_symlinks=False):
                yield from files_below(Path(each.path))
            elif each.is_file(follow_symlinks=False):
                yield Path(each.path)


class Recorder:
    """A source that notes what is read from it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.paths: list[str] = []

    def read(self, path: str, *, max_size: int) -> bytes | None:
        self.paths.append(path)
        return self._source.read(path, max_size=max_size)


__all__ = ["Recorder", "files_below", "forget"]
