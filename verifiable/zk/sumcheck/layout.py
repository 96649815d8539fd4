# SPDX-License-Identifier: Apache-2.0
"""Where everything lies: the blocks of the trace T and of the weights W, and the leaves of the table argument.

Both parties derive it from the public structure and the number of samples; no message chooses any of it.

A tensor [samples, d_1, ...] is padded per axis to powers of two. Padded samples repeat the last one. Other padded cells hold
what the same operations make of them: they satisfy every constraint, and no real cell reads one, for weights are zero and
public maps name nothing there. T holds, for each Requantise, the results and the digits of the remainders (where it can meet a
tie, beside each digit whether all are zero so far), the maxima, and how often each table's rows are used; blocks are stacked in
descending size, so each is aligned. W holds multiplier x weight and bias of each layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from verifiable.errors import MalformedError
from verifiable.model.program.ops import Conv, Dense, Maximum, Requantise, Scale, Shape
from verifiable.zk.sumcheck import logup
from verifiable.zk.sumcheck.layers import Convolution
from verifiable.zk.sumcheck.lookups import FirstDigit, Lookup, Mapped, MappedEven, NextDigit, Range
from verifiable.zk.sumcheck.maps import block_diagonal, log_padded, window
from verifiable.zk.sumcheck.structure import Structure

MAX_SAMPLES = 1 << 16
_DIGIT_WIDTHS = (4, 6, 8, 10, 12, 16)

#: What a block holds: (operation, "result"), (operation, "digit", j), (operation, "tie", j); how often the rows are used of
#: ("table", t), ("even", t), ("relu", operation), ("range", width), ("first", width), ("next", width);
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

    @property
    def used(self) -> int:
        """Elements up to the end of the last block; those beyond are zero by definition."""
        size, offset = max(self.blocks.values(), key=lambda block: block[1])
        return offset + (1 << size)

    def slice(self, key: Key) -> slice:
        """The block's elements."""
        size, offset = self.blocks[key]
        return slice(offset, offset + (1 << size))


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A block of the table argument: a lookup's operation and role, or a table's own key.

    ``columns``: for each value that the argument leaves to be shown, the block of T that it is of; None for a column that is
    nowhere committed. ``table``: the key of the table that it is looked up in, or its own.
    """

    key: Key
    table: Key
    columns: tuple[Key | None, ...]
    block: logup.Block


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """``digits``: the widths of each Requantise's digits, lowest first. ``lookups``: the tables, in order of their numbers."""

    structure: Structure
    log_samples: int
    samples: int
    digits: dict[int, tuple[int, ...]]
    lookups: dict[Key, Lookup]
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
        lookups = _lookups(structure, digits)
        leaves = _leaves(structure, log_samples, digits, lookups)
        committed = {column: leaf.block.log_size for leaf in leaves for column in leaf.columns if column is not None}
        committed |= {(i, "result"): _log_cells(structure, log_samples, i) for i in structure.maxima}
        return cls(
            structure=structure,
            samples=samples,
            log_samples=log_samples,
            digits=digits,
            lookups=lookups,
            # A Program without any Requantise commits to nothing: an idle block keeps its proof of one form.
            trace=Stack.of(committed or {("none",): 1}),
            weights=weight_stack(structure),
            leaves=leaves,
        )

    def tensor_logs(self, tensor: int) -> tuple[int, ...]:
        """Variables of each axis, samples first."""
        return self.log_samples, *axis_logs(self.structure.shapes[tensor])

    def result(self, op: int) -> int:
        """The tensor that an operation makes."""
        return len(self.structure.inputs) + op


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
            sizes[i, "bias"], sizes[i, "weight"] = form.log_out, form.log_weights
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
        log_out=log_padded(shape[1]),
        log_in=log_padded(given[1]),
        height=height,
        width=width,
        groups=block_diagonal(groups=op.groups, out=shape[1], inside=given[1]) if op.groups > 1 else None,
    )


def _log_cells(structure: Structure, log_samples: int, number: int) -> int:
    return log_samples + sum(axis_logs(structure.shapes[len(structure.inputs) + number]))


def _digits(structure: Structure, log_samples: int) -> dict[int, tuple[int, ...]]:
    """The width that makes for the fewest leaves, one for all operations so that they share a table."""
    shifts = {i: op.shift for i, op in enumerate(structure.ops) if isinstance(op, Requantise)}
    cells = {i: 1 << _log_cells(structure, log_samples, i) for i in shifts}

    def leaves(width: int) -> int:
        digits = {i: _split(shift, width) for i, shift in shifts.items()}
        used = {_digit_table(structure, i, j, w) for i, widths in digits.items() for j, w in enumerate(widths)}
        return sum(cells[i] * len(widths) for i, widths in digits.items()) + sum(1 << _digit_lookup(key).log_size for key in used)

    best = min(_DIGIT_WIDTHS, key=leaves)
    return {i: _split(shift, best) for i, shift in shifts.items()}


def _split(shift: int, width: int) -> tuple[int, ...]:
    full, rest = divmod(shift, width)
    return (width,) * full + ((rest,) if rest else ())


def _digit_table(structure: Structure, number: int, place: int, width: int) -> Key:
    kind = ("next" if place else "first") if number in structure.ties else "range"
    return kind, width


def _digit_lookup(key: Key) -> Lookup:
    kind, width = key
    assert isinstance(width, int)
    if kind == "range":
        return Range(log_size=width)
    return FirstDigit(log_size=width) if kind == "first" else NextDigit(log_digits=width)


def _result_table(structure: Structure, number: int) -> Key:
    op = structure.ops[number]
    if isinstance(op, Requantise):
        return ("even" if number in structure.ties else "table"), op.table
    return "relu", number


def _lookups(structure: Structure, digits: dict[int, tuple[int, ...]]) -> dict[Key, Lookup]:
    results = {_result_table(structure, i) for i, op in enumerate(structure.ops) if isinstance(op, Requantise | Maximum)}
    found: dict[Key, Lookup] = {("table", t): Mapped(table=table) for t, table in enumerate(structure.tables)}
    found |= {("even", t): MappedEven(table=table) for t, table in enumerate(structure.tables)}
    found |= {("relu", i): Mapped(table=table) for i, table in structure.maxima.items()}
    used = {_digit_table(structure, i, j, width) for i, widths in digits.items() for j, width in enumerate(widths)}
    return {key: lookup for key, lookup in found.items() if key in results} | {key: _digit_lookup(key) for key in sorted(used)}


def _leaves(
    structure: Structure, log_samples: int, digits: dict[int, tuple[int, ...]], lookups: dict[Key, Lookup]
) -> tuple[Leaf, ...]:
    """Lookups and tables in descending size."""
    numbers = {key: number for number, key in enumerate(lookups, 1)}
    leaves = [
        Leaf(
            key=key,
            table=key,
            columns=(key,),
            block=logup.Block(log_size=lookup.log_size, table=numbers[key], width=lookup.width, rows=lookup.evaluate),
        )
        for key, lookup in lookups.items()
    ]
    for i, op in enumerate(structure.ops):
        if isinstance(op, Requantise | Maximum):
            size = _log_cells(structure, log_samples, i)
            for key, table, columns in _looked_up(structure, i, digits.get(i, ())):
                block = logup.Block(log_size=size, table=numbers[table], width=lookups[table].width)
                leaves.append(Leaf(key=key, table=table, columns=columns, block=block))
    return tuple(sorted(leaves, key=lambda leaf: -leaf.block.log_size))


def _looked_up(structure: Structure, i: int, digits: tuple[int, ...]) -> Iterator[tuple[Key, Key, tuple[Key | None, ...]]]:
    """Key, table and columns of each of an operation's lookups."""
    tied = i in structure.ties
    # A Maximum's second column is max - right: not a block of T either.
    result: Key | None = (i, "result") if isinstance(structure.ops[i], Requantise) else None
    last: tuple[Key, ...] = ((i, "tie", len(digits) - 1),) if tied else ()
    yield (i, "result"), _result_table(structure, i), (None, result, *last)
    for j, width in enumerate(digits):
        before: tuple[Key, ...] = ((i, "tie", j - 1),) if tied and j else ()
        after: tuple[Key, ...] = ((i, "tie", j),) if tied else ()
        yield (i, "digit", j), _digit_table(structure, i, j, width), ((i, "digit", j), *after, *before)
