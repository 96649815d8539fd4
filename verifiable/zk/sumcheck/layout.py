# SPDX-License-Identifier: Apache-2.0
"""Where everything lies: the blocks of the trace T and of the weights W, and the leaves of the table argument.

Both parties derive it from the public structure and the number of samples; no message chooses any of it.

A tensor [samples, d_1, ...] is padded per axis to powers of two. Padded samples repeat the last one. Other padded cells hold
what the same operations make of them: they satisfy every constraint, and no real cell reads one, for weights are zero and
public maps name nothing there. T holds, for each Requantise, the results and the digits of the remainders, the maxima, and how
often each table's rows are used; blocks are stacked in descending size, so each is aligned. W holds multiplier x weight and
bias of each layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from verifiable.errors import MalformedError
from verifiable.model.program.ops import Conv, Dense, Maximum, Requantise, Scale, Shape
from verifiable.zk.sumcheck import commitment, field, logup
from verifiable.zk.sumcheck.field import Ext, ext_add, ext_mul
from verifiable.zk.sumcheck.layers import Convolution
from verifiable.zk.sumcheck.maps import log_padded, window
from verifiable.zk.sumcheck.soundness import LOG_BLOWUP, LOG_FIELD, QUERIES, opening_bits
from verifiable.zk.sumcheck.structure import Structure

MAX_SAMPLES = 1 << 16
_DIGIT_WIDTHS = (4, 6, 8, 10, 12, 16)

#: What a block holds: (operation, "result"), (operation, "digit", j), ("range", width), ("table", t), ("relu", operation),
#: (operation, "weight"), (operation, "bias").
Key = tuple[int | str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Aligned blocks of one multilinear polynomial of ``log_size`` variables: key to (log size, first element)."""

    log_size: int
    blocks: dict[Key, tuple[int, int]]

    @classmethod
    def of(cls, sizes: dict[Key, int]) -> Stack:
        ordered = sorted(sizes.items(), key=lambda item: -item[1])  # stable: equal sizes stay in order
        log_size, offsets = logup.stack([size for _, size in ordered])
        return cls(log_size=log_size, blocks={key: (size, offset) for (key, size), offset in zip(ordered, offsets, strict=True)})

    def slice(self, key: Key) -> slice:
        """The block's elements."""
        size, offset = self.blocks[key]
        return slice(offset, offset + (1 << size))


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A block of the table argument, and what its columns are: a lookup's operation and role, or a table's own key."""

    key: Key
    block: logup.Block


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """``digits``: the widths of each Requantise's digits, lowest first."""

    structure: Structure
    log_samples: int
    samples: int
    digits: dict[int, tuple[int, ...]]
    trace: Stack
    weights: Stack
    leaves: tuple[Leaf, ...]

    @classmethod
    def of(cls, structure: Structure, samples: int) -> Layout:
        """Raises MalformedError for a number of samples that is none, or for a trace too large."""
        if not 1 <= samples <= MAX_SAMPLES:
            raise MalformedError(f"{samples} samples, expected 1 to {MAX_SAMPLES:,}")
        log_samples = log_padded(samples)
        digits = _digits(structure, log_samples)
        tables = _tables(structure, digits)
        return cls(
            structure=structure,
            samples=samples,
            log_samples=log_samples,
            digits=digits,
            # A Program without any Requantise commits to nothing: an idle block keeps its proof of one form.
            trace=Stack.of(_trace(structure, log_samples, digits) | {k: b.log_size for k, b in tables.items()} or {("none",): 1}),
            weights=weight_stack(structure),
            leaves=_leaves(structure, log_samples, digits, tables),
        )

    def tensor_logs(self, tensor: int) -> tuple[int, ...]:
        """Variables of each axis, samples first."""
        return self.log_samples, *axis_logs(self.structure.shapes[tensor])

    def result(self, op: int) -> int:
        """The tensor that an operation makes."""
        return len(self.structure.inputs) + op

    def security_bits(self) -> float:
        """-log2 of the chance that a false statement is accepted, by the sum of all parts' errors; docs/security."""
        errors = 0.0
        for stack in (self.trace, self.weights):
            log_cols = commitment.shape(stack.log_size)[1]
            errors += 2 ** -opening_bits(log_blowup=LOG_BLOWUP, queries=QUERIES, log_cols=log_cols)
        log_leaves, _ = logup.stack([leaf.block.log_size for leaf in self.leaves]) if self.leaves else (1, [])
        claims = 4 * (len(self.structure.ops) + len(self.leaves)) * (self.trace.log_size + self.weights.log_size + 64)
        algebra = 4 * 2.0**log_leaves + 4.0 * log_leaves**2 + claims
        return -math.log2(errors + algebra * 2.0**-LOG_FIELD)


def axis_logs(shape: Shape) -> tuple[int, ...]:
    """Variables of each axis."""
    return tuple(log_padded(extent) for extent in shape)


def weight_stack(structure: Structure) -> Stack:
    """W's blocks."""
    sizes: dict[Key, int] = {}
    for i, op in enumerate(structure.ops):
        shape, given = structure.shapes[len(structure.inputs) + i], None
        if isinstance(op, Dense):
            given = structure.shapes[op.source]
            sizes[i, "weight"], sizes[i, "bias"] = log_padded(shape[-1]) + log_padded(given[-1]), log_padded(shape[-1])
        elif isinstance(op, Conv):
            form = convolution(structure, i)
            sizes[i, "bias"] = form.log_groups + form.log_out
            sizes[i, "weight"] = sizes[i, "bias"] + form.log_inner
        elif isinstance(op, Scale):
            sizes[i, "weight"], sizes[i, "bias"] = (sum(axis_logs(s)) for s in structure.scales[i])
    return Stack.of(sizes or {("none",): 1})


def convolution(structure: Structure, number: int) -> Convolution:
    """The public shape of a Conv."""
    op = structure.ops[number]
    assert isinstance(op, Conv)
    given, shape = structure.shapes[op.source], structure.shapes[len(structure.inputs) + number]
    height, width = (
        window(size=given[a], outputs=shape[a], kernel=op.kernel[a - 2], stride=op.strides[a - 2], pad=op.pads[a - 2])
        for a in (2, 3)
    )
    return Convolution(
        log_groups=log_padded(op.groups),
        log_out=log_padded(shape[1] // op.groups),
        log_in=log_padded(given[1] // op.groups),
        height=height,
        width=width,
    )


def range_column(point: Sequence[Ext]) -> list[Ext]:
    """The table 0, 1, 2, ... at a point: linear, so in closed form."""
    value = field.ZERO
    for position, coordinate in enumerate(reversed(point)):
        value = ext_add(value, ext_mul((1 << position, 0), coordinate))
    return [value]


def _log_cells(structure: Structure, log_samples: int, number: int) -> int:
    return log_samples + sum(axis_logs(structure.shapes[len(structure.inputs) + number]))


def _digits(structure: Structure, log_samples: int) -> dict[int, tuple[int, ...]]:
    """The width that makes for the fewest leaves, one for all operations so that they share a table."""
    shifts = {i: op.shift for i, op in enumerate(structure.ops) if isinstance(op, Requantise)}
    cells = {i: 1 << _log_cells(structure, log_samples, i) for i in shifts}

    def leaves(width: int) -> int:
        used = {w for shift in shifts.values() for w in _split(shift, width)}
        return sum(cells[i] * len(_split(shift, width)) for i, shift in shifts.items()) + sum(1 << w for w in used)

    best = min(_DIGIT_WIDTHS, key=leaves)
    return {i: _split(shift, best) for i, shift in shifts.items()}


def _split(shift: int, width: int) -> tuple[int, ...]:
    full, rest = divmod(shift, width)
    return (width,) * full + ((rest,) if rest else ())


def _tables(structure: Structure, digits: dict[int, tuple[int, ...]]) -> dict[Key, logup.Block]:
    found: dict[Key, logup.Block] = {}
    for t, table in enumerate(structure.tables):
        found["table", t] = logup.Block(log_size=table.log_size, table=len(found) + 1, width=2, rows=table.evaluate)
    for i, table in structure.maxima.items():
        found["relu", i] = logup.Block(log_size=table.log_size, table=len(found) + 1, width=2, rows=table.evaluate)
    for width in sorted({w for widths in digits.values() for w in widths}):
        found["range", width] = logup.Block(log_size=width, table=len(found) + 1, width=1, rows=range_column)
    return found


def _trace(structure: Structure, log_samples: int, digits: dict[int, tuple[int, ...]]) -> dict[Key, int]:
    sizes: dict[Key, int] = {}
    for i, op in enumerate(structure.ops):
        if isinstance(op, Requantise | Maximum):
            sizes[i, "result"] = _log_cells(structure, log_samples, i)
        for j in range(len(digits.get(i, ()))):
            sizes[i, "digit", j] = sizes[i, "result"]
    return sizes


def _leaves(
    structure: Structure, log_samples: int, digits: dict[int, tuple[int, ...]], tables: dict[Key, logup.Block]
) -> tuple[Leaf, ...]:
    """Lookups and tables in descending size."""
    leaves = [Leaf(key=key, block=block) for key, block in tables.items()]
    for i, op in enumerate(structure.ops):
        size = _log_cells(structure, log_samples, i)
        if isinstance(op, Requantise | Maximum):
            number = tables[("table", op.table) if isinstance(op, Requantise) else ("relu", i)].table
            leaves.append(Leaf(key=(i, "result"), block=logup.Block(log_size=size, table=number, width=2)))
        for j, width in enumerate(digits.get(i, ())):
            number = tables["range", width].table
            leaves.append(Leaf(key=(i, "digit", j), block=logup.Block(log_size=size, table=number, width=1)))
    return tuple(sorted(leaves, key=lambda leaf: -leaf.block.log_size))
