# SPDX-License-Identifier: Apache-2.0
"""COSE receipts of inclusion (RFC 9942): the log's Ed25519 signature over the Merkle root, and the way from a leaf to it.

Deterministic CBOR (RFC 8949 §4.2.1) in one fixed shape. Nothing else is read, so no general decoder is needed. What is signed is
the root alone, not the size or the position: of these the proof says what it likes as far as the hashes come out the
same. Who needs a position takes a settled receipt or a ``.tlog-proof``, whose checkpoint signs the size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from verifiable.errors import MalformedError, SignatureError
from verifiable.ledger.note import ED25519, NoteKey, verify_ed25519
from verifiable.ledger.sigstore import log_id
from verifiable.merkle.hashing import MAX_SIZE as MAX_TREE_SIZE
from verifiable.merkle.verify import inclusion_root

MAX_SIZE = 1 << 13
_MAX_HASHES = 63
_UINT, _BYTES, _TEXT, _ARRAY, _MAP = 0, 2, 3, 4, 5
_SIGN1 = b"\xd2"  # tag 18
_NIL = b"\xf6"
_EDDSA = b"\x27"  # -8
_INCLUSION_PROOFS = b"\x20"  # -1


@dataclass(frozen=True, slots=True, kw_only=True)
class CoseReceipt:
    """A receipt of inclusion. ``key_id``: the log's id, 32 bytes (``kid``); ``hashes``: the proof from the leaf's sibling up."""

    key_id: bytes
    index: int
    size: int
    hashes: tuple[bytes, ...]
    signature: bytes

    @classmethod
    def issue(
        cls, *, key: NoteKey, sign: Callable[[bytes], bytes], leaf: bytes, index: int, size: int, hashes: tuple[bytes, ...]
    ) -> CoseReceipt:
        """Sign the root that ``leaf`` (a leaf hash) and the proof lead to; the caller has seen that it is the log's.

        ``sign``: Ed25519 with the private part of ``key``. Raises InclusionError, SignatureError where it signs with another.
        """
        root = inclusion_root(leaf, index, size, hashes)
        identity = log_id(key)
        receipt = cls(key_id=identity, index=index, size=size, hashes=hashes, signature=sign(_to_be_signed(identity, root)))
        receipt.verify(leaf, key)
        return receipt

    def verify(self, leaf: bytes, key: NoteKey) -> bytes:
        """The root, signed by the log, of a tree that holds ``leaf`` (a leaf hash). Raises InclusionError, SignatureError."""
        if key.type != ED25519 or self.key_id != log_id(key):
            raise SignatureError(f"the COSE receipt is not by {key}")
        root = inclusion_root(leaf, self.index, self.size, self.hashes)
        verify_ed25519(key, _to_be_signed(self.key_id, root), self.signature)
        return root

    def encode(self) -> bytes:
        """A tagged COSE_Sign1; ``CoseReceipt.parse(r.encode()) == r``."""
        path = b"".join(_string(value) for value in self.hashes)
        proof = _head(_ARRAY, 3) + _head(_UINT, self.size) + _head(_UINT, self.index) + _head(_ARRAY, len(self.hashes)) + path
        proofs = _head(_MAP, 1) + _head(_UINT, 396) + _head(_MAP, 1) + _INCLUSION_PROOFS + _head(_ARRAY, 1) + _string(proof)
        return _SIGN1 + _head(_ARRAY, 4) + _string(_protected(self.key_id)) + proofs + _NIL + _string(self.signature)

    @classmethod
    def parse(cls, data: bytes) -> CoseReceipt:
        """Raises MalformedError for everything that :meth:`encode` would not write."""
        if len(data) > MAX_SIZE:
            raise MalformedError(f"COSE receipt: {len(data):,} bytes is more than the {MAX_SIZE:,} allowed")
        outer = _Reader(data)
        outer.expect(_SIGN1 + _head(_ARRAY, 4))
        protected = _Reader(outer.string())
        outer.expect(_head(_MAP, 1) + _head(_UINT, 396) + _head(_MAP, 1) + _INCLUSION_PROOFS + _head(_ARRAY, 1))
        proof = _Reader(outer.string())
        outer.expect(_NIL)
        signature = outer.string()
        proof.expect(_head(_ARRAY, 3))
        size, index = proof.number(_UINT), proof.number(_UINT)
        hashes = tuple(proof.string() for _ in range(proof.number(_ARRAY, maximum=_MAX_HASHES)))
        protected.expect(_head(_MAP, 3) + _head(_UINT, 1) + _EDDSA + _head(_UINT, 4))
        receipt = cls(key_id=protected.string(), index=index, size=size, hashes=hashes, signature=signature)
        sizes = {len(value) for value in (receipt.key_id, *hashes)}
        # Whatever stands behind or between what was taken is not written again.
        if receipt.encode() != data or sizes != {32} or len(signature) != 64:
            raise MalformedError("COSE receipt: not a receipt of inclusion in the one form that is read here")
        return receipt


def _protected(key_id: bytes) -> bytes:
    """The protected header: ``alg`` EdDSA, ``kid``, ``vds`` RFC9162_SHA256."""
    vds = _head(_UINT, 395) + _head(_UINT, 1)
    return _head(_MAP, 3) + _head(_UINT, 1) + _EDDSA + _head(_UINT, 4) + _string(key_id) + vds


def _to_be_signed(key_id: bytes, root: bytes) -> bytes:
    """RFC 9052 §4.4. It begins with a byte that begins no UTF-8 text, so a note's signature is never one of these."""
    context = b"Signature1"
    return _head(_ARRAY, 4) + _head(_TEXT, len(context)) + context + _string(_protected(key_id)) + _string(b"") + _string(root)


def _head(major: int, value: int) -> bytes:
    """The shortest head of a data item (RFC 8949 §3)."""
    if value < 24:
        return bytes([major << 5 | value])
    width = next(width for width in (0, 1, 2, 3) if value < 1 << (8 << width))
    return bytes([major << 5 | 24 + width]) + value.to_bytes(1 << width, "big")


def _string(data: bytes) -> bytes:
    return _head(_BYTES, len(data)) + data


class _Reader:
    """Takes one item after the other from the front."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def expect(self, data: bytes) -> None:
        if not self.rest.startswith(data):
            raise MalformedError("COSE receipt: not a receipt of inclusion in the one form that is read here")
        self.rest = self.rest[len(data) :]

    def number(self, major: int, *, maximum: int = MAX_TREE_SIZE) -> int:
        """The value of a head of this kind, in its shortest form."""
        short = self.rest[0] & 31 if self.rest else 31
        width = 1 << (short - 24) if 24 <= short <= 27 else 0
        value = int.from_bytes(self.rest[1 : 1 + width], "big") if width else short
        if value > maximum:
            raise MalformedError(f"COSE receipt: {value} is more than the {maximum} allowed")
        self.expect(_head(major, value))
        return value

    def string(self) -> bytes:
        length = self.number(_BYTES, maximum=len(self.rest))
        if len(self.rest) < length:
            raise MalformedError("COSE receipt: cut off")
        data, self.rest = self.rest[:length], self.rest[length:]
        return data
