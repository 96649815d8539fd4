# SPDX-License-Identifier: Apache-2.0
"""Cells beyond a tensor's own extent: no real cell reads one, and none can be filled otherwise than the operations fill it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.zk.sumcheck import programs
from verifiable.errors import ProofError
from verifiable.model.program.execute import Executor
from verifiable.model.program.ops import Maximum, Requantise
from verifiable.zk.sumcheck.layout import Layout
from verifiable.zk.sumcheck.prover import Prover
from verifiable.zk.sumcheck.structure import Structure
from verifiable.zk.sumcheck.verifier import Statement, verify

CIRCUIT = bytes(32)
SAMPLES = 3
#: Those that commit to tensors with padding beside that of the samples.
PADDED = sorted(set(programs.ALL) - {"input_is_output"})


class Filled(Prover):
    """Fills the padding of every committed tensor, samples included, with other results of its table."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.changed: dict[int, np.ndarray] = {}

    def _filled(self, number: int, made: np.ndarray, values: np.ndarray) -> np.ndarray:
        real = (slice(SAMPLES), *map(slice, self.structure.shapes[len(self.structure.inputs) + number]))
        padding = np.ones(made.shape, bool)
        padding[real] = False
        rng = np.random.default_rng(number)
        filled = np.where(padding, rng.choice(values, made.shape), made)
        self.changed[number] = filled != made
        return filled

    def rounded(self, number: int, op: Requantise, tensors: Any) -> Any:
        made = super().rounded(number, op, tensors)
        return self._filled(number, made, self.structure.tables[op.table].values)

    def step(self, number: int, tensors: Any) -> Any:
        made = super().step(number, tensors)
        return self._filled(number, made, np.arange(16)) if isinstance(self.structure.ops[number], Maximum) else made


class FilledRows(Filled):
    """And looks up the rows of the results that it has filled in: nothing that is looked up is false."""

    def columns(self, layout: Layout, tensors: Any) -> Any:
        columns = super().columns(layout, tensors)
        for i, op in enumerate(self.structure.ops):
            if isinstance(op, Requantise):
                keys, values, *flags = columns[i, "result"]
                table = self.structure.tables[op.table]
                rows: dict[int, int] = {int(v): int(k) for k, v in zip(table.keys[::-1], table.values[::-1], strict=True)}
                keys, moved = keys.copy(), self.changed[i].ravel()
                keys[moved] = [rows[int(v)] for v in values[moved]]
                columns[i, "result"] = (keys, values, *(np.where(moved, 0, flag) for flag in flags))
        return columns


@pytest.mark.parametrize("name", PADDED)
def test_no_output_depends_on_padded_cells(name: str) -> None:
    program = programs.ALL[name](0)
    given = programs.inputs(program, SAMPLES)
    prover = Filled(program, CIRCUIT)
    outputs = prover.outputs(prover.execute(given), SAMPLES)
    assert any(changed.any() for changed in prover.changed.values())
    for key, value in Executor(program).run_many(given).outputs.items():
        assert np.array_equal(outputs[key], value)


@pytest.mark.parametrize("kind", [Filled, FilledRows])
@pytest.mark.parametrize("name", PADDED)
def test_padded_cells_are_what_the_operations_make_of_them(name: str, kind: type[Filled]) -> None:
    program = programs.ALL[name](0)
    given = programs.inputs(program, SAMPLES)
    prover = kind(program, CIRCUIT)
    made = prover.prove(given)
    assert any(changed.any() for changed in prover.changed.values())
    statement = Statement(circuit=CIRCUIT, weights=prover.weights.root, inputs=given, outputs=made.outputs)
    with pytest.raises(ProofError):
        verify(Structure.of(program), statement, made.proof)
