# SPDX-License-Identifier: Apache-2.0
"""Where a log keeps its objects: the contract, with what is durable when, and a directory that keeps it.

Two kinds of objects: immutable ones (tiles, bundles, staged batches), which are created once and never change, and the two
checkpoints (the published one, and the log's own record of what it signed), which are replaced whole. One writer at a time is the
caller's duty (:mod:`.lock`); readers need nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Protocol

from verifiable.errors import ConflictError, FatalStateError, MalformedError

_PATH = re.compile(r"[a-z0-9][a-z0-9_-]*(?:\.p)?(?:/[a-z0-9][a-z0-9_-]*(?:\.p)?)*")
_INCOMING = ".incoming"
_MAX_REPLACED = 1 << 20
_SYNCERS = 8
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class Source(Protocol):
    """What a reader needs of a log, wherever it is."""

    def read(self, path: str, *, max_size: int) -> bytes | None:
        """The whole object, or None where there is none. Raises MalformedError (too large), FatalStateError or NetworkError."""
        ...


class Storage(Source, Protocol):
    """What the sequencer needs. After an error from a writing method it is unknown what was persisted: any subset of the
    objects, each whole. The caller stops, and finds out when it opens the log again.
    """

    def create(self, objects: Mapping[str, bytes]) -> None:
        """All objects, durable on return. An object that is there with the same contents is left; with others, ConflictError.

        A crash leaves any subset, each object whole. Raises FatalStateError.
        """
        ...

    def replace(self, path: str, data: bytes, *, expected: bytes | None) -> None:
        """Put ``data`` in the place of ``expected`` (None: of nothing), durable on return.

        A crash leaves the old object or the new one. Raises ConflictError when something else is there, FatalStateError.
        """
        ...

    def discard(self, path: str) -> None:
        """Forget the object at ``path`` and all objects below it, some time: a crash may bring any of them back. Never raises."""
        ...


class DirectoryStorage:
    """Objects as files below ``root``, which must be on a local file system with hard links.

    A file is written aside and synced before it gets its name: no name ever shows half an object, not even after a loss of power.
    """

    def __init__(self, root: Path, *, mode: int = 0o644) -> None:
        self.root = root
        self._mode = mode
        self._synced: set[Path] = set()  # folders whose own name is known to be durable
        self._swept = False
        self._pool: ThreadPoolExecutor | None = None

    def read(self, path: str, *, max_size: int) -> bytes | None:
        try:
            descriptor = os.open(self._at(path), _OPEN)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise FatalStateError(f"log storage: cannot read {self._at(path)}: {error.strerror}") from error
        try:
            return self._contents(descriptor, path, max_size)
        except OSError as error:
            raise FatalStateError(f"log storage: cannot read {self._at(path)}: {error.strerror}") from error
        finally:
            os.close(descriptor)

    def create(self, objects: Mapping[str, bytes]) -> None:
        with self._writing(next(iter(objects), "")), self._asides(objects.values()) as asides:
            for aside, (path, data) in zip(asides, objects.items(), strict=True):
                self._link(aside, path, data)
            # Also where nothing was linked: whoever linked it may have crashed before this.
            self._sync_names(objects)

    def replace(self, path: str, data: bytes, *, expected: bytes | None) -> None:
        target = self._at(path)
        if self.read(path, max_size=_MAX_REPLACED) != expected:
            raise ConflictError(f"log storage: {target} is not what it was", hint="another process writes to this log")
        with self._writing(path), self._asides([data]) as asides:
            self._make(target.parent)
            os.replace(asides[0], target)
            self._sync_names([path])

    def discard(self, path: str) -> None:
        target = self._at(path)
        # A folder that comes again has a new name to make durable; and one is discarded with nearly every batch, for ever.
        below = f"{target}/"
        self._synced = {folder for folder in self._synced if folder != target and not str(folder).startswith(below)}
        with contextlib.suppress(OSError):
            if target.is_dir():
                shutil.rmtree(target, ignore_errors=True)
            else:
                target.unlink()

    def _at(self, path: str) -> Path:
        assert _PATH.fullmatch(path), path
        return self.root / path

    @staticmethod
    def _contents(descriptor: int, path: str, max_size: int) -> bytes:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise MalformedError(f"log storage: {path} is not a regular file")
        if status.st_size > max_size:
            raise MalformedError(f"log storage: {path} has {status.st_size:,} bytes, more than the {max_size:,} allowed")
        blocks = []
        while block := os.read(descriptor, max_size + 1):
            blocks.append(block)
        return b"".join(blocks)

    @contextlib.contextmanager
    def _asides(self, contents: Iterable[bytes]) -> Iterator[list[Path]]:
        """New synced files under names that nobody reads; those names are gone when the block ends."""
        folder = self.root / _INCOMING
        if not self._swept:  # what a crash left behind; only the one writer gets here
            shutil.rmtree(folder, ignore_errors=True)
            self._swept = True
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        asides: list[Path] = []
        try:
            with contextlib.ExitStack() as stack:
                descriptors = []
                for data in contents:
                    asides.append(folder / secrets.token_hex(8))
                    stream = stack.enter_context(open(os.open(asides[-1], _CREATE, self._mode), "wb", buffering=0))
                    _write(stream, data)
                    descriptors.append(stream.fileno())
                self._sync(descriptors)
            yield asides
        finally:
            for aside in asides:
                with contextlib.suppress(OSError):
                    aside.unlink(missing_ok=True)

    def _link(self, aside: Path, path: str, data: bytes) -> None:
        target = self._at(path)
        self._make(target.parent)
        try:
            os.link(aside, target)
        except FileExistsError:
            if self._differs(path, data):
                raise ConflictError(
                    f"log storage: {target} exists with other contents",
                    hint="another process writes here, or a backup was restored",
                ) from None

    def _differs(self, path: str, data: bytes) -> bool:
        try:
            return self.read(path, max_size=len(data)) != data
        except MalformedError:
            return True

    @staticmethod
    def _make(folder: Path) -> None:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)

    def _sync_names(self, paths: Iterable[str]) -> None:
        """Make the names of these objects durable, and on first use the name of each folder on the way to them."""
        folders: dict[Path, None] = {}
        for path in paths:
            folder = self._at(path).parent
            folders[folder] = None
            while folder not in self._synced and folder != self.root:
                folder = folder.parent
                folders[folder] = None
        with contextlib.ExitStack() as stack:
            descriptors = []
            for folder in folders:
                descriptors.append(os.open(folder, os.O_RDONLY | os.O_CLOEXEC))
                stack.callback(os.close, descriptors[-1])
            self._sync(descriptors)
        self._synced.update(folders)

    def _sync(self, descriptors: list[int]) -> None:
        """fsync all at once: file systems commit what waits at the same time together, so ten cost little more than one."""
        if len(descriptors) == 1:
            os.fsync(descriptors[0])
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_SYNCERS, thread_name_prefix="log fsync")
        for _ in self._pool.map(os.fsync, descriptors):
            pass

    @contextlib.contextmanager
    def _writing(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FatalStateError(
                f"log storage: cannot write {self.root / path}: {error.strerror or error}",
                hint="nothing that was acknowledged is lost; make space or repair the disk, then open the log again",
            ) from error


def _write(stream: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]
