# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.zk.sumcheck.liars import Forgetful, Liar, Script, random_ext, random_table
from verifiable.errors import MalformedError, ProofError
from verifiable.zk.sumcheck import field, sumcheck, sumcheck_plain, tables
from verifiable.zk.sumcheck.field import ONE, ZERO, Ext, ext_add, ext_mul, ext_sub
from verifiable.zk.sumcheck.reader import Reader
from verifiable.zk.sumcheck.sumcheck import verify_against, verify_product, verify_rounds
from verifiable.zk.sumcheck.sumcheck_prover import LOOPS, prove_against, prove_product
from verifiable.zk.sumcheck.transcript import Transcript
from verifiable.zk.sumcheck.writer import Writer


def lifted(table: np.ndarray) -> field.Array:
    if table.ndim == 2:
        return table
    return field.lift(field.ext_array([(int(v) % field.P, 0) for v in table])[:, 0])


def total(a: np.ndarray, b: np.ndarray, weights: list[Ext]) -> Ext:
    """The claim, by the definition."""
    spread = np.repeat(field.eq_table(weights), len(a) >> len(weights), axis=0)
    return field.dot_ext(field.mul_ext(lifted(a), lifted(b)), spread)


def table_of(kind: str, rng: np.random.Generator, log_size: int) -> np.ndarray:
    if kind == "E":
        return random_table(rng, log_size)
    if kind == "F":
        return rng.integers(0, field.P, size=1 << log_size, dtype=np.uint64)
    bounds = np.iinfo(kind)
    return rng.integers(bounds.min + 1, bounds.max, size=1 << log_size, dtype=kind)


KINDS = ["E", "F", "int8", "int32", "int64"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 7), st.integers(0, 7), st.sampled_from(KINDS), st.sampled_from(KINDS), st.booleans(), st.integers(0, 2**32))
def test_true_sums_are_accepted(rounds: int, weighted: int, left: str, right: str, boolean: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = table_of(left, rng, rounds), table_of(right, rng, rounds)
    weights = random_ext(rng, min(weighted, rounds))
    if boolean:
        weights = [(seed >> i & 1, 0) for i in range(len(weights))]
    claim, before = total(a, b, weights), (a.copy(), b.copy())
    writer = Writer(Transcript())
    proved = prove_product(writer, "t", claim, a, b, weights=weights)
    reader = Reader(writer.getvalue(), Transcript())
    point, value_a, value_b = verify_product(reader, "t", claim, rounds, weights)
    reader.done()
    assert proved == (point, value_a, value_b)
    assert value_a == field.evaluate(lifted(a), point)
    assert value_b == field.evaluate(lifted(b), point)
    assert np.array_equal(a, before[0])
    assert np.array_equal(b, before[1])
    assert reader.transcript.challenge("next") == writer.transcript.challenge("next")


@pytest.mark.parametrize("weighted", [0, 1, 4])
def test_a_public_factor_is_evaluated_by_the_verifier(weighted: int) -> None:
    rng = np.random.default_rng(weighted)
    a, b = random_table(rng, 4), random_table(rng, 4)
    claim = total(a, b, [])
    writer = Writer(Transcript())
    point, value = prove_against(writer, "t", a, b)
    reader = Reader(writer.getvalue(), Transcript())
    assert verify_against(reader, "t", claim, 4, lambda at: field.evaluate(b, at)) == (point, value)
    other = random_table(rng, 4)
    with pytest.raises(ProofError, match="final evaluation"):
        verify_against(Reader(writer.getvalue(), Transcript()), "t", claim, 4, lambda at: field.evaluate(other, at))


@pytest.mark.parametrize("weighted", [0, 2, 5])
@pytest.mark.parametrize(("label", "count"), [("t round", 5), ("t values", 1)])
def test_a_lie_in_any_message_is_refused(weighted: int, label: str, count: int) -> None:
    rng = np.random.default_rng(7)
    a, b, weights = random_table(rng, 5), random_table(rng, 5), random_ext(rng, weighted)
    claim = total(a, b, weights)
    for which in range(count):
        for entry in (0, 1):
            writer = Liar(label, which, lambda s, e=entry: [ext_add(v, ONE) if i == e else v for i, v in enumerate(s)])
            prove_product(writer, "t", claim, a, b, weights=weights)
            assert writer.lied
            with pytest.raises(ProofError, match="two final evaluations"):
                verify_product(Reader(writer.getvalue(), Transcript()), "t", claim, 5, weights)


@pytest.mark.parametrize("weighted", [0, 3])
def test_a_false_claim_is_refused(weighted: int) -> None:
    rng = np.random.default_rng(8)
    a, b, weights = random_table(rng, 3), random_table(rng, 3), random_ext(rng, weighted)
    claim = ext_add(total(a, b, weights), ONE)
    writer = Writer(Transcript())
    prove_product(writer, "t", claim, a, b, weights=weights)
    with pytest.raises(ProofError):
        verify_product(Reader(writer.getvalue(), Transcript()), "t", claim, 3, weights)


@pytest.mark.parametrize("weighted", [0, 3])
def test_other_weights_or_another_transcript_are_refused(weighted: int) -> None:
    rng = np.random.default_rng(9)
    a, b, weights = random_table(rng, 3), random_table(rng, 3), random_ext(rng, weighted)
    claim = total(a, b, weights)
    writer = Writer(Transcript())
    prove_product(writer, "t", claim, a, b, weights=weights)
    other = Transcript()
    other.absorb("context", b"another statement")
    with pytest.raises(ProofError):
        verify_product(Reader(writer.getvalue(), other), "t", claim, 3, weights)
    with pytest.raises(ProofError):
        verify_product(Reader(writer.getvalue(), Transcript()), "t", claim, 3, random_ext(rng, 3))


@pytest.mark.parametrize("label", ["t round", "t values"])
def test_what_is_not_absorbed_changes_every_later_challenge(label: str) -> None:
    rng = np.random.default_rng(10)
    a, b = random_table(rng, 3), random_table(rng, 3)
    claim = total(a, b, [])
    writer = Forgetful(label)
    prove_product(writer, "t", claim, a, b)
    reader = Reader(writer.getvalue(), Transcript())
    if label == "t round":
        with pytest.raises(ProofError):
            verify_product(reader, "t", claim, 3)
    else:
        verify_product(reader, "t", claim, 3)
        assert reader.transcript.challenge("next") != writer.transcript.challenge("next")


def test_a_prover_who_foresees_the_challenge_can_prove_anything() -> None:
    # Why each polynomial is absorbed before its challenge: this one was chosen after it.
    rng = np.random.default_rng(11)
    a, b = random_table(rng, 1), random_table(rng, 1)
    truth = total(a, b, [])
    false = ext_add(truth, ONE)
    seen = (12345, 678)
    value = ext_mul(field.evaluate(a, [seen]), field.evaluate(b, [seen]))
    # c0 + (false - 2 c0) r = value, with c2 = 0.
    slope = ext_sub(ONE, ext_add(seen, seen))
    constant = ext_mul(ext_sub(value, ext_mul(false, seen)), field.ext_inverse(slope))

    def forge(transcript: Transcript) -> bytes:
        writer = Writer(transcript)
        writer.scalars("t round", constant, ZERO)
        writer.scalars("t values", field.evaluate(a, [seen]), field.evaluate(b, [seen]))
        return writer.getvalue()

    point, *_ = verify_product(Reader(forge(Script([])), Script([seen])), "t", false, 1)
    assert point == [seen]
    with pytest.raises(ProofError):
        verify_product(Reader(forge(Transcript()), Transcript()), "t", false, 1)


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
def test_rounds_of_any_degree(degree: int) -> None:
    # The sum over x, y of x^degree y, as a polynomial: 1. Not multilinear, so the prover's rounds are written out here.
    writer = Writer(Transcript())
    coefficients = [ZERO] * degree + [ONE]
    writer.scalars("t round", coefficients[0], *coefficients[2:])
    first = writer.transcript.challenge("t challenge")
    power = ONE
    for _ in range(degree):
        power = ext_mul(power, first)
    writer.scalars("t round", *[ZERO] * degree)
    second = writer.transcript.challenge("t challenge")
    reader = Reader(writer.getvalue(), Transcript())
    reduced = verify_rounds(reader, "t", ONE, 2, degree)
    reader.done()
    assert (reduced.point, reduced.value) == ([first, second], ext_mul(power, second))


def test_a_cut_proof_is_malformed() -> None:
    rng = np.random.default_rng(12)
    a, b = random_table(rng, 3), random_table(rng, 3)
    writer = Writer(Transcript())
    prove_product(writer, "t", total(a, b, []), a, b)
    proof = writer.getvalue()
    for length in range(len(proof)):
        with pytest.raises(MalformedError):
            verify_product(Reader(proof[:length], Transcript()), "t", total(a, b, []), 3)


def test_in_a_small_subset_of_challenges_false_claims_survive_as_often_as_the_bound_says() -> None:
    """With challenges from a set of 16, a one-round lie survives with probability at most 2 / 16; the best one reaches it."""
    survived = 0
    for draw in range(16):
        challenge = (draw, 0)
        # Truth: the zero polynomial. Claim: g = (X - 3)(X - 5), so g(0) + g(1) = 15 + 8.
        writer = Writer(Transcript())
        writer.scalars("t round", (15, 0), ONE)
        writer.scalars("t values", ZERO, ZERO)
        try:
            verify_product(Reader(writer.getvalue(), Script([challenge])), "t", (23, 0), 1)
        except ProofError:
            continue
        survived += 1
    assert survived == 2


EXTREMES = np.array([0, 1, field.P - 1, field.P - 2, 2**32 - 1, 2**32, 2**63, field.P >> 1], np.uint64)


def loop_arguments(rng: np.random.Generator) -> dict[str, list[object]]:
    """Arguments for every compiled loop, full of numbers that carry and borrow."""

    def table(*shape: int) -> np.ndarray:
        return rng.choice(EXTREMES, size=shape) if rng.integers(2) else rng.integers(0, field.P, size=shape, dtype=np.uint64)

    def word() -> np.uint64:
        return table(1)[0]

    pairs, outer, inner = 24, table(4, 2), table(4, 2)
    ones = np.where(rng.random(8 * pairs) < 0.6, np.uint64(1), table(8 * pairs))
    return {
        "contract": [
            table(2 * 5 * 3, 2),
            np.array([0, 2, 2, 6]),
            np.array([0, 4, 1, 2, 3, 4]),
            table(6, 2),
            2,
            5,
            3,
            3,
            table(18, 2),
        ],
        "weighted_round": [table(64, 2), table(64, 2), table(8, 2), table(2, 2)],
        "eq_heap": [table(4, 2), table(32, 2)],
        "add_column": [table(9, 2), table(9), word(), word()],
        "leaf_parents": [ones[:12], table(12, 2), table(6, 2), table(6, 2)],
        "parents": [table(12, 2), table(12, 2), table(6, 2), table(6, 2)],
        "mix_round": [table(24, 4), table(24, 4), word(), word(), outer, inner, table(3, 2)],
        "fold_rows": [table(8, 4), table(8, 4), word(), word()],
        "fold_round": [table(52, 4), table(52, 4), word(), word(), outer, inner, table(3, 2)],
        "leaf_round": [ones[:60], table(60, 2), word(), word(), outer, inner, table(3, 2)],
        "leaf_fold": [ones[:60], table(60, 2), word(), word(), word(), word(), table(15, 4), table(15, 4)],
    }


@pytest.mark.skipif(not tables.COMPILED, reason="no compiled loops here")
@pytest.mark.parametrize("seed", range(6))
def test_compiled_and_plain_loops_agree(seed: int) -> None:
    arguments = loop_arguments(np.random.default_rng(seed))
    assert set(arguments) == {name for name in vars(LOOPS) if not name.startswith("_")}
    for name, values in arguments.items():
        compiled, plain = ([v.copy() if isinstance(v, np.ndarray) else v for v in values] for _ in range(2))
        getattr(LOOPS, name)(*compiled)
        getattr(sumcheck_plain, name)(*plain)
        for left, right in zip(compiled, plain, strict=True):
            if name.startswith("fold") and isinstance(left, np.ndarray) and left.shape[1] == 4:
                left, right = left[: len(left) // 2], right[: len(right) // 2]
            assert np.array_equal(left, right), name


def test_the_verifier_needs_no_prover() -> None:
    import subprocess
    import sys

    code = (
        "import sys; import verifiable.zk.sumcheck.logup, verifiable.zk.sumcheck.sumcheck, verifiable.zk.sumcheck.reader;"
        "import verifiable.zk.sumcheck.layers, verifiable.zk.sumcheck.maps;"
        "prover = ('_prover', 'kernels', '_plain', '.native', '.tables', '.writer');"
        "bad = [m for m in sys.modules if m.startswith(('numba', 'llvmlite')) or m.endswith(prover)];"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_check_equal_names_what_failed() -> None:
    sumcheck.check_equal(ONE, ONE, "this")
    with pytest.raises(ProofError, match="this is not what"):
        sumcheck.check_equal(ONE, ZERO, "this")
