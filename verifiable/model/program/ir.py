# SPDX-License-Identifier: Apache-2.0
"""The Program: exact integer arithmetic as a list of operations, each making one tensor from tensors before it.

Whatever a Program object holds has been checked: every name resolves, every shape fits, every constant, table and tensor is used.
Whether its numbers stay in range is proved by :mod:`verifiable.model.program.bounds`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from verifiable.digest import Digest
from verifiable.encoding.tensor import DTYPES, Tensor
from verifiable.errors import MalformedError
from verifiable.model.program.ops import Combine, Conv, Dense, Op, Pad, Requantise, Shape, SumPool, sources
from verifiable.model.program.ops import constants as operands
from verifiable.model.program.shapes import MAX_ELEMENTS, check_shape, output_shape

MAX_OPS = 50_000
MAX_NAME = 256
#: Elements of all tensors together, and products of weights and values: what a stranger's Program may cost to run.
MAX_ALL_ELEMENTS = 1 << 30
MAX_PRODUCTS = 1 << 36
#: Every value of every tensor is smaller in absolute value; see bounds.py.
LIMIT = 1 << 62
MAX_SHIFT = 61
#: Rows of one table.
MAX_ROWS = 1 << 20
WEIGHT_DTYPES = ("int8", "int16", "int32")
TABLE_DTYPES = ("int8", "int16", "int32")
#: What may be done to an output's exact integers outside of the proof.
POST = ("none", "argmax", "softmax", "logsoftmax")


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """``integer = round(value / scale)``, halves away from zero, within [low, high]; ``dtype`` is the model's."""

    name: str
    dtype: str
    shape: Shape
    scale: float
    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """``tensor`` holds the exact integers; the model's value is ``scale · integer``, then ``post`` along ``axis``.

    ``shape`` and ``dtype`` are the model's, after ``post``.
    """

    name: str
    dtype: str
    shape: Shape
    tensor: int
    scale: float
    post: str = "none"
    axis: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """``values`` (a constant of rank 1) for Y = low, low + 1, ...

    Outside [faithful_low, faithful_high] the values are clamped: the executor counts what falls there, so that no saturation
    goes unseen.
    """

    low: int
    values: int
    faithful_low: int
    faithful_high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """``ops[i]`` makes tensor ``len(inputs) + i``; ``shapes`` is derived: one shape per tensor."""

    inputs: tuple[Input, ...]
    constants: tuple[Tensor, ...] = field(repr=False)
    tables: tuple[Table, ...]
    ops: tuple[Op, ...]
    outputs: tuple[Output, ...]
    shapes: tuple[Shape, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.inputs or not self.outputs or len(self.ops) > MAX_OPS:
            raise MalformedError(f"program: needs inputs, outputs and at most {MAX_OPS:,} operations")
        check_ends(self.inputs, self.outputs)
        _check_tables(self)
        for i in range(len(self.constants)):
            _constant(self, i, "program")
        described = [(constant.dtype, constant.shape) for constant in self.constants]
        object.__setattr__(self, "shapes", shapes_of(self.inputs, self.ops, described, len(self.tables)))
        check_outputs(self.outputs, self.shapes)
        _check_used(self)

    @property
    def digest(self) -> Digest:
        return Digest.of(self.encode())

    def encode(self) -> bytes:
        """The canonical bytes (docs/formats/program.md)."""
        from verifiable.model.program.serialise import encode

        return encode(self)

    @classmethod
    def parse(cls, data: bytes) -> Program:
        """The inverse of :meth:`encode`. Raises MalformedError for anything it would not have written."""
        from verifiable.model.program.serialise import parse

        return parse(data)

    def table_size(self, op: Requantise) -> int:
        """Rows of the operation's table."""
        return self.constants[self.tables[op.table].values].shape[0]


def check_ends(inputs: Sequence[Input], outputs: Sequence[Output]) -> None:
    """Names are distinct; scales, dtypes, shapes and ranges are proper. Raises MalformedError."""
    both: tuple[tuple[str, Sequence[Input | Output]], ...] = (("input", inputs), ("output", outputs))
    for kind, ends in both:
        names = [end.name for end in ends]
        if len(set(names)) != len(names):
            raise MalformedError(f"program: two {kind}s have one name")
        for end in ends:
            positive = math.isfinite(end.scale) and end.scale > 0
            if not 1 <= len(end.name) <= MAX_NAME or end.dtype not in DTYPES or not positive:
                raise MalformedError(f"program: {kind} {end.name[:80]!r} has no proper name, dtype or scale")
            check_shape(end.shape, f"program: {kind} {end.name[:80]!r}")
    for entry in inputs:
        if not -LIMIT < entry.low <= entry.high < LIMIT:
            raise MalformedError(f"program: input {entry.name[:80]!r} has no proper range")


def _check_tables(program: Program) -> None:
    for i, table in enumerate(program.tables):
        where = f"program: table {i}"
        values = _constant(program, table.values, where)
        if len(values.shape) != 1 or not 1 <= values.shape[0] <= MAX_ROWS or values.dtype not in TABLE_DTYPES:
            raise MalformedError(f"{where}: its values are not a list of 1 to {MAX_ROWS:,} integers")
        high = table.low + values.shape[0] - 1
        if not (table.low > -LIMIT and high < LIMIT and table.faithful_low <= table.faithful_high):
            raise MalformedError(f"{where}: its range is not in order")
        if not (table.low <= table.faithful_low and table.faithful_high <= high):
            raise MalformedError(f"{where}: faithful outside of its own range")


def shapes_of(
    inputs: Sequence[Input], ops: Sequence[Op], constants: Sequence[tuple[str, Shape]], tables: int
) -> tuple[Shape, ...]:
    """One shape per tensor. ``constants``: dtype and shape of each; ``tables``: how many. Raises MalformedError."""
    shapes: list[Shape] = [entry.shape for entry in inputs]
    elements = products = 0
    for i, op in enumerate(ops):
        where = f"program: operation {i}"
        if any(not 0 <= s < len(shapes) for s in sources(op)):
            raise MalformedError(f"{where}: reads a tensor that is not made before it")
        if any(not 0 <= c < len(constants) for c in operands(op)):
            raise MalformedError(f"{where}: reads a constant that is not there")
        given = [constants[c] for c in operands(op)]
        check_numbers(op, [dtype for dtype, _ in given], tables, where)
        shapes.append(output_shape(op, [shapes[s] for s in sources(op)], [shape for _, shape in given], where))
        elements += math.prod(shapes[-1])
        products += math.prod(shapes[-1]) * _terms(op, [shape for _, shape in given])
        if elements > MAX_ALL_ELEMENTS or products > MAX_PRODUCTS:
            raise MalformedError(f"{where}: more than {MAX_ALL_ELEMENTS:,} elements or {MAX_PRODUCTS:,} products so far")
    return tuple(shapes)


def _terms(op: Op, given: Sequence[Shape]) -> int:
    """How many products make one element."""
    if isinstance(op, Dense | Conv):
        return math.prod(given[0][1:])
    return math.prod(op.kernel) if isinstance(op, SumPool) else 1


def check_numbers(op: Op, dtypes: Sequence[str], tables: int, where: str) -> None:
    """What no shape says: dtypes of constants, shifts, coefficients. Raises MalformedError."""
    if isinstance(op, Dense | Conv) and dtypes[0] not in WEIGHT_DTYPES:
        raise MalformedError(f"{where}: weights are {', '.join(WEIGHT_DTYPES)}")
    if any(dtype != "int64" for dtype in dtypes[1 if isinstance(op, Dense | Conv) else 0 :]):
        raise MalformedError(f"{where}: multiplier and bias are int64")
    if not sources(op) or (isinstance(op, Combine) and len(op.coefficients) != len(op.sources)):
        raise MalformedError(f"{where}: no source, or not one coefficient for each")
    if isinstance(op, Requantise) and not (0 <= op.shift <= MAX_SHIFT and 0 <= op.table < tables):
        raise MalformedError(f"{where}: shift or table out of range")
    wide = (*op.coefficients, op.constant) if isinstance(op, Combine) else ()
    wide = (op.multiplier, op.bias) if isinstance(op, SumPool) else (op.value,) if isinstance(op, Pad) else wide
    if any(abs(number) >= LIMIT for number in wide):
        raise MalformedError(f"{where}: a number of 2^62 and more")


def check_outputs(outputs: Sequence[Output], shapes: Sequence[Shape]) -> None:
    """Each output's tensor is there, with the shape that the output says. Raises MalformedError."""
    for output in outputs:
        where = f"program: output {output.name[:80]!r}"
        if not 0 <= output.tensor < len(shapes):
            raise MalformedError(f"{where}: there is no tensor {output.tensor}")
        shape = shapes[output.tensor]
        if output.post not in POST or not 0 <= output.axis < max(len(shape), 1):
            raise MalformedError(f"{where}: unknown post-processing")
        if output.post == "argmax":
            kept = (*shape[: output.axis], 1, *shape[output.axis + 1 :])
            fits = output.shape in (kept, (*shape[: output.axis], *shape[output.axis + 1 :])) and output.dtype == "int64"
        else:
            fits = output.shape == shape
        if not fits:
            raise MalformedError(f"{where}: its shape {list(output.shape)} is not what its tensor {list(shape)} gives")


def _check_used(program: Program) -> None:
    """Nothing lies idle, so that equal functions are not written in two ways for no reason."""
    used = {s for op in program.ops for s in sources(op)} | {output.tensor for output in program.outputs}
    tables = {op.table for op in program.ops if isinstance(op, Requantise)}
    held = {c for op in program.ops for c in operands(op)} | {table.values for table in program.tables}
    for kind, found, count in (
        ("tensor", used, len(program.shapes)), ("table", tables, len(program.tables)), ("constant", held, len(program.constants)),
    ):  # fmt: skip
        if found != set(range(count)):
            raise MalformedError(f"program: {kind} {min(set(range(count)) ^ found)} is not used")


def _constant(program: Program, index: int, where: str) -> Tensor:
    if not 0 <= index < len(program.constants):
        raise MalformedError(f"{where}: there is no constant {index}")
    constant = program.constants[index]
    if math.prod(constant.shape) > MAX_ELEMENTS or not constant.shape or 0 in constant.shape:
        raise MalformedError(f"{where}: constant {index} is no proper tensor")
    return constant
