# SPDX-License-Identifier: Apache-2.0
"""What a Program's integers can be, proved from its widths by interval arithmetic in Python's exact integers.

Three things follow: no value of any tensor reaches 2^62 in absolute value, so nothing wraps in int64 or in a 64-bit field; every
rounded accumulator lies in its table; and whether a rounding can meet a tie at all, which is decided before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.program.ir import LIMIT, Program
from verifiable.model.program.ops import (
    Combine,
    Conv,
    Dense,
    Maximum,
    Op,
    Pad,
    Requantise,
    Scale,
    SumPool,
    constants,
    sources,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

#: Smallest and largest possible value, both included.
Interval = tuple[int, int]
_NEVER = 64  # more factors of two than any number here has


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """Some of a tensor's values: in [low, high], ``offset`` modulo 2^``twos``, and ``offset + multiplier · integer``."""

    low: int
    high: int
    offset: int = 0
    multiplier: int = 1
    twos: int = 0


Classes = tuple[Class, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """``values``: one interval per tensor. By number of operation, for each Requantise: ``rounded``, the interval of Y; and in
    ``ties``, those that may meet ``t = (n + 1/2) · 2^shift``. The others need no care about ties: there are none.
    """

    values: tuple[Interval, ...]
    rounded: Mapping[int, Interval]
    ties: frozenset[int]


def bounds(program: Program) -> Bounds:
    """Raises UnsupportedError where a value could reach 2^62, MalformedError where one could fall outside of its table."""
    arrays = [constant.array() for constant in program.constants]
    classes: list[Classes] = [(Class(low=entry.low, high=entry.high),) for entry in program.inputs]
    rounded: dict[int, Interval] = {}
    ties = set()
    for i, op in enumerate(program.ops):
        where = f"program: operation {i} ({type(op).__name__})"
        given = [classes[s] for s in sources(op)]
        if isinstance(op, Requantise):
            table = program.tables[op.table]
            rounded[i] = rounded_interval(hull(given[0]), op.shift)
            low, high = _table_interval(rounded[i], table.low, arrays[table.values], where)
            classes.append((Class(low=low, high=high),))
            if meets_tie(given[0], op.shift):
                ties.add(i)
        else:
            classes.append(classes_of(op, given, [arrays[c] for c in constants(op)], where))
    return Bounds(values=tuple(hull(c) for c in classes), rounded=rounded, ties=frozenset(ties))


def hull(classes: Classes) -> Interval:
    """The smallest interval around all of them."""
    return min(c.low for c in classes), max(c.high for c in classes)


def round_half_even(value: int, shift: int) -> int:
    """``value / 2^shift`` to the nearest integer, halves to even."""
    quotient = (value + ((1 << shift) >> 1)) >> shift
    tie = shift > 0 and (value & ((1 << shift) - 1)) == 1 << (shift - 1)
    return quotient - (quotient & 1) if tie else quotient


def rounded_interval(values: Interval, shift: int) -> Interval:
    """What ``t / 2^shift``, rounded half to even, can be: rounding is monotone."""
    return round_half_even(values[0], shift), round_half_even(values[1], shift)


def classes_of(op: Op, given: Sequence[Classes], arrays: Sequence[Array], where: str) -> Classes:
    """The values of any operation but Requantise. ``arrays``: its constants. Raises UnsupportedError."""
    found = tuple(dict.fromkeys(_classes(op, given, arrays)))
    low, high = hull(found)
    if max(-low, high) >= LIMIT:
        raise UnsupportedError(
            f"{where}: its accumulator can reach {float(max(-low, high)):.3g}, 2^62 is the limit",
            hint="use narrower weights or activations",
        )
    return found


def meets_tie(classes: Classes, shift: int) -> bool:
    """Whether a value may be ``(n + 1/2) · 2^shift``. A yes may be wrong; a no is proved."""
    return shift > 0 and any(_meets_tie(c, shift) for c in classes)


def _classes(op: Op, given: Sequence[Classes], arrays: Sequence[Array]) -> Iterator[Class]:
    """One class for each channel that has numbers of its own."""
    x = hull(given[0])
    if isinstance(op, Dense | Conv):
        yield from _linear(_with_zero(x) if isinstance(op, Conv) and any(op.pads) else x, arrays)
    elif isinstance(op, SumPool):
        low, high = _with_zero(x) if any(op.pads) else x
        area = op.kernel[0] * op.kernel[1]
        yield _affine((area * low, area * high), op.multiplier, op.bias, _twos(op.multiplier))
    elif isinstance(op, Combine):
        yield _combine(op, given)
    elif isinstance(op, Scale):
        yield from (_affine(x, multiplier, bias, _twos(multiplier)) for multiplier, bias in _distinct(arrays))
    elif isinstance(op, Maximum):
        intervals = [hull(classes) for classes in given]
        yield Class(low=max(low for low, _ in intervals), high=max(high for _, high in intervals))
    else:  # the same values elsewhere
        yield from (c for classes in given for c in classes)
        if isinstance(op, Pad):
            yield Class(low=op.value, high=op.value)


def reach(weight: Array, x: Interval) -> list[Interval]:
    """By output channel, what ``weight`` [O, ...] times values in ``x`` can add up to."""
    import numpy as np

    rows: Any = weight.astype(np.int64).reshape(weight.shape[0], -1)
    positive, negative = np.maximum(rows, 0).sum(1).tolist(), np.minimum(rows, 0).sum(1).tolist()
    return [(plus * x[0] + minus * x[1], plus * x[1] + minus * x[0]) for plus, minus in zip(positive, negative, strict=True)]


def _linear(x: Interval, arrays: Sequence[Array]) -> Iterator[Class]:
    import numpy as np

    rows: Any = arrays[0].reshape(arrays[0].shape[0], -1)
    bits = np.bitwise_or.reduce(rows, axis=1).tolist()  # its lowest set bit is that of the least divisible weight
    for sums, bit, multiplier, bias in zip(reach(arrays[0], x), bits, arrays[1].tolist(), arrays[2].tolist(), strict=True):
        yield _affine(sums, multiplier, bias, _twos(multiplier) + _twos(bit))


def _combine(op: Combine, given: Sequence[Classes]) -> Class:
    low = high = offset = op.constant
    twos = _NEVER
    for coefficient, classes in zip(op.coefficients, given, strict=True):
        ends = sorted(coefficient * end for end in hull(classes))
        low, high = low + ends[0], high + ends[1]
        residue, common = _common(classes)
        offset += coefficient * residue
        twos = min(twos, common + _twos(coefficient))
    return Class(low=low, high=high, offset=offset, multiplier=1, twos=twos)


def _common(classes: Classes) -> tuple[int, int]:
    """A residue that all the values share, and the power of two it is modulo."""
    first = classes[0].offset
    return first, min(min(c.twos, _twos(c.offset - first)) for c in classes)


def _affine(x: Interval, multiplier: int, bias: int, twos: int) -> Class:
    low, high = sorted((multiplier * x[0] + bias, multiplier * x[1] + bias))
    return Class(low=low, high=high, offset=bias, multiplier=multiplier, twos=twos)


def _distinct(arrays: Sequence[Array]) -> list[tuple[int, int]]:
    import numpy as np

    multiplier, bias = np.broadcast_arrays(*arrays)
    pairs: list[list[int]] = np.unique(np.stack([multiplier.ravel(), bias.ravel()], 1), axis=0).tolist()
    return [(m, b) for m, b in pairs]


def _with_zero(x: Interval) -> Interval:
    return min(x[0], 0), max(x[1], 0)


def _twos(value: int) -> int:
    """How often two divides ``value``."""
    return (value & -value).bit_length() - 1 if value else _NEVER


def _table_interval(rounded: Interval, low: int, values: Array, where: str) -> Interval:
    first, last = rounded[0] - low, rounded[1] - low
    if first < 0 or last >= values.shape[0]:
        raise MalformedError(f"{where}: a value can fall outside of its table, at {rounded[0] if first < 0 else rounded[1]}")
    reached: Any = values[first : last + 1]
    return int(reached.min()), int(reached.max())


def _meets_tie(c: Class, shift: int) -> bool:
    """Whether some t of the class is 2^(shift - 1) modulo 2^shift."""
    half, modulus = 1 << (shift - 1), 1 << shift
    if (half - c.offset) % (1 << min(c.twos, shift)) or not _hits(c.low, c.high, half, modulus):
        return False
    multiplier = abs(c.multiplier)
    if multiplier == 0 or c.offset % multiplier:
        return True
    # t = multiplier · s. With k twos in the multiplier, a tie asks s = 2^(shift-1-k) modulo 2^(shift-k): an odd factor times
    # half the modulus is half the modulus again.
    twos = _twos(multiplier)
    return twos < shift and _hits(-(-c.low // multiplier), c.high // multiplier, half >> twos, modulus >> twos)


def _hits(low: int, high: int, residue: int, modulus: int) -> bool:
    return low + (residue - low) % modulus <= high
