# SPDX-License-Identifier: Apache-2.0
"""The receipt: one file with a signed claim, its evidence, and what a verifier needs of the circuit (docs/formats/receipt.md).

Parsing establishes the shape and nothing else; :mod:`verifiable.verify` judges. The file is canonical JSON, so any changed
byte is either a parse error or a change of meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verifiable.claim import MAX_EVIDENCE, Claim, EvidenceDescriptor
from verifiable.digest import Digest
from verifiable.encoding import json
from verifiable.encoding.record import Record, encode_base64
from verifiable.errors import BindingError, MalformedError
from verifiable.keys.signer import Signer
from verifiable.ledger.entry import Entry
from verifiable.ledger.sigstore import Bundle, LogEntry
from verifiable.tee.attesting import Attached
from verifiable.tee.document import MEDIA_TYPE as ATTESTATION_TYPE
from verifiable.zk import circuit as _circuit
from verifiable.zk.circuit import Circuit, VerifierCircuit

MEDIA_TYPE = "application/vnd.verifiable.receipt.v1+json"
EVIDENCE_KINDS = ("zk", "tee", "collateral", "rerun")
COLLATERAL_TYPE = "application/octet-stream"
MAX_SIZE = 1 << 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One piece of evidence: its descriptor, and its bytes unless they are only in a blob store."""

    descriptor: EvidenceDescriptor
    data: bytes | None = None

    @classmethod
    def zk(cls, proof: bytes, media_type: str) -> Evidence:
        return cls(descriptor=EvidenceDescriptor.of(proof, kind="zk", media_type=media_type), data=proof)

    @classmethod
    def attested(cls, attached: Attached) -> tuple[Evidence, ...]:
        """An attestation, and the collateral that it names."""
        document = attached.attestation.encode()
        described = EvidenceDescriptor.of(document, kind="tee", media_type=ATTESTATION_TYPE)
        return (cls(descriptor=described, data=document), *(cls._collateral(data) for data in attached.collateral))

    @classmethod
    def _collateral(cls, data: bytes) -> Evidence:
        return cls(descriptor=EvidenceDescriptor.of(data, kind="collateral", media_type=COLLATERAL_TYPE), data=data)

    @classmethod
    def rerun(cls, circuit: Circuit) -> Evidence:
        """The offer to run the circuit's program again: it names the program and has no bytes."""
        program = circuit.program
        return cls(
            descriptor=EvidenceDescriptor(
                kind="rerun", media_type=program.media_type, digest=program.digest, size=program.size
            )
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        document = self.descriptor.to_json()
        if self.data is not None:
            document["data"] = encode_base64(self.data)
        return document

    @classmethod
    def from_record(cls, record: Record) -> Evidence:
        descriptor = EvidenceDescriptor.take(record)
        data = record.base64("data", max_size=MAX_SIZE) if record.has("data") else None
        record.done()
        if descriptor.kind not in EVIDENCE_KINDS:
            raise MalformedError(f"{record.where}.kind: {descriptor.kind!r} is none of {', '.join(EVIDENCE_KINDS)}")
        return cls(descriptor=descriptor, data=data)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedCircuit:
    """A verifier's part of a circuit as it travels: bytes that nobody has checked yet."""

    circuit: bytes
    parts: Mapping[str, bytes]

    @classmethod
    def of(cls, circuit: VerifierCircuit) -> EmbeddedCircuit:
        return cls(circuit=circuit.circuit.encode(), parts=dict(circuit.parts))

    @property
    def id(self) -> Digest:
        return Digest.of(self.circuit)

    def open(self) -> VerifierCircuit:
        """Parse it and check every part by digest. Raises MalformedError, BindingError."""
        return VerifierCircuit(circuit=Circuit.parse(self.circuit), parts=self.parts)

    def to_json(self) -> dict[str, Any]:
        return {
            "circuit": encode_base64(self.circuit),
            "parts": {role: encode_base64(data) for role, data in self.parts.items()},
        }

    @classmethod
    def from_record(cls, record: Record) -> EmbeddedCircuit:
        circuit, parts = record.base64("circuit", max_size=_circuit.MAX_SIZE), record.record("parts")
        record.done()
        return cls(circuit=circuit, parts={role: parts.base64(role, max_size=_circuit.MAX_PART_SIZE) for role in parts.names()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The parsed file, unverified. ``keyid`` and ``key_hint`` are what the envelope and the bundle say of the signing key.

    ``log_entries``: the bundle's ``tlogEntries``, at most one of each log; empty until the receipt is settled in a ledger.
    """

    claim: Claim
    signature: bytes
    keyid: Digest
    key_hint: Digest
    evidence: tuple[Evidence, ...]
    circuit: EmbeddedCircuit | None = None
    log_entries: tuple[LogEntry, ...] = ()

    @property
    def bundle(self) -> Bundle:
        """The Sigstore bundle inside: the envelope and where logs hold it."""
        return Bundle(
            payload=self.claim.encode(), signature=self.signature, keyid=self.keyid, key_hint=self.key_hint,
            log_entries=self.log_entries,
        )  # fmt: skip

    @property
    def signed_bytes(self) -> bytes:
        """What the signature is over: the DSSE pre-authentication encoding of the claim."""
        return self.bundle.signed_bytes

    @property
    def entry(self) -> Entry:
        """The leaf that a log holds of this receipt."""
        return self.bundle.entry(self.claim.public_key)

    def encode(self) -> bytes:
        """Canonical JSON; ``Receipt.parse(r.encode()) == r``. Raises MalformedError when it would be too large to read back."""
        document: dict[str, Any] = {
            "mediaType": MEDIA_TYPE,
            "bundle": self.bundle.to_json(),
            "evidence": [evidence.to_json() for evidence in self.evidence],
        }
        if self.circuit is not None:
            document["circuit"] = self.circuit.to_json()
        data = json.canonical(document)
        if len(data) > MAX_SIZE:
            raise MalformedError(
                f"receipt: {len(data):,} bytes is more than the {MAX_SIZE:,} allowed", hint="leave the circuit out"
            )
        return data

    @classmethod
    def parse(cls, data: bytes) -> Receipt:
        """Raises MalformedError, and BindingError where the claim contradicts itself (see :meth:`Claim.parse`)."""
        root = Record(json.parse_canonical(data, what="receipt", max_size=MAX_SIZE), "receipt")
        root.constant("mediaType", MEDIA_TYPE)
        bundle = Bundle.from_record(root.record("bundle"))
        claim = Claim.parse(bundle.payload)
        evidence = tuple(Evidence.from_record(r) for r in root.records("evidence", maximum=MAX_EVIDENCE))
        circuit = EmbeddedCircuit.from_record(root.record("circuit")) if root.has("circuit") else None
        root.done()
        return cls(
            claim=claim, signature=bundle.signature, keyid=bundle.keyid, key_hint=bundle.key_hint, evidence=evidence,
            circuit=circuit, log_entries=bundle.log_entries,
        )  # fmt: skip


def read_statement(data: bytes) -> Receipt | Bundle:
    """A receipt, or the bundle of another statement; nothing is verified. Raises MalformedError, BindingError."""
    # Both are canonical, so the first key tells them apart.
    return Bundle.parse(data) if data.startswith(b'{"dsseEnvelope":') else Receipt.parse(data)


def bundle_of(statement: Receipt | Bundle) -> Bundle:
    """The envelope of either."""
    return statement.bundle if isinstance(statement, Receipt) else statement


def make_receipt(claim: Claim, evidence: Sequence[Evidence], signer: Signer, circuit: VerifierCircuit | None) -> Receipt:
    """Sign ``claim`` and put it together with ``evidence`` and, unless None, the verifier's part of ``circuit``.

    Raises BindingError when they do not belong together, and what :meth:`Signer.sign` raises.
    """
    if claim.public_key != signer.public_key:
        raise BindingError("receipt: the claim names another key than the one that is to sign it")
    if claim.evidence != tuple(e.descriptor for e in evidence):
        raise BindingError("receipt: the evidence is not what the claim describes")
    if circuit is not None and circuit.circuit.id != claim.circuit:
        raise BindingError("receipt: the claim is about another circuit")
    bundle = Bundle.sign(claim.encode(), signer)
    return Receipt(
        claim=claim,
        signature=bundle.signature,
        keyid=bundle.keyid,
        key_hint=bundle.key_hint,
        evidence=tuple(evidence),
        circuit=EmbeddedCircuit.of(circuit) if circuit is not None else None,
    )
