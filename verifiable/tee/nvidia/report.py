# SPDX-License-Identifier: Apache-2.0
"""The evidence of an NVIDIA GPU: an SPDM 1.1 exchange (DMTF DSP0274), GET_MEASUREMENTS and the signed MEASUREMENTS in answer.

The request carries the caller's nonce, the response what the GPU measured; the signature is over both. Nothing is believed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn

from verifiable.errors import MalformedError, UnsupportedError
from verifiable.tee.nvidia.opaque import Opaque

if TYPE_CHECKING:
    from verifiable.tee.evidence import VerifiedEvidence
    from verifiable.tee.roots import Roots

#: NVML's buffer for a report (NVML_CC_GPU_ATTESTATION_REPORT_SIZE).
MAX_SIZE = 0x2000
NONCE_SIZE, SIGNATURE_SIZE = 32, 96
_VERSION, _REQUEST, _RESPONSE = 0x11, 0xE0, 0x60
#: A signature is asked for; over all measurements.
_SIGNED, _ALL = 0x01, 0xFF
_DMTF = 0x01
_MAX_SLOT = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """``index``: SPDM's, from 1. ``type``: DMTF's; without bit 7 the value is a digest."""

    index: int
    type: int
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReport:
    """``nonce``: the caller's; ``response_nonce``: the GPU's own. ``slot``: whose certificate chain signs. ``signature``: r and s
    of ECDSA P-384, 48 bytes each, over everything before it.
    """

    nonce: bytes
    slot: int
    measurements: tuple[Measurement, ...]
    response_nonce: bytes
    opaque: Opaque
    signature: bytes

    @property
    def kind(self) -> str:
        return "nvidia"

    @property
    def report_data(self) -> bytes:
        """The nonce of the request."""
        return self.nonce

    @property
    def signed(self) -> bytes:
        """What the signature is over."""
        blocks = [_encode_block(measurement) for measurement in self.measurements]
        record, opaque = b"".join(blocks), self.opaque.encode()
        return b"".join((
            bytes((_VERSION, _REQUEST, _SIGNED, _ALL)), self.nonce, bytes((self.slot,)),
            bytes((_VERSION, _RESPONSE, 0, self.slot, len(blocks))), len(record).to_bytes(3, "little"), record,
            self.response_nonce, len(opaque).to_bytes(2, "little"), opaque,
        ))  # fmt: skip

    def encode(self) -> bytes:
        """``parse(r.encode()) == r``."""
        return self.signed + self.signature

    def verify(self, *, at: datetime, roots: Roots, collateral: Sequence[bytes] = ()) -> VerifiedEvidence:
        """What the report establishes at ``at``: see :func:`verifiable.tee.nvidia.verify.verify`."""
        from verifiable.tee.nvidia.verify import verify

        return verify(self, at=at, roots=roots, collateral=collateral)


def parse(data: bytes, *, kind: str) -> GpuReport:
    """Read ``request || response``. Raises MalformedError, UnsupportedError (another SPDM version, or not all measurements)."""
    if len(data) > MAX_SIZE:
        raise MalformedError(f"{kind} report: {len(data):,} bytes is more than the {MAX_SIZE:,} allowed")
    reader = _Reader(data, f"{kind} report")
    nonce, slot = _request(reader)
    count, size = _response(reader, slot)
    record = _Reader(reader.take(size), reader.where)
    measurements = tuple(_block(record) for _ in range(count))
    record.done()
    if len({measurement.index for measurement in measurements}) != count or not count:
        reader.fail("no measurements, or an index that stands in it twice")
    response_nonce = reader.take(NONCE_SIZE)
    opaque = Opaque.parse(reader.take(reader.number(2)))
    signature = reader.take(SIGNATURE_SIZE)
    reader.done()
    return GpuReport(
        nonce=nonce, slot=slot, measurements=measurements, response_nonce=response_nonce, opaque=opaque, signature=signature
    )  # fmt: skip


class _Reader:
    def __init__(self, data: bytes, where: str) -> None:
        self._data, self._at, self.where = data, 0, where

    def fail(self, why: str) -> NoReturn:
        raise MalformedError(f"{self.where}: {why}")

    def take(self, size: int) -> bytes:
        if len(self._data) - self._at < size:
            self.fail(f"cut off at byte {self._at}")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def done(self) -> None:
        if self._at != len(self._data):
            self.fail(f"{len(self._data) - self._at} bytes too many")


def _request(reader: _Reader) -> tuple[bytes, int]:
    version, code, attributes, operation = reader.take(4)
    if code != _REQUEST:
        reader.fail("does not begin with the request for it (GET_MEASUREMENTS)")
    if version != _VERSION:
        raise UnsupportedError(f"{reader.where}: SPDM version {version >> 4}.{version & 15}, only 1.1 is read here")
    if attributes != _SIGNED or operation != _ALL:
        raise UnsupportedError(f"{reader.where}: not all measurements were asked for, with a signature")
    nonce, slot = reader.take(NONCE_SIZE), reader.number(1)
    if slot > _MAX_SLOT:
        reader.fail(f"certificate slot {slot}; there are {_MAX_SLOT + 1}")
    return nonce, slot


def _response(reader: _Reader, slot: int) -> tuple[int, int]:
    """How many measurements it has, and the size of their record."""
    if reader.take(4) != bytes((_VERSION, _RESPONSE, 0, slot)):
        reader.fail("the answer to the request is not one of measurements, in the same version and from the same slot")
    return reader.number(1), reader.number(3)


def _block(reader: _Reader) -> Measurement:
    index, specification, size = reader.number(1), reader.number(1), reader.number(2)
    if specification != _DMTF or index == 0:
        reader.fail(f"measurement {index} is not in the DMTF's form")
    number, value_size = reader.number(1), reader.number(2)
    if size != value_size + 3:
        reader.fail(f"measurement {index} gives two sizes")
    return Measurement(index=index, type=number, value=reader.take(value_size))


def _encode_block(measurement: Measurement) -> bytes:
    size = len(measurement.value)
    head = bytes((measurement.index, _DMTF)) + (size + 3).to_bytes(2, "little")
    return head + bytes((measurement.type,)) + size.to_bytes(2, "little") + measurement.value


__all__ = ["MAX_SIZE", "NONCE_SIZE", "SIGNATURE_SIZE", "GpuReport", "Measurement", "parse"]
