# SPDX-License-Identifier: Apache-2.0
"""An attestation: a vendor's evidence with what a verifier must know beside it (docs/formats/attestation.md). What a receipt
carries.

Canonical JSON. Nothing in it is believed: the scope and the nonce are compared with what the hardware signed, the collateral is
found by its digests, and ``verified_at`` only says at which time to judge; how far that may be from the receipt's is the
reference's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from verifiable.digest import Digest
from verifiable.encoding import json
from verifiable.encoding.record import Record, encode_base64, format_time
from verifiable.errors import BindingError, MalformedError, TrustError
from verifiable.tee import binding, registry
from verifiable.tee.evidence import KINDS, MAX_COLLATERAL, Evidence
from verifiable.tee.evidence import MAX_SIZE as MAX_EVIDENCE_SIZE

MEDIA_TYPE = "application/vnd.verifiable.attestation.v1+json"
MAX_SIZE = 1 << 21


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """``evidence``: the vendor's bytes. ``collateral``: digests of what it is judged with, in order. ``scope``, ``nonce``: what
    it was bound to (:mod:`.binding`). ``verified_at``: when whoever made it had verified it, aware.
    """

    kind: str
    evidence: bytes
    scope: str
    verified_at: datetime
    nonce: bytes = b""
    collateral: tuple[Digest, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.collateral)) != len(self.collateral):
            raise MalformedError("attestation: the same collateral is named twice")

    def encode(self) -> bytes:
        """``Attestation.parse(a.encode()) == a``."""
        document: dict[str, Any] = {
            "mediaType": MEDIA_TYPE,
            "kind": self.kind,
            "evidence": encode_base64(self.evidence),
            "scope": self.scope,
            "verifiedAt": format_time(self.verified_at),
            "collateral": [digest.hex for digest in self.collateral],
        }
        if self.nonce:
            document["nonce"] = self.nonce.hex()
        return json.canonical(document)

    @classmethod
    def parse(cls, data: bytes) -> Attestation:
        """Raises MalformedError."""
        record = Record(json.parse_canonical(data, what="attestation", max_size=MAX_SIZE), "attestation")
        record.constant("mediaType", MEDIA_TYPE)
        attestation = cls(
            kind=record.choice("kind", KINDS),
            evidence=record.base64("evidence", max_size=MAX_EVIDENCE_SIZE),
            scope=record.choice("scope", binding.SCOPES),
            verified_at=record.time("verifiedAt"),
            collateral=tuple(_digest(v) for v in record.items("collateral", maximum=MAX_COLLATERAL)),
            nonce=record.hex("nonce", max_size=binding.MAX_NONCE_SIZE) if record.has("nonce") else b"",
        )
        record.done()
        if attestation.encode() != data:  # an empty nonce, which has another spelling: none
            raise MalformedError("attestation: not in canonical form")
        return attestation

    def open(self, *, key: Digest, claim: Digest | None) -> Evidence:
        """The parsed evidence, which was made for this key, the nonce stated, and with scope ``receipt`` this claim.

        ``key``: the receipt key's fingerprint; ``claim``: its digest, None outside a receipt. Raises MalformedError,
        BindingError.
        """
        evidence = registry.parse(self.kind, self.evidence)
        if self.scope == "receipt" and claim is None:
            raise BindingError("the attestation is bound to a receipt, and none is at hand")
        expected = binding.report_data(key=key, nonce=self.nonce, claim=claim if self.scope == "receipt" else None)
        binding.check_binding(self.kind, evidence.report_data, expected)
        return evidence

    def find_collateral(self, blobs: Mapping[Digest, bytes]) -> tuple[bytes, ...]:
        """The collateral named, out of ``blobs`` by digest. Raises TrustError where one is missing."""
        missing = next((digest for digest in self.collateral if digest not in blobs), None)
        if missing is not None:
            raise TrustError(
                f"{self.kind} evidence: its collateral {missing} is not here", hint="give the file: --collateral FILE"
            )
        return tuple(blobs[digest] for digest in self.collateral)


def is_attestation(data: bytes) -> bool:
    """Whether ``data`` begins like one; evidence as vendors' tools write it does not."""
    return data.startswith(b'{"collateral":')


def _digest(value: object) -> Digest:
    if not isinstance(value, str) or value.startswith("sha256:"):
        raise MalformedError("attestation.collateral: digests of 64 hex digits are wanted")
    return Digest.parse(value)


__all__ = ["MAX_SIZE", "MEDIA_TYPE", "Attestation", "is_attestation"]
