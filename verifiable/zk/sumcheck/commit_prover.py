# SPDX-License-Identifier: Apache-2.0
"""Committing to a multilinear table and opening it; :mod:`.commitment` describes the scheme and checks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from verifiable.errors import MalformedError
from verifiable.zk.sumcheck import coding, field, tables
from verifiable.zk.sumcheck.coding import COSETS
from verifiable.zk.sumcheck.commitment import begin, draw_columns, missing_nodes, shape
from verifiable.zk.sumcheck.field import Array, Ext
from verifiable.zk.sumcheck.soundness import LOG_BLOWUP
from verifiable.zk.sumcheck.threads import in_parallel
from verifiable.zk.sumcheck.writer import Writer

#: Encodings of up to 2^27 elements (1 GB) stay in memory between commitment and opening, larger ones are computed twice.
KEEP_LIMIT = 1 << 27


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A commitment and what opening it needs: the table, zero from element ``used`` on, the tree's levels (leaves first), the
    encoding by cosets where it was kept.

    It serves any number of openings, and :func:`commit` recomputes it from the table alone.
    """

    root: bytes
    log_size: int
    used: int
    table: Array
    levels: tuple[Array, ...]
    encoded: tuple[Array, ...]

    @property
    def matrix(self) -> Array:
        """The committed rows."""
        return _matrix(self.table, self.used)


def commit(table: Array, used: int | None = None, *, keep: bool | None = None) -> Committed:
    """Commit to 2^n elements of F, of which those from ``used`` on are zero (None: no such knowledge).

    ``keep`` the encoding (four tables) for the openings; None: up to KEEP_LIMIT elements.
    """
    log_size = len(table).bit_length() - 1
    if table.ndim != 1 or table.size == 0 or len(table) != 1 << log_size:
        raise MalformedError(f"commitment: a table of shape {table.shape} is not one of 2^n elements")
    used = len(table) if used is None else used
    if table[used:].any():
        raise MalformedError(f"commitment: an element from {used} on is not zero")
    matrix = _matrix(table, used)
    kept = COSETS * matrix.size <= KEEP_LIMIT if keep is None else keep
    leaves = np.empty((COSETS * matrix.shape[1], 4), np.uint64)

    def encode_and_hash(coset: int) -> Array | None:
        encoded = coding.encode(matrix, coset)
        coding.hash_columns(encoded, len(matrix), coset, leaves)
        return encoded if kept else None

    encoded = in_parallel(encode_and_hash, range(COSETS))
    levels = coding.tree(leaves)
    return Committed(
        root=levels[-1].tobytes(),
        log_size=log_size,
        used=used,
        table=table,
        levels=levels,
        encoded=tuple(e for e in encoded if e is not None),
    )


def forget(committed: Committed) -> Committed:
    """The same without the kept encoding."""
    return replace(committed, encoded=())


def open(  # noqa: A001 - the scheme's own word
    committed: Committed, point: Sequence[Ext], value: Ext, writer: Writer, *, row: Array | None = None
) -> None:
    """Write the opening at ``point``, whose value the caller knows; a false value gives an opening that does not hold.

    ``row``: the combination of the rows that belongs to the point, where the caller has it.
    """
    rows, log_cols = shape(committed.log_size, committed.used)
    matrix = committed.matrix
    proximity = begin(writer.transcript, committed.root, committed.used, point, value)
    if row is None:
        row = tables.combine_rows(matrix, tables.eq_table(point[: committed.log_size - log_cols])[:rows])
    writer.array("opening combinations", np.stack([row, tables.combine_rows(matrix, field.ext_array(proximity))]))
    indices = draw_columns(writer.transcript, log_cols)
    writer.array("opening columns", _columns(committed, matrix, np.array(indices)))
    missing = missing_nodes(indices, log_cols + LOG_BLOWUP)
    writer.data("opening nodes", b"".join(committed.levels[level][i].tobytes() for level, i in missing))


def _matrix(table: Array, used: int) -> Array:
    rows, log_cols = shape(len(table).bit_length() - 1, used)
    return table.reshape(-1, 1 << log_cols)[:rows]


def _columns(committed: Committed, matrix: Array, indices: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Array:
    """The columns at the given positions, shape (len(indices), rows), from the kept encoding or by encoding again."""
    out = np.empty((len(indices), matrix.shape[0]), np.uint64)

    def pick(coset: int) -> None:
        mine = indices % COSETS == coset
        if mine.any():
            encoded = committed.encoded[coset] if committed.encoded else coding.encode(matrix, coset)
            out[mine] = coding.columns(encoded, len(matrix), indices[mine] // COSETS)

    in_parallel(pick, range(COSETS))
    return out
