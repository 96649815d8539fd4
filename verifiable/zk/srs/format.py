# SPDX-License-Identifier: Apache-2.0
"""The raw KZG parameter file of halo2 over BN254, read by position, and cut down to a smaller one.

::

    u32le k | 2^k powers of s in G1 | 2^k Lagrange commitments in G1 | G2 | s.G2        64 * 2 * 2^k + 260 bytes

Points are uncompressed (halo2curves ``SerdeFormat::RawBytes``): G1 is ``x y``, G2 is ``x.c0 x.c1 y.c0 y.c1``, and each
coordinate is its Montgomery form (times 2^256, modulo p) as 32 little-endian bytes, below p. The identity would be all zeros;
no sound setup contains it. The layout was confirmed against files of three public ceremony rounds and of ezkl 23.0.5: the first
power is (1, 2), G2 is the standard generator, and a file cut here from logrows 3 to 2 and 1 has the published digests.

What a verifier needs of all this is little: ezkl 23.0.5 verifies a proof of logrows 12 with a file cut to logrows 1 (516 bytes),
in 6 to 10 ms, with and without ``reduced_srs``; with the 2 MB file of logrows 14 it takes seconds, as ezkl recomputes the
Lagrange basis whenever the file is larger than the circuit. It looks at G1, G2 and s.G2 only: pin the part by its digest
and judge it by its fingerprint.

Reading here checks the length and the coordinates it decodes, nothing else; :mod:`.check` does the rest.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from verifiable.digest import Digest, tagged
from verifiable.errors import MalformedError, UnsupportedError, VerificationError
from verifiable.zk.srs import curve
from verifiable.zk.srs.curve import FIELD, Affine, Twisted

MIN_LOGROWS = 1
MAX_LOGROWS = 26
#: Cutting recomputes the Lagrange basis point by point; verifiers need no more than this.
MAX_CUT_LOGROWS = 8
G1_SIZE = 64
G2_SIZE = 128

_HEADER = 4
_FINGERPRINT = "verifiable/srs/v1"
_TO_MONTGOMERY = (1 << 256) % FIELD
_FROM_MONTGOMERY = pow(_TO_MONTGOMERY, -1, FIELD)


def size_of(logrows: int) -> int:
    """The exact length in bytes of the file for ``2**logrows`` rows."""
    return _HEADER + 2 * G1_SIZE * (1 << logrows) + 2 * G2_SIZE


MAX_SIZE = size_of(MAX_LOGROWS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Srs:
    """A setup whose length fits its header. ``read(offset, size)`` gives exactly ``size`` bytes or raises MalformedError.

    Positioned reads rather than a memory map: a file that shrinks meanwhile is an error here, and would be a SIGBUS there.
    """

    logrows: int
    read: Callable[[int, int], bytes]

    @classmethod
    def parse(cls, data: bytes) -> Srs:
        """A setup held in memory. Raises MalformedError."""
        return _open(lambda offset, size: data[offset : offset + size], len(data), "SRS")

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Srs]:
        """The setup in a regular file, open for the length of the block. Raises MalformedError."""
        what = f"SRS {path}"
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise MalformedError(f"{what}: cannot be read: {reason}", hint="check the path") from error
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise MalformedError(f"{what}: not a regular file")
            yield _open(lambda offset, size: _pread(descriptor, offset, size, what), status.st_size, what)
        finally:
            os.close(descriptor)

    @property
    def rows(self) -> int:
        return 1 << self.logrows

    def powers(self, start: int, count: int) -> bytes:
        """``count`` encoded powers from ``s^start`` on, 64 bytes each."""
        return self.read(_HEADER + G1_SIZE * start, G1_SIZE * count)

    def lagrange(self, start: int, count: int) -> bytes:
        """``count`` encoded Lagrange commitments from the ``start``-th on, 64 bytes each."""
        return self.read(_HEADER + G1_SIZE * (self.rows + start), G1_SIZE * count)

    def g2(self) -> bytes:
        """The encoded generator of the second group."""
        return self.read(size_of(self.logrows) - 2 * G2_SIZE, G2_SIZE)

    def s_g2(self) -> bytes:
        """The encoded product of the secret and that generator."""
        return self.read(size_of(self.logrows) - G2_SIZE, G2_SIZE)


def fingerprint(srs: Srs) -> Digest:
    """What the setup is, whatever its size: a digest over G1, s.G1, G2 and s.G2, which together fix the secret s.

    Files of one ceremony share it for all logrows; it says nothing about the other points of this file.
    """
    return fingerprint_of(srs.powers(0, 1), srs.powers(1, 1), srs.g2(), srs.s_g2())


def fingerprint_of(g1: bytes, s_g1: bytes, g2: bytes, s_g2: bytes) -> Digest:
    """:func:`fingerprint` from the four encoded points."""
    return tagged(_FINGERPRINT, g1, s_g1, g2, s_g2)


def cut(srs: Srs, logrows: int) -> bytes:
    """The file of ``2**logrows`` rows (at most 2^8) of the same setup, byte for byte what its ceremony publishes at that size.

    The first powers stay, the Lagrange basis is computed anew. Verifiers need no more than logrows 1.
    Raises UnsupportedError (size), MalformedError and VerificationError (the powers that it reads).
    """
    if not MIN_LOGROWS <= logrows <= min(srs.logrows, MAX_CUT_LOGROWS):
        raise UnsupportedError(
            f"SRS: cannot cut logrows {srs.logrows} down to {logrows}",
            hint=f"choose {MIN_LOGROWS} to {min(srs.logrows, MAX_CUT_LOGROWS)}",
        )
    encoded = srs.powers(0, 1 << logrows)
    basis = curve.lagrange_basis(decode_g1(encoded, "power"), logrows)
    if None in basis:
        raise VerificationError("SRS: its secret is a root of unity: a Lagrange commitment would be the identity")
    lagrange = b"".join(encode_g1(point) for point in basis if point is not None)
    return logrows.to_bytes(_HEADER, "little") + encoded + lagrange + srs.g2() + srs.s_g2()


def encode_g1(point: Affine) -> bytes:
    """64 bytes; the inverse of :func:`decode_g1` for one point."""
    return b"".join((value * _TO_MONTGOMERY % FIELD).to_bytes(32, "little") for value in point)


def decode_g1(data: bytes, what: str, start: int = 0) -> list[Affine]:
    """Points of G1, each canonical and on the curve (hence in the group, of prime order).

    ``what`` and ``start`` name the points in errors. Raises MalformedError (coordinate) and VerificationError (identity, curve).
    """
    values = _coordinates(data, what, start, G1_SIZE)
    points = list(zip(values[::2], values[1::2], strict=True))
    for index, (x, y) in enumerate(points, start):
        if (y * y - x * x * x - 3) % FIELD:
            kind = "is the identity" if not (x or y) else "is not on the curve"
            raise VerificationError(f"SRS: {what} {index} {kind}", hint="the file is damaged or not a KZG setup over BN254")
    return points


def encode_g2(point: Twisted) -> bytes:
    """128 bytes; the inverse of :func:`decode_g2`."""
    return b"".join((value * _TO_MONTGOMERY % FIELD).to_bytes(32, "little") for value in point)


def decode_g2(data: bytes, what: str) -> Twisted:
    """Canonical coordinates ``x.c0, x.c1, y.c0, y.c1`` of a point that is yet to be checked. Raises MalformedError."""
    x0, x1, y0, y1 = _coordinates(data, what, 0, G2_SIZE)
    return x0, x1, y0, y1


def _coordinates(data: bytes, what: str, start: int, point_size: int) -> list[int]:
    values = [int.from_bytes(data[i : i + 32], "little") for i in range(0, len(data), 32)]
    for i, value in enumerate(values):
        if value >= FIELD:
            raise MalformedError(f"SRS: {what} {start + i * 32 // point_size}: a coordinate is not below the field modulus")
    return [value * _FROM_MONTGOMERY % FIELD for value in values]


def _open(read: Callable[[int, int], bytes], size: int, what: str) -> Srs:
    if not size_of(MIN_LOGROWS) <= size <= MAX_SIZE:
        raise MalformedError(
            f"{what}: {size:,} bytes cannot be a KZG setup", hint="expected a raw halo2 parameter file over BN254"
        )
    logrows = int.from_bytes(read(0, _HEADER), "little")
    if not MIN_LOGROWS <= logrows <= MAX_LOGROWS:
        raise MalformedError(f"{what}: logrows {logrows} is not in {MIN_LOGROWS} to {MAX_LOGROWS}", hint="not a KZG setup?")
    if size != size_of(logrows):
        raise MalformedError(
            f"{what}: {size:,} bytes, but logrows {logrows} takes exactly {size_of(logrows):,}",
            hint="truncated, or not a raw file",
        )
    return Srs(logrows=logrows, read=read)


def _pread(descriptor: int, offset: int, size: int, what: str) -> bytes:
    blocks, missing = [], size
    while missing:
        try:
            block = os.pread(descriptor, missing, offset + size - missing)
        except OSError as error:
            raise MalformedError(f"{what}: cannot be read: {error.strerror}") from error
        if not block:
            raise MalformedError(f"{what}: shrank while it was read")
        blocks.append(block)
        missing -= len(block)
    return b"".join(blocks)
