# SPDX-License-Identifier: Apache-2.0
"""The verifier's part of a circuit: what is read is what was written, and nothing else is read."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.zk.sumcheck import programs
from verifiable.encoding import json as canonical
from verifiable.errors import Error, MalformedError, UnsupportedError
from verifiable.zk.sumcheck import cost, structure_file
from verifiable.zk.sumcheck.maps import AxisMap
from verifiable.zk.sumcheck.prover import Prover
from verifiable.zk.sumcheck.structure import Structure, Table
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
        ("ties", [[1]], MalformedError),
        ("ties", [{}], MalformedError),
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


# -- what a few bytes may cost --------------------------------------------------------------------------------------------


def hostile(shape: list[int], op: dict[str, object], made: list[int], constants: list[list[int]]) -> bytes:
    """One operation between an input and an output."""
    document = json.loads(encoded("input_is_output"))
    for end, extent in (("inputs", shape), ("outputs", made)):
        document[end] = [document[end][0] | {"shape": extent}]
    document["outputs"][0] |= {"tensor": 1}
    document["operations"] = [op]
    document["constants"] = [{"dtype": "int64" if i else "int8", "shape": extent} for i, extent in enumerate(constants)]
    return canonical.canonical(document)


def conv(kernel: list[int], groups: int) -> dict[str, object]:
    numbers = {"source": 0, "weight": 0, "multiplier": 1, "bias": 2, "groups": groups}
    return {"op": "conv", "kernel": kernel, "strides": [1, 1], "pads": [0, 0, 0, 0], **numbers}


WIDE, CHANNELS = 1 << 18, 1 << 17
HOSTILE = {
    "window": hostile([1, 1, 1, 2 * WIDE - 1], conv([1, WIDE], 1), [1, 1, 1, WIDE], [[1, 1, 1, WIDE], [1], [1]]),
    "groups": hostile(
        [1, 2 * CHANNELS, 1, 1], conv([1, 1], 2), [1, CHANNELS, 1, 1], [[CHANNELS, CHANNELS, 1, 1], [CHANNELS], [CHANNELS]]
    ),
    "reshape": hostile([5] * 8, {"op": "reshape", "source": 0, "shape": [5**8]}, [5**8], []),
    "input": hostile([9] * 8, {"op": "transpose", "source": 0, "axes": [*range(8)]}, [9] * 8, []),
    "slice": hostile(
        [1 << 24], {"op": "slice", "source": 0, "starts": [1], "steps": [1], "sizes": [(1 << 24) - 1]}, [(1 << 24) - 1], []
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_few_bytes_do_not_make_a_verifier_build_huge_maps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of gigabytes, some of these: nothing of it is built before it is refused."""
    data = HOSTILE[name]
    assert len(data) < 1500
    started = time.monotonic()
    with pytest.raises(UnsupportedError, match=r"a map of|padded is more|maps of"):
        StructureFile.parse(data)
    assert time.monotonic() - started < 1
    monkeypatch.setattr(structure_file, "require_bounded", lambda _: None)
    StructureFile.parse(data)  # nothing else is wrong with it


@pytest.mark.parametrize("name", programs.ALL)
def test_maps_cost_no_more_than_is_judged(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prover, given = Prover(programs.ALL[name](), b"c" * 32), programs.inputs(programs.ALL[name](), 2)
    made = prover.prove(given)
    read: list[int] = []
    true = AxisMap.evaluate

    def counted(self: AxisMap, *points: object) -> object:
        read.append(len(self.outputs))
        return true(self, *points)  # type: ignore[arg-type]

    monkeypatch.setattr(AxisMap, "evaluate", counted)
    statement = Statement(circuit=b"c" * 32, weights=prover.weights.root, inputs=given, outputs=made.outputs)
    verify(prover.structure, statement, made.proof)
    limit = sum(read)
    monkeypatch.setattr(cost, "MAX_MAPS", max(limit - 1, 0))
    if limit:
        with pytest.raises(UnsupportedError, match="maps of"):
            cost.require_bounded(prover.structure)


def test_a_table_of_too_many_runs_is_refused_when_it_is_written() -> None:
    structure = Structure.of(programs.mlp())
    noise = Table(low=0, values=np.random.default_rng(0).integers(-9999, 9999, 1 << 20))
    file = StructureFile(structure=replace(structure, tables=(noise, *structure.tables[1:])), root=ROOT)
    with pytest.raises(UnsupportedError, match="change too often"):
        file.encode()


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
