# SPDX-License-Identifier: Apache-2.0
"""A Program that does not hang together cannot be made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from verifiable.encoding.tensor import Tensor
from verifiable.errors import MalformedError
from verifiable.model.program.builder import Builder
from verifiable.model.program.ir import Input, Output, Program, Table
from verifiable.model.program.ops import (
    Combine,
    Concat,
    Conv,
    Dense,
    Maximum,
    Pad,
    Requantise,
    Reshape,
    Scale,
    Slice,
    SumPool,
    Transpose,
)  # fmt: skip
from verifiable.model.program.tables import clamped

X = Input(name="x", dtype="float32", shape=(1, 2, 4, 4), scale=0.5, low=-8, high=7)


def chain() -> Program:
    builder = Builder()
    x = builder.input(X)
    ones = builder.constant(np.ones(3, np.int64))
    weight = builder.constant(np.ones((3, 2, 2, 2), np.int8))
    conv = Conv(source=x, weight=weight, multiplier=ones, bias=ones, kernel=(2, 2), strides=(1, 1), pads=(0, 0, 0, 0), groups=1)
    t = builder.add(conv)
    rounded = builder.rounded(t, 2)
    entries = np.arange(rounded[0], rounded[1] + 1, dtype=np.float64)
    q = builder.requantise(t, 2, clamped(entries, rounded, (-8, 7), "t"))
    return builder.finish([Output(name="y", dtype="float32", shape=builder.shapes[q], tensor=q, scale=1.0)])


def with_op(program: Program, number: int, **changes: object) -> dict[str, object]:
    ops = list(program.ops)
    ops[number] = replace(ops[number], **changes)
    return {"ops": tuple(ops)}


def cast(constant: Tensor, dtype: str) -> Tensor:
    return Tensor.from_array(constant.array().astype(dtype))


DEFECTS = {
    "two inputs of one name": lambda p: {"inputs": (X, X)},
    "no outputs": lambda p: {"outputs": ()},
    "a scale that is not finite": lambda p: {"inputs": (replace(X, scale=float("inf")),)},
    "an unknown dtype": lambda p: {"inputs": (replace(X, dtype="bfloat16"),)},
    "an empty range": lambda p: {"inputs": (replace(X, low=9),)},
    "a range of 2^62": lambda p: {"inputs": (replace(X, high=2**62),)},
    "an unused input": lambda p: {
        "inputs": (X, replace(X, name="z")), **with_op(p, 1, source=2), "outputs": (replace(p.outputs[0], tensor=3),),
    },
    "an unused constant": lambda p: {"constants": (*p.constants, p.constants[0])},
    "an unused table": lambda p: {"tables": (*p.tables, p.tables[0])},
    "an unused tensor": lambda p: {"ops": (p.ops[0], *p.ops), "outputs": (replace(p.outputs[0], tensor=3),)},
    "an operation that reads itself": lambda p: with_op(p, 0, source=1),
    "a stride of zero": lambda p: with_op(p, 0, strides=(0, 1)),
    "a stride beyond bounds": lambda p: with_op(p, 0, strides=(1 << 40, 1)),
    "negative padding": lambda p: with_op(p, 0, pads=(-1, 0, 0, 0)),
    "padding of gigabytes": lambda p: with_op(p, 0, pads=(1 << 19, 1 << 19, 0, 0)),
    "another kernel than the weights'": lambda p: with_op(p, 0, kernel=(1, 2)),
    "groups that do not divide": lambda p: with_op(p, 0, groups=2),
    "groups of zero": lambda p: with_op(p, 0, groups=0),
    "swapped weights and bias": lambda p: with_op(p, 0, weight=p.ops[0].bias, bias=p.ops[0].weight),
    "a table that is not there": lambda p: with_op(p, 1, table=1),
    "a shift of 62": lambda p: with_op(p, 1, shift=62),
    "a negative shift": lambda p: with_op(p, 1, shift=-1),
    "a table faithful outside of itself": lambda p: {"tables": (replace(p.tables[0], faithful_high=10**6),)},
    "a table beyond 2^62": lambda p: {"tables": (replace(p.tables[0], low=2**62),)},
    "a table of two dimensions": lambda p: {"tables": (replace(p.tables[0], values=0),)},
    "weights in float": lambda p: {"constants": tuple(cast(c, "f4") if len(c.shape) == 4 else c for c in p.constants)},
    "weights in int64": lambda p: {"constants": tuple(cast(c, "i8") if len(c.shape) == 4 else c for c in p.constants)},
    "an output of another shape": lambda p: {"outputs": (replace(p.outputs[0], shape=(1,)),)},
    "an arg-max that is not int64": lambda p: {"outputs": (replace(p.outputs[0], post="argmax", axis=1, shape=(1, 1, 3, 3)),)},
    "an arg-max along no axis": lambda p: {"outputs": (replace(p.outputs[0], post="argmax", axis=4, dtype="int64"),)},
}  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
def test_one_defect_is_malformed(name: str) -> None:
    program = chain()
    with pytest.raises(MalformedError):
        replace(program, **DEFECTS[name](program))


MISFITS = {
    "dense of another width": Dense(source=0, weight=0, multiplier=1, bias=1),
    "sum of two shapes": Combine(sources=(0, 1), coefficients=(1, 1), constant=0),
    "coefficients missing": Combine(sources=(0, 0), coefficients=(1,), constant=0),
    "a sum of nothing": Combine(sources=(), coefficients=(), constant=0),
    "a coefficient of 2^62": Combine(sources=(0,), coefficients=(1 << 62,), constant=0),
    "maximum of two shapes": Maximum(left=0, right=1),
    "a scale that enlarges": Scale(source=1, multiplier=2, bias=1),
    "a pool larger than its source": SumPool(source=0, kernel=(9, 1), strides=(1, 1), pads=(0,) * 4, multiplier=1, bias=0),
    "a pool of two axes": SumPool(source=1, kernel=(1, 1), strides=(1, 1), pads=(0,) * 4, multiplier=1, bias=0),
    "axes twice": Transpose(source=1, axes=(0, 0)),
    "axes missing": Transpose(source=1, axes=(0,)),
    "other elements": Reshape(source=1, shape=(7,)),
    "no such axis": Concat(sources=(1, 1), axis=2),
    "concat of unlike shapes": Concat(sources=(0, 1), axis=0),
    "concat of nothing": Concat(sources=(), axis=0),
    "a slice beyond the end": Slice(source=1, starts=(0, 1), steps=(1, 2), sizes=(1, 2)),
    "a slice of nothing": Slice(source=1, starts=(0, 0), steps=(1, 1), sizes=(1, 0)),
    "a slice backwards": Slice(source=1, starts=(0, 2), steps=(1, -1), sizes=(1, 2)),
    "negative padding": Pad(source=1, before=(0, -1), after=(0, 0), value=0),
    "padding of gigabytes": Pad(source=1, before=(1 << 20, 1 << 20), after=(0, 0), value=0),
    "padding with 2^62": Pad(source=1, before=(0, 1), after=(0, 0), value=1 << 62),
}


@pytest.mark.parametrize("name", MISFITS)
def test_an_operation_that_does_not_fit_is_malformed(name: str) -> None:
    builder = Builder()
    builder.input(X)
    builder.input(replace(X, name="z", shape=(1, 3)))
    for array in (np.ones((2, 2), np.int8), np.ones(2, np.int64), np.ones((4, 1, 3), np.int64)):
        builder.constant(array)
    op = MISFITS[name]
    with pytest.raises(MalformedError):
        builder.add(op)


def test_the_builder_keeps_what_is_needed_once() -> None:
    program = chain()
    assert len(program.constants) == 3  # weight, one array that is multiplier and bias, the table
    builder = Builder()
    x = builder.input(X)
    builder.add(Combine(sources=(x,), coefficients=(3,), constant=0))  # nobody reads it
    kept = builder.add(Combine(sources=(x,), coefficients=(2,), constant=0))
    finished = builder.finish([Output(name="y", dtype="float32", shape=X.shape, tensor=kept, scale=1.0)])
    assert [op.coefficients for op in finished.ops] == [(2,)]
    assert finished.outputs[0].tensor == 1
    with pytest.raises(MalformedError):
        builder.input(replace(X, name="late"))


def test_a_program_that_would_take_for_ever_is_malformed() -> None:
    wide = replace(X, shape=(1, 1, 1 << 13, 1 << 13))
    pads = [Pad(source=i, before=(0,) * 4, after=(0,) * 4, value=0) for i in range(16)]
    output = Output(name="y", dtype="float32", shape=wide.shape, tensor=16, scale=1.0)
    with pytest.raises(MalformedError, match="elements"):
        Program(
            inputs=(wide,),
            constants=(),
            tables=(),
            ops=(*pads, replace(pads[0], source=16)),
            outputs=(replace(output, tensor=17),),
        )
    Program(inputs=(wide,), constants=(), tables=(), ops=tuple(pads), outputs=(output,))
    pool = SumPool(source=0, kernel=(1 << 12, 1 << 12), strides=(1, 1), pads=(0,) * 4, multiplier=1, bias=0)
    with pytest.raises(MalformedError, match="products"):
        Program(
            inputs=(wide,), constants=(), tables=(), ops=(pool,), outputs=(replace(output, tensor=1, shape=(1, 1, 4097, 4097)),)
        )  # fmt: skip


def test_a_table_has_at_most_2_20_rows() -> None:
    values = Tensor.from_array(np.zeros((1 << 20) + 1, np.int8))
    table = Table(low=0, values=0, faithful_low=0, faithful_high=0)
    entry = replace(X, low=0, high=0)
    output = Output(name="y", dtype="float32", shape=X.shape, tensor=1, scale=1.0)
    with pytest.raises(MalformedError, match="1,048,576"):
        Program(
            inputs=(entry,),
            constants=(values,),
            tables=(table,),
            ops=(Requantise(source=0, shift=0, table=0),),
            outputs=(output,),
        )
