# SPDX-License-Identifier: Apache-2.0
"""Checkpoints (c2sp.org/tlog-checkpoint): a log's origin, size and root, as the text of a signed note.

:class:`Checkpoint` is the statement, :class:`SignedCheckpoint` the note around it as it travels. What was parsed is not yet
verified: :meth:`SignedCheckpoint.open` or a policy does that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from verifiable.encoding.record import decode_base64, encode_base64
from verifiable.errors import BindingError, MalformedError, TrustError
from verifiable.ledger import cosignature
from verifiable.ledger.note import Note, NoteKey, NoteSignature
from verifiable.merkle.hashing import HASH_SIZE, MAX_SIZE

_MAX_TEXT = 16 * 1024
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """At ``size`` entries the log ``origin`` has this ``root`` (32 bytes). ``extensions``: further lines, opaque, discouraged."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.root) != HASH_SIZE or not 0 <= self.size <= MAX_SIZE:
            raise MalformedError(f"checkpoint of {self.origin[:60]!r}: size {self.size} with a root of {len(self.root)} bytes")
        if not all(map(_is_line, (self.origin, *self.extensions))):
            raise MalformedError(f"checkpoint of {self.origin[:60]!r}: an empty line, or what no line may contain")

    @classmethod
    def parse(cls, data: bytes) -> Checkpoint:
        """Read the text of a checkpoint, its last newline included. Raises MalformedError."""
        if len(data) > _MAX_TEXT:
            raise MalformedError(f"checkpoint: {len(data):,} bytes, more than the {_MAX_TEXT:,} allowed")
        try:
            origin, size, root, *extensions, last = data.decode("utf-8").split("\n")
        except ValueError as error:
            raise MalformedError("checkpoint: not an origin, a size and a root, one per line, in UTF-8") from error
        if last:
            raise MalformedError("checkpoint: the last line does not end in a newline")
        return cls(
            origin=origin, size=parse_decimal(size, "checkpoint: size"), root=decode_base64(root, "checkpoint: root"),
            extensions=tuple(extensions),
        )  # fmt: skip

    def encode(self) -> bytes:
        """The text that a note signs."""
        return "".join(f"{line}\n" for line in (self.origin, self.size, encode_base64(self.root), *self.extensions)).encode()


class CheckpointSigner(Protocol):
    """Signs checkpoints: :class:`.note.NoteSigner` (no time) and :class:`.cosignature.CosignatureSigner` (with one)."""

    @property
    def key(self) -> NoteKey:
        """The public half."""

    def sign_checkpoint(self, checkpoint: Checkpoint, now: datetime) -> NoteSignature:
        """One signature line. Raises Error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCheckpoint:
    """A note whose text is a checkpoint. ``checkpoint`` is not to be believed before a key was applied to the note."""

    checkpoint: Checkpoint
    note: Note

    @classmethod
    def parse(cls, data: bytes) -> SignedCheckpoint:
        """Read the note and its text; nothing is verified. Raises MalformedError."""
        note = Note.parse(data)
        return cls(checkpoint=Checkpoint.parse(note.text.encode()), note=note)

    def encode(self) -> bytes:
        """The note's bytes."""
        return self.note.encode()

    @classmethod
    def sign(cls, checkpoint: Checkpoint, signers: Iterable[CheckpointSigner], now: datetime) -> SignedCheckpoint:
        """Sign with each of ``signers``, at least one. Raises Error."""
        signatures = tuple(signer.sign_checkpoint(checkpoint, now) for signer in signers)
        if not signatures:
            raise TrustError("checkpoint: no key to sign it with")
        return cls(checkpoint=checkpoint, note=Note(text=checkpoint.encode().decode(), signatures=signatures))

    @staticmethod
    def open(data: bytes, *keys: NoteKey) -> Checkpoint:
        """The checkpoint in ``data``, signed by every one of ``keys``: the keys of one log, named after its origin.

        Raises MalformedError, BindingError (of another log), TrustError (not signed by one of them), SignatureError.
        """
        signed = SignedCheckpoint.parse(data)
        if not keys:
            raise TrustError("checkpoint: no key to verify it with")
        for key in keys:
            if key.name != signed.checkpoint.origin:
                raise BindingError(f"checkpoint: it is of {signed.checkpoint.origin[:80]!r}, not of {key.name!r}")
            if not signed.signed_by(key):
                raise TrustError(f"checkpoint of {key.name!r}: not signed by {key}")
        return signed.checkpoint

    def signed_by(self, key: NoteKey) -> tuple[datetime | None, ...]:
        """When ``key`` signed it: a time for each of its signatures (None where it carries none), empty when there is none.

        Raises SignatureError when any of them does not hold.
        """
        return tuple(cosignature.verify(key, self.checkpoint, found.signature) for found in self.note.by(key))

    def with_signatures(self, signatures: Iterable[NoteSignature]) -> SignedCheckpoint:
        """With these added; see :meth:`.note.Note.with_signatures`."""
        return SignedCheckpoint(checkpoint=self.checkpoint, note=self.note.with_signatures(signatures))


def _is_line(text: str) -> bool:
    return bool(text) and not any(c < " " or "\ud800" <= c <= "\udfff" for c in text)


def parse_decimal(text: str, where: str) -> int:
    """A size or an index: decimal, no sign, no leading zero, below 2^63. Raises MalformedError."""
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_SIZE:
        raise MalformedError(f"{where}: not a number from 0 to 2^63 - 1: {text[:30]!r}")
    return int(text)
