# SPDX-License-Identifier: Apache-2.0
"""Checking that a Program with committed weights maps public inputs to public outputs.

1. The statement fits the structure: shapes, ranges, one number of samples.
2. The transcript absorbs the header, the circuit's id, the weights' root, inputs and outputs; then the trace's root.
3. Every result and digit lies in its table (:mod:`.logup`): claims on T, and on the accumulators.
4. The public outputs, evaluated at a fresh random point, are claims on their tensors.
5. All claims are walked back to inputs, T and W (:mod:`.walk`).
6. The inputs' claims are compared with the public values.
7. The claims on T become one, which is opened under the trace's root; so do those on W under the weights' root.
8. Nothing is left of the proof.

Integrity only: a proof hides neither weights nor activations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifiable.errors import MalformedError
from verifiable.model.program.ir import LIMIT
from verifiable.model.program.ops import Shape
from verifiable.zk.sumcheck import commitment, field, layers
from verifiable.zk.sumcheck.budget import budget
from verifiable.zk.sumcheck.cost import require_public
from verifiable.zk.sumcheck.evaluation import of_integers
from verifiable.zk.sumcheck.field import Ext, ext_add, ext_mul
from verifiable.zk.sumcheck.layers import Claim, Point, powers_of
from verifiable.zk.sumcheck.layout import Key, Layout, Stack, axis_logs, convolution
from verifiable.zk.sumcheck.logup import prefix_weight, suffix, verify_logup
from verifiable.zk.sumcheck.maps import AxisMap
from verifiable.zk.sumcheck.reader import Reader
from verifiable.zk.sumcheck.structure import Structure
from verifiable.zk.sumcheck.sumcheck import check_equal, verify_against, verify_product
from verifiable.zk.sumcheck.transcript import Transcript
from verifiable.zk.sumcheck.walk import Walk

MAGIC = b"verifiable/sumcheck/v1\0"
#: The least that an accepted proof gives, in bits, under the assumptions of docs/formats/sumcheck.md.
SECURITY_BITS = 100

Integers = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """``inputs`` and ``outputs`` by name, integers [samples, *shape]. Nothing of it has been checked."""

    circuit: bytes
    weights: bytes
    inputs: Integers
    outputs: Integers


def verify(structure: Structure, statement: Statement, proof: bytes) -> None:
    """Return if the statement holds. Raises ProofError if it is not proved, MalformedError for what no prover writes.

    ``statement.circuit`` is the 32-byte id that pins ``structure`` and ``statement.weights``.
    """
    layout = admit(structure, statement)  # 1.
    start = header(layout)
    reader = Reader(proof, begin(start, statement))  # 2.
    if reader.unabsorbed(len(start), "header") != start:
        raise MalformedError("proof: not a sumcheck proof of this version")
    root = reader.data("trace root", 32)
    walk = Walk(layout, _Verifier(layout, reader))
    if layout.leaves:
        walk.columns(verify_logup(reader, [leaf.block for leaf in layout.leaves]))  # 3.
    for output in structure.outputs:  # 4.
        point = draw_output(reader.transcript, layout, output.tensor)
        walk.output(output.tensor, Claim(point=point, value=evaluate(statement.outputs[output.name], point)))
    walk.run()  # 5.
    for tensor, claim in walk.inputs:  # 6.
        check_equal(evaluate(statement.inputs[structure.inputs[tensor].name], claim.point), claim.value, "input: its evaluation")
    _check_opening(reader, "trace", root, layout.trace, walk.trace)  # 7.
    _check_opening(reader, "weights", statement.weights, layout.weights, walk.weights)
    reader.done()  # 8.


def admit(structure: Structure, statement: Statement) -> Layout:
    """The layout for the statement's samples. Raises MalformedError unless names, shapes, dtypes and ranges are as declared and
    the budget is kept, UnsupportedError for values that are too many to be evaluated.
    """
    if len(statement.circuit) != 32 or len(statement.weights) != 32:
        raise MalformedError("statement: a circuit id and a root are 32 bytes each")
    ends: list[tuple[str, Shape, int, int]] = [(e.name, e.shape, e.low, e.high) for e in structure.inputs]
    # An integer is known by its residue modulo p only within this range; accumulators are proved to lie in it.
    exact = [(e.name, structure.shapes[e.tensor], 1 - LIMIT, LIMIT - 1) for e in structure.outputs]
    counts = set()
    for kind, given, due in (("input", statement.inputs, ends), ("output", statement.outputs, exact)):
        if set(given) != {name for name, *_ in due}:
            raise MalformedError(f"statement: its {kind}s are not the program's")
        for name, shape, low, high in due:
            counts.add(_admit(f"{kind} {name[:80]!r}", given[name], shape, low, high))
    if len(counts) != 1:
        raise MalformedError("statement: inputs and outputs differ in their number of samples")
    layout = Layout.of(structure, counts.pop())
    if budget(layout).bits < SECURITY_BITS:
        raise MalformedError(f"statement: too large for {SECURITY_BITS} bits of security")
    return layout


def header(layout: Layout) -> bytes:
    """A proof's first bytes: protocol, version, and what :func:`.budget.budget` gives, in bits."""
    return MAGIC + budget(layout).bits.to_bytes(2, "little")


def _admit(where: str, value: NDArray[Any], shape: Shape, low: int, high: int) -> int:
    if value.dtype.kind not in "iu" or value.ndim != len(shape) + 1 or value.shape[1:] != shape or not value.size:
        raise MalformedError(f"{where}: expected integers of shape [samples, {', '.join(map(str, shape))}]")
    require_public(where, value.shape)
    if not low <= int(value.min()) <= int(value.max()) <= high:
        raise MalformedError(f"{where}: an integer is outside of [{low}, {high}]")
    return len(value)


def begin(start: bytes, statement: Statement) -> Transcript:
    """A transcript that has absorbed the header and the whole statement."""
    transcript = Transcript()
    transcript.absorb("header", start)
    transcript.absorb("circuit", statement.circuit)
    transcript.absorb("weights", statement.weights)
    for kind, given in (("input", statement.inputs), ("output", statement.outputs)):
        for name in sorted(given):
            value = given[name]
            transcript.absorb(f"{kind} name", name.encode())
            transcript.absorb(f"{kind} shape", b"".join(d.to_bytes(8, "little") for d in value.shape))
            transcript.absorb(kind, np.ascontiguousarray(value, "<i8").tobytes())
    return transcript


def draw_output(transcript: Transcript, layout: Layout, tensor: int) -> Point:
    """The point at which an output is compared."""
    return transcript.challenges("output point", sum(layout.tensor_logs(tensor)))


def padded(value: NDArray[Any]) -> NDArray[np.int64]:
    """Public integers [samples, ...] on padded axes: zeros beyond an axis, the last sample again beyond the samples."""
    extents = [1 << n for n in axis_logs(value.shape)]
    whole = np.zeros(extents, np.int64)
    whole[tuple(slice(d) for d in value.shape)] = value
    whole[len(value) :] = whole[len(value) - 1]
    return whole


def evaluate(value: NDArray[Any], point: Point) -> Ext:
    """The extension of :func:`padded` at a point."""
    return of_integers(padded(value), point)


@dataclass(frozen=True, slots=True)
class _Verifier:
    """The verifier's part in the walk: reads, and enforces."""

    layout: Layout
    reader: Reader

    def tensors(self, label: str, wanted: Sequence[tuple[int, Point]]) -> list[Ext]:
        return self.reader.scalars(label, len(wanted))

    def bias(self, op: int, point: Point) -> Ext:  # noqa: ARG002 - it reads what a prover computes
        return self.reader.scalar("bias")

    def parts(self, op: int, maps: Sequence[Sequence[AxisMap]], point: Point) -> list[Ext]:  # noqa: ARG002 - it reads what a prover computes
        return self.reader.scalars("concat", len(maps))

    def dense(self, op: int, claim: Claim) -> tuple[Claim, Claim]:
        log_out = self.layout.weights.blocks[op, "bias"][0]
        return layers.verify_dense(
            self.reader, claim, log_out=log_out, log_in=self.layout.weights.blocks[op, "weight"][0] - log_out
        )

    def conv(self, op: int, claim: Claim) -> tuple[Claim, Claim]:
        return layers.verify_conv(self.reader, claim, convolution(self.layout.structure, op))

    def scale(self, op: int, claim: Claim) -> tuple[Point, Ext, Ext]:  # noqa: ARG002 - it reads what a prover computes
        return verify_product(self.reader, "scale", claim.value, len(claim.point), claim.point)

    def select(
        self,
        source: int,  # noqa: ARG002 - it reads what a prover computes
        claim: Claim,
        axes: Sequence[AxisMap],
        taps: Sequence[Point | None],
        log_kept: int,
    ) -> Claim:
        return layers.verify_select(self.reader, claim, axes, taps, log_kept=log_kept)

    def merge(self, tensor: int, claims: Sequence[Claim]) -> Claim:  # noqa: ARG002 - it reads what a prover computes
        return layers.verify_merge(self.reader, claims)

    def require(self, found: Ext, due: Ext, what: str) -> None:
        check_equal(found, due, what)


def _check_opening(reader: Reader, label: str, root: bytes, stack: Stack, claims: Sequence[tuple[Key, Claim]]) -> None:
    """sum_x P(x) sum_i gamma^i eq(point_i, x) = sum_i gamma^i value_i for all claims on P, then one opening."""
    gamma = reader.transcript.challenge(f"{label} claims")
    powers = powers_of(gamma, len(claims))
    total = field.ext_sum([ext_mul(power, claim.value) for power, (_, claim) in zip(powers, claims, strict=True)])

    def combined(at: list[Ext]) -> Ext:
        value = field.ZERO
        for power, (key, claim) in zip(powers, claims, strict=True):
            size, offset = stack.blocks[key]
            inside = field.eq_point(claim.point, suffix(at, size))
            value = ext_add(value, ext_mul(power, ext_mul(prefix_weight(at, size, offset), inside)))
        return value

    point, value = verify_against(reader, label, total, stack.log_size, combined)
    commitment.check(root, stack.log_size, point, value, reader, used=stack.used)
