# SPDX-License-Identifier: Apache-2.0
"""The file system, with manners: bounded reads, and outputs that appear whole or not at all.

Every OSError becomes one of our errors here, so that a full disk or a missing file reads the same everywhere.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from verifiable.errors import FatalStateError, MalformedError


def read(path: Path, *, what: str, max_size: int) -> bytes:
    """The contents of a regular file of at most ``max_size`` bytes. Raises MalformedError.

    The size is taken from the open file before a byte is read: a 5 GB file costs nothing, and a device or a FIFO does not block.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise MalformedError(f"{what}: {path} is not a regular file")
            if status.st_size > max_size:
                raise MalformedError(f"{what}: {path} has {status.st_size:,} bytes, more than the {max_size:,} allowed")
            data = stream.read(max_size + 1)
    except FileNotFoundError as error:
        raise MalformedError(f"{what}: no such file: {path}", hint="check the path") from error
    except (OSError, ValueError) as error:
        raise MalformedError(f"{what}: cannot read {path}: {_reason(error)}") from error
    if len(data) > max_size:
        raise MalformedError(f"{what}: {path} grew beyond {max_size:,} bytes while it was read")
    return data


def write(path: Path, data: bytes, *, what: str, mode: int = 0o644) -> None:
    """Write aside, fsync, rename: after a crash the old file or the new one is there, never half of one.

    A symbolic link at ``path`` is refused rather than followed or replaced. Raises FatalStateError.
    """
    refuse_link(path, what=what)
    _require_regular(path, what=what)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with open(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(aside, path)
            sync_directory(path.parent)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside)
    except (OSError, ValueError) as error:
        raise FatalStateError(
            f"{what}: cannot write {path}: {_reason(error)}",
            hint="nothing was written; check the folder, its permissions and free space",
        ) from error


@contextlib.contextmanager
def new_directory(path: Path, *, what: str, replace: str = "") -> Iterator[Path]:
    """A fresh folder beside ``path`` to fill; renamed to ``path`` when the block ends well, removed when it does not.

    An existing ``path`` that is not an empty folder is a FatalStateError; but a folder that holds a file named ``replace`` (so it
    is one of ours) is replaced.
    """
    refuse_link(path, what=what)
    try:
        path = path.absolute()
        _require_replaceable(path, what=what, marker=replace)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
        aside.mkdir(mode=0o755)
    except OSError as error:
        raise FatalStateError(f"{what}: cannot create {path}: {_reason(error)}") from error
    try:
        yield aside
        old = path.with_name(f".{path.name}.{secrets.token_hex(6)}.old")
        if path.exists():
            path.rename(old)
        aside.rename(path)
        sync_directory(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise FatalStateError(f"{what}: cannot write {path}: {_reason(error)}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def require_writable(path: Path, *, what: str) -> None:
    """Raise now what :func:`write` would raise later, before minutes of work are spent on an output that has nowhere to go."""
    refuse_link(path, what=what)
    _require_regular(path, what=what)
    _require_folder(path, what=what)


def require_new_directory(path: Path, *, what: str, replace: str = "") -> None:
    """Likewise for :func:`new_directory`."""
    refuse_link(path, what=what)
    path = path.absolute()
    _require_replaceable(path, what=what, marker=replace)
    _require_folder(path, what=what)


def _require_replaceable(path: Path, *, what: str, marker: str) -> None:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not marker:
        raise FatalStateError(f"{what}: {path} already exists", hint="choose another name, or remove it first")
    if not (path / marker).is_file():
        raise FatalStateError(f"{what}: {path} is not a {what} folder and is not replaced", hint="choose another name")


def _require_regular(path: Path, *, what: str) -> None:
    """A device, a FIFO or a folder is not replaced by a file, whoever asks for it."""
    if path.exists() and not path.is_file():
        kind = "it is a folder" if path.is_dir() else "it is not a regular file"
        raise FatalStateError(f"{what}: cannot write {path}: {kind}", hint="choose another output path")


def _require_folder(path: Path, *, what: str) -> None:
    folder = path.absolute().parent
    if not folder.is_dir():
        raise FatalStateError(f"{what}: cannot write {path}: its folder does not exist", hint=f"mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FatalStateError(f"{what}: cannot write {path}: its folder may not be written to", hint="choose another output path")


def refuse_link(path: Path, *, what: str) -> None:
    """Outputs are not written through symbolic links: whoever planted one would choose where. Raises FatalStateError."""
    try:
        linked = path.is_symlink()
    except (OSError, ValueError) as error:
        raise FatalStateError(f"{what}: cannot write {path}: {_reason(error)}") from error
    if linked:
        raise FatalStateError(f"{what}: {path} is a symbolic link", hint="name the file itself")


def sync_directory(path: Path) -> None:
    """Make a rename in ``path`` durable (POSIX keeps the name only once its folder is synced)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
