# SPDX-License-Identifier: Apache-2.0
"""Integers as field elements, and the instance of the statement in exactly ezkl's order.

One flat list: commitments of hashed inputs, public inputs, then public outputs or the commitments of hashed outputs; every
tensor in the circuit's order, every element in row-major order. Nothing of it ever comes from a proof.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verifiable.encoding import json
from verifiable.encoding.record import Record
from verifiable.encoding.tensor import Tensor
from verifiable.errors import BindingError, FatalStateError, MalformedError, UnsupportedError
from verifiable.zk.circuit import Circuit, TensorSpec
from verifiable.zk.system import Bound, Public

#: The order of BN254's scalar field, in which ezkl's circuits compute.
FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617
COMMITMENT_SIZE = 32
PROOF_MEDIA_TYPE = "application/vnd.verifiable.ezkl.proof.v1"
FORMAT_MEDIA_TYPE = "application/vnd.verifiable.ezkl.proof-format.v1+json"
MAX_PROOF_SIZE = 1 << 20


def felts(integers: Tensor) -> list[str]:
    """The elements of an int64 tensor as field elements, each 64 hex digits, little-endian; negatives as ``FIELD + x``."""
    if integers.dtype != "int64":
        raise MalformedError(f"ezkl: a tensor of {integers.dtype} where int64 integers are needed")
    flat: Any = integers.array().ravel()
    return [(int(x) % FIELD).to_bytes(32, "little").hex() for x in flat]


def integers(values: Sequence[str], spec: TensorSpec, *, kind: str) -> Tensor:
    """The inverse of :func:`felts` for one tensor of the circuit. Raises UnsupportedError for elements outside its range."""
    import numpy as np

    if len(values) != _count(spec):
        raise FatalStateError(f"ezkl: {kind} {spec.name!r} came back with {len(values)} elements, not {_count(spec)}")
    found = [_signed(bytes.fromhex(value)) for value in values]
    for position, x in enumerate(found):
        if not spec.low <= x <= spec.high:
            raise UnsupportedError(
                f"{kind} {spec.name!r}: element {position} is {x * spec.scale:g}, beyond what the circuit can prove"
                f" [{spec.low * spec.scale:g}, {spec.high * spec.scale:g}]",
                hint="compile with calibration data that covers this input",
            )
    return Tensor.from_array(np.array(found, dtype=np.int64).reshape(spec.shape))


def check_commitment(commitment: bytes, *, where: str) -> bytes:
    """A field element in its one canonical spelling. Raises MalformedError."""
    if len(commitment) != COMMITMENT_SIZE or int.from_bytes(commitment, "little") >= FIELD:
        raise MalformedError(f"{where}: not a commitment: 32 bytes little-endian below the field's order are expected")
    return commitment


def build(circuit: Circuit, public: Public, commit: Callable[[Tensor], bytes]) -> list[str]:
    """The flat instance list, hex little-endian, from what the claim says.

    A hashed tensor that comes with its integers is committed to here with ``commit``; a commitment beside it must agree. Raises
    BindingError, MalformedError.
    """
    before, inputs = _side("input", circuit.inputs, circuit.visibility.inputs, public.inputs, commit)
    hashes, outputs = _side("output", circuit.outputs, circuit.visibility.outputs, public.outputs, commit)
    return [*before, *inputs, *outputs, *hashes]


def proof_document(instances: Sequence[str], proof: bytes) -> bytes:
    """The proof file that ezkl's verifier is given: our instances, the proof's bytes, and nothing that a prover wrote."""
    return json.canonical(
        {
            "protocol": None, "instances": [list(instances)], "proof": list(proof), "hex_proof": None, "split": None,
            "pretty_public_inputs": None, "timestamp": None, "version": None,
        }
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofFormat:
    """What ``proof-format`` says. ``size``: of every proof, in bytes, since ezkl ignores what follows one.

    ``divisions`` counts the values that the prover may round up or down as it likes; ``drift`` bounds, per output, by how many of
    its integers that could have moved an element; empty where there are none.
    """

    size: int
    divisions: int = 0
    drift: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """Canonical."""
        moved = {"drift": list(self.drift)} if self.divisions else {}
        return json.canonical({"divisions": self.divisions, "size": self.size, **moved})

    @classmethod
    def parse(cls, part: bytes) -> ProofFormat:
        """Raises MalformedError."""
        record = Record(json.parse_canonical(part, what="ezkl proof format", max_size=1 << 14), "ezkl proof format")
        size, divisions = record.integer("size", minimum=1, maximum=MAX_PROOF_SIZE), record.integer("divisions")
        drift = record.items("drift", maximum=256) if divisions else []
        if any(isinstance(units, bool) or not isinstance(units, int) or units < 0 for units in drift):
            raise MalformedError("ezkl proof format.drift: expected integers, 0 or more")
        record.done()
        return cls(size=size, divisions=divisions, drift=tuple(drift))


def check_proof(proof: bytes, format_part: bytes) -> None:
    """``proof`` has exactly the length that the circuit pins. Raises MalformedError."""
    size = ProofFormat.parse(format_part).size
    if len(proof) != size:
        raise MalformedError(f"ezkl proof: {len(proof):,} bytes, a proof for this circuit has exactly {size:,}")


def _side(
    kind: str, specs: Sequence[TensorSpec], visibility: str, given: Sequence[Bound], commit: Callable[[Tensor], bytes]
) -> tuple[list[str], list[str]]:
    """``(commitments, public elements)`` of the inputs or the outputs."""
    if [bound.name for bound in given] != [spec.name for spec in specs]:
        raise BindingError(f"ezkl: the claim's {kind}s are not the circuit's, by name and order")
    commitments: list[str] = []
    elements: list[str] = []
    for spec, bound in zip(specs, given, strict=True):
        where = f"{kind} {spec.name!r}"
        if bound.integers is not None:
            check_range(bound.integers, spec, where=where)
        if visibility == "public":
            if bound.integers is None or bound.commitment is not None:
                raise BindingError(f"{where}: public, so its integers and no commitment are needed")
            elements += felts(bound.integers)
        elif visibility == "hashed":
            commitments.append(_commitment(bound, where, commit).hex())
        elif bound.integers is not None or bound.commitment is not None:
            raise BindingError(f"{where}: private, so the proof binds no value of it", hint="leave it out of the claim")
    return commitments, elements


def _commitment(bound: Bound, where: str, commit: Callable[[Tensor], bytes]) -> bytes:
    if bound.integers is None and bound.commitment is None:
        raise BindingError(f"{where}: hashed, so its commitment or its value is needed")
    claimed = None if bound.commitment is None else check_commitment(bound.commitment, where=where)
    computed = None if bound.integers is None else commit(bound.integers)
    if claimed is not None and computed is not None and claimed != computed:
        raise BindingError(f"{where}: the commitment is not that of the given value")
    result = claimed or computed
    assert result is not None
    return result


def check_range(value: Tensor, spec: TensorSpec, *, where: str) -> None:
    """``value`` is an int64 tensor of the spec's shape within its range. Raises MalformedError."""
    array: Any = value.array()
    if value.dtype != "int64" or value.shape != spec.shape:
        raise MalformedError(f"{where}: {value.dtype}{list(value.shape)} given, int64{list(spec.shape)} needed")
    if array.size and (int(array.min()) < spec.low or int(array.max()) > spec.high):
        raise MalformedError(f"{where}: an integer outside the circuit's range [{spec.low}, {spec.high}]")


def bounds(
    specs: Sequence[TensorSpec], visibility: str, values: Mapping[str, Tensor], hashes: Sequence[str]
) -> tuple[Bound, ...]:
    """What a claim may say of these tensors, given their values and, where hashed, their commitments in hex."""
    result = []
    for position, spec in enumerate(specs):
        result.append(
            Bound(
                name=spec.name,
                integers=values[spec.name] if visibility == "public" else None,
                commitment=bytes.fromhex(hashes[position]) if visibility == "hashed" else None,
            )
        )
    return tuple(result)


def _signed(element: bytes) -> int:
    value = int.from_bytes(element, "little")
    return value - FIELD if value > FIELD // 2 else value


def _count(spec: TensorSpec) -> int:
    count = 1
    for dim in spec.shape:
        count *= dim
    return count
