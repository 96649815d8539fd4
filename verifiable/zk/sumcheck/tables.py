# SPDX-License-Identifier: Apache-2.0
"""The prover's arithmetic on tables: folding, round polynomials, eq tables, row combinations, encoding.

Two implementations with identical results stand behind it: loops compiled by Numba (:mod:`.kernels`), and NumPy where Numba is
missing or ``VERIFIABLE_NO_NUMBA=1``. Tables follow :mod:`.field`: F is ``uint64`` of shape (n,), E (n, 2), all canonical; a
table's first variable is the highest bit of its index. Nothing here decides anything, and no verifier imports it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifiable.errors import UnsupportedError
from verifiable.zk.sumcheck import field
from verifiable.zk.sumcheck.field import ONE, Array, Ext
from verifiable.zk.sumcheck.threads import in_parallel, parts

_LARGE = 1 << 18  # products, from which on a second thread pays


def _choose() -> Any:
    from verifiable.zk.sumcheck import kernels_plain, native

    if os.environ.get("VERIFIABLE_NO_NUMBA") == "1" or not find_spec("numba"):
        return kernels_plain
    try:
        return native.load("verifiable.zk.sumcheck.kernels")
    except UnsupportedError:
        return kernels_plain


_loops = _choose()
#: Whether the compiled loops are in use.
COMPILED: bool = not hasattr(_loops, "__name__")


def _c(values: Array) -> Array:
    """As the compiled signatures want it; a copy only where it is not already."""
    return np.ascontiguousarray(values, np.uint64)


def _pair(sums: Array) -> tuple[Ext, Ext]:
    (a, b), (c, d) = sums.tolist()
    return (a, b), (c, d)


def _scalar(value: Ext) -> tuple[np.uint64, np.uint64]:
    return np.uint64(value[0]), np.uint64(value[1])


def mul(a: Array, b: Array) -> Array:
    """a * b, elementwise, both over F or both over E, of one shape."""
    a, b = _c(a), _c(b)
    out = np.empty_like(a)
    (_loops.mul_base if a.ndim == 1 else _loops.mul_ext)(a, b, out)
    return out


def fold(table: Array, r: Ext, *, in_place: bool = False) -> Array:
    """Bind the first variable to r: low + r (high - low); 2n of F or E to n of E; ``in_place`` overwrites a table over E."""
    table = _c(table)
    half = len(table) // 2
    if table.ndim == 1:
        out = np.empty((half, 2), np.uint64)
        _loops.fold_base(table, *_scalar(r), out)
        return out
    out = table[:half] if in_place else np.empty((half, 2), np.uint64)
    _loops.fold(table, *_scalar(r), out)
    return out


def round_product(a: Array, b: Array) -> tuple[Ext, Ext]:
    """For sum_i a_i b_i, ``a`` over F or E and ``b`` over E, 2n each: the round polynomial at 0 and its leading coefficient."""
    sums = np.empty((2, 2), np.uint64)
    (_loops.round_product_base if a.ndim == 1 else _loops.round_product)(_c(a), _c(b), sums)
    return _pair(sums)


def fold_round_product(a: Array, b: Array, r: Ext) -> tuple[Array, Array, tuple[Ext, Ext]]:
    """Fold both tables (4n each) by r and return them with the next round's :func:`round_product`, in one pass over memory.

    CONSUMES tables over E: the results are their own first halves. ``a`` may be over F, and is left alone then.
    """
    a, b, half = _c(a), _c(b), len(a) // 2
    sums = np.empty((2, 2), np.uint64)
    out_b = b[:half]
    if a.ndim == 1:
        out_a = np.empty((half, 2), np.uint64)
        _loops.fold_round_product_base(a, b, *_scalar(r), out_a, out_b, sums)
    else:
        out_a = a[:half]
        _loops.fold_round_product(a, b, *_scalar(r), out_a, out_b, sums)
    return out_a, out_b, _pair(sums)


def inner_product(a: Array, b: Array) -> Ext:
    """sum_i a_i b_i, ``a`` over F or E, ``b`` over E."""
    out = np.empty((1, 2), np.uint64)
    (_loops.inner_product_base if a.ndim == 1 else _loops.inner_product)(_c(a), _c(b), out)
    return int(out[0, 0]), int(out[0, 1])


def eq_table(point: Sequence[Ext], scale: Ext = ONE) -> Array:
    """scale * eq(point, i) for all i, shape (2^n, 2); the first coordinate belongs to the highest bit."""
    out = np.empty((1 << len(point), 2), np.uint64)
    _loops.eq_table(field.ext_array(point), *_scalar(scale), out)
    return out


def add_eq(target: Array, point: Sequence[Ext], scale: Ext) -> None:
    """target += scale * eq(point, .), in place; ``target`` is a contiguous block over E of 2^len(point) elements."""
    if not point:
        target[...] = field.add(target, field.ext_array([scale]))
    else:
        _loops.add_doubled(target, eq_table(point[1:], scale), *_scalar(point[0]))


def gather(table: Array, indices: NDArray[np.int64]) -> Array:
    """table[indices] over E, 0 where an index is negative."""
    out = np.empty((len(indices), 2), np.uint64)
    _loops.gather(_c(table), np.ascontiguousarray(indices, np.int64), out)
    return out


def scatter_add(target: Array, indices: NDArray[np.int64], values: Array) -> None:
    """target[indices[i]] += values[i] over E, in place, with repetitions; negative indices are passed over."""
    _loops.scatter_add(target, np.ascontiguousarray(indices, np.int64), _c(values))


def combine_rows(matrix: Array, coefficients: Array) -> Array:
    """sum_i coefficients[i] * matrix[i, j] over E (cols, 2); matrix over F (rows, cols), coefficients over E (rows, 2)."""
    matrix, coefficients = _c(matrix), _c(coefficients)

    def part(rows: slice) -> Array:
        out = np.empty((matrix.shape[1], 2), np.uint64)
        _loops.combine_rows(matrix[rows], coefficients[rows], out)
        return out

    if matrix.size < _LARGE or len(matrix) == 1:
        return part(slice(None))
    return functools.reduce(field.add, in_parallel(part, parts(len(matrix))))


def dot_rows(matrix: Array, vectors: Array) -> Array:
    """sum_j matrix[i, j] vectors[g, j] for all i and g: matrix over F (rows, cols), vectors over E (count, cols, 2).

    Over E, shape (rows, count, 2).
    """
    matrix, vectors, out = _c(matrix), _c(vectors), np.empty((len(matrix), len(vectors), 2), np.uint64)

    def part(rows: slice) -> None:
        _loops.dot_rows(matrix[rows], vectors, out[rows])

    if matrix.size * len(vectors) < _LARGE:
        part(slice(None))
    else:
        in_parallel(part, parts(len(matrix)))
    return out


def evaluate(table: Array, point: Sequence[Ext]) -> Ext:
    """The multilinear extension at a point, as one inner product with two eq tables."""
    if len(point) < 2:
        return field.evaluate(table, point)
    low = len(point) // 2
    high_eq, low_eq = eq_table(point[:-low]), eq_table(point[-low:])
    if table.ndim == 1:
        return inner_product(combine_rows(table.reshape(len(high_eq), -1), high_eq).reshape(-1, 2), low_eq)
    return inner_product(table, mul(np.repeat(high_eq, len(low_eq), axis=0), np.tile(low_eq, (len(high_eq), 1))))


def warm() -> None:
    """Load all compiled loops, or compile them, once per machine: some ten seconds. Without Numba there is nothing to do."""
    if COMPILED:
        from verifiable.zk.sumcheck import native

        native.load("verifiable.zk.sumcheck.vector_kernels")
