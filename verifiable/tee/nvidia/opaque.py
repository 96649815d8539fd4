# SPDX-License-Identifier: Apache-2.0
"""What a GPU says about itself in the opaque data of its signed measurements: versions, board, firmware, mode.

A run of records ``type u16le, size u16le, value``. Their numbers are NVIDIA's, from its published verifiers; types that are not
read here stay as they are, for they are signed too.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from verifiable.errors import MalformedError, UnsupportedError

_DRIVER, _VBIOS, _NVDEC0, _CHIP_SKU, _PROJECT, _PROJECT_SKU, _FWID, _PROTECTED_PCIE = 3, 6, 11, 15, 17, 18, 20, 21
_CHIP, _FEATURE = 35, 36
_ON, _OFF = b"\xaa", b"\x55"
#: One GPU for one machine, several of them, or several with unencrypted links between them (protected PCIe).
_FEATURES = {0: "spt", 1: "mpt", 2: "ppcie"}
_FWID_SIZE = 48
_VBIOS_SIZE, _VBIOS_USED = 8, 5
_TEXT = re.compile(r"[0-9A-Za-z._-]{0,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One record. ``type``: NVIDIA's number."""

    type: int
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """``fields``: all records in order. The others are read from them; empty where the GPU does not say.

    ``vbios``: as people write it, ``96.00.9F.00.01``. ``project``, ``project_sku``, ``chip_sku``: which board. ``chip``: as
    ``GB100``; Hopper leaves it to its certificate. ``fwid``: SHA-384 of the firmware that holds the signing key. ``nvdec0``:
    whether that video decoder is on. ``mode``: ``spt``, ``mpt`` or ``ppcie``.
    """

    fields: tuple[Field, ...]
    driver: str
    vbios: str
    project: str
    project_sku: str
    chip_sku: str
    chip: str
    fwid: bytes
    nvdec0: bool | None
    mode: str

    @classmethod
    def parse(cls, data: bytes) -> Opaque:
        """Raises MalformedError, UnsupportedError (a mode that is not known)."""
        fields, at = [], 0
        while at < len(data):
            if len(data) - at < 4:
                raise MalformedError("nvidia report: its opaque data is cut off")
            number, size = struct.unpack_from("<HH", data, at)
            if len(data) - at - 4 < size:
                raise MalformedError("nvidia report: its opaque data is cut off")
            fields.append(Field(type=number, value=data[at + 4 : at + 4 + size]))
            at += 4 + size
        values = {field.type: field.value for field in fields}
        if len(values) != len(fields):
            raise MalformedError("nvidia report: an opaque field stands in it twice")
        fwid = values.get(_FWID, b"")
        if len(fwid) not in {0, _FWID_SIZE}:
            raise MalformedError(f"nvidia report: a firmware id of {len(fwid)} bytes, {_FWID_SIZE} are wanted")
        return cls(
            fields=tuple(fields),
            driver=_text(values, _DRIVER, "driver version", required=True),
            vbios=_vbios(values.get(_VBIOS, b"")),
            project=_text(values, _PROJECT, "project"),
            project_sku=_text(values, _PROJECT_SKU, "project SKU"),
            chip_sku=_text(values, _CHIP_SKU, "chip SKU"),
            chip=_text(values, _CHIP, "chip"),
            fwid=fwid,
            nvdec0=_switch(values, _NVDEC0, "NVDEC0"),
            mode=_mode(values),
        )

    def encode(self) -> bytes:
        """``Opaque.parse(o.encode()) == o``."""
        return b"".join(struct.pack("<HH", field.type, len(field.value)) + field.value for field in self.fields)


def _text(values: Mapping[int, bytes], number: int, what: str, *, required: bool = False) -> str:
    text = values.get(number, b"").rstrip(b"\0").decode("latin-1")
    if not _TEXT.fullmatch(text) or (required and not text):
        raise MalformedError(f"nvidia report: no {what}, or none that can be read")
    return text


def _vbios(value: bytes) -> str:
    """``96.00.9F.00.01``: the bytes of a little-endian u32, then one more; three that are zero."""
    if len(value) != _VBIOS_SIZE or any(value[_VBIOS_USED:]):
        raise MalformedError("nvidia report: no VBIOS version, or none that can be read")
    return ".".join(f"{byte:02X}" for byte in (*value[3::-1], value[4]))


def _switch(values: Mapping[int, bytes], number: int, what: str) -> bool | None:
    value = values.get(number)
    if value not in {None, _ON, _OFF}:
        raise MalformedError(f"nvidia report: {what} is neither on nor off")
    return None if value is None else value == _ON


def _mode(values: Mapping[int, bytes]) -> str:
    """From the feature flag (Blackwell); before there was one, from whether PCIe is protected (Hopper)."""
    protected = _switch(values, _PROTECTED_PCIE, "protected PCIe")
    if _FEATURE in values:
        number = int.from_bytes(values[_FEATURE], "little")
        if number not in _FEATURES or len(values[_FEATURE]) > _VBIOS_SIZE:
            raise UnsupportedError(f"nvidia report: mode {number} is not known here")
        if protected is not None and protected != (_FEATURES[number] == "ppcie"):
            raise MalformedError("nvidia report: it contradicts itself about protected PCIe")
        return _FEATURES[number]
    return {None: "", False: "spt", True: "ppcie"}[protected]


__all__ = ["Field", "Opaque"]
