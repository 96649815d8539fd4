# SPDX-License-Identifier: Apache-2.0
"""Goldilocks and its extension against Python's integers, at the edges above all."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiable.errors import MalformedError
from verifiable.zk.sumcheck import evaluation, field
from verifiable.zk.sumcheck.field import P

EDGES = [0, 1, 2, 6, 7, 2**31, 2**32 - 2, 2**32 - 1, 2**32, 2**32 + 1, 2**48, 2**63, P - 2**32, P - 2**31, P - 7, P - 2, P - 1]
ELEMENTS = st.sampled_from(EDGES) | st.integers(0, P - 1)
SCALARS = st.tuples(ELEMENTS, ELEMENTS)
PAIRS = np.array(list(itertools.product(EDGES, EDGES)), dtype=np.uint64)


def words(values: list[int]) -> field.Array:
    return np.array(values, dtype=np.uint64)


def naive_mul(a: field.Ext, b: field.Ext) -> field.Ext:
    return (a[0] * b[0] + 7 * a[1] * b[1]) % P, (a[0] * b[1] + a[1] * b[0]) % P


def test_p_is_the_goldilocks_prime_and_7_generates_its_group() -> None:
    factors = (2, 3, 5, 17, 257, 65537)
    assert P - 1 == 2**32 * 3 * 5 * 17 * 257 * 65537
    # Lucas: an element of order p - 1 exists, so p is prime; 7 is such an element, hence no square, hence x^2 - 7 is irreducible.
    assert pow(7, P - 1, P) == 1
    assert all(pow(7, (P - 1) // q, P) != 1 for q in factors)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(field.add, lambda a, b: a + b), (field.sub, lambda a, b: a - b), (field.mul, lambda a, b: a * b)],
)
def test_arithmetic_at_the_edges(ours, theirs) -> None:
    expected = [theirs(int(a), int(b)) % P for a, b in PAIRS]
    assert ours(PAIRS[:, 0], PAIRS[:, 1]).tolist() == expected


@given(st.lists(st.tuples(ELEMENTS, ELEMENTS), min_size=1, max_size=20))
def test_arithmetic_on_any_elements(pairs: list[tuple[int, int]]) -> None:
    a, b = words([p[0] for p in pairs]), words([p[1] for p in pairs])
    assert field.add(a, b).tolist() == [(x + y) % P for x, y in pairs]
    assert field.sub(a, b).tolist() == [(x - y) % P for x, y in pairs]
    assert field.mul(a, b).tolist() == [x * y % P for x, y in pairs]
    assert field.total(a) == sum(a.tolist()) % P
    assert int(field.sum_axis(a[None], 1)[0]) == sum(a.tolist()) % P


@given(SCALARS, SCALARS, SCALARS)
def test_the_extension_is_a_field(a: field.Ext, b: field.Ext, c: field.Ext) -> None:
    assert field.ext_mul(a, b) == naive_mul(a, b) == field.ext_mul(b, a)
    assert field.ext_mul(a, field.ext_add(b, c)) == field.ext_add(field.ext_mul(a, b), field.ext_mul(a, c))
    assert field.ext_sub(field.ext_add(a, b), b) == a
    arrays = [field.ext_array([x]) for x in (a, b)]
    assert tuple(field.mul_ext(*arrays)[0].tolist()) == naive_mul(a, b)
    assert tuple(field.scale_ext(arrays[0], b)[0].tolist()) == naive_mul(a, b)
    if a != field.ZERO:
        assert field.ext_mul(a, field.ext_inverse(a)) == field.ONE


def test_zero_has_no_inverse() -> None:
    with pytest.raises(ZeroDivisionError):
        field.ext_inverse(field.ZERO)


@given(st.lists(SCALARS, max_size=6), SCALARS)
def test_horner(coefficients: list[field.Ext], at: field.Ext) -> None:
    expected, power = field.ZERO, field.ONE
    for coefficient in coefficients:
        expected = field.ext_add(expected, naive_mul(coefficient, power))
        power = naive_mul(power, at)
    assert field.horner(coefficients, at) == expected


def test_sums_of_many_large_elements_do_not_wrap() -> None:
    many = np.full(1 << 16, P - 1, dtype=np.uint64)
    assert field.total(many) == (P - 1) * (1 << 16) % P
    assert int(field.sum_axis(many[:, None], 0)[0]) == (P - 1) * (1 << 16) % P


@given(st.lists(st.sampled_from([-(2**63), -1, 0, 1, 2**63 - 1]) | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8))
def test_signed_integers(values: list[int]) -> None:
    assert field.from_signed(np.array(values, dtype=np.int64)).tolist() == [v % P for v in values]


@given(st.lists(SCALARS, max_size=5))
def test_eq_table_has_the_first_coordinate_highest(point: list[field.Ext]) -> None:
    table = field.eq_table(point)
    for index, bits in enumerate(itertools.product((0, 1), repeat=len(point))):
        corner = [(bit, 0) for bit in bits]
        assert tuple(table[index].tolist()) == field.eq_point(point, corner)


@given(st.integers(0, 5).flatmap(lambda n: st.tuples(st.lists(SCALARS, min_size=n, max_size=n), st.integers(0, 2**32))))
def test_evaluation_is_the_inner_product_with_eq(case: tuple[list[field.Ext], int]) -> None:
    point, seed = case
    table = np.random.default_rng(seed).integers(0, P, 1 << len(point), dtype=np.uint64)
    expected = field.dot_ext(field.lift(table), field.eq_table(point))
    assert field.evaluate(table, point) == expected == field.evaluate(field.lift(table), point)


@given(st.integers(0, 7).flatmap(lambda n: st.tuples(st.lists(SCALARS, min_size=n, max_size=n), st.integers(0, 2**32))))
def test_evaluation_in_limbs_is_evaluation(case: tuple[list[field.Ext], int]) -> None:
    point, seed = case
    table = np.random.default_rng(seed).choice(words(EDGES), (1 << len(point), 2))
    assert evaluation.of_elements(table, point) == field.evaluate(table, point)
    assert evaluation.of_elements(np.ascontiguousarray(table[:, 1]), point) == field.evaluate(table[:, 1], point)
    for wrong in ([*point, field.ONE], point[1:]):
        if len(wrong) != len(point):
            with pytest.raises(ValueError, match="no extension"):
                evaluation.of_elements(table, wrong)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 130, 2), (2, 5, 4), (7, 1, 3)])
def test_matrix_products(shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    m, n, k = shape
    rng = np.random.default_rng(6)
    a, b = rng.choice(words(EDGES), (m, n)), rng.integers(0, P, (n, k), dtype=np.uint64)
    expected = [[sum(int(x) * int(y) for x, y in zip(row, column, strict=True)) % P for column in b.T] for row in a]
    assert field.matmul(a, b).tolist() == expected
    assert field.matmul(np.asfortranarray(a), np.asfortranarray(b)).tolist() == expected
    monkeypatch.setattr(field, "_MOST_TERMS", 64)
    assert field.matmul(a, b).tolist() == expected


def test_the_longest_matrix_product_is_exact() -> None:
    # In each place the sums are at their largest: (2^16 - 1)^2 times 2^20 terms, four times.
    terms = field._MOST_TERMS
    largest = np.full((1, terms), 2**64 - 1, np.uint64)
    assert terms * (2**16 - 1) ** 2 < 2**53
    assert field.matmul(largest, largest.T).tolist() == [[terms * (2**64 - 1) ** 2 % P]]


@given(SCALARS, st.lists(SCALARS, min_size=1, max_size=5))
def test_arrays_of_the_extension(by: field.Ext, values: list[field.Ext]) -> None:
    array = field.ext_array(values)
    assert field.scale_ext(array, by).tolist() == [list(naive_mul(value, by)) for value in values]
    assert field.dot_ext(array, array[::-1]) == field.ext_sum(
        [naive_mul(a, b) for a, b in zip(values, values[::-1], strict=True)]
    )


def test_evaluation_at_a_corner_is_the_entry() -> None:
    table = np.arange(8, dtype=np.uint64)
    assert field.evaluate(table, [(1, 0), (0, 0), (1, 0)]) == (0b101, 0)


def test_combining_rows() -> None:
    rng = np.random.default_rng(5)
    matrix = rng.integers(0, P, (130, 3), dtype=np.uint64)
    weights = rng.integers(0, P, (130, 2), dtype=np.uint64)
    expected = [
        [sum(int(m) * int(w) for m, w in zip(column, part, strict=True)) % P for part in weights.T] for column in matrix.T
    ]
    assert field.combine_rows(matrix, weights).tolist() == expected


@pytest.mark.parametrize("log_size", [0, 1, 2, 5])
def test_transform_is_evaluation_at_the_roots(log_size: int) -> None:
    size = 1 << log_size
    values = np.random.default_rng(log_size).integers(0, P, (2, size), dtype=np.uint64)
    root = field.root_of_unity(log_size)
    expected = [[sum(int(v) * pow(root, i * j, P) for j, v in enumerate(row)) % P for i in range(size)] for row in values]
    assert field.ntt(values).tolist() == expected
    for padding in (1, 2):
        padded = np.pad(values, ((0, 0), (0, (size << padding) - size)))
        assert np.array_equal(field.ntt(values, log_padding=padding), field.ntt(padded))


@pytest.mark.parametrize("log_order", [0, 1, 2, 16, 32])
def test_roots_of_unity_are_primitive(log_order: int) -> None:
    root = field.root_of_unity(log_order)
    assert pow(root, 1 << log_order, P) == 1
    assert log_order == 0 or pow(root, 1 << (log_order - 1), P) == P - 1


def test_there_is_no_root_of_order_2_to_the_33() -> None:
    with pytest.raises(ValueError, match="2\\^33"):
        field.root_of_unity(33)


def test_bit_reversal_and_powers() -> None:
    assert field.bit_reversal(8).tolist() == [0, 4, 2, 6, 1, 5, 3, 7]
    assert field.powers(3, 5).tolist() == [1, 3, 9, 27, 81]
    assert field.powers(P - 1, 3).tolist() == [1, P - 1, 1]


@given(st.lists(ELEMENTS, max_size=5))
def test_encoding_and_back(values: list[int]) -> None:
    data = field.encode(words(values))
    assert data == b"".join(v.to_bytes(8, "little") for v in values)
    assert field.decode(data, "x").tolist() == values


@pytest.mark.parametrize("value", [P, P + 1, 2**64 - 1])
def test_a_second_spelling_of_an_element_is_refused(value: int) -> None:
    data = (5).to_bytes(8, "little") + value.to_bytes(8, "little")
    with pytest.raises(MalformedError, match="columns: a field element that is not below p"):
        field.decode(data, "columns")


def test_half_an_element_is_refused() -> None:
    with pytest.raises(MalformedError, match="whole number"):
        field.decode(bytes(12), "x")


def test_the_field_has_nearly_128_bits() -> None:
    assert 127.99 < 2 * math.log2(P) <= 128
