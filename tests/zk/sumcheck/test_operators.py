# SPDX-License-Identifier: Apache-2.0
"""What the executor can run, the prover can prove: a table of all operators, of ONNX and of Programs, and of what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest

from tests.model.quantise.cases import normalised, quantised, samples
from tests.model.quantise.networks import Net
from tests.model.quantise.test_onnx_nodes import CASES, EXACT, FLOAT, bound, every, operators
from tests.zk.sumcheck import programs
from tests.zk.sumcheck.programs import Maker
from tests.zk.sumcheck.proving import holds
from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.normalise import normalise
from verifiable.model.onnx_file import Model
from verifiable.model.program.bounds import Class
from verifiable.model.program.ir import LIMIT, Input, Program
from verifiable.model.program.ops import Combine, Dense, Maximum, Op, Requantise
from verifiable.model.program.values import quantise_inputs
from verifiable.zk.sumcheck.structure import Structure

#: As many of the ONNX package's backend node tests of an operator are proved, of those that have a Program.
EACH = 1


def between(net: Net) -> str:
    return net.op("Clip", "x", net.constant(np.float32(0.25)), net.constant(np.float32(4)))


#: Operators whose backend node tests have no Program, or none of a bounded error.
OWN: dict[str, Callable[[Net], str]] = {
    "Log": lambda net: net.op("Log", between(net)),
    "Reciprocal": lambda net: net.op("Reciprocal", between(net)),
    "PRelu": lambda net: net.op("PRelu", "x", net.constant(np.float32([0.3]))),
    "ReduceMean": lambda net: net.op("ReduceMean", "x", axes=[2, 3], keepdims=0),
    "Round": lambda net: net.op("Round", "x"),
    "ThresholdedRelu": lambda net: net.op("ThresholdedRelu", "x", alpha=0.5),
}


def node_program(name: str) -> tuple[Program, dict[str, np.ndarray]]:
    data, inputs, _ = bound(every()[name])
    program = quantised(normalise(Model.parse(data)), [inputs])
    integers, _ = quantise_inputs(program, inputs)
    return program, {key: np.stack([value, value[..., ::-1] if value.ndim else value]) for key, value in integers.items()}


@pytest.mark.parametrize("operator", sorted((FLOAT | EXACT) - set(OWN)))
def test_an_operator_is_proved(operator: str) -> None:
    proved = 0
    for name in CASES:
        if operator in operators(every()[name]) and proved < EACH:
            try:
                program, integers = node_program(name)
            except (UnsupportedError, MalformedError):
                continue  # what these refusals say is asserted where Programs are made
            holds(program, integers)
            proved += 1
    assert proved


@pytest.mark.parametrize("operator", OWN)
def test_an_operator_in_a_model_of_its_own_is_proved(operator: str) -> None:
    net = Net()
    data = net.model([1, 2, 3, 3], OWN[operator](net))
    given = samples(data, 8)
    program = quantised(normalised(data), given)
    integers, _ = quantise_inputs(program, {"x": np.stack([sample["x"] for sample in given[:3]])})
    holds(program, integers)


def test_the_programs_that_are_proved_hold_every_operation() -> None:
    held = {type(op) for make in programs.ALL.values() for op in make(0).ops}
    assert held == set(get_args(Op))


def wide_maximum() -> Program:
    m = Maker(0, 1, 5)
    return m.done(m.add(Maximum(left=m.dense(0, 5), right=m.dense(0, 5))))


def far_accumulator() -> Program:
    """2^61 from an even input, rounded by 2^60."""
    m = Maker(0, 1, 2)
    far = m.add(Combine(sources=(0,), coefficients=(1 << 57,), constant=0))
    table = programs.tabulate(lambda y: y, m.rounded(far, 56), scale_in=1.0, scale_out=1.0, clamp=(-99, 99), where="far")
    return m.done(m.requantise(far, 56, table))


def too_far_an_accumulator() -> Program:
    """Both ends near 2^62: the table's rows, as many as a power of two, would reach past half the field."""
    m = Maker(0, 1, 2)
    m.inputs[0] = Input(name="x", dtype="float32", shape=(1, 2), scale=1.0, low=-15, high=15)
    m.classes[0] = (Class(low=-15, high=15),)
    far = m.add(Combine(sources=(0,), coefficients=((LIMIT - 1) // 15,), constant=0))
    return m.done(m.relu(far, 55))


def padding_past_the_limit() -> Program:
    """Real cells stay small, for the input is never 0; a padded row is left with the bias, and the next layer multiplies it."""
    m = Maker(0, 3, 1)
    m.inputs[0] = Input(name="x", dtype="float32", shape=(3, 1), scale=1.0, low=1, high=1)
    m.classes[0] = (Class(low=1, high=1),)
    one = m.constant(np.ones((1, 1), np.int8))
    first = Dense(source=0, weight=one, multiplier=m.constant(np.int64([1 << 60])), bias=m.constant(np.int64([-(1 << 60)])))
    again = Dense(source=m.add(first), weight=one, multiplier=m.constant(np.int64([9])), bias=m.constant(np.int64([0])))
    return m.done(m.add(again))


REFUSED = {
    "operation 2 .Maximum.: its operands are too wide": wide_maximum,
    "operation 1 .Requantise.: its accumulator is too wide": too_far_an_accumulator,
    "operation 1 .Dense.: its accumulator can reach": padding_past_the_limit,
}


@pytest.mark.parametrize("told", REFUSED)
def test_what_cannot_be_proved_is_refused_by_name(told: str) -> None:
    with pytest.raises(UnsupportedError, match=told):
        Structure.of(REFUSED[told]())


def test_an_accumulator_close_to_the_limit_is_proved() -> None:
    program = far_accumulator()
    assert any(isinstance(op, Requantise) for op in program.ops)
    holds(program, programs.inputs(program, 2))
