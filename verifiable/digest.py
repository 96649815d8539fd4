# SPDX-License-Identifier: Apache-2.0
"""Digests and content ids.

A :class:`Digest` is a hash value with its algorithm's name; its text form is ``sha256:<64 hex digits>``. Everything that we
hash and that is not a file somebody else defined goes through :func:`tagged`, which separates domains: two
kinds of thing never share a digest, whatever their bytes.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import BinaryIO

from verifiable.errors import MalformedError

_HEX = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A SHA-256 value. ``str()`` gives ``sha256:<hex>``; ``hex`` the digits alone."""

    value: bytes
    algorithm: str = "sha256"

    def __post_init__(self) -> None:
        if self.algorithm != "sha256" or len(self.value) != hashlib.sha256().digest_size:
            raise MalformedError(f"not a SHA-256 digest: {self.algorithm} of {len(self.value)} bytes")

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The SHA-256 of ``data``."""
        return cls(value=hashlib.sha256(data).digest())

    @classmethod
    def of_stream(cls, stream: BinaryIO) -> Digest:
        """The SHA-256 of what is left in ``stream``, read in constant memory."""
        state = hashlib.sha256()
        while block := stream.read(_CHUNK):
            state.update(block)
        return cls(value=state.digest())

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read ``sha256:<hex>`` or the bare lower-case digits. Raises MalformedError."""
        digits = text.removeprefix("sha256:")
        if not _HEX.fullmatch(digits):
            raise MalformedError(
                f"not a SHA-256 digest: {text[:80]!r}",
                hint="expected 64 lower-case hex digits, with or without the prefix 'sha256:'",
            )
        return cls(value=bytes.fromhex(digits))

    @property
    def hex(self) -> str:
        return self.value.hex()

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def tagged(tag: str, *parts: bytes) -> Digest:
    """SHA-256 over a domain tag and length-prefixed parts: ``tag NUL (u64le(len) part)*``.

    The prefixing makes the encoding injective, so moving a byte from one part to the next changes the digest.
    """
    state = hashlib.sha256(tag.encode("ascii") + b"\0")
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return Digest(value=state.digest())
