# SPDX-License-Identifier: Apache-2.0
"""What could wrap or leave its table is refused; ties are ruled out only where there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiable.encoding.tensor import Tensor
from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.program.bounds import Class, bounds, meets_tie
from verifiable.model.program.builder import Builder
from verifiable.model.program.execute import Executor
from verifiable.model.program.ir import Input, Output, Program, Table
from verifiable.model.program.ops import Combine, Conv, Dense, Maximum, Pad, Requantise, Scale, SumPool
from verifiable.model.program.tables import Values, clamped, tabulate


def program(op: object, *, low: int = -128, high: int = 127, shape: tuple[int, ...] = (1, 4), arrays: tuple = ()) -> Program:
    from verifiable.model.program import ops
    from verifiable.model.program.shapes import output_shape

    constants = tuple(Tensor.from_array(np.asarray(a)) for a in arrays)
    made = output_shape(op, [shape] * len(ops.sources(op)), [c.shape for c in constants], "op")
    return Program(
        inputs=(Input(name="x", dtype="float32", shape=shape, scale=1.0, low=low, high=high),), constants=constants, tables=(),
        ops=(op,), outputs=(Output(name="y", dtype="float32", shape=made, tensor=1, scale=1.0),),
    )  # fmt: skip


def dense(weight: int, multiplier: int, bias: int = 0, count: int = 4) -> Program:
    op = Dense(source=0, weight=0, multiplier=1, bias=2)
    return program(op, arrays=(np.full((1, count), weight, np.int8), np.array([multiplier]), np.array([bias])))


# x is in [-128, 127]: the sum of four products with -1 reaches 512.
@pytest.mark.parametrize(
    ("wraps", "fits"),
    [
        (lambda: dense(-1, 1 << 53), lambda: dense(-1, (1 << 53) - 1)),
        (lambda: dense(1, 1, (1 << 62) - 508), lambda: dense(1, 1, (1 << 62) - 509)),
        (lambda: dense(0, 1, -(1 << 62)), lambda: dense(0, 1, 1 - (1 << 62))),
        (
            lambda: program(Combine(sources=(0, 0), coefficients=(1 << 54, 1 << 54), constant=0)),
            lambda: program(Combine(sources=(0, 0), coefficients=(1 << 54, -(1 << 53)), constant=0)),
        ),
        (
            lambda: program(Scale(source=0, multiplier=0, bias=1), arrays=(np.array([1, 1 << 55]), np.array([0])), shape=(1, 2)),
            lambda: program(Scale(source=0, multiplier=0, bias=1), arrays=(np.array([1, 1 << 54]), np.array([0])), shape=(1, 2)),
        ),
        (
            lambda: program(pool(1 << 53), shape=(1, 1, 2, 2)),
            lambda: program(pool((1 << 53) - 1), shape=(1, 1, 2, 2)),
        ),
    ],
)  # fmt: skip
def test_an_accumulator_that_could_wrap_is_refused(wraps, fits) -> None:
    with pytest.raises(UnsupportedError, match=r"2\^62"):
        bounds(wraps())
    with pytest.raises(UnsupportedError):
        Executor(wraps())
    reached = max(abs(end) for end in bounds(fits()).values[1])
    assert reached < 1 << 62


def pool(multiplier: int) -> SumPool:
    return SumPool(source=0, kernel=(2, 2), strides=(1, 1), pads=(0, 0, 0, 0), multiplier=multiplier, bias=0)


def test_padding_lets_zeros_in() -> None:
    arrays = (np.full((1, 1, 1, 1), 3, np.int8), np.array([1]), np.array([0]))
    op = Conv(source=0, weight=0, multiplier=1, bias=2, kernel=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0), groups=1)
    padded = Conv(source=0, weight=0, multiplier=1, bias=2, kernel=(1, 1), strides=(1, 1), pads=(0, 1, 0, 0), groups=1)
    assert bounds(program(op, low=5, high=9, shape=(1, 1, 2, 2), arrays=arrays)).values[1] == (15, 27)
    assert bounds(program(padded, low=5, high=9, shape=(1, 1, 2, 2), arrays=arrays)).values[1] == (0, 27)
    value = program(Pad(source=0, before=(0, 0), after=(0, 1), value=50))
    assert bounds(value).values[1] == (-128, 127)
    assert bounds(program(Maximum(left=0, right=0), low=3, high=4)).values[1] == (3, 4)


def rounding(shift: int, low: int, rows: int) -> Program:
    values = Tensor.from_array(np.zeros(rows, np.int8))
    table = Table(low=low, values=0, faithful_low=low, faithful_high=low)
    return Program(
        inputs=(Input(name="x", dtype="float32", shape=(1,), scale=1.0, low=-10, high=10),), constants=(values,),
        tables=(table,), ops=(Requantise(source=0, shift=shift, table=0),),
        outputs=(Output(name="y", dtype="float32", shape=(1,), tensor=1, scale=1.0),),
    )  # fmt: skip


def test_a_table_must_cover_all_that_can_reach_it() -> None:
    bounds(rounding(0, -10, 21))
    bounds(rounding(2, -2, 5))  # 10/4 is a tie, to even: 2
    for shift, low, rows in ((0, -10, 20), (0, -9, 20), (2, -1, 9), (2, -2, 4)):
        with pytest.raises(MalformedError, match="outside of its table"):
            bounds(rounding(shift, low, rows))


def test_tables_too_large_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"layer7: its table would have 1,048,577 rows"):
        tabulate(lambda x: x, (0, 1 << 20), scale_in=1.0, scale_out=1.0, clamp=(-128, 127), where="layer7")
    with pytest.raises(UnsupportedError, match=r"layer7: its function is not finite at -1"):
        tabulate(np.sqrt, (-1, 5), scale_in=1.0, scale_out=1.0, clamp=(-128, 127), where="layer7")
    with pytest.raises(MalformedError):
        clamped(np.zeros(3), (0, 2), (-(2**40), 2**40), "layer7")


def test_tables_know_where_they_saturate() -> None:
    values = tabulate(lambda x: np.maximum(x, 0), (-50, 50), scale_in=0.5, scale_out=0.1, clamp=(0, 127), where="t")
    assert (values.faithful_low, values.faithful_high) == (-50, 25)
    assert values.array.tolist() == [min(max(5 * y, 0), 127) for y in range(-50, 51)]


residues = st.builds(
    lambda low, width, offset, multiplier, twos: Class(
        low=low, high=low + width, offset=offset, multiplier=multiplier << twos, twos=twos
    ),
    st.integers(-300, 300), st.integers(0, 600), st.integers(-20, 20), st.integers(-9, 9), st.integers(0, 5),
)  # fmt: skip


@given(residues, st.integers(1, 8))
def test_a_tie_that_is_ruled_out_is_not_there(c: Class, shift: int) -> None:
    reachable = [t for t in range(c.low, c.high + 1) if (t - c.offset) % (1 << c.twos) == 0]
    if c.multiplier:
        reachable = [t for t in reachable if (t - c.offset) % abs(c.multiplier) == 0]
    found = any(t % (1 << shift) == 1 << (shift - 1) for t in reachable)
    assert meets_tie((c,), shift) or not found


def requantised(op: object, arrays: tuple, shift: int) -> bool:
    builder = Builder()
    x = builder.input(Input(name="x", dtype="float32", shape=(1, 4), scale=1.0, low=-128, high=127))
    numbers = [builder.constant(np.asarray(array)) for array in arrays]
    t = builder.add(replace(op, **dict(zip(("weight", "multiplier", "bias"), numbers, strict=False))))
    low, high = builder.rounded(t, shift)
    q = builder.requantise(
        t, shift, Values(low=low, array=np.zeros(high - low + 1, np.int8), faithful_low=low, faithful_high=high)
    )
    assert x == 0
    shape = builder.shapes[q]
    return bool(bounds(builder.finish([Output(name="y", dtype="float32", shape=shape, tensor=q, scale=1.0)])).ties)


@pytest.mark.parametrize(
    ("multiplier", "bias", "shift", "ties"),
    [
        (2, 1, 8, False),  # even plus odd is odd
        (2, 2, 8, True),
        (3, 1, 8, True),
        (3, 0, 8, True),  # |s| reaches 512 >= 2^7
        (3, 0, 11, False),  # odd multiplier, |s| <= 512 < 2^10
        (3, 0, 10, True),
        (256, 3, 8, False),
        (256, 128, 8, True),
        (4, 6, 3, False),  # 6 modulo 4 is never 4 modulo 8
    ],
)
def test_ties_of_a_layer(multiplier: int, bias: int, shift: int, ties: bool) -> None:
    arrays = (np.full((1, 4), -1, np.int8), np.array([multiplier]), np.array([bias]))
    assert requantised(Dense(source=0, weight=0, multiplier=1, bias=2), arrays, shift) is ties


def test_ties_of_a_sum() -> None:
    for coefficients, constant, ties in (((2, 4), 1, False), ((2, 3), 1, True), ((2, 4), 2, True)):
        assert requantised(Combine(sources=(0, 0), coefficients=coefficients, constant=constant), (), 4) is ties
