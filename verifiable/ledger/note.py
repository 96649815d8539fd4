# SPDX-License-Identifier: Apache-2.0
"""Signed notes (c2sp.org/signed-note): text, an empty line, and signature lines that name their keys.

A key is known by its name and a four-byte id. Signatures by unknown keys are ignored; one by a known key that does not hold
spoils the whole note. Parsing says nothing about signatures: until a key was applied, the text is only bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from verifiable.encoding.record import decode_base64, encode_base64
from verifiable.errors import MalformedError, SignatureError, TrustError, UnsupportedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from verifiable.ledger.checkpoint import Checkpoint

#: A post-quantum signature line is 3.3 kB; this leaves room for every one of :data:`MAX_SIGNATURES` of them.
MAX_NOTE = 512 * 1024
MAX_SIGNATURES = 100
MAX_NAME = 255  # what an ML-DSA-44 cosignature can carry, in bytes of UTF-8

ED25519 = 0x01
COSIGNATURE_ED25519 = 0x04
COSIGNATURE_ML_DSA_44 = 0x06
_PUBLIC_SIZES = {ED25519: 32, COSIGNATURE_ED25519: 32, COSIGNATURE_ML_DSA_44: 1312}
_ID_SIZE = 4
_DASH = "\N{EM DASH} "


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSignature:
    """One signature line: the key's name, its id (4 bytes), and the signature, whose form is the key type's business."""

    name: str
    key_id: bytes
    signature: bytes

    @classmethod
    def parse(cls, line: str) -> NoteSignature:
        """Read a line without its newline. Raises MalformedError."""
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not space:
            raise MalformedError(f"note: not a signature line: {line[:60]!r}")
        blob = decode_base64(encoded, f"note: signature by {name[:60]!r}")
        if len(blob) <= _ID_SIZE:
            raise MalformedError(f"note: the signature by {name[:60]!r} is empty")
        return cls(name=_valid_name(name), key_id=blob[:_ID_SIZE], signature=blob[_ID_SIZE:])

    def encode(self) -> str:
        """The line, without its newline."""
        return f"{_DASH}{self.name} {encode_base64(self.key_id + self.signature)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """``text`` with its final newline, and at least one signature."""

    text: str
    signatures: tuple[NoteSignature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Read a whole note; nothing is verified. Raises MalformedError."""
        if len(data) > MAX_NOTE:
            raise MalformedError(f"note: {len(data):,} bytes, more than the {MAX_NOTE:,} allowed")
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedError("note: not UTF-8") from error
        if any(c < " " and c != "\n" for c in whole):
            raise MalformedError("note: it contains a control character")
        head, blank, tail = whole.rpartition("\n\n")
        if not blank or not head or not tail.endswith("\n"):
            raise MalformedError("note: not a text, an empty line and signature lines, each ending in a newline")
        return cls(text=head + "\n", signatures=parse_signatures(tail))

    def encode(self) -> bytes:
        """The bytes that :meth:`parse` reads."""
        return (self.text + "\n" + "".join(s.encode() + "\n" for s in self.signatures)).encode()

    def by(self, key: NoteKey) -> tuple[NoteSignature, ...]:
        """The signatures that claim to be by ``key``; they are still to be verified."""
        return tuple(s for s in self.signatures if (s.name, s.key_id) == (key.name, key.key_id))

    def with_signatures(self, signatures: Iterable[NoteSignature]) -> Note:
        """With these appended; a signature that is there already by the same key is replaced."""
        added = tuple(signatures)
        keys = {(s.name, s.key_id) for s in added}
        kept = tuple(s for s in self.signatures if (s.name, s.key_id) not in keys)
        return replace(self, signatures=kept + added)


def parse_signatures(text: str) -> tuple[NoteSignature, ...]:
    """One or more signature lines, each with its newline. Raises MalformedError."""
    lines = text.split("\n")
    if lines.pop() or not lines:
        raise MalformedError("note: the last signature line does not end in a newline")
    if len(lines) > MAX_SIGNATURES:
        raise MalformedError(f"note: {len(lines)} signatures, more than the {MAX_SIGNATURES} allowed")
    return tuple(NoteSignature.parse(line) for line in lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteKey:
    """A verifier key: a name, a signature type and the raw public key (32 bytes, or 1,312 for ML-DSA-44)."""

    name: str
    type: int
    public: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _valid_name(self.name)
        if self.type not in _PUBLIC_SIZES:
            raise UnsupportedError(
                f"key {self.name!r}: signature type 0x{self.type:02x} is not supported",
                hint="supported are 0x01 (Ed25519), 0x04 (Ed25519 cosignature) and 0x06 (ML-DSA-44 cosignature)",
            )
        if len(self.public) != _PUBLIC_SIZES[self.type]:
            raise MalformedError(f"key {self.name!r}: {len(self.public)} bytes, not the {_PUBLIC_SIZES[self.type]} of its type")

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of SHA-256(name || 0x0A || type || public key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public).digest()[:_ID_SIZE]

    @classmethod
    def parse(cls, text: str) -> NoteKey:
        """Read a vkey, ``name+hex id+base64(type || public key)``. Raises MalformedError, UnsupportedError."""
        parts = text.split("+", 2)
        if len(parts) != 3 or len(text) > 4096:
            raise MalformedError(f"not a verifier key: {text[:60]!r}", hint="it reads NAME+ID+BASE64")
        name, key_id, encoded = parts
        blob = decode_base64(encoded, f"key {name[:60]!r}")
        key = cls(name=name, type=blob[0] if blob else 0, public=blob[1:])
        if key_id != key.key_id.hex():
            raise MalformedError(
                f"key {name!r}: its id is {key.key_id.hex()}, not {key_id[:16]!r}", hint="copy the whole key again"
            )
        return key

    def encode(self) -> str:
        """The vkey."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.type]) + self.public)}"

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}"


def verify_note(note: Note, key: NoteKey) -> None:
    """Return when ``note`` carries a plain Ed25519 signature (type 0x01) by ``key`` over its text.

    Raises TrustError (no signature by this key), SignatureError, UnsupportedError (a cosignature key: those sign checkpoints).
    """
    found = note.by(key)
    if not found:
        raise TrustError(f"note: not signed by {key}")
    for signature in found:
        verify_ed25519(key, note.text.encode(), signature.signature)


def verify_ed25519(key: NoteKey, message: bytes, signature: bytes) -> None:
    """RFC 8032 under a key of type 0x01. Raises SignatureError, UnsupportedError."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if key.type != ED25519:
        raise UnsupportedError(f"key {key}: a cosignature key signs checkpoints, not notes")
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise SignatureError(f"the signature by {key} does not hold") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSigner:
    """A plain Ed25519 key (type 0x01) with its name."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)

    @property
    def key(self) -> NoteKey:
        return NoteKey(name=self.name, type=ED25519, public=self.private.public_key().public_bytes_raw())

    def sign(self, text: str) -> NoteSignature:
        """Sign the text of a note."""
        return NoteSignature(name=self.name, key_id=self.key.key_id, signature=self.private.sign(text.encode()))

    def sign_checkpoint(self, checkpoint: Checkpoint, now: datetime) -> NoteSignature:  # noqa: ARG002 - this kind carries no time
        """Sign a checkpoint's text; see :class:`verifiable.ledger.checkpoint.CheckpointSigner`."""
        return self.sign(checkpoint.encode().decode())


def _valid_name(name: str) -> str:
    """A key name, as it was given. Raises MalformedError."""
    bad = not name or "+" in name or any(c.isspace() or c < " " for c in name)
    try:
        bad = bad or len(name.encode()) > MAX_NAME
    except UnicodeEncodeError:
        bad = True
    if bad:
        raise MalformedError(f"note: not a key name: {name[:60]!r}", hint="1 to 255 bytes without white space and without '+'")
    return name
