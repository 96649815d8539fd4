# SPDX-License-Identifier: Apache-2.0
"""The circuit: everything that fixes one provable statement form (docs/formats/circuit.md).

Its id is the SHA-256 of the canonical ``circuit.json``, which names every part by digest. Whoever pins the id has pinned
the model, the program that is proved, the proof system with its version, the visibility of every value, the
verifying key, the setup it rests on, and how far the program is from the float model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from verifiable.digest import Digest
from verifiable.encoding import json
from verifiable.encoding.record import Record
from verifiable.encoding.tensor import DTYPES
from verifiable.errors import BindingError, MalformedError

MEDIA_TYPE = "application/vnd.verifiable.circuit.v1+json"
MAX_SIZE = 1 << 20
MAX_PART_SIZE = 1 << 26
VALUE_VISIBILITIES = ("public", "hashed", "private")
#: What may be done to an output's values after the proof.
POSTS = ("argmax", "softmax", "logsoftmax")
WEIGHT_VISIBILITIES = ("committed", "fixed", "hashed", "private")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """Who sees what: ``public``, in the claim; ``hashed``, a commitment in the claim; ``private``, not bound at all.

    Weights: ``fixed`` in the verifying key, ``committed`` by digest, ``hashed`` as a public commitment, ``private`` not bound.
    """

    inputs: str = "public"
    outputs: str = "public"
    weights: str = "fixed"

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("inputs", self.inputs, VALUE_VISIBILITIES),
            ("outputs", self.outputs, VALUE_VISIBILITIES),
            ("weights", self.weights, WEIGHT_VISIBILITIES),
        ):
            if value not in allowed:
                raise MalformedError(f"visibility of {name}: {value[:40]!r} is none of {', '.join(allowed)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What makes the model's output of an output's values, outside of the proof: ``kind`` along ``axis`` gives ``shape``."""

    kind: str
    axis: int
    shape: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "axis": self.axis, "shape": list(self.shape)}

    @classmethod
    def from_record(cls, record: Record, source: tuple[int, ...]) -> Post:
        """``source``: the shape before. Raises MalformedError unless ``kind`` along ``axis`` of it gives ``shape``."""
        post = cls(kind=record.choice("kind", POSTS), axis=record.integer("axis", maximum=8), shape=record.shape("shape"))
        record.done()
        kept, gone = (*source[: post.axis], 1, *source[post.axis + 1 :]), (*source[: post.axis], *source[post.axis + 1 :])
        if post.axis >= len(source) or post.shape not in ((kept, gone) if post.kind == "argmax" else (source,)):
            raise MalformedError(f"{record.where}: {post.kind} along axis {post.axis} of {list(source)} gives another shape")
        return post


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorType:
    """What a model calls one of its tensors, and what it holds."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output: ``integer = round_half_away(value / scale)``, admissible within [low, high].

    ``dtype`` is the model's own for inputs and outputs alike; ``scale`` is a positive double; the integers are int64 of shape
    ``shape``. The range is what the program was calibrated and sized for: outside it the proof would not exist. ``post``, of
    outputs alone: what is computed of the values after the proof, when the model ends in it.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float
    low: int
    high: int
    post: Post | None = None

    @property
    def type(self) -> TensorType:
        """What of it is the model's, without the circuit's scaling."""
        return TensorType(name=self.name, dtype=self.dtype, shape=self.shape if self.post is None else self.post.shape)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "dtype": self.dtype, "shape": list(self.shape), "scale": self.scale,
            "low": str(self.low), "high": str(self.high), **({} if self.post is None else {"post": self.post.to_json()}),
        }  # fmt: skip

    @classmethod
    def from_record(cls, record: Record, *, output: bool = False) -> TensorSpec:
        shape = record.shape("shape")
        spec = cls(
            name=record.text("name", max_length=256),
            dtype=record.choice("dtype", tuple(DTYPES)),
            shape=shape,
            scale=record.number("scale"),
            low=_int64(record, "low"),
            high=_int64(record, "high"),
            post=Post.from_record(record.record("post"), shape) if output and record.has("post") else None,
        )
        record.done()
        if spec.scale <= 0 or spec.low > spec.high:
            raise MalformedError(f"{record.where}: scale must be positive and low <= high")
        return spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A file that the circuit is made of, by digest."""

    media_type: str
    digest: Digest
    size: int

    @classmethod
    def of(cls, data: bytes, media_type: str) -> Part:
        return cls(media_type=media_type, digest=Digest.of(data), size=len(data))

    def check(self, data: bytes, role: str) -> bytes:
        """``data`` if it is this part. Raises BindingError."""
        if len(data) != self.size or Digest.of(data) != self.digest:
            raise BindingError(f"circuit part {role!r} is not the one that circuit.json names ({self.digest})")
        return data

    def to_json(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "sha256": self.digest.hex, "size": self.size}

    @classmethod
    def from_record(cls, record: Record) -> Part:
        part = cls(
            media_type=record.text("mediaType", max_length=128), digest=record.digest("sha256"), size=record.integer("size")
        )
        record.done()
        return part


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The structured reference string that a circuit rests on; absent for transparent systems.

    ``digest`` is the SHA-256 of the whole file, ``fingerprint`` that of its first powers (which fix the secret),
    ``ceremony`` one of the known ceremonies,
    ``unknown``, or ``dev-insecure``: made on one machine, whose owner can forge proofs.
    """

    ceremony: str
    digest: Digest
    fingerprint: Digest
    logrows: int

    @property
    def insecure(self) -> bool:
        return self.ceremony == "dev-insecure"

    def to_json(self) -> dict[str, Any]:
        return {
            "ceremony": self.ceremony, "sha256": self.digest.hex, "fingerprint": self.fingerprint.hex, "logrows": self.logrows,
        }  # fmt: skip

    @classmethod
    def from_record(cls, record: Record) -> Setup:
        setup = cls(
            ceremony=record.text("ceremony", max_length=64),
            digest=record.digest("sha256"),
            fingerprint=record.digest("fingerprint"),
            logrows=record.integer("logrows", maximum=30),
        )
        record.done()
        return setup


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """The parsed ``circuit.json``.

    ``model``: the ONNX file's digest. ``program``: what is actually proved. ``parts``: what a verifier needs, by role.
    ``fidelity``: the report's part, also in ``parts``. ``proving_key``: its digest where the system has one (never shipped).
    """

    model: Digest
    program: Part
    system: str
    system_version: str
    visibility: Visibility
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parts: Mapping[str, Part]
    setup: Setup | None = None
    proving_key: Part | None = None

    def __post_init__(self) -> None:
        for kind, specs in (("input", self.inputs), ("output", self.outputs)):
            if len({spec.name for spec in specs}) != len(specs) or not specs:
                raise MalformedError(f"circuit: {kind} names must be present and distinct")

    @property
    def id(self) -> Digest:
        """SHA-256 of the canonical ``circuit.json``."""
        return Digest.of(self.encode())

    def encode(self) -> bytes:
        """Canonical JSON; ``Circuit.parse(c.encode()) == c``."""
        document: dict[str, Any] = {
            "mediaType": MEDIA_TYPE,
            "model": {"sha256": self.model.hex},
            "program": self.program.to_json(),
            "system": {"id": self.system, "version": self.system_version},
            "visibility": {
                "inputs": self.visibility.inputs, "outputs": self.visibility.outputs, "weights": self.visibility.weights,
            },
            "inputs": [spec.to_json() for spec in self.inputs],
            "outputs": [spec.to_json() for spec in self.outputs],
            "parts": {role: part.to_json() for role, part in self.parts.items()},
        }  # fmt: skip
        if self.setup is not None:
            document["setup"] = self.setup.to_json()
        if self.proving_key is not None:
            document["provingKey"] = self.proving_key.to_json()
        return json.canonical(document)

    @classmethod
    def parse(cls, data: bytes) -> Circuit:
        """Raises MalformedError for anything that :meth:`encode` would not have written."""
        root = Record(json.parse_canonical(data, what="circuit.json", max_size=MAX_SIZE), "circuit")
        root.constant("mediaType", MEDIA_TYPE)
        model, system, visibility, parts = (root.record(name) for name in ("model", "system", "visibility", "parts"))
        circuit = cls(
            model=model.digest("sha256"),
            program=Part.from_record(root.record("program")),
            system=system.text("id", max_length=32),
            system_version=system.text("version", max_length=64),
            visibility=Visibility(
                inputs=visibility.text("inputs"), outputs=visibility.text("outputs"), weights=visibility.text("weights")
            ),
            inputs=tuple(TensorSpec.from_record(r) for r in root.records("inputs", maximum=256)),
            outputs=tuple(TensorSpec.from_record(r, output=True) for r in root.records("outputs", maximum=256)),
            parts={role: Part.from_record(parts.record(role)) for role in parts.names()},
            setup=Setup.from_record(root.record("setup")) if root.has("setup") else None,
            proving_key=Part.from_record(root.record("provingKey")) if root.has("provingKey") else None,
        )
        for record in (root, model, system, visibility, parts):
            record.done()
        if circuit.encode() != data:  # e.g. 1.0 and 1, which RFC 8785 writes alike but a parser could read apart
            raise MalformedError("circuit.json: not in canonical form")
        return circuit

    def check_parts(self, parts: Mapping[str, bytes]) -> None:
        """Every verifier part present, by digest, and none besides. Raises BindingError."""
        if missing := sorted(set(self.parts) - set(parts)):
            raise BindingError(f"circuit part {missing[0]!r} is missing")
        if extra := sorted(set(parts) - set(self.parts)):
            raise BindingError(f"circuit part {extra[0][:80]!r} is not named in circuit.json")
        for role, part in self.parts.items():
            part.check(parts[role], role)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierCircuit:
    """A circuit with the bytes a verifier needs; its digests hold by construction (BindingError otherwise)."""

    circuit: Circuit
    parts: Mapping[str, bytes]

    def __post_init__(self) -> None:
        self.circuit.check_parts(self.parts)


def _int64(record: Record, name: str) -> int:
    """A decimal string: JSON numbers lose integers beyond 2^53."""
    text = record.text(name, max_length=20)
    try:
        value = int(text)
    except ValueError as error:
        raise MalformedError(f"{record.where}.{name}: not an integer: {text!r}") from error
    if str(value) != text or not -(2**63) <= value < 2**63:
        raise MalformedError(f"{record.where}.{name}: not a canonical 64-bit integer: {text!r}")
    return value
