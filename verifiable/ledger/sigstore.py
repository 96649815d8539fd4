# SPDX-License-Identifier: Apache-2.0
"""Sigstore's formats: the bundle v0.3 with its transparency log entries, and the trusted root (docs/formats/settled.md).

A bundle is one signed statement with the proof that a log holds it. The receipt has one inside; key events and verdicts
are one. Read strictly: what a bundle says twice (index, size, root) must agree, and what we never write is not accepted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from verifiable.digest import Digest
from verifiable.encoding import json
from verifiable.encoding.dsse import pre_authentication_encoding
from verifiable.encoding.record import Record, encode_base64
from verifiable.errors import MalformedError, SignatureError
from verifiable.keys.public import MAX_SIGNATURE_SIZE, fingerprint, verify_signature
from verifiable.keys.signer import Signer
from verifiable.ledger.checkpoint import Checkpoint, SignedCheckpoint, parse_decimal
from verifiable.ledger.entry import KIND, VERSION, Entry, base64_hash, fixed_base64
from verifiable.ledger.entry import MAX_SIZE as MAX_BODY_SIZE
from verifiable.ledger.note import ED25519, MAX_NOTE, NoteKey

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
TRUSTED_ROOT_MEDIA_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_SIZE = 1 << 26
MAX_PAYLOAD_SIZE = 1 << 25
MAX_LOG_ENTRIES = 16
_MAX_HASHES = 63
_SPKI_ED25519 = bytes.fromhex("302a300506032b6570032100")


def log_id(key: NoteKey) -> bytes:
    """How a bundle names a log: the 32 bytes of which a note's key id is the first 4 (signed-note, "Signatures")."""
    return hashlib.sha256(key.name.encode() + b"\n" + bytes([key.type]) + key.public).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """A TransparencyLogEntry: where a log holds ``body``, by whose word. Nothing of it is verified.

    ``log_id``: 32 bytes; ``index``: the position; ``hashes``: the inclusion proof from the leaf's sibling up; ``checkpoint``:
    with its cosignatures; ``body``: the leaf. Raises MalformedError for a position outside the log.
    """

    log_id: bytes
    index: int
    hashes: tuple[bytes, ...]
    checkpoint: SignedCheckpoint
    body: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.tree.size:
            raise MalformedError(f"log entry: number {self.index} is not in a log of {self.tree.size}")

    @classmethod
    def of(cls, key: NoteKey, *, index: int, hashes: Iterable[bytes], checkpoint: bytes, body: bytes) -> LogEntry:
        """``body`` at ``index`` of the log with this key; ``checkpoint``: the note. Raises MalformedError."""
        signed = SignedCheckpoint.parse(checkpoint)
        return cls(log_id=log_id(key), index=index, hashes=tuple(hashes), checkpoint=signed, body=body)

    @property
    def tree(self) -> Checkpoint:
        """What the checkpoint says of the log: origin, size, root; unverified."""
        return self.checkpoint.checkpoint

    def to_json(self) -> dict[str, Any]:
        tree = self.tree
        return {
            "logIndex": str(self.index),
            "logId": {"keyId": encode_base64(self.log_id)},
            "kindVersion": {"kind": KIND, "version": VERSION},
            "inclusionProof": {
                "logIndex": str(self.index),
                "rootHash": encode_base64(tree.root),
                "treeSize": str(tree.size),
                "hashes": [encode_base64(value) for value in self.hashes],
                "checkpoint": {"envelope": self.checkpoint.encode().decode()},
            },
            "canonicalizedBody": encode_base64(self.body),
        }

    @classmethod
    def from_record(cls, record: Record) -> LogEntry:
        """Raises MalformedError."""
        log, kind, proof = record.record("logId"), record.record("kindVersion"), record.record("inclusionProof")
        kind.constant("kind", KIND)
        kind.constant("version", VERSION)
        envelope = proof.record("checkpoint")
        hashes = proof.items("hashes", maximum=_MAX_HASHES)
        entry = cls(
            log_id=fixed_base64(log, "keyId", 32),
            index=_number(record, "logIndex"),
            hashes=tuple(base64_hash(value, f"{proof.where}.hashes") for value in hashes),
            checkpoint=SignedCheckpoint.parse(envelope.text("envelope", max_length=MAX_NOTE).encode()),
            body=record.base64("canonicalizedBody", max_size=MAX_BODY_SIZE),
        )
        said = (_number(proof, "logIndex"), _number(proof, "treeSize"), fixed_base64(proof, "rootHash", 32))
        if said != (entry.index, entry.tree.size, entry.tree.root):
            raise MalformedError(f"{proof.where}: index, size or root are not those of the entry and its checkpoint")
        for each in (record, log, kind, proof, envelope):
            each.done()
        return entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A DSSE envelope with one signature, a hint to its key, and the log entries. ``payload``: the statement's bytes.

    Nothing of it is verified: :meth:`verify` does the signature, ``verifiable.verify`` the entries.
    """

    payload: bytes
    signature: bytes
    keyid: Digest
    key_hint: Digest
    log_entries: tuple[LogEntry, ...] = ()

    @classmethod
    def sign(cls, payload: bytes, signer: Signer) -> Bundle:
        """A statement that no log holds yet. Raises what :meth:`Signer.sign` raises."""
        signature = signer.sign(pre_authentication_encoding(PAYLOAD_TYPE, payload))
        return cls(payload=payload, signature=signature, keyid=signer.fingerprint, key_hint=signer.fingerprint)

    @property
    def signed_bytes(self) -> bytes:
        """What the signature is over: the DSSE pre-authentication encoding of the payload."""
        return pre_authentication_encoding(PAYLOAD_TYPE, self.payload)

    def entry(self, public_key: bytes) -> Entry:
        """The leaf that a log holds of this statement when it is by this key."""
        return Entry.of(Digest.of(self.signed_bytes), self.signature, public_key)

    def verify(self, public_key: bytes) -> None:
        """Return when it is signed with this key and names it. Raises SignatureError."""
        own = fingerprint(public_key)
        if self.keyid != own or self.key_hint != own:
            raise SignatureError(f"the envelope names another key than {own}")
        verify_signature(public_key, self.signed_bytes, self.signature)

    def to_json(self) -> dict[str, Any]:
        return {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {
                "publicKey": {"hint": self.key_hint.hex},
                "tlogEntries": [entry.to_json() for entry in self.log_entries],
            },
            "dsseEnvelope": {
                "payload": encode_base64(self.payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": encode_base64(self.signature), "keyid": self.keyid.hex}],
            },
        }

    def encode(self) -> bytes:
        """The file: canonical JSON; ``Bundle.parse(b.encode()) == b``."""
        return json.canonical(self.to_json())

    @classmethod
    def parse(cls, data: bytes) -> Bundle:
        """Raises MalformedError."""
        return cls.from_record(Record(json.parse_canonical(data, what="bundle", max_size=MAX_SIZE), "bundle"))

    @classmethod
    def from_record(cls, record: Record) -> Bundle:
        """Raises MalformedError."""
        record.constant("mediaType", MEDIA_TYPE)
        envelope, material = record.record("dsseEnvelope"), record.record("verificationMaterial")
        key = material.record("publicKey")
        envelope.constant("payloadType", PAYLOAD_TYPE)
        signatures = envelope.records("signatures", maximum=1)
        if not signatures:
            raise MalformedError(f"{envelope.where}.signatures: exactly one is wanted")
        bundle = cls(
            payload=envelope.base64("payload", max_size=MAX_PAYLOAD_SIZE),
            signature=signatures[0].base64("sig", max_size=MAX_SIGNATURE_SIZE),
            keyid=signatures[0].digest("keyid"),
            key_hint=key.digest("hint"),
            log_entries=_entries(material),
        )
        for each in (signatures[0], envelope, key, material, record):
            each.done()
        return bundle


def trusted_root(keys: Iterable[NoteKey]) -> bytes:
    """A Sigstore ``trusted_root.json`` of these logs and of nothing else: no certificate authority, no timestamps.

    Canonical JSON. Raises MalformedError for a key that is not a log's plain Ed25519 key.
    """
    logs = []
    for key in keys:
        if key.type != ED25519:
            raise MalformedError(f"trusted root: {key.name}: not an Ed25519 key of a log")
        names = {"keyId": encode_base64(log_id(key))}
        public_key = {
            "rawBytes": encode_base64(_SPKI_ED25519 + key.public),
            "keyDetails": "PKIX_ED25519",
            "validFor": {"start": "1970-01-01T00:00:00Z"},
        }
        logs.append(
            {"baseUrl": key.name, "hashAlgorithm": "SHA2_256", "publicKey": public_key, "logId": names, "checkpointKeyId": names}
        )
    empty: dict[str, Any] = {"certificateAuthorities": [], "ctlogs": [], "timestampAuthorities": []}
    return json.canonical({"mediaType": TRUSTED_ROOT_MEDIA_TYPE, "tlogs": logs, **empty})


def _entries(material: Record) -> tuple[LogEntry, ...]:
    entries = tuple(LogEntry.from_record(r) for r in material.records("tlogEntries", maximum=MAX_LOG_ENTRIES))
    if len({entry.log_id for entry in entries}) != len(entries):
        raise MalformedError(f"{material.where}.tlogEntries: two entries of one log")
    return entries


def _number(record: Record, name: str) -> int:
    """A non-negative 64-bit integer as protobuf's JSON writes it: a decimal string."""
    return parse_decimal(record.text(name, max_length=20), f"{record.where}.{name}")
