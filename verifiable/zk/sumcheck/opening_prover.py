# SPDX-License-Identifier: Apache-2.0
"""Proving many claims on one committed table: a sum-check that makes them one, and the opening at its point.

The sum is over P(x) E(x), E(x) = sum_i gamma^i eq(point_i, x) with eq over the claim's own block (:mod:`.verifier` checks it).
As a table E would be twice as large as P. But on the commitment's matrix it is a sum of few products, E(row, col) = sum_g
A_g(row) B_g(col): blocks of whole rows whose claims agree in their column variables share a B, and so do smaller blocks in one
row. With V_g(row) = sum_col P(row, col) B_g(col) the rounds of the row variables are those of sum_g A_g(row) V_g(row), a small
table. At their point z the rows of P are combined once, to u(col) = sum_row eq(z, row) P(row, col), and the rounds of the
column variables are those of u(col) sum_g A_g(z) B_g(col). The opening needs the same u. So P is only passed over to multiply
it by the B_g, and to combine its rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verifiable.zk.sumcheck import commit_prover, field, tables
from verifiable.zk.sumcheck.commit_prover import Committed
from verifiable.zk.sumcheck.field import Array, Ext
from verifiable.zk.sumcheck.layers import Claim, powers_of
from verifiable.zk.sumcheck.layout import Key, Stack
from verifiable.zk.sumcheck.sumcheck_prover import prove_against, prove_partly
from verifiable.zk.sumcheck.writer import Writer


def prove_opening(writer: Writer, label: str, committed: Committed, stack: Stack, claims: Sequence[tuple[Key, Claim]]) -> None:
    """Write what the verifier reads of the claims on the stack's blocks. A false claim is not noticed here."""
    powers = powers_of(writer.transcript.challenge(f"{label} claims"), len(claims))
    matrix = committed.matrix
    log_cols = matrix.shape[1].bit_length() - 1
    rows, cols = _factors(stack, claims, powers, matrix.shape)
    extent = 1 << (committed.log_size - log_cols)
    left, right = (_padded(x, extent) for x in (rows, tables.dot_rows(matrix, cols)))
    high, left = prove_partly(writer, label, left.reshape(-1, 2), right.reshape(-1, 2), committed.log_size - log_cols)
    row = tables.combine_rows(matrix, tables.eq_table(high)[: len(matrix)])
    low, value = prove_against(writer, label, row, _sum(left, cols))
    commit_prover.open(committed, high + low, value, writer, row=row)


def _factors(
    stack: Stack, claims: Sequence[tuple[Key, Claim]], powers: Sequence[Ext], shape: tuple[int, int]
) -> tuple[Array, Array]:
    """All A_g, shape (rows, groups, 2), and B_g, (groups, cols, 2)."""
    log_cols = shape[1].bit_length() - 1
    groups: dict[object, int] = {}
    placed = []
    for power, (key, claim) in zip(powers, claims, strict=True):
        size, offset = stack.blocks[key]
        split = max(0, size - log_cols)
        low = claim.point[split:]
        name: object = tuple(low) if size >= log_cols else offset >> log_cols
        placed.append((groups.setdefault(name, len(groups)), size, offset, claim.point[:split], low, power))
    rows, cols = (np.zeros((len(groups), extent, 2), np.uint64) for extent in shape)
    for group, size, offset, high, low, power in placed:
        first = offset >> log_cols
        if size >= log_cols:
            tables.add_eq(rows[group, first : first + (1 << len(high))], high, power)
            cols[group] = tables.eq_table(low)
        else:
            rows[group, first] = 1, 0
            start = offset & (shape[1] - 1)
            tables.add_eq(cols[group, start : start + (1 << size)], low, power)
    return rows.transpose(1, 0, 2), cols


def _padded(values: Array, extent: int) -> Array:
    """With zeros for the rows that the matrix has not, and for groups up to a power of two."""
    out = np.zeros((extent, 1 << (values.shape[1] - 1).bit_length(), 2), np.uint64)
    out[: len(values), : values.shape[1]] = values
    return out


def _sum(weights: Array, cols: Array) -> Array:
    """sum_g weights[g] cols[g], over E."""
    out = np.zeros(cols.shape[1:], np.uint64)
    for weight, col in zip(weights, cols, strict=False):
        out = field.add(out, tables.mul(np.broadcast_to(weight, col.shape), col))
    return out
