# SPDX-License-Identifier: Apache-2.0
"""Bytes and Programs, one for one; hostile bytes are malformed and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.program.programs import programs, random_program
from verifiable.encoding.json import canonical
from verifiable.errors import MalformedError
from verifiable.model.program.ir import Program
from verifiable.model.program.serialise import MAGIC

START = len(MAGIC) + 8


def assembled(header: bytes, contents: bytes, size: int | None = None) -> bytes:
    return MAGIC + (len(header) if size is None else size).to_bytes(8, "little") + header + contents


def taken_apart(data: bytes) -> tuple[dict, bytes]:
    size = int.from_bytes(data[len(MAGIC) : START], "little")
    return json.loads(data[START : START + size]), data[START + size :]


@settings(max_examples=80, deadline=None)
@given(programs())
def test_round_trip(program: Program) -> None:
    data = program.encode()
    again = Program.parse(data)
    assert again == program
    assert again.encode() == data
    assert again.digest == program.digest
    assert again.shapes == program.shapes


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 40), st.randoms(use_true_random=False))
def test_a_flipped_byte_is_malformed_or_another_program(seed: int, rng) -> None:
    data = bytearray(random_program(seed).encode())
    at = rng.randrange(len(data))
    data[at] ^= rng.randrange(1, 256)
    try:
        again = Program.parse(bytes(data))
    except MalformedError:
        return
    assert again.encode() == bytes(data)
    assert again.digest != random_program(seed).digest


@given(st.binary(max_size=200))
def test_any_bytes_are_malformed(data: bytes) -> None:
    for prefix in (b"", MAGIC, assembled(b"{}", b"")):
        with pytest.raises(MalformedError):
            Program.parse(prefix + data)


def test_every_truncation_is_malformed() -> None:
    data = random_program(3).encode()
    for end in range(len(data)):
        with pytest.raises(MalformedError):
            Program.parse(data[:end])
    with pytest.raises(MalformedError):
        Program.parse(data + b"\0")


@pytest.mark.parametrize("size", [2**64 - 1, 2**40, 1, 0])
def test_a_wrong_header_length_is_malformed(size: int) -> None:
    data = random_program(3).encode()
    with pytest.raises(MalformedError):
        Program.parse(data[: len(MAGIC)] + size.to_bytes(8, "little") + data[START:])


def edits() -> dict[str, object]:
    """One defect each: a change of the header as parsed."""

    def setting(path: str, value: object):
        def change(header: dict) -> None:
            *way, last = path.split(".")
            for step in way:
                header = header[int(step) if step.isdigit() else step]
            header[int(last) if last.isdigit() else last] = value

        return change

    return {
        "unknown field": setting("extra", 1),
        "no inputs": setting("inputs", []),
        "unknown operation": setting("operations.0.op", "matmul"),
        "a field too many": setting("operations.0.more", 0),
        "a source from the future": setting("operations.0.source", 99),
        "a negative source": setting("operations.0.source", -1),
        "a source that is no integer": setting("operations.0.source", True),
        "a gigantic constant": setting("constants.0.shape", [2**20, 2**20]),
        "a constant of no known type": setting("constants.0.dtype", "uint64"),
        "a float constant": setting("constants.0.dtype", "float32"),
        "a scale of zero": setting("inputs.0.scale", 0),
        "a negative scale": setting("inputs.0.scale", -1),
        "a range the wrong way round": setting("inputs.0.low", "99999"),
        "a range beyond 2^62": setting("inputs.0.high", str(2**62)),
        "a range with a plus": setting("inputs.0.high", "+5"),
        "a range as a number": setting("inputs.0.high", 5),
        "a huge input": setting("inputs.0.shape", [2**20, 2**20]),
        "an empty axis": setting("inputs.0.shape", [0, 6]),
        "an output of a tensor that is not there": setting("outputs.0.tensor", 99),
        "an output of another shape": setting("outputs.0.shape", [7]),
        "unknown post-processing": setting("outputs.0.post", "round"),
        "an input without a name": setting("inputs.0.name", ""),
    }


def first_with_weights() -> Program:
    return next(p for p in map(random_program, range(999)) if type(p.ops[0]).__name__ == "Dense" and len(p.inputs) == 1)


@pytest.mark.parametrize("name", edits())
def test_one_defect_is_malformed(name: str) -> None:
    header, contents = taken_apart(first_with_weights().encode())
    edits()[name](header)
    with pytest.raises(MalformedError):
        Program.parse(assembled(canonical(header), contents))


def test_the_same_program_has_one_spelling() -> None:
    header, contents = taken_apart(first_with_weights().encode())
    Program.parse(assembled(canonical(header), contents))
    with pytest.raises(MalformedError):
        Program.parse(assembled(json.dumps(header, indent=1).encode(), contents))
