# SPDX-License-Identifier: Apache-2.0
"""Checking an opening of a committed multilinear table: Ligero's matrix, Reed-Solomon rows, a SHA-256 tree over the columns.

A table of 2^n elements of F is row-major in rows of cols elements, cols for the last variables. Only its first ``used`` elements
hold anything; so the committed matrix has the ``rows`` = ceil(used / cols) rows with these, and all further rows are zero by
definition: they have no code words, no place in a column, and no term in any sum below. Both sides take n and ``used`` from the
public layout, never from a proof. Row i holds the coefficients of a polynomial; position j of its code word is the value at w^j,
w = 7^((p - 1) / 4 cols). Leaf j of the tree is ``SHA-256(0x00 · column j, little-endian)``, a node ``SHA-256(0x01 · left ·
right)``. An opening at (z_row, z_col) is

1. u = sum_i eq(z_row, i) row_i and v = sum_i rho_i row_i over i < rows, cols elements of E each, rho drawn after the root;
2. the columns at the distinct drawn indices, ascending;
3. the tree nodes that those columns leave open, from the leaves up, left to right.

The verifier computes <u, eq(z_col)>, rebuilds the root, encodes u and v, and compares them with the columns' own combinations
at every index. Method: Ames, Hazay, Ishai, Venkitasubramaniam, "Ligero" (2017), evaluated as in Golovnev et al., "Brakedown"
(2021). Soundness: :mod:`.soundness`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np

from verifiable.errors import MalformedError, ProofError
from verifiable.zk.sumcheck import field
from verifiable.zk.sumcheck.evaluation import of_elements
from verifiable.zk.sumcheck.field import Array, Ext
from verifiable.zk.sumcheck.reader import Reader
from verifiable.zk.sumcheck.soundness import LOG_BLOWUP, QUERIES
from verifiable.zk.sumcheck.transcript import Transcript

#: (log_cols, the least ``used`` that has it): where :func:`expected_size` is least, written down because both sides must agree
#: on it everywhere. Below the first, a row is one element.
LEAST_USED = (
    (5, 402), (6, 530), (7, 1_032), (8, 2_332), (9, 6_164), (10, 18_875), (11, 64_660), (12, 237_866), (13, 911_035),
    (14, 3_564_614), (15, 14_100_958), (16, 56_090_620), (17, 223_738_061),
)  # fmt: skip
MAX_LOG_SIZE = 28
_DIGEST = 32


def shape(log_size: int, used: int) -> tuple[int, int]:
    """(rows, log_cols) of a table of 2^log_size elements, zero from element ``used`` on. Raises MalformedError above 2^28."""
    if not 0 <= log_size <= MAX_LOG_SIZE:
        raise MalformedError(f"commitment: a table of 2^{log_size} elements is not within 1 to 2^{MAX_LOG_SIZE}")
    if not 1 <= used <= 1 << log_size:
        raise MalformedError(f"commitment: {used} used elements are not within 1 to 2^{log_size}")
    log_cols = max((k for k, least in LEAST_USED if least <= used), default=0)
    return -(-used >> log_cols), log_cols


def expected_size(rows: float, log_cols: int) -> float:
    """Bytes of an opening, on average: u, v, the distinct columns, and about log2(leaves / columns) + 0.5 nodes per column.

    The last term is the usual estimate for the siblings of a random set of leaves; it chose LEAST_USED and serves nothing else.
    """
    leaves = 2.0 ** (log_cols + LOG_BLOWUP)
    distinct = leaves * (1 - (1 - 1 / leaves) ** QUERIES)
    nodes = distinct * max(0.0, math.log2(leaves / distinct) + 0.5)
    return float(2 * 16 * 2**log_cols + 8 * rows * distinct + _DIGEST * nodes)


def begin(transcript: Transcript, root: bytes, used: int, point: Sequence[Ext], value: Ext) -> list[Ext]:
    """Bind the statement of an opening and draw the proximity coefficients, one per row. Both sides start with this."""
    transcript.absorb("opening root", root)
    transcript.absorb("opening size", len(point).to_bytes(8, "little") + used.to_bytes(8, "little"))
    transcript.absorb_scalars("opening point", *point)
    transcript.absorb_scalars("opening value", value)
    return transcript.challenges("opening rows", shape(len(point), used)[0])


def draw_columns(transcript: Transcript, log_cols: int) -> list[int]:
    """The columns to open: the distinct ones of QUERIES independent draws, ascending. To be called after u and v are absorbed."""
    return sorted(set(transcript.indices("opening columns", QUERIES, log_cols + LOG_BLOWUP)))


def missing_nodes(indices: Sequence[int], depth: int) -> list[tuple[int, int]]:
    """(level, position) of the nodes that the root needs beside the given leaves, in the order of sending; leaves are level 0."""
    missing: list[tuple[int, int]] = []
    current = list(indices)
    for level in range(depth):
        known = set(current)
        missing += [(level, i ^ 1) for i in current if i ^ 1 not in known]
        current = sorted({i >> 1 for i in current})
    return missing


def check(root: bytes, log_size: int, point: Sequence[Ext], value: Ext, reader: Reader, *, used: int) -> None:
    """Return if the table of 2^log_size elements behind ``root`` has the multilinear extension ``value`` at ``point``.

    ``used``: how many elements, from the first, are committed to; the others are zero. The layout says so, no message does.
    The caller absorbs the root before the challenges that the point is made of; the whole statement is absorbed here again.
    Raises MalformedError for bytes that no prover writes, ProofError for an opening that does not hold.
    """
    if len(root) != _DIGEST or len(point) != log_size:
        raise MalformedError(f"opening: a root of {len(root)} bytes, {len(point)} coordinates for a table of 2^{log_size}")
    rows, log_cols = shape(log_size, used)
    high, low = point[: log_size - log_cols], point[log_size - log_cols :]
    # 1. the combinations, and the value that they say
    proximity = begin(reader.transcript, root, used, point, value)
    combinations = reader.array("opening combinations", 2, 1 << log_cols, 2)
    if of_elements(combinations[0], low) != value:
        raise ProofError("opening: the row combination does not evaluate to the claimed value")
    # 2. the columns, and the tree over them
    indices = draw_columns(reader.transcript, log_cols)
    columns = reader.array("opening columns", len(indices), rows)
    _check_tree(root, indices, columns, log_cols + LOG_BLOWUP, reader)
    # 3. the columns' own combinations are the code words of 1
    code = _encode_at(combinations, indices, log_cols)
    weights = {"evaluation": field.eq_table(high)[:rows], "proximity": field.ext_array(proximity)}
    for word, (name, coefficients) in zip(code, weights.items(), strict=True):
        if not np.array_equal(word, field.matmul(columns, coefficients)):
            raise ProofError(f"opening: the {name} combination is not that of the committed columns")


def _check_tree(root: bytes, indices: list[int], columns: Array, depth: int, reader: Reader) -> None:
    """The columns, with the nodes read here, hash to the root."""
    places = missing_nodes(indices, depth)
    path = reader.data("opening nodes", _DIGEST * len(places))
    leaves = {j: hash_leaf(field.encode(column)) for j, column in zip(indices, columns, strict=True)}
    if _root(leaves, places, path, depth) != root:
        raise ProofError("opening: the columns are not those under the root")


def hash_leaf(column: bytes | memoryview) -> bytes:
    """The tree's leaf for a column's bytes."""
    return hashlib.sha256(b"\0" + column).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """The parent of two nodes."""
    return hashlib.sha256(b"\1" + left + right).digest()


def _root(leaves: dict[int, bytes], places: list[tuple[int, int]], path: bytes, depth: int) -> bytes:
    supplied: list[dict[int, bytes]] = [{} for _ in range(depth)]
    for k, (level, position) in enumerate(places):
        supplied[level][position] = path[_DIGEST * k : _DIGEST * (k + 1)]
    current = leaves
    for level in range(depth):
        current |= supplied[level]
        current = {i >> 1: hash_node(current[i], current[i + 1]) for i in current if i % 2 == 0}
    return current[0]


def _encode_at(messages: Array, indices: Sequence[int], log_cols: int) -> Array:
    """The code words of messages over E, shape (m, cols, 2), at the given positions only: shape (m, len(indices), 2).

    With c = a + A b, sum_c m_c w^(c j) = sum_a w^(a j) (sum_b m_(a + A b) (w^A)^(b j)): the inner sums are A short transforms,
    periodic in j with period n / A; the outer one is done for the wanted j only.
    """
    count, cols = messages.shape[0], 1 << log_cols
    log_length = log_cols + LOG_BLOWUP
    log_split = log_cols // 2
    length, split = 1 << (log_length - log_split), 1 << log_split
    parts = messages.reshape(count, cols >> log_split, split, 2).transpose(0, 3, 2, 1)
    where = np.array(indices, dtype=np.int64)
    inner = field.ntt(parts, log_padding=LOG_BLOWUP)[..., where % length]
    root = field.root_of_unity(log_length)
    outer, power = np.ones((1, len(indices)), np.uint64), np.array([pow(root, j, field.P) for j in indices], np.uint64)
    while len(outer) < split:
        outer, power = np.concatenate([outer, field.mul(outer, power)]), field.mul(power, power)
    products = field.mul(inner, np.broadcast_to(outer, inner.shape))
    return np.ascontiguousarray(field.sum_axis(products, 2).transpose(0, 2, 1))
