# SPDX-License-Identifier: Apache-2.0
"""Typed access to a parsed JSON object: each field is taken once, with its type, and nothing may be left over.

It keeps our parsers one screen long and makes "unknown field" an error everywhere, so that no two versions
of this library can read one signed document differently.
"""

from __future__ import annotations

import base64 as _base64
import binascii
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from verifiable.digest import Digest
from verifiable.errors import MalformedError

#: How far somebody's clock may be ahead of ours.
CLOCK_SKEW = timedelta(minutes=5)
_MAX_TEXT = 4096
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])")


class Record:
    """A JSON object being read. ``where`` is its path in the document, for error messages."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise MalformedError(f"{where}: expected an object, found {_kind(value)}")
        self.where = where
        self._fields: dict[str, Any] = dict(value)

    def has(self, name: str) -> bool:
        return name in self._fields

    def names(self) -> list[str]:
        """The names not yet taken, sorted; for objects whose keys are data."""
        return sorted(self._fields)

    def take(self, name: str) -> Any:
        """The field's raw value. Raises MalformedError when it is missing."""
        if name not in self._fields:
            raise MalformedError(f"{self.where}: field {name!r} is missing")
        return self._fields.pop(name)

    def done(self) -> None:
        """Every field must have been taken. Raises MalformedError naming the first that was not."""
        if self._fields:
            raise MalformedError(f"{self.where}: unknown field {min(self._fields)[:80]!r}")

    def text(self, name: str, *, max_length: int = _MAX_TEXT) -> str:
        value = self._typed(name, str, "a string")
        if len(value) > max_length:
            raise MalformedError(f"{self.where}.{name}: longer than {max_length} characters")
        return str(value)

    def constant(self, name: str, expected: str) -> None:
        """The field must hold exactly ``expected``."""
        if (value := self.text(name)) != expected:
            raise MalformedError(f"{self.where}.{name}: expected {expected!r}, found {value[:80]!r}")

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        if (value := self.text(name)) not in allowed:
            raise MalformedError(f"{self.where}.{name}: {value[:80]!r} is none of {', '.join(allowed)}")
        return value

    def integer(self, name: str, *, minimum: int = 0, maximum: int = 2**53 - 1) -> int:
        value = self._typed(name, int, "an integer")
        if not minimum <= value <= maximum:
            raise MalformedError(f"{self.where}.{name}: {value} is outside [{minimum}, {maximum}]")
        return int(value)

    def boolean(self, name: str) -> bool:
        return bool(self._typed(name, bool, "true or false"))

    def number(self, name: str) -> float:
        value = self.take(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise MalformedError(f"{self.where}.{name}: expected a number, found {_kind(value)}")
        return float(value)

    def base64(self, name: str, *, max_size: int) -> bytes:
        """Standard base64 with padding; any other spelling of the same bytes is refused."""
        text = self._typed(name, str, "base64 text")
        # Before it is decoded, and after: the last group of four may hold one byte or three.
        if len(text) > 4 * ((max_size + 2) // 3) or len(value := decode_base64(text, f"{self.where}.{name}")) > max_size:
            raise MalformedError(f"{self.where}.{name}: more than {max_size:,} bytes")
        return value

    def hex(self, name: str, *, max_size: int) -> bytes:
        """Lower-case hexadecimal of at most ``max_size`` bytes."""
        text = self.text(name, max_length=2 * max_size)
        try:
            value = bytes.fromhex(text)
        except ValueError as error:
            raise MalformedError(f"{self.where}.{name}: not hexadecimal") from error
        if value.hex() != text:
            raise MalformedError(f"{self.where}.{name}: not lower-case hexadecimal")
        return value

    def digest(self, name: str) -> Digest:
        """Bare lower-case hex digits of a SHA-256, as in-toto writes them."""
        value = self.hex(name, max_size=32)
        if len(value) != 32:
            raise MalformedError(f"{self.where}.{name}: not 64 hex digits")
        return Digest(value=value)

    def time(self, name: str) -> datetime:
        """RFC 3339 in UTC with microseconds at most: ``2026-01-02T03:04:05Z`` or ``...05.678901Z``."""
        return parse_time(self.text(name, max_length=32), f"{self.where}.{name}")

    def items(self, name: str, *, maximum: int) -> list[Any]:
        value = self._typed(name, list, "a list")
        if len(value) > maximum:
            raise MalformedError(f"{self.where}.{name}: more than {maximum} entries")
        return list(value)

    def record(self, name: str) -> Record:
        return Record(self.take(name), f"{self.where}.{name}")

    def records(self, name: str, *, maximum: int) -> list[Record]:
        return [Record(value, f"{self.where}.{name}[{i}]") for i, value in enumerate(self.items(name, maximum=maximum))]

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's dimensions: up to 8 integers, each at least 1, with at most 2^40 elements in all."""
        dims = self.items(name, maximum=8)
        if any(isinstance(d, bool) or not isinstance(d, int) or d < 1 for d in dims) or math.prod(dims) > 2**40:
            raise MalformedError(f"{self.where}.{name}: not a tensor shape")
        return tuple(dims)

    def _typed(self, name: str, kind: type, description: str) -> Any:
        value = self.take(name)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise MalformedError(f"{self.where}.{name}: expected {description}, found {_kind(value)}")
        return value


def encode_base64(data: bytes) -> str:
    """RFC 4648 §4, with padding."""
    return _base64.b64encode(data).decode("ascii")


def decode_base64(text: str, where: str) -> bytes:
    """RFC 4648 §4 with padding, canonical: what :func:`encode_base64` would write, and nothing else."""
    try:
        data = _base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError(f"{where}: not base64") from error
    if encode_base64(data) != text:  # non-zero padding bits decode too; two spellings would be two files
        raise MalformedError(f"{where}: not canonical base64")
    return data


def format_time(moment: datetime) -> str:
    """RFC 3339, UTC, ``Z``; microseconds only when there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_time(text: str, where: str) -> datetime:
    """The inverse of :func:`format_time`; every other spelling of a time is a MalformedError."""
    try:
        moment = datetime.fromisoformat(text)
        spelled = format_time(moment) if moment.tzinfo else ""
    except (ValueError, OverflowError) as error:
        raise MalformedError(f"{where}: not a UTC time like 2026-01-02T03:04:05Z: {text[:40]!r}") from error
    if spelled != text:
        raise MalformedError(f"{where}: not a UTC time like 2026-01-02T03:04:05Z: {text[:40]!r}")
    return moment


def parse_duration(text: str, where: str) -> timedelta:
    """``90s``, ``15m``, ``24h``, ``7d``. Raises MalformedError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise MalformedError(f"{where}: not a duration: {text[:40]!r}", hint="write it like 90s, 15m, 24h or 7d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def format_duration(duration: timedelta) -> str:
    """The inverse of :func:`parse_duration`, in the largest unit of which it is a multiple."""
    seconds = int(duration.total_seconds())
    unit = next(unit for unit, size in _UNITS.items() if seconds % size == 0)
    return f"{seconds // _UNITS[unit]}{unit}"


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "an integer", float: "a number"}
    return names.get(type(value), "null")
