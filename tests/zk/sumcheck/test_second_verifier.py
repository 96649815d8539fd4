# SPDX-License-Identifier: Apache-2.0
"""The verifier, and another that was written from the document alone, are of one mind."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.zk.sumcheck import programs
from tests.zk.sumcheck.second_verifier import Refused, Second
from verifiable.compiling import compile  # noqa: A004 - the verb of the public API
from verifiable.errors import Error
from verifiable.proving import prove
from verifiable.receipt import Receipt
from verifiable.zk.sumcheck.prover import Prover
from verifiable.zk.sumcheck.structure import Structure
from verifiable.zk.sumcheck.structure_file import StructureFile
from verifiable.zk.sumcheck.verifier import Statement, verify

CIRCUIT = bytes(range(32))


def second(structure: Structure, statement: Statement, proof: bytes) -> None:
    part = StructureFile(structure=structure, root=statement.weights).encode()
    Second(part, statement.inputs, statement.outputs).verify(statement.circuit, proof)


def made(name: str, samples: int) -> tuple[Structure, Statement, bytes]:
    program = programs.ALL[name](0)
    prover, given = Prover(program, CIRCUIT), programs.inputs(program, samples)
    found = prover.prove(given)
    statement = Statement(circuit=CIRCUIT, weights=prover.weights.root, inputs=given, outputs=found.outputs)
    return prover.structure, statement, found.proof


@pytest.mark.parametrize("samples", [1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", programs.ALL)
def test_both_accept_a_true_statement_and_refuse_a_false_one(name: str, samples: int) -> None:
    structure, statement, proof = made(name, samples)
    second(structure, statement, proof)
    output, value = next(iter(statement.outputs.items()))
    false = replace(statement, outputs={**statement.outputs, output: value + 1})
    with pytest.raises(Refused):
        second(structure, false, proof)


def test_a_receipt_of_a_real_circuit(checkout: Path) -> None:
    """From the receipt alone: circuit.json by its digest, the part that it names, the claim's integers, the proof."""
    folder = checkout / "models/digits-cnn"
    compiled = compile(folder / "model.onnx", system="sumcheck", calibration=folder / "calibration.npz", max_error=0.1)
    receipt = Receipt.parse(prove(compiled.prover, folder / "sample.npy").receipt.encode())
    assert receipt.circuit is not None
    document = json.loads(receipt.circuit.circuit)
    part = receipt.circuit.parts["structure"]
    assert hashlib.sha256(part).hexdigest() == document["parts"]["structure"]["sha256"]
    named = hashlib.sha256(receipt.circuit.circuit).digest()
    assert receipt.claim.circuit.value == named
    (proof,) = (evidence.data for evidence in receipt.evidence)
    assert proof is not None
    inputs, outputs = (
        {t.name: t.value.array()[None] for t in end if t.value is not None}
        for end in (receipt.claim.inputs, receipt.claim.outputs)
    )
    for spec in document["inputs"]:  # outputs are claimed as integers
        steps = inputs[spec["name"]].astype(np.float64) / spec["scale"]
        inputs[spec["name"]] = (np.sign(steps) * np.floor(np.abs(steps) + 0.5)).astype(np.int64)
    Second(part, inputs, outputs).verify(named, proof)
    for wrong in (bytes(32), named[::-1]):
        with pytest.raises(Refused):
            Second(part, inputs, outputs).verify(wrong, proof)
    with pytest.raises(Refused):
        Second(part, inputs, {name: value - 1 for name, value in outputs.items()}).verify(named, proof)


def test_both_refuse_the_same_bytes() -> None:
    structure, statement, proof = made("residual", 1)
    rng = np.random.default_rng(0)
    for place in [0, 24, *rng.integers(25, len(proof), 12).tolist(), len(proof) - 1]:
        broken = bytearray(proof)
        broken[place] ^= 1
        with pytest.raises(Refused):
            second(structure, statement, bytes(broken))
        with pytest.raises(Error):
            verify(structure, statement, bytes(broken))
    with pytest.raises(Refused):
        second(structure, statement, proof + b"\0")
