# SPDX-License-Identifier: Apache-2.0
"""Integer multipliers that round exactly like the rational scales they stand for, for every value that can occur.

``v(s) = (a·s + c) / d`` is what the model says, ``(M·s + B) / 2^e`` what is computed, both rounded half to even and clamped to
[low, high]. Each is monotone in s, hence fixed by where it steps from n to n + 1, for low <= n < high. If all these places
agree, all values do: a few hundred comparisons of exact integers prove it for any range of s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from verifiable.errors import UnsupportedError
from verifiable.model.program.bounds import Interval
from verifiable.model.program.ir import LIMIT

_SHIFTS = tuple(range(8, 61, 4))
# A shift so much larger is worth it for being rid of ties.
_PATIENCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Integers s in [low, high] that stand for ``factor · s + shift`` steps of the target; ``factor`` is positive.

    Rows with one ``channel`` share a multiplier; each adds its own multiple ``other`` of a second multiplier to the bias.
    """

    low: int
    high: int
    factor: Fraction
    shift: Fraction
    channel: int = 0
    other: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescaling:
    """By channel: ``(multipliers[k] · s + biases[k]) / 2^shift``; ``second`` multiplies what a row calls ``other``."""

    shift: int
    multipliers: tuple[int, ...]
    biases: tuple[int, ...]
    second: int = 0


def rescaling(
    rows: Sequence[Row], factors: Sequence[Fraction], shifts: Sequence[Fraction], clamp: Interval, second: Fraction = Fraction(0)
) -> Rescaling:
    """The smallest shift with integers that agree on all ``rows``; a little more if that rules out ties.

    ``factors`` and ``shifts``: by channel, the latter without ``second``, which is the factor of ``other``. Raises
    UnsupportedError if there are no such integers below 2^62.
    """
    found = None
    for shift in _SHIFTS:
        for tieless in (True,) if found else (True, False):
            candidate = _candidate(factors, shifts, second, shift, tieless=tieless)
            if all(_agrees(row, candidate, clamp) for row in rows):
                if tieless:
                    return candidate
                found = candidate
        if found and shift >= found.shift + _PATIENCE:
            break
    if found:
        return found
    raise UnsupportedError(
        "no integer multiplier below 2^62 rounds exactly as its scales do",
        hint="quantise with power-of-two scales, or compile the float model",
    )


def round_half_even(value: Fraction) -> int:
    """The nearest integer, halves to even (Python's own rule for fractions)."""
    return round(value)


def _candidate(
    factors: Sequence[Fraction], shifts: Sequence[Fraction], second: Fraction, shift: int, *, tieless: bool
) -> Rescaling:
    """Nearest integers; nearest even multipliers and odd biases make all sums odd, so that none is a tie."""
    step = 2 if tieless else 1
    return Rescaling(
        shift=shift,
        multipliers=tuple(max(round(f * 2**shift / step), 1) * step for f in factors),
        biases=tuple(2 * (c * 2**shift / 2).__floor__() + 1 if tieless else round(c * 2**shift) for c in shifts),
        second=round(second * 2**shift / step) * step,
    )


def _agrees(row: Row, found: Rescaling, clamp: Interval) -> bool:
    multiplier = found.multipliers[row.channel]
    bias = found.biases[row.channel] + found.second * row.other
    ends = multiplier * row.low + bias, multiplier * row.high + bias
    if max(map(abs, ends)) >= LIMIT:
        return False
    d = row.factor.denominator * row.shift.denominator
    a, c = row.factor.numerator * row.shift.denominator, row.shift.numerator * row.factor.denominator
    power = 1 << found.shift
    first = max(clamp[0], min(_rounded(a * row.low + c, d), _rounded(ends[0], power)))
    last = min(clamp[1], max(_rounded(a * row.high + c, d), _rounded(ends[1], power)))
    return all(
        _clipped(_step(a, c, d, n), row) == _clipped(_step(multiplier, bias, power, n), row) for n in range(first, last)
    )  # fmt: skip


def _rounded(numerator: int, denominator: int) -> int:
    return round(Fraction(numerator, denominator))


def _step(a: int, c: int, d: int, n: int) -> int:
    """The smallest s for which (a·s + c) / d rounds to n + 1 or more: half-way up goes to the even one of n and n + 1."""
    gap = (2 * n + 1) * d - 2 * c
    return -(-gap // (2 * a)) if n % 2 else gap // (2 * a) + 1


def _clipped(s: int, row: Row) -> int:
    return min(max(s, row.low), row.high + 1)
