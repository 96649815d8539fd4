# SPDX-License-Identifier: Apache-2.0
"""The verifier of table membership: LogUp (Haböck, ePrint 2022/1530) by a tree of fractions (Papini, Haböck, ePrint 2023/1284).

Every row of every lookup block lies in its table if and only if, for random alpha and beta, up to an error of about
(rows * width) / |E|,

    sum over lookup rows of 1 / (alpha - f)  =  sum over table rows of m / (alpha - f),

where f = c_0 + beta c_1 + ... + beta^width * id is a row's fingerprint and the committed m say how often each row is used. The
fractions are the leaves of a binary tree; a parent is the sum of its two children.

1. alpha and beta are drawn. The caller has absorbed all columns and multiplicities (their commitment) before.
2. The root must be 0 / d with d != 0, so no leaf has denominator 0.
3. Each layer's claim (numerator + lambda * denominator at a point) becomes one on the layer below, by a sum-check and a merge.
4. The columns' values at the last point are read, for every block.
5. The leaves' extension, put together from them, must meet the last claim, in numerator and denominator.

Leaves are blocks of 2^m rows in descending size, hence aligned; what is left of 2^n leaves is 0 / 1. The two children of a node
differ in the LAST variable, so that a block's own rows meet first, and the sum-checks bind the last variable first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from verifiable.errors import ProofError
from verifiable.zk.sumcheck import field
from verifiable.zk.sumcheck.field import ONE, ZERO, Ext, ext_add, ext_mul, ext_sub
from verifiable.zk.sumcheck.reader import Reader
from verifiable.zk.sumcheck.sumcheck import check_equal, verify_weighted_rounds
from verifiable.zk.sumcheck.transcript import Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """2^log_size rows of ``width`` columns, to be found in (or, with ``rows``, being) the table numbered ``table``.

    ``rows`` evaluates a table's public columns: a point of log_size coordinates to ``width`` values. All of a table's 2^log_size
    rows can be found in it: pad one with rows that it has anyway.
    """

    log_size: int
    table: int
    width: int
    rows: Callable[[list[Ext]], Sequence[Ext]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockClaim:
    """What is left to show of a block: its columns' values (a table: its multiplicities' one value) at ``point``."""

    point: list[Ext]
    values: list[Ext]


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenges:
    """alpha, and beta^0 ... beta^width for the widest block; the last power carries the table's number."""

    alpha: Ext
    powers: list[Ext]

    @classmethod
    def draw(cls, transcript: Transcript, blocks: Sequence[Block]) -> Challenges:
        """Both parties draw them alike, after everything that the fingerprints are made of has been absorbed."""
        alpha, beta = transcript.challenges("logup alpha, beta", 2)
        powers = [ONE]
        for _ in range(max(block.width for block in blocks)):
            powers.append(ext_mul(powers[-1], beta))
        return cls(alpha=alpha, powers=powers)

    def denominator(self, table: int, values: Sequence[Ext]) -> Ext:
        """alpha - (c_0 + beta c_1 + ... + beta^width table). Linear, so it maps columns' values to the denominators' value.

        The table's number sits at one power for all blocks: rows of two tables differ as polynomials in beta, whatever they hold.
        """
        terms = [ext_mul(power, value) for power, value in zip(self.powers, values, strict=False)]
        return ext_sub(ext_sub(self.alpha, field.ext_sum(terms)), ext_mul(self.powers[-1], (table, 0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fraction:
    """The claim that all leaves' numerators and denominators extend to these values at ``point``."""

    point: list[Ext]
    numerator: Ext
    denominator: Ext


def verify_logup(reader: Reader, blocks: Sequence[Block]) -> list[BlockClaim]:
    """Check that every lookup row is a row of its table; returns what remains to be shown of each block's committed columns.

    Raises ProofError if the argument fails, MalformedError if the proof is cut or not canonical.
    """
    log_leaves, offsets = stack([block.log_size for block in blocks])
    challenges = Challenges.draw(reader.transcript, blocks)  # 1.
    leaves = verify_fractions(reader, log_leaves)  # 2. 3.
    claims = []
    numerators, denominators, padding = [], [], ONE
    for block, offset in zip(blocks, offsets, strict=True):
        point = suffix(leaves.point, block.log_size)
        weight = prefix_weight(leaves.point, block.log_size, offset)
        values = reader.scalars("logup values", block.width if block.rows is None else 1)  # 4.
        columns = values if block.rows is None else block.rows(point)
        numerator = ONE if block.rows is None else ext_sub(ZERO, values[0])
        numerators.append(ext_mul(weight, numerator))
        denominators.append(ext_mul(weight, challenges.denominator(block.table, columns)))
        padding = ext_sub(padding, weight)
        claims.append(BlockClaim(point=point, values=values))
    check_equal(field.ext_sum(numerators), leaves.numerator, "logup: the leaves' numerator")  # 5.
    check_equal(ext_add(field.ext_sum(denominators), padding), leaves.denominator, "logup: the leaves' denominator")
    return claims


def error_numerator(blocks: Sequence[Block]) -> int:
    """The chance that a false statement passes is at most this over |E|.

    1. Let a lookup row not be in its table. As a function of alpha over E(beta) the sum has a pole at its fingerprint, and the
       residue, the number of such rows, is below p, hence not zero. Cleared of denominators the sum is a polynomial in (alpha,
       beta), not zero, of total degree below rows * width (Schwartz, Zippel).
    2. A layer of k variables draws lambda (degree 1), k challenges for quadratics, and one that merges two halves (degree 1).
    """
    log_leaves, _ = stack([block.log_size for block in blocks])
    rows = sum(1 << block.log_size for block in blocks)
    return rows * max(1, *(block.width for block in blocks)) + sum(2 + 2 * layer for layer in range(log_leaves))


def verify_fractions(reader: Reader, log_leaves: int) -> Fraction:
    """Reduce "the 2^log_leaves fractions have no zero denominator and sum to zero" to one claim on them all (log_leaves >= 1).

    Raises ProofError for a sum or a layer that does not hold.
    """
    point: list[Ext] = []
    claim, mix = ZERO, ZERO
    numerator = denominator = ZERO
    for layer in range(log_leaves):
        if layer:
            mix = reader.transcript.challenge("logup mix")
            claim = ext_add(numerator, ext_mul(mix, denominator))
        # The last variable is bound first, so point and challenges run backwards.
        reduced = verify_weighted_rounds(reader, "logup", claim, point[::-1])
        p0, p1, q0, q1 = reader.scalars("logup children", 4)
        product = ext_mul(q0, q1)
        sums = ext_add(ext_mul(p0, q1), ext_mul(p1, q0))
        check_equal(
            ext_add(sums, ext_mul(mix, product)), reduced.value, "logup: the sum of two fractions" if layer else "logup: the root"
        )
        if not layer and product == ZERO:
            raise ProofError("logup: a denominator is zero")
        merge = reader.transcript.challenge("logup merge")
        numerator = ext_add(p0, ext_mul(merge, ext_sub(p1, p0)))
        denominator = ext_add(q0, ext_mul(merge, ext_sub(q1, q0)))
        point = [*reduced.point[::-1], merge]
    return Fraction(point=point, numerator=numerator, denominator=denominator)


def stack(log_sizes: Sequence[int]) -> tuple[int, list[int]]:
    """(n, each block's first leaf) for blocks laid end to end in 2^n leaves, n >= 1; sizes must descend, or ValueError."""
    if not log_sizes or list(log_sizes) != sorted(log_sizes, reverse=True):
        raise ValueError("blocks must be stacked in descending size")
    offsets, end = [], 0
    for log_size in log_sizes:
        offsets.append(end)
        end += 1 << log_size
    return max(1, (end - 1).bit_length()), offsets


def suffix(point: list[Ext], log_size: int) -> list[Ext]:
    """The coordinates inside an aligned block of 2^log_size."""
    return point[len(point) - log_size :]


def prefix_weight(point: list[Ext], log_size: int, offset: int) -> Ext:
    """eq(point's leading coordinates, the block's position): the block's share in an evaluation of the whole at ``point``."""
    count = len(point) - log_size
    weight = ONE
    for position, coordinate in enumerate(point[:count]):
        bit = offset >> (len(point) - 1 - position) & 1
        weight = ext_mul(weight, coordinate if bit else ext_sub(ONE, coordinate))
    return weight
