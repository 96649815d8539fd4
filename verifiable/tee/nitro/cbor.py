# SPDX-License-Identifier: Apache-2.0
"""Strict CBOR (RFC 8949): of each value the one spelling that ``cbor2`` writes, and no tags.

Its tags would make dates, decimals of any exponent and regular expressions out of an attacker's bytes; nothing that is read here
has any.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, NoReturn

from verifiable.errors import MalformedError


def decode(data: bytes, *, what: str, max_depth: int) -> Any:
    """One value and nothing behind it: shortest heads, definite lengths, each key once. Raises MalformedError."""
    import cbor2

    refused: dict[int, Callable[..., Any]] = defaultdict(lambda: _refuse_tag)
    try:
        value = cbor2.loads(
            data, max_depth=max_depth, allow_indefinite=False, allow_duplicate_keys=False,
            semantic_decoders=refused, tag_hook=_refuse_tag,
        )  # fmt: skip
        same = cbor2.dumps(value) == data
    except (cbor2.CBORError, MalformedError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise MalformedError(f"{what}: not CBOR that is read here: {str(error)[:200]}") from error
    if not same:
        raise MalformedError(f"{what}: CBOR in a second spelling, or with bytes behind it")
    return value


def encode(value: object) -> bytes:
    """The inverse of :func:`decode`; maps in their own order."""
    import cbor2

    return cbor2.dumps(value)


def _refuse_tag(*_: object) -> NoReturn:
    raise MalformedError("a tag")


__all__ = ["decode", "encode"]
