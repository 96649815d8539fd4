# SPDX-License-Identifier: Apache-2.0
"""The numbers that the commitment's security rests on."""

from __future__ import annotations

import math

import pytest

from verifiable.zk.sumcheck import commitment
from verifiable.zk.sumcheck.soundness import LOG_BLOWUP, OPENING_BITS, QUERIES, opening_bits, queries_for


def bits(queries: int, log_cols: int, log_blowup: int = 2) -> float:
    return opening_bits(log_blowup=log_blowup, queries=queries, log_cols=log_cols)


@pytest.mark.parametrize("log_size", range(len(commitment.LOG_COLS)))
def test_every_shape_has_its_bits(log_size: int) -> None:
    log_rows, log_cols = commitment.shape(log_size)
    assert log_rows + log_cols == log_size
    assert opening_bits(log_blowup=LOG_BLOWUP, queries=QUERIES, log_cols=log_cols) >= OPENING_BITS


def test_the_bound_by_hand() -> None:
    # Rate 1/4: a query passes with 5/8. Two queries on a tiny code: 25/64, and 2^4 / p^2 more.
    assert bits(2, 2) == pytest.approx(-math.log2(25 / 64), rel=1e-9)
    # So many queries that only n / |E| is left: 2^10 / 2^127.99.
    assert bits(10_000, 8) == pytest.approx(117.99, abs=1e-6)
    assert bits(2, 2, log_blowup=1) == pytest.approx(-2 * math.log2(3 / 4), rel=1e-9)


def test_more_queries_and_shorter_codes_never_hurt() -> None:
    assert all(bits(q, 11) < bits(q + 1, 11) for q in range(1, 200, 7))
    assert all(bits(QUERIES, k) >= bits(QUERIES, k + 1) for k in range(20))


@pytest.mark.parametrize("wanted", [1.0, 64.0, 100.0, 104.0, 110.0])
def test_queries_are_just_enough(wanted: float) -> None:
    count = queries_for(wanted)
    assert (5 / 8) ** count <= 2**-wanted < (5 / 8) ** (count - 1)


@pytest.mark.parametrize("log_size", range(len(commitment.LOG_COLS)))
def test_the_shapes_are_the_shortest(log_size: int) -> None:
    best = min(range(log_size + 1), key=lambda k: (commitment.expected_size(log_size - k, k), -k))
    assert commitment.LOG_COLS[log_size] == best
