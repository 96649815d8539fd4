# SPDX-License-Identifier: Apache-2.0
"""The numbers that the security of a proof rests on, and that they count what the protocol does."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.zk.sumcheck import programs
from verifiable.errors import MalformedError
from verifiable.model.program.ops import Combine, Maximum, Requantise
from verifiable.zk.sumcheck import budget as budgets
from verifiable.zk.sumcheck import commitment, verifier
from verifiable.zk.sumcheck.budget import budget, claims
from verifiable.zk.sumcheck.layout import Layout
from verifiable.zk.sumcheck.prover import Prover
from verifiable.zk.sumcheck.soundness import FIELD, LOG_BLOWUP, OPENING_BITS, QUERIES, opening_error, queries_for, whole_bits
from verifiable.zk.sumcheck.structure import Structure
from verifiable.zk.sumcheck.transcript import Transcript
from verifiable.zk.sumcheck.verifier import MAGIC, SECURITY_BITS, Statement, admit, header, verify


def error(queries: int, log_cols: int, log_blowup: int = 2) -> Fraction:
    return opening_error(log_blowup=log_blowup, queries=queries, log_cols=log_cols)


@pytest.mark.parametrize("log_size", range(commitment.MAX_LOG_SIZE + 1))
def test_every_shape_has_its_bits(log_size: int) -> None:
    rows, log_cols = commitment.shape(log_size, 1 << log_size)
    assert rows << log_cols == 1 << log_size
    assert whole_bits(error(QUERIES, log_cols, LOG_BLOWUP)) >= OPENING_BITS


def test_the_bound_by_hand() -> None:
    # Rate 1/4: a query passes with 5/8; a code of length 16 fails to show that the words are far with 32 / |E|.
    assert error(2, 2) == Fraction(25, 64) + Fraction(32, FIELD)
    assert error(2, 2, log_blowup=1) == Fraction(9, 16) + Fraction(16, FIELD)
    assert whole_bits(error(10_000, 8)) == 116  # so many queries that only 2^11 / p^2 is left, p^2 a little below 2^128


@pytest.mark.parametrize("log_cols", range(12))
def test_no_query_passes_more_often_than_the_bound_says(log_cols: int) -> None:
    """Both cases of the proof, with the integers that they are about."""
    cols, length = 1 << log_cols, 1 << (log_cols + LOG_BLOWUP)
    errors = (length - cols) // 2
    assert 2 * errors < length - cols + 1  # unique decoding
    passes = max(length - errors - 1, cols - 1 + errors)
    assert Fraction(passes, length) <= Fraction(5, 8)


@pytest.mark.parametrize("dimension", [1, 2])
def test_lines_close_to_a_code_are_close_at_common_positions(dimension: int) -> None:
    """The document's *Lines* over 13 elements, code length 4, for every pair of words (modulo codewords, by their syndromes)."""
    p, points = 13, (1, 5, 12, 8)
    length, errors, rest = 4, (4 - dimension) // 2, 4 - dimension
    # The dual code: x_j for this subgroup, times powers of the points, up to the degree that is left.
    checks = np.array([[pow(x, i + 1, p) for x in points] for i in range(rest)])
    codewords = np.array([[pow(x, i, p) for x in points] for i in range(dimension)])
    assert not (checks @ codewords.T % p).any()
    assert errors == 1
    # A word is within one error of the code exactly if its syndrome is a multiple of one column.
    syndromes = np.array(list(itertools.product(range(p), repeat=rest)))
    place = p ** np.arange(rest)[::-1]
    at = np.zeros((length, p**rest), bool)
    for j in range(length):
        for factor in range(p):
            at[j, factor * checks[:, j] % p @ place] = True
    near = at.any(axis=0)
    close = sum(near[(syndromes[:, None] + z * syndromes[None]) % p @ place].astype(np.int64) for z in range(p))
    common = (at[:, :, None] & at[:, None, :]).any(axis=0)
    assert (close[common] == p).all()
    assert common[close > length + errors].all()
    assert (close[~common] > 1).any()  # there is something to bound


def test_more_queries_and_shorter_codes_never_hurt() -> None:
    assert all(error(q, 11) > error(q + 1, 11) for q in range(1, 200, 7))
    assert all(error(QUERIES, k) < error(QUERIES, k + 1) for k in range(20))


@pytest.mark.parametrize("wanted", [1, 64, 100, 104, 110])
def test_queries_are_just_enough(wanted: int) -> None:
    count = queries_for(wanted)
    assert Fraction(5, 8) ** count <= Fraction(1, 2**wanted) < Fraction(5, 8) ** (count - 1)


def test_bits_are_rounded_down_exactly() -> None:
    assert [whole_bits(Fraction(1, n)) for n in (1, 2, 3, 4, 2**100, 2**100 + 1)] == [0, 1, 1, 2, 100, 100]
    assert whole_bits(Fraction(3, 2**102)) == 100
    for chance in (Fraction(0), Fraction(2)):
        with pytest.raises(ValueError, match="not a chance"):
            whole_bits(chance)


@pytest.mark.parametrize("used", [n for _, least in commitment.LEAST_USED for n in (least - 1, least)])
def test_the_shapes_are_the_shortest(used: int) -> None:
    log_size = (used - 1).bit_length()
    best = min(range(log_size + 1), key=lambda k: commitment.expected_size(used / 2**k, k))
    assert commitment.shape(log_size, used) == (-(-used // 2**best), best)


@pytest.mark.parametrize("used", [1, 5, 401, 430, 17_088, 133_264, 6_824_200, 2**28])
def test_only_the_rows_in_use_are_committed(used: int) -> None:
    for log_size in {(used - 1).bit_length(), 28}:
        rows, log_cols = commitment.shape(log_size, used)
        assert (rows - 1) << log_cols < used <= rows << log_cols <= 1 << log_size


# -- the whole proof ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", programs.ALL)
def test_the_budget_counts_every_challenge_that_is_drawn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each challenge of a real verification, by the degree of the polynomial that it tests, is within the part it belongs to."""
    program = programs.ALL[name](0)
    prover = Prover(program, bytes(32))
    given = programs.inputs(program, 2)
    made = prover.prove(given)
    statement = Statement(circuit=bytes(32), weights=prover.weights.root, inputs=given, outputs=made.outputs)
    layout = admit(prover.structure, statement)
    drawn: Counter[str] = Counter()
    sizes: Counter[str] = Counter()

    class Counting(Transcript):
        def challenges(self, label: str, count: int) -> list[tuple[int, int]]:
            drawn[label] += count
            return super().challenges(label, count)

    true = verifier._check_opening

    def counted(reader, label, root, stack, found):  # type: ignore[no-untyped-def]
        sizes[label] = len(found)
        true(reader, label, root, stack, found)

    monkeypatch.setattr(verifier, "Transcript", Counting)
    monkeypatch.setattr(verifier, "_check_opening", counted)
    verify(prover.structure, statement, made.proof)
    parts = {key: part * FIELD for key, part in budget(layout).parts.items()}
    blocks = [leaf.block for leaf in layout.leaves]
    rows = sum(1 << block.log_size for block in blocks) * max((block.width for block in blocks), default=0)
    tables = drawn.pop("logup mix", 0) + drawn.pop("logup merge", 0) + 2 * drawn.pop("logup challenge", 0)
    assert drawn.pop("logup alpha, beta", 0) == (2 if blocks else 0)
    # No mix is drawn for the root, where the bound counts one all the same.
    assert 0 <= parts["tables"] - rows - tables <= 1
    points = drawn.pop("output point", 0)
    assert points == sum(sum(layout.tensor_logs(output.tensor)) for output in program.outputs)
    batching = sum(sizes.values()) + 2 * (drawn.pop("trace challenge") + drawn.pop("weights challenge"))
    assert batching <= parts["batching"]
    assert (drawn.pop("trace claims"), drawn.pop("weights claims")) == (1, 1)
    found = claims(prover.structure).results
    tensors = [i for i, op in enumerate(program.ops) if found[i] > 1 and not isinstance(op, Requantise | Maximum)]
    assert drawn.pop("merge claims", 0) == len(tensors)
    assert sum(found[i] for i in tensors) + 2 * drawn.pop("merge challenge", 0) == parts["merges"]
    # Coefficients of the proximity test belong to the openings; what is left are the rounds of the walk.
    drawn.pop("opening rows")
    rounds = {
        label: drawn.pop(label)
        for label in list(drawn)
        if label in {f"{k} challenge" for k in ("dense", "conv", "scale", "select")}
    }
    assert not drawn
    assert points + 2 * sum(rounds.values()) <= parts["walk"] + parts["outputs"]


def test_the_header_says_what_the_budget_gives() -> None:
    prover = Prover(programs.mlp(), bytes(32))
    layout = Layout.of(prover.structure, 3)
    bits = budget(layout).bits
    assert bits >= SECURITY_BITS
    assert header(layout) == MAGIC + bits.to_bytes(2, "little")
    assert prover.prove(programs.inputs(prover.program, 3)).proof.startswith(header(layout))


def test_how_large_a_proof_keeps_the_promise() -> None:
    """Each row of the table argument has a cell of its own in T, and is the largest part; some 2^26 cells are the end."""

    def bits(log_size: int, width: int) -> int:
        opening = opening_error(log_cols=commitment.shape(log_size, 1 << log_size)[1], log_blowup=LOG_BLOWUP, queries=QUERIES)
        algebra = (width << log_size) + 30 * 31
        return whole_bits(2 * opening + Fraction(algebra, FIELD))

    assert bits(22, 3) == 102
    assert bits(26, 3) == SECURITY_BITS
    assert bits(28, 2) < SECURITY_BITS


def test_too_few_bits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    prover = Prover(programs.mlp(), bytes(32))
    monkeypatch.setattr(budgets, "QUERIES", queries_for(99))
    with pytest.raises(MalformedError, match="too large for 100 bits"):
        prover.prove(programs.inputs(prover.program, 1))


def doubled(times: int) -> Structure:
    m = programs.Maker(0, 2)
    x = 0
    for _ in range(times):
        x = m.add(Combine(sources=(x, x), coefficients=(1, -1), constant=0))
    return Structure.of(m.done(x))


def test_claims_on_a_tensor_that_is_read_twice_do_not_double() -> None:
    """Unmerged, fifty sums of a tensor with itself would make 2^50 claims, and a short proof as much work."""
    found = claims(doubled(50))
    assert max(found.results) == 2
    assert budget(Layout.of(doubled(50), 1)).bits >= SECURITY_BITS


def test_the_document_has_a_row_for_every_part(checkout: Path) -> None:
    text = (checkout / "docs/formats/sumcheck.md").read_text()
    rows = set(re.findall(r"^\| `([a-z ]+)` \|", text, re.MULTILINE))
    assert set(budget(Layout.of(Structure.of(programs.mlp()), 1)).parts) <= rows
    assert f"{QUERIES} queries" in text
