# SPDX-License-Identifier: Apache-2.0
"""Integer multipliers against exact fractions, value by value."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from verifiable.errors import UnsupportedError
from verifiable.model.lower.exact import Rescaling, Row, rescaling
from verifiable.model.program.bounds import round_half_even

CLAMP = (-128, 127)
# As models have them: the product of two float32 scales over a third.
factors = st.tuples(*[st.floats(2.0**-9, 1.0, width=32)] * 3).map(lambda s: Fraction(s[0]) * Fraction(s[1]) / Fraction(s[2]))
shifts = st.one_of(st.just(Fraction(0)), st.floats(-50, 50, width=32).map(Fraction))


def clamped(value: int) -> int:
    return min(max(value, CLAMP[0]), CLAMP[1])


def everywhere(row: Row, found: Rescaling) -> bool:
    return all(
        clamped(round(row.factor * s + row.shift))
        == clamped(
            round_half_even(
                found.multipliers[row.channel] * s + found.biases[row.channel] + found.second * row.other, found.shift
            )
        )
        for s in range(row.low, row.high + 1)
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(factors, shifts), min_size=1, max_size=3), st.integers(-3000, 0), st.integers(0, 3000))
def test_what_is_found_is_exact_everywhere(channels: list, low: int, high: int) -> None:
    rows = [Row(low=low, high=high, factor=f, shift=c, channel=i) for i, (f, c) in enumerate(channels)]
    try:
        found = rescaling(rows, [f for f, _ in channels], [c for _, c in channels], CLAMP)
    except UnsupportedError:
        return
    assert all(everywhere(row, found) for row in rows)


@settings(max_examples=30, deadline=None)
@given(factors, factors, st.sampled_from([-1, 1]))
def test_sums_are_exact_for_every_pair(first: Fraction, second: Fraction, sign: int) -> None:
    second *= sign
    rows = [Row(low=-20, high=43, factor=first, shift=second * other, other=other) for other in range(-31, 32)]
    try:
        found = rescaling(rows, [first], [Fraction(0)], CLAMP, second)
    except UnsupportedError:
        return
    assert all(everywhere(row, found) for row in rows)


def test_almost_all_scales_can_be_met() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        sx, sw, sy = (Fraction(float(np.float32(s))) for s in rng.uniform([0.005, 0.001, 0.005], [0.05, 0.01, 0.1]))
        factor = sx * sw / sy
        found = rescaling([Row(low=-(10**6), high=10**6, factor=factor, shift=Fraction(0))], [factor], [Fraction(0)], CLAMP)
        assert found.multipliers[0] % 2 == 0  # without ties, since none is real
        assert found.biases[0] % 2 == 1


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(-4000, 4000), st.integers(0, 4000))
def test_powers_of_two_keep_their_ties(power: int, low: int, width: int) -> None:
    row = Row(low=low, high=low + width, factor=Fraction(1, 2**power), shift=Fraction(0))
    found = rescaling([row], [row.factor], [row.shift], CLAMP)
    assert everywhere(row, found)


def test_ties_that_no_power_of_two_meets_are_refused() -> None:
    """s/6 is half-way at 3, 9, 15, ...: alternately rounded down and up, which no multiplier over a power of two does."""
    row = Row(low=0, high=100, factor=Fraction(1, 6), shift=Fraction(0))
    with pytest.raises(UnsupportedError, match="rounds exactly"):
        rescaling([row], [row.factor], [row.shift], CLAMP)
    narrow = Row(low=0, high=8, factor=Fraction(1, 6), shift=Fraction(0))  # one tie alone can be met
    assert everywhere(narrow, rescaling([narrow], [narrow.factor], [narrow.shift], CLAMP))


def test_what_does_not_fit_62_bits_is_refused() -> None:
    row = Row(low=-(2**61), high=2**61, factor=Fraction(3, 2**60), shift=Fraction(0))
    with pytest.raises(UnsupportedError):
        rescaling([row], [row.factor], [row.shift], (-(2**15), 2**15))


@given(factors)
def test_a_multiplier_off_by_much_is_seen(factor: Fraction) -> None:
    assume(Fraction(1, 1000) < factor < Fraction(1, 4))
    from verifiable.model.lower.exact import _agrees

    row = Row(low=-(10**5), high=10**5, factor=factor, shift=Fraction(0))
    wrong = Rescaling(shift=30, multipliers=(round(factor * 2**30 * Fraction(102, 100)),), biases=(0,))
    assert not _agrees(row, wrong, CLAMP)
