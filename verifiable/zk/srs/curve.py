# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of BN254's first group, as much as checking a setup needs, in plain Python integers.

Points are affine ``(x, y)`` with ``y^2 = x^3 + 3``, or Jacobian ``(X, Y, Z)`` with ``x = X/Z^2, y = Y/Z^3`` and ``Z = 0`` for
the identity. Formulas: Explicit-Formulas Database, short Weierstrass with a = 0 (dbl-2009-l, madd-2004-hmv, add-1986-cc). The
group has prime order, so every point on the curve is in it. Not constant-time: everything handled here is public.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Affine = tuple[int, int]
Jacobian = tuple[int, int, int]
#: A point of the second group: x.c0, x.c1, y.c0, y.c1.
Twisted = tuple[int, int, int, int]

FIELD = 0x30644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD47
ORDER = 0x30644E72E131A029B85045B68181585D2833E84879B9709143E1F593F0000001
GENERATOR: Affine = (1, 2)
GENERATOR_2: Twisted = (
    0x1800DEEF121F1E76426A00665E5C4479674322D4F75EDADD46DEBD5CD992F6ED,
    0x198E9393920D483A7260BFB731FB5D25F1AA493335A9E71297E485B7AEF312C2,
    0x12C85EA5DB8C6DEB4AAB71808DCB408FE3D1E7690C43D37B4CE6CC0166FA7DAA,
    0x090689D0585FF075EC9E99AD690C3395BC4B313370B38EF355ACDADCD122975B,
)
IDENTITY: Jacobian = (1, 1, 0)
TWO_ADICITY = 28
#: halo2curves takes 7 as the generator of the scalar field's units, and 7^((r - 1) / 2^28) as the root of unity of order 2^28.
_ROOT = pow(7, (ORDER - 1) >> TWO_ADICITY, ORDER)


def root_of_unity(logrows: int) -> int:
    """The generator of the evaluation domain of size ``2**logrows`` that halo2 uses."""
    return pow(_ROOT, 1 << (TWO_ADICITY - logrows), ORDER)


def double(point: Jacobian) -> Jacobian:
    """``2 * point``."""
    x, y, z = point
    a = x * x % FIELD
    b = y * y % FIELD
    d = 4 * x * b % FIELD
    e = 3 * a
    x3 = (e * e - 2 * d) % FIELD
    return x3, (e * (d - x3) - 8 * b * b) % FIELD, 2 * y * z % FIELD


def add_affine(point: Jacobian, other: Affine) -> Jacobian:
    """``point + other``, for all points."""
    x1, y1, z1 = point
    x2, y2 = other
    if not z1:
        return x2, y2, 1
    zz = z1 * z1 % FIELD
    h = (x2 * zz - x1) % FIELD
    r = (y2 * zz % FIELD * z1 - y1) % FIELD
    if not h:
        return IDENTITY if r else double(point)
    hh = h * h % FIELD
    hhh = h * hh % FIELD
    v = x1 * hh % FIELD
    x3 = (r * r - hhh - 2 * v) % FIELD
    return x3, (r * (v - x3) - y1 * hhh) % FIELD, z1 * h % FIELD


def add(point: Jacobian, other: Jacobian) -> Jacobian:
    """``point + other``, for all points."""
    x1, y1, z1 = point
    x2, y2, z2 = other
    if not z2:
        return point
    if not z1:
        return other
    zz1, zz2 = z1 * z1 % FIELD, z2 * z2 % FIELD
    u1, s1 = x1 * zz2 % FIELD, y1 * zz2 % FIELD * z2 % FIELD
    h = (x2 * zz1 - u1) % FIELD
    r = (y2 * zz1 % FIELD * z1 - s1) % FIELD
    if not h:
        return IDENTITY if r else double(point)
    hh = h * h % FIELD
    hhh = h * hh % FIELD
    v = u1 * hh % FIELD
    x3 = (r * r - hhh - 2 * v) % FIELD
    return x3, (r * (v - x3) - s1 * hhh) % FIELD, z1 * z2 % FIELD * h % FIELD


def negate(point: Jacobian) -> Jacobian:
    """``-point``."""
    return point[0], -point[1] % FIELD, point[2]


def multiply(point: Jacobian, scalar: int) -> Jacobian:
    """``scalar * point`` by double-and-add; ``scalar`` is taken modulo the group order."""
    result = IDENTITY
    for bit in f"{scalar % ORDER:b}":
        result = double(result)
        if bit == "1":
            result = add(result, point)
    return result


def affine(points: Sequence[Jacobian]) -> list[Affine | None]:
    """The points in affine form, the identity as None. One inversion for all of them (Montgomery's trick)."""
    prefix, product = [], 1
    for _, _, z in points:
        prefix.append(product)
        product = product * (z or 1) % FIELD
    inverse = pow(product, -1, FIELD)
    result: list[Affine | None] = [None] * len(points)
    for i in range(len(points) - 1, -1, -1):
        x, y, z = points[i]
        if z:
            one = inverse * prefix[i] % FIELD
            inverse = inverse * z % FIELD
            square = one * one % FIELD
            result[i] = (x * square % FIELD, y * square % FIELD * one % FIELD)
    return result


def multi_scalar(points: Sequence[Affine], scalars: Sequence[int], bits: int) -> Iterator[Jacobian]:
    """Pippenger's bucket method for ``sum scalar * point``; scalars are below ``2**bits``.

    Yields the partial result after each window of scalar bits (so that callers can show progress); the last one is the sum.
    """
    width = _window_width(len(points))
    total = IDENTITY
    for shift in range((bits - 1) // width * width, -1, -width):
        for _ in range(width):
            total = double(total)
        total = add(total, _window(points, scalars, shift, width))
        yield total


def window_count(points: int, bits: int) -> int:
    """How many partial results :func:`multi_scalar` yields."""
    return -(-bits // _window_width(points))


def _window_width(points: int) -> int:
    return max(2, min(points.bit_length() - 2, 16))


def _window(points: Sequence[Affine], scalars: Sequence[int], shift: int, width: int) -> Jacobian:
    mask = (1 << width) - 1
    buckets: list[Jacobian] = [IDENTITY] * (mask + 1)
    for point, scalar in zip(points, scalars, strict=True):
        if digit := scalar >> shift & mask:
            buckets[digit] = add_affine(buckets[digit], point)
    running = total = IDENTITY
    for bucket in reversed(buckets[1:]):  # sum of digit * bucket as a sum of suffix sums
        running = add(running, bucket)
        total = add(total, running)
    return total


def lagrange_basis(powers: Sequence[Affine], logrows: int) -> list[Affine | None]:
    """Commitments to the Lagrange polynomials from those to the monomials: the inverse FFT over the group.

    About ``n/2 log n`` scalar multiplications for ``n = 2**logrows`` points: a second or two at logrows 8.
    """
    points: list[Jacobian] = [(*powers[i], 1) for i in _bit_reversed(logrows)]
    for level in range(1, logrows + 1):
        half, root = 1 << (level - 1), pow(root_of_unity(level), -1, ORDER)
        for start in range(0, len(points), 2 * half):
            twiddle = 1
            for j in range(start, start + half):
                high = points[j + half] if twiddle == 1 else multiply(points[j + half], twiddle)
                points[j], points[j + half] = add(points[j], high), add(points[j], negate(high))
                twiddle = twiddle * root % ORDER
    scale = pow(1 << logrows, -1, ORDER)
    return affine([multiply(point, scale) for point in points])


def _bit_reversed(logrows: int) -> list[int]:
    return [int(f"{i:0{logrows}b}"[::-1], 2) for i in range(1 << logrows)]
