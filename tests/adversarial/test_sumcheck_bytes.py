# SPDX-License-Identifier: Apache-2.0
"""Whatever bytes are shown as a proof: an Error or the statement, in bounded time and memory. All of them are absorbed."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.zk.sumcheck import programs
from verifiable.errors import Error, MalformedError
from verifiable.model.program.ir import Program
from verifiable.zk.sumcheck import tables, verifier
from verifiable.zk.sumcheck.layout import Layout
from verifiable.zk.sumcheck.prover import Prover
from verifiable.zk.sumcheck.reader import Reader
from verifiable.zk.sumcheck.structure import Structure
from verifiable.zk.sumcheck.transcript import Transcript
from verifiable.zk.sumcheck.verifier import Statement, header, verify

CIRCUIT = bytes(range(32))
Case = tuple[Structure, Statement, bytes]
Event = tuple[str, str, bytes | int]


def tiny(seed: int = 0) -> Program:
    """Two layers and an activation, in a proof of some 4 kB."""
    m = programs.Maker(seed, 2)
    return m.done(m.biased(m.relu(m.dense(0, 2)), 1))


@cache
def proved(name: str, samples: int = 1) -> Case:
    program = tiny() if name == "tiny" else programs.ALL[name](0)
    prover, inputs = Prover(program, CIRCUIT), programs.inputs(program, samples)
    made = prover.prove(inputs)
    statement = Statement(circuit=CIRCUIT, weights=prover.weights.root, inputs=inputs, outputs=made.outputs)
    return prover.structure, statement, made.proof


def refuse_all(case: Case, places: Iterable[int]) -> None:
    structure, statement, proof = case
    rng = np.random.default_rng(0)
    for place in places:
        broken = bytearray(proof)
        broken[place] ^= int(rng.integers(1, 256))
        with pytest.raises(Error):
            verify(structure, statement, bytes(broken))


def test_every_byte_of_the_smallest_proof() -> None:
    case = proved("input_is_output")
    refuse_all(case, range(len(case[2])))


def test_some_bytes_of_a_small_proof() -> None:
    case = proved("tiny")
    refuse_all(case, np.random.default_rng(1).choice(len(case[2]), 200, replace=False).tolist())


@pytest.mark.slow
def test_every_byte_of_a_small_proof() -> None:
    case = proved("tiny")
    refuse_all(case, range(len(case[2])))


@pytest.mark.slow
@pytest.mark.parametrize("name", programs.ALL)
def test_many_bytes_of_any_proof(name: str) -> None:
    case = proved(name, 2)
    refuse_all(case, np.random.default_rng(2).integers(0, len(case[2]), 150).tolist())


def test_truncations_and_extensions() -> None:
    structure, statement, proof = proved("tiny")
    ends = [*range(60), *range(60, len(proof), 37), len(proof) - 1]
    for wrong in itertools.chain((proof[:end] for end in ends), (proof + b"\0", proof + proof, proof[1:], b"\0" + proof)):
        with pytest.raises(MalformedError):
            verify(structure, statement, wrong)


def test_messages_exchanged_repeated_or_left_out() -> None:
    structure, statement, proof = proved("tiny")
    rng = np.random.default_rng(3)
    for _ in range(60):
        a, b = sorted(rng.integers(25, len(proof) - 16, 2).tolist())
        for wrong in (
            proof[:a] + proof[b : b + 16] + proof[a + 16 :],
            proof[:a] + proof[a + 16 :] + proof[a : a + 16],
            proof[:a] + bytes(16) + proof[a + 16 :],
        ):
            if wrong != proof:
                with pytest.raises(Error):
                    verify(structure, statement, wrong)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.booleans(), st.integers(0, 4200))
def test_any_bytes_at_all(data: bytes, whole: bool, place: int) -> None:
    structure, statement, proof = proved("tiny")
    shown = data if whole else proof[:place] + data + proof[place + len(data) :]
    if shown != proof:
        with pytest.raises(Error):
            verify(structure, statement, shown)


def test_a_large_file_costs_no_memory() -> None:
    """No length in a proof is believed, for there is none; what is beyond the end is never looked at."""
    structure, statement, proof = proved("tiny")
    noise = np.random.default_rng(4).bytes(1 << 24)
    start = header(Layout.of(structure, 1))
    verify(structure, statement, proof)  # whatever is cached is
    for shown in (noise, start + noise, start + b"\xff" * (1 << 24), proof[:-5000] + noise, proof + noise):
        tracemalloc.start()
        with pytest.raises(Error):
            verify(structure, statement, shown)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 << 20


@pytest.mark.parametrize("samples", [0, (1 << 16) + 1, 1 << 60])
def test_a_hostile_number_of_samples_is_refused_before_anything_is_allocated(samples: int) -> None:
    with pytest.raises(MalformedError, match="samples, expected 1 to 65,536"):
        Layout.of(proved("tiny")[0], samples)


# -- what each challenge depends on ---------------------------------------------------------------------------------------


def events_of(case: Case, patch: pytest.MonkeyPatch) -> list[Event]:
    """A verification as ("read", what, bytes), ("absorb", label, bytes), ("challenges" or "indices", label, count)."""
    events: list[Event] = []

    class Recording(Transcript):
        def absorb(self, label: str, data: bytes) -> None:
            if not label.startswith("squeezed "):
                events.append(("absorb", label, data))
            super().absorb(label, data)

        def challenges(self, label: str, count: int) -> list[tuple[int, int]]:
            events.append(("challenges", label, count))
            return super().challenges(label, count)

        def indices(self, label: str, count: int, log_range: int) -> list[int]:
            events.append(("indices", label, count))
            return super().indices(label, count, log_range)

    true = Reader.unabsorbed

    def unabsorbed(self: Reader, size: int, what: str) -> bytes:
        taken = true(self, size, what)
        events.append(("read", what, taken))
        return taken

    with patch.context() as context:
        context.setattr(verifier, "Transcript", Recording)
        context.setattr(Reader, "unabsorbed", unabsorbed)
        verify(*case)
    return events


@pytest.mark.parametrize("name", programs.ALL)
def test_every_byte_is_absorbed_the_moment_it_is_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = proved(name, 2)
    events = events_of(case, monkeypatch)
    assert b"".join(event[2] for event in events if event[0] == "read") == case[2]  # type: ignore[misc]
    reads = [i for i, event in enumerate(events) if event[0] == "read"]
    assert events[reads[0]][1] == "header"
    assert events[0] == ("absorb", "header", events[reads[0]][2])
    for i in reads[1:]:
        assert events[i + 1] == ("absorb", *events[i][1:])


def test_the_statement_is_absorbed_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    structure, statement, proof = proved("tiny", 2)
    events = events_of((structure, statement, proof), monkeypatch)
    bound = events[: next(i for i, event in enumerate(events) if event[0] != "absorb")]
    (x,), (y,) = statement.inputs.values(), statement.outputs.values()
    assert bound == [
        ("absorb", "header", header(Layout.of(structure, 2))),
        ("absorb", "circuit", CIRCUIT),
        ("absorb", "weights", statement.weights),
        ("absorb", "input name", b"x"),
        ("absorb", "input shape", np.array(x.shape, "<u8").tobytes()),
        ("absorb", "input", x.astype("<i8").tobytes()),
        ("absorb", "output name", b"y0"),
        ("absorb", "output shape", np.array(y.shape, "<u8").tobytes()),
        ("absorb", "output", y.astype("<i8").tobytes()),
    ]
    after = [event for event in events[len(bound) :] if event[0] != "absorb"]
    assert [event[1] for event in after[:3]] == ["header", "trace root", "logup alpha, beta"]


def drawn(events: list[Event]) -> list[tuple[int, object]]:
    """Replays absorptions and draws: each draw's position and value."""
    transcript, found = Transcript(), []
    for i, (kind, label, value) in enumerate(events):
        if isinstance(value, bytes):
            if kind == "absorb":
                transcript.absorb(label, value)
        elif kind == "challenges":
            found.append((i, transcript.challenges(label, value)))
        else:
            found.append((i, transcript.indices(label, value, 60)))
    return found


def test_each_absorbed_item_changes_every_later_challenge(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a prover could alter without altering a challenge after it, it could choose once it knows that challenge."""
    events = events_of(proved("mlp"), monkeypatch)
    honest = drawn(events)
    items = [i for i, event in enumerate(events) if event[0] == "absorb" and event[2]]
    assert len(items) > 100
    for i in items:
        kind, label, data = events[i]
        assert isinstance(data, bytes)
        place = len(data) // 2
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        for (at, before), (_, after) in zip(honest, drawn([*events[:i], (kind, label, changed), *events[i + 1 :]]), strict=True):
            assert (before != after) == (at > i), (label, events[at][1])


#: By what is absorbed, a program whose proofs have it.
LABELS = dict.fromkeys(
    (
        *("header", "circuit", "weights", "input name", "input shape", "input", "output name", "output shape", "output"),
        *("trace root", "logup round", "logup children", "logup values", "maximum"),
        *("bias", "conv round", "conv values", "select round", "select value"),
        *("trace round", "trace value", "weights round", "weights value"),
        *("opening root", "opening size", "opening point", "opening value"),
        *("opening combinations", "opening columns", "opening nodes"),
    ),
    "largest",
) | {
    "dense round": "mlp", "dense values": "mlp", "scale round": "scaled", "scale values": "scaled",
    "combine": "residual", "concat": "moved", "merge round": "often_read", "merge value": "often_read",
}  # fmt: skip


@pytest.mark.parametrize("label", LABELS)
def test_a_prover_that_leaves_something_out_of_its_transcript_is_refused(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Could it be left out, a prover would choose it after the challenges: the weak Fiat-Shamir attack, item by item."""
    name = LABELS[label]
    structure, statement, true = proved(name)
    absorb = Transcript.absorb
    with monkeypatch.context() as patch:
        patch.setattr(Transcript, "absorb", lambda self, what, data: None if what == label else absorb(self, what, data))
        proof = Prover(programs.ALL[name](0), CIRCUIT).prove(statement.inputs).proof
        verify(structure, statement, proof)  # where nobody absorbs it
    assert proof != true
    with pytest.raises(Error):
        verify(structure, statement, proof)


def test_there_is_nothing_else_to_leave_out(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [proved(name) for name in programs.ALL]
    assert {event[1] for case in cases for event in events_of(case, monkeypatch) if event[0] == "absorb"} == set(LABELS)


# -- two implementations --------------------------------------------------------------------------------------------------

_PROVE = """if True:
    import hashlib
    from tests.zk.sumcheck import programs
    from verifiable.zk.sumcheck import tables
    from verifiable.zk.sumcheck.prover import Prover
    print(tables.COMPILED)
    for name in {names!r}:
        program = programs.ALL[name](0)
        made = Prover(program, bytes(range(32))).prove(programs.inputs(program, 2))
        print(hashlib.sha256(made.proof).hexdigest())
"""


def test_without_compiled_loops_the_proofs_are_the_same(checkout: Path) -> None:
    assert tables.COMPILED
    names = ["mlp", "convs", "depthwise", "largest", "residual", "moved"]
    done = subprocess.run(
        [sys.executable, "-c", _PROVE.format(names=names)],
        env={**os.environ, "VERIFIABLE_NO_NUMBA": "1", "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=True,
    )
    compiled, *digests = done.stdout.split()
    assert compiled == "False"
    assert digests == [hashlib.sha256(proved(name, 2)[2]).hexdigest() for name in names]
