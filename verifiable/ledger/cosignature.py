# SPDX-License-Identifier: Apache-2.0
"""Timestamped signatures on checkpoints (c2sp.org/tlog-cosignature): Ed25519 (0x04) and ML-DSA-44 (0x06, FIPS 204).

"As of this time, this is the largest consistent tree that I have seen of this log." The ML-DSA-44 kind also commits to the
cosigner's name and is what a log puts beside its own Ed25519 signature.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from verifiable.errors import MalformedError, SignatureError, UnsupportedError
from verifiable.ledger.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_ML_DSA_44,
    ED25519,
    MAX_NAME,
    NoteKey,
    NoteSignature,
    verify_ed25519,
)  # fmt: skip

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

    from verifiable.ledger.checkpoint import Checkpoint

_TIME_SIZE = 8
_LAST_SECOND = 253_402_300_799  # of the year 9999, the last that a datetime holds


def message(key: NoteKey, checkpoint: Checkpoint, timestamp: int) -> bytes:
    """What a key of either kind signs; ``timestamp`` in seconds since the epoch. Raises MalformedError, UnsupportedError."""
    if key.type == COSIGNATURE_ED25519:
        return b"cosignature/v1\ntime %d\n" % timestamp + checkpoint.encode()
    if key.type != COSIGNATURE_ML_DSA_44:
        raise UnsupportedError(f"key {key}: not a cosignature key")
    if checkpoint.extensions:
        # The format would leave them unsigned; a reader that knows only this signature must not be shown them as signed.
        raise UnsupportedError(f"checkpoint of {checkpoint.origin[:60]!r}: an ML-DSA-44 signature does not cover extension lines")
    return b"".join((
        b"subtree/v1\n\0",
        _short(key.name), timestamp.to_bytes(_TIME_SIZE, "big"), _short(checkpoint.origin),
        (0).to_bytes(8, "big"), checkpoint.size.to_bytes(8, "big"), checkpoint.root,
    ))  # fmt: skip


def verify(key: NoteKey, checkpoint: Checkpoint, signature: bytes) -> datetime | None:
    """The time that the signature states, or None where it states none (plain Ed25519; a timestamp of zero).

    ``key`` is of any of the three types, ``signature`` what follows the key id on its line. Raises SignatureError.
    """
    if key.type == ED25519:
        verify_ed25519(key, checkpoint.encode(), signature)
        return None
    timestamp = int.from_bytes(signature[:_TIME_SIZE], "big")
    if timestamp > _LAST_SECOND:
        raise SignatureError(f"the signature by {key} states no possible time")
    _verify_raw(key, message(key, checkpoint, timestamp), signature[_TIME_SIZE:])
    return datetime.fromtimestamp(timestamp, UTC) if timestamp else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CosignatureSigner:
    """An Ed25519 or ML-DSA-44 key with its name, for timestamped signatures on checkpoints."""

    name: str
    private: Ed25519PrivateKey | MLDSA44PrivateKey = field(repr=False)

    @property
    def key(self) -> NoteKey:
        public = self.private.public_key().public_bytes_raw()
        return NoteKey(name=self.name, type=COSIGNATURE_ED25519 if len(public) == 32 else COSIGNATURE_ML_DSA_44, public=public)

    def sign_checkpoint(self, checkpoint: Checkpoint, now: datetime) -> NoteSignature:
        """Sign with the time ``now`` (aware), in whole seconds. Raises MalformedError, UnsupportedError (extension lines)."""
        timestamp = int(now.timestamp())
        if not 0 < timestamp <= _LAST_SECOND:
            raise MalformedError(f"{now} is no time for a cosignature")
        key = self.key
        signature = timestamp.to_bytes(_TIME_SIZE, "big") + self.private.sign(message(key, checkpoint, timestamp))
        return NoteSignature(name=self.name, key_id=key.key_id, signature=signature)


def _verify_raw(key: NoteKey, data: bytes, signature: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

    kind = Ed25519PublicKey if key.type == COSIGNATURE_ED25519 else MLDSA44PublicKey
    try:
        kind.from_public_bytes(key.public).verify(signature, data)
    except (InvalidSignature, ValueError) as error:
        raise SignatureError(f"the signature by {key} does not hold") from error


def _short(text: str) -> bytes:
    data = text.encode()
    if not 0 < len(data) <= MAX_NAME:
        raise MalformedError(f"{text[:60]!r}: a cosigned name has 1 to {MAX_NAME} bytes")
    return bytes([len(data)]) + data
