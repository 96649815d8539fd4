# SPDX-License-Identifier: Apache-2.0
"""The Nitro Secure Module behind Linux's driver (drivers/misc/nsm.c in its sources), which walks the caller's pointers.

As a function in the place of ``fcntl.ioctl``, and as a file on a real mount, where the ioctl goes through the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import cbor2

MAX_REQUEST, MAX_RESPONSE, MAX_USER_DATA = 0x1000, 0x3000, 512


def fail(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@dataclass
class FakeNsm:
    """``document(user_data)``: the attestation document. ``error``: the module's, if it is to answer one. ``raw``: its answer in
    place of anything sensible. ``failure``: an errno of the driver. ``claim``: the length that the driver says it gave.
    """

    document: Callable[[bytes], bytes]
    error: str = ""
    raw: bytes | None = None
    failure: int = 0
    claim: int | None = None
    asked: list[bytes] = field(default_factory=list)

    def process(self, request: bytes) -> bytes:
        """What the module itself does."""
        message = cbor2.loads(request)
        if self.raw is not None:
            return self.raw
        if self.error:
            return cbor2.dumps({"Error": self.error})
        match message:
            case {"Attestation": {"user_data": bytes(user_data), "nonce": None, "public_key": None}}:
                if len(user_data) > MAX_USER_DATA:
                    return cbor2.dumps({"Error": "InputTooLarge"})
                self.asked.append(user_data)
                return cbor2.dumps({"Attestation": {"document": self.document(user_data)}})
            case _:
                return cbor2.dumps({"Error": "InvalidOperation"})

    def ioctl(self, descriptor: int, command: int, buffer: bytearray) -> int:
        """As ``fcntl.ioctl`` upon /dev/nsm."""
        os.fstat(descriptor)  # EBADF
        buffer[:] = self.transact(command, bytes(buffer))
        return 0

    def transact(self, command: int, data: bytes) -> bytes:
        """The driver: ``data`` is the caller's struct nsm_raw; the answer goes to where it points."""
        if self.failure:
            raise fail(self.failure)
        if command & 0xFF or command >> 8 & 0xFF != 0x0A or command >> 30 != 3:
            raise fail(errno.EINVAL)
        if command >> 16 & 0x3FFF != len(data) or len(data) != 32:
            raise fail(errno.EINVAL)
        request_address, request_length, answer_address, room = struct.unpack("=4Q", data)
        if request_length > MAX_REQUEST:
            raise fail(errno.EMSGSIZE)
        answer = self.process(ctypes.string_at(request_address, request_length))[:MAX_RESPONSE]
        given = min(room, len(answer))  # what does not fit is cut off
        ctypes.memmove(answer_address, answer, given)
        return struct.pack("=4Q", request_address, request_length, answer_address, given if self.claim is None else self.claim)

    # As a file system with one file, ``nsm``.

    def mode(self, path: tuple[str, ...]) -> int:
        if path not in {(), ("nsm",)}:
            raise fail(errno.ENOENT)
        return stat.S_IFREG | 0o666 if path else stat.S_IFDIR | 0o755

    def mkdir(self, path: tuple[str, ...]) -> None:
        raise fail(errno.EPERM)

    def rmdir(self, path: tuple[str, ...]) -> None:
        raise fail(errno.EPERM)

    def open(self, path: tuple[str, ...], flags: int) -> Device:
        del path, flags
        return Device(self)


@dataclass
class Device:
    """/dev/nsm, open. It lies in this process, so that the caller's addresses are its own."""

    nsm: FakeNsm

    def read(self, offset: int, size: int) -> bytes:
        raise fail(errno.EINVAL)

    def write(self, offset: int, data: bytes) -> int:
        raise fail(errno.EINVAL)

    def ioctl(self, command: int, data: bytes) -> bytes:
        return self.nsm.transact(command, data)

    def close(self) -> None:
        return None
