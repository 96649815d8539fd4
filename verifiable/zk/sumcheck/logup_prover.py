# SPDX-License-Identifier: Apache-2.0
"""The prover's half of :mod:`.logup`: builds the tree of fractions and writes its layers, in time linear in the leaves in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifiable.zk.sumcheck import field, tables
from verifiable.zk.sumcheck.field import ONE, ZERO, Array, Ext, ext_add, ext_mul, ext_sub
from verifiable.zk.sumcheck.logup import Block, BlockClaim, Challenges, stack, suffix
from verifiable.zk.sumcheck.sumcheck_prover import LOOPS, canonical, implied_linear
from verifiable.zk.sumcheck.writer import Writer

Column = NDArray[Any]  # (2^log_size,), signed integers above -2^63 or canonical uint64
_INNER = 8  # log of the inner eq table's size: it stays in the first-level cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A block's columns; ``multiplicities`` for a table (counts, not negated), None for lookups."""

    columns: Sequence[Column]
    multiplicities: Column | None = None


def prove_logup(writer: Writer, blocks: Sequence[Block], witnesses: Sequence[Witness]) -> list[BlockClaim]:
    """Show that every lookup row is a row of its table; the inverse of :func:`.logup.verify_logup`.

    A witness that is not true gives a proof that is not accepted: nothing is checked here.
    """
    log_leaves, offsets = stack([block.log_size for block in blocks])
    challenges = Challenges.draw(writer.transcript, blocks)
    used = min(1 << log_leaves, _round_up(offsets[-1] + (1 << blocks[-1].log_size), 4))
    numerators, denominators = np.zeros(used, np.uint64), np.empty((used, 2), np.uint64)
    denominators[:] = ONE
    for block, witness, offset in zip(blocks, witnesses, offsets, strict=True):
        rows = slice(offset, offset + (1 << block.log_size))
        counts = witness.multiplicities
        numerators[rows] = 1 if counts is None else field.sub(np.zeros(len(counts), np.uint64), canonical(counts))
        denominators[rows] = challenges.denominator(block.table, ())
        for column, power in zip(witness.columns, challenges.powers, strict=False):
            LOOPS.add_column(denominators[rows], canonical(column), *_words(ext_sub(ZERO, power)))
    point = prove_fractions(writer, log_leaves, numerators, denominators)
    return _state_values(writer, blocks, witnesses, point)


def _state_values(
    writer: Writer, blocks: Sequence[Block], witnesses: Sequence[Witness], leaf_point: list[Ext]
) -> list[BlockClaim]:
    claims = []
    weights: dict[int, Array] = {}
    for block, witness in zip(blocks, witnesses, strict=True):
        point = suffix(leaf_point, block.log_size)
        if block.log_size not in weights:
            weights[block.log_size] = tables.eq_table(point)
        columns = witness.columns if witness.multiplicities is None else [witness.multiplicities]
        values = [tables.inner_product(canonical(column), weights[block.log_size]) for column in columns]
        writer.scalars("logup values", *values)
        claims.append(BlockClaim(point=point, values=values))
    return claims


def prove_fractions(writer: Writer, log_leaves: int, numerators: Array, denominators: Array) -> list[Ext]:
    """Show that the fractions sum to zero; returns the point of the leaves' claim. Inverse of :func:`.logup.verify_fractions`.

    ``numerators`` over F, (used,); ``denominators`` over E, (used, 2); the rest of the 2^log_leaves leaves is 0 / 1. ``used`` is
    a multiple of 4, or all. Neither array is changed.
    """
    point: list[Ext] = []
    lam, numerator, denominator = ZERO, ZERO, ZERO
    for layer, (n, d) in enumerate(_tree(log_leaves, numerators, denominators)):
        if layer:
            lam = writer.transcript.challenge("logup mix")
        claim = ext_add(numerator, ext_mul(lam, denominator))
        challenges, (p0, p1, q0, q1) = _Layer(n, d, lam, point).run(writer, claim)
        writer.scalars("logup children", p0, p1, q0, q1)
        merge = writer.transcript.challenge("logup merge")
        numerator = ext_add(p0, ext_mul(merge, ext_sub(p1, p0)))
        denominator = ext_add(q0, ext_mul(merge, ext_sub(q1, q0)))
        point = [*challenges[::-1], merge]
    return point


def _tree(log_leaves: int, numerators: Array, denominators: Array) -> list[tuple[Array, Array]]:
    """The layers of 2, 4, ..., 2^log_leaves fractions, each stored as far as it differs from 0 / 1 (rounded up to 8)."""
    layers = [(numerators, denominators)]
    for log_size in range(log_leaves - 1, 0, -1):
        n, d = layers[-1]
        count = len(d) // 2
        stored = min(1 << log_size, _round_up(count, 8))
        parents_n, parents_d = np.empty((stored, 2), np.uint64), np.empty((stored, 2), np.uint64)
        parents_n[count:], parents_d[count:] = ZERO, ONE
        (LOOPS.leaf_parents if n.ndim == 1 else LOOPS.parents)(n, d, parents_n, parents_d)
        layers.append((parents_n, parents_d))
    return layers[::-1]


class _Layer:
    """One layer's sum-check, last variable first. Overwrites an inner layer's tables, not the leaves.

    ``_n``, ``_d`` are the stored rows (p0, t), (q0, q1), where t = p1 + lambda q1; for the leaf layer's first round, the leaves.
    """

    def __init__(self, n: Array, d: Array, lam: Ext, point: list[Ext]) -> None:
        if not point and n.ndim == 1:
            n = field.lift(n)
        self._leaves = n.ndim == 1
        self._n, self._d = (n, d) if self._leaves else (n.reshape(-1, 4), d.reshape(-1, 4))
        self._lam, self._point = lam, point
        self._sums = np.zeros((3, 2), np.uint64)
        self._split = max(0, len(point) - 1 - _INNER)
        self._outer, self._inner = _eq_heap(point[: self._split]), _eq_heap(point[self._split : -1])

    def run(self, writer: Writer, claim: Ext) -> tuple[list[Ext], list[Ext]]:
        """All rounds; returns the challenges in their order, and p0, p1, q0, q1 where they end."""
        challenges: list[Ext] = []
        if self._point:
            self._sum(self._n, self._d, len(self._point), self._lam)
        for left in range(len(self._point), 0, -1):
            coefficients = self._coefficients(claim, left)
            writer.scalars("logup round", *coefficients[1:])
            challenge = writer.transcript.challenge("logup challenge")
            claim = field.horner(coefficients, challenge)
            challenges.append(challenge)
            self._fold(challenge, left)
        p0, t, q0, q1 = [(int(a), int(b)) for table in (self._n, self._d) for a, b in table[0].reshape(2, 2)]
        return challenges, [p0, ext_sub(t, ext_mul(self._lam, q1)), q0, q1]

    def _weights(self, left: int) -> tuple[Array, Array]:
        """eq over all but the last of the first ``left`` variables, in two factors."""
        outer, inner = 1 << min(left - 1, self._split), 1 << max(left - 1 - self._split, 0)
        return self._outer[outer : 2 * outer], self._inner[inner : 2 * inner]

    def _sum(self, n: Array, d: Array, left: int, mix: Ext) -> None:
        loop = LOOPS.leaf_round if self._leaves else LOOPS.mix_round
        loop(n, d, *_words(mix), *self._weights(left), self._sums)

    def _coefficients(self, claim: Ext, left: int) -> list[Ext]:
        at_zero, leading = self._evaluations()
        weight, at_one = self._point[left - 1], None
        if weight == ZERO:
            # The claim is h(0) then. Swapping the halves gives h(1).
            order = np.arange(len(self._n)) ^ (2 if self._leaves else 1)
            self._sum(self._n[order], self._d[order], left, self._lam if self._leaves else ZERO)
            at_one, _ = self._evaluations()
        return [at_zero, implied_linear(claim, weight, at_zero, leading, at_one), leading]

    def _evaluations(self) -> tuple[Ext, Ext]:
        at_zero, leading, stored = [(int(a), int(b)) for a, b in self._sums.tolist()]
        # Each pair that is not stored adds lambda to h(0): p0 = p1 = 0, q0 = q1 = 1.
        return ext_add(at_zero, ext_mul(self._lam, ext_sub(ONE, stored))), leading

    def _fold(self, challenge: Ext, left: int) -> None:
        if self._leaves:
            self._fold_leaves(challenge, left)
        elif left == 1:
            LOOPS.fold_rows(self._n, self._d, *_words(challenge))
        else:
            LOOPS.fold_round(self._n, self._d, *_words(challenge), *self._weights(left - 1), self._sums)
            self._keep(len(self._n) // 2, left - 1)

    def _fold_leaves(self, challenge: Ext, left: int) -> None:
        count = len(self._d) // 4
        n, d = (np.empty((_round_up(count, 4), 4), np.uint64) for _ in range(2))
        LOOPS.leaf_fold(self._n, self._d, *_words(challenge), *_words(self._lam), n[:count], d[:count])
        self._leaves, self._n, self._d = False, n, d
        self._keep(count, left - 1)
        if left > 1:
            self._sum(self._n, self._d, left - 1, ZERO)

    def _keep(self, count: int, left: int) -> None:
        """Keep the first ``count`` rows and as many of 0 / 1 as the next loop asks for."""
        stored = min(1 << left, _round_up(count, 4))
        self._n[count:stored] = (*ZERO, *self._lam)
        self._d[count:stored] = (*ONE, *ONE)
        self._n, self._d = self._n[:stored], self._d[:stored]


def _eq_heap(point: list[Ext]) -> Array:
    out = np.empty((2 << len(point), 2), np.uint64)
    LOOPS.eq_heap(field.ext_array(point), out)
    return out


def _round_up(count: int, to: int) -> int:
    return -(-count // to) * to


def _words(value: Ext) -> tuple[np.uint64, np.uint64]:
    return np.uint64(value[0]), np.uint64(value[1])
