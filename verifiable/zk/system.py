# SPDX-License-Identifier: Apache-2.0
"""What a proof system must offer, and the values that cross that border.

Binding is ours, never the proof file's: a proof is checked against :class:`Public`, which the caller rebuilt from the claim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from verifiable.digest import Digest
from verifiable.encoding.tensor import Tensor
from verifiable.errors import BindingError
from verifiable.zk.circuit import Circuit, TensorType, VerifierCircuit

#: ``progress(phase, fraction)``: fraction in [0, 1], or None while it is not known. Called from the proving thread.
Progress = Callable[[str, float | None], None]


def no_progress(phase: str, fraction: float | None) -> None:
    """The progress sink of callers who do not look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What is known of one tensor: its int64 integers when public (or given), its commitment when hashed, neither when private.

    ``commitment`` is the system's own canonical encoding (ezkl: 32 bytes little-endian, Poseidon over BN254's scalar field).
    """

    name: str
    integers: Tensor | None = None
    commitment: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Public:
    """The instance of the statement: one :class:`Bound` per circuit input and output, in the circuit's order."""

    inputs: tuple[Bound, ...]
    outputs: tuple[Bound, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """A proof in canonical bytes, its instance, the exact integer outputs (also when they are not public), seconds by phase."""

    proof: bytes
    media_type: str
    public: Public
    outputs: Mapping[str, Tensor]
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProverCircuit:
    """What a prover starts from: the verifier's circuit and the program's bytes. Keys come from the content-addressed cache."""

    verifier: VerifierCircuit
    program: bytes

    def __post_init__(self) -> None:
        self.verifier.circuit.program.check(self.program, "program")

    @property
    def circuit(self) -> Circuit:
        return self.verifier.circuit


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProgram:
    """What was derived from an ONNX file: its digest, its inputs and outputs in its order, the program that it is proved as.

    ``verifiable.compiling.program_of`` makes it. One that is put together by hand shows nothing about any model. ``reference``:
    the ONNX file itself, to see how far a run is from the float model's.
    """

    model: Digest
    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]
    program: bytes
    reference: bytes | None = None

    def open(self, circuit: VerifierCircuit) -> ProverCircuit:
        """``circuit`` with this program, to run it. Raises BindingError unless it is of this model, to the last tensor name."""
        named = circuit.circuit
        if self.model != named.model:
            raise BindingError(f"the circuit is of model {named.model}, the file given is {self.model}")
        # With two inputs swapped, or renamed, the same proof says something else.
        for kind, specs, types in (("input", named.inputs, self.inputs), ("output", named.outputs, self.outputs)):
            if tuple(spec.type for spec in specs) != types:
                raise BindingError(f"the circuit's {kind}s are not the model's: {', '.join(t.name for t in types)}")
        if Digest.of(self.program) != named.program.digest:
            raise BindingError(
                "the circuit proves another program than the one of the model given",
                hint="it was made with other --dim, by another version of this library, or from another model",
            )
        return ProverCircuit(verifier=circuit, program=self.program)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaTypes:
    """What a system calls the files it makes. ``parts``: by role. A file under another name is not read as one of them."""

    proof: str
    program: str
    parts: Mapping[str, str]
    proving_key: str | None = None

    def check(self, circuit: Circuit) -> None:
        """Every part of ``circuit`` has its own media type. Raises BindingError."""
        found = {"program": circuit.program, **{f"part {role!r}": part for role, part in circuit.parts.items()}}
        wanted = {"program": self.program, **{f"part {role!r}": kind for role, kind in self.parts.items()}}
        if circuit.proving_key is not None:
            found["proving key"], wanted["proving key"] = circuit.proving_key, self.proving_key or ""
        for name, part in found.items():
            if part.media_type != wanted.get(name):
                raise BindingError(
                    f"circuit: its {name[:80]} is called {part.media_type!r}, for {circuit.system} that is {wanted.get(name)!r}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one proving job may cost. ``memory`` in bytes (None: no limit), ``seconds`` of wall time.

    ``seconds`` None is no licence to hang: each system then sets a generous deadline of its own and documents it.
    """

    memory: int | None = None
    seconds: float | None = None


class ProofSystem(Protocol):
    """One proof system. Every method raises only :class:`verifiable.errors.Error`; none leaves files behind when it fails.

    Compilation is not here: each system has its own options, and ``verifiable.compiling`` knows them by name.
    """

    @property
    def id(self) -> str:
        """The name in ``circuit.json``."""
        ...

    @property
    def media_types(self) -> MediaTypes:
        """Of its proofs and of the parts of its circuits."""
        ...

    def prove(self, circuit: ProverCircuit, integers: Mapping[str, Tensor], *, limits: Limits, progress: Progress) -> Proved:
        """Prove the run on these int64 inputs. Raises UnsupportedError, MalformedError, FatalStateError (memory, deadline)."""
        ...

    def verify(self, circuit: VerifierCircuit, public: Public, proof: bytes) -> None:
        """Return if the proof holds for exactly this instance; else ProofError, BindingError or MalformedError."""
        ...

    def commit(self, circuit: Circuit, integers: Tensor) -> bytes:
        """The commitment that a ``hashed`` tensor would have; a verifier given the value compares. Raises UnsupportedError."""
        ...

    def caveats(self, circuit: VerifierCircuit) -> tuple[str, ...]:
        """What a proof for this circuit does *not* establish, one line each. Raises MalformedError, BindingError."""
        ...


@runtime_checkable
class Executor(Protocol):
    """A proof system that can also compute what it would prove. Raises only Error."""

    def execute(self, circuit: ProverCircuit, integers: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The int64 outputs for these inputs, exactly those that a proof would show. Raises UnsupportedError, MalformedError."""
        ...


__all__ = [
    "Bound", "Executor", "Limits", "MediaTypes", "ModelProgram", "Progress", "ProofSystem", "Proved", "ProverCircuit",
    "Public", "no_progress",
]  # fmt: skip
