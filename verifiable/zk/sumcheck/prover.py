# SPDX-License-Identifier: Apache-2.0
"""Proving what :mod:`.verifier` checks. Each step is a method of its own, so that tests can put a lie in any one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from verifiable.model.program.execute import Executor
from verifiable.model.program.ir import Program
from verifiable.model.program.ops import Maximum, Requantise
from verifiable.zk.sumcheck import commit_prover, field, layers_prover, tables
from verifiable.zk.sumcheck.commit_prover import Committed
from verifiable.zk.sumcheck.field import Array, Ext
from verifiable.zk.sumcheck.layers import Claim, Point
from verifiable.zk.sumcheck.layout import Key, Layout, Leaf, axis_logs, convolution
from verifiable.zk.sumcheck.logup_prover import Witness, prove_logup
from verifiable.zk.sumcheck.maps import AxisMap
from verifiable.zk.sumcheck.opening_prover import prove_opening
from verifiable.zk.sumcheck.structure import Structure, half_up, padded_bounds
from verifiable.zk.sumcheck.sumcheck_prover import prove_product
from verifiable.zk.sumcheck.verifier import Statement, admit, begin, draw_output, evaluate, header, padded
from verifiable.zk.sumcheck.walk import Walk
from verifiable.zk.sumcheck.weights import commit
from verifiable.zk.sumcheck.witness import part, step
from verifiable.zk.sumcheck.writer import Writer

Integers = NDArray[np.int64]
Columns = dict[Key, Sequence[Integers]]
#: ``watch(phase, fraction)``, before each phase.
Watch = Callable[[str, float | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """``outputs``: integers [samples, *shape] by name."""

    outputs: dict[str, Integers]
    proof: bytes


class Run(NamedTuple):
    """A witness: all tensors on padded axes, and the statement that they are to convince of."""

    layout: Layout
    statement: Statement
    tensors: list[Integers]
    outputs: dict[str, Integers]


def unwatched(phase: str, fraction: float | None) -> None:
    """For callers who do not look."""


class Prover:
    """A Program made ready to be proved: bounds, structure and the commitment to its weights."""

    def __init__(
        self, program: Program, circuit: bytes, *, structure: Structure | None = None, weights: Committed | None = None
    ) -> None:
        """``circuit``: the 32-byte id that proofs are bound to. Raises UnsupportedError for what cannot be proved."""
        self.program = program
        self.circuit = circuit
        self.structure = structure or Structure.of(program)
        self.weights = weights or commit(program, self.structure)
        self.executor = Executor(program, values=padded_bounds(program).values)

    def prove(self, inputs: Mapping[str, NDArray[np.generic]]) -> Proved:
        """``inputs``: integers [samples, *shape] by name. Raises MalformedError for inputs that do not fit."""
        found = self.witness(inputs)
        return Proved(outputs=found.outputs, proof=self.argue(found.layout, found.statement, found.tensors))

    def witness(self, inputs: Mapping[str, NDArray[np.generic]]) -> Run:
        """The run, as it will be argued for. Raises MalformedError for inputs that do not fit."""
        samples = self.executor.admit(inputs)
        tensors = self.execute(inputs)
        outputs = self.outputs(tensors, samples)
        statement = Statement(circuit=self.circuit, weights=self.weights.root, inputs=inputs, outputs=outputs)
        return Run(layout=admit(self.structure, statement), statement=statement, tensors=tensors, outputs=outputs)

    def argue(self, layout: Layout, statement: Statement, tensors: list[Integers], *, watch: Watch = unwatched) -> bytes:
        """The proof's bytes, in the verifier's order. ``watch`` is told what comes next, and may raise to end it."""
        watch("committing to the trace", 0.1)
        start = header(layout)
        writer = Writer(begin(start, statement))
        writer.unabsorbed(start)
        columns = self.columns(layout, tensors)
        multiplicities = self.multiplicities(layout, columns)
        trace = commit_prover.commit(self.trace(layout, columns, tensors, multiplicities), layout.trace.used)
        writer.data("trace root", trace.root)
        watch("proving the lookups", 0.3)
        walk = Walk(layout, _Prover(layout, writer, tensors, self))
        if layout.leaves:
            witnesses = [_witness(layout, leaf, columns, multiplicities) for leaf in layout.leaves]
            walk.columns(prove_logup(writer, [leaf.block for leaf in layout.leaves], witnesses))
        watch("proving the layers", 0.6)
        for output in self.structure.outputs:
            point = draw_output(writer.transcript, layout, output.tensor)
            walk.output(output.tensor, Claim(point=point, value=evaluate(statement.outputs[output.name], point)))
        walk.run()
        watch("opening the commitments", 0.8)
        prove_opening(writer, "trace", trace, layout.trace, walk.trace)
        prove_opening(writer, "weights", self.weights, layout.weights, walk.weights)
        return writer.getvalue()

    # -- the witness --------------------------------------------------------------------------------------------------------

    def execute(self, inputs: Mapping[str, NDArray[np.generic]]) -> list[Integers]:
        """All tensors on padded axes."""
        tensors = [padded(np.asarray(inputs[entry.name])) for entry in self.structure.inputs]
        for i, op in enumerate(self.structure.ops):
            tensors.append(self.rounded(i, op, tensors) if isinstance(op, Requantise) else self.step(i, tensors))
        return tensors

    def step(self, number: int, tensors: list[Integers]) -> Integers:
        """What any operation but a Requantise makes, in padded cells as well."""
        return step(self.executor, self.structure, number, tensors)

    def rounded(self, number: int, op: Requantise, tensors: list[Integers]) -> Integers:
        """What a Requantise makes."""
        table = self.structure.tables[op.table]
        y: Integers = half_up(tensors[op.source], op.shift)
        if number in self.structure.ties:
            # A padded cell can be a tie at the lowest key, if that is odd: the table has no row below it (:mod:`.lookups`).
            y = np.maximum(y - (y & (_remainder(tensors[op.source], op.shift) == 0)), table.low)
        return table.values[y - table.low]

    def outputs(self, tensors: list[Integers], samples: int) -> dict[str, Integers]:
        """The outputs' real cells."""
        return {
            output.name: tensors[output.tensor][(slice(samples), *map(slice, self.structure.shapes[output.tensor]))]
            for output in self.structure.outputs
        }

    def columns(self, layout: Layout, tensors: list[Integers]) -> Columns:
        """Every lookup's columns."""
        columns: Columns = {}
        for i, op in enumerate(self.structure.ops):
            made = tensors[layout.result(i)].ravel()
            if isinstance(op, Requantise):
                source = tensors[op.source].ravel()
                columns |= self.digits(layout, i, op, source)
                last = layout.digits[i][-1:] and columns[i, "digit", len(layout.digits[i]) - 1][1:2]
                columns[i, "result"] = (half_up(source, op.shift), made, *last)
            elif isinstance(op, Maximum):
                right = tensors[op.right].ravel()
                columns[i, "result"] = (tensors[op.left].ravel() - right, made - right)
        return columns

    def digits(self, layout: Layout, number: int, op: Requantise, source: Integers) -> Columns:
        """The digits of the remainder, lowest first; where there can be ties, each with whether all are zero up to it."""
        rest = _remainder(source, op.shift)
        columns: Columns = {}
        before: tuple[Integers, ...] = ()
        for j, width in enumerate(layout.digits[number]):
            digit = rest & ((1 << width) - 1)
            columns[number, "digit", j] = (digit,)
            if number in self.structure.ties:
                zero = (digit == 0).astype(np.int64) * (before[0] if before else 1)
                columns[number, "digit", j] = (digit, zero, *before)
                before = (zero,)
            rest >>= width
        return columns

    def multiplicities(self, layout: Layout, columns: Columns) -> dict[Key, Integers]:
        """How often each row of each table is used."""
        counts = {key: np.zeros(1 << lookup.log_size, np.int64) for key, lookup in layout.lookups.items()}
        for leaf in layout.leaves:
            if leaf.block.rows is None:
                rows = layout.lookups[leaf.table].rows(columns[leaf.key])
                counts[leaf.table] += np.bincount(rows, minlength=len(counts[leaf.table]))
        return counts

    def trace(self, layout: Layout, columns: Columns, tensors: list[Integers], counts: dict[Key, Integers]) -> Array:
        """T, over F."""
        values: dict[Key, Integers] = {(i, "result"): tensors[layout.result(i)].ravel() for i in self.structure.maxima}
        for leaf in layout.leaves:
            held = columns[leaf.key] if leaf.block.rows is None else (counts[leaf.key],)
            values |= {key: column for key, column in zip(leaf.columns, held, strict=True) if key is not None}
        table = np.zeros(1 << layout.trace.log_size, np.uint64)
        for key, column in values.items():
            table[layout.trace.slice(key)] = field.from_signed(column)
        return table


@dataclass(frozen=True, slots=True)
class _Prover:
    """The prover's part in the walk: states what the tensors say."""

    layout: Layout
    writer: Writer
    values: list[Integers]
    prover: Prover

    def tensors(self, label: str, wanted: Sequence[tuple[int, Point]]) -> list[Ext]:
        found = [tables.evaluate(field.from_signed(self.values[tensor].ravel()), point) for tensor, point in wanted]
        self.writer.scalars(label, *found)
        return found

    def bias(self, op: int, point: Point) -> Ext:
        value = tables.evaluate(self._weights(op, "bias"), point)
        self.writer.scalars("bias", value)
        return value

    def parts(self, op: int, maps: Sequence[Sequence[AxisMap]], point: Point) -> list[Ext]:
        parts = [part(self.layout, op, k, self.values).ravel() for k in range(len(maps))]
        values = [tables.evaluate(field.from_signed(p), point) for p in parts]
        self.writer.scalars("concat", *values)
        return values

    def dense(self, op: int, claim: Claim) -> tuple[Claim, Claim]:
        source = self._source(op)
        weights = self._weights(op, "weight").reshape(-1, source.shape[-1])
        return layers_prover.prove_dense(self.writer, claim, weights, source.reshape(-1, source.shape[-1]))

    def conv(self, op: int, claim: Claim) -> tuple[Claim, Claim]:
        shape, source = convolution(self.layout.structure, op), self._source(op)
        kernel = (1 << shape.log_in, 1 << shape.height.log_taps, 1 << shape.width.log_taps)
        weights = self._weights(op, "weight").reshape(-1, *kernel)
        return layers_prover.prove_conv(self.writer, claim, shape, weights, source.reshape(-1, *source.shape[2:]))

    def scale(self, op: int, claim: Claim) -> tuple[Point, Ext, Ext]:
        source = self._source(op)
        extents = [1 << n for n in axis_logs(self.layout.structure.scales[op][0])]
        multiplier = np.broadcast_to(self._weights(op, "weight").reshape(extents), source.shape)
        return prove_product(self.writer, "scale", claim.value, multiplier.ravel(), source.ravel(), weights=claim.point)

    def select(self, source: int, claim: Claim, axes: Sequence[AxisMap], taps: Sequence[Point | None], log_kept: int) -> Claim:
        kept = self.values[source].reshape(1 << log_kept, -1)
        return layers_prover.prove_select(self.writer, claim, axes, taps, kept)

    def merge(self, tensor: int, claims: Sequence[Claim]) -> Claim:
        return layers_prover.prove_merge(self.writer, claims, self.values[tensor].ravel())

    def require(self, found: Ext, due: Ext, what: str) -> None:
        """Whether it holds is the verifier's to find out."""

    def _weights(self, op: int, role: str) -> Array:
        return self.prover.weights.table[self.layout.weights.slice((op, role))]

    def _source(self, op: int) -> NDArray[Any]:
        return self.values[self.layout.structure.ops[op].source]  # type: ignore[union-attr]


def _witness(layout: Layout, leaf: Leaf, columns: Columns, counts: dict[Key, Integers]) -> Witness:
    if leaf.block.rows is None:
        return Witness(columns=columns[leaf.key])
    return Witness(columns=layout.lookups[leaf.key].columns(), multiplicities=counts[leaf.key])


def _remainder(source: Integers, shift: int) -> Integers:
    return (source + (1 << shift >> 1)) & ((1 << shift) - 1)
