# SPDX-License-Identifier: Apache-2.0
"""A small file system in this process behind a real mount, for protocols that are files: every call goes through the kernel.

The FUSE protocol (``include/uapi/linux/fuse.h``), as much as opening, reading, writing, ioctl, mkdir and rmdir need. The mount
lives in a thread's own mount namespace, so nobody else sees it and none is left behind, however the process ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
PathOf = tuple[str, ...]
_CLONE_NEWNS, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x20000, 1 << 14, 1 << 18, 2
_LOOKUP, _FORGET, _GETATTR, _SETATTR, _MKDIR, _RMDIR, _OPEN, _READ, _WRITE, _RELEASE = 1, 2, 3, 4, 9, 11, 14, 15, 16, 18
_FLUSH, _INIT, _INTERRUPT, _DESTROY, _IOCTL, _BATCH_FORGET = 25, 26, 36, 38, 39, 42
_DIRECT_IO = 1
_HEADER = struct.Struct("=IIQQIIIHH")


class Handle(Protocol):
    """An open file. Methods raise OSError."""

    def read(self, offset: int, size: int) -> bytes: ...

    def write(self, offset: int, data: bytes) -> int: ...

    def ioctl(self, command: int, data: bytes) -> bytes: ...

    def close(self) -> None:
        """The descriptor is closed. Nobody hears of an error."""
        ...


class FileSystem(Protocol):
    """Paths are tuples of names; () is the root. Methods raise OSError."""

    def mode(self, path: PathOf) -> int: ...

    def mkdir(self, path: PathOf) -> None: ...

    def rmdir(self, path: PathOf) -> None: ...

    def open(self, path: PathOf, flags: int) -> Handle: ...


@cache
def why_not() -> str:
    """Why nothing can be mounted here, or nothing."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "no /dev/fuse here"
    try:
        with tempfile.TemporaryDirectory() as folder:
            mounted(_Empty(), Path(folder), os.stat)
    except OSError as error:
        return f"nothing can be mounted here: {error.strerror}"
    return ""


class _Empty:
    def mode(self, path: PathOf) -> int:
        if path:
            raise FileNotFoundError(errno.ENOENT, "nothing here")
        return stat.S_IFDIR | 0o755

    def refuse(self, path: PathOf, flags: int = 0) -> Any:
        raise PermissionError(errno.EPERM, "nothing here")

    mkdir = rmdir = open = refuse


def mounted(files: FileSystem, point: Path, action: Callable[[Path], T]) -> T:
    """``action(point)`` with ``files`` mounted there, in a thread whose eyes alone see it."""
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            _isolate()
            server = _Server(files, point)
            try:
                result.append(action(point))
            finally:
                server.stop()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def _libc(name: str, *arguments: Any) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def _isolate() -> None:
    _libc("unshare", _CLONE_NEWNS)
    _libc("mount", b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None)


class _Server:
    def __init__(self, files: FileSystem, point: Path) -> None:
        self._files, self._point = files, point
        self._nodes: dict[int, PathOf] = {1: ()}
        self._handles: dict[int, Handle] = {}
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()}".encode()
        try:
            _libc("mount", b"verifiable-test", os.fsencode(point), b"fuse", ctypes.c_ulong(0), options)
        except OSError:
            os.close(self._device)
            raise
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        _libc("umount2", os.fsencode(self._point), _MNT_DETACH)
        self._thread.join()
        os.close(self._device)

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, 1 << 18)
            except OSError as error:
                if error.errno == errno.ENODEV:  # unmounted
                    return
                if error.errno in {errno.ENOENT, errno.EINTR}:
                    continue
                raise
            _, opcode, unique, node, *_ = _HEADER.unpack_from(request)
            body = request[_HEADER.size :]
            if opcode in {_FORGET, _BATCH_FORGET, _INTERRUPT}:
                continue
            try:
                code, answer = 0, self._answer(opcode, node, body)
            except OSError as error:
                code, answer = -(error.errno or errno.EIO), b""
            except Exception:  # a bug here must not leave a caller hanging in the kernel
                code, answer = -errno.EIO, b""
            with contextlib.suppress(FileNotFoundError):  # whoever asked has gone
                os.write(self._device, struct.pack("=IiQ", 16 + len(answer), code, unique) + answer)

    def _answer(self, opcode: int, node: int, body: bytes) -> bytes:
        if opcode == _INIT:
            return struct.pack("=IIIIHHIIHHI28x", 7, 31, 0, 0, 1, 1, 1 << 16, 1, 16, 0, 0)
        path = self._nodes[node]
        if opcode == _LOOKUP:
            return self._entry((*path, _name(body)))
        if opcode in {_GETATTR, _SETATTR}:
            return struct.pack("=QII", 0, 0, 0) + self._attributes(path)
        if opcode == _MKDIR:
            self._files.mkdir((*path, _name(body[8:])))
            return self._entry((*path, _name(body[8:])))
        if opcode == _RMDIR:
            self._files.rmdir((*path, _name(body)))
            return b""
        if opcode == _OPEN:
            number = max(self._handles, default=0) + 1
            self._handles[number] = self._files.open(path, struct.unpack_from("=I", body)[0])
            return struct.pack("=QII", number, _DIRECT_IO, 0)
        if opcode == _DESTROY:
            return b""
        return self._on_handle(opcode, body)

    def _on_handle(self, opcode: int, body: bytes) -> bytes:
        number = struct.unpack_from("=Q", body)[0]
        if opcode == _READ:
            _, offset, size = struct.unpack_from("=QQI", body)
            return self._handles[number].read(offset, size)
        if opcode == _WRITE:
            _, offset, size = struct.unpack_from("=QQI", body)
            return struct.pack("=II", self._handles[number].write(offset, body[40 : 40 + size]), 0)
        if opcode == _IOCTL:
            _, _, command, _, size, _ = struct.unpack_from("=QIIQII", body)
            return struct.pack("=iIII", 0, 0, 0, 0) + self._handles[number].ioctl(command, body[32 : 32 + size])
        if opcode == _FLUSH:  # close() waits for this one, not for RELEASE
            self._handles[number].close()
            return b""
        if opcode == _RELEASE:
            del self._handles[number]
            return b""
        raise OSError(errno.ENOSYS, "not here")

    def _entry(self, path: PathOf) -> bytes:
        attributes = self._attributes(path)
        node = next((n for n, known in self._nodes.items() if known == path), len(self._nodes) + 1)
        self._nodes[node] = path
        return struct.pack("=QQQQII", node, 0, 0, 0, 0, 0) + attributes

    def _attributes(self, path: PathOf) -> bytes:
        mode = self._files.mode(path)
        size = 0 if stat.S_ISDIR(mode) else 4096  # as configfs has it, whatever is inside
        return struct.pack("=QQQQQQIIIIIIIIII", 1, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def _name(data: bytes) -> str:
    return data.split(b"\0")[0].decode()
