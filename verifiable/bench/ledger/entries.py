# SPDX-License-Identifier: Apache-2.0
"""Made-up entries: leaves like those of receipts, to the byte in form and size, signed by nobody.

They are cut from one real leaf, since making canonical JSON would take longer than what is measured.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from hashlib import shake_128

from verifiable.digest import Digest
from verifiable.ledger.entry import Entry

#: A DER signature of ECDSA P-256 has 70 to 72 bytes; a public key has 91.
_DIGEST, _SIGNATURE, _KEY = 32, 71, bytes(91)


def entry(index: int) -> bytes:
    """Entry number ``index``, another one for each number."""
    before, between, after = _template()
    noise = shake_128(b"%d" % index).digest(_DIGEST + _SIGNATURE)
    return b"".join((before, b64encode(noise[:_DIGEST]), between, b64encode(noise[_DIGEST:]), after))


def entries(first: int, last: int) -> list[bytes]:
    """Those from number ``first`` to ``last``, without it."""
    return [entry(index) for index in range(first, last)]


@cache
def _template() -> tuple[bytes, bytes, bytes]:
    """What is around the digest and the signature."""
    whole = Entry.of(Digest(value=b"\xaa" * _DIGEST), b"\xbb" * _SIGNATURE, _KEY).encode()
    before, rest = whole.split(b64encode(b"\xaa" * _DIGEST))
    between, after = rest.split(b64encode(b"\xbb" * _SIGNATURE))
    return before, between, after


def parts(first: int, last: int, size: int) -> Iterator[tuple[int, int]]:
    """The numbers from ``first`` to ``last`` in parts of ``size``, the last one shorter."""
    return ((at, min(at + size, last)) for at in range(first, last, size))


__all__ = ["entries", "entry", "parts"]
