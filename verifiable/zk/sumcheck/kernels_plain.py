# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: PLR0917 - the signatures are those of the compiled loops
"""The loops of :mod:`.kernels` in NumPy: the same signatures and the same values, some thirty times slower."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from verifiable.zk.sumcheck import field
from verifiable.zk.sumcheck.field import Array

Scalar = np.uint64
Index = NDArray[np.int64]


def _ext(r0: Scalar, r1: Scalar) -> field.Ext:
    return int(r0), int(r1)


def mul_base(a: Array, b: Array, out: Array) -> None:
    """A product over F."""
    out[...] = field.mul(a, b)


def mul_ext(a: Array, b: Array, out: Array) -> None:
    """A product over E."""
    out[...] = field.mul_ext(a, b)


def fold(table: Array, r0: Scalar, r1: Scalar, out: Array) -> None:
    """(2n, 2) -> (n, 2)."""
    half = len(table) // 2
    out[...] = field.add(table[:half], field.scale_ext(field.sub(table[half:], table[:half]), _ext(r0, r1)))


def fold_base(table: Array, r0: Scalar, r1: Scalar, out: Array) -> None:
    """(2n,) -> (n, 2)."""
    fold(field.lift(table), r0, r1, out)


def round_product(a: Array, b: Array, sums: Array) -> None:
    """The round polynomial at 0, and its leading coefficient."""
    half = len(a) // 2
    sums[0] = field.dot_ext(a[:half], b[:half])
    sums[1] = field.dot_ext(field.sub(a[half:], a[:half]), field.sub(b[half:], b[:half]))


def round_product_base(a: Array, b: Array, sums: Array) -> None:
    """The same with ``a`` over F."""
    round_product(field.lift(a), b, sums)


def fold_round_product(a: Array, b: Array, r0: Scalar, r1: Scalar, out_a: Array, out_b: Array, sums: Array) -> None:
    """Fold both, then sum the next round."""
    fold(a, r0, r1, out_a)
    fold(b, r0, r1, out_b)
    round_product(out_a, out_b, sums)


def fold_round_product_base(a: Array, b: Array, r0: Scalar, r1: Scalar, out_a: Array, out_b: Array, sums: Array) -> None:
    """The same with ``a`` over F."""
    fold_round_product(field.lift(a), b, r0, r1, out_a, out_b, sums)


def inner_product(a: Array, b: Array, out: Array) -> None:
    """Sum of a_i b_i over E."""
    out[0] = field.dot_ext(a, b)


def inner_product_base(a: Array, b: Array, out: Array) -> None:
    """The same with ``a`` over F."""
    out[0] = field.dot_ext(field.lift(a), b)


def eq_table(point: Array, s0: Scalar, s1: Scalar, out: Array) -> None:
    """S times eq(point, i)."""
    out[...] = field.scale_ext(field.eq_table([(int(a), int(b)) for a, b in point]), _ext(s0, s1))


def add_doubled(target: Array, table: Array, r0: Scalar, r1: Scalar) -> None:
    """Target += the table doubled by one more first coordinate r."""
    high = field.scale_ext(table, _ext(r0, r1))
    target[...] = field.add(target, np.concatenate([field.sub(table, high), high]))


def gather(table: Array, indices: Index, out: Array) -> None:
    """Rows by index, 0 for negative ones."""
    out[...] = np.where((indices >= 0)[:, None], table[indices], np.uint64(0))


def scatter_add(target: Array, indices: Index, values: Array) -> None:
    """target[indices[i]] += values[i], for any repetition."""
    used = indices >= 0
    where, halves = indices[used], np.zeros((len(target), 2, 2), dtype=np.uint64)
    # Halves of 32 bits are summed apart, so that 2^32 values may meet in one place.
    np.add.at(halves[..., 0], where, values[used] & np.uint64(2**32 - 1))
    np.add.at(halves[..., 1], where, values[used] >> np.uint64(32))
    high = field.mul(halves[..., 1] % np.uint64(field.P), np.full_like(target, 2**32))
    target[...] = field.add(target, field.add(halves[..., 0] % np.uint64(field.P), high))


def dot_rows(matrix: Array, vectors: Array, out: Array) -> None:
    """sum_j matrix[i, j] vectors[g, j]."""
    transposed = np.ascontiguousarray(matrix.T)
    for group, vector in enumerate(vectors):
        out[:, group] = field.combine_rows(transposed, vector)


def combine_rows(matrix: Array, coefficients: Array, out: Array) -> None:
    """sum_i coefficients[i] matrix[i, j]."""
    out[...] = field.combine_rows(matrix, coefficients)
