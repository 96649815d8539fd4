# SPDX-License-Identifier: Apache-2.0
"""One proof from start to end, with what makes it worth something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from verifiable.errors import ProofError
from verifiable.model.program.execute import Executor
from verifiable.model.program.ir import Program
from verifiable.zk.sumcheck.prover import Prover
from verifiable.zk.sumcheck.verifier import Statement, verify

CIRCUIT = bytes(range(32))


def holds(program: Program, inputs: Mapping[str, np.ndarray]) -> Prover:
    """The executor's outputs, and no others, are proved of these integers [samples, ...]. Raises what the prover refuses."""
    prover = Prover(program, CIRCUIT)
    made = prover.prove(inputs)
    for name, value in Executor(program).run_many(inputs).outputs.items():
        assert np.array_equal(made.outputs[name], value)
    statement = Statement(circuit=CIRCUIT, weights=prover.weights.root, inputs=inputs, outputs=made.outputs)
    verify(prover.structure, statement, made.proof)
    for name, value in made.outputs.items():
        changed = value.copy()
        changed.flat[-1] += 1
        with pytest.raises(ProofError):
            verify(prover.structure, replace(statement, outputs={**made.outputs, name: changed}), made.proof)
    return prover
