# SPDX-License-Identifier: Apache-2.0
"""The prover's half of :mod:`.sumcheck`: writes the rounds that the verifier reads, in time linear in the tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifiable.zk.sumcheck import field, native, sumcheck_plain, tables
from verifiable.zk.sumcheck.field import ZERO, Array, Ext, ext_add, ext_mul, ext_sub
from verifiable.zk.sumcheck.writer import Writer

Table = NDArray[Any]  # over E: uint64 (n, 2); over F: (n,), canonical uint64 or signed integers above -2^63
Claimed = tuple[list[Ext], Ext, Ext]

#: The loops that :mod:`.tables` has not: compiled, or in NumPy where that uses NumPy.
LOOPS: Any = native.load("verifiable.zk.sumcheck.sumcheck_kernels") if tables.COMPILED else sumcheck_plain


def prove_product(writer: Writer, label: str, claim: Ext, a: Table, b: Table, *, weights: Sequence[Ext] = ()) -> Claimed:
    """Show that the sum over x of eq(weights, x_first) a(x) b(x) is ``claim``; returns (point, a's value, b's value).

    ``a`` and ``b`` have one length, a power of two, and are left as they are. The inverse of :func:`.sumcheck.verify_product`.
    """
    point, left, right = _rounds(writer, label, claim, (a, b), weights)
    writer.scalars(f"{label} values", left, right)
    return point, left, right


def prove_against(writer: Writer, label: str, a: Table, b: Table) -> tuple[list[Ext], Ext]:
    """The same without weights for a public ``b``, whose value is not sent; returns (point, a's value).

    The inverse of :func:`.sumcheck.verify_against`.
    """
    point, value, _ = prove_rounds(writer, label, a, b)
    writer.scalars(f"{label} value", value)
    return point, value


def prove_rounds(writer: Writer, label: str, a: Table, b: Table) -> Claimed:
    """The rounds alone, nothing of the final values sent; returns (point, a's value, b's value)."""
    left, right = canonical(a), _extended(b)
    # The loops below overwrite tables over E.
    return _plain(writer, label, left if left.ndim == 1 else left.copy(), right.copy() if right is b else right)


def prove_partly(writer: Writer, label: str, a: Array, b: Array, rounds: int) -> tuple[list[Ext], Array]:
    """The first ``rounds`` rounds for two tables over E, which are overwritten; returns (point, what is left of ``a``)."""
    point, left, _ = _bind(writer, label, a, b, rounds)
    return point, left


def implied_linear(claim: Ext, weight: Ext, at_zero: Ext, leading: Ext, at_one: Ext | None = None) -> Ext:
    """h_1 of a quadratic h with (1 - w) h(0) + w h(1) = claim. With w = 0 that says nothing of h(1), which must be given then."""
    if at_one is None:
        at_one = ext_add(ext_mul(ext_sub(claim, at_zero), _inverse(weight)), at_zero)
    return ext_sub(ext_sub(at_one, at_zero), leading)


def canonical(table: Table) -> Array:
    """A table over F from signed integers of any width; a table of ``uint64`` is taken as it is."""
    if table.dtype == np.uint64:
        return table
    # As field.from_signed, with less memory touched: -v is 2^64 - v here, which is 2^32 - 1 more than p - v.
    lifted: Array = table.astype(np.int64).view(np.uint64)
    lifted -= (table < 0) * np.uint64(2**32 - 1)
    return lifted


def _rounds(writer: Writer, label: str, claim: Ext, factors: tuple[Table, Table], weights: Sequence[Ext]) -> Claimed:
    if not weights:
        return prove_rounds(writer, label, *factors)
    left, right = _extended(factors[0]), _extended(factors[1])
    table = tables.eq_table(weights)
    first: list[Ext] = []
    for weight in weights:
        table = field.add(table[: len(table) // 2], table[len(table) // 2 :])
        coefficients = _weighted(left, right, claim, weight, table)
        writer.scalars(f"{label} round", *coefficients[1:])
        challenge = writer.transcript.challenge(f"{label} challenge")
        claim = field.horner(coefficients, challenge)
        left, right = tables.fold(left, challenge), tables.fold(right, challenge)
        first.append(challenge)
    second, value_a, value_b = _plain(writer, label, left, right)
    return first + second, value_a, value_b


def _weighted(a: Array, b: Array, claim: Ext, weight: Ext, table: Array) -> list[Ext]:
    """The coefficients of one weighted round; ``table`` is eq over the weights still to come."""
    at_zero, leading = _weighted_sums(a, b, table)
    at_one = _weighted_sums(_swapped(a), _swapped(b), table)[0] if weight == ZERO else None
    return [at_zero, implied_linear(claim, weight, at_zero, leading, at_one), leading]


def _weighted_sums(a: Array, b: Array, table: Array) -> tuple[Ext, Ext]:
    sums = np.empty((2, 2), np.uint64)
    LOOPS.weighted_round(a, b, table, sums)
    (c, d), (e, f) = sums.tolist()
    return (c, d), (e, f)


def _plain(writer: Writer, label: str, a: Array, b: Array) -> Claimed:
    """All rounds without weights; overwrites tables over E."""
    point, a, b = _bind(writer, label, a, b, len(a).bit_length() - 1)
    return point, tables.evaluate(a, []), tables.evaluate(b, [])


def _bind(writer: Writer, label: str, a: Array, b: Array, rounds: int) -> tuple[list[Ext], Array, Array]:
    point: list[Ext] = []
    sums = tables.round_product(a, b) if rounds else (ZERO, ZERO)
    while len(point) < rounds:
        constant, leading = sums
        writer.scalars(f"{label} round", constant, leading)
        challenge = writer.transcript.challenge(f"{label} challenge")
        point.append(challenge)
        if len(point) == rounds:
            a, b = tables.fold(a, challenge), tables.fold(b, challenge)
        else:
            a, b, sums = tables.fold_round_product(a, b, challenge)
    return point, a, b


def _swapped(table: Array) -> Array:
    half = len(table) // 2
    return np.concatenate([table[half:], table[:half]])


def _extended(table: Table) -> Array:
    return field.lift(canonical(table)) if table.ndim == 1 else table


def _inverse(value: Ext) -> Ext:
    # As field.ext_inverse, by Euclid instead of a power: the prover needs one in every round.
    norm = pow(value[0] * value[0] - field.GENERATOR * value[1] * value[1], -1, field.P)
    return value[0] * norm % field.P, -value[1] * norm % field.P
