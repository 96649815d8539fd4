# SPDX-License-Identifier: Apache-2.0
"""The transcript: every challenge depends on everything before it, and a second implementation can be checked against a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiable.zk.sumcheck.field import P
from verifiable.zk.sumcheck.transcript import Transcript

VECTORS = Path(__file__).parent / "vectors" / "transcript.json"

Step = Callable[[Transcript], object]
STEPS: list[Step] = [
    lambda t: t.absorb("circuit", b"id"),
    lambda t: t.absorb("root", b""),
    lambda t: t.absorb_scalars("point", (1, 2), (3, 4)),
    lambda t: t.absorb_array("rows", np.arange(4, dtype=np.uint64)),
    lambda t: t.challenge("alpha"),
    lambda t: t.indices("columns", 3, 10),
    lambda t: t.absorb("end", b"x"),
]
# Step number -> what a dishonest prover would like to be the same.
CHANGES: list[tuple[int, Step]] = [
    (0, lambda t: t.absorb("circuit", b"ie")),
    (0, lambda t: t.absorb("circuiu", b"id")),
    (0, lambda t: t.absorb("circuiti", b"d")),
    (1, lambda t: t.absorb("root", b"\0")),
    (1, lambda _: None),
    (2, lambda t: t.absorb_scalars("point", (1, 2), (3, 5))),
    (2, lambda t: t.absorb_scalars("point", (1, 2))),
    (2, lambda t: (t.absorb_scalars("point", (1, 2)), t.absorb_scalars("point", (3, 4)))),
    (3, lambda t: t.absorb_array("rows", np.array([0, 1, 2, 4], dtype=np.uint64))),
    (3, lambda t: t.absorb_array("rows", np.arange(5, dtype=np.uint64))),
    (4, lambda t: t.challenge("beta")),
    (4, lambda t: t.challenges("alpha", 2)),
    (4, lambda _: None),
    (5, lambda t: t.indices("columns", 4, 10)),
    (5, lambda _: None),
    (6, lambda t: t.absorb("end", b"y")),
]


def later_challenges(steps: list[Step], position: int) -> list[object]:
    transcript = Transcript()
    for step in steps[: position + 1]:
        step(transcript)
    return [step(transcript) for step in [*steps[position + 1 :], lambda t: t.challenge("last")]]


@pytest.mark.parametrize(("position", "changed"), CHANGES)
def test_every_item_changes_every_later_challenge(position: int, changed: Step) -> None:
    honest = later_challenges(STEPS, position)
    other = later_challenges([*STEPS[:position], changed, *STEPS[position + 1 :]], position)
    pairs = [(a, b) for a, b in zip(honest, other, strict=True) if a is not None]
    assert pairs
    assert all(a != b for a, b in pairs)


def test_a_challenge_is_not_given_twice() -> None:
    transcript = Transcript()
    seen = [transcript.challenge("x") for _ in range(5)] + transcript.challenges("x", 9)
    assert len(set(seen)) == 14


def test_drawing_many_at_once_is_no_prefix_of_the_next_draw() -> None:
    first, second = Transcript(), Transcript()
    first.challenges("x", 3)
    second.challenges("x", 5)
    assert first.challenge("y") != second.challenge("y")


@given(st.binary(max_size=40), st.integers(1, 200), st.integers(0, 64))
def test_draws_are_in_range_and_as_many_as_asked(data: bytes, count: int, log_range: int) -> None:
    transcript = Transcript()
    transcript.absorb("data", data)
    indices = transcript.indices("i", count, log_range)
    assert len(indices) == count
    assert all(0 <= i < 1 << log_range for i in indices)
    scalars = transcript.challenges("s", count)
    assert len(scalars) == count
    assert all(0 <= a < P and 0 <= b < P for a, b in scalars)


def test_a_word_at_or_above_p_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [P, 5, 2**64 - 1, 6, P - 1, 7, P + 1, 8]
    data = b"".join(w.to_bytes(8, "little") for w in words)
    monkeypatch.setattr(Transcript, "_blocks", lambda _: iter([data[:32], data[32:]]))
    assert Transcript().challenges("x", 2) == [(5, 6), (P - 1, 7)]


def independent(steps: list[dict[str, object]]) -> list[object]:
    """The chain as the module's docstring has it, written again."""
    state, drawn = hashlib.sha256(b"verifiable/sumcheck/v1").digest(), []

    def absorb(label: str, data: bytes) -> None:
        nonlocal state
        name = label.encode()
        state = hashlib.sha256(
            b"\0" + state + len(name).to_bytes(4, "little") + name + len(data).to_bytes(8, "little") + data
        ).digest()

    for step in steps:
        label = str(step["label"])
        if "absorb" in step:
            absorb(label, bytes.fromhex(str(step["absorb"])))
            continue
        stream = b"".join(hashlib.sha256(b"\1" + state + i.to_bytes(8, "little")).digest() for i in range(100))
        words = [int.from_bytes(stream[i : i + 8], "little") for i in range(0, len(stream), 8)]
        count = int(str(step.get("challenges", step.get("indices"))))
        if "challenges" in step:
            below = [w for w in words if w < P]
            drawn.append([[str(a), str(b)] for a, b in zip(below[: 2 * count : 2], below[1 : 2 * count : 2], strict=True)])
        else:
            drawn.append([w % (1 << int(str(step["log_range"]))) for w in words[:count]])
        absorb("squeezed " + label, count.to_bytes(8, "little"))
    return drawn


def ours(steps: list[dict[str, object]]) -> list[object]:
    transcript, drawn = Transcript(), []
    for step in steps:
        label = str(step["label"])
        if "absorb" in step:
            transcript.absorb(label, bytes.fromhex(str(step["absorb"])))
        elif "challenges" in step:
            values = transcript.challenges(label, int(str(step["challenges"])))
            drawn.append([[str(a), str(b)] for a, b in values])
        else:
            drawn.append(transcript.indices(label, int(str(step["indices"])), int(str(step["log_range"]))))
    return drawn


def test_vectors() -> None:
    cases = json.loads(VECTORS.read_text())["cases"]
    assert len(cases) >= 4
    for case in cases:
        assert ours(case["steps"]) == independent(case["steps"]) == case["drawn"], case["name"]
