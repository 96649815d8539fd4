# SPDX-License-Identifier: Apache-2.0
# mypy: ignore-errors
# ruff: noqa: PLR0917
"""Compiled loops of the sum-check and LogUp provers, beside those of :mod:`.kernels`; their twins are in :mod:`.sumcheck_plain`.

Fractions are two tables over E, read two leaves at a time: a row of the pair tables is (left child, right child), 4 words, and
holds (p0, t), (q0, q1) with t = p1 + lambda q1, since the summand p0 q1 + p1 q0 + lambda q0 q1 is p0 q1 + t q0. Their loops bind
the LAST variable first: rows 2i and 2i + 1 meet. Only rows that differ from 0 / 1 are stored, rounded up to what a loop reads at
once: folding leaves 0 / 1 as it is. Round sums are weighted by eq, as a product of an outer and an inner table that stays in the
cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from verifiable.zk.sumcheck.kernels import _accumulate, _accumulate2, _folded, add, ext_mul, mul, reduce3, sub
from verifiable.zk.sumcheck.native import export

_0 = np.uint64(0)
_1 = np.uint64(1)
_7 = np.uint64(7)
_U = types.uint64
_THREE = types.UniTuple(types.uint64, 3)
_WORD = ir.IntType(64)
_WIDER = ir.IntType(192)


@intrinsic
def _join(_typing: Any, _s0: Any, _s1: Any, _s2: Any, _t0: Any, _t1: Any, _t2: Any) -> Any:
    """s + 7 t, in three words: what two sums of products make as the constant term of a product over E."""

    def wide(builder: Any, words: Any) -> Any:
        parts = [builder.shl(builder.zext(w, _WIDER), ir.Constant(_WIDER, 64 * i)) for i, w in enumerate(words)]
        return builder.or_(builder.or_(parts[0], parts[1]), parts[2])

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        t = wide(builder, args[3:])
        seven = builder.sub(builder.shl(t, ir.Constant(_WIDER, 3)), t)
        value = builder.add(wide(builder, args[:3]), seven)
        parts = [builder.trunc(builder.lshr(value, ir.Constant(_WIDER, 64 * i)), _WORD) for i in range(3)]
        return context.make_tuple(builder, _THREE, parts)

    return _THREE(_U, _U, _U, _U, _U, _U), generate


# Small functions that LLVM inlines: Numba's own inlining makes it type every loop's whole body again, and takes minutes.


@njit(forceinline=True)
def _plus(a, b):
    return add(a, b)


@njit(forceinline=True)
def _minus(a, b):
    return sub(a, b)


@njit(forceinline=True)
def _times(a0, a1, b0, b1):
    return ext_mul(a0, a1, b0, b1)


@njit(forceinline=True)
def _sum2(a, b, c, d, e):
    """a + b c + d e over F."""
    return reduce3(_accumulate2(a, _0, _0, b, c, d, e))


@njit(forceinline=True)
def _between(low0, low1, high0, high1, r0, r1, r7):
    """low + r (high - low) over E, r7 = 7 r1."""
    return _folded(low0, low1, high0, high1, r0, r1, r7)


@njit(forceinline=True)
def _two_products(a0, a1, b0, b1, c0, c1, d0, d1):
    """a b + c d over E."""
    s = _accumulate2(_0, _0, _0, a0, b0, c0, d0)
    t = _accumulate2(_0, _0, _0, a1, b1, c1, d1)
    u = _accumulate2(_0, _0, _0, a0, b1, a1, b0)
    u = _accumulate2(u[0], u[1], u[2], c0, d1, c1, d0)
    return reduce3(_join(s[0], s[1], s[2], t[0], t[1], t[2])), reduce3(u)


@njit(forceinline=True)
def _gather3(acc, a0, a1, b0, b1):
    """acc + a b, unreduced."""
    s, t, u = acc
    s = _accumulate(s[0], s[1], s[2], a0, b0)
    t = _accumulate(t[0], t[1], t[2], a1, b1)
    u = _accumulate2(u[0], u[1], u[2], a0, b1, a1, b0)
    return s, t, u


@njit(forceinline=True)
def _settle(acc):
    s, t, u = acc
    return reduce3(_join(s[0], s[1], s[2], t[0], t[1], t[2])), reduce3(u)


# -- products of two tables -----------------------------------------------------------------------------------------------


@export("F2", "F2", "F2", "F2")
def weighted_round(a, b, weights, sums):
    """sums[0], sums[1] = h(0), h's leading coefficient, for weights[g] a_i b_i with i in the g-th of len(weights) equal runs."""
    half = a.shape[0] // 2
    run = half // weights.shape[0]
    s0 = s1 = t0 = t1 = _0
    for g in range(weights.shape[0]):
        c0 = c1 = d0 = d1 = _0
        for i in range(g * run, (g + 1) * run):
            j = half + i
            p0, p1 = _times(a[i, 0], a[i, 1], b[i, 0], b[i, 1])
            q0, q1 = _times(
                _minus(a[j, 0], a[i, 0]), _minus(a[j, 1], a[i, 1]), _minus(b[j, 0], b[i, 0]), _minus(b[j, 1], b[i, 1])
            )
            c0, c1, d0, d1 = _plus(c0, p0), _plus(c1, p1), _plus(d0, q0), _plus(d1, q1)
        p0, p1 = _times(c0, c1, weights[g, 0], weights[g, 1])
        q0, q1 = _times(d0, d1, weights[g, 0], weights[g, 1])
        s0, s1, t0, t1 = _plus(s0, p0), _plus(s1, p1), _plus(t0, q0), _plus(t1, q1)
    sums[0, 0], sums[0, 1], sums[1, 0], sums[1, 1] = s0, s1, t0, t1


@export("F2", "F2")
def eq_heap(point, out):
    """The eq tables of all prefixes of the point: entries 2^j ... 2^(j+1) - 1 are that of its first j coordinates."""
    out[0, 0], out[0, 1], out[1, 0], out[1, 1] = _0, _0, _1, _0
    for j in range(point.shape[0]):
        for i in range(1 << j, 2 << j):
            h0, h1 = _times(out[i, 0], out[i, 1], point[j, 0], point[j, 1])
            out[2 * i + 1, 0], out[2 * i + 1, 1] = h0, h1
            out[2 * i, 0], out[2 * i, 1] = _minus(out[i, 0], h0), _minus(out[i, 1], h1)


@export("F2", "I1", "I1", "F2", "N", "N", "N", "N", "F2")
def contract(table, starts, inputs, weights, outer, length, inner, taps, out):
    """out[o, i, k] = sum over entries e of tap i, from starts[i] on, of weights[e] table[o, inputs[e], k]; tables are flat."""
    zero = (_0, _0, _0)
    for o in range(outer):
        for i in range(taps):
            for k in range(inner):
                acc = (zero, zero, zero)
                for e in range(starts[i], starts[i + 1]):
                    j = (o * length + inputs[e]) * inner + k
                    acc = _gather3(acc, table[j, 0], table[j, 1], weights[e, 0], weights[e, 1])
                j = (o * taps + i) * inner + k
                out[j, 0], out[j, 1] = _settle(acc)


# -- fractions ------------------------------------------------------------------------------------------------------------


@export("F2", "F1", "U", "U")
def add_column(denominators, column, w0, w1):
    """denominators += w * column, in place; the column over F."""
    for i in range(column.shape[0]):
        c = column[i]
        denominators[i, 0] = _sum2(denominators[i, 0], c, w0, _0, _0)
        denominators[i, 1] = _sum2(denominators[i, 1], c, w1, _0, _0)


@export("F1", "F2", "F2", "F2")
def leaf_parents(numerators, denominators, parents_n, parents_d):
    """The layer above the leaves, whose numerators are over F and mostly 1."""
    for i in range(denominators.shape[0] // 2):
        a, b = numerators[2 * i], numerators[2 * i + 1]
        c0, c1, d0, d1 = denominators[2 * i, 0], denominators[2 * i, 1], denominators[2 * i + 1, 0], denominators[2 * i + 1, 1]
        if a == _1 and b == _1:
            parents_n[i, 0], parents_n[i, 1] = _plus(c0, d0), _plus(c1, d1)
        else:
            parents_n[i, 0] = _sum2(_0, a, d0, b, c0)
            parents_n[i, 1] = _sum2(_0, a, d1, b, c1)
        parents_d[i, 0], parents_d[i, 1] = _times(c0, c1, d0, d1)


@export("F2", "F2", "F2", "F2")
def parents(n, d, parents_n, parents_d):
    """The layer above an inner layer."""
    for i in range(d.shape[0] // 2):
        j, k = 2 * i, 2 * i + 1
        parents_n[i, 0], parents_n[i, 1] = _two_products(n[j, 0], n[j, 1], d[k, 0], d[k, 1], n[k, 0], n[k, 1], d[j, 0], d[j, 1])
        parents_d[i, 0], parents_d[i, 1] = _times(d[j, 0], d[j, 1], d[k, 0], d[k, 1])


@njit(forceinline=True)
def _summand(n, d, i):
    """p0 q1 + t q0 of row i."""
    return _two_products(n[i, 0], n[i, 1], d[i, 2], d[i, 3], n[i, 2], n[i, 3], d[i, 0], d[i, 1])


@njit(forceinline=True)
def _rise(n, d, i):
    """The same of row i + 1 minus row i: the leading coefficient."""
    j = i + 1
    return _two_products(
        _minus(n[j, 0], n[i, 0]),
        _minus(n[j, 1], n[i, 1]),
        _minus(d[j, 2], d[i, 2]),
        _minus(d[j, 3], d[i, 3]),
        _minus(n[j, 2], n[i, 2]),
        _minus(n[j, 3], n[i, 3]),
        _minus(d[j, 0], d[i, 0]),
        _minus(d[j, 1], d[i, 1]),
    )


@njit(forceinline=True)
def _add_run(total, low, high, v0, v1, o0, o1):
    """Add one run's two sums, and its share of the weights (v), times the run's own weight (o)."""
    a, b, c = total
    p0, p1 = _settle(low)
    a = _gather3(a, p0, p1, o0, o1)
    p0, p1 = _settle(high)
    b = _gather3(b, p0, p1, o0, o1)
    return a, b, _gather3(c, v0, v1, o0, o1)


@export("F2", "F2", "U", "U", "F2", "F2", "F2")
def mix_round(n, d, m0, m1, outer, inner, sums):
    """A layer's first round: put t in place of p1, and sum h(0), h's leading coefficient, and the weight of the stored rows."""
    rows = n.shape[0]
    m7 = mul(m1, _7)
    pairs, run = rows // 2, inner.shape[0]
    zero = (_0, _0, _0)
    total = ((zero, zero, zero), (zero, zero, zero), (zero, zero, zero))
    for g in range((pairs + run - 1) // run):
        low = high = (zero, zero, zero)
        w0 = w1 = _0
        for k in range(min(run, pairs - g * run)):
            i = 2 * (g * run + k)
            for j in range(i, i + 2):
                q0, q1 = d[j, 2], d[j, 3]
                n[j, 2] = _sum2(n[j, 2], q0, m0, q1, m7)
                n[j, 3] = _sum2(n[j, 3], q0, m1, q1, m0)
            a0, a1 = _summand(n, d, i)
            low = _gather3(low, a0, a1, inner[k, 0], inner[k, 1])
            a0, a1 = _rise(n, d, i)
            high = _gather3(high, a0, a1, inner[k, 0], inner[k, 1])
            w0, w1 = _plus(w0, inner[k, 0]), _plus(w1, inner[k, 1])
        total = _add_run(total, low, high, w0, w1, outer[g, 0], outer[g, 1])
    a, b, c = total
    sums[0, 0], sums[0, 1] = _settle(a)
    sums[1, 0], sums[1, 1] = _settle(b)
    sums[2, 0], sums[2, 1] = _settle(c)


@njit(forceinline=True)
def _fold_row(table, i, r0, r1, r7):
    """Row i becomes row 2i + r (row 2i + 1 - row 2i)."""
    j, k = 2 * i, 2 * i + 1
    a0, a1 = _between(table[j, 0], table[j, 1], table[k, 0], table[k, 1], r0, r1, r7)
    b0, b1 = _between(table[j, 2], table[j, 3], table[k, 2], table[k, 3], r0, r1, r7)
    table[i, 0], table[i, 1], table[i, 2], table[i, 3] = a0, a1, b0, b1


@export("F2", "F2", "U", "U")
def fold_rows(n, d, r0, r1):
    """Bind the last variable to r, in place: the first half of the rows is the result."""
    r7 = mul(r1, _7)
    for i in range(n.shape[0] // 2):
        _fold_row(n, i, r0, r1, r7)
        _fold_row(d, i, r0, r1, r7)


@export("F2", "F2", "U", "U", "F2", "F2", "F2")
def fold_round(n, d, r0, r1, outer, inner, sums):
    """The same, and the next round's sums in one pass; the number of rows is a multiple of 4."""
    r7 = mul(r1, _7)
    pairs, run = n.shape[0] // 4, inner.shape[0]
    zero = (_0, _0, _0)
    total = ((zero, zero, zero), (zero, zero, zero), (zero, zero, zero))
    for g in range((pairs + run - 1) // run):
        low = high = (zero, zero, zero)
        w0 = w1 = _0
        for k in range(min(run, pairs - g * run)):
            i = 2 * (g * run + k)
            for j in range(i, i + 2):
                _fold_row(n, j, r0, r1, r7)
                _fold_row(d, j, r0, r1, r7)
            a0, a1 = _summand(n, d, i)
            low = _gather3(low, a0, a1, inner[k, 0], inner[k, 1])
            a0, a1 = _rise(n, d, i)
            high = _gather3(high, a0, a1, inner[k, 0], inner[k, 1])
            w0, w1 = _plus(w0, inner[k, 0]), _plus(w1, inner[k, 1])
        total = _add_run(total, low, high, w0, w1, outer[g, 0], outer[g, 1])
    a, b, c = total
    sums[0, 0], sums[0, 1] = _settle(a)
    sums[1, 0], sums[1, 1] = _settle(b)
    sums[2, 0], sums[2, 1] = _settle(c)


@export("F1", "F2", "U", "U", "F2", "F2", "F2")
def leaf_round(numerators, leaves, m0, m1, outer, inner, sums):
    """The leaf layer's first round, from four leaves at a time; where all four numerators are 1, little is left to compute."""
    pairs, run = leaves.shape[0] // 4, inner.shape[0]
    m7 = mul(m1, _7)
    zero = (_0, _0, _0)
    total = ((zero, zero, zero), (zero, zero, zero), (zero, zero, zero))
    for g in range((pairs + run - 1) // run):
        # Apart: what lambda multiplies, and what it does not.
        low = high = plain_low = plain_high = (zero, zero, zero)
        w0 = w1 = _0
        for k in range(min(run, pairs - g * run)):
            i = 4 * (g * run + k)
            e0, e1 = inner[k, 0], inner[k, 1]
            w0, w1 = _plus(w0, e0), _plus(w1, e1)
            a0, a1, b0, b1 = leaves[i, 0], leaves[i, 1], leaves[i + 1, 0], leaves[i + 1, 1]
            c0, c1, d0, d1 = leaves[i + 2, 0], leaves[i + 2, 1], leaves[i + 3, 0], leaves[i + 3, 1]
            v0, v1 = _times(a0, a1, b0, b1)
            low = _gather3(low, v0, v1, e0, e1)
            c0, c1, d0, d1 = _minus(c0, a0), _minus(c1, a1), _minus(d0, b0), _minus(d1, b1)
            v0, v1 = _times(c0, c1, d0, d1)
            high = _gather3(high, v0, v1, e0, e1)
            p, q, r, s = numerators[i], numerators[i + 1], numerators[i + 2], numerators[i + 3]
            if p == _1 and q == _1 and r == _1 and s == _1:
                plain_low = _gather3(plain_low, _plus(a0, b0), _plus(a1, b1), e0, e1)
            else:
                r, s = _minus(r, p), _minus(s, q)
                v0 = _sum2(_0, p, b0, q, a0)
                v1 = _sum2(_0, p, b1, q, a1)
                plain_low = _gather3(plain_low, v0, v1, e0, e1)
                v0 = _sum2(_0, r, d0, s, c0)
                v1 = _sum2(_0, r, d1, s, c1)
                plain_high = _gather3(plain_high, v0, v1, e0, e1)
        low, high = _scaled(low, plain_low, m0, m1, m7), _scaled(high, plain_high, m0, m1, m7)
        total = _add_run(total, low, high, w0, w1, outer[g, 0], outer[g, 1])
    a, b, c = total
    sums[0, 0], sums[0, 1] = _settle(a)
    sums[1, 0], sums[1, 1] = _settle(b)
    sums[2, 0], sums[2, 1] = _settle(c)


@njit(forceinline=True)
def _scaled(acc, plain, m0, m1, m7):
    """lambda acc + plain, as an accumulator."""
    a0, a1 = _settle(acc)
    b0, b1 = _settle(plain)
    s0 = _plus(b0, _sum2(_0, a0, m0, a1, m7))
    s1 = _plus(b1, _sum2(_0, a0, m1, a1, m0))
    return (s0, _0, _0), (_0, _0, _0), (s1, _0, _0)


@export("F1", "F2", "U", "U", "U", "U", "F2", "F2")
def leaf_fold(numerators, leaves, r0, r1, m0, m1, n, d):
    """The leaf layer's first fold, into rows (p0, t), (q0, q1)."""
    r7, m7 = mul(r1, _7), mul(m1, _7)
    for i in range(n.shape[0]):
        j = 4 * i
        q0, q1 = _between(leaves[j, 0], leaves[j, 1], leaves[j + 2, 0], leaves[j + 2, 1], r0, r1, r7)
        d[i, 0], d[i, 1] = q0, q1
        q0, q1 = _between(leaves[j + 1, 0], leaves[j + 1, 1], leaves[j + 3, 0], leaves[j + 3, 1], r0, r1, r7)
        d[i, 2], d[i, 3] = q0, q1
        p0, p1 = numerators[j], _0
        t0, t1 = numerators[j + 1], _0
        if numerators[j + 2] != p0 or numerators[j + 3] != t0:
            p0, p1 = _between(p0, _0, numerators[j + 2], _0, r0, r1, r7)
            t0, t1 = _between(t0, _0, numerators[j + 3], _0, r0, r1, r7)
        n[i, 0], n[i, 1] = p0, p1
        n[i, 2] = _sum2(t0, q0, m0, q1, m7)
        n[i, 3] = _sum2(t1, q0, m1, q1, m0)
