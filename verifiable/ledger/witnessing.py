# SPDX-License-Identifier: Apache-2.0
"""The messages of c2sp.org/tlog-witness, which cosigner and client share: ``add-checkpoint``, its answers, its paths."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from verifiable.encoding.record import decode_base64, encode_base64
from verifiable.errors import MalformedError
from verifiable.ledger.checkpoint import SignedCheckpoint, parse_decimal
from verifiable.ledger.note import MAX_NOTE
from verifiable.merkle.hashing import require_hash

ADD_CHECKPOINT = "/add-checkpoint"
SIZE_TYPE = "text/x.tlog.size"
MAX_PROOF_LINES = 63
MAX_REQUEST = MAX_NOTE + 64 * 64


def checkpoint_path(origin: str) -> str:
    """Where a cosigner publishes what it last cosigned of this log, under its monitoring prefix."""
    return f"/{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCheckpoint:
    """ "This extends what you cosigned at size ``old``": a consistency proof of at most 63 hashes, and the checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    checkpoint: SignedCheckpoint

    def __post_init__(self) -> None:
        if not 0 <= self.old <= self.checkpoint.checkpoint.size:
            raise MalformedError(f"add-checkpoint: old size {self.old} is above the size {self.checkpoint.checkpoint.size}")
        if len(self.proof) > MAX_PROOF_LINES:
            raise MalformedError(f"add-checkpoint: more than {MAX_PROOF_LINES} proof lines")
        for value in self.proof:
            require_hash(value, "add-checkpoint: proof")

    @classmethod
    def parse(cls, data: bytes) -> AddCheckpoint:
        """Read a request's body; nothing is verified. Raises MalformedError."""
        if len(data) > MAX_REQUEST:
            raise MalformedError(f"add-checkpoint: more than {MAX_REQUEST:,} bytes")
        head, blank, note = data.partition(b"\n\n")
        try:
            old, *proof = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise MalformedError("add-checkpoint: its head is not ASCII") from error
        if not blank or not old.startswith("old ") or len(proof) > MAX_PROOF_LINES:
            raise MalformedError("add-checkpoint: not an old size, at most 63 hashes, an empty line and a checkpoint")
        return cls(
            old=parse_decimal(old[4:], "add-checkpoint: old size"),
            proof=tuple(decode_base64(line, "add-checkpoint: proof") for line in proof),
            checkpoint=SignedCheckpoint.parse(note),
        )

    def encode(self) -> bytes:
        """The bytes that :meth:`parse` reads."""
        lines = (f"old {self.old}", *map(encode_base64, self.proof))
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.checkpoint.encode()
