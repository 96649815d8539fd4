# SPDX-License-Identifier: Apache-2.0
"""Putting a Program together: operations are added one by one, each knows its range at once, equal constants are kept once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifiable.encoding.tensor import Tensor
from verifiable.errors import MalformedError
from verifiable.model.program import bounds
from verifiable.model.program.bounds import Class, Classes, Interval
from verifiable.model.program.ir import Input, Output, Program, Table, check_numbers
from verifiable.model.program.ops import Op, Requantise, Shape, constants, sources
from verifiable.model.program.shapes import output_shape
from verifiable.model.program.tables import Values


@dataclass(slots=True)
class Builder:
    """A growing Program. Tensors are numbered as in the Program; inputs must all be added before the first operation."""

    inputs: list[Input] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    constants: list[Tensor] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    classes: list[Classes] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    _known: dict[Any, int] = field(default_factory=dict)

    def input(self, entry: Input) -> int:
        """The new input's tensor."""
        if self.ops:
            raise MalformedError("program: inputs come before operations")
        self.inputs.append(entry)
        self.classes.append((Class(low=entry.low, high=entry.high),))
        self.shapes.append(entry.shape)
        return len(self.shapes) - 1

    def constant(self, array: NDArray[np.generic]) -> int:
        """The constant's number; the same one for equal contents."""
        return self._once(Tensor.from_array(array), self.constants)

    def add(self, op: Op) -> int:
        """The tensor that ``op`` makes. Raises UnsupportedError where its accumulator could reach 2^62."""
        if isinstance(op, Requantise):
            raise MalformedError("program: use requantise()")
        where = f"program: operation {len(self.ops)} ({type(op).__name__})"
        check_numbers(op, [self.constants[c].dtype for c in constants(op)], len(self.tables), where)
        given = [self.classes[s] for s in sources(op)]
        shapes = [self.shapes[s] for s in sources(op)]
        shape = output_shape(op, shapes, [self.constants[c].shape for c in constants(op)], where)
        reach = bounds.classes_of(op, given, [self.constants[c].array() for c in constants(op)], where)
        return self._made(op, shape, reach)

    def range(self, tensor: int) -> Interval:
        """What a tensor's values can be."""
        return bounds.hull(self.classes[tensor])

    def rounded(self, source: int, shift: int) -> Interval:
        """The range of Y that a table behind ``shift`` must cover."""
        return bounds.rounded_interval(self.range(source), shift)

    def requantise(self, source: int, shift: int, values: Values) -> int:
        """``values`` for the whole of :meth:`rounded`."""
        index = self.constant(values.array)
        table = Table(low=values.low, values=index, faithful_low=values.faithful_low, faithful_high=values.faithful_high)
        op = Requantise(source=source, shift=shift, table=self._once(table, self.tables))
        return self._made(op, self.shapes[source], (Class(low=int(values.array.min()), high=int(values.array.max())),))

    def finish(self, outputs: Iterable[Output]) -> Program:
        """The Program, without what no output depends on."""
        ends = tuple(outputs)
        count = len(self.inputs)
        needed = {output.tensor for output in ends}
        for i in reversed(range(len(self.ops))):
            if count + i in needed:
                needed.update(sources(self.ops[i]))
        kept = [i for i in range(len(self.ops)) if count + i in needed]
        tensors = {**{i: i for i in range(count)}, **{count + i: count + k for k, i in enumerate(kept)}}
        return self._packed([self.ops[i] for i in kept], tensors, [replace(o, tensor=tensors[o.tensor]) for o in ends])

    def _packed(self, kept: Sequence[Op], tensors: dict[int, int], outputs: Sequence[Output]) -> Program:
        """Constants and tables numbered in order of first use."""
        tables = list(dict.fromkeys(op.table for op in kept if isinstance(op, Requantise)))
        used = list(dict.fromkeys([*(c for op in kept for c in constants(op)), *(self.tables[t].values for t in tables)]))
        numbers = {"constant": {c: k for k, c in enumerate(used)}, "table": {t: k for k, t in enumerate(tables)}}
        return Program(
            inputs=tuple(self.inputs),
            constants=tuple(self.constants[c] for c in used),
            tables=tuple(replace(self.tables[t], values=numbers["constant"][self.tables[t].values]) for t in tables),
            ops=tuple(_renumbered(op, tensors, numbers) for op in kept),
            outputs=tuple(outputs),
        )

    def _made(self, op: Op, shape: Shape, reach: Classes) -> int:
        self.ops.append(op)
        self.shapes.append(shape)
        self.classes.append(reach)
        return len(self.shapes) - 1

    def _once(self, item: Any, items: list[Any]) -> int:
        if item not in self._known:
            self._known[item] = len(items)
            items.append(item)
        return self._known[item]


def _renumbered(op: Op, tensors: dict[int, int], numbers: dict[str, dict[int, int]]) -> Op:
    changes: dict[str, Any] = {}
    held = set(constants(op))
    for entry in fields(op):
        value = getattr(op, entry.name)
        if entry.name in ("source", "left", "right"):
            changes[entry.name] = tensors[value]
        elif entry.name == "sources":
            changes[entry.name] = tuple(tensors[v] for v in value)
        elif entry.name == "table":
            changes[entry.name] = numbers["table"][value]
        elif held and entry.name in ("weight", "multiplier", "bias"):
            changes[entry.name] = numbers["constant"][value]
    return replace(op, **changes)
