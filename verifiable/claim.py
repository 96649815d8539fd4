# SPDX-License-Identifier: Apache-2.0
"""The claim: which circuit, on which inputs, gave which outputs, when, and who says so (docs/formats/receipt.md).

It is the predicate of an in-toto Statement v1 whose subject follows from it. A tensor is public (its digest, and its contents
when they are small), hashed (a commitment, never a plain digest beside it: that would be a second, weaker
commitment) or private (its type alone). Unverified: everything here is what somebody says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from verifiable.digest import Digest
from verifiable.encoding import json
from verifiable.encoding.record import Record, encode_base64, format_time
from verifiable.encoding.tensor import DTYPES, Tensor
from verifiable.errors import BindingError, MalformedError
from verifiable.zk.circuit import Circuit, TensorSpec
from verifiable.zk.system import Bound, Public

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:verifiable:inference:v1"
MAX_SIZE = 1 << 25
MAX_VALUE_SIZE = 1 << 16
MAX_TENSORS = 256
#: Eight GPUs, each with its certificates, and what they share with the processor beside them come to some thirty.
MAX_EVIDENCE = 64
MAX_SOURCES = 256
MAX_NONCE_SIZE = 64
#: What hardware says of a claim, and what that is judged with: they come after the claim that they are about.
ATTESTATION_KINDS = ("tee", "collateral")
_COMMITMENT_SIZE = 32
_KEY_SIZE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedTensor:
    """One input or output as claimed. ``scale`` is there for outputs alone: their dtype is int64, value = integer x scale.

    Public: ``digest``, and ``value`` exactly when its contents are at most 64 KiB. Hashed: ``commitment``. Private: none of them.
    Raises MalformedError for another combination, BindingError for a value that is not the digest's.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | None = None
    digest: Digest | None = None
    value: Tensor | None = None
    commitment: bytes | None = None

    def __post_init__(self) -> None:
        if self.digest is not None and self.commitment is not None:
            raise MalformedError(f"claim: {self.name!r} has a digest beside its commitment, which would give the value away")
        small = _contents_size(self.dtype, self.shape) <= MAX_VALUE_SIZE
        if (self.value is not None) != (self.digest is not None and small):
            raise MalformedError(f"claim: {self.name!r} must carry its value when it is public and at most 64 KiB, and only then")
        if self.value is not None and (self.value.dtype, self.value.shape) != (self.dtype, self.shape):
            raise MalformedError(f"claim: the value of {self.name!r} is of another type than it says")
        if self.value is not None and self.value.digest != self.digest:
            raise BindingError(f"claim: the value of {self.name!r} does not have the digest beside it")

    @classmethod
    def public(cls, name: str, value: Tensor, *, scale: float | None = None) -> ClaimedTensor:
        """With its digest, and with its contents when they are small enough."""
        kept = value if len(value.data) <= MAX_VALUE_SIZE else None
        return cls(name=name, dtype=value.dtype, shape=value.shape, scale=scale, digest=value.digest, value=kept)

    @property
    def visibility(self) -> str:
        """``public``, ``hashed`` or ``private``, by what is there."""
        if self.digest is not None:
            return "public"
        return "private" if self.commitment is None else "hashed"

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}
        if self.scale is not None:
            document["scale"] = self.scale
        if self.digest is not None:
            document["sha256"] = self.digest.hex
        if self.value is not None:
            document["value"] = encode_base64(self.value.data)
        if self.commitment is not None:
            document["commitment"] = self.commitment.hex()
        return document

    @classmethod
    def from_record(cls, record: Record, *, output: bool) -> ClaimedTensor:
        name, shape = record.text("name", max_length=256), record.shape("shape")
        dtype = record.choice("dtype", ("int64",) if output else tuple(DTYPES))
        scale = record.number("scale") if output else None
        data = record.base64("value", max_size=MAX_VALUE_SIZE) if record.has("value") else None
        commitment = record.hex("commitment", max_size=_COMMITMENT_SIZE) if record.has("commitment") else None
        digest = record.digest("sha256") if record.has("sha256") else None
        record.done()
        if (scale is not None and scale <= 0) or (commitment is not None and len(commitment) != _COMMITMENT_SIZE):
            raise MalformedError(f"{record.where}: the scale must be positive and a commitment {_COMMITMENT_SIZE} bytes")
        value = Tensor(dtype=dtype, shape=shape, data=data) if data is not None else None
        return cls(name=name, dtype=dtype, shape=shape, scale=scale, digest=digest, value=value, commitment=commitment)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceDescriptor:
    """A piece of evidence by digest: ``kind`` is ``zk``, ``tee``, ``collateral`` (what a ``tee`` is judged with) or ``rerun``."""

    kind: str
    media_type: str
    digest: Digest
    size: int

    @classmethod
    def of(cls, data: bytes, *, kind: str, media_type: str) -> EvidenceDescriptor:
        return cls(kind=kind, media_type=media_type, digest=Digest.of(data), size=len(data))

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "mediaType": self.media_type, "sha256": self.digest.hex, "size": self.size}

    @classmethod
    def take(cls, record: Record) -> EvidenceDescriptor:
        """Its fields out of ``record``, which may hold more."""
        return cls(
            kind=record.text("kind", max_length=32), media_type=record.text("mediaType", max_length=128),
            digest=record.digest("sha256"), size=record.integer("size"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The parsed predicate. ``circuit`` is the circuit id, ``public_key`` the signing node's DER SubjectPublicKeyInfo.

    ``started_on`` and ``finished_on`` are aware UTC datetimes by the node's own clock.
    """

    model: Digest
    circuit: Digest
    inputs: tuple[ClaimedTensor, ...]
    outputs: tuple[ClaimedTensor, ...]
    evidence: tuple[EvidenceDescriptor, ...]
    public_key: bytes
    started_on: datetime
    finished_on: datetime
    sources: tuple[Digest, ...] = ()
    nonce: bytes | None = None
    request_id: str | None = None
    node_name: str | None = None

    @classmethod
    def build(
        cls,
        *,
        circuit: Circuit,
        inputs: Mapping[str, Tensor],
        public: Public,
        evidence: Sequence[EvidenceDescriptor],
        public_key: bytes,
        started_on: datetime,
        finished_on: datetime,
        nonce: bytes | None = None,
        request_id: str | None = None,
        node_name: str | None = None,
        sources: tuple[Digest, ...] = (),
    ) -> Claim:
        """The claim of one run. ``inputs``: the given tensors in the model's own dtypes, by name; values that the circuit hides
        are not taken up. ``public``: the instance, its outputs included. Raises BindingError when one lacks a tensor.
        """
        try:
            given = [(spec, inputs[spec.name]) for spec in circuit.inputs]
        except KeyError as error:
            raise BindingError(f"claim: input {error.args[0]!r} is missing") from error
        return cls(
            model=circuit.model,
            circuit=circuit.id,
            inputs=tuple(
                _claimed(spec, circuit.visibility.inputs, b, tensor, None)
                for (spec, tensor), b in zip(given, public.inputs, strict=True)
            ),
            outputs=tuple(
                _claimed(spec, circuit.visibility.outputs, b, b.integers, spec.scale)
                for spec, b in zip(circuit.outputs, public.outputs, strict=True)
            ),
            evidence=tuple(evidence),
            public_key=public_key,
            started_on=started_on,
            finished_on=finished_on,
            sources=sources,
            nonce=nonce,
            request_id=request_id,
            node_name=node_name,
        )

    @property
    def subject(self) -> list[dict[str, Any]]:
        """What the statement is about: one entry per output that shows something, else the circuit."""
        entries: list[dict[str, Any]] = []
        for output in self.outputs:
            if output.digest is not None:
                entries.append({"name": output.name, "digest": {"sha256": output.digest.hex}})
            elif output.commitment is not None:
                entries.append({"name": output.name, "digest": {"poseidonBn254": output.commitment.hex()}})
        if len(entries) < len(self.outputs):
            entries.append({"name": "circuit", "digest": {"sha256": self.circuit.hex}})
        return entries

    @property
    def attested_digest(self) -> Digest:
        """What hardware signs of the claim: SHA-256 of its statement without the evidence of hardware, which is only made
        then.
        """
        kept = tuple(each for each in self.evidence if each.kind not in ATTESTATION_KINDS)
        return Digest.of(replace(self, evidence=kept).encode())

    def encode(self) -> bytes:
        """The in-toto Statement v1 in canonical JSON; ``Claim.parse(c.encode()) == c``."""
        node: dict[str, Any] = {"publicKey": encode_base64(self.public_key)}
        if self.node_name is not None:
            node["name"] = self.node_name
        predicate: dict[str, Any] = {
            "model": {"sha256": self.model.hex},
            "circuit": {"sha256": self.circuit.hex},
            "inputs": [tensor.to_json() for tensor in self.inputs],
            "outputs": [tensor.to_json() for tensor in self.outputs],
            "evidence": [descriptor.to_json() for descriptor in self.evidence],
            "sources": [digest.hex for digest in self.sources],
            "node": node,
            "startedOn": format_time(self.started_on),
            "finishedOn": format_time(self.finished_on),
        }
        if self.nonce is not None:
            predicate["nonce"] = self.nonce.hex()
        if self.request_id is not None:
            predicate["requestId"] = self.request_id
        return json.canonical(
            {"_type": STATEMENT_TYPE, "subject": self.subject, "predicateType": PREDICATE_TYPE, "predicate": predicate}
        )

    @classmethod
    def parse(cls, data: bytes) -> Claim:
        """Read a statement. Raises MalformedError; BindingError when subject or values are not what the predicate implies."""
        root = Record(json.parse_canonical(data, what="claim", max_size=MAX_SIZE), "statement")
        root.constant("_type", STATEMENT_TYPE)
        root.constant("predicateType", PREDICATE_TYPE)
        subject = root.take("subject")
        claim = _from_predicate(root.record("predicate"))
        root.done()
        if subject != claim.subject:
            raise BindingError("claim: the statement's subject is not what its predicate says of the outputs")
        if claim.encode() != data:  # e.g. 1.0 and 1, which RFC 8785 writes alike but a parser could read apart
            raise MalformedError("claim: not in canonical form")
        return claim


def _from_predicate(record: Record) -> Claim:
    model, circuit, node = record.record("model"), record.record("circuit"), record.record("node")
    descriptors = record.records("evidence", maximum=MAX_EVIDENCE)
    claim = Claim(
        model=model.digest("sha256"),
        circuit=circuit.digest("sha256"),
        inputs=tuple(ClaimedTensor.from_record(r, output=False) for r in record.records("inputs", maximum=MAX_TENSORS)),
        outputs=tuple(ClaimedTensor.from_record(r, output=True) for r in record.records("outputs", maximum=MAX_TENSORS)),
        evidence=tuple(EvidenceDescriptor.take(r) for r in descriptors),
        public_key=node.base64("publicKey", max_size=_KEY_SIZE),
        node_name=node.text("name", max_length=256) if node.has("name") else None,
        started_on=record.time("startedOn"),
        finished_on=record.time("finishedOn"),
        sources=tuple(_digest(v, record.where) for v in record.items("sources", maximum=MAX_SOURCES)),
        nonce=_nonce(record) if record.has("nonce") else None,
        request_id=record.text("requestId", max_length=256) if record.has("requestId") else None,
    )
    for each in (record, model, circuit, node, *descriptors):
        each.done()
    return claim


def _nonce(record: Record) -> bytes:
    nonce = record.hex("nonce", max_size=MAX_NONCE_SIZE)
    if not nonce:
        raise MalformedError(f"{record.where}.nonce: empty")
    return nonce


def _digest(value: Any, where: str) -> Digest:
    if not isinstance(value, str) or value.startswith("sha256:"):
        raise MalformedError(f"{where}.sources: not 64 hex digits")
    return Digest.parse(value)


def _claimed(spec: TensorSpec, visibility: str, bound: Bound, value: Tensor | None, scale: float | None) -> ClaimedTensor:
    if bound.name != spec.name:
        raise BindingError(f"claim: {bound.name!r} stands where the circuit has {spec.name!r}")
    if visibility == "public":
        if value is None:
            raise BindingError(f"claim: {spec.name!r} is public and its value is missing")
        return ClaimedTensor.public(spec.name, value, scale=scale)
    commitment = bound.commitment if visibility == "hashed" else None
    if visibility == "hashed" and commitment is None:
        raise BindingError(f"claim: {spec.name!r} is hashed and its commitment is missing")
    dtype = spec.dtype if scale is None else "int64"
    return ClaimedTensor(name=spec.name, dtype=dtype, shape=spec.shape, scale=scale, commitment=commitment)


def _contents_size(dtype: str, shape: tuple[int, ...]) -> int:
    size = DTYPES[dtype]
    for dimension in shape:
        size *= dimension
    return size
