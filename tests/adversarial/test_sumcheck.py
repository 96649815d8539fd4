# SPDX-License-Identifier: Apache-2.0
"""Provers that lie in one step and carry on as well as they can: every one must be refused, for the stated reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.zk.sumcheck import programs
from verifiable.errors import ProofError, UnsupportedError
from verifiable.model.program.ir import Program
from verifiable.model.program.ops import Dense, Requantise
from verifiable.model.program.tables import Values
from verifiable.zk.sumcheck import commit_prover, field
from verifiable.zk.sumcheck.layout import Layout
from verifiable.zk.sumcheck.prover import Prover
from verifiable.zk.sumcheck.structure import Structure
from verifiable.zk.sumcheck.verifier import Statement, verify

CIRCUIT = bytes(32)
PROGRAM = programs.mlp()
STRUCTURE = Structure.of(PROGRAM)
INPUTS = programs.inputs(PROGRAM, 3)
HONEST = Prover(PROGRAM, CIRCUIT)
TRUE = HONEST.prove(INPUTS)


def attempt(prover: Prover, *, root: bytes | None = None, inputs: dict[str, np.ndarray] = INPUTS) -> None:
    """Judge what the prover says, under the true structure and (unless given) the true weights."""
    made = prover.prove(inputs)
    statement = Statement(circuit=CIRCUIT, weights=root or HONEST.weights.root, inputs=inputs, outputs=made.outputs)
    verify(STRUCTURE, statement, made.proof)


def refused(kind: type[Prover], reason: str) -> None:
    with pytest.raises(ProofError, match=reason):
        attempt(kind(PROGRAM, CIRCUIT))


def test_the_honest_prover_is_believed() -> None:
    attempt(HONEST)


class WrongOutput(Prover):
    def outputs(self, tensors: Any, samples: int) -> Any:
        found = super().outputs(tensors, samples)
        return {name: value + (np.arange(value.size).reshape(value.shape) == 7) for name, value in found.items()}


def test_a_wrong_output() -> None:
    refused(WrongOutput, r"select|dense|input")


class WrongAccumulator(Prover):
    """A linear layer that computes something else; all that follows is consistent with it."""

    where = 0

    def step(self, number: int, tensors: Any) -> Any:
        made = super().step(number, tensors)
        if number == self.where:
            made[0, 0, 0] += 1
        return made


class WrongLastAccumulator(WrongAccumulator):
    where = 4


@pytest.mark.parametrize("kind", [WrongAccumulator, WrongLastAccumulator])
def test_a_wrong_accumulator_that_is_rounded_and_used_as_it_should_be(kind: type[Prover]) -> None:
    refused(kind, r"dense: the product")


class WrongActivation(Prover):
    """One neuron says what it likes; everything downstream follows from that."""

    def rounded(self, number: int, op: Requantise, tensors: Any) -> Any:
        made = super().rounded(number, op, tensors).copy()
        if number == 1:
            made[1, 0, 2] = 3 if made[1, 0, 2] != 3 else 4
        return made


def test_a_wrong_activation_with_everything_after_it_consistent() -> None:
    refused(WrongActivation, "logup: the root")


class WrongRow(WrongActivation):
    """The same, but the row that is looked up is a true one: of another Y, with the accumulator moved to match the remainder."""

    def columns(self, layout: Layout, tensors: Any) -> Any:
        columns = super().columns(layout, tensors)
        keys, values = columns[1, "result"]
        table = self.structure.tables[0]
        keys = keys.copy()
        place = np.ravel_multi_index((1, 0, 2), tensors[2].shape)
        keys[place] = table.low + int(np.flatnonzero(table.values == values[place])[0])
        return columns | {(1, "result"): (keys, values)}


def test_a_wrong_activation_with_a_row_of_its_own() -> None:
    refused(WrongRow, r"dense: the product")


class WideDigit(Prover):
    """Y one less and a remainder past 2^shift: the sum is right, so the accumulator is too."""

    def columns(self, layout: Layout, tensors: Any) -> Any:
        columns = super().columns(layout, tensors)
        keys, values = (column.copy() for column in columns[1, "result"])
        table = self.structure.tables[0]
        last = len(layout.digits[1]) - 1
        digit = columns[1, "digit", last][0].copy()
        place = int(np.argmax(keys))
        keys[place] -= 1
        values[place] = table.values[keys[place] - table.low]
        digit[place] += 1 << layout.digits[1][last]
        tensors[2].flat[place] = values[place]
        tensors[3:] = []
        for i, op in enumerate(self.structure.ops[2:], 2):
            tensors.append(self.rounded(i, op, tensors) if isinstance(op, Requantise) else self.step(i, tensors))
        again = super().columns(layout, tensors)
        return again | {(1, "result"): (keys, values), (1, "digit", last): (digit,)}

    def multiplicities(self, layout: Layout, columns: Any) -> Any:
        # What is out of range has no row to be counted at.
        inside = {
            key: (value[0] & ((1 << layout.digits[int(key[0])][int(key[2])]) - 1),) if len(key) == 3 else value
            for key, value in columns.items()
        }
        return super().multiplicities(layout, inside)

    def prove(self, inputs: Any) -> Any:
        # Outputs follow from the false activation, so they are known only once the columns are.
        layout = Layout.of(self.structure, 3)
        tensors = self.execute(inputs)
        self.columns(layout, tensors)
        outputs = self.outputs(tensors, 3)
        statement = Statement(circuit=self.circuit, weights=self.weights.root, inputs=inputs, outputs=outputs)
        honest = self.execute(inputs)
        return type(TRUE)(outputs=outputs, proof=self.argue(layout, statement, honest))


def test_a_digit_out_of_range() -> None:
    refused(WideDigit, "logup: the root")


def shared_table(*, first: int = 50) -> Program:
    """Two layers read one table: the first shifts far and stays near 0, the second is not shifted and reaches far."""
    m = programs.Maker(0, 2)
    one, none = np.eye(2, dtype=np.int8), np.zeros(2, np.int64)
    far, wide = (
        m.add(Dense(source=0, weight=m.constant(one), multiplier=m.constant(np.full(2, by)), bias=m.constant(none)))
        for by in ((1 << first) + 1, 1101)
    )
    keys = np.arange(-7 * 1101, 15 * 1101 + 1)
    values = Values(low=int(keys[0]), array=(keys % 101).astype(np.int8), faithful_low=int(keys[0]), faithful_high=int(keys[-1]))
    return m.done(m.requantise(far, first, values), m.requantise(wide, 0, values))


class WrappedAccumulator(Prover):
    """Y 2^50 + rem is the accumulator plus p, for a Y that the other layer's rows have put into the table."""

    wrapped = 0

    def _quotient(self, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total = source + (1 << 49)
        y, rest = total >> 50, total & ((1 << 50) - 1)
        wraps = rest >= 2**32 - 1
        self.wrapped += int(wraps.sum())
        return np.where(wraps, y + 2**14, y), np.where(wraps, rest - (2**32 - 1), rest)

    def rounded(self, number: int, op: Requantise, tensors: Any) -> Any:
        if op.shift != 50:
            return super().rounded(number, op, tensors)
        table = self.structure.tables[op.table]
        return table.values[self._quotient(tensors[op.source])[0] - table.low]

    def columns(self, layout: Layout, tensors: Any) -> Any:
        columns = super().columns(layout, tensors)
        for i, op in enumerate(self.structure.ops):
            if isinstance(op, Requantise) and op.shift == 50:
                y, rest = self._quotient(tensors[op.source].ravel())
                columns[i, "result"] = (y, tensors[layout.result(i)].ravel())
                columns |= self.digits(layout, i, op, rest - (1 << 49))
        return columns


def test_an_accumulator_that_wraps_around_the_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table's width is judged with every shift that it is read behind, in whatever order they come."""
    program = shared_table()
    with pytest.raises(UnsupportedError, match=r"operation 2 \(Requantise\): its accumulator is too wide"):
        Structure.of(program)
    Structure.of(shared_table(first=46))  # 2^46 times the table's width is not beyond p
    # Without that judgement the proof of a false output holds.
    monkeypatch.setattr("verifiable.zk.sumcheck.structure.check_width", lambda *_: None)
    given = {"x": np.array([[3, -5], [14, 2]])}
    cheat, honest = WrappedAccumulator(program, CIRCUIT), Prover(program, CIRCUIT)
    made = cheat.prove(given)
    assert cheat.wrapped
    assert not np.array_equal(made.outputs["y0"], honest.prove(given).outputs["y0"])
    verify(
        cheat.structure, Statement(circuit=CIRCUIT, weights=cheat.weights.root, inputs=given, outputs=made.outputs), made.proof
    )


class ForgedCount(WrongActivation):
    """A false activation, with multiplicities forged to make up for it, as many as there are lookups."""

    def multiplicities(self, layout: Layout, columns: Any) -> Any:
        counts = super().multiplicities(layout, columns)
        lied = np.flatnonzero(
            columns[1, "result"][1] != self.structure.tables[0].values[columns[1, "result"][0] - self.structure.tables[0].low]
        )
        for place in lied:
            keys, values = columns[1, "result"]
            counts["table", 0][keys[place] - self.structure.tables[0].low] -= 1
            counts["table", 0][int(np.flatnonzero(self.structure.tables[0].values == values[place])[0])] += 1
        return counts


class OneCountMore(Prover):
    def multiplicities(self, layout: Layout, columns: Any) -> Any:
        counts = super().multiplicities(layout, columns)
        counts["range", layout.digits[1][0]][0] += 1
        return counts


@pytest.mark.parametrize("kind", [ForgedCount, OneCountMore])
def test_forged_multiplicities(kind: type[Prover]) -> None:
    refused(kind, "logup: the root")


class OtherTrace(Prover):
    """The argument is about true columns, the commitment is to others."""

    key: Any = (1, "result")

    def trace(self, layout: Layout, columns: Any, tensors: Any, counts: Any) -> Any:
        table = super().trace(layout, columns, tensors, counts)
        start = layout.trace.slice(self.key).start
        table[start] = (int(table[start]) + 1) % field.P
        return table


class OtherDigit(OtherTrace):
    key = (1, "digit", 0)


class OtherCount(OtherTrace):
    key = ("table", 1)


@pytest.mark.parametrize("kind", [OtherTrace, OtherDigit, OtherCount])
def test_a_trace_that_is_not_what_was_argued_about(kind: type[Prover]) -> None:
    refused(kind, r"trace: the final evaluation")


def with_other_weights(change: Callable[[np.ndarray], None]) -> Prover:
    """A prover whose whole argument is for changed weights."""
    table = HONEST.weights.table.copy()
    change(table)
    forged = commit_prover.commit(table, HONEST.weights.used)

    class Other(Prover):
        def step(self, number: int, tensors: Any) -> Any:
            made = super().step(number, tensors)
            if number == 4:  # the bias of the last layer's first output is one more
                made[..., 0] += 1
            return made

    return Other(PROGRAM, CIRCUIT, structure=STRUCTURE, weights=forged)


def test_weights_changed_after_their_commitment() -> None:
    start = Layout.of(STRUCTURE, 1).weights.slice((4, "bias")).start

    def more_bias(table: np.ndarray) -> None:
        table[start] = (int(table[start]) + 1) % field.P

    cheat = with_other_weights(more_bias)
    # It is a perfect proof, for other weights ...
    attempt(cheat, root=cheat.weights.root)
    with pytest.raises(ProofError):
        attempt(cheat)
    # ... also when the prover puts the true root on the false table.
    cheat.weights = replace(cheat.weights, root=HONEST.weights.root)
    with pytest.raises(ProofError, match="opening: the columns are not those under the root"):
        attempt(cheat)


class Padding(Prover):
    """Fills what lies beyond the real cells: all of it satisfies every constraint, and no output follows from it."""

    filled = 0

    def rounded(self, number: int, op: Requantise, tensors: Any) -> Any:
        shape = self.structure.shapes[op.source]
        padding = np.ones(tensors[op.source].shape, bool)
        padding[(slice(None), *map(slice, shape))] = False
        made = super().rounded(number, op, tensors).copy()
        made[padding] = 15
        self.filled += int(padding.sum())
        return made


def test_padded_cells_of_a_committed_tensor_cannot_be_set_at_will() -> None:
    # There the accumulator is what weights and bias give, and the table says the rest.
    refused(Padding, "logup: the root")


def test_what_padded_cells_hold_reaches_no_output() -> None:
    prover = Padding(PROGRAM, CIRCUIT)
    tensors = prover.execute(INPUTS)
    assert prover.filled
    outputs = prover.outputs(tensors, 3)
    assert all(np.array_equal(outputs[name], TRUE.outputs[name]) for name in outputs)


@pytest.mark.parametrize("name", ["rows", "convs", "depthwise", "pooled", "largest", "moved", "scaled"])
def test_what_padded_cells_hold_reaches_no_output_of_any_operation(name: str) -> None:
    program = programs.ALL[name](0)
    given = programs.inputs(program, 2)
    prover, honest = Padding(program, CIRCUIT), Prover(program, CIRCUIT)
    found, true = (p.outputs(p.execute(given), 2) for p in (prover, honest))
    assert prover.filled
    assert all(np.array_equal(found[key], true[key]) for key in true)


def test_a_proof_of_one_circuit_under_another() -> None:
    other = programs.mlp(1)
    made = Prover(other, bytes(31) + b"\1").prove(INPUTS)
    weights = Prover(other, CIRCUIT).weights.root
    cases = [
        (STRUCTURE, CIRCUIT, HONEST.weights.root),
        (Structure.of(other), CIRCUIT, weights),
        (STRUCTURE, bytes(31) + b"\1", HONEST.weights.root),
    ]
    for structure, circuit, root in cases:
        statement = Statement(circuit=circuit, weights=root, inputs=INPUTS, outputs=made.outputs)
        with pytest.raises(ProofError):
            verify(structure, statement, made.proof)


def test_another_inputs_proof() -> None:
    replayed = programs.inputs(PROGRAM, 3, seed=9)
    for inputs, outputs in ((replayed, TRUE.outputs), (replayed, HONEST.prove(replayed).outputs)):
        statement = Statement(circuit=CIRCUIT, weights=HONEST.weights.root, inputs=inputs, outputs=outputs)
        with pytest.raises(ProofError):
            verify(STRUCTURE, statement, TRUE.proof)


def test_samples_in_another_order() -> None:
    order = [1, 0, 2]
    statement = Statement(
        circuit=CIRCUIT,
        weights=HONEST.weights.root,
        inputs={"x": INPUTS["x"][order]},
        outputs={"y0": TRUE.outputs["y0"][order]},
    )
    with pytest.raises(ProofError):
        verify(STRUCTURE, statement, TRUE.proof)


@pytest.mark.parametrize("altered", ["circuit", "weights", "inputs", "outputs", "samples"])
def test_everything_public_is_absorbed(altered: str) -> None:
    """A field that no challenge depends on could be chosen after them all: change each, and the transcript must differ."""
    from verifiable.zk.sumcheck.verifier import begin

    true = Statement(circuit=CIRCUIT, weights=HONEST.weights.root, inputs=INPUTS, outputs=TRUE.outputs)
    changed = {
        "circuit": replace(true, circuit=b"\1" * 32),
        "weights": replace(true, weights=bytes(32)),
        "inputs": replace(true, inputs={"x": INPUTS["x"] ^ 1}),
        "outputs": replace(true, outputs={"y0": TRUE.outputs["y0"] + 1}),
        "samples": replace(true, inputs={"x": INPUTS["x"].reshape(1, 3, 11)}),
    }[altered]
    assert begin(b"", true).challenge("any") != begin(b"", changed).challenge("any")
    assert begin(b"", true).challenge("any") != begin(b"1", true).challenge("any")


def test_layers_in_another_order() -> None:
    """Two layers of one shape, exchanged: the proof is for another program."""
    m = programs.Maker(0, 4)
    program = m.done(m.dense(m.dense(0, 4), 4))
    first, second = program.ops
    swapped = replace(program, ops=(replace(second, source=0), replace(first, source=1)))  # type: ignore[call-arg, arg-type]
    honest, cheat = Prover(program, CIRCUIT), Prover(swapped, CIRCUIT)
    given = programs.inputs(program, 2)
    made = cheat.prove(given)
    statement = Statement(circuit=CIRCUIT, weights=honest.weights.root, inputs=given, outputs=made.outputs)
    with pytest.raises(ProofError):
        verify(honest.structure, statement, made.proof)


class OtherInput(Prover):
    """States (and absorbs) one input, and argues about another."""

    def execute(self, inputs: Any) -> Any:
        changed = inputs["x"].copy()
        changed[0, 0, 3] = 5 if changed[0, 0, 3] != 5 else 6
        return super().execute({"x": changed})


def test_an_argument_about_another_input_than_the_stated_one() -> None:
    refused(OtherInput, "input: its evaluation")


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("residual", "Combine", "combine: the weighted sum"),
        ("input_is_output", "Combine", "combine: the weighted sum"),
        ("moved", "Concat", "concat: the sum of the parts"),
    ],
)
def test_a_sum_that_is_none(name: str, kind: str, reason: str) -> None:
    program = programs.ALL[name](0)

    class WrongSum(Prover):
        def step(self, number: int, tensors: Any) -> Any:
            made = super().step(number, tensors).copy()
            if type(self.structure.ops[number]).__name__ == kind:
                made.flat[0] += 1
            return made

    given = programs.inputs(program, 2)
    cheat = WrongSum(program, CIRCUIT)
    made = cheat.prove(given)
    statement = Statement(circuit=CIRCUIT, weights=cheat.weights.root, inputs=given, outputs=made.outputs)
    with pytest.raises(ProofError, match=reason):
        verify(cheat.structure, statement, made.proof)
