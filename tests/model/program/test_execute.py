# SPDX-License-Identifier: Apache-2.0
"""The executor against a slow one of Python integers, over random Programs; and the bounds against what happens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.program import slow
from tests.model.program.programs import programs, random_inputs, random_program
from verifiable.errors import MalformedError
from verifiable.model.program import bounds, execute
from verifiable.model.program.execute import Executor
from verifiable.model.program.ir import Program

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=150, deadline=None)
@given(programs(), seeds)
def test_equals_the_slow_executor_within_its_bounds(program: Program, seed: int) -> None:
    inputs = random_inputs(program, seed)
    executor = Executor(program)
    ran = executor.run(inputs)
    expected, ties = slow.run(program, inputs)
    for number, (fast, exact) in enumerate(zip(ran.tensors, expected, strict=True)):
        assert fast.dtype == np.int64
        assert fast.shape == exact.shape == program.shapes[number]
        assert fast.ravel().tolist() == exact.flat()
        low, high = executor.bounds.values[number]
        assert low <= fast.min() <= fast.max() <= high
    assert ties <= executor.bounds.ties


def test_the_random_programs_hold_every_operation_and_both_answers_about_ties() -> None:
    found, ties = set(), set()
    for seed in range(150):
        program = random_program(seed)
        found |= {type(op).__name__ for op in program.ops}
        known = bounds.bounds(program)
        ties |= {i in known.ties for i in known.rounded}
    assert len(found) == 12
    assert ties == {True, False}


@settings(max_examples=30, deadline=None)
@given(programs(), seeds)
def test_many_samples_are_many_runs(program: Program, seed: int) -> None:
    inputs = random_inputs(program, seed, samples=3)
    executor = Executor(program)
    many = executor.run_many(inputs)
    runs = [executor.run({name: value[i] for name, value in inputs.items()}) for i in range(3)]
    for number, tensor in enumerate(many.tensors):
        assert (tensor == np.stack([run.tensors[number] for run in runs])).all()
    assert many.saturated == tuple(sum(counts) for counts in zip(*(run.saturated for run in runs), strict=True))
    assert set(many.outputs) == {output.name for output in program.outputs}


@given(st.integers(-(2**62) + 1, 2**62 - 1), st.integers(0, 61))
def test_rounding_is_half_to_even(value: int, shift: int) -> None:
    from fractions import Fraction

    expected = slow.nearest_even(Fraction(value, 2**shift))
    assert bounds.round_half_even(value, shift) == expected
    assert int(execute.round_half_even(np.array([value]), shift)[0]) == expected


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: {}, "missing"),
        (lambda x: {"x": x, "z": x}, "not an input"),
        (lambda x: {"x": x[..., :1]}, "shape"),
        (lambda x: {"x": x.astype(np.float32)}, "integers"),
        (lambda x: {"x": x + 1000}, "outside"),
        (lambda x: {"x": x - 1000}, "outside"),
        (lambda x: {"x": np.full(x.shape, 2**64 - 1, np.uint64)}, "outside"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(change, told: str) -> None:
    program = next(p for p in map(random_program, range(99)) if len(p.inputs) == 1)
    with pytest.raises(MalformedError, match=told):
        execute.execute(program, change(random_inputs(program, 0)["x"]))
