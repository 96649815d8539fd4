# SPDX-License-Identifier: Apache-2.0
"""Prove, verify, commit, execute: what holds is accepted, everything else is refused, and by the right name."""

from __future__ import annotations

import dataclasses
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.zk.ezkl.workshop import SAMPLE, Workshop, mlp, tensor
from verifiable.blobs import LocalBlobs
from verifiable.digest import Digest
from verifiable.errors import (
    BindingError,
    Error,
    FatalStateError,
    MalformedError,
    ProofError,
    TrustError,
    UnsupportedError,
)
from verifiable.zk.circuit import Circuit, Part, TensorSpec, VerifierCircuit, Visibility
from verifiable.zk.ezkl import instances
from verifiable.zk.ezkl.build import PROGRAM_MEDIA_TYPE
from verifiable.zk.ezkl.system import EzklSystem
from verifiable.zk.srs.store import SrsStore
from verifiable.zk.system import Bound, Limits, Proved, ProverCircuit, Public

WORD = 32


def with_output(public: Public, *values: int) -> Public:
    return dataclasses.replace(public, outputs=(Bound(name="y", integers=tensor(*values)),))


def with_parts(circuit: VerifierCircuit, **changes: Any) -> VerifierCircuit:
    """The same circuit with other parts, digests and all: what a dishonest maker could publish under another id."""
    parts = {**circuit.parts, **{name.replace("_", "-"): data for name, data in changes.items() if isinstance(data, bytes)}}
    fields = {name: value for name, value in changes.items() if not isinstance(value, bytes)}
    named = {role: Part.of(data, circuit.circuit.parts[role].media_type) for role, data in parts.items()}
    return VerifierCircuit(circuit=dataclasses.replace(circuit.circuit, parts=named, **fields), parts=parts)


# --- what holds


def test_a_proof_verifies_and_its_outputs_are_those_of_execute(
    workshop: Workshop, circuit: ProverCircuit, proved: Proved
) -> None:
    workshop.system.verify(circuit.verifier, proved.public, proved.proof)
    assert workshop.system.execute(circuit, SAMPLE) == proved.outputs
    assert proved.public.outputs[0].integers == proved.outputs["y"]
    assert Circuit.parse(circuit.circuit.encode()) == circuit.circuit


def test_building_twice_gives_the_same_circuit(workshop: Workshop, circuit: ProverCircuit) -> None:
    """Trap 7: ezkl writes sets in random order and the time into its settings; unsorted, each build had another verifying key."""
    assert {workshop.build(mlp(8, 8, 4)).circuit.id for _ in range(2)} == {circuit.circuit.id}


def test_an_output_is_near_the_float_model(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(circuit.program)
    expected = session.run(None, {"x": (SAMPLE["x"].array() / 128).astype(np.float32)})[0]
    assert np.abs(proved.outputs["y"].array() * circuit.circuit.outputs[0].scale - expected).max() < 0.05


def test_verification_is_quick_because_the_setup_is_cut_down(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    """Trap: with the whole setup it takes 1.25 s. What makes it quick is checked; how quick it is, is printed."""
    times = []
    for _ in range(15):
        start = time.perf_counter()
        workshop.system.verify(circuit.verifier, proved.public, proved.proof)
        times.append(time.perf_counter() - start)
    print(f"verification in a warm process: median {1000 * statistics.median(times):.1f} ms, least {1000 * min(times):.1f} ms")
    assert len(circuit.verifier.parts["srs"]) == 516
    assert sum(len(data) for data in circuit.verifier.parts.values()) < 100_000


def test_a_verifier_needs_neither_setup_nor_proving_key(tmp_path: Path, circuit: ProverCircuit, proved: Proved) -> None:
    stranger = EzklSystem(LocalBlobs(tmp_path / "blobs"), SrsStore(tmp_path / "srs"))
    stranger.verify(circuit.verifier, proved.public, proved.proof)
    stranger.close()
    assert list(tmp_path.iterdir()) == []


def test_many_threads_may_verify_at_once(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    false = with_output(proved.public, 1, 2, 3, 4)
    found: list[str] = []

    def ask(public: Public) -> None:
        try:
            workshop.system.verify(circuit.verifier, public, proved.proof)
            found.append("holds" if public is proved.public else "WRONG")
        except ProofError:
            found.append("fails" if public is false else "WRONG")

    threads = [threading.Thread(target=ask, args=(public,)) for public in (proved.public, false) * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(found)) == ["fails", "holds"]


# --- what is false


def test_any_other_output_is_refused(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    honest = [int(v) for v in proved.outputs["y"].array().ravel()]
    for position in range(4):
        for change in (1, -1, 7):
            values = list(honest)
            values[position] += change
            with pytest.raises(ProofError, match="does not hold"):
                workshop.system.verify(circuit.verifier, with_output(proved.public, *values), proved.proof)


def test_any_other_input_is_refused(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    other = tensor(*[int(v) + (i == 3) for i, v in enumerate(SAMPLE["x"].array().ravel())])
    public = dataclasses.replace(proved.public, inputs=(Bound(name="x", integers=other),))
    with pytest.raises(ProofError):
        workshop.system.verify(circuit.verifier, public, proved.proof)


def test_a_proof_for_another_model_is_refused(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    other = workshop.build(mlp(8, 8, 4, seed=1))
    with pytest.raises(ProofError):
        workshop.system.verify(other.verifier, proved.public, proved.proof)


def test_an_instance_that_is_equal_modulo_the_field_is_refused(
    workshop: Workshop, circuit: ProverCircuit, proved: Proved
) -> None:
    """``x`` and ``x - p`` are one field element; int64 and the circuit's range leave one integer for each."""
    assert instances.felts(tensor(-1)) == [(instances.FIELD - 1).to_bytes(32, "little").hex()]
    bound = circuit.circuit.outputs[0].high
    with pytest.raises(MalformedError, match="outside the circuit's range"):
        workshop.system.verify(circuit.verifier, with_output(proved.public, bound + 1, 0, 0, 0), proved.proof)


@pytest.mark.parametrize(
    ("public", "error"),
    [
        (lambda p: dataclasses.replace(p, inputs=()), BindingError),
        (lambda p: dataclasses.replace(p, inputs=p.inputs * 2), BindingError),
        (lambda p: dataclasses.replace(p, outputs=(Bound(name="z", integers=p.outputs[0].integers),)), BindingError),
        (lambda p: dataclasses.replace(p, outputs=(Bound(name="y"),)), BindingError),
        (lambda p: dataclasses.replace(p, outputs=(Bound(name="y", commitment=bytes(32)),)), BindingError),
        (lambda p: dataclasses.replace(p, outputs=(Bound(name="y", integers=tensor(1, 2, 3)),)), MalformedError),
        (lambda p: dataclasses.replace(p, outputs=(Bound(name="y", integers=tensor(1, 2, 3, 4, shape=(4, 1))),)), MalformedError),
    ],
    ids=["no-input", "twice", "other-name", "no-value", "only-a-commitment", "too-short", "other-shape"],
)  # fmt: skip
def test_a_claim_of_another_form_is_refused(
    workshop: Workshop, circuit: ProverCircuit, proved: Proved, public: Any, error: type[Error]
) -> None:
    """An instance column is padded with zeros: a list that is one short would otherwise stand for one that ends in 0."""
    with pytest.raises(error):
        workshop.system.verify(circuit.verifier, public(proved.public), proved.proof)


# --- the proof's bytes


def test_trailing_bytes_are_refused(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    """Trap 2: ezkl accepts whatever follows a proof."""
    for tail in (b"\0", bytes(32), bytes(64), proved.proof):
        with pytest.raises(MalformedError, match="has exactly"):
            workshop.system.verify(circuit.verifier, proved.public, proved.proof + tail)


def test_what_would_follow_is_indeed_accepted_by_ezkl(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    """The test above would pass for nothing if ezkl had learnt to refuse trailing bytes: then the pinned length may go."""
    longer = with_parts(circuit.verifier, proof_format=instances.ProofFormat(size=len(proved.proof) + 32).encode())
    workshop.system.verify(longer, proved.public, proved.proof + bytes(32))


def test_every_shorter_proof_is_refused(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    for size in (0, 1, 31, 32, 64, len(proved.proof) - 32, len(proved.proof) - 1):
        with pytest.raises(MalformedError):
            workshop.system.verify(circuit.verifier, proved.public, proved.proof[:size])


def flipped(proof: bytes, position: int, bit: int) -> bytes:
    return proof[:position] + bytes([proof[position] ^ (1 << bit)]) + proof[position + 1 :]


def test_no_changed_byte_verifies(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    step = max(1, len(proved.proof) // 60)
    for position in range(0, len(proved.proof), step):
        with pytest.raises(ProofError):
            workshop.system.verify(circuit.verifier, proved.public, flipped(proved.proof, position, position % 8))


@pytest.mark.slow
def test_no_changed_byte_verifies_anywhere(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    for position in range(len(proved.proof)):
        for bit in (0, 7):
            with pytest.raises(ProofError):
                workshop.system.verify(circuit.verifier, proved.public, flipped(proved.proof, position, bit))


def other_spellings(word: int) -> list[int]:
    """The same coordinate or scalar, not reduced: plus a multiple of either field's order."""
    base = 21888242871839275222246405745257275088696311157297823662689037894645226208583
    return [word + k * order for order in (base, instances.FIELD) for k in (1, 2, 5) if word + k * order < 2**256]


def test_a_number_that_is_not_reduced_is_refused(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    """Two files for one proof: each 32-byte word replaced by a sum that is the same modulo the field's order."""
    words = [proved.proof[i : i + WORD] for i in range(0, len(proved.proof), WORD)]
    for position in range(0, len(words), 9):
        for other in other_spellings(int.from_bytes(words[position], "big")):
            changed = [*words[:position], other.to_bytes(WORD, "big"), *words[position + 1 :]]
            with pytest.raises(ProofError):
                workshop.system.verify(circuit.verifier, proved.public, b"".join(changed))


def test_the_negative_of_a_point_is_refused(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    base = 21888242871839275222246405745257275088696311157297823662689037894645226208583
    for start in (0, 64, len(proved.proof) - 128, len(proved.proof) - 64):
        y = int.from_bytes(proved.proof[start + 32 : start + 64], "big")
        changed = proved.proof[: start + 32] + (base - y).to_bytes(32, "big") + proved.proof[start + 64 :]
        with pytest.raises(ProofError):
            workshop.system.verify(circuit.verifier, proved.public, changed)


@settings(max_examples=12, deadline=None)
@given(data=st.binary(max_size=4000))
def test_arbitrary_bytes_are_refused(workshop: Workshop, circuit: ProverCircuit, proved: Proved, data: bytes) -> None:
    size = len(proved.proof)
    for proof in (data, (data * (size // max(1, len(data)) + 1))[:size]):
        with pytest.raises((MalformedError, ProofError)):
            workshop.system.verify(circuit.verifier, proved.public, proof)


def test_two_proofs_of_one_run_differ_and_both_hold(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    """Blinding: were it gone, proofs would leak the witness."""
    again = workshop.system.prove(circuit, SAMPLE)
    assert again.proof != proved.proof
    assert again.public == proved.public


# --- the circuit's parts


def test_a_circuit_without_a_part_is_refused(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    for role in circuit.verifier.parts:
        parts = {name: data for name, data in circuit.verifier.parts.items() if name != role}
        with pytest.raises(BindingError):
            VerifierCircuit(circuit=circuit.circuit, parts=parts)
        named = {name: part for name, part in circuit.circuit.parts.items() if name != role}
        lacking = VerifierCircuit(circuit=dataclasses.replace(circuit.circuit, parts=named), parts=parts)
        with pytest.raises(MalformedError, match="parts"):
            workshop.system.verify(lacking, proved.public, proved.proof)


def test_settings_that_do_not_belong_to_the_key_are_refused(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    """Traps 3 and 4: ezkl believes the settings it is given, and panics in Rust when they do not fit the key."""
    other = workshop.build(mlp(8, 8, 4), parameters=dataclasses.replace(_parameters(circuit), num_inner_cols=3))
    mixed = with_parts(circuit.verifier, settings=other.verifier.parts["settings"])
    with pytest.raises(MalformedError, match="with these settings it has exactly"):
        workshop.system.verify(mixed, proved.public, proved.proof)
    workshop.system.verify(circuit.verifier, proved.public, proved.proof)


def _parameters(circuit: ProverCircuit) -> Any:
    from verifiable.zk.ezkl.settings import EzklSettings

    return EzklSettings.parse(circuit.verifier.parts["settings"]).parameters


def test_a_damaged_verifying_key_is_refused(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    key = circuit.verifier.parts["verifying-key"]
    for bad in (b"", key[:-1], bytes(len(key)), key[:100] + bytes([key[100] ^ 1]) + key[101:], b"\xff" * len(key)):
        with pytest.raises((ProofError, FatalStateError, MalformedError)):
            workshop.system.verify(with_parts(circuit.verifier, verifying_key=bad), proved.public, proved.proof)


def test_what_follows_a_verifying_key_is_refused(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    """ezkl does not look at it, so one circuit would have had many ids, and many files."""
    key = circuit.verifier.parts["verifying-key"]
    for tail in (b"\0", bytes(64), key):
        with pytest.raises(MalformedError, match="has exactly"):
            workshop.system.verify(with_parts(circuit.verifier, verifying_key=key + tail), proved.public, proved.proof)
    for at in range(3):
        other = key[:at] + bytes([key[at] ^ 1]) + key[at + 1 :]
        with pytest.raises(MalformedError, match="header"):
            workshop.system.verify(with_parts(circuit.verifier, verifying_key=other), proved.public, proved.proof)


def _settings_with(circuit: ProverCircuit, **changed: Any) -> bytes:
    from verifiable.encoding import json

    document = json.parse(circuit.verifier.parts["settings"], what="settings", max_size=1 << 20)
    return json.canonical({**document, **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"total_assignments": 1 << 40},
        {"total_const_size": 1 << 40},
        {"total_dynamic_col_size": 1 << 40, "num_dynamic_lookups": 1},
        {"total_shuffle_col_size": 1 << 40, "num_shuffles": 1},
        {"required_range_checks": [[0, 1 << 50]]},
        {"required_range_checks": [[-1, 1]] + [[0, n] for n in range(1, 200)]},
    ],
    ids=["cells", "constants", "dynamic", "shuffles", "table", "tables"],
)
def test_settings_that_would_cost_a_verifier_minutes_are_refused_before_ezkl_sees_them(
    workshop: Workshop, circuit: ProverCircuit, proved: Proved, changed: dict[str, Any]
) -> None:
    """A circuit may be pinned for one client and hold up a verifier that serves them all."""
    if "required_range_checks" in changed:
        from verifiable.encoding import json

        changed = {"required_range_checks": sorted(changed["required_range_checks"], key=json.canonical)}
    hostile = with_parts(circuit.verifier, settings=_settings_with(circuit, **changed))
    child, started = workshop.system._warm._child, time.monotonic()
    with pytest.raises((UnsupportedError, MalformedError), match=r"ezkl (settings|verifying key)"):
        workshop.system.verify(hostile, proved.public, proved.proof)
    assert time.monotonic() - started < 1
    assert workshop.system._warm._child is child
    workshop.system.verify(circuit.verifier, proved.public, proved.proof)


def test_a_verification_that_takes_too_long_is_ended_and_the_next_is_served(
    workshop: Workshop, circuit: ProverCircuit, proved: Proved, monkeypatch: pytest.MonkeyPatch
) -> None:
    from verifiable.zk.ezkl import system

    assert system.VERIFY_SECONDS <= 20
    workshop.system.verify(circuit.verifier, proved.public, proved.proof)
    monkeypatch.setattr(system, "VERIFY_SECONDS", 0.0)
    with pytest.raises(FatalStateError, match="deadline"):
        workshop.system.verify(circuit.verifier, proved.public, proved.proof)
    monkeypatch.undo()
    workshop.system.verify(circuit.verifier, proved.public, proved.proof)


def test_a_circuit_of_another_release_is_refused(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    for field in ({"system_version": "23.0.4"}, {"system": "other"}):
        other = VerifierCircuit(
            circuit=dataclasses.replace(circuit.circuit, **field), parts=circuit.verifier.parts  # type: ignore[arg-type]
        )  # fmt: skip
        with pytest.raises(UnsupportedError):
            workshop.system.verify(other, proved.public, proved.proof)


def test_a_scale_or_range_that_is_not_proved_is_refused(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    """``circuit.json`` says how integers are read: a wrong scale there would change every value without touching the proof."""
    output = circuit.circuit.outputs[0]
    for changed in (dataclasses.replace(output, scale=output.scale * 2), dataclasses.replace(output, high=output.high + 1)):
        other = VerifierCircuit(circuit=dataclasses.replace(circuit.circuit, outputs=(changed,)), parts=circuit.verifier.parts)
        with pytest.raises(BindingError, match="output 'y'"):
            workshop.system.verify(other, proved.public, proved.proof)


# --- the setup


def test_a_setup_of_another_secret_is_refused(workshop: Workshop, circuit: ProverCircuit, proved: Proved, tmp_path: Path) -> None:
    """Trap 4: whoever knows the secret of the setup that is verified with can forge every proof."""
    from verifiable.zk.ezkl import dev_srs, verifier_srs

    forged = SrsStore(tmp_path).dev_insecure(4, dev_srs.generate)
    other = with_parts(circuit.verifier, srs=verifier_srs.cut(forged.path))
    with pytest.raises(BindingError, match="fingerprint"):
        workshop.system.verify(other, proved.public, proved.proof)
    relabelled = with_parts(circuit.verifier, srs=verifier_srs.cut(forged.path), setup=forged.setup())
    with pytest.raises((BindingError, ProofError)):
        workshop.system.verify(relabelled, proved.public, proved.proof)


def test_a_development_setup_cannot_bear_a_ceremonys_name(workshop: Workshop, circuit: ProverCircuit, proved: Proved) -> None:
    """Trap 10: the policy that refuses development setups goes by this name."""
    assert circuit.circuit.setup is not None
    for name in ("perpetual-powers-of-tau", "axiom-perpetual-powers-of-tau", "trusted"):
        lie = with_parts(circuit.verifier, setup=dataclasses.replace(circuit.circuit.setup, ceremony=name))
        with pytest.raises(BindingError, match="no known ceremony"):
            workshop.system.verify(lie, proved.public, proved.proof)


def test_without_the_setup_there_is_no_proof_but_a_hint(tmp_path: Path, workshop: Workshop, circuit: ProverCircuit) -> None:
    poor = EzklSystem(workshop.blobs, SrsStore(tmp_path))
    with pytest.raises(TrustError, match="not on this machine") as caught:
        poor.prove(circuit, SAMPLE)
    assert "verifiable srs import" in caught.value.hint


# --- proving


def test_a_lost_proving_key_is_made_again(tmp_path: Path, workshop: Workshop, circuit: ProverCircuit) -> None:
    blobs = LocalBlobs(tmp_path)
    system = EzklSystem(blobs, workshop.store)
    proved = system.prove(circuit, SAMPLE)
    workshop.system.verify(circuit.verifier, proved.public, proved.proof)
    assert circuit.circuit.proving_key is not None
    assert blobs.find(circuit.circuit.proving_key.digest) is not None
    system.close()


def test_a_damaged_proving_key_is_never_used(tmp_path: Path, workshop: Workshop, circuit: ProverCircuit) -> None:
    assert circuit.circuit.proving_key is not None
    digest = circuit.circuit.proving_key.digest
    planted = tmp_path / "sha256" / digest.hex[:2] / digest.hex
    planted.parent.mkdir(parents=True)
    planted.write_bytes(b"\0" * circuit.circuit.proving_key.size)
    system = EzklSystem(LocalBlobs(tmp_path), workshop.store)
    proved = system.prove(circuit, SAMPLE)
    workshop.system.verify(circuit.verifier, proved.public, proved.proof)
    system.close()


def test_another_program_does_not_give_the_named_key(tmp_path: Path, workshop: Workshop, circuit: ProverCircuit) -> None:
    program = mlp(8, 8, 4, seed=2)
    named = dataclasses.replace(circuit.circuit, program=Part.of(program, PROGRAM_MEDIA_TYPE))
    swapped = ProverCircuit(verifier=VerifierCircuit(circuit=named, parts=circuit.verifier.parts), program=program)
    system = EzklSystem(LocalBlobs(tmp_path), workshop.store)
    with pytest.raises(BindingError, match="not those that circuit"):
        system.prove(swapped, SAMPLE)
    with pytest.raises(FatalStateError):  # with the other model's key at hand, the proof is made, and found not to hold
        workshop.system.prove(swapped, SAMPLE)


@pytest.mark.parametrize(
    ("inputs", "match"),
    [
        ({}, "missing"),
        ({**SAMPLE, "z": tensor(1)}, "'z'"),
        ({"x": tensor(*range(7))}, "int64"),
        ({"x": tensor(257, 0, 0, 0, 0, 0, 0, 0)}, "range"),
    ],
    ids=["none", "extra", "shape", "beyond"],
)
def test_inputs_that_do_not_fit_are_refused_before_any_work(
    workshop: Workshop, circuit: ProverCircuit, inputs: Any, match: str
) -> None:
    """Trap 14: beyond the calibrated range ezkl fails only when it proves."""
    for run in (lambda: workshop.system.prove(circuit, inputs), lambda: workshop.system.execute(circuit, inputs)):
        with pytest.raises(MalformedError, match=match):
            run()


def test_a_value_that_outgrows_the_circuit_is_refused(workshop: Workshop) -> None:
    """Trap 14, within the graph: the input is admissible, a sum in the middle is beyond the digits."""
    wide = (TensorSpec(name="x", dtype="float32", shape=(1, 8), scale=2.0**-7, low=-2_000_000, high=2_000_000),)
    circuit = workshop.build(mlp(8, 8, 4), inputs=wide)
    inputs = {"x": tensor(*[2_000_000] * 8)}
    with pytest.raises(UnsupportedError, match=r"cannot run the circuit on this input|beyond what the circuit can prove"):
        workshop.system.prove(circuit, inputs)
    with pytest.raises(UnsupportedError):
        workshop.system.execute(circuit, inputs)


def test_too_few_rows_are_named(workshop: Workshop) -> None:
    """Trap 3: ``NotEnoughRowsAvailable`` is a panic in Rust."""
    small = dataclasses.replace(_small(), logrows=8)
    with pytest.raises(UnsupportedError, match=r"2\^8 rows are too few"):
        workshop.build(mlp(8, 8, 4), Visibility(inputs="hashed"), parameters=small)


def _small() -> Any:
    from verifiable.zk.ezkl.parameters import EzklParameters

    return EzklParameters(decomp_base=128, decomp_legs=3, logrows=10)


def test_a_setup_that_is_too_small_is_named(workshop: Workshop) -> None:
    with pytest.raises(UnsupportedError, match=r"2\^10 rows, the circuit needs 2\^11"):
        workshop.build(mlp(8, 8, 4), parameters=dataclasses.replace(_small(), logrows=11))


def test_a_program_that_is_no_model_is_refused(workshop: Workshop) -> None:
    for program in (b"", b"no model", mlp(8, 8, 4)[:-40]):
        with pytest.raises((UnsupportedError, MalformedError)):
            workshop.build(program)


def test_the_id_depends_on_the_model(workshop: Workshop, circuit: ProverCircuit) -> None:
    other = workshop.build(mlp(8, 8, 4), model=Digest.of(b"another file"))
    assert other.circuit.id != circuit.circuit.id


def test_caveats_name_what_is_not_proved(workshop: Workshop, circuit: ProverCircuit) -> None:
    assert [line.split(":")[0] for line in workshop.system.caveats(circuit.verifier)] == ["rounding"]
    exact = workshop.build(
        mlp(8, 4), Visibility(weights="private"), parameters=dataclasses.replace(_small(), scale_rebase_multiplier=4)
    )
    assert [line.split(":")[0] for line in workshop.system.caveats(exact.verifier)] == ["weights"]


def test_the_proof_of_a_job_that_ran_out_of_time_is_not_there(workshop: Workshop, circuit: ProverCircuit) -> None:
    with pytest.raises(FatalStateError, match="deadline"):
        workshop.system.prove(circuit, SAMPLE, limits=Limits(seconds=0.05))
