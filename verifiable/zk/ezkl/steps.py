# SPDX-License-Identifier: Apache-2.0
"""What is asked of a child, step by step; each returns what was established, and leaves its files in the child's folder."""

from __future__ import annotations

import json as _json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verifiable.encoding import json
from verifiable.encoding.tensor import Tensor
from verifiable.errors import FatalStateError, MalformedError, UnsupportedError
from verifiable.zk.circuit import TensorSpec, Visibility
from verifiable.zk.ezkl import instances
from verifiable.zk.ezkl import plan as plans
from verifiable.zk.ezkl.parameters import EzklParameters
from verifiable.zk.ezkl.plan import Plan
from verifiable.zk.ezkl.process import Child, Refusal
from verifiable.zk.ezkl.settings import MAX_SIZE, EzklSettings, canonicalise

_LAYOUTS, _MAX_COUNT_DIFFERENCE = 8, 16
COMPILED = "compiled"
_MODEL, _SETTINGS, _VK, _WITNESS = "model.onnx", "settings.json", "vk", "witness.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A run without a proof: the outputs, and the commitments (hex) that ezkl computed of hashed tensors."""

    outputs: Mapping[str, Tensor]
    input_hashes: tuple[str, ...]
    output_hashes: tuple[str, ...]


def make_settings(child: Child, program: bytes, parameters: EzklParameters, visibility: Visibility) -> tuple[EzklSettings, Plan]:
    """Lay the program out with these parameters: canonical settings, and the plan. Raises UnsupportedError where ezkl cannot."""
    paths = {"model": child.write(_MODEL, laid_out(program, visibility)), "settings": str(child.folder / _SETTINGS)}
    request = {"run_args": parameters.run_args(visibility), **paths}
    try:
        plan = plans.parse(child.ask("laying out the circuit", {"op": "table", **request}))
        plan.check()
        if visibility.inputs == "hashed":
            plan.check_bounded()
        child.ask("laying out the circuit", {"op": "settings", **request})
    except Refusal as refusal:
        raise UnsupportedError(
            f"ezkl cannot lay out this model: {refusal.message}", hint="`verifiable check` names what cannot be proved"
        ) from refusal
    try:
        return EzklSettings.parse(canonicalise(child.read(_SETTINGS))), plan
    except MalformedError as error:
        raise UnsupportedError(f"ezkl lays this model out in a way that is not used here: {error.message}") from error


def settled(
    child: Child, program: bytes, parameters: EzklParameters, visibility: Visibility, *, wanted: bytes | None = None
) -> tuple[EzklSettings, Plan]:
    """Settings that come out the same, as a rule, when this is repeated. Raises UnsupportedError where ezkl cannot.

    For some models ezkl counts a row more in some runs (it walks a hash map in random order); the keys are the same either way.
    So several runs are made and the smallest count is taken. An auditor gives the settings that are ``wanted``, and gets
    those if they differ from ezkl's by no more than such a count: it only reserves room, and the keys made with it are compared.
    """
    found = [make_settings(child, program, parameters, visibility) for _ in range(1 if wanted is not None else _LAYOUTS)]
    settings, plan = min(found, key=lambda pair: (pair[0].num_rows, pair[0].data))
    if wanted is not None and _differ_in_counts_alone(settings.data, wanted):
        return EzklSettings.parse(wanted), plan
    return settings, plan


def _differ_in_counts_alone(found: bytes, wanted: bytes) -> bool:
    ours, theirs = (json.parse(data, what="ezkl settings", max_size=MAX_SIZE) for data in (found, wanted))
    counts = [(ours.pop(name), theirs.pop(name, None)) for name in ("num_rows", "total_assignments")]
    near = all(isinstance(b, int) and abs(a - b) <= _MAX_COUNT_DIFFERENCE for a, b in counts)
    return near and bool(ours == theirs)


def laid_out(program: bytes, visibility: Visibility) -> bytes:
    """What ezkl is given: the program with averages as convolutions, whose results have no quotient that a prover could round.

    Where inputs are hashed, with a bound on them, which ezkl itself sets only otherwise.
    """
    if b"AveragePool" in program:
        from verifiable.model.averaging import lower_averages

        program = lower_averages(program)
    if visibility.inputs != "hashed":
        return program
    from verifiable.model.bounding import bound_inputs

    return bound_inputs(program)


def compile_circuit(child: Child, program: bytes, settings: EzklSettings) -> None:
    """Make ezkl's own form of the circuit; it differs from run to run, so it is never kept."""
    request = {
        "model": child.write(_MODEL, laid_out(program, settings.visibility)),
        "settings": child.write(_SETTINGS, settings.data),
    }
    child.ask("compiling the circuit", {"op": "compile", "compiled": str(child.folder / COMPILED), **request})


def set_up(child: Child, settings: EzklSettings, srs: Path, pk: Path) -> bytes:
    """Make both keys; the proving key goes to ``pk``, the verifying key is returned."""
    request = {
        "compiled": str(child.folder / COMPILED), "vk": str(child.folder / _VK), "pk": str(pk.absolute()),
        "srs": str(srs.absolute()),
    }  # fmt: skip
    try:
        # Uncompressed selectors: a third more proving key, and a verifying key of kilobytes instead of one column per selector.
        child.ask("making the keys", {"op": "setup", "compress_selectors": False, **request})
    except Refusal as refusal:
        if "NotEnoughRows" in refusal.message:
            raise UnsupportedError(
                f"ezkl: 2^{settings.parameters.logrows} rows are too few for this circuit ({settings.num_rows:,} used at least)",
                hint="choose a larger logrows, or leave the choice to the tuner",
            ) from refusal
        raise
    return child.read(_VK)


def witness(
    child: Child,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    integers: Mapping[str, Tensor],
    *,
    compiled: str | None = None,
    tables: EzklSettings | None = None,
) -> Witness:
    """Run the circuit on these integers; ezkl's reading of the inputs must be exactly ours. Raises UnsupportedError.

    With ``tables``, every argument of a table function must be in these settings' tables: proving would never end otherwise.
    """
    ordered = [integers[spec.name] for spec in inputs]
    data = {"input_data": [instances.felts(tensor) for tensor in ordered]}
    request = {
        "data": child.write("input.json", _json.dumps(data).encode()),
        "compiled": compiled or str(child.folder / COMPILED),
        "witness": str(child.folder / _WITNESS),
    }
    try:
        answer: dict[str, Any] = child.ask("computing the witness", {"op": "witness", **request})
    except Refusal as refusal:
        raise UnsupportedError(
            f"ezkl cannot run the circuit on this input: {refusal.message}",
            hint="a value within it is beyond what the circuit can prove; compile with calibration data that covers this input",
        ) from refusal
    if tables is not None:
        _check_lookups(tables, *answer["lookups"])
    if answer["inputs"] != data["input_data"]:
        raise FatalStateError("ezkl read other inputs than it was given")
    if len(answer["outputs"]) != len(outputs):
        raise FatalStateError(f"ezkl computed {len(answer['outputs'])} outputs, the circuit has {len(outputs)}")
    values = {
        spec.name: instances.integers(found, spec, kind="output") for spec, found in zip(outputs, answer["outputs"], strict=True)
    }
    hashes = answer["hashes"]
    return Witness(
        outputs=values,
        input_hashes=tuple(hashes["inputs"]),
        output_hashes=tuple(hashes["outputs"]),
    )


def _check_lookups(settings: EzklSettings, least: int, largest: int) -> None:
    low, high = settings.parameters.lookup_low, settings.parameters.lookup_high
    if settings.lookups and not low <= least <= largest <= high:
        raise UnsupportedError(
            f"on this input, the argument of a table function is in [{least:,}, {largest:,}];"
            f" the circuit's tables hold [{low:,}, {high:,}]",
            hint="compile the model again with calibration data that covers this input",
        )


def prove(child: Child, srs: Path, pk: Path) -> tuple[list[str], bytes]:
    """Prove the run that :func:`witness` left; the instances as ezkl has them, and the proof."""
    request = {
        "witness": str(child.folder / _WITNESS), "compiled": str(child.folder / COMPILED), "pk": str(pk.absolute()),
        "srs": str(srs.absolute()),
        "proof": str(child.folder / "proof.json"),
    }  # fmt: skip
    answer = child.ask("proving", {"op": "prove", **request})
    if len(answer["instances"]) != 1:
        raise FatalStateError(f"ezkl: {len(answer['instances'])} instance columns, one is expected")
    return answer["instances"][0], bytes.fromhex(answer["proof"])


def poseidon(child: Child, elements: Sequence[str]) -> bytes:
    """ezkl's commitment to a tensor: Poseidon over all its elements in row-major order; 32 bytes little-endian."""
    if not elements:
        raise MalformedError("ezkl: an empty tensor has no commitment")
    answer = child.ask("hashing", {"op": "poseidon", "felts": list(elements)})
    return instances.check_commitment(bytes.fromhex(answer[0]), where="poseidon")


def verify(
    child: Child, *, proof: str, settings: str, vk: str, srs: str, seconds: float | None, phase: str = "verifying"
) -> None:
    """Return if ezkl accepts; Refusal otherwise."""
    answer = child.ask(phase, {"op": "verify", "proof": proof, "settings": settings, "vk": vk, "srs": srs}, seconds=seconds)
    if answer is not True:
        raise Refusal(f"the verifier answered {answer!r}", panicked=False)


def proof_size(child: Child, settings: EzklSettings, vk: bytes, verifier_srs: bytes) -> int:
    """How long a proof for this key is, asked of the verifier itself.

    All-zero bytes are points (at infinity) and scalars in canonical form, so the verifier reads on until the transcript ends too
    early, or reads it all and finds the equations unsatisfied. The least length of the second kind is the proof's.
    """
    files = {
        "settings": child.write(_SETTINGS, settings.data), "vk": child.write("size.vk", vk),
        "srs": child.write("size.srs", verifier_srs),
    }  # fmt: skip
    count = sum(settings.instance_sizes) + settings.hashes

    def complete(words: int) -> bool:
        document = instances.proof_document(["00" * 32] * count, bytes(32 * words))
        try:
            verify(child, proof=child.write("size.json", document), seconds=None, phase="sizing the proof", **files)
        except Refusal as refusal:
            if "constraint system is not satisfied" in refusal.message:
                return True
            if "Transcript error" in refusal.message or "Multi-opening" in refusal.message:
                return False
            raise
        raise FatalStateError("ezkl's verifier accepted a proof of zeros")

    low, high = 0, 64
    while not complete(high):
        low, high = high, 2 * high
        if high > instances.MAX_PROOF_SIZE // 32:
            raise UnsupportedError(f"ezkl: a proof would be larger than {instances.MAX_PROOF_SIZE:,} bytes")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if complete(middle) else (middle, high)
    return 32 * high
