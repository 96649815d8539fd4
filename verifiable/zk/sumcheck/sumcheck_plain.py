# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: PLR0917
"""The loops of :mod:`.sumcheck_kernels` in NumPy: the same signatures and the same values, some thirty times slower."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from verifiable.zk.sumcheck import field
from verifiable.zk.sumcheck.field import Array, Ext

Word = np.uint64
Indices = NDArray[np.int64]


def weighted_round(a: Array, b: Array, weights: Array, sums: Array) -> None:
    """A weighted round of a product."""
    half = len(a) // 2
    spread = np.repeat(weights, half // len(weights), axis=0)
    sums[0] = field.dot_ext(field.mul_ext(a[:half], b[:half]), spread)
    sums[1] = field.dot_ext(field.mul_ext(field.sub(a[half:], a[:half]), field.sub(b[half:], b[:half])), spread)


def eq_heap(point: Array, out: Array) -> None:
    """The eq tables of all prefixes of a point."""
    out[0] = 0
    coordinates = [(int(a), int(b)) for a, b in point]
    for count in range(len(coordinates) + 1):
        out[1 << count : 2 << count] = field.eq_table(coordinates[:count])


def contract(
    table: Array, starts: Indices, inputs: Indices, weights: Array, outer: int, length: int, inner: int, taps: int, out: Array
) -> None:
    """A sparse map along one axis."""
    rows, columns = table.reshape(outer, length, inner, 2), out.reshape(outer, taps, inner, 2)
    out[...] = 0
    for tap in range(taps):
        for entry in range(starts[tap], starts[tap + 1]):
            part = field.mul_ext(rows[:, inputs[entry]], np.broadcast_to(weights[entry], (outer, inner, 2)))
            columns[:, tap] = field.add(columns[:, tap], part)


def add_column(denominators: Array, column: Array, w0: Word, w1: Word) -> None:
    """One column's part of the denominators."""
    denominators[...] = field.add(denominators, field.scale_ext(field.lift(column), _ext(w0, w1)))


def leaf_parents(numerators: Array, denominators: Array, parents_n: Array, parents_d: Array) -> None:
    """The layer above the leaves."""
    parents(field.lift(numerators), denominators, parents_n, parents_d)


def parents(n: Array, d: Array, parents_n: Array, parents_d: Array) -> None:
    """The layer above an inner layer."""
    count = len(d) // 2
    parents_n[:count] = field.add(field.mul_ext(n[::2], d[1::2]), field.mul_ext(n[1::2], d[::2]))
    parents_d[:count] = field.mul_ext(d[::2], d[1::2])


def mix_round(n: Array, d: Array, m0: Word, m1: Word, outer: Array, inner: Array, sums: Array) -> None:
    """A layer's first round."""
    n[:, 2:] = field.add(n[:, 2:], field.scale_ext(d[:, 2:], _ext(m0, m1)))
    _round(n, d, outer, inner, sums)


def fold_rows(n: Array, d: Array, r0: Word, r1: Word) -> None:
    """A fold of both pair tables."""
    for table in (n, d):
        low, high = table[::2].reshape(-1, 2, 2), table[1::2].reshape(-1, 2, 2)
        table[: len(table) // 2] = field.add(low, field.scale_ext(field.sub(high, low), _ext(r0, r1))).reshape(-1, 4)


def fold_round(n: Array, d: Array, r0: Word, r1: Word, outer: Array, inner: Array, sums: Array) -> None:
    """A fold and the next round."""
    fold_rows(n, d, r0, r1)
    half = len(n) // 2
    _round(n[:half], d[:half], outer, inner, sums)


def leaf_round(numerators: Array, leaves: Array, m0: Word, m1: Word, outer: Array, inner: Array, sums: Array) -> None:
    """The leaf layer's first round."""
    mix_round(field.lift(numerators).reshape(-1, 4), leaves.reshape(-1, 4), m0, m1, outer, inner, sums)


def leaf_fold(numerators: Array, leaves: Array, r0: Word, r1: Word, m0: Word, m1: Word, n: Array, d: Array) -> None:
    """The leaf layer's first fold."""
    mixed, copied = field.lift(numerators).reshape(-1, 4), leaves.reshape(-1, 4).copy()
    mixed[:, 2:] = field.add(mixed[:, 2:], field.scale_ext(copied[:, 2:], _ext(m0, m1)))
    fold_rows(mixed, copied, r0, r1)
    n[...], d[...] = mixed[: len(n)], copied[: len(d)]


def _round(n: Array, d: Array, outer: Array, inner: Array, sums: Array) -> None:
    pairs = len(n) // 2
    weights = field.mul_ext(np.repeat(outer, len(inner), axis=0), np.tile(inner, (len(outer), 1)))[:pairs]
    sums[0] = field.dot_ext(_summands(n[::2], d[::2]), weights)
    sums[1] = field.dot_ext(_summands(field.sub(n[1::2], n[::2]), field.sub(d[1::2], d[::2])), weights)
    sums[2] = field.total(weights[:, 0]), field.total(weights[:, 1])


def _summands(n: Array, d: Array) -> Array:
    return field.add(field.mul_ext(n[:, :2], d[:, 2:]), field.mul_ext(n[:, 2:], d[:, :2]))


def _ext(a: Word, b: Word) -> Ext:
    return int(a), int(b)
