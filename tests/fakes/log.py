# SPDX-License-Identifier: Apache-2.0
"""A transparency log in memory, honest or not: real keys, real signatures, and whoever holds it decides what it says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from verifiable.ledger.checkpoint import Checkpoint, SignedCheckpoint
from verifiable.ledger.cosignature import CosignatureSigner
from verifiable.ledger.note import NoteSigner
from verifiable.ledger.policy import Policy
from verifiable.ledger.sigstore import Bundle, LogEntry
from verifiable.merkle.hashing import leaf_hash, node_hash
from verifiable.merkle.proofs import inclusion_proof, root
from verifiable.receipt import Receipt
from verifiable.trust import TrustedLog

ORIGIN = "ledger.example/one"
#: Before the time at which the fake receipts are judged, and after they were made.
COSIGNED = datetime(2026, 3, 1, 11, 59, 30, tzinfo=UTC)


def cosigner(name: str, *, post_quantum: bool = False) -> CosignatureSigner:
    return CosignatureSigner(name=name, private=MLDSA44PrivateKey.generate() if post_quantum else Ed25519PrivateKey.generate())


@dataclass
class FakeLog:
    """Leaves and the keys; ``cosigners`` cosign whatever they are shown."""

    origin: str = ORIGIN
    leaves: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.signer = NoteSigner(name=self.origin, private=Ed25519PrivateKey.generate())
        self.cosigners = tuple(cosigner(f"w{i}.example", post_quantum=i == 2) for i in range(3))

    def trusted(self, *, quorum: int = 2, administrator: bytes | None = None) -> TrustedLog:
        """What somebody believes who asks for ``quorum`` of the three cosigners."""
        witnesses = {each.name: each.key for each in self.cosigners}
        policy = Policy.k_of_n([self.signer.key], witnesses, quorum)
        return TrustedLog(name="our ledger", key=self.signer.key, policy=policy, administrator=administrator)

    def fill(self, count: int) -> None:
        """Entries of somebody else."""
        self.leaves += [b"somebody else's entry %d" % number for number in range(len(self.leaves), len(self.leaves) + count)]

    def checkpoint(
        self, *, time: datetime = COSIGNED, by: Iterable[CosignatureSigner] | None = None, signer: NoteSigner | None = None,
        **change: object,
    ) -> SignedCheckpoint:  # fmt: skip
        """The log as it is, signed by it and cosigned ``by`` (default: everybody); ``change`` makes it say something else."""
        tree = Checkpoint(origin=self.origin, size=len(self.leaves), root=root(len(self.leaves), self._read))
        signers = (signer or self.signer, *(self.cosigners if by is None else by))
        return SignedCheckpoint.sign(replace(tree, **change), signers, time)  # type: ignore[arg-type]

    def place(self, index: int, checkpoint: SignedCheckpoint | None = None) -> LogEntry:
        """Where leaf ``index`` is in the log as it is."""
        hashes = inclusion_proof(index, len(self.leaves), self._read)
        signed = checkpoint or self.checkpoint()
        return LogEntry.of(
            self.signer.key, index=index, hashes=hashes, checkpoint=signed.encode(), body=self.leaves[index]
        )  # fmt: skip

    def append(self, entry: bytes) -> int:
        self.leaves.append(entry)
        return len(self.leaves) - 1

    def _read(self, level: int, index: int) -> bytes:
        if level == 0:
            return leaf_hash(self.leaves[index])
        return node_hash(self._read(level - 1, 2 * index), self._read(level - 1, 2 * index + 1))


def settle(receipt: Receipt, log: FakeLog, *, before: int = 3, after: int = 2) -> Receipt:
    """``receipt`` settled in ``log``, with entries of others before and after it."""
    log.fill(before)
    index = log.append(receipt.entry.encode())
    log.fill(after)
    return replace(receipt, log_entries=(log.place(index),))


def settle_bundle(bundle: Bundle, public_key: bytes, log: FakeLog) -> bytes:
    """A signed statement settled in ``log`` right where it ends, as a file."""
    index = log.append(bundle.entry(public_key).encode())
    return replace(bundle, log_entries=(log.place(index),)).encode()


def settled_again(log: FakeLog, receipts: Sequence[Receipt]) -> list[Receipt]:
    """Receipts already in ``log``, with proofs to the log as it is now."""
    return [replace(r, log_entries=(log.place(log.leaves.index(r.entry.encode())),)) for r in receipts]
