# SPDX-License-Identifier: Apache-2.0
"""Strict JSON: RFC 8785 (JCS) for what we sign and store, I-JSON (RFC 7493) for what people write.

``json.loads`` accepts duplicate keys, ``NaN``, integers of any length and nesting up to the interpreter's stack; each
of these has let two readers see two documents in one file, or one reader fall over. All are refused here.
"""

from __future__ import annotations

import json as _json
import math
import re
from typing import Any

import rfc8785

from verifiable.errors import MalformedError

MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 32
#: Commas, quotes and opening brackets, wherever they stand. What we sign and store has some ten thousand at the very most; its
#: bulk is base64, which has none.
MAX_MARKS = 1 << 18
_MAX_NUMBER_LENGTH = 32
# A string, or a bracket. Possessive, and an unterminated string reaches to the end: no text makes it look twice at a character.
_TOKENS = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


def canonical(value: object) -> bytes:
    """The RFC 8785 encoding of ``value``. Raises MalformedError for what JSON cannot carry (NaN, integers beyond 2^53)."""
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeEncodeError) as error:
        raise MalformedError(f"cannot be written as canonical JSON: {error}") from error


def marks(data: bytes) -> int:
    """Commas, quotes and opening brackets, which ``max_marks`` bounds when the document is read."""
    return sum(map(data.count, (b",", b'"', b"[", b"{")))


def parse(data: bytes, *, what: str, max_size: int, max_depth: int = MAX_DEPTH, max_marks: int = MAX_MARKS) -> Any:
    """Read one JSON document of at most ``max_size`` bytes; ``what`` names it in errors.

    Raises MalformedError for anything that RFC 7493 forbids: invalid UTF-8, duplicate keys, non-finite
    numbers, integers beyond 2^53, for nesting deeper than ``max_depth``, and for more values than ``max_marks`` allows.
    """
    if len(data) > max_size:
        raise MalformedError(f"{what}: {len(data):,} bytes is more than the {max_size:,} allowed")
    # Three bytes of text make a list of 56 bytes, so a cap on the size alone bounds neither memory nor time.
    if (found := marks(data)) > max_marks:
        raise MalformedError(f"{what}: too many values: {found:,} commas, quotes and brackets, {max_marks:,} are allowed")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError(f"{what}: not UTF-8 at byte {error.start}") from error
    if _depth(text) > max_depth:
        raise MalformedError(f"{what}: nested deeper than {max_depth} levels")
    try:
        return _json.loads(text, object_pairs_hook=_unique, parse_int=_integer, parse_float=_float, parse_constant=_constant)
    except MalformedError as error:
        raise MalformedError(f"{what}: {error.message}", hint=error.hint) from error
    except _json.JSONDecodeError as error:
        raise MalformedError(f"{what}: not JSON: {error.msg} at line {error.lineno} column {error.colno}") from error


def parse_canonical(data: bytes, *, what: str, max_size: int, max_depth: int = MAX_DEPTH, max_marks: int = MAX_MARKS) -> Any:
    """Like :func:`parse`, and the bytes must be the RFC 8785 form of what they say, to the last byte."""
    value = parse(data, what=what, max_size=max_size, max_depth=max_depth, max_marks=max_marks)
    if canonical(value) != data:
        raise MalformedError(
            f"{what}: not in canonical form (RFC 8785)", hint="the file was edited or re-formatted; use the original"
        )
    return value


def _depth(text: str) -> int:
    """The deepest bracket nesting outside strings, found without recursion and in one pass."""
    depth = deepest = 0
    for token in _TOKENS.finditer(text):
        if token[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in "]}":
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        duplicate = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise MalformedError(f"duplicate key {duplicate[:80]!r}")
    return result


def _integer(text: str) -> int:
    # The length is looked at first: int() of a million digits is quadratic.
    if len(text) > _MAX_NUMBER_LENGTH or abs(int(text)) > MAX_SAFE_INTEGER:
        raise MalformedError(
            f"integer {text[:24]}{'...' if len(text) > 24 else ''} is beyond 2^53, where JSON readers start to disagree",
            hint="pass it in an .npz, .npy or .safetensors file",
        )
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise MalformedError(f"number {text[:24]} overflows a double")
    return value


def _constant(text: str) -> float:
    raise MalformedError(f"{text} is not a JSON number")
