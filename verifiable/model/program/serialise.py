# SPDX-License-Identifier: Apache-2.0
"""A Program as bytes (docs/formats/program.md): magic, u64le length, a JCS header of that length, then the constants' contents.

Sizes are judged as declared before anything is built. Integers that may pass 2^53 are decimal strings.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from verifiable.encoding import json
from verifiable.encoding.record import Record
from verifiable.encoding.tensor import DTYPES, Tensor
from verifiable.errors import MalformedError
from verifiable.model.program import ops
from verifiable.model.program.ir import LIMIT, MAX_NAME, MAX_OPS, POST, Input, Output, Program, Table

MAGIC = b"verifiable/program/v1\0"
MEDIA_TYPE = "application/vnd.verifiable.program.v1"
MAX_SIZE = 1 << 31
MAX_HEADER = 1 << 24
#: Commas, quotes and brackets of the header: MAX_OPS operations with their constants stay below.
_MAX_MARKS = 1 << 22
_KINDS: dict[str, type[Any]] = {
    kind.__name__.lower(): kind
    for kind in (
        ops.Dense, ops.Conv, ops.SumPool, ops.Combine, ops.Scale, ops.Maximum, ops.Requantise, ops.Transpose, ops.Reshape,
        ops.Concat, ops.Slice, ops.Pad,
    )
}  # fmt: skip
_WIDE = {("combine", "coefficients"), ("combine", "constant"), ("sumpool", "multiplier"), ("sumpool", "bias"), ("pad", "value")}
_LISTS = {
    "strides": 2, "pads": 4, "kernel": 2, "axes": 8, "shape": 8, "starts": 8, "steps": 8, "sizes": 8, "before": 8, "after": 8,
    "sources": MAX_OPS, "coefficients": MAX_OPS,
}  # fmt: skip
CONSTANT_DTYPES = ("int8", "int16", "int32", "int64")


def encode(program: Program) -> bytes:
    """The canonical bytes; :func:`parse` is the inverse. Raises MalformedError for more than 2 GiB."""
    header = json.canonical({
        "inputs": [write_input(entry) for entry in program.inputs],
        "constants": [{"dtype": c.dtype, "shape": list(c.shape)} for c in program.constants],
        "tables": [_table(table) for table in program.tables],
        "operations": [write_op(op) for op in program.ops],
        "outputs": [write_output(output) for output in program.outputs],
    })  # fmt: skip
    parts = [MAGIC, len(header).to_bytes(8, "little"), header, *(constant.data for constant in program.constants)]
    if len(header) > MAX_HEADER or sum(map(len, parts)) > MAX_SIZE:
        raise MalformedError(f"program: larger than {MAX_SIZE:,} bytes, or its header than {MAX_HEADER:,}")
    return b"".join(parts)


def parse(data: bytes) -> Program:
    """Raises MalformedError for anything that :func:`encode` would not have written."""
    start = len(MAGIC) + 8
    if len(data) > MAX_SIZE or not data.startswith(MAGIC) or len(data) < start:
        raise MalformedError("program: wrong magic, too short or too large")
    size = int.from_bytes(data[len(MAGIC) : start], "little")
    if size > min(MAX_HEADER, len(data) - start):
        raise MalformedError(f"program: a header of {size:,} bytes does not fit")
    header = data[start : start + size]
    document = json.parse_canonical(header, what="program", max_size=MAX_HEADER, max_marks=_MAX_MARKS)
    root = Record(document, "program")
    program = Program(
        inputs=tuple(read_input(r) for r in root.records("inputs", maximum=MAX_OPS)),
        constants=_contents(root.records("constants", maximum=4 * MAX_OPS), memoryview(data)[start + size :]),
        tables=tuple(_to_table(r) for r in root.records("tables", maximum=MAX_OPS)),
        ops=tuple(read_op(r) for r in root.records("operations", maximum=MAX_OPS)),
        outputs=tuple(read_output(r) for r in root.records("outputs", maximum=MAX_OPS)),
    )
    root.done()
    return program


def _contents(records: list[Record], contents: memoryview) -> tuple[Tensor, ...]:
    described = [read_constant(record) for record in records]
    sizes = [math.prod(shape) * DTYPES[dtype] for dtype, shape in described]
    if sum(sizes) != len(contents):
        raise MalformedError(f"program: constants of {sum(sizes):,} bytes declared, {len(contents):,} are there")
    found, at = [], 0
    for (dtype, shape), size in zip(described, sizes, strict=True):
        found.append(Tensor(dtype=dtype, shape=shape, data=bytes(contents[at : at + size])))
        at += size
    return tuple(found)


def read_constant(record: Record) -> tuple[str, tuple[int, ...]]:
    """Dtype and shape of a constant."""
    described = record.choice("dtype", CONSTANT_DTYPES), record.shape("shape")
    record.done()
    return described


def write_input(entry: Input) -> dict[str, Any]:
    """An input of a header."""
    return {
        "name": entry.name, "dtype": entry.dtype, "shape": list(entry.shape), "scale": entry.scale,
        "low": str(entry.low), "high": str(entry.high),
    }  # fmt: skip


def read_input(record: Record) -> Input:
    """The inverse of :func:`write_input`. Raises MalformedError."""
    entry = Input(
        name=record.text("name", max_length=MAX_NAME),
        dtype=record.choice("dtype", tuple(DTYPES)),
        shape=record.shape("shape"),
        scale=record.number("scale"),
        low=wide(record.take("low"), f"{record.where}.low"),
        high=wide(record.take("high"), f"{record.where}.high"),
    )
    record.done()
    return entry


def write_output(output: Output) -> dict[str, Any]:
    """An output of a header."""
    return {
        "name": output.name, "dtype": output.dtype, "shape": list(output.shape), "tensor": output.tensor, "scale": output.scale,
        "post": output.post, "axis": output.axis,
    }  # fmt: skip


def read_output(record: Record) -> Output:
    """The inverse of :func:`write_output`. Raises MalformedError."""
    output = Output(
        name=record.text("name", max_length=MAX_NAME),
        dtype=record.choice("dtype", tuple(DTYPES)),
        shape=record.shape("shape"),
        tensor=record.integer("tensor"),
        scale=record.number("scale"),
        post=record.choice("post", POST),
        axis=record.integer("axis", maximum=8),
    )
    record.done()
    return output


def _table(table: Table) -> dict[str, Any]:
    return {
        "low": str(table.low), "values": table.values, "faithful": [str(table.faithful_low), str(table.faithful_high)],
    }  # fmt: skip


def _to_table(record: Record) -> Table:
    faithful = record.items("faithful", maximum=2)
    if len(faithful) != 2:
        raise MalformedError(f"{record.where}.faithful: expected two integers")
    low, high = (wide(value, f"{record.where}.faithful") for value in faithful)
    first = wide(record.take("low"), f"{record.where}.low")
    table = Table(low=first, values=record.integer("values"), faithful_low=low, faithful_high=high)
    record.done()
    return table


def write_op(op: ops.Op) -> dict[str, Any]:
    """An operation of a header: its kind, and its fields by name."""
    kind = type(op).__name__.lower()
    described: dict[str, Any] = {"op": kind}
    for field in fields(op):
        value = getattr(op, field.name)
        write: Callable[[int], Any] = str if (kind, field.name) in _WIDE else int
        described[field.name] = [write(v) for v in value] if isinstance(value, tuple) else write(value)
    return described


def read_op(record: Record) -> ops.Op:
    """The inverse of :func:`write_op`. Raises MalformedError."""
    kind = record.choice("op", tuple(_KINDS))
    values: dict[str, Any] = {}
    for field in fields(_KINDS[kind]):
        where = f"{record.where}.{field.name}"
        read = wide if (kind, field.name) in _WIDE else _narrow
        if field.name in _LISTS:
            values[field.name] = tuple(read(v, where) for v in record.items(field.name, maximum=_LISTS[field.name]))
        else:
            values[field.name] = read(record.take(field.name), where)
    record.done()
    op: ops.Op = _KINDS[kind](**values)
    return op


def _narrow(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise MalformedError(f"{where}: expected an integer")
    return value


def wide(value: Any, where: str) -> int:
    """An integer that may pass 2^53, from its decimal digits. Raises MalformedError."""
    if (
        not isinstance(value, str)
        or len(value) > 20
        or not value.removeprefix("-").isascii()
        or not value.removeprefix("-").isdigit()
    ):
        raise MalformedError(f"{where}: expected an integer in decimal digits")
    if str(int(value)) != value or abs(int(value)) >= LIMIT:
        raise MalformedError(f"{where}: {value} is not canonical, or 2^62 and more")
    return int(value)
