# SPDX-License-Identifier: Apache-2.0
"""The verifier's part of a circuit: what is read is what was written, and nothing else is read."""

from __future__ import annotations

import itertools
import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.zk.sumcheck import programs
from verifiable.encoding import json as canonical
from verifiable.errors import Error, MalformedError, UnsupportedError
from verifiable.zk.sumcheck.prover import Prover
from verifiable.zk.sumcheck.structure import Structure
from verifiable.zk.sumcheck.structure_file import StructureFile, _runs
from verifiable.zk.sumcheck.verifier import Statement, verify

ROOT = bytes(range(32))


def encoded(name: str = "mlp") -> bytes:
    return StructureFile(structure=Structure.of(programs.ALL[name]()), root=ROOT).encode()


@pytest.mark.parametrize("name", programs.ALL)
def test_a_verifier_needs_nothing_but_the_file(name: str) -> None:
    program = programs.ALL[name]()
    prover = Prover(program, b"c" * 32)
    file = StructureFile.parse(StructureFile(structure=prover.structure, root=prover.weights.root).encode())
    rng = np.random.default_rng(0)
    inputs = {e.name: rng.integers(e.low, e.high + 1, size=(1, *e.shape)) for e in program.inputs}
    proved = prover.prove(inputs)
    statement = Statement(circuit=b"c" * 32, weights=file.root, inputs=inputs, outputs=proved.outputs)
    verify(file.structure, statement, proved.proof)
    assert file.structure.shapes == program.shapes


@given(st.lists(st.integers(-(2**31) + 1, 2**31 - 1), min_size=1, max_size=64))
def test_runs_hold_any_values(values: list[int]) -> None:
    runs = list(_runs(np.array(values)))
    assert [first + step * i for first, step, count in runs for i in range(count)] == values
    assert all(count > 1 for *_, count in runs[:-1])  # the longest first: no run could have been longer
    assert all(a[0] + a[1] * a[2] != b[0] for a, b in itertools.pairwise(runs))


def test_activations_are_short() -> None:
    clipped = np.clip(np.arange(-(1 << 17), 1 << 17), 0, 127)
    assert list(_runs(clipped)) == [[0, 0, (1 << 17) + 1], [1, 1, 127], [127, 0, (1 << 17) - 128]]


def changed(path: str, value: object, name: str = "mlp") -> bytes:
    document = json.loads(encoded(name))
    *parents, last = path.split("/")
    place = document
    for part in parents:
        place = place[int(part) if part.isdigit() else part]
    place[int(last) if last.isdigit() else last] = value
    return canonical.canonical(document)


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("weights", "00", MalformedError),
        ("inputs", [], MalformedError),
        ("inputs/0/shape", [1, 12], MalformedError),
        ("inputs/0/low", "16", MalformedError),
        ("operations/0/source", 1, MalformedError),
        ("operations/0/weight", 99, MalformedError),
        ("operations/0/weight", -1, MalformedError),
        ("operations/1/table", 7, MalformedError),
        ("operations/1/shift", 62, MalformedError),
        ("operations/1/shift", 61, UnsupportedError),  # Y 2^61 + rem wraps: two remainders would do
        ("constants/0/shape", [9, 12], MalformedError),
        ("constants/0/dtype", "float32", MalformedError),
        ("outputs/0/tensor", 99, MalformedError),
        ("tables/0/runs", [[0, 0, 1 << 40]], MalformedError),
        ("tables/0/runs", [[0, 1, 3]], MalformedError),  # not a power of two
        ("tables/0/runs", [[0, 0, 2], [0, 0, 2]], MalformedError),  # one run, written as two
        ("tables/0/runs", [[1 << 31, 0, 4]], MalformedError),
        ("tables/0/runs", [[0, 1 << 30, 4]], MalformedError),
        ("tables/0/runs", [[True, 0, 4]], MalformedError),
        ("tables/0/runs", [], MalformedError),
        ("tables/0/low", str((1 << 62) - 2), MalformedError),
        ("tables", [{"low": str(i), "runs": [[0, 0, 1 << 21]]} for i in range(9)], MalformedError),  # 2^24 rows and more
        ("ties", [0], MalformedError),  # no Requantise
        ("ties", [99], MalformedError),
        ("ties", [True], MalformedError),
        ("maxima", [{"operation": 0, "low": "0", "logSize": 4}], MalformedError),
    ],
)  # fmt: skip
def test_what_was_never_written_is_refused(path: str, value: object, error: type[Error]) -> None:
    with pytest.raises(error):
        StructureFile.parse(changed(path, value))


def test_a_maximum_needs_its_table() -> None:
    name = next(n for n in programs.ALL if b'"maximum"' in encoded(n))
    with pytest.raises(MalformedError, match="maxima"):
        StructureFile.parse(changed("maxima", [], name))


@given(st.data())
def test_damaged_bytes_raise_only_errors(data: st.DataObject) -> None:
    whole = bytearray(_ENCODED)
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    started = time.monotonic()
    try:
        parsed = StructureFile.parse(bytes(whole))
        assert parsed.encode() == bytes(whole)
    except Error:
        pass
    assert time.monotonic() - started < 5


_ENCODED = encoded()
