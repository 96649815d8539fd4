# SPDX-License-Identifier: Apache-2.0
"""Openings that hold, and every way in which a prover may try to have one that does not."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiable.errors import Error, MalformedError, ProofError
from verifiable.zk.sumcheck import coding, commit_prover, commitment, field, tables
from verifiable.zk.sumcheck.commit_prover import Committed
from verifiable.zk.sumcheck.field import Array, Ext, P
from verifiable.zk.sumcheck.reader import Reader
from verifiable.zk.sumcheck.soundness import QUERIES
from verifiable.zk.sumcheck.transcript import Transcript
from verifiable.zk.sumcheck.writer import Writer

N = 9
ROWS, COLS = 16, 32


def table_of(log_size: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).integers(0, P, 1 << log_size, dtype=np.uint64)


def point_of(log_size: int, seed: int = 2) -> list[Ext]:
    return [(int(a), int(b)) for a, b in np.random.default_rng(seed).integers(0, P, (log_size, 2), dtype=np.uint64)]


def transcript(state: bytes = b"before") -> Transcript:
    result = Transcript()
    result.absorb("before", state)
    return result


def opening(committed: Committed, point: list[Ext], value: Ext, state: bytes = b"before") -> bytes:
    writer = Writer(transcript(state))
    commit_prover.open(committed, point, value, writer)
    return writer.getvalue()


def check(
    root: bytes, point: list[Ext], value: Ext, data: bytes, state: bytes = b"before", used: int | None = None
) -> Transcript:
    reader = Reader(data, transcript(state))
    commitment.check(root, len(point), point, value, reader, used=used or 1 << len(point))
    reader.done()
    return reader.transcript


@pytest.fixture(scope="module")
def honest() -> tuple[Committed, list[Ext], Ext, bytes]:
    committed, point = commit_prover.commit(table_of(N)), point_of(N)
    value = tables.evaluate(committed.table, point)
    return committed, point, value, opening(committed, point, value)


Honest = tuple[Committed, list[Ext], Ext, bytes]
U, V = slice(0, 16 * COLS), slice(16 * COLS, 32 * COLS)


def refused(kind: type[Error], match: str, root: bytes, point: list[Ext], value: Ext, data: bytes, **state: bytes) -> None:
    with pytest.raises(kind, match=re.escape(match)):
        check(root, point, value, data, **state)


NOT_COMBINED = "combination is not that of the committed columns"
NOT_UNDER_ROOT = "the columns are not those under the root"


# -- what holds -----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 12), st.integers(0, 2**32), st.booleans())
def test_an_honest_opening_holds(log_size: int, seed: int, keep: bool) -> None:
    table, point = table_of(log_size, seed), point_of(log_size, seed + 1)
    table[:: 1 + seed % 7] = seed % 3 * (P - 1) // 2  # zeros and p - 1 among them
    used = 1 + seed // 7 % len(table)
    table[used:] = 0
    committed = commit_prover.commit(table, used, keep=keep)
    value = field.evaluate(table, point)
    data = opening(committed, point, value)
    check(committed.root, point, value, data, used=used)
    assert data == opening(commit_prover.commit(table, used, keep=not keep), point, value)
    assert data == opening(commit_prover.forget(committed), point, value)


def test_both_sides_end_in_one_state(honest: Honest) -> None:
    committed, point, value, data = honest
    writer = Writer(transcript())
    commit_prover.open(committed, point, value, writer)
    assert check(committed.root, point, value, data).challenge("next") == writer.transcript.challenge("next")


def test_one_commitment_serves_many_openings(honest: Honest) -> None:
    committed = honest[0]
    for seed in range(3, 6):
        point = point_of(N, seed)
        value = tables.evaluate(committed.table, point)
        check(committed.root, point, value, opening(committed, point, value))


def test_a_boolean_point_gives_the_entry(honest: Honest) -> None:
    committed = honest[0]
    point = [(int(bit), 0) for bit in f"{300:09b}"]
    value = (int(committed.table[300]), 0)
    check(committed.root, point, value, opening(committed, point, value))


@pytest.mark.parametrize("size", [3, 0, 12])
def test_a_table_that_is_no_power_of_two_is_refused(size: int) -> None:
    with pytest.raises(MalformedError, match="2\\^n"):
        commit_prover.commit(np.zeros(size, dtype=np.uint64))


@pytest.mark.parametrize("log_size", [-1, 29, 2**40])
def test_a_hostile_size_is_refused_before_anything_is_allocated(log_size: int) -> None:
    with pytest.raises(MalformedError, match="not within"):
        commitment.shape(log_size, 1)


@pytest.mark.parametrize("used", [-1, 0, 513, 2**40])
def test_a_hostile_number_of_used_elements_is_refused(used: int) -> None:
    with pytest.raises(MalformedError, match="not within"):
        commitment.shape(9, used)


# -- rows that are zero by definition -------------------------------------------------------------------------------------


USED = 427  # of 512: 14 of 16 rows, the last in part


@pytest.fixture(scope="module")
def shorter() -> Honest:
    table, point = table_of(N), point_of(N)
    table[USED:] = 0
    committed = commit_prover.commit(table, USED)
    value = tables.evaluate(table, point)
    return committed, point, value, opening(committed, point, value)


def test_rows_beyond_the_used_ones_take_no_room(shorter: Honest) -> None:
    committed, point, value, data = shorter
    check(committed.root, point, value, data, used=USED)
    indices, _, _ = parts(shorter, USED)
    assert len(data) == 32 * COLS + 8 * 14 * len(indices) + 32 * len(commitment.missing_nodes(indices, 7))
    assert committed.root != commit_prover.commit(committed.table).root


def test_elements_beyond_the_used_ones_must_be_zero(shorter: Honest) -> None:
    table = shorter[0].table.copy()
    table[USED] = 1
    with pytest.raises(MalformedError, match="from 427 on is not zero"):
        commit_prover.commit(table, USED)


def test_a_value_that_counts_rows_beyond_the_used_ones_is_refused(shorter: Honest) -> None:
    """A prover whose table goes on after the rows that it committed to: what lies there cannot enter a value."""
    committed, point, _, _ = shorter
    longer = committed.table.copy()
    longer[14 * COLS] = 1
    value = tables.evaluate(longer, point)
    data = opening(dataclasses.replace(committed, table=longer), point, value)
    with pytest.raises(ProofError, match="does not evaluate"):
        check(committed.root, point, value, data, used=USED)


@pytest.mark.parametrize("used", [USED - 1, USED + 1, USED + COLS, 512])
def test_the_number_of_used_elements_is_the_verifiers(shorter: Honest, used: int) -> None:
    committed, point, value, data = shorter
    with pytest.raises(Error):
        check(committed.root, point, value, data, used=used)


# -- a false statement ----------------------------------------------------------------------------------------------------


def test_a_wrong_value(honest: Honest) -> None:
    committed, point, value, data = honest
    wrong = field.ext_add(value, field.ONE)
    refused(ProofError, "does not evaluate", committed.root, point, wrong, data)
    refused(ProofError, "does not evaluate", committed.root, point, wrong, opening(committed, point, wrong))


def combination(data: bytes, part: slice) -> Array:
    return field.decode(data[part], "u").reshape(-1, 2)


def test_another_row_that_has_the_wrong_value(honest: Honest, monkeypatch: pytest.MonkeyPatch) -> None:
    committed, point, value, _ = honest
    wrong = field.ext_add(value, (0, 1))
    first = field.eq_table(point[4:])[0]
    # u + (x / eq(z_col, 0)) e_0 evaluates to the wrong value; the columns are then all that is against it.
    change = field.ext_mul((0, 1), field.ext_inverse((int(first[0]), int(first[1]))))
    combine, calls = tables.combine_rows, []

    def lie(matrix: Array, weights: Array) -> Array:
        row = combine(matrix, weights)
        if not calls:
            row[0] = field.ext_add((int(row[0, 0]), int(row[0, 1])), change)
        calls.append(1)
        return row

    monkeypatch.setattr(tables, "combine_rows", lie)
    data = opening(committed, point, wrong)
    refused(ProofError, f"the evaluation {NOT_COMBINED}", committed.root, point, wrong, data)


@pytest.mark.parametrize(("which", "name"), [(0, "evaluation"), (1, "proximity")])
def test_a_wrong_row_combination(honest: Honest, monkeypatch: pytest.MonkeyPatch, which: int, name: str) -> None:
    committed, point, value, _ = honest
    combine, calls = tables.combine_rows, []
    kernel = field.eq_table(point[4:])

    def lie(matrix: Array, weights: Array) -> Array:
        row = combine(matrix, weights)
        if len(calls) == which:
            # Orthogonal to eq(z_col): the value stays the claimed one.
            a, b = [(int(x), int(y)) for x, y in kernel[:2]]
            row[0] = field.ext_add((int(row[0, 0]), int(row[0, 1])), b)
            row[1] = field.ext_sub((int(row[1, 0]), int(row[1, 1])), a)
        calls.append(1)
        return row

    monkeypatch.setattr(tables, "combine_rows", lie)
    data = opening(committed, point, value)
    refused(ProofError, f"the {name} {NOT_COMBINED}", committed.root, point, value, data)


def test_an_opening_for_another_root(honest: Honest) -> None:
    committed, point, value, data = honest
    other = commit_prover.commit(table_of(N, 99))
    for root in (other.root, bytes(32), committed.root[:-1] + bytes([committed.root[-1] ^ 1])):
        # Which columns are drawn, and so what the bytes mean, depends on the statement: they may even be too few to be read.
        refused(Error, "opening", root, point, value, data)


def test_another_table_opened_under_this_root(honest: Honest) -> None:
    committed, point, _, _ = honest
    other = commit_prover.commit(table_of(N, 99))
    value = tables.evaluate(other.table, point)
    data = opening(dataclasses.replace(other, root=committed.root), point, value)
    refused(ProofError, NOT_UNDER_ROOT, committed.root, point, value, data)


def test_an_opening_at_another_point(honest: Honest) -> None:
    committed, point, value, data = honest
    for position in range(N):
        moved = [*point[:position], field.ext_add(point[position], field.ONE), *point[position + 1 :]]
        refused(Error, "opening", committed.root, moved, value, data)


def test_a_proof_of_another_transcript_state(honest: Honest) -> None:
    committed, point, value, data = honest
    for state in (b"", b"after", b"befora", b"before\0"):
        refused(Error, "opening", committed.root, point, value, data, state=state)


@pytest.mark.parametrize("change", [lambda r: r[:-1], lambda r: r + b"\0", lambda _: b""])
def test_a_root_of_another_length(honest: Honest, change: Callable[[bytes], bytes]) -> None:
    committed, point, value, data = honest
    refused(MalformedError, "a root of", change(committed.root), point, value, data)


def test_a_point_of_another_length(honest: Honest) -> None:
    committed, point, value, data = honest
    with pytest.raises(MalformedError, match="coordinates"):
        commitment.check(committed.root, N, point[1:], value, Reader(data, transcript()), used=1 << N)


# -- a false opening ------------------------------------------------------------------------------------------------------


def parts(honest: Honest, used: int = 1 << N) -> tuple[list[int], int, int]:
    """The opened indices, and where columns and nodes begin."""
    committed, point, value, data = honest
    state = transcript()
    commitment.begin(state, committed.root, used, point, value)
    state.absorb("opening combinations", data[: 32 * COLS])
    indices = commitment.draw_columns(state, 5)
    return indices, 32 * COLS, 32 * COLS + 8 * ROWS * len(indices)


def test_the_sections_are_where_the_document_says(honest: Honest) -> None:
    indices, columns, nodes = parts(honest)
    assert indices == sorted(set(indices))
    assert len(honest[3]) == nodes + 32 * len(commitment.missing_nodes(indices, 7))
    words = field.ntt(np.pad(honest[0].table.reshape(ROWS, COLS), ((0, 0), (0, 3 * COLS))))
    assert honest[3][columns:nodes] == field.encode(words[:, indices].T)


def test_one_column_altered(honest: Honest) -> None:
    committed, point, value, data = honest
    _, columns, nodes = parts(honest)
    for at in range(columns, nodes, 997):
        altered = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(Error, match="columns"):
            check(committed.root, point, value, altered)


def test_two_columns_swapped(honest: Honest) -> None:
    committed, point, value, data = honest
    _, at, _ = parts(honest)
    size = 8 * ROWS
    swapped = data[:at] + data[at + size : at + 2 * size] + data[at : at + size] + data[at + 2 * size :]
    refused(ProofError, NOT_UNDER_ROOT, committed.root, point, value, swapped)


def test_one_column_shown_for_all(honest: Honest) -> None:
    committed, point, value, data = honest
    indices, at, nodes = parts(honest)
    same = data[:at] + data[at : at + 8 * ROWS] * len(indices) + data[nodes:]
    refused(ProofError, NOT_UNDER_ROOT, committed.root, point, value, same)


def test_a_column_sent_twice_is_one_too_many(honest: Honest) -> None:
    # 154 draws among 128 columns repeat: a column per draw, instead of one per index, would be a second spelling.
    committed, point, value, data = honest
    indices, at, _ = parts(honest)
    assert len(indices) < QUERIES
    with pytest.raises(Error):
        check(committed.root, point, value, data[:at] + data[at : at + 8 * ROWS] + data[at:])


def test_a_node_altered(honest: Honest) -> None:
    committed, point, value, data = honest
    _, _, nodes = parts(honest)
    for at in range(nodes, len(data), 32):
        altered = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        refused(ProofError, NOT_UNDER_ROOT, committed.root, point, value, altered)


def test_leaves_are_no_nodes() -> None:
    # A column of eight elements is as long as two digests: without the first byte one tree could be shown as another.
    left, right = commitment.hash_leaf(b"a"), commitment.hash_leaf(b"b")
    assert commitment.hash_leaf(left + right) != commitment.hash_node(left, right)
    assert commitment.hash_leaf(b"\1" + left + right) != commitment.hash_node(left, right)


def test_nodes_shown_as_columns() -> None:
    """A tree one level higher, whose leaves are pairs of digests, does not pass for one over columns of eight elements."""
    point, value = [(0, 0)] * 3, (1, 0)
    committed = commit_prover.commit(np.array([1, 2, 3, 4, 5, 6, 7, 8], dtype=np.uint64))
    data = opening(committed, point, value)
    check(committed.root, point, value, data)
    below = committed.levels[0].tobytes()
    columns = data[32 : 32 + 64 * 4]
    for fake in (below[:64] * 4, below * 2, below[:64] + columns[64:]):
        with pytest.raises(Error):
            check(committed.root, point, value, data[:32] + fake + data[32 + 64 * 4 :])


@pytest.mark.parametrize("section", ["combinations", "columns"])
def test_an_element_that_is_not_below_p(section: str) -> None:
    # All zeros is a true table: p says 0, too, and must not be let through as a second spelling.
    committed, point = commit_prover.commit(np.zeros(1 << N, dtype=np.uint64)), point_of(N)
    data = opening(committed, point, field.ZERO)
    check(committed.root, point, field.ZERO, data)
    at = 0 if section == "combinations" else 32 * COLS
    for where in (at, at + 8, at + 8 * 7):
        spelled = data[:where] + P.to_bytes(8, "little") + data[where + 8 :]
        refused(
            MalformedError, f"opening {section}: a field element that is not below p", committed.root, point, field.ZERO, spelled
        )


def test_truncated_and_trailing_bytes(honest: Honest) -> None:
    committed, point, value, data = honest
    _, columns, nodes = parts(honest)
    for end in (0, 1, columns - 1, columns, columns + 8, nodes - 1, nodes, len(data) - 32, len(data) - 1):
        refused(MalformedError, "left", committed.root, point, value, data[:end])
    refused(MalformedError, "1 bytes too many", committed.root, point, value, data + b"\0")
    refused(MalformedError, "too many", committed.root, point, value, data + data)


def test_any_byte_flipped(honest: Honest) -> None:
    committed, point, value, data = honest
    rng = np.random.default_rng(7)
    for at in rng.choice(len(data), 150, replace=False).tolist():
        altered = data[:at] + bytes([data[at] ^ int(rng.integers(1, 256))]) + data[at + 1 :]
        with pytest.raises(Error):
            check(committed.root, point, value, altered)


# -- a matrix that is no code word ----------------------------------------------------------------------------------------


def commit_to_words(table: Array, words: Array) -> Committed:
    """A commitment whose tree and columns are those of ``words`` (rows, 4 cols), whatever the table is."""
    cols = words.shape[1] // 4
    encoded = []
    leaves = np.empty((4 * cols, 4), dtype=np.uint64)
    for coset in range(4):
        ordered = words[:, coset::4][:, field.bit_reversal(cols)]
        encoded.append(np.ascontiguousarray(ordered.reshape(-1, 8, cols).transpose(0, 2, 1)))
        coding.hash_columns(encoded[-1], ROWS, coset, leaves)
    levels = coding.tree(leaves)
    return Committed(
        root=levels[-1].tobytes(),
        log_size=len(table).bit_length() - 1,
        used=len(table),
        table=table,
        levels=levels,
        encoded=tuple(encoded),
    )


def code_words(table: Array) -> Array:
    return field.ntt(np.pad(table.reshape(ROWS, COLS), ((0, 0), (0, 3 * COLS))))


def outcomes(committed: Committed, states: int) -> list[str]:
    """How openings at true values end, one per transcript state: accepted is an empty string."""
    found = []
    for state in range(states):
        point = point_of(N, state)
        value = tables.evaluate(committed.table, point)
        data = opening(committed, point, value, state.to_bytes(2, "little"))
        try:
            check(committed.root, point, value, data, state.to_bytes(2, "little"))
            found.append("")
        except ProofError as error:
            found.append(error.message)
    return found


def test_the_lying_commitment_is_otherwise_the_honest_one(honest: Honest) -> None:
    committed = commit_to_words(honest[0].table, code_words(honest[0].table))
    assert committed.root == honest[0].root
    assert outcomes(committed, 2) == ["", ""]


@pytest.mark.parametrize("bad", [48, 64, 128])
def test_words_far_from_the_code_are_always_refused(bad: int) -> None:
    table = table_of(N)
    words = code_words(table)
    where = np.random.default_rng(3).choice(128, bad, replace=False)
    words[5, where] = field.add(words[5, where], np.ones(bad, dtype=np.uint64))
    # 48 of 128 is the unique decoding radius: a query misses with 5/8 at most, all 154 with 2^-104.
    assert all(NOT_COMBINED in message for message in outcomes(commit_to_words(table, words), 10))


def test_words_of_higher_degree_are_refused() -> None:
    table = table_of(N)
    wide = np.random.default_rng(4).integers(0, P, (ROWS, 2 * COLS), dtype=np.uint64)
    words = field.ntt(np.pad(wide, ((0, 0), (0, 2 * COLS))))
    assert all(NOT_COMBINED in message for message in outcomes(commit_to_words(table, words), 5))


def test_one_bad_column_is_found_when_it_is_drawn() -> None:
    """The check is as strong as it should be: all 154 draws miss one bad column of 128 with a chance of (127/128)^154 = 0.30."""
    table = table_of(N)
    words = code_words(table)
    words[3, 77] ^= np.uint64(1)
    accepted = outcomes(commit_to_words(table, words), 160).count("")
    assert 30 <= accepted <= 66  # 48 expected, standard deviation 5.8; with half as many draws it would be 87


def test_all_queries_are_drawn() -> None:
    # Among 2^62 columns none is drawn twice.
    assert len(commitment.draw_columns(transcript(), 60)) == QUERIES


def test_noise_that_cancels_at_the_point_is_found_by_the_proximity_row() -> None:
    """Against a point known beforehand, two far rows can hide in u; v has coefficients that nobody knew."""
    table = table_of(N)
    point = [(3, 0), (5, 0), (7, 0), (11, 0), *point_of(5)]
    weights = field.eq_table(point[:4])[:, 0]
    noise = np.random.default_rng(6).integers(0, P, 128, dtype=np.uint64)
    words = code_words(table)
    words[0] = field.add(words[0], field.mul(noise, np.full_like(noise, weights[1])))
    words[1] = field.sub(words[1], field.mul(noise, np.full_like(noise, weights[0])))
    committed = commit_to_words(table, words)
    value = tables.evaluate(table, point)
    data = opening(committed, point, value)
    refused(ProofError, f"the proximity {NOT_COMBINED}", committed.root, point, value, data)


def test_a_value_between_two_near_words_is_refused() -> None:
    """A matrix within the radius of its code words opens to their value alone, and only when the bad columns are not drawn."""
    table = table_of(N)
    words = code_words(table)
    other = code_words(table_of(N, 8))
    words[:, 40:] = other[:, 40:]  # 40 columns of one table, 88 of the other
    for source in (table, table_of(N, 8)):
        assert all(NOT_COMBINED in message for message in outcomes(commit_to_words(source, words), 5))


# -- what the challenges depend on ----------------------------------------------------------------------------------------


def challenges(
    root: bytes, point: list[Ext], value: Ext, combinations: bytes, state: bytes = b"before"
) -> tuple[list[Ext], list[int]]:
    reader = Reader(combinations, transcript(state))
    proximity = commitment.begin(reader.transcript, root, 1 << N, point, value)
    reader.array("opening combinations", 2, COLS, 2)
    return proximity, commitment.draw_columns(reader.transcript, 5)


def test_all_that_is_stated_binds_the_coefficients_and_all_that_is_sent_binds_the_columns(honest: Honest) -> None:
    committed, point, value, data = honest
    sent = data[: 32 * COLS]
    true = challenges(committed.root, point, value, sent)
    statements = [
        challenges(bytes(32), point, value, sent),
        *(challenges(committed.root, [*point[:i], (point[i][0], 1), *point[i + 1 :]], value, sent) for i in range(N)),
        challenges(committed.root, point, (value[0], 1), sent),
        challenges(committed.root, point, value, sent, b"after"),
    ]
    assert all(other[0] != true[0] and other[1] != true[1] for other in statements)
    for at in range(0, len(sent), 61):
        other = challenges(committed.root, point, value, sent[:at] + bytes([sent[at] ^ 1]) + sent[at + 1 :])
        assert other[0] == true[0]
        assert other[1] != true[1]
