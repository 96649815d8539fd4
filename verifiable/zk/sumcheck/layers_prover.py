# SPDX-License-Identifier: Apache-2.0
"""The prover's half of :mod:`.layers`: each function writes what its namesake reads, in time linear in weights and inputs.

Tensors come padded to powers of two per axis, over F: canonical ``uint64`` or signed integers (see :mod:`.sumcheck_prover`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verifiable.zk.sumcheck import field, maps, tables
from verifiable.zk.sumcheck.field import Array, Ext
from verifiable.zk.sumcheck.layers import Claim, Convolution, Point, powers_of, split
from verifiable.zk.sumcheck.maps import AxisMap
from verifiable.zk.sumcheck.sumcheck_prover import LOOPS, Table, canonical, prove_against, prove_product, prove_rounds
from verifiable.zk.sumcheck.writer import Writer


def prove_dense(writer: Writer, claim: Claim, weights: Table, inputs: Table) -> tuple[Claim, Claim]:
    """``weights`` (out, in), ``inputs`` (batch, in). The inverse of :func:`.layers.verify_dense`."""
    log_out = _log(len(weights))
    batch, out = split(claim.point, len(claim.point) - log_out, log_out)
    inner, left, right = prove_product(writer, "dense", claim.value, _at(weights, out), _at(inputs, batch))
    return Claim(point=out + inner, value=left), Claim(point=batch + inner, value=right)


def prove_matmul(writer: Writer, claim: Claim, left: Table, right: Table) -> tuple[Claim, Claim]:
    """``left`` (batch, rows, inner), ``right`` (batch, inner, cols). The inverse of :func:`.layers.verify_matmul`."""
    log_batch, log_rows, log_inner, log_cols = (_log(n) for n in (*left.shape, right.shape[2]))
    batch, rows, cols = split(claim.point, log_batch, log_rows, log_cols)
    a = _at(left.transpose(1, 0, 2), rows)
    b = _at(right.transpose(2, 0, 1), cols)
    point, value_a, value_b = prove_product(writer, "matmul", claim.value, a, b, weights=batch)
    shared, inner = split(point, log_batch, log_inner)
    return Claim(point=shared + rows + inner, value=value_a), Claim(point=shared + inner + cols, value=value_b)


def prove_conv(writer: Writer, claim: Claim, shape: Convolution, weights: Table, inputs: Table) -> tuple[Claim, Claim]:
    """``weights`` (out, inside of one group, kernel rows, kernel columns), ``inputs`` (batch, inside, height, width).

    The inverse of :func:`.layers.verify_conv`.
    """
    height, width = shape.height, shape.width
    log_batch = len(claim.point) - shape.log_outputs
    batch, out, y, x = split(claim.point, log_batch, shape.log_out, height.log_outputs, width.log_outputs)
    planes = _at(inputs, batch)
    view = _windows(planes, shape, tables.eq_table(y), tables.eq_table(x))
    point, value, _ = prove_product(writer, "conv", claim.value, _kernels(weights, shape, out), view)
    inside, i, j = split(point, shape.log_in, height.log_taps, width.log_taps)
    channels = Claim(point=out + inside, value=value)
    if shape.groups is not None:
        # The kernel's axes stay; they come last here, and first where a selection keeps them.
        compact = _at(weights.reshape(1 << shape.groups.log_inputs, -1).T, i + j)
        at, value = _prove_selection(writer, compact, [_vector(shape.groups, out, inside)])
        channels = Claim(point=at, value=value)
    plane = planes
    for coordinate in inside:
        plane = tables.fold(plane, coordinate)
    at, found = _prove_selection(writer, plane, [_vector(height, y, i), _vector(width, x, j)])
    return Claim(point=channels.point + i + j, value=channels.value), Claim(point=batch + inside + at, value=found)


def _kernels(weights: Table, shape: Convolution, out: Point) -> Array:
    """The full W at the output channels' point, flat over (inside, i, j)."""
    if shape.groups is None:
        return _at(weights, out)
    compact = field.lift(canonical(weights.reshape(-1)))
    rows = maps.weigh(shape.groups, tables.eq_table(out), None)
    return _mapped(compact, shape.groups, rows, 1 << (shape.height.log_taps + shape.width.log_taps))


def prove_select(
    writer: Writer, claim: Claim, axes: Sequence[AxisMap], taps: Sequence[Sequence[Ext] | None], inputs: Table
) -> Claim:
    """``inputs`` (kept, then the axes in order, or all flat). The inverse of :func:`.layers.verify_select`."""
    log_kept = _log(inputs.size) - sum(axis.log_inputs for axis in axes)
    kept, *outputs = split(claim.point, log_kept, *(axis.log_outputs for axis in axes))
    table = _at(inputs.reshape(1 << log_kept, -1), kept)
    vectors = [_vector(axis, at, tap) for axis, at, tap in zip(axes, outputs, taps, strict=True)]
    point, value = _prove_selection(writer, table, vectors)
    return Claim(point=kept + point, value=value)


def prove_merge(writer: Writer, claims: Sequence[Claim], table: Table) -> Claim:
    """``table``: the tensor, flat. The inverse of :func:`.layers.verify_merge`."""
    powers = powers_of(writer.transcript.challenge("merge claims"), len(claims))
    weights = np.zeros((len(table), 2), np.uint64)
    for power, claim in zip(powers, claims, strict=True):
        tables.add_eq(weights, claim.point, power)
    point, value = prove_against(writer, "merge", table, weights)
    return Claim(point=point, value=value)


def _prove_selection(writer: Writer, table: Array, vectors: list[Array]) -> tuple[Point, Ext]:
    """The sum of table(h_1, h_2, ...) v_1(h_1) v_2(h_2) ...: one axis after the other, each as a product of two vectors."""
    point: Point = []
    scale = field.ONE
    for position, vector in enumerate(vectors):
        rest = table
        for later in reversed(vectors[position + 1 :]):
            rest = _contract(rest, later)
        # What the earlier axes came to weighs all that follows.
        challenges, _, scale = prove_rounds(writer, "select", rest, field.scale_ext(vector, scale))
        for challenge in challenges:
            table = tables.fold(table, challenge)
        point += challenges
    value = (int(table[0, 0]), int(table[0, 1]))
    writer.scalars("select value", value)
    return point, value


def _windows(planes: Array, shape: Convolution, y: Array, x: Array) -> Array:
    """sum over (y, x) of eq(r_y, y) eq(r_x, x) planes[c, y s + i d - p, x s + j d - p], as a flat table over (c, i, j)."""
    columns = _mapped(planes, shape.width, maps.weigh(shape.width, x, None), 1)
    return _mapped(columns, shape.height, maps.weigh(shape.height, y, None), 1 << shape.width.log_taps)


def _mapped(table: Array, axis: AxisMap, weights: Array, inner: int) -> Array:
    """The table with one axis, of which ``inner`` elements lie after each position, contracted to its taps."""
    length, taps = 1 << axis.log_inputs, 1 << axis.log_taps
    outer = len(table) // (length * inner)
    out = np.empty((outer * taps * inner, 2), np.uint64)
    starts = np.searchsorted(axis.taps, np.arange(taps + 1)).astype(np.int64)
    LOOPS.contract(table, starts, axis.inputs, weights, outer, length, inner, taps, out)
    return out


def _contract(table: Array, vector: Array) -> Array:
    """The table's last axis, of the vector's length, summed with the vector's weights."""
    count = len(vector)
    outer = len(table) // count
    out = np.empty((outer, 2), np.uint64)
    LOOPS.contract(table, np.array([0, count]), np.arange(count), vector, outer, count, 1, 1, out)
    return out


def _vector(axis: AxisMap, outputs: Point, taps: Sequence[Ext] | None) -> Array:
    """R(h), over the padded input axis."""
    weights = maps.weigh(axis, tables.eq_table(outputs), None if taps is None else tables.eq_table(taps))
    vector = np.zeros((1 << axis.log_inputs, 2), np.uint64)
    tables.scatter_add(vector, axis.inputs, weights)
    return vector


def _at(table: Table, point: Sequence[Ext]) -> Array:
    """The table with its first axis at the point, flat."""
    return tables.combine_rows(np.ascontiguousarray(canonical(table)).reshape(len(table), -1), tables.eq_table(point))


def _log(size: int) -> int:
    return size.bit_length() - 1
