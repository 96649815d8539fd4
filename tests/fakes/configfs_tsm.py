# SPDX-License-Identifier: Apache-2.0
"""Linux's configfs-tsm as a model of its sources (drivers/virt/coco/guest/report.c, fs/configfs/file.c), quirks included.

``inblob`` counts only when its file is closed, where an error is lost; ``outblob`` is made when it is first read after a write,
and kept until the next; ``generation`` counts the writes that were taken; a request goes away with its attributes still in it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

PathOf = tuple[str, ...]
#: ``answer(inblob, privilege level)``: outblob and auxblob. Raises OSError as report_new() of a provider does.
Answer = Callable[[bytes, int], tuple[bytes, bytes]]
MAX_INBLOB = 64
MAX_OUTBLOB = 1 << 24
_READABLE = {"generation", "provider", "privlevel_floor", "outblob", "auxblob"}


def fail(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@dataclass
class Request:
    """struct tsm_report_state"""

    inblob: bytes = b""
    level: int = 0
    written: int = 0
    read: int = 0
    outblob: bytes | None = None
    auxblob: bytes = b""


@dataclass
class FakeTsm:
    """The folder ``tsm/report``, as a :class:`tests.fakes.fuse.FileSystem`.

    ``provider`` None: no module has registered. ``floor`` None: the provider has no privilege levels. ``before``: called with
    (model, request's name, attribute, whether it is written) before every opening, where faults and other programs come in.
    """

    provider: str | None
    answer: Answer
    floor: int | None = None
    auxiliary: bool = False
    before: Callable[[FakeTsm, str, str, bool], None] = lambda *_: None
    requests: dict[str, Request] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    signed: list[tuple[bytes, int]] = field(default_factory=list)

    def attributes(self) -> tuple[str, ...]:
        levels = () if self.floor is None else ("privlevel", "privlevel_floor")
        return ("generation", "provider", "inblob", "outblob", *levels, *(("auxblob",) if self.auxiliary else ()))

    def mode(self, path: PathOf) -> int:
        if len(path) == 2 and path[0] in self.requests and path[1] in self.attributes():
            return stat.S_IFREG | (0o444 if path[1] in _READABLE else 0o222)
        if path == () or (len(path) == 1 and path[0] in self.requests):
            return stat.S_IFDIR | 0o755
        raise fail(errno.ENOENT)

    def mkdir(self, path: PathOf) -> None:
        if len(path) != 1:
            raise fail(errno.EPERM)
        if self.provider is None:
            raise fail(errno.ENXIO)
        if path[0] in self.requests:
            raise fail(errno.EEXIST)
        self.requests[path[0]] = Request()
        self.made.append(path[0])

    def rmdir(self, path: PathOf) -> None:
        if path[0] not in self.requests:
            raise fail(errno.ENOENT)
        del self.requests[path[0]]

    def open(self, path: PathOf, flags: int) -> Opened:
        writing = flags & os.O_ACCMODE != os.O_RDONLY
        self.before(self, path[0], path[-1], writing)
        readable = bool(self.mode(path) & 0o444)
        if writing == readable or flags & os.O_ACCMODE == os.O_RDWR:
            raise fail(errno.EACCES)
        return Opened(self, self.requests[path[0]], path[1])

    def show(self, request: Request, attribute: str) -> bytes:
        if attribute == "generation":
            return b"%d\n" % request.written
        if self.provider is None:
            raise fail(errno.ENXIO)
        return b"%s\n" % self.provider.encode() if attribute == "provider" else b"%d\n" % (self.floor or 0)

    def store(self, request: Request, attribute: str, data: bytes) -> None:
        """What a text attribute does at once, and ``inblob`` when its file is closed."""
        if request.written == request.read - 1:
            raise fail(errno.EBUSY)
        if attribute == "privlevel":
            if not (self.floor or 0) <= int(data) <= 3:
                raise fail(errno.EINVAL)
            request.level = int(data)
        else:
            request.inblob = data
        request.written += 1

    def report(self, request: Request, attribute: str) -> bytes:
        if not request.inblob:
            raise fail(errno.EINVAL)
        if request.outblob is None or request.read != request.written:
            if self.provider is None:
                raise fail(errno.ENXIO)
            if request.level < (self.floor or 0):
                raise fail(errno.EINVAL)
            request.outblob = None
            self.signed.append((request.inblob, request.level))
            request.outblob, request.auxblob = self.answer(request.inblob, request.level)
            request.read = request.written
        return request.outblob if attribute == "outblob" else request.auxblob


@dataclass
class Opened:
    """An open attribute: struct configfs_buffer"""

    model: FakeTsm
    request: Request
    attribute: str
    content: bytes | None = None
    written: bytearray = field(default_factory=bytearray)

    def read(self, offset: int, size: int) -> bytes:
        if self.content is None:
            if self.attribute in {"outblob", "auxblob"}:
                found = self.model.report(self.request, self.attribute)
                if len(found) > MAX_OUTBLOB:
                    raise fail(errno.EFBIG)
            else:
                found = self.model.show(self.request, self.attribute)
            self.content = found
        return self.content[offset : offset + size]

    def write(self, offset: int, data: bytes) -> int:
        if self.attribute != "inblob":
            self.model.store(self.request, self.attribute, data)
        elif offset + len(data) > MAX_INBLOB:
            raise fail(errno.EFBIG)
        else:
            self.written[offset:] = data
        return len(data)

    def ioctl(self, command: int, data: bytes) -> bytes:
        raise fail(errno.ENOTTY)

    def close(self) -> None:
        if self.attribute == "inblob" and self.written:
            try:
                self.model.store(self.request, "inblob", bytes(self.written))
            except OSError:
                return  # the result of ->release() is ignored


@dataclass(frozen=True)
class Direct:
    """:class:`verifiable.tee.attesters.configfs_tsm.Requests` upon the model, without a kernel in between."""

    model: FakeTsm

    def make(self, name: str) -> None:
        self.model.mkdir((name,))

    def write(self, name: str, attribute: str, data: bytes) -> None:
        opened = self.model.open((name, attribute), os.O_WRONLY)
        try:
            opened.write(0, data)
        finally:
            opened.close()

    def read(self, name: str, attribute: str, *, max_size: int) -> bytes:
        return self.model.open((name, attribute), os.O_RDONLY).read(0, max_size + 1)

    def remove(self, name: str) -> None:
        self.model.rmdir((name,))
