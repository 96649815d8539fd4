# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import dataclasses
import json as standard
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiable.digest import Digest
from verifiable.errors import BindingError, Error, FatalStateError, MalformedError
from verifiable.zk import directory
from verifiable.zk.circuit import Circuit, Part, Setup, TensorSpec, VerifierCircuit, Visibility
from verifiable.zk.system import ProverCircuit

D = Digest.of(b"x")
SPEC = TensorSpec(name="x", dtype="float32", shape=(1, 2), scale=2.0**-7, low=-(2**63), high=2**63 - 1)
PARTS = {"settings": b"{}", "verifying-key": b"vk"}
PROGRAM = b"the program"
CIRCUIT = Circuit(
    model=D, program=Part.of(PROGRAM, "application/x"), system="ezkl", system_version="23.0.5", visibility=Visibility(),
    inputs=(SPEC,), outputs=(dataclasses.replace(SPEC, name="y", scale=0.1),),
    parts={role: Part.of(data, "application/y") for role, data in PARTS.items()},
    setup=Setup(ceremony="dev-insecure", digest=D, fingerprint=D, logrows=9), proving_key=Part.of(b"pk", "application/z"),
)  # fmt: skip


def edited(**changes: object) -> bytes:
    document = standard.loads(CIRCUIT.encode())
    for path, value in changes.items():
        *parents, last = path.split("__")
        target = document
        for name in parents:
            target = target[int(name)] if isinstance(target, list) else target[name]
        if value is None:
            del target[last]
        else:
            target[last] = value
    return standard.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def test_parse_is_the_inverse_of_encode() -> None:
    assert Circuit.parse(CIRCUIT.encode()) == CIRCUIT
    assert Circuit.parse(edited()) == CIRCUIT  # so the defects below are defects of what was edited
    assert Circuit.parse(CIRCUIT.encode()).id == CIRCUIT.id == Digest.of(CIRCUIT.encode())


def test_every_field_is_part_of_the_id() -> None:
    other = Digest.of(b"other")
    changes: list[dict[str, object]] = [
        {"model": other}, {"program": Part.of(b"p", "application/x")}, {"system": "other"}, {"system_version": "23.0.4"},
        {"visibility": Visibility(inputs="hashed")}, {"visibility": Visibility(outputs="private")},
        {"visibility": Visibility(weights="private")},
        {"inputs": (dataclasses.replace(SPEC, scale=0.5),)}, {"inputs": (dataclasses.replace(SPEC, high=5),)},
        {"outputs": (SPEC,)}, {"parts": {}}, {"setup": None}, {"proving_key": None},
        {"setup": Setup(ceremony="unknown", digest=D, fingerprint=D, logrows=9)},
    ]  # fmt: skip
    ids = {dataclasses.replace(CIRCUIT, **change).id for change in changes}  # type: ignore[arg-type]
    assert len(ids) == len(changes)
    assert CIRCUIT.id not in ids


@pytest.mark.parametrize(
    "data",
    [
        edited(extra=1), edited(model=None), edited(inputs__0__low="-0"), edited(inputs__0__low="01"),
        edited(inputs__0__high=str(2**63)),
        edited(inputs__0__low=5), edited(inputs__0__scale=0), edited(inputs__0__scale=-1), edited(inputs__0__shape=[0]),
        edited(inputs__0__dtype="object"), edited(inputs=[]), edited(visibility__inputs="secret"), edited(mediaType="x"),
        edited(model__sha256="AB" * 32), edited(parts__settings__size=-1), edited(inputs__0__low="9", inputs__0__high="8"),
        edited() + b" ", edited().replace(b"0.1", b"1e-1"), b"", b"[]",
    ],
)  # fmt: skip
def test_what_encode_would_not_write_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        Circuit.parse(data)


def test_equal_names_are_refused() -> None:
    with pytest.raises(MalformedError, match="distinct"):
        dataclasses.replace(CIRCUIT, inputs=(SPEC, SPEC))


@given(st.binary(max_size=200), st.integers(0, len(CIRCUIT.encode()) - 1), st.integers(0, 255))
def test_arbitrary_and_mutated_bytes_raise_only_error(data: bytes, position: int, byte: int) -> None:
    mutated = bytearray(CIRCUIT.encode())
    mutated[position] = byte
    for candidate in (data, bytes(mutated)):
        with contextlib.suppress(Error):
            assert Circuit.parse(candidate).encode() == candidate


@pytest.mark.parametrize(
    "parts", [{}, {**PARTS, "extra": b""}, {**PARTS, "settings": b"[]"}, {**PARTS, "settings": b"{} "}, {"settings": b"{}"}]
)
def test_parts_must_be_exactly_those_named(parts: dict[str, bytes]) -> None:
    with pytest.raises(BindingError):
        VerifierCircuit(circuit=CIRCUIT, parts=parts)


def test_a_program_must_be_the_one_named() -> None:
    verifier = VerifierCircuit(circuit=CIRCUIT, parts=PARTS)
    with pytest.raises(BindingError, match="program"):
        ProverCircuit(verifier=verifier, program=b"another")


def test_a_folder_round_trips_and_is_not_believed(tmp_path: Path) -> None:
    prover = ProverCircuit(verifier=VerifierCircuit(circuit=CIRCUIT, parts=PARTS), program=PROGRAM)
    folder = tmp_path / "c"
    directory.save(prover, folder)
    assert directory.load_prover(folder) == prover
    with pytest.raises(FatalStateError, match="already exists"):
        directory.save(prover, folder)
    (folder / "program").write_bytes(b"swapped")
    assert directory.load_verifier(folder) == prover.verifier  # a verifier needs no program
    with pytest.raises(BindingError):
        directory.load_prover(folder)
    (folder / "parts" / "settings").write_bytes(b"[]")
    with pytest.raises(BindingError, match="settings"):
        directory.load_verifier(folder)


def test_a_role_cannot_leave_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"{}")
    evil = dataclasses.replace(CIRCUIT, parts={"../../secret": Part.of(b"{}", "x")})
    folder = tmp_path / "c"
    (folder / "parts").mkdir(parents=True)
    (folder / "circuit.json").write_bytes(evil.encode())
    with pytest.raises(MalformedError, match="not a part's role"):
        directory.load_verifier(folder)
