# SPDX-License-Identifier: Apache-2.0
"""What a verifier holds of a Program: everything but its weights. The circuit pins it, with the root that the weights are under.

Padded cells of a tensor (see :mod:`.layout`) may take values that no real cell does, so tables are widened here to hold those
too. That loosens nothing: that a real cell's rounded accumulator lies in its own table was proved from the widths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifiable.errors import UnsupportedError
from verifiable.model.program import bounds as proving
from verifiable.model.program.bounds import Class, Classes, Interval
from verifiable.model.program.ir import MAX_ROWS, Input, Output, Program
from verifiable.model.program.ops import Maximum, Op, Requantise, Scale, Shape, constants, sources
from verifiable.zk.sumcheck import field

_ZERO = Class(low=0, high=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows (Y, values[Y - low]) for 2^log_size consecutive Y from ``low``."""

    low: int
    values: NDArray[np.int64]

    @property
    def log_size(self) -> int:
        return len(self.values).bit_length() - 1

    @property
    def keys(self) -> NDArray[np.int64]:
        return self.low + np.arange(len(self.values), dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """``constants``: dtype, shape. ``tables`` by the Program's numbering. By number of operation: ``maxima``, the table of
    relu(a - b) of each Maximum; ``scales``, the shapes of multiplier and bias of each Scale; ``ties``, each Requantise that
    can meet a tie.
    """

    inputs: tuple[Input, ...]
    ops: tuple[Op, ...]
    shapes: tuple[Shape, ...]
    outputs: tuple[Output, ...]
    constants: tuple[tuple[str, Shape], ...]
    tables: tuple[Table, ...]
    maxima: Mapping[int, Table]
    scales: Mapping[int, tuple[Shape, Shape]]
    ties: frozenset[int]

    @classmethod
    def of(cls, program: Program) -> Structure:
        """Raises UnsupportedError for a Program that cannot be proved yet, naming the operation."""
        proved, padded = proving.bounds(program), padded_bounds(program)
        ranges: dict[int, Interval] = {}
        for i, op in enumerate(program.ops):
            if isinstance(op, Requantise):
                ranges[op.table] = _hull(_hull(padded.rounded[i], proved.rounded[i]), ranges.get(op.table, padded.rounded[i]))
        tables = tuple(_activation(program, t, ranges[t]) for t in range(len(program.tables)))
        for i, op in enumerate(program.ops):
            # Only now: a later operation may have widened the table that an earlier one, of a larger shift, reads.
            if isinstance(op, Requantise):
                check_width(tables[op.table], op.shift, f"operation {i} (Requantise)")
        return cls(
            inputs=program.inputs,
            ops=program.ops,
            shapes=program.shapes,
            outputs=program.outputs,
            constants=tuple((constant.dtype, constant.shape) for constant in program.constants),
            tables=tables,
            maxima={i: _relu(interval, i) for i, interval in padded.differences.items()},
            scales={
                i: (program.constants[op.multiplier].shape, program.constants[op.bias].shape)
                for i, op in enumerate(program.ops)
                if isinstance(op, Scale)
            },
            ties=proved.ties,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddedBounds:
    """Of all cells, padding included: ``values`` of each tensor; by operation, Y of each Requantise in ``rounded``, and
    left - right of each Maximum in ``differences``.
    """

    values: tuple[Interval, ...]
    rounded: Mapping[int, Interval]
    differences: Mapping[int, Interval]


def padded_bounds(program: Program) -> PaddedBounds:
    """Any tensor may hold 0 in its padding, and what follows from that. Raises UnsupportedError where a cell could reach 2^62."""
    classes: list[Classes] = [(Class(low=entry.low, high=entry.high), _ZERO) for entry in program.inputs]
    rounded: dict[int, Interval] = {}
    differences: dict[int, Interval] = {}
    for i, op in enumerate(program.ops):
        given = [classes[s] for s in sources(op)]
        if isinstance(op, Requantise):
            table = program.tables[op.table]
            low, high = proving.hull(given[0])
            rounded[i] = half_up(low, op.shift), half_up(high, op.shift)
            values = program.constants[table.values].array().astype(np.int64)
            classes.append((Class(low=int(values.min()), high=int(values.max())), _ZERO))
            continue
        if isinstance(op, Maximum):
            (a, b), (c, d) = (proving.hull(g) for g in given)
            differences[i] = a - d, b - c
        arrays = [program.constants[c].array() for c in constants(op)]
        if isinstance(op, Scale) and arrays[0].shape != arrays[1].shape:
            # Where only one of the two is padded, a multiplier meets no bias or a bias no multiplier.
            arrays = _all_pairs(*arrays)
        found = proving.classes_of(op, given, arrays, f"program: operation {i} ({type(op).__name__})")
        low, high = proving.hull(found)
        classes.append((Class(low=min(low, 0), high=max(high, 0)),))
    return PaddedBounds(values=tuple(proving.hull(c) for c in classes), rounded=rounded, differences=differences)


def half_up(values: Any, shift: int) -> Any:
    """Y: t / 2^shift rounded, halves up. Integers or arrays of them."""
    return (values + (1 << shift >> 1)) >> shift


def _all_pairs(multiplier: NDArray[Any], bias: NDArray[Any]) -> list[NDArray[np.generic]]:
    """The extremes of both, and zero, each with each: what is linear in either has its own extremes there."""
    ends = [np.array([min(0, int(a.min())), max(0, int(a.max()))]) for a in (multiplier, bias)]
    return [np.repeat(ends[0], 2), np.tile(ends[1], 2)]


def check_width(table: Table, shift: int, where: str) -> None:
    """t + 2^(shift - 1) and Y 2^shift + rem are equal as integers when they are equal in F: they differ by less than p, whichever
    row of the table Y is. Raises UnsupportedError.
    """
    largest = max(abs(table.low), abs(table.low + len(table.values))) + 1
    if (largest << shift) + (1 << 62) + (1 << shift) >= field.P:
        raise UnsupportedError(f"program: {where}: its accumulator is too wide", hint="use narrower weights or activations")


def _activation(program: Program, number: int, rounded: Interval) -> Table:
    if rounded[1] - rounded[0] >= MAX_ROWS:
        raise UnsupportedError(
            f"program: table {number} with padded cells is too wide", hint="use narrower weights or activations"
        )
    table = program.tables[number]
    values = program.constants[table.values].array().astype(np.int64)
    keys = rounded[0] + np.arange(1 << (rounded[1] - rounded[0]).bit_length(), dtype=np.int64)
    return Table(low=rounded[0], values=values[np.clip(keys - table.low, 0, len(values) - 1)])


def relu(low: int, log_size: int) -> Table:
    """max(key, 0)."""
    keys = low + np.arange(1 << log_size, dtype=np.int64)
    return Table(low=low, values=np.maximum(keys, 0))


def _relu(interval: Interval, number: int) -> Table:
    if interval[1] - interval[0] >= MAX_ROWS:
        raise UnsupportedError(f"program: operation {number} (Maximum): its operands are too wide", hint="requantise them first")
    return relu(interval[0], (interval[1] - interval[0]).bit_length())


def _hull(a: Interval, b: Interval) -> Interval:
    return min(a[0], b[0]), max(a[1], b[1])
