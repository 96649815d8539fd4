# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.zk.sumcheck.liars import Forgetful, Liar, Script, extension, random_ext
from verifiable.errors import Error, MalformedError, ProofError
from verifiable.zk.sumcheck import field, logup_prover, sumcheck_plain
from verifiable.zk.sumcheck.field import ONE, ZERO, Ext, ext_add
from verifiable.zk.sumcheck.logup import Block, BlockClaim, error_numerator, prefix_weight, stack, verify_fractions, verify_logup
from verifiable.zk.sumcheck.logup_prover import Witness, prove_fractions, prove_logup
from verifiable.zk.sumcheck.reader import Reader
from verifiable.zk.sumcheck.transcript import Transcript
from verifiable.zk.sumcheck.writer import Writer

Case = tuple[list[Block], list[Witness]]


def evaluated(columns: Sequence[np.ndarray]) -> Callable[[list[Ext]], list[Ext]]:
    return lambda point: [extension(column, point) for column in columns]


def case(seed: int, lookups: Sequence[tuple[int, int]], tables: Sequence[int]) -> Case:
    """Lookups (log size, which table), tables (log sizes; table k has 1 + k % 3 columns of signed and large entries)."""
    rng = np.random.default_rng(seed)
    contents = [[rng.integers(-(2**40), 2**40, size=1 << log) for _ in range(1 + k % 3)] for k, log in enumerate(tables)]
    counts = [np.zeros(1 << log, np.int64) for log in tables]
    items = []
    for log_size, k in lookups:
        chosen = rng.integers(0, len(counts[k]), size=1 << log_size)
        counts[k] += np.bincount(chosen, minlength=len(counts[k]))
        columns = [column[chosen] for column in contents[k]]
        items.append((Block(log_size=log_size, table=k, width=len(columns)), Witness(columns=columns)))
    for k, log in enumerate(tables):
        block = Block(log_size=log, table=k, width=len(contents[k]), rows=evaluated(contents[k]))
        items.append((block, Witness(columns=contents[k], multiplicities=counts[k])))
    items.sort(key=lambda item: -item[0].log_size)
    return [block for block, _ in items], [witness for _, witness in items]


SMALL = (5, [(3, 0), (3, 1), (2, 1), (1, 2), (0, 0)], [2, 3, 1])


def prove(blocks: list[Block], witnesses: list[Witness], writer: Writer | None = None) -> bytes:
    writer = writer or Writer(Transcript())
    prove_logup(writer, blocks, witnesses)
    return writer.getvalue()


def verify(proof: bytes, blocks: list[Block], transcript: Transcript | None = None) -> list[BlockClaim]:
    reader = Reader(proof, transcript or Transcript())
    claims = verify_logup(reader, blocks)
    reader.done()
    return claims


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=6),
    st.lists(st.integers(0, 5), min_size=3, max_size=3),
    st.integers(0, 2**32),
)
def test_true_lookups_are_accepted(lookups: list[tuple[int, int]], tables: list[int], seed: int) -> None:
    blocks, witnesses = case(seed, lookups, tables)
    writer = Writer(Transcript())
    proved = prove_logup(writer, blocks, witnesses)
    reader = Reader(writer.getvalue(), Transcript())
    claims = verify_logup(reader, blocks)
    reader.done()
    assert claims == proved
    assert reader.transcript.challenge("next") == writer.transcript.challenge("next")
    for block, witness, claim in zip(blocks, witnesses, claims, strict=True):
        columns = witness.columns if block.rows is None else [witness.multiplicities]
        assert claim.values == [extension(column, claim.point) for column in columns]


def test_columns_of_every_width_of_integer() -> None:
    blocks, witnesses = case(*SMALL)
    proof = prove(blocks, witnesses)
    for dtype in ("int64", "uint64"):
        narrowed = []
        for witness in witnesses:
            columns = [column if (column < 0).any() else column.astype(dtype) for column in witness.columns]
            counts = None if witness.multiplicities is None else witness.multiplicities.astype(np.int32)
            narrowed.append(Witness(columns=columns, multiplicities=counts))
        assert prove(blocks, narrowed) == proof


@pytest.mark.parametrize("label", ["logup round", "logup children", "logup values"])
def test_a_lie_in_any_message_is_refused(label: str) -> None:
    blocks, witnesses = case(*SMALL)
    which = 0
    while True:
        for entry in range(4):
            writer = Liar(label, which, lambda s, e=entry: [ext_add(v, ONE) if i == e % len(s) else v for i, v in enumerate(s)])
            proof = prove(blocks, witnesses, writer)
            if not writer.lied:
                break
            with pytest.raises(ProofError):
                verify(proof, blocks)
        if not writer.lied:
            break
        which += 1
    assert which == {"logup round": 15, "logup children": 6, "logup values": 8}[label]


@pytest.mark.parametrize("block", range(5))
def test_a_row_outside_its_table_is_refused(block: int) -> None:
    blocks, witnesses = case(*SMALL)
    lookups = [i for i, b in enumerate(blocks) if b.rows is None]
    changed = list(witnesses)
    columns = [c.copy() for c in witnesses[lookups[block]].columns]
    columns[-1][0] += 1
    changed[lookups[block]] = replace(witnesses[lookups[block]], columns=columns)
    with pytest.raises(ProofError, match="root"):
        verify(prove(blocks, changed), blocks)


@pytest.mark.parametrize("by", [1, -1, 2**32])
@pytest.mark.parametrize("table", range(3))
def test_a_forged_multiplicity_is_refused(table: int, by: int) -> None:
    blocks, witnesses = case(*SMALL)
    place = [i for i, b in enumerate(blocks) if b.rows is not None][table]
    counts = witnesses[place].multiplicities
    assert counts is not None
    forged = counts.copy()
    forged[-1] += by
    changed = [replace(w, multiplicities=forged) if i == place else w for i, w in enumerate(witnesses)]
    with pytest.raises(ProofError, match="root"):
        verify(prove(blocks, changed), blocks)


def test_a_row_of_another_table_is_refused() -> None:
    # The same number is in table 0, and the block says table 1.
    rows = np.arange(4)
    table = [Block(log_size=2, table=k, width=1, rows=evaluated([rows + 4 * k])) for k in range(2)]
    counted = [Witness(columns=[rows + 4 * k], multiplicities=np.array([1, 0, 0, 0]) * (k == 0)) for k in range(2)]
    lookup = Block(log_size=0, table=0, width=1)
    witness = Witness(columns=[np.array([0])])
    verify(prove([*table, lookup], [*counted, witness]), [*table, lookup])
    other = replace(lookup, table=1)
    with pytest.raises(ProofError):
        verify(prove([*table, other], [*counted, witness]), [*table, other])
    with pytest.raises(ProofError):
        verify(prove([*table, lookup], [*counted, witness]), [*table, other])


def test_a_short_row_is_no_row_of_a_wider_table() -> None:
    # (7) of width 1 in table 0, and the row (7, 0) of table 1: they differ in the table's number, at one power for all widths.
    blocks = [
        Block(log_size=1, table=1, width=2, rows=evaluated([np.array([7, 7]), np.array([0, 1])])),
        Block(log_size=0, table=0, width=1),
    ]
    witnesses = [
        Witness(columns=[np.array([7, 7]), np.array([0, 1])], multiplicities=np.array([1, 0])),
        Witness(columns=[np.array([7])]),
    ]
    with pytest.raises(ProofError, match="root"):
        verify(prove(blocks, witnesses), blocks)


def test_swapped_blocks_are_refused() -> None:
    blocks, witnesses = case(*SMALL)
    proof = prove(blocks, witnesses)
    swapped = [blocks[1], blocks[0], *blocks[2:]]
    assert blocks[0].log_size == blocks[1].log_size
    assert blocks[0] != blocks[1]
    with pytest.raises(Error):
        verify(proof, swapped)


def test_another_table_of_the_same_shape_is_refused() -> None:
    blocks, witnesses = case(*SMALL)
    proof = prove(blocks, witnesses)
    others, _ = case(SMALL[0] + 1, SMALL[1], SMALL[2])
    with pytest.raises(ProofError, match="denominator"):
        verify(proof, others)


def test_a_proof_for_another_statement_is_refused() -> None:
    blocks, witnesses = case(*SMALL)
    transcript = Transcript()
    transcript.absorb("trace", b"another commitment")
    with pytest.raises(ProofError):
        verify(prove(blocks, witnesses), blocks, transcript)


def test_claims_of_another_layer_are_refused() -> None:
    # The children of the last layer, shown as those of each other layer.
    blocks, witnesses = case(*SMALL)

    class Recorder(Writer):
        children: ClassVar[list[tuple[Ext, ...]]] = []

        def scalars(self, label: str, *scalars: Ext) -> None:
            if label == "logup children":
                self.children.append(scalars)
            super().scalars(label, *scalars)

    prove(blocks, witnesses, Recorder(Transcript()))
    honest = list(Recorder.children)
    for which in range(len(honest) - 1):
        writer = Liar("logup children", which, lambda _: list(honest[-1]))
        with pytest.raises(ProofError):
            verify(prove(blocks, witnesses, writer), blocks)


@pytest.mark.parametrize("label", ["logup round", "logup children"])
def test_what_is_not_absorbed_is_refused(label: str) -> None:
    blocks, witnesses = case(*SMALL)
    with pytest.raises(ProofError):
        verify(prove(blocks, witnesses, Forgetful(label)), blocks)


def test_stated_values_are_absorbed() -> None:
    blocks, witnesses = case(*SMALL)
    writer = Forgetful("logup values")
    reader = Reader(prove(blocks, witnesses, writer), Transcript())
    verify_logup(reader, blocks)
    assert reader.transcript.challenge("next") != writer.transcript.challenge("next")


@pytest.mark.parametrize("where", [[0], [0, 1], [0, 2], [1, 6], [6, 7]])
def test_a_zero_denominator_is_refused(where: list[int]) -> None:
    # Two of them make the root 0 / 0: all layers and the numerator are consistent, and only the denominator tells.
    rng = np.random.default_rng(3)
    denominators = rng.integers(0, field.P, size=(8, 2), dtype=np.uint64)
    denominators[where] = 0
    writer = Writer(Transcript())
    prove_fractions(writer, 3, np.ones(8, np.uint64), denominators.copy())
    with pytest.raises(ProofError, match="denominator is zero" if len(where) > 1 else "root"):
        verify_fractions(Reader(writer.getvalue(), Transcript()), 3)


def test_a_sum_that_is_not_zero_is_refused() -> None:
    rng = np.random.default_rng(4)
    denominators = rng.integers(1, field.P, size=(8, 2), dtype=np.uint64)
    writer = Writer(Transcript())
    prove_fractions(writer, 3, np.ones(8, np.uint64), denominators)
    with pytest.raises(ProofError, match="root"):
        verify_fractions(Reader(writer.getvalue(), Transcript()), 3)


@pytest.mark.parametrize("seed", range(3))
def test_a_prover_who_foresees_alpha_can_place_any_row(seed: int) -> None:
    # Why the multiplicities are committed before alpha: chosen after it, two of them solve the equation for a false row.
    rng = np.random.default_rng(seed)
    alpha, beta = random_ext(rng, 2)
    table, row = np.array([1, 2]), np.array([3])

    def inverse(value: int) -> Ext:
        return field.ext_inverse(field.ext_sub(alpha, (value, 0)))

    (a, c), (b, d), (e, f) = inverse(1), inverse(2), inverse(3)
    scale = pow(a * d - b * c, -1, field.P)
    counts = np.array([(e * d - b * f) * scale % field.P, (a * f - e * c) * scale % field.P], np.uint64)
    blocks = [Block(log_size=1, table=0, width=1, rows=evaluated([table])), Block(log_size=0, table=0, width=1)]
    witnesses = [Witness(columns=[table], multiplicities=counts), Witness(columns=[row])]
    script = [alpha, beta, *random_ext(rng, 20)]
    verify(prove(blocks, witnesses, Writer(Script(script))), blocks, Script(script))
    with pytest.raises(ProofError):
        verify(prove(blocks, witnesses), blocks)


def test_false_lookups_survive_as_often_as_the_bound_says() -> None:
    # As a function of alpha, three fractions that do not cancel sum to zero at two points at most. One of them is 7 by choice.
    table = np.array([1, 2])
    counts = np.array([3, -3 * 5 * pow(6, -1, field.P) + 5 * pow(4, -1, field.P)], dtype=object) % field.P
    blocks = [Block(log_size=1, table=0, width=1, rows=evaluated([table])), Block(log_size=0, table=0, width=1)]
    witnesses = [Witness(columns=[table], multiplicities=counts.astype(np.uint64)), Witness(columns=[np.array([3])])]
    beta, *rest = random_ext(np.random.default_rng(7), 20)
    passed = []
    for alpha in range(128):
        script = [(alpha, 0), beta, *rest]
        try:
            verify(prove(blocks, witnesses, Writer(Script(script))), blocks, Script(script))
        except ProofError:
            continue
        passed.append(alpha)
    assert 7 in passed
    assert len(passed) <= 2


def test_cut_or_changed_proofs_are_refused() -> None:
    blocks, witnesses = case(1, [(1, 0), (0, 1)], [1, 1, 0])
    proof = prove(blocks, witnesses)
    for length in range(0, len(proof), 5):
        with pytest.raises(MalformedError):
            verify(proof[:length], blocks)
    for position in range(len(proof)):
        changed = bytearray(proof)
        changed[position] ^= 1 << position % 8
        with pytest.raises(Error):
            verify(bytes(changed), blocks)


def test_a_zero_coordinate_is_handled() -> None:
    # A claim at a point with coordinates 0 and 1 says nothing about half of the summand; the prover must still send the truth.
    blocks, witnesses = case(*SMALL)
    rng = np.random.default_rng(5)
    script = random_ext(rng, 2) + [(i % 2, 0) if i % 3 else (0, 0) for i in range(40)]
    claims = verify(prove(blocks, witnesses, Writer(Script(script))), blocks, Script(script))
    assert ZERO in claims[0].point


def test_the_error_of_a_large_instance_is_far_below_a_hundred_bits() -> None:
    blocks = [Block(log_size=18, table=0, width=3), Block(log_size=16, table=0, width=3, rows=evaluated([]))]
    numerator = error_numerator(blocks)
    assert numerator == 3 * (2**18 + 2**16) + sum(2 * k + 2 for k in range(19))
    assert numerator * 2**100 < field.P**2
    assert error_numerator([Block(log_size=0, table=0, width=0)]) == 1 + 2


def test_blocks_are_aligned() -> None:
    assert stack([3, 2, 2, 0]) == (5, [0, 8, 12, 16])
    assert stack([0]) == (1, [0])
    assert stack([4, 4]) == (5, [0, 16])
    for sizes in ([], [1, 2]):
        with pytest.raises(ValueError, match="descending"):
            stack(sizes)
    rng = np.random.default_rng(6)
    point = random_ext(rng, 5)
    whole = np.arange(32)
    parts = [(3, 0), (2, 8), (2, 12), (0, 16)]
    values = [
        field.ext_mul(prefix_weight(point, log, at), extension(whole[at : at + (1 << log)], point[5 - log :]))
        for log, at in parts
    ]
    assert field.ext_sum(values) == extension(np.where(whole < 17, whole, 0), point)


def test_the_plain_loops_give_the_same_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks, witnesses = case(8, [(6, 0), (5, 1), (5, 2), (3, 2), (0, 0)], [5, 6, 3])
    proof = prove(blocks, witnesses)
    monkeypatch.setattr(logup_prover, "LOOPS", sumcheck_plain)
    assert prove(blocks, witnesses) == proof


def test_a_tree_deep_enough_for_two_eq_tables() -> None:
    # Beyond 2^9 rows the weights come as an outer and an inner table, and the last run of rows is not full.
    blocks, witnesses = case(9, [(11, 0), (9, 1), (4, 2)], [5, 6, 3])
    verify(prove(blocks, witnesses), blocks)
