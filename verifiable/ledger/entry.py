# SPDX-License-Identifier: Apache-2.0
"""What a log holds of a signed statement: a Rekor v2 ``hashedrekord`` 0.0.2 leaf (docs/formats/settled.md).

A leaf names a statement by the digest of what was signed, with the signature and the key; it never holds the statement. Whoever
has the envelope can make the leaf again to the byte, so one comparison tells whether an entry is the one of this envelope.
"""

from __future__ import annotations

from dataclasses import dataclass

from verifiable.digest import Digest
from verifiable.encoding import json
from verifiable.encoding.record import Record, decode_base64, encode_base64
from verifiable.errors import MalformedError
from verifiable.keys.public import MAX_KEY_SIZE, MAX_SIGNATURE_SIZE
from verifiable.merkle.hashing import leaf_hash

KIND = "hashedrekord"
VERSION = "0.0.2"
MAX_SIZE = 1 << 13
_ALGORITHM = "SHA2_256"
_KEY_DETAILS = "PKIX_ECDSA_P256_SHA_256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One leaf. ``pae_digest``: SHA-256 of the DSSE pre-authentication encoding; ``signature``: DER; ``public_key``: DER."""

    pae_digest: Digest
    signature: bytes
    public_key: bytes

    @classmethod
    def of(cls, pae_digest: Digest, signature: bytes, public_key: bytes) -> Entry:
        return cls(pae_digest=pae_digest, signature=signature, public_key=public_key)

    @property
    def leaf_hash(self) -> bytes:
        """The Merkle leaf hash of the entry, 32 bytes."""
        return leaf_hash(self.encode())

    def encode(self) -> bytes:
        """The leaf: canonical JSON, some 450 bytes; ``Entry.parse(e.encode()) == e``."""
        verifier = {"keyDetails": _KEY_DETAILS, "publicKey": {"rawBytes": encode_base64(self.public_key)}}
        spec = {
            "data": {"algorithm": _ALGORITHM, "digest": encode_base64(self.pae_digest.value)},
            "signature": {"content": encode_base64(self.signature), "verifier": verifier},
        }
        return json.canonical({"apiVersion": VERSION, "kind": KIND, "spec": {"hashedRekordV002": spec}})

    @classmethod
    def parse(cls, data: bytes) -> Entry:
        """Raises MalformedError. Neither the signature nor the key is looked into."""
        root = Record(json.parse_canonical(data, what="log entry", max_size=MAX_SIZE), "log entry")
        root.constant("kind", KIND)
        root.constant("apiVersion", VERSION)
        wrapper = root.record("spec")
        spec = wrapper.record("hashedRekordV002")
        content, signed = spec.record("data"), spec.record("signature")
        verifier = signed.record("verifier")
        key = verifier.record("publicKey")
        content.constant("algorithm", _ALGORITHM)
        verifier.constant("keyDetails", _KEY_DETAILS)
        entry = cls(
            pae_digest=Digest(value=fixed_base64(content, "digest", 32)),
            signature=signed.base64("content", max_size=MAX_SIGNATURE_SIZE),
            public_key=key.base64("rawBytes", max_size=MAX_KEY_SIZE),
        )
        for record in (root, wrapper, spec, content, signed, verifier, key):
            record.done()
        return entry


def fixed_base64(record: Record, name: str, size: int) -> bytes:
    """A base64 field of exactly ``size`` bytes. Raises MalformedError."""
    return exactly(record.base64(name, max_size=size), size, f"{record.where}.{name}")


def base64_hash(value: object, where: str) -> bytes:
    """An item of a list of base64 hashes, 32 bytes. Raises MalformedError."""
    if not isinstance(value, str) or len(value) > 44:
        raise MalformedError(f"{where}: not a hash in base64")
    return exactly(decode_base64(value, where), 32, where)


def exactly(data: bytes, size: int, where: str) -> bytes:
    """``data`` if it has ``size`` bytes. Raises MalformedError."""
    if len(data) != size:
        raise MalformedError(f"{where}: {len(data)} bytes, not {size}")
    return data
