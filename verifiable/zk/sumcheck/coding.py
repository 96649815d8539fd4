# SPDX-License-Identifier: Apache-2.0
"""The heavy half of a commitment: Reed-Solomon encoding of all rows, and the hash tree over the columns, on all processors.

An encoded coset is one array (groups, cols, 8) of F: row ``8 * group + lane``, position ``blowup * i + coset`` of its code word,
where i is the second index with its bits reversed. That is how the transform leaves it, and lanes of eight elements are the
blocks of SHA-256. Rows beyond the matrix, up to a multiple of eight, are zero and not hashed.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from verifiable.zk.sumcheck import field, tables
from verifiable.zk.sumcheck.commitment import hash_leaf, hash_node
from verifiable.zk.sumcheck.field import Array
from verifiable.zk.sumcheck.soundness import LOG_BLOWUP

COSETS = 1 << LOG_BLOWUP
_LANES = 8
_MESSAGES = 16
_SCRATCH = 336  # these three as in vector_kernels, which is not imported: it would bring the compiler


def _loops(cols: int) -> Any:
    """The vector loops, where the machine has them and the columns fill their lanes."""
    if not tables.COMPILED or cols % _MESSAGES:
        return None
    from verifiable.zk.sumcheck import native

    return native.load("verifiable.zk.sumcheck.vector_kernels")


def encode(matrix: Array, coset: int) -> Array:
    """One coset of the code words of all rows, shape (groups, cols, 8) as described above."""
    rows, cols = matrix.shape
    groups = -(-rows // _LANES)
    shifts = field.powers(pow(field.root_of_unity(cols.bit_length() - 1 + LOG_BLOWUP), coset, field.P), cols)
    if loops := _loops(cols):
        out = np.empty(groups * cols * _LANES, np.uint64)
        loops.encode_coset(np.ascontiguousarray(matrix), shifts, _twiddles(cols), out)
        return out.reshape(groups, cols, _LANES)
    values = np.zeros((groups * _LANES, cols), np.uint64)
    values[:rows] = field.ntt(field.mul(matrix, np.broadcast_to(shifts, matrix.shape)))[:, field.bit_reversal(cols)]
    return np.ascontiguousarray(values.reshape(groups, _LANES, cols).transpose(0, 2, 1))


@functools.cache
def _twiddles(cols: int) -> Array:
    return field.powers(field.root_of_unity(cols.bit_length() - 1), cols // 2)


def hash_columns(encoded: Array, rows: int, coset: int, leaves: Array) -> None:
    """Write this coset's leaves, four words (32 bytes) each, to their places in ``leaves``, shape (COSETS * cols, 4)."""
    cols = encoded.shape[1]
    order = COSETS * field.bit_reversal(cols) + coset
    if loops := _loops(cols):
        work = np.empty(_SCRATCH, np.uint64)
        loops.hash_messages(encoded.reshape(-1), cols, rows, cols * _LANES, 0, order, work, leaves)
        return
    for column, place in enumerate(order):
        leaves[place] = np.frombuffer(hash_leaf(field.encode(encoded[:, column].ravel()[:rows])), np.uint64)


def tree(leaves: Array) -> tuple[Array, ...]:
    """All levels of the tree, leaves first, the root (shape (1, 4)) last."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        levels.append(_parents(levels[-1]))
    return tuple(levels)


def _parents(nodes: Array) -> Array:
    count = len(nodes) // 2
    out = np.empty((count, 4), np.uint64)
    if loops := _loops(count):
        loops.hash_messages(nodes.reshape(-1), count, 8, 0, 1, np.arange(count), np.empty(_SCRATCH, np.uint64), out)
        return out
    data = nodes.tobytes()
    for i in range(count):
        out[i] = np.frombuffer(hash_node(data[64 * i : 64 * i + 32], data[64 * i + 32 : 64 * i + 64]), np.uint64)
    return out


def columns(encoded: Array, rows: int, indices: np.ndarray[Any, np.dtype[np.int64]]) -> Array:
    """The columns for these i of an encoded coset, shape (len(indices), rows)."""
    picked = encoded[:, field.bit_reversal(encoded.shape[1])[indices], :]
    return picked.transpose(1, 0, 2).reshape(len(indices), -1)[:, :rows]
