# SPDX-License-Identifier: Apache-2.0
"""The group law against py_ecc, and the cases a short formula forgets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc import optimized_bn128 as bn

from verifiable.zk.srs import curve
from verifiable.zk.srs.curve import FIELD, GENERATOR, IDENTITY, ORDER

G = (*GENERATOR, 1)
SCALARS = st.one_of(st.integers(0, 5), st.integers(ORDER - 5, ORDER + 5), st.integers(0, ORDER - 1))


def oracle(scalar: int) -> curve.Affine | None:
    point = bn.multiply(bn.G1, scalar % ORDER)
    return None if bn.is_inf(point) else tuple(int(c.n) for c in bn.normalize(point))


def test_the_constants_are_those_of_the_curve() -> None:
    assert (bn.field_modulus, bn.curve_order) == (FIELD, ORDER)
    x, y, _ = bn.G2
    assert (*(int(c) for c in x.coeffs), *(int(c) for c in y.coeffs)) == curve.GENERATOR_2
    assert pow(curve.root_of_unity(5), 32, ORDER) == 1
    assert pow(curve.root_of_unity(5), 16, ORDER) == ORDER - 1


@settings(max_examples=20, deadline=None)
@given(SCALARS)
def test_multiply_is_the_oracles(scalar: int) -> None:
    assert curve.affine([curve.multiply(G, scalar)]) == [oracle(scalar)]


@settings(max_examples=20, deadline=None)
@given(SCALARS, SCALARS)
def test_addition_is_complete(a: int, b: int) -> None:
    left, right = curve.multiply(G, a), curve.multiply(G, b)
    assert curve.affine([curve.add(left, right)]) == [oracle(a + b)]
    (affine,) = curve.affine([right])
    if affine is not None:
        assert curve.affine([curve.add_affine(left, affine)]) == [oracle(a + b)]


def test_addition_of_equal_opposite_and_no_points() -> None:
    point, opposite = curve.multiply(G, 7), curve.negate(curve.multiply(G, 7))
    assert curve.affine([curve.add(point, point)]) == [oracle(14)]
    assert curve.affine([curve.add(point, opposite), curve.add(IDENTITY, IDENTITY)]) == [None, None]
    assert curve.affine([curve.add(IDENTITY, point), curve.add(point, IDENTITY)]) == [oracle(7), oracle(7)]


@pytest.mark.parametrize("count", [1, 2, 3, 40, 300])
def test_the_bucket_method_is_the_sum(count: int) -> None:
    points = [p for p in curve.affine([curve.multiply(G, 3 * i + 1) for i in range(count)]) if p]
    scalars = [pow(5, i + 50, 1 << 128) for i in range(count)]
    partials = list(curve.multi_scalar(points, scalars, 128))
    assert len(partials) == curve.window_count(count, 128)
    expected = sum((3 * i + 1) * scalar for i, scalar in enumerate(scalars))
    assert curve.affine(partials[-1:]) == [oracle(expected)]


def test_the_bucket_method_takes_repeated_and_opposite_points() -> None:
    twice = curve.affine([G, G, curve.negate(G)])
    assert curve.affine(list(curve.multi_scalar([p for p in twice if p], [9, 9, 18], 8))[-1:]) == [None]
