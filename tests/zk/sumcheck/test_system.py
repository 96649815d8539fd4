# SPDX-License-Identifier: Apache-2.0
"""The system behind its border: a circuit that does not say what its structure says is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.zk.sumcheck import programs
from verifiable.digest import Digest
from verifiable.encoding.tensor import Tensor
from verifiable.errors import BindingError, Error, MalformedError, ProofError, UnsupportedError
from verifiable.zk.circuit import Circuit, Part, Post, Setup, VerifierCircuit, Visibility
from verifiable.zk.sumcheck.build import VISIBILITY, build
from verifiable.zk.sumcheck.structure_file import StructureFile
from verifiable.zk.sumcheck.system import SumcheckSystem
from verifiable.zk.system import Proved, ProverCircuit, Public

SYSTEM = SumcheckSystem()


def made(name: str = "mlp", model: bytes = b"a model") -> ProverCircuit:
    return build(model=Digest.of(model), program=programs.ALL[name](), plan=b"{}", fidelity=b"{}", visibility=VISIBILITY)


CIRCUIT = made()


def proved() -> Proved:
    given = programs.inputs(programs.mlp(), 1)["x"][0]
    return SYSTEM.prove(CIRCUIT, {"x": Tensor.from_array(given)})


def changed(**fields: object) -> VerifierCircuit:
    """The circuit with other words in its ``circuit.json``: another id, which somebody might pin."""
    return replace(CIRCUIT.verifier, circuit=replace(CIRCUIT.circuit, **fields))  # type: ignore[arg-type]


def test_a_proof_holds_for_its_circuit_and_values_alone() -> None:
    run = proved()
    SYSTEM.verify(CIRCUIT.verifier, run.public, run.proof)
    value = run.public.outputs[0].integers
    assert value is not None
    other = Tensor.from_array(np.asarray(value.array()) + 1)
    with pytest.raises(ProofError):
        SYSTEM.verify(
            CIRCUIT.verifier,
            Public(inputs=run.public.inputs, outputs=(replace(run.public.outputs[0], integers=other),)),
            run.proof,
        )


def test_the_circuits_id_is_part_of_what_is_proved() -> None:
    """Of two circuits with one structure, that of another model: nothing but the id tells the proofs apart."""
    other, run = made(model=b"another model"), proved()
    assert other.verifier.parts == CIRCUIT.verifier.parts
    with pytest.raises(ProofError):
        SYSTEM.verify(other.verifier, run.public, run.proof)


OUTPUT = CIRCUIT.circuit.outputs[0]
INPUT = CIRCUIT.circuit.inputs[0]
SETUP = Setup(ceremony="unknown", digest=Digest.of(b""), fingerprint=Digest.of(b""), logrows=9)
OTHER_CIRCUITS: dict[str, Callable[[], VerifierCircuit]] = {
    "the largest in place of all": lambda: changed(outputs=(replace(OUTPUT, post=Post(kind="argmax", axis=1, shape=(1,))),)),
    "another scale": lambda: changed(outputs=(replace(OUTPUT, scale=2.0),)),
    "another output": lambda: changed(outputs=(replace(OUTPUT, name="z"),)),
    "another range": lambda: changed(inputs=(replace(INPUT, high=INPUT.high + 1),)),
    "another input": lambda: changed(inputs=(replace(INPUT, name="z"),)),
    "a setup": lambda: changed(setup=SETUP),
    "a proving key": lambda: changed(proving_key=Part.of(b"", "application/octet-stream")),
}


@pytest.mark.parametrize("name", OTHER_CIRCUITS)
def test_a_circuit_says_what_its_structure_says(name: str) -> None:
    with pytest.raises(MalformedError, match="circuit: its"):
        SYSTEM.caveats(OTHER_CIRCUITS[name]())


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"system": "ezkl"}, UnsupportedError),
        ({"system_version": "2"}, UnsupportedError),
        ({"visibility": Visibility(weights="private")}, UnsupportedError),
        ({"visibility": Visibility(inputs="hashed", weights="committed")}, UnsupportedError),
    ],
)
def test_a_circuit_of_another_kind_is_refused(fields: dict[str, object], error: type[Error]) -> None:
    with pytest.raises(error):
        SYSTEM.caveats(changed(**fields))


@pytest.mark.parametrize("role", ["structure", "plan", "fidelity"])
def test_no_part_is_left_out(role: str) -> None:
    parts = {name: data for name, data in CIRCUIT.verifier.parts.items() if name != role}
    named = {name: part for name, part in CIRCUIT.circuit.parts.items() if name != role}
    circuit: Circuit = replace(CIRCUIT.circuit, parts=named)
    with pytest.raises(MalformedError, match="its parts"):
        SYSTEM.caveats(VerifierCircuit(circuit=circuit, parts=parts))


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [({"scale": 50.0}, {}), ({"high": 16}, {}), ({}, {"scale": 1000.0}), ({}, {"post": "softmax"})],
    ids=["input scale", "input range", "output scale", "last step"],
)
def test_a_re_run_is_not_of_a_circuit_that_says_something_else(inputs: dict[str, object], outputs: dict[str, object]) -> None:
    """Structure and circuit.json agree, and both lie: the honest program would be run on, or shown as, other values."""
    file = StructureFile.parse(CIRCUIT.verifier.parts["structure"])
    structure = replace(
        file.structure,
        inputs=tuple(replace(entry, **inputs) for entry in file.structure.inputs),  # type: ignore[arg-type]
        outputs=tuple(replace(output, **outputs) for output in file.structure.outputs),  # type: ignore[arg-type]
    )
    lie = replace(file, structure=structure).encode()
    parts = {**CIRCUIT.verifier.parts, "structure": lie}
    ends = outputs if "post" not in outputs else {"post": Post(kind="softmax", axis=0, shape=CIRCUIT.circuit.outputs[0].shape)}
    circuit = replace(
        CIRCUIT.circuit,
        inputs=tuple(replace(spec, **inputs) for spec in CIRCUIT.circuit.inputs),  # type: ignore[arg-type]
        outputs=tuple(replace(spec, **ends) for spec in CIRCUIT.circuit.outputs),  # type: ignore[arg-type]
        parts={
            role: replace(CIRCUIT.circuit.parts[role], digest=Digest.of(data), size=len(data)) for role, data in parts.items()
        },
    )
    evil = ProverCircuit(verifier=VerifierCircuit(circuit=circuit, parts=parts), program=CIRCUIT.program)
    given = programs.inputs(programs.mlp(), 1)["x"][0]
    with pytest.raises(BindingError, match="not those of its program"):
        SumcheckSystem().execute(evil, {"x": Tensor.from_array(given)})
    with pytest.raises(BindingError, match="not that of its program"):
        SumcheckSystem().prove(evil, {"x": Tensor.from_array(given)})
