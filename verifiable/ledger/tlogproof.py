# SPDX-License-Identifier: Apache-2.0
"""Proofs of logging in one text file (c2sp.org/tlog-proof): an index, an inclusion proof and the cosigned checkpoint.

Verified offline with nothing but the entry's leaf hash and a policy.
"""

from __future__ import annotations

from dataclasses import dataclass

from verifiable.encoding.record import decode_base64, encode_base64
from verifiable.errors import MalformedError
from verifiable.ledger.checkpoint import SignedCheckpoint, parse_decimal
from verifiable.ledger.note import MAX_NOTE
from verifiable.ledger.policy import Policy
from verifiable.merkle.hashing import require_hash
from verifiable.merkle.verify import verify_inclusion

MAX_HASHES = 63
_MAX_EXTRA = 64 * 1024
MAX_PROOF = MAX_NOTE + 2 * _MAX_EXTRA
_HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlogProof:
    """Entry ``index`` (from 0), sibling hashes from the leaf up, and the checkpoint. ``extra`` is never authenticated."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: SignedCheckpoint
    extra: bytes | None = None

    def __post_init__(self) -> None:
        parse_decimal(str(self.index), "tlog-proof: index")
        if len(self.hashes) > MAX_HASHES or len(self.extra or b"") > _MAX_EXTRA:
            raise MalformedError(f"tlog-proof: more than {MAX_HASHES} hashes, or more than {_MAX_EXTRA:,} bytes of extra data")
        for value in self.hashes:
            require_hash(value, "tlog-proof")

    @classmethod
    def parse(cls, data: bytes) -> TlogProof:
        """Read a ``.tlog-proof`` file; nothing is verified. Raises MalformedError."""
        if len(data) > MAX_PROOF:
            raise MalformedError(f"tlog-proof: {len(data):,} bytes, more than the {MAX_PROOF:,} allowed")
        head, blank, note = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise MalformedError("tlog-proof: its head is not ASCII") from error
        if not blank or lines.pop(0) != _HEADER:
            raise MalformedError(f"tlog-proof: it does not begin with {_HEADER!r}, or has no checkpoint")
        extra = decode_base64(lines.pop(0)[6:], "tlog-proof: extra") if lines and lines[0].startswith("extra ") else None
        if not lines or not lines[0].startswith("index "):
            raise MalformedError("tlog-proof: no index line")
        index = parse_decimal(lines.pop(0)[6:], "tlog-proof: index")
        if len(lines) > MAX_HASHES:
            raise MalformedError(f"tlog-proof: more than {MAX_HASHES} hashes")
        hashes = tuple(decode_base64(line, "tlog-proof: hash") for line in lines)
        return cls(index=index, hashes=hashes, checkpoint=SignedCheckpoint.parse(note), extra=extra)

    def encode(self) -> bytes:
        """The bytes that :meth:`parse` reads."""
        extra = [] if self.extra is None else [f"extra {encode_base64(self.extra)}"]
        lines = [_HEADER, *extra, f"index {self.index}", *map(encode_base64, self.hashes)]
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.checkpoint.encode()

    def verify(self, leaf: bytes, policy: Policy) -> tuple[str, ...]:
        """Who stands behind it, when the entry with the leaf hash ``leaf`` (32 bytes) is in the log at this index.

        Raises what :meth:`Policy.check` raises, and InclusionError.
        """
        names = policy.check(self.checkpoint)
        head = self.checkpoint.checkpoint
        verify_inclusion(leaf, self.index, head.size, self.hashes, head.root)
        return names
