# SPDX-License-Identifier: Apache-2.0
"""From a Program to a circuit: the structure, the commitment to the weights, and ``circuit.json`` over both.

The same Program gives the same circuit id on every machine. There are no keys and no setup.
"""

from __future__ import annotations

from collections.abc import Sequence

from verifiable.digest import Digest
from verifiable.errors import UnsupportedError
from verifiable.model.fidelity import MEDIA_TYPE as FIDELITY
from verifiable.model.program.bounds import bounds
from verifiable.model.program.ir import Input, Output, Program
from verifiable.model.program.serialise import MEDIA_TYPE as PROGRAM
from verifiable.model.quantise.plan import MEDIA_TYPE as PLAN
from verifiable.zk.circuit import Circuit, Part, Post, TensorSpec, VerifierCircuit, Visibility
from verifiable.zk.sumcheck import structure_file
from verifiable.zk.sumcheck.cost import require_bounded
from verifiable.zk.sumcheck.structure import Structure
from verifiable.zk.sumcheck.structure_file import StructureFile
from verifiable.zk.sumcheck.weights import commit
from verifiable.zk.system import MediaTypes, ProverCircuit

SYSTEM = "sumcheck"
#: Of the protocol; proofs and circuits of one version are refused by every other.
VERSION = "1"
MEDIA_TYPES = MediaTypes(
    proof="application/vnd.verifiable.sumcheck.proof.v1",
    program=PROGRAM,
    parts={"structure": structure_file.MEDIA_TYPE, "plan": PLAN, "fidelity": FIDELITY},
)
#: All that this system can honour: it hides nothing.
VISIBILITY = Visibility(inputs="public", outputs="public", weights="committed")


def build(*, model: Digest, program: Program, plan: bytes, fidelity: bytes, visibility: Visibility) -> ProverCircuit:
    """The circuit. ``plan``: the choices that make ``program`` of the model, for auditors and re-runs.

    Raises UnsupportedError for a Program that cannot be proved, or for a visibility that would hide something.
    """
    require_visible(visibility)
    structure = Structure.of(program)
    require_bounded(structure)
    file = StructureFile(structure=structure, root=commit(program, structure).root)
    parts = {"structure": file.encode(), "plan": plan, "fidelity": fidelity}
    data = program.encode()
    circuit = Circuit(
        model=model,
        program=Part.of(data, PROGRAM),
        system=SYSTEM,
        system_version=VERSION,
        visibility=visibility,
        inputs=input_specs(program.inputs),
        outputs=output_specs(program),
        parts={role: Part.of(part, MEDIA_TYPES.parts[role]) for role, part in parts.items()},
    )
    return ProverCircuit(verifier=VerifierCircuit(circuit=circuit, parts=parts), program=data)


def require_visible(visibility: Visibility) -> None:
    """Raises UnsupportedError, naming the proof system that can hide, unless everything is public and the weights committed."""
    for name, asked, due in (
        ("inputs", visibility.inputs, VISIBILITY.inputs),
        ("outputs", visibility.outputs, VISIBILITY.outputs),
        ("weights", visibility.weights, VISIBILITY.weights),
    ):
        if asked != due:
            raise UnsupportedError(
                f"sumcheck proofs have {name} {due}, not {asked}: they show that a result is right and hide nothing",
                hint="for hidden values or weights, and for weights fixed in a key: --system ezkl",
            )


def input_specs(inputs: Sequence[Input]) -> tuple[TensorSpec, ...]:
    """The inputs of a Program or a structure, as ``circuit.json`` has them."""
    return tuple(TensorSpec(name=e.name, dtype=e.dtype, shape=e.shape, scale=e.scale, low=e.low, high=e.high) for e in inputs)


def output_specs(program: Program) -> tuple[TensorSpec, ...]:
    """The outputs: the exact integers' shapes and ranges, and what is done to them after the proof."""
    ranges = bounds(program).values
    return tuple(
        TensorSpec(
            name=output.name, dtype=output.dtype, shape=program.shapes[output.tensor], scale=output.scale,
            low=ranges[output.tensor][0], high=ranges[output.tensor][1],
            post=post(output),
        )
        for output in program.outputs
    )  # fmt: skip


def post(output: Output) -> Post | None:
    """What is done to the output after the proof, as ``circuit.json`` has it."""
    return None if output.post == "none" else Post(kind=output.post, axis=output.axis, shape=output.shape)
