# SPDX-License-Identifier: Apache-2.0
"""AWS Nitro attestation documents from the Nitro Secure Module: one ioctl on /dev/nsm (Linux 6.8 and later, or AWS's module;
``include/uapi/linux/nsm.h``).

The driver takes a CBOR request and gives a CBOR answer (:mod:`verifiable.tee.nitro.messages`); both are named to it by address
and length, and it writes the answer and its length where it was told.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from verifiable.errors import ConflictError, FatalStateError, MalformedError, UnsupportedError
from verifiable.tee.attesters import Attested, require_report_data

DEVICE = Path("/dev/nsm")
#: struct nsm_raw: two times struct nsm_iovec { __u64 addr; __u64 len; }, the request's and the answer's.
RAW = struct.Struct("=QQQQ")
#: _IOWR(0x0A, 0, struct nsm_raw)
RAW_IOCTL = 3 << 30 | RAW.size << 16 | 0x0A << 8

#: ``ioctl(descriptor, request, buffer)``: as :func:`fcntl.ioctl`, which writes into ``buffer``. Raises OSError.
Ioctl = Callable[[int, int, bytearray], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nsm:
    """An :class:`.Attester`. The 64 bytes become the document's user data."""

    device: Path = DEVICE
    ioctl: Ioctl = fcntl.ioctl

    @property
    def kind(self) -> str:
        return "nitro"

    def attest(self, report_data: bytes) -> Attested:
        """See :meth:`.Attester.attest`."""
        from verifiable.tee.nitro.messages import MAX_RESPONSE, attestation_request, attestation_response

        require_report_data(report_data)
        request = attestation_request(report_data)
        with _failures(self.device):
            descriptor = os.open(self.device, os.O_RDWR | os.O_CLOEXEC)
            try:
                answer = self._exchange(descriptor, request, MAX_RESPONSE)
            finally:
                os.close(descriptor)
        return Attested(evidence=attestation_response(answer))

    def _exchange(self, descriptor: int, request: bytes, room: int) -> bytes:
        """Send ``request``; the answer of at most ``room`` bytes."""
        sent, received = ctypes.create_string_buffer(request, len(request)), ctypes.create_string_buffer(room)
        raw = bytearray(RAW.pack(ctypes.addressof(sent), len(request), ctypes.addressof(received), room))
        self.ioctl(descriptor, RAW_IOCTL, raw)
        length = RAW.unpack(raw)[3]
        if length > room:
            raise MalformedError(f"nitro: the driver says that it gave {length:,} bytes where there was room for {room:,}")
        return received.raw[:length]


@contextlib.contextmanager
def _failures(device: Path) -> Iterator[None]:
    """The kernel's words as ours (drivers/misc/nsm.c in its sources)."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV, errno.ENOTTY, errno.EINVAL}:
            raise UnsupportedError(
                f"no nitro hardware here: {device}: {reason}", hint="needs to run inside an AWS Nitro enclave, which has /dev/nsm"
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM}:
            raise UnsupportedError(f"nitro: {device}: {reason}", hint="run as a user who may open it") from error
        if error.errno in {errno.EINTR, errno.EAGAIN, errno.EBUSY, errno.ETIMEDOUT}:
            raise ConflictError(f"nitro: the secure module is busy: {device}: {reason}", hint="try again") from error
        raise FatalStateError(f"nitro: no document was made: {device}: {reason}") from error


__all__ = ["DEVICE", "RAW", "RAW_IOCTL", "Ioctl", "Nsm"]
