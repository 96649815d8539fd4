# SPDX-License-Identifier: Apache-2.0
"""Goldilocks, p = 2^64 - 2^32 + 1, and its quadratic extension E = F[x]/(x^2 - 7), in plain Python and NumPy.

Everything that a verifier computes with. A scalar of E is a pair of Python integers ``(a, b)`` for ``a + b*x``; an array of F is
``uint64`` with every entry below p; an array of E is the same with a last axis of length 2. 7 generates the multiplicative
group of F, so it is no square and the extension is a field (of about 2^128 elements).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from verifiable.errors import MalformedError

Array: TypeAlias = NDArray[np.uint64]
Ext: TypeAlias = tuple[int, int]

P = 2**64 - 2**32 + 1
GENERATOR = 7
TWO_ADICITY = 32
ZERO: Ext = (0, 0)
ONE: Ext = (1, 0)

_P = np.uint64(P)
_LOW = np.uint64(2**32 - 1)  # also 2^64 mod p
_32 = np.uint64(32)
_CHUNK = 4096
_MOST_TERMS = 1 << 20
_PLACES = np.array([2 ** (16 * place) % P for place in range(7)], np.uint64).reshape(7, 1, 1)


# -- scalars of E ---------------------------------------------------------------------------------------------------------


def ext_add(a: Ext, b: Ext) -> Ext:
    """a + b."""
    return (a[0] + b[0]) % P, (a[1] + b[1]) % P


def ext_sub(a: Ext, b: Ext) -> Ext:
    """a - b."""
    return (a[0] - b[0]) % P, (a[1] - b[1]) % P


def ext_mul(a: Ext, b: Ext) -> Ext:
    """a * b, with x^2 = 7."""
    return (a[0] * b[0] + GENERATOR * a[1] * b[1]) % P, (a[0] * b[1] + a[1] * b[0]) % P


def ext_inverse(a: Ext) -> Ext:
    """1 / a by the norm: (a0 - a1 x) / (a0^2 - 7 a1^2). Raises ZeroDivisionError for 0."""
    norm = (a[0] * a[0] - GENERATOR * a[1] * a[1]) % P
    if norm == 0:
        raise ZeroDivisionError("0 has no inverse")
    inverse = pow(norm, P - 2, P)
    return a[0] * inverse % P, -a[1] * inverse % P


def ext_sum(terms: Sequence[Ext]) -> Ext:
    """The sum of the terms."""
    return sum(t[0] for t in terms) % P, sum(t[1] for t in terms) % P


def horner(coefficients: Sequence[Ext], at: Ext) -> Ext:
    """c[0] + c[1]*at + c[2]*at^2 + ..."""
    value = ZERO
    for coefficient in reversed(coefficients):
        value = ext_add(ext_mul(value, at), coefficient)
    return value


# -- arrays of F ----------------------------------------------------------------------------------------------------------


def add(a: Array, b: Array) -> Array:
    """a + b, elementwise."""
    total = a + b
    # Where the sum wrapped it lost 2^64; subtracting p modulo 2^64 puts that right and reduces at once.
    return np.where((total < a) | (total >= _P), total - _P, total)


def sub(a: Array, b: Array) -> Array:
    """a - b, elementwise."""
    difference = a - b
    return np.where(a < b, difference + _P, difference)


def mul(a: Array, b: Array) -> Array:
    """a * b, elementwise, of shapes that broadcast."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    out = np.empty(shape, dtype=np.uint64)
    if out.size <= _CHUNK:
        _mul_into(out, a, b)
        return out
    # In pieces that stay in the first-level cache, with all their intermediate values: several times as fast.
    flat, a, b = out.reshape(-1), np.broadcast_to(a, shape).reshape(-1), np.broadcast_to(b, shape).reshape(-1)
    for start in range(0, len(flat), _CHUNK):
        piece = slice(start, start + _CHUNK)
        _mul_into(flat[piece], a[piece], b[piece])
    return out


def _mul_into(out: Array, a: Array, b: Array) -> None:
    """The 128-bit product in 32-bit limbs, folded by 2^64 = 2^32 - 1 and 2^96 = -1 (mod p)."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _32, b & _LOW, b >> _32
    low = a_low * b_low
    middle = a_high * b_low
    middle += low >> _32
    other = a_low * b_high
    other += middle & _LOW
    high = a_high * b_high
    high += middle >> _32
    high += other >> _32
    low &= _LOW
    low |= other << _32
    high_high = high >> _32
    reduced = low - high_high
    reduced -= (low < high_high) * _LOW
    high &= _LOW
    addend = (high << _32) - high
    reduced += addend
    reduced += (reduced < addend) * _LOW
    # Below p, x - p wraps to more than x; from p on it is what is wanted.
    np.minimum(reduced, reduced - _P, out=out)


def total(values: Array) -> int:
    """The sum along the only axis, as an integer below p."""
    # Halves are summed apart: 2^32 terms of 32 bits fit into 64.
    return (int((values & _LOW).sum(dtype=np.uint64)) + (int((values >> _32).sum(dtype=np.uint64)) << 32)) % P


def sum_axis(values: Array, axis: int) -> Array:
    """The sums along one axis of at most 2^32 elements."""
    low: Array = (values & _LOW).sum(axis=axis, dtype=np.uint64)
    high: Array = (values >> _32).sum(axis=axis, dtype=np.uint64)
    # high < 2^64 here: 2^32 terms of 32 bits
    shifted = mul(high % _P, np.full_like(high, 1 << 32))
    return add(low % _P, shifted)


def matmul(a: Array, b: Array) -> Array:
    """The matrix product over F of shapes (m, n) and (n, k).

    As a product of 16-bit limbs in double precision, exact in any order of summation: sums stay below 2^53.
    """
    (m, n), k = a.shape, b.shape[1]
    result = np.zeros((m, k), np.uint64)
    for start in range(0, n, _MOST_TERMS):
        left, right = _limbs(a[:, start : start + _MOST_TERMS].T), _limbs(b[start : start + _MOST_TERMS])
        sums = (left.T @ right).astype(np.uint64).reshape(m, 4, k, 4)
        # Limbs i and j of the factors meet in place i + j; there are at most four such pairs.
        places = np.stack([sum(sums[:, i, :, p - i] for i in range(max(0, p - 3), min(3, p) + 1)) for p in range(7)])
        result = add(result, sum_axis(mul(places, _PLACES), 0))
    return result


def _limbs(values: Array) -> NDArray[np.float64]:
    """(n, k) to (n, 4 k): four limbs of each element, lowest first."""
    return np.ascontiguousarray(values, "<u8").view("<u2").astype(np.float64)


def from_signed(values: NDArray[np.int64]) -> Array:
    """Integers in (-2^63, 2^63) as field elements: negative v becomes p + v."""
    lifted = values.astype(np.uint64)
    return np.where(values < 0, lifted + _P, lifted)


# -- arrays of E ----------------------------------------------------------------------------------------------------------


def ext_array(scalars: Sequence[Ext]) -> Array:
    """Scalars as an array of shape (n, 2)."""
    return np.array(scalars, dtype=np.uint64).reshape(-1, 2)


def lift(values: Array) -> Array:
    """An array of F as one of E."""
    return np.stack([values, np.zeros_like(values)], axis=-1)


def mul_ext(a: Array, b: Array) -> Array:
    """a * b for arrays of E."""
    cross = add(mul(a[..., 0], b[..., 1]), mul(a[..., 1], b[..., 0]))
    norm = mul(a[..., 1], b[..., 1])
    return np.stack([add(mul(a[..., 0], b[..., 0]), mul(norm, np.full_like(norm, GENERATOR))), cross], axis=-1)


def scale_ext(a: Array, by: Ext) -> Array:
    """a * by for an array of E and a scalar."""
    both = mul(a[..., None], np.array([[by[0], by[1]], [GENERATOR * by[1] % P, by[0]]], np.uint64))
    return add(both[..., 0, :], both[..., 1, :])


def dot_ext(a: Array, b: Array) -> Ext:
    """The inner product of two arrays of E of shape (n, 2)."""
    (s, t), (u, v) = matmul(a.T, b).tolist()
    return (s + GENERATOR * v) % P, (t + u) % P


def combine_rows(matrix: Array, coefficients: Array) -> Array:
    """sum_i coefficients[i] * matrix[i, j]: matrix over F (rows, cols), coefficients over E (rows, 2), result (cols, 2)."""
    return matmul(matrix.T, coefficients)


def eq_table(point: Sequence[Ext]) -> Array:
    """eq(point, i) for all i in [0, 2^n), shape (2^n, 2); the first coordinate belongs to the highest bit of i."""
    table = ext_array([ONE])
    for coordinate in point:
        high = scale_ext(table, coordinate)
        table = np.stack([sub(table, high), high], axis=1).reshape(-1, 2)
    return table


def eq_point(a: Sequence[Ext], b: Sequence[Ext]) -> Ext:
    """eq(a, b) = prod (a_i b_i + (1 - a_i)(1 - b_i))."""
    value = ONE
    for x, y in zip(a, b, strict=True):
        product = ext_mul(x, y)
        term = ext_add(ext_sub(ext_sub(ONE, x), y), ext_add(product, product))
        value = ext_mul(value, term)
    return value


def evaluate(table: Array, point: Sequence[Ext]) -> Ext:
    """The multilinear extension of a table over F (shape (2^n,)) or E (shape (2^n, 2)) at a point of E^n."""
    current = lift(table) if table.ndim == 1 else table
    for coordinate in point:
        half = len(current) // 2
        current = add(current[:half], scale_ext(sub(current[half:], current[:half]), coordinate))
    return int(current[0, 0]), int(current[0, 1])


# -- encodings ------------------------------------------------------------------------------------------------------------


def encode(values: Array) -> bytes:
    """Little-endian, 8 bytes per element of F."""
    return np.ascontiguousarray(values, dtype="<u8").tobytes()


def decode(data: bytes, what: str) -> Array:
    """The inverse of :func:`encode`. Raises MalformedError for an element that is not below p.

    1 and p + 1 are one number; two byte strings for one proof would be two proofs.
    """
    if len(data) % 8:
        raise MalformedError(f"{what}: not a whole number of field elements")
    values = np.frombuffer(data, dtype="<u8").astype(np.uint64)
    if values.size and int(values.max()) >= P:
        raise MalformedError(f"{what}: a field element that is not below p")
    return values


def root_of_unity(log_order: int) -> int:
    """A primitive root of unity of order 2^log_order, at most 2^32."""
    if not 0 <= log_order <= TWO_ADICITY:
        raise ValueError(f"no root of order 2^{log_order}")
    return pow(GENERATOR, (P - 1) >> log_order, P)


def bit_reversal(size: int) -> NDArray[np.int64]:
    """Each index below a power of two with its bits in reverse order."""
    order = np.zeros(1, dtype=np.int64)
    while len(order) < size:
        order = np.concatenate([2 * order, 2 * order + 1])
    return order


def ntt(values: Array, *, log_padding: int = 0) -> Array:
    """sum_j values[..., j] * w^(i*j) along the last axis, which is first padded with zeros to 2^log_padding times its length 2^n.

    Natural order in and out (decimation in time). With zeros in all places but one, the first levels only repeat values.
    """
    log_size = values.shape[-1].bit_length() - 1 + log_padding
    size = 1 << log_size
    current = np.repeat(values[..., bit_reversal(values.shape[-1])], 1 << log_padding, axis=-1)
    for level in range(1 + log_padding, log_size + 1):
        half = 1 << (level - 1)
        blocks = current.reshape(*values.shape[:-1], size >> level, 2, half)
        even, odd = blocks[..., 0, :], mul(blocks[..., 1, :], powers(root_of_unity(level), half))
        current = np.stack([add(even, odd), sub(even, odd)], axis=-2).reshape(*values.shape[:-1], size)
    return current


def powers(base: int, count: int) -> Array:
    """1, base, base^2, ... (count of them)."""
    result = np.ones(1, dtype=np.uint64)
    while len(result) < count:
        step = pow(base, len(result), P)
        result = np.concatenate([result, mul(result, np.full_like(result, step))])
    return result[:count]
