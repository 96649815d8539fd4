# SPDX-License-Identifier: Apache-2.0
"""Each check of the verifier, and an attack that it alone stops.

Every row of CHECKS names a check by the function it is in and its words, and an attack. The attack must be refused in these
words; and with that one check taken out of the code it must be accepted. Checks that need more than one line are elsewhere:

===========================================  ========================================================================
more attacks on ties and their flags          test_ties
what a structure may cost a verifier          test_structure_file
an accumulator that wraps                    test_sumcheck.test_an_accumulator_that_wraps_around_the_field
bits of security, number of claims           test_soundness
a missing byte, any byte, a hostile size     test_reader, test_commitment, test_sumcheck_bytes
what each challenge depends on               test_sumcheck_bytes
===========================================  ========================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from tests.adversarial import test_sumcheck as cheats
from tests.adversarial.removal import remove
from tests.zk.sumcheck import liars, programs
from tests.zk.sumcheck import test_ties as ties
from tests.zk.sumcheck.liars import random_ext
from tests.zk.sumcheck.test_structure_file import changed
from verifiable.errors import Error, MalformedError, ProofError, UnsupportedError
from verifiable.model.program.ops import Combine
from verifiable.zk.sumcheck import (
    commit_prover,
    commitment,
    field,
    layers_prover,
    logup,
    logup_prover,
    structure,
    structure_file,
    sumcheck,
    tables,
    verifier,
)
from verifiable.zk.sumcheck import prover as proving
from verifiable.zk.sumcheck.layout import Layout
from verifiable.zk.sumcheck.prover import Prover
from verifiable.zk.sumcheck.reader import Reader
from verifiable.zk.sumcheck.structure_file import StructureFile
from verifiable.zk.sumcheck.transcript import Transcript
from verifiable.zk.sumcheck.verifier import Statement, header, verify
from verifiable.zk.sumcheck.walk import Walk
from verifiable.zk.sumcheck.writer import Writer

CIRCUIT = cheats.CIRCUIT
Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Forged:
    """What a verifier is shown."""

    prover: Prover
    statement: Statement
    proof: bytes

    def judge(self) -> None:
        verify(self.prover.structure, self.statement, self.proof)


def forged(prover: Prover, *, samples: int = 3) -> Forged:
    given = programs.inputs(prover.program, samples)
    made = prover.prove(given)
    statement = Statement(circuit=prover.circuit, weights=prover.weights.root, inputs=given, outputs=made.outputs)
    return Forged(prover, statement, made.proof)


def mlp(kind: type[Prover]) -> Callable[[Patch], Forged]:
    return lambda _: forged(kind(cheats.PROGRAM, CIRCUIT))


def wrong_step(name: str, kind: str) -> Callable[[Patch], Forged]:
    """The first operation of a kind makes something else; all that follows is consistent with it."""

    class Wrong(Prover):
        def step(self, number: int, tensors: Any) -> Any:
            made = super().step(number, tensors).copy()
            if number == next(i for i, op in enumerate(self.structure.ops) if type(op).__name__ == kind):
                made[(0,) * made.ndim] += 1
            return made

    return lambda _: forged(Wrong(programs.ALL[name](0), CIRCUIT), samples=2)


# -- the table argument ---------------------------------------------------------------------------------------------------


def two_faced(patch: Patch, prover: Prover, tree: Callable[[list[Any]], list[Any]]) -> Forged:
    """The fraction tree is of the witnesses that ``tree`` makes, what is stated of the leaves is what T holds."""
    true_prove, true_state = logup_prover.prove_logup, logup_prover._state_values

    def lie(writer: Writer, blocks: Sequence[Any], witnesses: list[Any]) -> Any:
        patch.setattr(logup_prover, "_state_values", lambda w, b, _, point: true_state(w, b, witnesses, point))
        return true_prove(writer, blocks, tree(witnesses))

    patch.setattr(proving, "prove_logup", lie)
    return forged(prover)


def tree_of_other_columns(patch: Patch) -> Forged:
    """A false activation is committed and stated; the tree has the true one."""
    prover = cheats.WrongActivation(cheats.PROGRAM, CIRCUIT)
    place = [leaf.key for leaf in Layout.of(prover.structure, 3).leaves].index((1, "result"))
    table = prover.structure.tables[0]

    def tree(witnesses: list[Any]) -> list[Any]:
        keys, _ = witnesses[place].columns
        honest = replace(witnesses[place], columns=(keys, table.values[keys - table.low]))
        return [*witnesses[:place], honest, *witnesses[place + 1 :]]

    return two_faced(patch, prover, tree)


def tree_of_other_counts(patch: Patch) -> Forged:
    """The committed multiplicities are not those of the tree."""
    prover = cheats.OneCountMore(cheats.PROGRAM, CIRCUIT)
    keys = [leaf.key for leaf in Layout.of(prover.structure, 3).leaves]
    place = next(i for i, key in enumerate(keys) if key[0] == "range")

    def tree(witnesses: list[Any]) -> list[Any]:
        counts = witnesses[place].multiplicities.copy()
        counts[0] -= 1
        return [*witnesses[:place], replace(witnesses[place], multiplicities=counts), *witnesses[place + 1 :]]

    return two_faced(patch, prover, tree)


class LyingRoot(Writer):
    """States a root that is zero and a layer below it that is not: the first two fractions' numerators are exchanged for 0."""

    def scalars(self, label: str, *scalars: field.Ext) -> None:
        if label == "logup children" and not getattr(self, "lied", False):
            self.lied = True
            scalars = (field.ZERO, field.ZERO, scalars[2], scalars[3])
        super().scalars(label, *scalars)


def forged_root(patch: Patch) -> Forged:
    patch.setattr(proving, "Writer", LyingRoot)
    return forged(cheats.WrongActivation(cheats.PROGRAM, CIRCUIT))


def tied(kind: type[Prover]) -> Callable[[Patch], Forged]:
    return lambda _: forged(kind(programs.tied(), CIRCUIT), samples=9)


@dataclass(frozen=True)
class Fractions:
    """Two leaves 1 / 0: "their sum is zero" is 0 / 0."""

    proof: bytes

    def judge(self) -> None:
        reader = Reader(self.proof, Transcript())
        logup.verify_fractions(reader, 2)
        reader.done()


def zero_denominators(_: Patch) -> Fractions:
    writer = Writer(Transcript())
    denominators = field.ext_array([(0, 0), (5, 0), (0, 0), (7, 0)])
    logup_prover.prove_fractions(writer, 2, np.ones(4, np.uint64), denominators)
    return Fractions(writer.getvalue())


# -- the walk -------------------------------------------------------------------------------------------------------------


def two_answers(patch: Patch) -> Forged:
    """A sum that reads one accumulator twice is told two values of it, whose sum is right for a false result."""
    true = proving._Prover.tensors

    def tensors(self: Any, label: str, wanted: Any) -> list[field.Ext]:
        if label != "combine":
            return true(self, label, wanted)
        tensor, point = wanted[0]
        honest = tables.evaluate(field.from_signed(self.values[tensor].ravel()), point)
        # The claim on the result, as the false tensor has it, less the one answer that is true.
        claimed = tables.evaluate(field.from_signed(self.values[tensor + 1].ravel()), point)
        false = field.ext_sub(field.ext_sub(claimed, honest), (1, 0))
        self.writer.scalars(label, honest, false)
        return [honest, false]

    m = programs.Maker(0, 3, 5)
    t = m.dense(0, 6)
    program = m.done(m.add(Combine(sources=(t, t), coefficients=(1, 1), constant=1)))

    class Wrong(Prover):
        def step(self, number: int, tensors: Any) -> Any:
            made = super().step(number, tensors).copy()
            made.flat[0] += number  # the Combine's alone
            return made

    patch.setattr(proving._Prover, "tensors", tensors)
    return forged(Wrong(program, CIRCUIT))


def weight_between_groups(patch: Patch) -> Forged:
    """The first output channel also sees a channel of the last group, by a weight that W has no place for."""
    true, extra = layers_prover._kernels, 1 << 14

    def kernels(weights: Any, shape: Any, out: Any) -> field.Array:
        full = true(weights, shape, out)
        place = (5 << 4) + (1 << 2) + 1  # channel 5, the middle tap
        full[place] = field.add(full[place], field.scale_ext(field.eq_table(out)[:1], (extra, 0))[0])
        return full

    class Wrong(Prover):
        def step(self, number: int, tensors: Any) -> Any:
            made = super().step(number, tensors).copy()
            made[:, :, 0, :4, :5] += extra * tensors[0][:, :, 5, :4, :5]
            return made

    patch.setattr(layers_prover, "_kernels", kernels)
    found = forged(Wrong(programs.grouped(), CIRCUIT), samples=2)
    true_outputs = Prover(programs.grouped(), CIRCUIT).prove(found.statement.inputs).outputs
    assert not np.array_equal(found.statement.outputs["y0"], true_outputs["y0"])
    return found


# -- batching and openings ------------------------------------------------------------------------------------------------


def other_weights_in_the_walk(patch: Patch) -> Forged:
    """The walk is for changed weights, the opening of the true ones."""
    start = Layout.of(cheats.STRUCTURE, 1).weights.slice((4, "bias")).start

    def more_bias(table: np.ndarray) -> None:
        table[start] = (int(table[start]) + 1) % field.P

    cheat = cheats.with_other_weights(more_bias)
    cheat.weights = replace(cheat.weights, root=cheats.HONEST.weights.root)
    true_open = proving.prove_opening
    patch.setattr(
        proving,
        "prove_opening",
        lambda writer, label, committed, stack, claims: true_open(
            writer, label, committed if label == "trace" else cheats.HONEST.weights, stack, claims
        ),
    )
    return forged(cheat)


@dataclass(frozen=True)
class Opened:
    root: bytes
    point: list[field.Ext]
    value: field.Ext
    proof: bytes
    used: int = 1 << 10

    def judge(self) -> None:
        reader = Reader(self.proof, Transcript())
        commitment.check(self.root, len(self.point), self.point, self.value, reader, used=self.used)
        reader.done()


def opened(*, value: int = 0, root: bytes | None = None, change: Callable[[field.Array], field.Array] | None = None) -> Opened:
    """An opening of a random table, with a value that is ``value`` too large, under another root, or with other combinations."""

    class Changing(Writer):
        def array(self, label: str, values: field.Array) -> None:
            super().array(label, change(values.copy()) if change and label == "opening combinations" else values)

    rng = np.random.default_rng(1)
    committed = commit_prover.commit(rng.integers(0, field.P, 1 << 10, dtype=np.uint64))
    committed = committed if root is None else replace(committed, root=root)
    point = random_ext(rng, 10)
    claimed = field.ext_add(tables.evaluate(committed.table, point), (value, 0))
    writer = Changing(Transcript())
    commit_prover.open(committed, point, claimed, writer)
    return Opened(committed.root, point, claimed, writer.getvalue())


def row_for_a_false_value(_: Patch) -> Opened:
    """u is changed in one place so that it evaluates to the claimed value."""
    rng = np.random.default_rng(1)
    rng.integers(0, field.P, 1 << 10, dtype=np.uint64)
    point = random_ext(rng, 10)
    first = field.eq_table(point[10 - commitment.shape(10, 1 << 10)[1] :])[0]
    step = field.ext_inverse((int(first[0]), int(first[1])))

    def change(values: field.Array) -> field.Array:
        values[0, 0] = field.ext_add((int(values[0, 0, 0]), int(values[0, 0, 1])), step)
        return values

    return opened(value=1, change=change)


def other_proximity_row(_: Patch) -> Opened:
    def change(values: field.Array) -> field.Array:
        values[1, 0, 0] = (int(values[1, 0, 0]) + 1) % field.P
        return values

    return opened(change=change)


def cell_beyond_the_rows_in_use(_: Patch) -> Opened:
    """A cell that the layout says is zero, and that no column has room for, is counted in the value and in u."""
    rng, used, cell = np.random.default_rng(2), 900, 1000
    table = rng.integers(0, field.P, 1 << 10, dtype=np.uint64)
    table[used:] = 0
    committed, point = commit_prover.commit(table, used), random_ext(rng, 10)
    rows, log_cols = commitment.shape(10, used)
    assert cell >= rows << log_cols
    high = field.eq_table(point[: 10 - log_cols])[cell >> log_cols]

    class Adding(Writer):
        def array(self, label: str, values: field.Array) -> None:
            if label == "opening combinations":
                values[0, cell % (1 << log_cols)] = field.add(values[0, cell % (1 << log_cols)], high)
            super().array(label, values)

    claimed = field.ext_add(tables.evaluate(table, point), liars.eq(point, cell))
    writer = Adding(Transcript())
    commit_prover.open(committed, point, claimed, writer)
    return Opened(committed.root, point, claimed, writer.getvalue(), used)


# -- the statement, and the bytes -----------------------------------------------------------------------------------------


def stated(name: str = "mlp", **changed: Any) -> Forged:
    """An honest argument about a statement that should not be admitted."""
    program = programs.ALL[name](0)
    circuit = changed.pop("circuit", CIRCUIT)
    prover, given = Prover(program, circuit), changed.pop("given", programs.inputs(program, 3))
    layout, tensors = Layout.of(prover.structure, 3), prover.execute(given)
    honest = Statement(circuit=circuit, weights=prover.weights.root, inputs=given, outputs=prover.outputs(tensors, 3))
    statement = replace(honest, **{key: change(getattr(honest, key)) for key, change in changed.items()})
    return Forged(prover, statement, prover.argue(layout, statement, tensors))


def outside_its_range(_: Patch) -> Forged:
    return stated("input_is_output", given={"x": np.full((3, 3), 16)})


def repeated_last(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([value, value[-1:]]) for name, value in values.items()}


def changed_bytes(change: Callable[[bytes], bytes]) -> Callable[[Patch], Forged]:
    def attack(_: Patch) -> Forged:
        found = forged(cheats.HONEST)
        return replace(found, proof=change(found.proof))

    return attack


def more_bits(proof: bytes) -> bytes:
    start = header(Layout.of(cheats.STRUCTURE, 3))
    assert proof.startswith(start)
    return start[:-2] + b"\xff\0" + proof[len(start) :]


class Spelling(Writer):
    """Writes, and absorbs, p for 0 in all rounds."""

    def scalars(self, label: str, *scalars: field.Ext) -> None:
        respelled = label.endswith(" round")
        super().scalars(label, *((a or field.P, b or field.P) if respelled else (a, b) for a, b in scalars))


def second_spelling(patch: Patch) -> Forged:
    patch.setattr(proving, "Writer", Spelling)
    return forged(Prover(programs.input_is_output(), CIRCUIT))  # an idle trace, so all its rounds are 0


# -- the circuit's part ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """Bytes shown as a structure."""

    data: bytes

    def judge(self) -> None:
        StructureFile.parse(self.data)


def part(path: str, value: object, name: str = "mlp") -> Callable[[Patch], Part]:
    return lambda _: Part(changed(path, value, name))


PARSE = StructureFile.parse.__func__  # type: ignore[attr-defined]
#: Tables of the largest size: eight fit.
EIGHT_AND_ONE = [{"low": str(i), "runs": [[0, 0, 1 << 21]]} for i in range(9)]

CHECKS: dict[str, tuple[Callable[..., Any], str, Callable[[Patch], Any]]] = {
    # 1. the statement
    "lengths of id and root": (verifier.admit, "32 bytes each", lambda _: stated(circuit=b"short")),
    "names": (verifier.admit, "s are not the program's", lambda _: stated(inputs=lambda x: {**x, "z": x["x"]})),
    "shapes": (
        verifier._admit,
        ": expected integers of shape",
        lambda _: stated(inputs=lambda x: {"x": x["x"].reshape(3, 11, 1)}),
    ),
    "dtypes": (verifier._admit, ": expected integers of shape", lambda _: stated(inputs=lambda x: {"x": x["x"] * 1.0})),
    "ranges": (verifier._admit, ": an integer is outside of", outside_its_range),
    "numbers of samples": (verifier.admit, "differ in their number of samples", lambda _: stated(outputs=repeated_last)),
    # 2. the bytes
    "header": (verifier.verify, "not a sumcheck proof of this version", changed_bytes(more_bits)),
    "canonical elements": (field.decode, ": a field element that is not below p", second_spelling),
    # 3. the tables
    "root": (logup.verify_fractions, "logup: the root", mlp(cheats.WrongActivation)),
    "layers": (logup.verify_fractions, "logup: the sum of two fractions", forged_root),
    "zero denominators": (logup.verify_fractions, "logup: a denominator is zero", zero_denominators),
    "leaves' numerator": (logup.verify_logup, "logup: the leaves' numerator", tree_of_other_counts),
    "leaves' denominator": (logup.verify_logup, "logup: the leaves' denominator", tree_of_other_columns),
    "a tie rounded up": (logup.verify_fractions, "logup: the root", tied(ties.Otherwise)),
    "a tie that is none": (logup.verify_fractions, "logup: the root", tied(ties.ClaimsATieThroughout)),
    "a tie's flag, told twice": (sumcheck.verify_against, ": the final evaluation", tied(ties.TwoFaced)),
    # 5. the walk
    "dense": (sumcheck.verify_product, ": the product of the two final evaluations", mlp(cheats.WrongAccumulator)),
    "dense, last": (sumcheck.verify_product, ": the product of the two final evaluations", mlp(cheats.WrongLastAccumulator)),
    "conv": (sumcheck.verify_product, ": the product of the two final evaluations", wrong_step("convs", "Conv")),
    "scale": (sumcheck.verify_product, ": the product of the two final evaluations", wrong_step("scaled", "Scale")),
    "sumpool": (sumcheck.verify_against, ": the final evaluation", wrong_step("pooled", "SumPool")),
    "slice": (sumcheck.verify_against, ": the final evaluation", wrong_step("largest", "Slice")),
    "pad": (sumcheck.verify_against, ": the final evaluation", wrong_step("moved", "Pad")),
    "reshape": (sumcheck.verify_against, ": the final evaluation", wrong_step("moved", "Reshape")),
    "combine": (Walk._combine, "combine: the weighted sum", wrong_step("residual", "Combine")),
    "concat": (Walk._move, "concat: the sum of the parts", wrong_step("moved", "Concat")),
    "merge": (sumcheck.verify_against, ": the final evaluation", two_answers),
    "groups": (sumcheck.verify_against, ": the final evaluation", weight_between_groups),
    "outputs": (sumcheck.verify_against, ": the final evaluation", mlp(cheats.WrongOutput)),
    # 6. the inputs
    "inputs": (verifier.verify, "input: its evaluation", mlp(cheats.OtherInput)),
    # 7. claims and openings
    "claims on T": (sumcheck.verify_against, ": the final evaluation", mlp(cheats.OtherTrace)),
    "claims on W": (sumcheck.verify_against, ": the final evaluation", other_weights_in_the_walk),
    "opened value": (commitment.check, "does not evaluate to the claimed value", lambda _: opened(value=1)),
    "opened columns": (commitment._check_tree, "not those under the root", lambda _: opened(root=bytes(32))),
    "evaluation row": (commitment.check, " combination is not that of the committed columns", row_for_a_false_value),
    "proximity row": (commitment.check, " combination is not that of the committed columns", other_proximity_row),
    "rows in use": (commitment.check, " combination is not that of the committed columns", cell_beyond_the_rows_in_use),
    # 8. the end
    "trailing bytes": (Reader.done, "bytes too many", changed_bytes(lambda proof: proof + b"\0")),
    # the circuit's part
    "root of the weights": (PARSE, "not 32 bytes", part("weights", "00")),
    "a tie where nothing is rounded": (PARSE, "an operation that never rounds", part("ties", [0])),
    "one spelling": (PARSE, "not in canonical form", part("tables/0/runs", [[0, 0, 2], [0, 0, 2]])),
    "a remainder that wraps": (structure.check_width, "its accumulator is too wide", part("operations/1/shift", 61)),
    "a table of no power of two": (structure_file._table, "expected a power of two", part("tables/0/runs", [[0, 1, 3]])),
    "rows of all tables": (structure_file._Room.take, "rows in all tables", part("tables", EIGHT_AND_ONE)),
}

#: Where one check serves many steps: the step.
STEPS = {"merge": "merge: ", "groups": "select: ", "a tie's flag, told twice": "trace: "}


@pytest.mark.parametrize("name", CHECKS)
def test_an_attack_fails_on_this_check_alone(name: str, monkeypatch: Patch) -> None:
    function, words, attack = CHECKS[name]
    with monkeypatch.context() as patch:
        shown = attack(patch)
    with pytest.raises(Error) as caught:
        shown.judge()
    assert words in caught.value.message
    assert caught.value.message.startswith(STEPS.get(name, ""))
    assert isinstance(caught.value, MalformedError | ProofError | UnsupportedError)
    remove(monkeypatch, function, words)
    shown.judge()
