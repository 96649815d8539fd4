# SPDX-License-Identifier: Apache-2.0
"""The circuit's part ``structure`` (docs/formats/sumcheck.md): what a verifier holds of a Program, and its weights' root.

The header of the Program without any weight, then the tables that the prover looks up in. A table is written as runs of equally
spaced values, the longest first, so that activations of any width stay small. Shapes are derived again when it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifiable.encoding import json
from verifiable.encoding.record import Record
from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.program import serialise
from verifiable.model.program.ir import LIMIT, MAX_OPS, check_ends, check_outputs, shapes_of
from verifiable.model.program.ops import Maximum, Requantise, Scale
from verifiable.zk.sumcheck.cost import require_bounded
from verifiable.zk.sumcheck.structure import Structure, Table, check_width, relu

MEDIA_TYPE = "application/vnd.verifiable.sumcheck.structure.v1+json"
MAX_SIZE = 1 << 24
#: Commas, quotes and brackets: a quarter of them are runs of tables.
MAX_MARKS = 1 << 20
#: Rows of one table, and of all: what a stranger's structure may make a verifier allocate.
MAX_LOG_ROWS = 21
MAX_ALL_ROWS = 1 << 24
_MAX_VALUE = 1 << 31


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureFile:
    """A structure, and the 32-byte root of the commitment to the weights."""

    structure: Structure
    root: bytes

    def encode(self) -> bytes:
        """Canonical JSON; :meth:`parse` is the inverse. Raises UnsupportedError for tables of too many runs."""
        structure = self.structure
        data = json.canonical({
            "mediaType": MEDIA_TYPE,
            "weights": self.root.hex(),
            "inputs": [serialise.write_input(entry) for entry in structure.inputs],
            "constants": [{"dtype": dtype, "shape": list(shape)} for dtype, shape in structure.constants],
            "operations": [serialise.write_op(op) for op in structure.ops],
            "outputs": [serialise.write_output(output) for output in structure.outputs],
            "tables": [{"low": str(table.low), "runs": list(_runs(table.values))} for table in structure.tables],
            "maxima": [
                {"operation": i, "low": str(table.low), "logSize": table.log_size}
                for i, table in sorted(structure.maxima.items())
            ],
            "ties": sorted(structure.ties),
        })  # fmt: skip
        if len(data) > MAX_SIZE or json.marks(data) > MAX_MARKS:
            raise UnsupportedError("program: its tables change too often to be part of a circuit", hint="use fewer levels")
        return data

    @classmethod
    def parse(cls, data: bytes) -> StructureFile:
        """Raises MalformedError for anything that :meth:`encode` would not have written; UnsupportedError where a sum wraps or
        a verifier would have to read more than :mod:`.cost` allows.
        """
        root = Record(json.parse_canonical(data, what="structure", max_size=MAX_SIZE, max_marks=MAX_MARKS), "structure")
        root.constant("mediaType", MEDIA_TYPE)
        weights = root.hex("weights", max_size=32)
        if len(weights) != 32:
            raise MalformedError("structure.weights: not 32 bytes")
        inputs = tuple(serialise.read_input(r) for r in root.records("inputs", maximum=MAX_OPS))
        constants = tuple(serialise.read_constant(r) for r in root.records("constants", maximum=4 * MAX_OPS))
        ops = tuple(serialise.read_op(r) for r in root.records("operations", maximum=MAX_OPS))
        outputs = tuple(serialise.read_output(r) for r in root.records("outputs", maximum=MAX_OPS))
        room = _Room()
        tables = tuple(_table(r, room) for r in root.records("tables", maximum=MAX_OPS))
        maxima = dict(_maximum(r, room) for r in root.records("maxima", maximum=MAX_OPS))
        ties = root.items("ties", maximum=MAX_OPS)
        root.done()
        if not inputs or not outputs:
            raise MalformedError("structure: no inputs, or no outputs")
        check_ends(inputs, outputs)
        shapes = shapes_of(inputs, ops, constants, len(tables))
        check_outputs(outputs, shapes)
        if sorted(maxima) != [i for i, op in enumerate(ops) if isinstance(op, Maximum)]:
            raise MalformedError("structure.maxima: not one for each maximum")
        if any(isinstance(i, bool) or not isinstance(i, int) or i not in range(len(ops)) for i in ties):
            raise MalformedError("structure.ties: not numbers of operations")
        if any(not isinstance(op, Requantise) or not op.shift for op in (ops[i] for i in ties)):
            raise MalformedError("structure.ties: an operation that never rounds")
        for i, op in enumerate(ops):
            if isinstance(op, Requantise):
                check_width(tables[op.table], op.shift, f"operation {i} (Requantise)")
        structure = Structure(
            inputs=inputs, ops=ops, shapes=shapes, outputs=outputs, constants=constants, tables=tables, maxima=maxima,
            scales={i: (constants[op.multiplier][1], constants[op.bias][1]) for i, op in enumerate(ops) if isinstance(op, Scale)},
            ties=frozenset(ties),
        )  # fmt: skip
        require_bounded(structure)
        parsed = cls(structure=structure, root=weights)
        if parsed.encode() != data:  # e.g. a run cut in two: one table, one spelling
            raise MalformedError("structure: not in canonical form")
        return parsed


@dataclass(slots=True)
class _Room:
    rows: int = 0

    def take(self, count: int, where: str) -> None:
        self.rows += count
        if self.rows > MAX_ALL_ROWS:
            raise MalformedError(f"{where}: more than {MAX_ALL_ROWS:,} rows in all tables")


def _runs(values: NDArray[np.int64]) -> Iterator[list[int]]:
    """[first, step, count] of each longest run from the left; a run of one has step 0."""
    steps = np.diff(values)
    breaks = [*(np.flatnonzero(np.diff(steps)) + 1).tolist(), len(values)]
    at = 0
    for end in breaks:  # values[at], ..., values[end] are equally spaced
        if at >= end:
            continue
        count = min(end + 1, len(values)) - at
        yield [int(values[at]), int(values[at + 1] - values[at]) if count > 1 else 0, count]
        at += count


def _table(record: Record, room: _Room) -> Table:
    low = serialise.wide(record.take("low"), f"{record.where}.low")
    runs = [_run(item, f"{record.where}.runs") for item in record.items("runs", maximum=1 << MAX_LOG_ROWS)]
    record.done()
    count = sum(run[2] for run in runs)
    if count < 1 or count & (count - 1) or count > 1 << MAX_LOG_ROWS:
        raise MalformedError(f"{record.where}: {count:,} rows, expected a power of two up to 2^{MAX_LOG_ROWS}")
    room.take(count, record.where)
    if not -LIMIT < low <= low + count - 1 < LIMIT:
        raise MalformedError(f"{record.where}: its keys are out of range")
    values = np.concatenate([first + step * np.arange(length, dtype=np.int64) for first, step, length in runs])
    return Table(low=low, values=values)


def _run(item: Any, where: str) -> Sequence[int]:
    if not isinstance(item, list) or len(item) != 3 or any(isinstance(v, bool) or not isinstance(v, int) for v in item):
        raise MalformedError(f"{where}: expected [first, step, count]")
    first, step, count = item
    if not 1 <= count <= 1 << MAX_LOG_ROWS or max(abs(first), abs(first + step * (count - 1))) >= _MAX_VALUE:
        raise MalformedError(f"{where}: a run that is empty, too long, or of values of 2^31 and more")
    return first, step, count


def _maximum(record: Record, room: _Room) -> tuple[int, Table]:
    number, low = record.integer("operation"), serialise.wide(record.take("low"), f"{record.where}.low")
    log_size = record.integer("logSize", maximum=MAX_LOG_ROWS)
    record.done()
    room.take(1 << log_size, record.where)
    return number, relu(low, log_size)
