# SPDX-License-Identifier: Apache-2.0
# mypy: ignore-errors
# ruff: noqa: PLR0917
"""The prover's inner loops, compiled by :mod:`.native` and reached through :mod:`.tables`.

Arrays follow :mod:`.field` and are C-contiguous; outputs are passed in, so nothing here allocates. Sums of products stay
unreduced in three words (192 bits) for as long as possible, since a reduction costs more than a product. The interpreter's lock
is released.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from verifiable.zk.sumcheck.native import export

_P = np.uint64(0xFFFFFFFF00000001)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_0 = np.uint64(0)

_WORD = ir.IntType(64)
_WIDE = ir.IntType(128)
_WIDER = ir.IntType(192)
_U = types.uint64
_THREE = types.UniTuple(types.uint64, 3)


# -- 192-bit sums of products ---------------------------------------------------------------------------------------------


def _product(builder: Any, a: Any, b: Any) -> Any:
    wide = builder.mul(builder.zext(a, _WIDE), builder.zext(b, _WIDE))
    return builder.zext(wide, _WIDER)


def _words(context: Any, builder: Any, value: Any) -> Any:
    parts = [builder.trunc(builder.lshr(value, ir.Constant(_WIDER, 64 * i)), _WORD) for i in range(3)]
    return context.make_tuple(builder, _THREE, parts)


def _value(builder: Any, words: Any) -> Any:
    parts = [builder.shl(builder.zext(w, _WIDER), ir.Constant(_WIDER, 64 * i)) for i, w in enumerate(words)]
    return builder.or_(builder.or_(parts[0], parts[1]), parts[2])


@intrinsic
def _multiply(_typing: Any, _a: Any, _b: Any) -> Any:
    """a b, in three words."""

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return _words(context, builder, _product(builder, args[0], args[1]))

    return _THREE(_U, _U), generate


@intrinsic
def _accumulate(_typing: Any, _s0: Any, _s1: Any, _s2: Any, _a: Any, _b: Any) -> Any:
    """s + a b, in three words."""

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return _words(context, builder, builder.add(_value(builder, args[:3]), _product(builder, args[3], args[4])))

    return _THREE(_U, _U, _U, _U, _U), generate


@intrinsic
def _accumulate2(_typing: Any, _s0: Any, _s1: Any, _s2: Any, _a: Any, _b: Any, _c: Any, _d: Any) -> Any:
    """s + a b + c d, in three words."""

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        products = builder.add(_product(builder, args[3], args[4]), _product(builder, args[5], args[6]))
        return _words(context, builder, builder.add(_value(builder, args[:3]), products))

    return _THREE(_U, _U, _U, _U, _U, _U, _U), generate


@intrinsic
def _norm(_typing: Any, _a: Any, _b: Any, _c: Any, _d: Any) -> Any:
    """a b + 7 c d, in three words: the constant term of (a + c x)(b + d x)."""

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        product = _product(builder, args[2], args[3])
        seven = builder.sub(builder.shl(product, ir.Constant(_WIDER, 3)), product)
        return _words(context, builder, builder.add(_product(builder, args[0], args[1]), seven))

    return _THREE(_U, _U, _U, _U), generate


# -- the field ------------------------------------------------------------------------------------------------------------


@njit(inline="always")
def reduce2(low, high):
    """low + 2^64 high mod p, by 2^64 = 2^32 - 1 and 2^96 = -1."""
    high_high = high >> _32
    high_low = high & _LOW
    reduced = low - high_high
    if low < high_high:
        reduced -= _LOW
    addend = (high_low << _32) - high_low
    total = reduced + addend
    if total < addend:
        total += _LOW
    if total >= _P:
        total -= _P
    return total


@njit(inline="always")
def reduce3(words):
    """The same with a third word below 2^31, by 2^128 = -2^32."""
    value = reduce2(words[0], words[1])
    top = words[2] << _32
    difference = value - top
    if value < top:
        difference += _P
    return difference


@njit(inline="always")
def mul(a, b):
    """a b mod p."""
    words = _multiply(a, b)
    return reduce2(words[0], words[1])


@njit(inline="always")
def add(a, b):
    """a + b mod p."""
    total = a + b
    if total < a or total >= _P:
        total -= _P
    return total


@njit(inline="always")
def sub(a, b):
    """a - b mod p."""
    difference = a - b
    if a < b:
        difference += _P
    return difference


@njit(inline="always")
def ext_mul(a0, a1, b0, b1):
    """(a0 + a1 x)(b0 + b1 x): four products, two reductions."""
    return reduce3(_norm(a0, b0, a1, b1)), reduce3(_accumulate2(_0, _0, _0, a0, b1, a1, b0))


@njit(inline="always")
def _folded(low0, low1, high0, high1, r0, r1, r7):
    """low + r (high - low), r7 = 7 r1."""
    d0 = sub(high0, low0)
    d1 = sub(high1, low1)
    return reduce3(_accumulate2(low0, _0, _0, d0, r0, d1, r7)), reduce3(_accumulate2(low1, _0, _0, d0, r1, d1, r0))


@njit(inline="always")
def _seven(constant, norm):
    """constant + 7 norm."""
    return add(constant, mul(norm, np.uint64(7)))


# -- elementwise ----------------------------------------------------------------------------------------------------------


@export("F1", "F1", "F1")
def mul_base(a, b, out):
    """a b over F."""
    for i in range(a.shape[0]):
        out[i] = mul(a[i], b[i])


@export("F2", "F2", "F2")
def mul_ext(a, b, out):
    """a b over E."""
    for i in range(a.shape[0]):
        out[i, 0], out[i, 1] = ext_mul(a[i, 0], a[i, 1], b[i, 0], b[i, 1])


# -- sum-check ------------------------------------------------------------------------------------------------------------


@export("F2", "U", "U", "F2")
def fold(table, r0, r1, out):
    """(2n, 2) -> (n, 2); ``out`` may be the table's own first half."""
    half = table.shape[0] // 2
    r7 = mul(r1, np.uint64(7))
    for i in range(half):
        out[i, 0], out[i, 1] = _folded(table[i, 0], table[i, 1], table[half + i, 0], table[half + i, 1], r0, r1, r7)


@export("F1", "U", "U", "F2")
def fold_base(table, r0, r1, out):
    """(2n,) -> (n, 2)."""
    half = table.shape[0] // 2
    for i in range(half):
        d = sub(table[half + i], table[i])
        out[i, 0] = reduce3(_accumulate(table[i], _0, _0, d, r0))
        out[i, 1] = mul(d, r1)


@export("F2", "F2", "F2")
def round_product(a, b, sums):
    """sums[0] = sum of low a times low b, sums[1] = sum of (high - low)(high - low)."""
    half = a.shape[0] // 2
    s = t = u = v = w = x = (_0, _0, _0)
    for i in range(half):
        a0, a1, b0, b1 = a[i, 0], a[i, 1], b[i, 0], b[i, 1]
        s = _accumulate(s[0], s[1], s[2], a0, b0)
        t = _accumulate(t[0], t[1], t[2], a1, b1)
        u = _accumulate2(u[0], u[1], u[2], a0, b1, a1, b0)
        c0, c1 = sub(a[half + i, 0], a0), sub(a[half + i, 1], a1)
        d0, d1 = sub(b[half + i, 0], b0), sub(b[half + i, 1], b1)
        v = _accumulate(v[0], v[1], v[2], c0, d0)
        w = _accumulate(w[0], w[1], w[2], c1, d1)
        x = _accumulate2(x[0], x[1], x[2], c0, d1, c1, d0)
    sums[0, 0], sums[0, 1] = _seven(reduce3(s), reduce3(t)), reduce3(u)
    sums[1, 0], sums[1, 1] = _seven(reduce3(v), reduce3(w)), reduce3(x)


@export("F1", "F2", "F2")
def round_product_base(a, b, sums):
    """The same with ``a`` over F."""
    half = a.shape[0] // 2
    s = t = u = v = (_0, _0, _0)
    for i in range(half):
        low, b0, b1 = a[i], b[i, 0], b[i, 1]
        s = _accumulate(s[0], s[1], s[2], low, b0)
        t = _accumulate(t[0], t[1], t[2], low, b1)
        c = sub(a[half + i], low)
        u = _accumulate(u[0], u[1], u[2], c, sub(b[half + i, 0], b0))
        v = _accumulate(v[0], v[1], v[2], c, sub(b[half + i, 1], b1))
    sums[0, 0], sums[0, 1], sums[1, 0], sums[1, 1] = reduce3(s), reduce3(t), reduce3(u), reduce3(v)


@njit(inline="always")
def _add_round(acc, i, j, a, b):
    """Add elements i (low) and j (high) of the folded tables to the six sums."""
    s, t, u, v, w, x = acc
    a0, a1, b0, b1 = a[i, 0], a[i, 1], b[i, 0], b[i, 1]
    c0, c1, d0, d1 = sub(a[j, 0], a0), sub(a[j, 1], a1), sub(b[j, 0], b0), sub(b[j, 1], b1)
    s = _accumulate(s[0], s[1], s[2], a0, b0)
    t = _accumulate(t[0], t[1], t[2], a1, b1)
    u = _accumulate2(u[0], u[1], u[2], a0, b1, a1, b0)
    v = _accumulate(v[0], v[1], v[2], c0, d0)
    w = _accumulate(w[0], w[1], w[2], c1, d1)
    x = _accumulate2(x[0], x[1], x[2], c0, d1, c1, d0)
    return s, t, u, v, w, x


@export("F2", "F2", "U", "U", "F2", "F2", "F2")
def fold_round_product(a, b, r0, r1, out_a, out_b, sums):
    """Fold both (4n, 2) -> (2n, 2) and sum the next round in the same pass; outputs may be the inputs' own first halves."""
    quarter = a.shape[0] // 4
    half = 2 * quarter
    r7 = mul(r1, np.uint64(7))
    zero = (_0, _0, _0)
    acc = (zero, zero, zero, zero, zero, zero)
    for i in range(quarter):
        for k in range(i, half, quarter):
            out_a[k, 0], out_a[k, 1] = _folded(a[k, 0], a[k, 1], a[k + half, 0], a[k + half, 1], r0, r1, r7)
            out_b[k, 0], out_b[k, 1] = _folded(b[k, 0], b[k, 1], b[k + half, 0], b[k + half, 1], r0, r1, r7)
        acc = _add_round(acc, i, i + quarter, out_a, out_b)
    s, t, u, v, w, x = acc
    sums[0, 0], sums[0, 1] = _seven(reduce3(s), reduce3(t)), reduce3(u)
    sums[1, 0], sums[1, 1] = _seven(reduce3(v), reduce3(w)), reduce3(x)


@export("F1", "F2", "U", "U", "F2", "F2", "F2")
def fold_round_product_base(a, b, r0, r1, out_a, out_b, sums):
    """The same with ``a`` over F, shape (4n,)."""
    quarter = a.shape[0] // 4
    half = 2 * quarter
    r7 = mul(r1, np.uint64(7))
    zero = (_0, _0, _0)
    acc = (zero, zero, zero, zero, zero, zero)
    for i in range(quarter):
        for k in range(i, half, quarter):
            d = sub(a[k + half], a[k])
            out_a[k, 0] = reduce3(_accumulate(a[k], _0, _0, d, r0))
            out_a[k, 1] = mul(d, r1)
            out_b[k, 0], out_b[k, 1] = _folded(b[k, 0], b[k, 1], b[k + half, 0], b[k + half, 1], r0, r1, r7)
        acc = _add_round(acc, i, i + quarter, out_a, out_b)
    s, t, u, v, w, x = acc
    sums[0, 0], sums[0, 1] = _seven(reduce3(s), reduce3(t)), reduce3(u)
    sums[1, 0], sums[1, 1] = _seven(reduce3(v), reduce3(w)), reduce3(x)


@export("F2", "F2", "F2")
def inner_product(a, b, out):
    """out[0] = sum a_i b_i over E."""
    s = t = u = (_0, _0, _0)
    for i in range(a.shape[0]):
        s = _accumulate(s[0], s[1], s[2], a[i, 0], b[i, 0])
        t = _accumulate(t[0], t[1], t[2], a[i, 1], b[i, 1])
        u = _accumulate2(u[0], u[1], u[2], a[i, 0], b[i, 1], a[i, 1], b[i, 0])
    out[0, 0], out[0, 1] = _seven(reduce3(s), reduce3(t)), reduce3(u)


@export("F1", "F2", "F2")
def inner_product_base(a, b, out):
    """The same with ``a`` over F."""
    s = t = (_0, _0, _0)
    for i in range(a.shape[0]):
        s = _accumulate(s[0], s[1], s[2], a[i], b[i, 0])
        t = _accumulate(t[0], t[1], t[2], a[i], b[i, 1])
    out[0, 0], out[0, 1] = reduce3(s), reduce3(t)


@export("F2", "U", "U", "F2")
def eq_table(point, s0, s1, out):
    """out[i] = s eq(point, i): doubled in place from the last coordinate to the first."""
    out[0, 0], out[0, 1] = s0, s1
    size = 1
    for k in range(point.shape[0] - 1, -1, -1):
        r0, r1 = point[k, 0], point[k, 1]
        for i in range(size):
            a0, a1 = out[i, 0], out[i, 1]
            h0, h1 = ext_mul(a0, a1, r0, r1)
            out[size + i, 0], out[size + i, 1] = h0, h1
            out[i, 0], out[i, 1] = sub(a0, h0), sub(a1, h1)
        size *= 2


@export("F2", "F2", "U", "U")
def add_doubled(target, table, r0, r1):
    """target += the table doubled by one more first coordinate r."""
    half = table.shape[0]
    for i in range(half):
        a0, a1 = table[i, 0], table[i, 1]
        h0, h1 = ext_mul(a0, a1, r0, r1)
        target[half + i, 0] = add(target[half + i, 0], h0)
        target[half + i, 1] = add(target[half + i, 1], h1)
        target[i, 0] = add(target[i, 0], sub(a0, h0))
        target[i, 1] = add(target[i, 1], sub(a1, h1))


@export("F2", "I1", "F2")
def gather(table, indices, out):
    """out[i] = table[indices[i]], 0 where the index is negative."""
    for i in range(indices.shape[0]):
        j = indices[i]
        if j >= 0:
            out[i, 0], out[i, 1] = table[j, 0], table[j, 1]
        else:
            out[i, 0], out[i, 1] = _0, _0


@export("F2", "I1", "F2")
def scatter_add(target, indices, values):
    """target[indices[i]] += values[i]; negative indices are passed over."""
    for i in range(indices.shape[0]):
        j = indices[i]
        if j >= 0:
            target[j, 0] = add(target[j, 0], values[i, 0])
            target[j, 1] = add(target[j, 1], values[i, 1])


# -- commitment -----------------------------------------------------------------------------------------------------------


@export("F2", "F2", "F2")
def combine_rows(matrix, coefficients, out):
    """out[j] = sum_i coefficients[i] matrix[i, j]; eight rows at a time, so that strides of a power of two stay in the cache."""
    rows, cols = matrix.shape
    for j in range(cols):
        out[j, 0], out[j, 1] = _0, _0
    whole = rows // 8 * 8
    for i in range(0, whole, 8):
        for j in range(cols):
            s = (out[j, 0], _0, _0)
            t = (out[j, 1], _0, _0)
            for k in range(i, i + 8, 2):
                a, b = matrix[k, j], matrix[k + 1, j]
                s = _accumulate2(s[0], s[1], s[2], a, coefficients[k, 0], b, coefficients[k + 1, 0])
                t = _accumulate2(t[0], t[1], t[2], a, coefficients[k, 1], b, coefficients[k + 1, 1])
            out[j, 0], out[j, 1] = reduce3(s), reduce3(t)
    for j in range(cols if whole < rows else 0):
        s = (out[j, 0], _0, _0)
        t = (out[j, 1], _0, _0)
        for i in range(whole, rows):
            s = _accumulate(s[0], s[1], s[2], matrix[i, j], coefficients[i, 0])
            t = _accumulate(t[0], t[1], t[2], matrix[i, j], coefficients[i, 1])
        out[j, 0], out[j, 1] = reduce3(s), reduce3(t)


@export("F2", "F3", "F3")
def dot_rows(matrix, vectors, out):
    """out[i, g] = sum_j matrix[i, j] vectors[g, j]."""
    for i in range(matrix.shape[0]):
        for g in range(vectors.shape[0]):
            s = t = (_0, _0, _0)
            for j in range(matrix.shape[1]):
                s = _accumulate(s[0], s[1], s[2], matrix[i, j], vectors[g, j, 0])
                t = _accumulate(t[0], t[1], t[2], matrix[i, j], vectors[g, j, 1])
            out[i, g, 0], out[i, g, 1] = reduce3(s), reduce3(t)
