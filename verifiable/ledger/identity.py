# SPDX-License-Identifier: Apache-2.0
"""Who a log is: its origin, the keys it signs with, and the clock that the timestamped ones need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from verifiable.errors import BindingError, TrustError
from verifiable.ledger.checkpoint import Checkpoint, CheckpointSigner, SignedCheckpoint
from verifiable.ledger.note import ED25519, NoteKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """``signers`` all sign each checkpoint of ``origin`` and bear its name; the first is plain Ed25519, the key that readers
    pin.
    """

    origin: str
    signers: tuple[CheckpointSigner, ...]
    now: Callable[[], datetime]

    def __post_init__(self) -> None:
        if not self.signers or self.signers[0].key.type != ED25519:
            raise TrustError(f"log {self.origin[:80]!r}: the first key must be plain Ed25519", hint="make keys with `log init`")
        for key in self.keys:
            if key.name != self.origin:
                raise BindingError(
                    f"log {self.origin[:80]!r}: the key {key} has another name", hint="a log's keys bear its origin"
                )

    @property
    def keys(self) -> tuple[NoteKey, ...]:
        """The public keys, in the order of the signers."""
        return tuple(signer.key for signer in self.signers)

    def sign(self, checkpoint: Checkpoint) -> bytes:
        """The note over ``checkpoint``, with a line by each key. Raises Error."""
        return SignedCheckpoint.sign(checkpoint, self.signers, self.now()).encode()

    def open(self, note: bytes) -> Checkpoint:
        """The checkpoint in a note that the first key has signed.

        Raises MalformedError, BindingError (another log's), TrustError (not signed by this log), SignatureError.
        """
        return SignedCheckpoint.open(note, self.signers[0].key)
