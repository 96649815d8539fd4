# SPDX-License-Identifier: Apache-2.0
"""What a GPU's signing certificate says beside its key: which firmware holds the key, on which chip (TCG DICE, DMTF DSP0274).

Two layouts of the firmware id: Hopper has the older one of RIoT (a composite device id), Blackwell the DiceTcbInfo of the TCG.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from verifiable.errors import AttestationError, MalformedError
from verifiable.tee import der
from verifiable.tee.x509 import Certificate

_COMPOSITE, _TCB_INFO = "2.23.133.5.4.1", "2.23.133.5.4.1.1"
_ALTERNATIVE_NAME, _DEVICE_INFO = "2.5.29.17", "1.3.6.1.4.1.412.274.1"
_SHA384, _SHA384_SIZE = "2.16.840.1.101.3.4.2.2", 48
#: DiceTcbInfo's implicit tags in their order, those that are looked at, and bit 3 of its flags.
_TAGS = (0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0xA6, 0x87, 0x88, 0x89)
_SVN, _FWIDS, _FLAGS = 0x83, 0xA6, 0x87
_DEBUG = 0x10
_TEXT = re.compile(r"[0-9A-Za-z._-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """``fwid``: SHA-384 of the firmware. ``chip``: ``GH100`` and the like; ``serial``: of the device. ``debug``, ``svn``: as
    DiceTcbInfo has them; Hopper's certificates state neither.
    """

    fwid: bytes
    chip: str
    serial: str
    debug: bool
    svn: int | None

    @classmethod
    def of(cls, leaf: Certificate) -> Device:
        """Raises AttestationError (not the certificate of a GPU's firmware), MalformedError."""
        what = f"certificate of {leaf.name}"
        found = {oid for oid in (_COMPOSITE, _TCB_INFO) if oid in leaf.extensions}
        if len(found) != 1 or _ALTERNATIVE_NAME not in leaf.extensions:
            raise AttestationError(f"the {what} names no firmware and device: it is not one that a GPU signs measurements with")
        chip, serial = _device_info(leaf.extensions[_ALTERNATIVE_NAME].value, what)
        if _COMPOSITE in found:
            fwid = _composite(leaf.extensions[_COMPOSITE].value, what)
            return cls(fwid=fwid, chip=chip, serial=serial, debug=False, svn=None)
        fwid, debug, svn = _tcb_info(leaf.extensions[_TCB_INFO].value, what)
        return cls(fwid=fwid, chip=chip, serial=serial, debug=debug, svn=svn)


def _composite(value: bytes, what: str) -> bytes:
    """CompositeDeviceID: version 1, the key of the layer below, and a FWID."""
    fields = der.parse(value, what=what).children()
    if fields.take().integer() != 1:
        raise MalformedError(f"{what}: a composite device id of another version")
    fields.take(der.SEQUENCE)
    fwid = _fwid(fields.take())
    fields.done()
    return fwid


def _tcb_info(value: bytes, what: str) -> tuple[bytes, bool, int | None]:
    """DiceTcbInfo: all fields optional, in the order of their tags; of several FWIDs the first is the firmware's."""
    fields = der.parse(value, what=what).children()
    seen: dict[int, der.Element] = {}
    while fields.more:
        element = fields.take()
        if element.tag not in _TAGS or any(element.tag & 0x1F <= tag & 0x1F for tag in seen):
            raise MalformedError(f"{what}: its DiceTcbInfo has a field that is unknown or out of order")
        seen[element.tag] = element
    if _FWIDS not in seen:
        raise AttestationError(f"the {what} names no firmware")
    fwids = seen[_FWIDS].children(_FWIDS)
    fwid = _fwid(fwids.take())
    while fwids.more:
        _fwid(fwids.take())
    flags = seen[_FLAGS].body if _FLAGS in seen else b"\0\0"
    svn = der.parse(bytes((der.INTEGER, *seen[_SVN].encoded[1:])), what=what).integer() if _SVN in seen else None
    return fwid, len(flags) > 1 and bool(flags[1] & _DEBUG), svn


def _fwid(element: der.Element) -> bytes:
    fields = element.children()
    algorithm, digest = fields.take().oid(), fields.take(der.OCTET_STRING).body
    fields.done()
    if algorithm != _SHA384 or len(digest) != _SHA384_SIZE:
        element.fail("a firmware id that is not SHA-384")
    return digest


def _device_info(value: bytes, what: str) -> tuple[str, str]:
    """The subjectAltName that SPDM asks for: one otherName with ``manufacturer:product:serial``."""
    names = der.parse(value, what=what).children()
    name = names.take().children(0xA0)
    names.done()
    oid, held = name.take().oid(), name.take(0xA0).children(0xA0)
    text = held.take(der.UTF8).body.decode("latin-1")
    held.done()
    name.done()
    parts = text.split(":")
    if oid != _DEVICE_INFO or len(parts) != 3 or not all(_TEXT.fullmatch(part) for part in parts):
        raise MalformedError(f"{what}: its alternative name is not SPDM's device info")
    if parts[0] != "NVIDIA":
        raise AttestationError(f"the {what} is for a device of {parts[0]!r}, not of NVIDIA")
    return parts[1], parts[2]


__all__ = ["Device"]
