# SPDX-License-Identifier: Apache-2.0
"""The ``sumcheck`` proof system as the rest of the library sees it: prove, verify, execute. No setup, no keys, no child process.

Integrity only: a proof hides nothing, and what would need hiding is refused when a circuit is compiled.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from verifiable.digest import Digest
from verifiable.encoding.tensor import Tensor
from verifiable.errors import BindingError, MalformedError, UnsupportedError
from verifiable.zk.circuit import Circuit, TensorSpec, VerifierCircuit
from verifiable.zk.system import Bound, Limits, MediaTypes, Progress, Proved, ProverCircuit, Public, no_progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from verifiable.model.program.execute import Executor
    from verifiable.zk.sumcheck.prover import Prover
    from verifiable.zk.sumcheck.structure_file import StructureFile

#: A proof is read into memory whole; the largest that this version makes is a fraction of it.
MAX_PROOF_SIZE = 1 << 26
#: Circuits that stay ready to be proved: their programs, weights and commitments.
_KEPT = 4


class SumcheckSystem:
    """Proves and verifies in the calling process. Safe to share among threads."""

    id = "sumcheck"

    @property
    def media_types(self) -> MediaTypes:
        """Of its proofs and of the parts of its circuits."""
        from verifiable.zk.sumcheck.build import MEDIA_TYPES

        return MEDIA_TYPES

    def __init__(self) -> None:
        self._provers: OrderedDict[Digest, Prover] = OrderedDict()
        self._lock = threading.Lock()

    def prove(
        self,
        circuit: ProverCircuit,
        integers: Mapping[str, Tensor],
        *,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        progress: Progress = no_progress,
    ) -> Proved:
        """Prove the run on these int64 inputs. Its two phases are ``witness`` and ``prove``.

        Raises MalformedError (inputs), BindingError (program and structure do not belong together), UnsupportedError,
        FatalStateError (the deadline has passed, or the memory would not do).
        """
        from verifiable.zk.sumcheck.estimate import require_memory
        from verifiable.zk.sumcheck.watch import Watch

        watch = Watch(limits=limits, progress=progress)
        inputs = _arrays(circuit.circuit.inputs, integers)
        watch("preparing", None)
        prover = self._prover(circuit)
        require_memory(prover.structure, limits)
        started = time.monotonic()
        watch("running the program", None)
        witness = prover.witness(inputs)
        executed = time.monotonic()
        proof = prover.argue(witness.layout, witness.statement, witness.tensors, watch=watch)
        ended = time.monotonic()
        outputs = {name: Tensor.from_array(array[0]) for name, array in witness.outputs.items()}
        return Proved(
            proof=proof,
            media_type=self.media_types.proof,
            public=_public(circuit.circuit, integers, outputs),
            outputs=outputs,
            seconds={"witness": executed - started, "prove": ended - executed},
        )

    def verify(self, circuit: VerifierCircuit, public: Public, proof: bytes) -> None:
        """Return if the proof holds for exactly this instance.

        1. the circuit is one of this version's, and its structure says what ``circuit.json`` says; 2. every value is public;
        3. the proof holds for the structure, the weights' root, the circuit's id and these values. Raises ProofError,
        BindingError, MalformedError, UnsupportedError.
        """
        from verifiable.zk.sumcheck.verifier import Statement, verify

        file = _structure(circuit)  # 1
        if len(proof) > MAX_PROOF_SIZE:
            raise MalformedError(f"proof: {len(proof):,} bytes, at most {MAX_PROOF_SIZE:,} are read")
        statement = Statement(
            circuit=circuit.circuit.id.value,
            weights=file.root,
            inputs=_arrays(circuit.circuit.inputs, _integers(public.inputs)),  # 2
            outputs=_arrays(circuit.circuit.outputs, _integers(public.outputs)),
        )
        verify(file.structure, statement, proof)  # 3

    def commit(self, circuit: Circuit, integers: Tensor) -> bytes:  # noqa: ARG002 - the protocol's signature
        """Nothing of a sumcheck circuit is hashed. Raises UnsupportedError."""
        raise UnsupportedError("sumcheck: no input or output of this circuit is hashed")

    def execute(self, circuit: ProverCircuit, integers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The integer outputs, exactly those that a proof would show. Raises MalformedError, UnsupportedError, BindingError."""
        executor = self._executor(circuit)
        ran = executor.run_many(_arrays(circuit.circuit.inputs, integers))
        return {name: Tensor.from_array(array[0]) for name, array in ran.outputs.items()}

    def caveats(self, circuit: VerifierCircuit) -> tuple[str, ...]:
        """What a proof for this circuit does *not* establish. Raises like the checks of a circuit."""
        _structure(circuit)
        return ("sumcheck is a new proof system that nobody has audited yet",)

    def _prover(self, circuit: ProverCircuit) -> Prover:
        """Ready to prove; its weights are those that the circuit names by their commitment."""
        from verifiable.model.program.ir import Program
        from verifiable.zk.sumcheck.prover import Prover
        from verifiable.zk.sumcheck.structure_file import StructureFile

        key = circuit.circuit.id
        with self._lock:
            if key in self._provers:
                self._provers.move_to_end(key)
                return self._provers[key]
        _structure(circuit.verifier)
        prover = Prover(Program.parse(circuit.program), key.value)
        made = StructureFile(structure=prover.structure, root=prover.weights.root)
        if made.encode() != circuit.verifier.parts["structure"]:
            raise BindingError(
                "the circuit's structure is not that of its program",
                hint="the circuit was not made from this program; `verifiable audit` compares",
            )
        with self._lock:
            self._provers[key] = prover
            while len(self._provers) > _KEPT:
                self._provers.popitem(last=False)
        return prover

    def _executor(self, circuit: ProverCircuit) -> Executor:
        """A re-run needs no commitment, so none is made; but its ends must be the program's own, or it says something else."""
        from verifiable.model.program.execute import Executor
        from verifiable.model.program.ir import Program
        from verifiable.zk.sumcheck.build import input_specs, output_specs

        named = circuit.circuit
        with self._lock:
            if (known := self._provers.get(named.id)) is not None:
                return known.executor
        _structure(circuit.verifier)
        program = Program.parse(circuit.program)
        if (named.inputs, named.outputs) != (input_specs(program.inputs), output_specs(program)):
            raise BindingError(
                "the circuit's inputs and outputs are not those of its program: other scales, ranges or last steps",
                hint="whoever made the circuit made it say something else than the model; `verifiable audit` compares",
            )
        return Executor(program)


def _structure(circuit: VerifierCircuit) -> StructureFile:
    """The circuit is one that this version makes: system, version, visibility, parts, ends."""
    from verifiable.zk.sumcheck.build import MEDIA_TYPES, VERSION, input_specs, post, require_visible
    from verifiable.zk.sumcheck.structure_file import StructureFile

    named = circuit.circuit
    if named.system != SumcheckSystem.id or named.system_version != VERSION:
        raise UnsupportedError(
            f"circuit: made for {named.system[:40]!r} {named.system_version[:40]!r}, this is {SumcheckSystem.id} {VERSION}"
        )
    if set(circuit.parts) != set(MEDIA_TYPES.parts) or named.setup is not None or named.proving_key is not None:
        raise MalformedError("circuit: its parts are not those of a sumcheck circuit")
    require_visible(named.visibility)
    file = StructureFile.parse(circuit.parts["structure"])
    # Their bounds depend on weights, so a verifier cannot compare them.
    given = [(s.name, s.dtype, s.shape, s.scale, s.post) for s in named.outputs]
    due = [(o.name, o.dtype, file.structure.shapes[o.tensor], o.scale, post(o)) for o in file.structure.outputs]
    if named.inputs != input_specs(file.structure.inputs) or given != due:
        raise MalformedError("circuit: its inputs and outputs are not those of its structure")
    return file


def _arrays(specs: tuple[TensorSpec, ...], integers: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """One run as arrays [1, *shape]. Raises MalformedError unless there is exactly one int64 tensor for each spec."""
    if unknown := sorted(set(integers) - {spec.name for spec in specs}):
        raise MalformedError(f"{unknown[0][:80]!r} is not one of the circuit's")
    found = {}
    for spec in specs:
        if (tensor := integers.get(spec.name)) is None:
            raise MalformedError(f"{spec.name!r} is missing")
        if (tensor.dtype, tensor.shape) != ("int64", spec.shape):
            raise MalformedError(f"{spec.name!r}: {tensor.dtype}{list(tensor.shape)}, expected int64{list(spec.shape)}")
        found[spec.name] = tensor.array()[None]
    return found


def _integers(bounds: tuple[Bound, ...]) -> dict[str, Tensor]:
    """Raises BindingError for a value that is not known: there is nothing that a proof could be checked against."""
    found = {}
    for bound in bounds:
        if bound.integers is None:
            raise BindingError(f"{bound.name!r}: its value is not known, and a sumcheck proof speaks of values")
        found[bound.name] = bound.integers
    return found


def _public(circuit: Circuit, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Public:
    return Public(
        inputs=tuple(Bound(name=spec.name, integers=inputs[spec.name]) for spec in circuit.inputs),
        outputs=tuple(Bound(name=spec.name, integers=outputs[spec.name]) for spec in circuit.outputs),
    )


__all__ = ["SumcheckSystem"]
