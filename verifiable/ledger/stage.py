# SPDX-License-Identifier: Apache-2.0
"""A batch that has been decided on but not yet written out: the log's write-ahead record.

It is durable before the first tile of the batch, so that after a crash the same tiles are made again: an immutable tile
is never written twice with different contents.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from verifiable.errors import FatalStateError, MalformedError
from verifiable.ledger import tiles

FOLDER = "stage"
_TAG = b"verifiable-log-stage-v1"
_HINT = "restore this one file from a copy, never the private folder: an older record of what was signed could sign a fork"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """``entries`` to go on top of the tree of ``size`` entries with that ``root``."""

    size: int
    root: bytes
    entries: tuple[bytes, ...]

    @staticmethod
    def path_at(size: int) -> str:
        return f"{FOLDER}/{size}"

    @property
    def path(self) -> str:
        return self.path_at(self.size)

    def encode(self) -> bytes:
        """``tag size root count NL bundle``, and the SHA-256 of all that."""
        head = b"%s %d %s %d\n" % (_TAG, self.size, self.root.hex().encode(), len(self.entries))
        data = head + tiles.encode_bundle(self.entries)
        return data + hashlib.sha256(data).digest()

    @classmethod
    def parse(cls, data: bytes) -> Stage:
        """Raises FatalStateError: this is our own state, and only damage makes it unreadable."""
        body, digest = data[:-32], data[-32:]
        head, _, bundle = body.partition(b"\n")
        fields = head.split(b" ")
        if hashlib.sha256(body).digest() != digest or len(fields) != 4 or fields[0] != _TAG:
            raise FatalStateError("log stage: the staged batch is damaged", hint=_HINT)
        try:
            entries = tiles.parse_bundle(bundle, int(fields[3]), what="log stage")
            return cls(size=int(fields[1]), root=bytes.fromhex(fields[2].decode()), entries=tuple(entries))
        except (ValueError, MalformedError) as error:
            raise FatalStateError(f"log stage: the staged batch is damaged: {error}", hint=_HINT) from error
