# SPDX-License-Identifier: Apache-2.0
"""A strict reader of DER (X.690 §10 and §11): as much as certificates and revocation lists need, and one spelling for each value.

Our own because the certificates of AMD's chips have serial number 0, which other readers refuse or are about to.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

from verifiable.errors import MalformedError

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID, UTF8, SEQUENCE, SET = 1, 2, 3, 4, 5, 6, 12, 0x30, 0x31
UTC_TIME, GENERALIZED_TIME = 23, 24
_HIGH_TAG = 31
_MAX_LENGTH_BYTES = 4
_MAX_ARC = 1 << 64
#: Serial numbers have 20 bytes (RFC 5280 §4.1.2.2). Of two thousand Python refuses to write the digits, by an error of its own.
_MAX_INTEGER = 512


@dataclass(frozen=True, slots=True)
class Element:
    """One value: its ``tag`` byte (class, constructed bit and a number below 31), its ``body``, and its whole encoding."""

    tag: int
    body: bytes
    encoded: bytes
    where: str

    def fail(self, why: str) -> NoReturn:
        raise MalformedError(f"{self.where}: {why}")

    def expect(self, tag: int) -> Element:
        """This element if it has that tag. Raises MalformedError."""
        if self.tag != tag:
            self.fail(f"DER tag {self.tag:#04x} where {tag:#04x} is wanted")
        return self

    def children(self, tag: int = SEQUENCE) -> Reader:
        """What is inside, one after the other; this element must have ``tag``."""
        return Reader(self.expect(tag).body, self.where)

    def oid(self) -> str:
        """An object identifier in dotted form."""
        numbers: list[int] = []
        value = 0
        for i, byte in enumerate(self.expect(OID).body):
            if value == 0 and byte == 0x80 and (i == 0 or not self.body[i - 1] & 0x80):
                self.fail("an object identifier is padded")
            value = value << 7 | byte & 0x7F
            if value >= _MAX_ARC:  # now, not at its end: a number of a million bytes takes minutes to put together
                self.fail("not an object identifier")
            if not byte & 0x80:
                numbers.append(value)
                value = 0
        if not numbers or self.body[-1] & 0x80:
            self.fail("not an object identifier")
        first = min(numbers[0] // 40, 2)
        return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))

    def integer(self) -> int:
        body = self.expect(INTEGER).body
        if not body or (len(body) > 1 and body[0] in {0x00, 0xFF} and (body[0] ^ body[1]) < 0x80):
            self.fail("not an integer in its shortest form")
        if len(body) > _MAX_INTEGER:
            self.fail(f"an integer of {len(body)} bytes, at most {_MAX_INTEGER} are read")
        return int.from_bytes(body, "big", signed=True)

    def boolean(self) -> bool:
        if self.expect(BOOLEAN).body not in {b"\x00", b"\xff"}:
            self.fail("not a boolean")
        return self.body == b"\xff"

    def bits(self) -> bytes:
        """A bit string of whole bytes."""
        body = self.expect(BIT_STRING).body
        if not body or body[0] != 0:
            self.fail("not a bit string of whole bytes")
        return body[1:]

    def time(self) -> datetime:
        """UTCTime or GeneralizedTime, to the second and in UTC (RFC 5280 §4.1.2.5): the former through 2049, the latter after."""
        text = self.body.decode("latin-1")
        digits = {UTC_TIME: 12, GENERALIZED_TIME: 14}.get(self.tag, 0)
        if not digits or len(text) != digits + 1 or not (text[:-1].isascii() and text[:-1].isdigit()) or text[-1] != "Z":
            self.fail("not a time in UTC to the second")
        if self.tag == UTC_TIME:
            text = ("19" if text[:2] >= "50" else "20") + text
        month, day, hour, minute, second = (int(text[i : i + 2]) for i in range(4, 14, 2))
        try:
            return datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            self.fail("not a time in UTC to the second")


class Reader:
    """Takes one element after the other; nothing may be left over (:meth:`done`)."""

    def __init__(self, data: bytes, where: str) -> None:
        self._data, self._at, self.where = data, 0, where

    @property
    def more(self) -> bool:
        return self._at < len(self._data)

    def peek(self) -> int:
        """The next element's tag; -1 at the end."""
        return self._data[self._at] if self.more else -1

    def take(self, tag: int | None = None) -> Element:
        """The next element, of this tag where one is given. Raises MalformedError."""
        start, data = self._at, self._data
        if len(data) - start < 2 or data[start] & _HIGH_TAG == _HIGH_TAG:
            raise MalformedError(f"{self.where}: not DER, or cut off, at byte {start}")
        length, body = data[start + 1], start + 2
        if length >= 0x80:
            count = length - 0x80
            length, body = int.from_bytes(data[body : body + count], "big"), body + count
            if not 1 <= count <= _MAX_LENGTH_BYTES or length < 0x80 or length >> 8 * (count - 1) == 0:
                raise MalformedError(f"{self.where}: not DER: a length that is not in its shortest form, at byte {start}")
        end = body + length
        if end > len(data):
            raise MalformedError(f"{self.where}: cut off at byte {start}")
        self._at = end
        element = Element(data[start], data[body:end], data[start:end], self.where)
        return element if tag is None else element.expect(tag)

    def optional(self, tag: int) -> Element | None:
        """The next element if it has this tag."""
        return self.take() if self.peek() == tag else None

    def done(self) -> None:
        if self.more:
            raise MalformedError(f"{self.where}: {len(self._data) - self._at} bytes too many")


def parse(data: bytes, *, what: str) -> Element:
    """One element and nothing behind it; ``what`` names it in errors. Raises MalformedError."""
    reader = Reader(data, what)
    element = reader.take()
    reader.done()
    return element


__all__ = [
    "BIT_STRING", "BOOLEAN", "GENERALIZED_TIME", "INTEGER", "NULL", "OCTET_STRING", "OID", "SEQUENCE", "SET", "UTC_TIME", "UTF8",
    "Element", "Reader", "parse",
]  # fmt: skip
