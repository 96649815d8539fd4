# SPDX-License-Identifier: Apache-2.0
"""Many claims on one table, proved in the short way and in the plain one: to the byte the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiable.zk.sumcheck import commit_prover, field, kernels_plain, native, opening_prover, tables
from verifiable.zk.sumcheck.commit_prover import Committed
from verifiable.zk.sumcheck.layers import Claim
from verifiable.zk.sumcheck.layout import Key, Stack
from verifiable.zk.sumcheck.sumcheck_prover import prove_against
from verifiable.zk.sumcheck.transcript import Transcript
from verifiable.zk.sumcheck.verifier import powers_of
from verifiable.zk.sumcheck.writer import Writer

Claims = list[tuple[Key, Claim]]


def plainly(committed: Committed, stack: Stack, claims: Claims) -> bytes:
    """As the protocol is written: one table of all eq, one sum-check over everything."""
    writer = Writer(Transcript())
    powers = powers_of(writer.transcript.challenge("t claims"), len(claims))
    weights = np.zeros((1 << stack.log_size, 2), np.uint64)
    for power, (key, claim) in zip(powers, claims, strict=True):
        weights[stack.slice(key)] = field.add(weights[stack.slice(key)], field.scale_ext(field.eq_table(claim.point), power))
    point, value = prove_against(writer, "t", committed.table, weights)
    commit_prover.open(committed, point, value, writer)
    return writer.getvalue()


def shortly(committed: Committed, stack: Stack, claims: Claims) -> bytes:
    writer = Writer(Transcript())
    opening_prover.prove_opening(writer, "t", committed, stack, claims)
    return writer.getvalue()


def example(sizes: list[int], wanted: list[int], seed: int) -> tuple[Committed, Stack, Claims]:
    """A random table of such blocks and claims on some, at points that now and then agree in their last coordinates."""
    rng = np.random.default_rng(seed)
    stack = Stack.of({(i, "result"): size for i, size in enumerate(sizes)})
    table = np.zeros(1 << stack.log_size, np.uint64)
    table[: stack.used] = rng.integers(0, field.P, stack.used, dtype=np.uint64)
    shared = [(int(a), int(b)) for a, b in rng.integers(0, field.P, (max(sizes), 2), dtype=np.uint64)]
    claims: Claims = []
    for number in wanted:
        size = sizes[number % len(sizes)]
        own = [(int(a), int(b)) for a, b in rng.integers(0, field.P, (size, 2), dtype=np.uint64)]
        point = [shared[len(shared) - size :], own, [*own[: size // 3], *shared[len(shared) - size + size // 3 :]]][number % 3]
        claims.append(((number % len(sizes), "result"), Claim(point=point, value=(number, 1))))
    return commit_prover.commit(table, stack.used), stack, claims


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 11), min_size=1, max_size=6), st.lists(st.integers(0, 30), max_size=8), st.integers(0, 2**32))
def test_the_short_way_writes_the_same_bytes(sizes: list[int], wanted: list[int], seed: int) -> None:
    made = example(sizes, wanted, seed)
    assert shortly(*made) == plainly(*made)


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("loops", ["compiled", "plain"])
def test_whatever_it_computes_with(loops: str, threads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made = example([12, 10, 10, 7, 3, 3, 0], list(range(20)), 5)
    expected = plainly(*made)
    monkeypatch.setattr(tables, "_loops", native.load("verifiable.zk.sumcheck.kernels") if loops == "compiled" else kernels_plain)
    monkeypatch.setattr(tables, "_LARGE", 0 if threads else 1 << 62)
    assert shortly(*made) == expected
