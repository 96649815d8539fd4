# SPDX-License-Identifier: Apache-2.0
"""The quantisation rule against exact rational arithmetic; everything a proof says of its inputs rests on it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiable.encoding.tensor import Tensor
from verifiable.errors import MalformedError
from verifiable.zk.circuit import TensorSpec
from verifiable.zk.quantise import quantise, values

BOUND = 2**52


def spec(dtype: str, bits: int, low: int = -BOUND, high: int = BOUND) -> TensorSpec:
    return TensorSpec(name="x", dtype=dtype, shape=(1,), scale=2.0**-bits, low=low, high=high)


def exact(value: float, bits: int) -> int:
    scaled = Fraction(value) * 2**bits
    return int(abs(scaled) + Fraction(1, 2)) * (1 if scaled >= 0 else -1)


@given(st.floats(-(2.0**30), 2.0**30, width=32), st.integers(0, 20))
def test_halves_go_away_from_zero_and_everything_else_to_the_nearest(value: float, bits: int) -> None:
    found = quantise(Tensor.from_array(np.array([value], "f4")), spec("float32", bits))
    assert int(found.array()[0]) == exact(value, bits)


@given(st.floats(-(2.0**20), 2.0**20))
def test_doubles_next_to_a_half(value: float) -> None:
    for near in (0.49999999999999994, -0.49999999999999994, 0.5, -0.5, 1.5, 2.5, value):
        found = quantise(Tensor.from_array(np.array([near])), spec("float64", 0))
        assert int(found.array()[0]) == exact(near, 0)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "bool", "float16"])
def test_other_dtypes_lose_nothing(dtype: str) -> None:
    for value in (0, 1):
        found = quantise(Tensor.from_array(np.array([value]).astype(dtype)), spec(dtype, 3))
        assert int(found.array()[0]) == 8 * value


def test_out_of_range_is_refused_with_name_element_and_range() -> None:
    tight = spec("float32", 0, low=-2, high=2)
    assert int(quantise(Tensor.from_array(np.array([2.4], "f4")), tight).array()[0]) == 2
    with pytest.raises(MalformedError, match=r"input 'x': element \[0\] is 2\.5, outside the calibrated range \[-2, 2\]"):
        quantise(Tensor.from_array(np.array([2.5], "f4")), tight)


def test_integers_beyond_2_53_are_refused_not_rounded() -> None:
    with pytest.raises(MalformedError, match=r"2\^53"):
        quantise(Tensor.from_array(np.array([2**53 + 1])), spec("int64", 0))


def test_shape_and_dtype_must_be_the_circuits() -> None:
    for array in (np.zeros((2,), "f4"), np.zeros((1,), "f8")):
        with pytest.raises(MalformedError):
            quantise(Tensor.from_array(array), spec("float32", 0))


def test_back_to_values() -> None:
    assert values(Tensor.from_array(np.array([3, -5])), 0.5).tolist() == [1.5, -2.5]
