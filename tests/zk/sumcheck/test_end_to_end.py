# SPDX-License-Identifier: Apache-2.0
"""Whole proofs: whatever the executor computes is proved, and nothing else is accepted in its place."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.program.programs import random_inputs, random_program
from tests.zk.sumcheck import programs
from verifiable.errors import Error, MalformedError, ProofError, UnsupportedError
from verifiable.model.program.bounds import Class
from verifiable.model.program.execute import Executor
from verifiable.model.program.tables import tabulate
from verifiable.zk.sumcheck.prover import Proved, Prover
from verifiable.zk.sumcheck.verifier import Statement, verify
from verifiable.zk.sumcheck.witness import part

CIRCUIT = bytes(range(32))


def proved(name: str, samples: int, seed: int = 0) -> tuple[Prover, Statement, Proved]:
    program = programs.ALL[name](seed)
    prover = Prover(program, CIRCUIT)
    given = programs.inputs(program, samples, seed)
    made = prover.prove(given)
    return prover, Statement(circuit=CIRCUIT, weights=prover.weights.root, inputs=given, outputs=made.outputs), made


@pytest.mark.parametrize("samples", [1, 2, 3])
@pytest.mark.parametrize("name", programs.ALL)
def test_what_the_executor_computes_is_proved(name: str, samples: int) -> None:
    prover, statement, made = proved(name, samples, samples)
    for key, value in Executor(prover.program).run_many(statement.inputs).outputs.items():
        assert np.array_equal(made.outputs[key], value)
    verify(prover.structure, statement, made.proof)


@pytest.mark.parametrize("name", programs.ALL)
def test_no_other_output_is_accepted(name: str) -> None:
    prover, statement, made = proved(name, 2)
    for key, value in made.outputs.items():
        for place in (0, value.size - 1):
            changed = value.copy()
            changed.flat[place] += 1
            with pytest.raises(ProofError):
                verify(prover.structure, replace(statement, outputs={**made.outputs, key: changed}), made.proof)


@pytest.mark.parametrize("name", programs.ALL)
def test_no_other_input_is_accepted(name: str) -> None:
    prover, statement, made = proved(name, 2)
    for place in (0, -1):
        changed = statement.inputs["x"].copy()
        changed.flat[place] = 14 if changed.flat[place] != 14 else 13
        with pytest.raises(ProofError):
            verify(prover.structure, replace(statement, inputs={"x": changed}), made.proof)


def test_padded_cells_beyond_the_bounds_of_real_ones_are_exact_too() -> None:
    program = programs.wild_padding()
    prover = Prover(program, CIRCUIT)
    given_inputs = programs.inputs(program, 3)
    made = prover.prove(given_inputs)
    assert prover.executor.bounds.values[1] == (7, 7)
    statement = Statement(circuit=CIRCUIT, weights=prover.weights.root, inputs=given_inputs, outputs=made.outputs)
    verify(prover.structure, statement, made.proof)


def test_a_proof_is_the_same_every_time() -> None:
    assert proved("mlp", 3)[2].proof == proved("mlp", 3)[2].proof


def test_every_byte_of_a_proof_counts() -> None:
    prover, statement, made = proved("mlp", 1)
    rng = np.random.default_rng(0)
    for place in [*range(200), *rng.integers(0, len(made.proof), 60), len(made.proof) - 1]:
        broken = bytearray(made.proof)
        broken[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(Error):
            verify(prover.structure, statement, bytes(broken))


@pytest.mark.parametrize(
    "change", [lambda p: p + b"\0", lambda p: p[:-1], lambda p: b"", lambda p: p[:40], lambda p: b"\0" * len(p)]
)
def test_a_proof_has_one_length(change) -> None:  # type: ignore[no-untyped-def]
    prover, statement, made = proved("mlp", 1)
    with pytest.raises(MalformedError):
        verify(prover.structure, statement, change(made.proof))


def test_a_statement_that_does_not_fit_is_malformed() -> None:
    prover, statement, made = proved("mlp", 2)
    x, y = statement.inputs["x"], statement.outputs["y0"]
    for wrong in (
        replace(statement, inputs={}),
        replace(statement, inputs={"x": x, "z": x}),
        replace(statement, inputs={"x": x[:, :, :-1]}),
        replace(statement, inputs={"x": x + 100}),
        replace(statement, inputs={"x": x.astype(np.float64)}),
        replace(statement, inputs={"x": x[:1]}),
        replace(statement, inputs={"x": x[:0]}, outputs={"y0": y[:0]}),
        replace(statement, outputs={"y0": np.full_like(y, 1 << 62)}),
        replace(statement, circuit=b""),
        replace(statement, weights=b""),
    ):
        with pytest.raises(MalformedError):
            verify(prover.structure, wrong, made.proof)


def test_a_table_that_padded_cells_would_make_huge_is_refused() -> None:
    m = programs.Maker(0, 3)
    m.inputs[0] = replace(m.inputs[0], low=1 << 40, high=(1 << 40) + 1)
    m.classes[0] = (Class(low=1 << 40, high=(1 << 40) + 1),)
    values = tabulate(lambda y: y, m.rounded(0, 0), scale_in=1.0, scale_out=1 << 40, clamp=(0, 9), where="one")
    with pytest.raises(UnsupportedError, match="table 0 with padded cells is too wide"):
        Prover(m.done(m.requantise(0, 0, values)), CIRCUIT)


def test_an_output_equal_modulo_the_field_is_another_output() -> None:
    # p + v does not fit int64 for small v, but -p + v does for v near p; both are outside of what is admitted.
    prover, statement, made = proved("mlp", 1)
    wrapped = made.outputs["y0"].astype(np.uint64) + np.uint64(2**64 - 2**32 + 1)
    with pytest.raises(MalformedError):
        verify(prover.structure, replace(statement, outputs={"y0": wrapped}), made.proof)


def test_the_verifier_needs_neither_prover_nor_compiler() -> None:
    code = (
        "import sys, verifiable.zk.sumcheck.verifier\n"
        "bad = [m for m in sys.modules if m.startswith(('numba', 'onnx')) or m.endswith(('_prover', 'kernels'))"
        " or m in ('verifiable.zk.sumcheck.tables', 'verifiable.zk.sumcheck.prover')]\n"
        "sys.exit(', '.join(bad) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_parts_of_a_concat_add_up_to_it() -> None:
    program = programs.moved()
    prover = Prover(program, CIRCUIT)
    from verifiable.zk.sumcheck.layout import Layout

    layout = Layout.of(prover.structure, 1)
    tensors = prover.execute(programs.inputs(program, 1))
    number = next(i for i, op in enumerate(program.ops) if type(op).__name__ == "Concat")
    total = sum(part(layout, number, k, tensors) for k in range(3))
    assert np.array_equal(total, tensors[layout.result(number)])


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_any_program_is_proved_or_refused(seed: int, samples: int) -> None:
    program = random_program(seed)
    try:
        prover = Prover(program, CIRCUIT)
    except UnsupportedError:
        return
    given_inputs = random_inputs(program, seed, samples)
    made = prover.prove(given_inputs)
    ran = Executor(program).run_many(given_inputs)
    for key, value in ran.outputs.items():
        assert np.array_equal(made.outputs[key], value)
    for witness, tensor in zip(prover.execute(given_inputs), ran.tensors, strict=True):
        assert np.array_equal(witness[tuple(map(slice, tensor.shape))], tensor)
    statement = Statement(circuit=CIRCUIT, weights=prover.weights.root, inputs=given_inputs, outputs=made.outputs)
    verify(prover.structure, statement, made.proof)
    name, value = next(iter(made.outputs.items()))
    changed = value.copy()
    changed.flat[seed % value.size] -= 1
    with pytest.raises(ProofError):
        verify(prover.structure, replace(statement, outputs={**made.outputs, name: changed}), made.proof)
