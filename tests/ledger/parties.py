# SPDX-License-Identifier: Apache-2.0
"""A log that can also lie, and cosigners' keys: everything from fixed seeds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from verifiable.ledger.checkpoint import Checkpoint, SignedCheckpoint
from verifiable.ledger.cosignature import CosignatureSigner
from verifiable.ledger.note import NoteSigner
from verifiable.merkle.compact import CompactRange
from verifiable.merkle.hashing import leaf_hash
from verifiable.merkle.proofs import consistency_proof, inclusion_proof

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ORIGIN = "log.example/one"


def log_signers(seed: int = 1, name: str = ORIGIN) -> tuple[NoteSigner, CosignatureSigner]:
    return (
        NoteSigner(name=name, private=Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)),
        CosignatureSigner(name=name, private=MLDSA44PrivateKey.from_seed_bytes(bytes([seed]) * 32)),
    )


def cosigner(seed: int, name: str = "", *, post_quantum: bool = True) -> CosignatureSigner:
    private = MLDSA44PrivateKey.from_seed_bytes if post_quantum else Ed25519PrivateKey.from_private_bytes
    return CosignatureSigner(name=name or f"w{seed}.example", private=private(bytes([100 + seed]) * 32))


@dataclass
class MemoryLog:
    """A tree in memory; ``fork`` gives another history from some size on, signed with the same keys."""

    entries: list[bytes] = field(default_factory=list)
    signers: tuple = field(default_factory=log_signers)
    origin: str = ORIGIN

    def add(self, count: int, text: bytes = b"entry") -> MemoryLog:
        self.entries += [b"%b %d" % (text, len(self.entries) + i) for i in range(count)]
        return self

    def fork(self, size: int, count: int) -> MemoryLog:
        return MemoryLog(self.entries[:size], self.signers, self.origin).add(count, b"other")

    def edge(self, size: int) -> CompactRange:
        return CompactRange().extend(map(leaf_hash, self.entries[:size]))

    def read(self, level: int, index: int) -> bytes:
        return CompactRange().extend(map(leaf_hash, self.entries[index << level : (index + 1) << level])).root

    def checkpoint(self, size: int | None = None, now: datetime = NOW) -> SignedCheckpoint:
        edge = self.edge(len(self.entries) if size is None else size)
        return SignedCheckpoint.sign(Checkpoint(origin=self.origin, size=edge.size, root=edge.root), self.signers, now)

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        return consistency_proof(old, new, self.read)

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        return inclusion_proof(index, size, self.read)
