# SPDX-License-Identifier: Apache-2.0
"""Halves are rounded to even, and no prover rounds one otherwise, or anything else as if it were one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.zk.sumcheck import programs
from tests.zk.sumcheck.liars import extension, random_ext
from tests.zk.sumcheck.proving import holds
from verifiable.errors import Error, ProofError
from verifiable.model.program.bounds import Class
from verifiable.model.program.execute import Executor
from verifiable.model.program.ir import Input
from verifiable.model.program.ops import Dense, Requantise
from verifiable.model.program.tables import tabulate
from verifiable.zk.sumcheck import logup
from verifiable.zk.sumcheck.layout import Layout
from verifiable.zk.sumcheck.lookups import FirstDigit, Lookup, Mapped, MappedEven, NextDigit, Range
from verifiable.zk.sumcheck.prover import Prover
from verifiable.zk.sumcheck.structure import Structure, Table, half_up
from verifiable.zk.sumcheck.verifier import Statement, verify

CIRCUIT = bytes(32)
NAMES = ["tied", "tied_digits"]
TIED = 2  # the number of the operation


def attempt(prover: Prover, structure: Structure, *, samples: int = 9) -> dict[str, np.ndarray]:
    given = programs.inputs(prover.program, samples)
    made = prover.prove(given)
    statement = Statement(circuit=CIRCUIT, weights=prover.weights.root, inputs=given, outputs=made.outputs)
    verify(structure, statement, made.proof)
    return made.outputs


def remainders(prover: Prover, tensors: Any) -> tuple[np.ndarray, np.ndarray]:
    """Y and rem of the operation that has ties, padded."""
    op = prover.structure.ops[TIED]
    assert isinstance(op, Requantise)
    t = tensors[op.source]
    return half_up(t, op.shift), (t + (1 << op.shift >> 1)) & ((1 << op.shift) - 1)


@pytest.mark.parametrize("name", NAMES)
def test_the_case_has_ties_of_both_parities_and_one_operation_without(name: str) -> None:
    prover = Prover(programs.ALL[name](0), CIRCUIT)
    y, rest = remainders(prover, prover.execute(programs.inputs(prover.program, 9)))
    assert set(y[rest == 0] & 1) == {0, 1}
    assert prover.structure.ties == {TIED}
    layout = Layout.of(prover.structure, 9)
    tie_columns = {key for key in layout.trace.blocks if len(key) == 3 and key[1] == "tie"}
    assert tie_columns == {(TIED, "tie", j) for j in range(len(layout.digits[TIED]))}
    assert (len(layout.digits[TIED]) > 1) == (name == "tied_digits")


class Otherwise(Prover):
    """Rounds one cell the other way: ``index`` among those of odd Y with (``tie``) or without a tie; the flags follow."""

    tie = True
    flagged = True

    def _chosen(self, tensors: Any) -> tuple[int, ...]:
        y, rest = remainders(self, tensors)
        found = np.argwhere(((rest == 0) == self.tie) & (y & 1 == 1))
        return tuple(found[0])

    def rounded(self, number: int, op: Requantise, tensors: Any) -> Any:
        made = super().rounded(number, op, tensors).copy()
        if number == TIED:
            at = self._chosen(tensors)
            table = self.structure.tables[op.table]
            y = half_up(tensors[op.source][at], op.shift) - (0 if self.tie else 1)
            assert made[at] != table.values[y - table.low]
            made[at] = table.values[y - table.low]
        return made

    def columns(self, layout: Layout, tensors: Any) -> Any:
        columns = super().columns(layout, tensors)
        if not self.flagged:
            return columns
        at = np.ravel_multi_index(self._chosen(tensors), tensors[TIED + 1].shape)
        flags = [columns[TIED, "digit", j][1].copy() for j in range(len(layout.digits[TIED]))]
        self._lie(flags, at)
        for j, flag in enumerate(flags):
            columns[TIED, "digit", j] = (columns[TIED, "digit", j][0], flag, *([flags[j - 1]] if j else []))
        columns[TIED, "result"] = (*columns[TIED, "result"][:2], flags[-1])
        return columns

    def _lie(self, flags: list[np.ndarray], at: Any) -> None:
        flags[-1][at] = 0 if self.tie else 1


class DeniesEveryFlag(Otherwise):
    def _lie(self, flags: list[np.ndarray], at: Any) -> None:
        for flag in flags:
            flag[at] = 0


class ClaimsATie(Otherwise):
    tie = False


class ClaimsATieThroughout(ClaimsATie):
    def _lie(self, flags: list[np.ndarray], at: Any) -> None:
        for flag in flags:
            flag[at] = 1


class SaysNothing(Otherwise):
    """True flags, and a result that does not go with them."""

    flagged = False


class SaysNothingOfNoTie(SaysNothing):
    tie = False


class NoFlag(ClaimsATie):
    """A flag that is neither 0 nor 1."""

    def _lie(self, flags: list[np.ndarray], at: Any) -> None:
        flags[-1][at] = 2

    def multiplicities(self, layout: Layout, columns: Any) -> Any:
        columns = dict(columns)
        columns[TIED, "result"] = (*columns[TIED, "result"][:2], columns[TIED, "result"][2] & 1)
        return super().multiplicities(layout, columns)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "kind",
    [Otherwise, DeniesEveryFlag, ClaimsATie, ClaimsATieThroughout, SaysNothing, SaysNothingOfNoTie, NoFlag],
)
def test_no_cell_is_rounded_otherwise(kind: type[Prover], name: str) -> None:
    program = programs.ALL[name](0)
    with pytest.raises(ProofError, match="logup: the root"):
        attempt(kind(program, CIRCUIT), Structure.of(program))


class TwoFaced(ClaimsATie):
    """Each lookup by itself is true, but the next one is told another flag than the one before it has shown."""

    def columns(self, layout: Layout, tensors: Any) -> Any:
        columns = Prover.columns(self, layout, tensors)
        at = np.ravel_multi_index(self._chosen(tensors), tensors[TIED + 1].shape)
        shown = columns[TIED, "result"][2].copy()
        shown[at] = 1
        columns[TIED, "result"] = (*columns[TIED, "result"][:2], shown)
        return columns


@pytest.mark.parametrize("name", NAMES)
def test_lookups_share_their_flags(name: str) -> None:
    program = programs.ALL[name](0)
    with pytest.raises(ProofError, match="trace: the final evaluation"):
        attempt(TwoFaced(program, CIRCUIT), Structure.of(program))


class Forgetful(Otherwise):
    """The second digit is told that the first was not zero: again each lookup by itself is true."""

    def _lie(self, flags: list[np.ndarray], at: Any) -> None:
        for flag in flags[1:]:
            flag[at] = 0

    def columns(self, layout: Layout, tensors: Any) -> Any:
        columns = super().columns(layout, tensors)
        at = np.ravel_multi_index(self._chosen(tensors), tensors[TIED + 1].shape)
        digit, flag, before = columns[TIED, "digit", 1]
        told = before.copy()
        told[at] = 0
        columns[TIED, "digit", 1] = (digit, flag, told)
        return columns


def test_digits_share_their_flags() -> None:
    program = programs.tied_digits()
    with pytest.raises(ProofError, match="trace: the final evaluation"):
        attempt(Forgetful(program, CIRCUIT), Structure.of(program))


class OneMoreBorrowed(Otherwise):
    """At a tie, Y one less and a digit of 2^width for the carry: t is right, the last digit is not in its range."""

    def _chosen(self, tensors: Any) -> tuple[int, ...]:
        y, rest = remainders(self, tensors)
        return tuple(np.argwhere((rest == 0) & (y & 1 == 0) & (y > 0))[0])

    def rounded(self, number: int, op: Requantise, tensors: Any) -> Any:
        made = Prover.rounded(self, number, op, tensors).copy()
        if number == TIED:
            made[self._chosen(tensors)] -= 1
        return made

    def columns(self, layout: Layout, tensors: Any) -> Any:
        columns = Prover.columns(self, layout, tensors)
        at = np.ravel_multi_index(self._chosen(tensors), tensors[TIED + 1].shape)
        last = len(layout.digits[TIED]) - 1
        digit, flag, *before = (column.copy() for column in columns[TIED, "digit", last])
        digit[at], flag[at] = 1 << layout.digits[TIED][last], 0
        keys, values, _ = (column.copy() for column in columns[TIED, "result"])
        keys[at] -= 1
        return columns | {(TIED, "digit", last): (digit, flag, *before), (TIED, "result"): (keys, values, flag)}

    def multiplicities(self, layout: Layout, columns: Any) -> Any:
        last = len(layout.digits[TIED]) - 1
        digit, *flags = columns[TIED, "digit", last]
        inside = digit & ((1 << layout.digits[TIED][last]) - 1)
        return super().multiplicities(layout, columns | {(TIED, "digit", last): (inside, *flags)})


@pytest.mark.parametrize("name", NAMES)
def test_a_digit_beside_a_flag_is_in_range(name: str) -> None:
    program = programs.ALL[name](0)
    with pytest.raises(ProofError, match="logup: the root"):
        attempt(OneMoreBorrowed(program, CIRCUIT), Structure.of(program))


@pytest.mark.parametrize("name", NAMES)
def test_without_the_flags_halves_would_be_rounded_up(name: str) -> None:
    program = programs.ALL[name](0)
    blind = replace(Structure.of(program), ties=frozenset())
    outputs = attempt(Prover(program, CIRCUIT, structure=blind), blind)
    true = Executor(program).run_many(programs.inputs(program, 9)).outputs
    assert not np.array_equal(outputs["y0"], true["y0"])
    # The same proof is none once the flags are asked for.
    with pytest.raises(Error):
        attempt(Prover(program, CIRCUIT, structure=blind), Structure.of(program))


@pytest.mark.parametrize("kind", [Otherwise, ClaimsATieThroughout, OneMoreBorrowed])
def test_it_is_the_digits_tables_that_hold_the_flags_to_the_truth(kind: type[Prover], monkeypatch: pytest.MonkeyPatch) -> None:
    """The attacks are real: with a table argument that lets false rows through, nothing else stops them."""
    monkeypatch.setattr(logup, "check_equal", lambda *_: None)
    program = programs.tied()
    outputs = attempt(kind(program, CIRCUIT), Structure.of(program))
    true = Executor(program).run_many(programs.inputs(program, 9)).outputs
    assert not np.array_equal(outputs["y0"], true["y0"])


def test_a_padded_cell_that_is_a_tie_at_the_lowest_key() -> None:
    """Real cells are 2 to 7 halves, padded ones -3: rounded to -2, which no real cell is, so the table starts at -1."""
    m = programs.Maker(0, 3, 5)
    m.inputs[0] = Input(name="x", dtype="float32", shape=(3, 5), scale=1.0, low=1, high=2)
    m.classes[0] = (Class(low=1, high=2),)
    weight = m.constant(np.ones((4, 5), np.int8))
    t = m.add(Dense(source=0, weight=weight, multiplier=m.constant(np.ones(4, np.int64)), bias=m.constant(np.full(4, -3))))
    values = tabulate(lambda y: y, m.rounded(t, 1), scale_in=1.0, scale_out=1.0, clamp=(-99, 99), where="low", max_rows=99)
    prover = holds(m.done(m.requantise(t, 1, values)), {"x": np.array([[[1] * 5, [2] * 5, [1, 1, 2, 2, 2]]])})
    assert prover.structure.ties == {1}
    assert prover.structure.tables[0].low == -1


TABLE = Table(low=-3, values=np.array([9, 8, -7, 6, 5, 4, 3, 2]))


@pytest.mark.parametrize(
    "lookup",
    [Range(log_size=3), Mapped(table=TABLE), MappedEven(table=TABLE), FirstDigit(log_size=3), NextDigit(log_digits=2)],
    ids=lambda lookup: type(lookup).__name__,
)
def test_a_tables_columns_are_what_the_verifier_evaluates(lookup: Lookup) -> None:
    columns = lookup.columns()
    assert len(columns) == lookup.width
    assert {len(column) for column in columns} == {1 << lookup.log_size}
    assert np.array_equal(lookup.rows(columns), np.arange(1 << lookup.log_size))
    point = random_ext(np.random.default_rng(3), lookup.log_size)
    assert lookup.evaluate(point) == [extension(column, point) for column in columns]


def test_the_rows_of_the_tables_for_ties() -> None:
    assert list(zip(*MappedEven(table=TABLE).columns(), strict=True))[8:] == [
        (-3, 9, 1), (-2, 8, 1), (-1, 8, 1), (0, 6, 1), (1, 6, 1), (2, 4, 1), (3, 4, 1), (4, 2, 1),
    ]  # fmt: skip
    assert list(zip(*FirstDigit(log_size=1).columns(), strict=True)) == [(0, 1), (1, 0)]
    assert list(zip(*NextDigit(log_digits=1).columns(), strict=True)) == [(0, 0, 0), (1, 0, 0), (0, 1, 1), (1, 0, 1)]
