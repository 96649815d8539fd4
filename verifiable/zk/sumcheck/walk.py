# SPDX-License-Identifier: Apache-2.0
"""From claims on outputs and table columns back to claims on inputs, trace and weights: one walk, last operation first.

Prover and verifier take it alike; a :class:`Party` is the one or the other. A claim on a tensor that is committed ends in T,
one on an input ends in the public values; those on any other tensor become one, and that is replaced by claims on what its
operation reads. Every tensor is made before it is read, so at the end no claim is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from verifiable.errors import UnsupportedError
from verifiable.model.program.ops import (
    Combine,
    Concat,
    Conv,
    Dense,
    Maximum,
    Pad,
    Requantise,
    Reshape,
    Scale,
    Shape,
    Slice,
    SumPool,
    Transpose,
)
from verifiable.zk.sumcheck.field import ONE, ZERO, Ext, P, ext_add, ext_inverse, ext_mul, ext_sub, ext_sum
from verifiable.zk.sumcheck.layers import Claim, Point, split
from verifiable.zk.sumcheck.layout import Key, Layout
from verifiable.zk.sumcheck.logup import BlockClaim
from verifiable.zk.sumcheck.maps import AxisMap, covered
from verifiable.zk.sumcheck.reshaping import flat_map, part_maps, pool_maps, real_cells


class Party(Protocol):
    """The messages of the walk. What a prover states, a verifier reads; ``require`` is the verifier's to enforce."""

    def tensors(self, label: str, wanted: Sequence[tuple[int, Point]]) -> list[Ext]:
        """Evaluations of tensors."""

    def bias(self, op: int, point: Point) -> Ext:
        """The evaluation of a layer's bias."""

    def parts(self, op: int, maps: Sequence[Sequence[AxisMap]], point: Point) -> list[Ext]:
        """The evaluations of a Concat's parts, each alone in the result's place."""

    def dense(self, op: int, claim: Claim) -> tuple[Claim, Claim]:
        """Claims on weight and source."""

    def conv(self, op: int, claim: Claim) -> tuple[Claim, Claim]:
        """Claims on weight and source."""

    def scale(self, op: int, claim: Claim) -> tuple[Point, Ext, Ext]:
        """A point, and the evaluations there of the multiplier, broadcast, and of the source."""

    def select(self, source: int, claim: Claim, axes: Sequence[AxisMap], taps: Sequence[Point | None], log_kept: int) -> Claim:
        """The claim on the source."""

    def merge(self, tensor: int, claims: Sequence[Claim]) -> Claim:
        """One claim for several on one tensor."""

    def require(self, found: Ext, due: Ext, what: str) -> None:
        """Raises ProofError on the verifier's side unless the two are equal."""


@dataclass(slots=True)
class Walk:
    """Claims still ``open``, by tensor, and those that ended: ``inputs`` by tensor, ``trace`` and ``weights`` by block."""

    layout: Layout
    party: Party
    open: dict[int, list[Claim]] = field(default_factory=dict)
    inputs: list[tuple[int, Claim]] = field(default_factory=list)
    trace: list[tuple[Key, Claim]] = field(default_factory=list)
    weights: list[tuple[Key, Claim]] = field(default_factory=list)

    def columns(self, claims: Sequence[BlockClaim]) -> None:
        """What the table argument left: claims on results, digits and multiplicities, and by these on accumulators."""
        found = {leaf.key: claim for leaf, claim in zip(self.layout.leaves, claims, strict=True)}
        for leaf in self.layout.leaves:
            claim = found[leaf.key]
            operation = self.layout.structure.ops[leaf.key[0]] if isinstance(leaf.key[0], int) else None
            if isinstance(operation, Maximum):
                self._maximum(int(leaf.key[0]), operation, claim)
            elif isinstance(operation, Requantise) and leaf.key[1] == "result":
                self._accumulator(int(leaf.key[0]), operation, found)
            for key, value in zip(leaf.columns, claim.values, strict=True):
                if key is not None:
                    self.trace.append((key, Claim(point=claim.point, value=value)))

    def output(self, tensor: int, claim: Claim) -> None:
        """A claim on a public output, whose padded cells count as zero: one on the tensor, whatever it holds there."""
        log_kept, axes = real_cells(self.layout, tensor)
        self._add(tensor, self.party.select(tensor, claim, axes, [[]] * len(axes), log_kept) if axes else claim)

    def run(self) -> None:
        """Reduce all open claims."""
        structure = self.layout.structure
        for i in reversed(range(len(structure.ops))):
            claims = self.open.pop(self.layout.result(i), [])
            if isinstance(structure.ops[i], Requantise | Maximum):
                self.trace += [((i, "result"), claim) for claim in claims]
            elif claims:
                self._reduce(i, claims[0] if len(claims) == 1 else self.party.merge(self.layout.result(i), claims))
        self.inputs = [(tensor, claim) for tensor in sorted(self.open) for claim in self.open[tensor]]

    def _add(self, tensor: int, claim: Claim) -> None:
        self.open.setdefault(tensor, []).append(claim)

    def _accumulator(self, i: int, op: Requantise, found: dict[Key, BlockClaim]) -> None:
        """t = Y 2^shift + rem - 2^(shift - 1); the digits' columns are of one size with Y's, so their claims are at one point."""
        claim = found[i, "result"]
        terms, weight = [ext_mul(claim.values[0], (1 << op.shift, 0)), (-(1 << op.shift >> 1), 0)], 1
        for j, width in enumerate(self.layout.digits[i]):
            terms.append(ext_mul(found[i, "digit", j].values[0], (weight, 0)))
            weight <<= width
        self._add(op.source, Claim(point=claim.point, value=ext_sum(terms)))

    def _maximum(self, i: int, op: Maximum, claim: BlockClaim) -> None:
        """The columns are left - right and max - right; one evaluation of right says all three."""
        difference, excess = claim.values
        (right,) = self.party.tensors("maximum", [(op.right, claim.point)])
        self._add(op.right, Claim(point=claim.point, value=right))
        self._add(op.left, Claim(point=claim.point, value=ext_add(difference, right)))
        self.trace.append(((i, "result"), Claim(point=claim.point, value=ext_add(excess, right))))

    def _reduce(self, i: int, claim: Claim) -> None:
        op = self.layout.structure.ops[i]
        if isinstance(op, Dense | Conv):
            self._layer(i, op, claim)
        elif isinstance(op, Scale):
            self._scale(i, op, claim)
        elif isinstance(op, SumPool):
            self._pool(i, op, claim)
        elif isinstance(op, Combine):
            self._combine(op, claim)
        elif isinstance(op, Transpose):
            self._add(op.source, Claim(point=self._transposed(i, op, claim.point), value=claim.value))
        elif isinstance(op, Reshape):
            self._reshape(i, op, claim)
        elif isinstance(op, Slice | Pad | Concat):
            self._move(i, op, claim)
        else:
            raise UnsupportedError(f"program: operation {i} ({type(op).__name__}): cannot be proved yet")

    def _layer(self, i: int, op: Dense | Conv, claim: Claim) -> None:
        sizes = self.layout.tensor_logs(self.layout.result(i))
        channel = 2 if isinstance(op, Conv) else len(sizes) - 1
        at = split(claim.point, *sizes)[channel]
        bias = self.party.bias(i, at)
        self.weights.append(((i, "bias"), Claim(point=at, value=bias)))
        rest = Claim(point=claim.point, value=ext_sub(claim.value, bias))
        weight, source = self.party.conv(i, rest) if isinstance(op, Conv) else self.party.dense(i, rest)
        self.weights.append(((i, "weight"), weight))
        self._add(op.source, source)

    def _scale(self, i: int, op: Scale, claim: Claim) -> None:
        """t = multiplier x + bias; both constants stay as they are along the axes that they are broadcast over."""
        multiplier, bias = self.layout.structure.scales[i]
        at = self._broadcast(i, bias, claim.point)
        value = self.party.bias(i, at)
        self.weights.append(((i, "bias"), Claim(point=at, value=value)))
        rest = Claim(point=claim.point, value=ext_sub(claim.value, value))
        point, weight, source = self.party.scale(i, rest)
        self.weights.append(((i, "weight"), Claim(point=self._broadcast(i, multiplier, point), value=weight)))
        self._add(op.source, Claim(point=point, value=source))

    def _broadcast(self, i: int, shape: Shape, point: Point) -> Point:
        parts = split(point, *self.layout.tensor_logs(self.layout.result(i)))
        kept = zip(shape, parts[len(parts) - len(shape) :], strict=True)
        return [coordinate for extent, part in kept if extent > 1 for coordinate in part]

    def _pool(self, i: int, op: SumPool, claim: Claim) -> None:
        log_kept, axes = pool_maps(self.layout, i)
        rest = ext_sub(claim.value, (op.bias % P, 0))
        if op.multiplier == 0:
            self.party.require(rest, ZERO, "pool: a constant")
            return
        sums = Claim(point=claim.point, value=ext_mul(rest, ext_inverse((op.multiplier, 0))))
        self._add(op.source, self.party.select(op.source, sums, axes, [None, None], log_kept))

    def _combine(self, op: Combine, claim: Claim) -> None:
        values = self.party.tensors("combine", [(source, claim.point) for source in op.sources])
        terms = [ext_mul(value, (c, 0)) for value, c in zip(values, op.coefficients, strict=True)]
        self.party.require(ext_sum([*terms, (op.constant, 0)]), claim.value, "combine: the weighted sum of the sources")
        for source, value in zip(op.sources, values, strict=True):
            self._add(source, Claim(point=claim.point, value=value))

    def _transposed(self, i: int, op: Transpose, point: Point) -> Point:
        samples, *axes = split(point, *self.layout.tensor_logs(self.layout.result(i)))
        parts: list[Point] = [[] for _ in axes]
        for part, axis in zip(axes, op.axes, strict=True):
            parts[axis] = part
        return [*samples, *(coordinate for part in parts for coordinate in part)]

    def _reshape(self, i: int, op: Reshape, claim: Claim) -> None:
        log_kept, axis = flat_map(self.layout, i)
        self._add(op.source, claim if axis is None else self.party.select(op.source, claim, [axis], [[]], log_kept))

    def _move(self, i: int, op: Slice | Pad | Concat, claim: Claim) -> None:
        log_kept, maps = part_maps(self.layout, i)
        sources = op.sources if isinstance(op, Concat) else (op.source,)
        if isinstance(op, Concat):
            values = self.party.parts(i, maps, claim.point)
            self.party.require(ext_sum(values), claim.value, "concat: the sum of the parts")
        else:
            values = [ext_sub(claim.value, _fill(op, claim.point, log_kept, maps[0]))]
        for source, value, axes in zip(sources, values, maps, strict=True):
            part = Claim(point=claim.point, value=value)
            self._add(source, self.party.select(source, part, axes, [[]] * len(axes), log_kept))


def _fill(op: Slice | Pad, point: Point, log_kept: int, axes: Sequence[AxisMap]) -> Ext:
    """What the positions that read nothing hold, as an extension."""
    if isinstance(op, Slice) or op.value == 0:
        return 0, 0
    at = split(point[log_kept:], *(axis.log_outputs for axis in axes))
    return ext_mul((op.value, 0), ext_sub(ONE, covered(axes, at)))
