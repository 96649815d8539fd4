# SPDX-License-Identifier: Apache-2.0
"""Each layer's reduction against the layer itself and the multilinear extensions of its tensors, over Python integers."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.zk.sumcheck.liars import Forgetful, Liar, extension, random_ext
from verifiable.errors import MalformedError, ProofError
from verifiable.zk.sumcheck import field, layers, layers_prover, sumcheck_plain, sumcheck_prover
from verifiable.zk.sumcheck.layers import Claim, Convolution, split
from verifiable.zk.sumcheck.maps import block_diagonal, covered, log_padded, select, window
from verifiable.zk.sumcheck.reader import Reader
from verifiable.zk.sumcheck.transcript import Transcript
from verifiable.zk.sumcheck.writer import Writer

Prove = Callable[[Writer, Claim], object]
Verify = Callable[[Reader, Claim], object]
seeds = st.integers(0, 2**32)
sizes = st.sampled_from([1, 2, 3, 4, 5])


def padded(tensor: np.ndarray) -> np.ndarray:
    """Zeros up to the next power of two on every axis."""
    return np.pad(tensor, [(0, (1 << log_padded(n)) - n) for n in tensor.shape])


def claim_on(tensor: np.ndarray, rng: np.random.Generator) -> Claim:
    """The true claim at a random point of a padded tensor."""
    point = random_ext(rng, int(tensor.size).bit_length() - 1)
    return Claim(point=point, value=extension(tensor, point))


def accepted(prove: Prove, verify: Verify, claim: Claim) -> object:
    writer = Writer(Transcript())
    proved = prove(writer, claim)
    reader = Reader(writer.getvalue(), Transcript())
    verified = verify(reader, claim)
    reader.done()
    assert verified == proved
    assert reader.transcript.challenge("next") == writer.transcript.challenge("next")
    return verified


def check_true(claims: object, *tensors: np.ndarray) -> None:
    found = [claims] if isinstance(claims, Claim) else claims
    assert isinstance(found, list | tuple)
    for claim, tensor in zip(found, tensors, strict=True):
        assert claim.value == extension(tensor, claim.point)


def refused(prove: Prove, verify: Verify, claim: Claim, labels: list[str]) -> None:
    """A false claim, a lie in each message, each message unabsorbed, another context, and a proof cut anywhere."""
    false = Claim(point=claim.point, value=field.ext_add(claim.value, field.ONE))
    writer = Writer(Transcript())
    prove(writer, false)
    with pytest.raises(ProofError):
        verify(Reader(writer.getvalue(), Transcript()), false)
    honest = Writer(Transcript())
    prove(honest, claim)
    other = Transcript()
    other.absorb("context", b"other")
    with pytest.raises(ProofError):
        verify(Reader(honest.getvalue(), other), claim)
    for length in range(0, len(honest.getvalue()), 8):
        with pytest.raises((MalformedError, ProofError)):
            verify(Reader(honest.getvalue()[:length], Transcript()), claim)
    for label in labels:
        for which in itertools.count():
            liar = Liar(label, which)
            prove(liar, claim)
            if not liar.lied:
                assert which > 0
                break
            with pytest.raises(ProofError):
                verify(Reader(liar.getvalue(), Transcript()), claim)
        forgetful = Forgetful(label)
        prove(forgetful, claim)
        reader = Reader(forgetful.getvalue(), Transcript())
        if label in {"select value", "merge value"} or label.endswith("values"):
            try:
                verify(reader, claim)
            except ProofError:
                continue
            assert reader.transcript.challenge("next") != forgetful.transcript.challenge("next")
        else:
            with pytest.raises(ProofError):
                verify(reader, claim)


# -- dense ----------------------------------------------------------------------------------------------------------------


def dense_case(rng: np.random.Generator, batch: int, out: int, inner: int) -> tuple[np.ndarray, np.ndarray, Claim, Prove, Verify]:
    weights = padded(rng.integers(-(2**31), 2**31, size=(out, inner)))
    # Padded cells of the input hold anything: the weights are zero there.
    inputs = rng.integers(-128, 128, size=padded(np.zeros((batch, inner))).shape)
    claim = claim_on(inputs.astype(object) @ weights.astype(object).T, rng)
    log_out, log_in = log_padded(out), log_padded(inner)
    return (
        weights,
        inputs,
        claim,
        lambda writer, c: layers_prover.prove_dense(writer, c, weights, inputs),
        lambda reader, c: layers.verify_dense(reader, c, log_out=log_out, log_in=log_in),
    )


@settings(max_examples=30, deadline=None)
@given(sizes, sizes, sizes, seeds)
def test_dense(batch: int, out: int, inner: int, seed: int) -> None:
    weights, inputs, claim, prove, verify = dense_case(np.random.default_rng(seed), batch, out, inner)
    check_true(accepted(prove, verify, claim), weights, inputs)


def test_dense_lies() -> None:
    *_, claim, prove, verify = dense_case(np.random.default_rng(1), 2, 3, 5)
    refused(prove, verify, claim, ["dense round", "dense values"])


# -- matmul ---------------------------------------------------------------------------------------------------------------


def matmul_case(
    rng: np.random.Generator, batch: int, rows: int, inner: int, cols: int
) -> tuple[np.ndarray, np.ndarray, Claim, Prove, Verify]:
    left = padded(rng.integers(-(2**15), 2**15, size=(batch, rows, inner)))
    right = padded(rng.integers(-(2**15), 2**15, size=(batch, inner, cols)))
    claim = claim_on(left @ right, rng)
    logs = {"log_rows": log_padded(rows), "log_inner": log_padded(inner), "log_cols": log_padded(cols)}
    return (
        left,
        right,
        claim,
        lambda writer, c: layers_prover.prove_matmul(writer, c, left, right),
        lambda reader, c: layers.verify_matmul(reader, c, **logs),
    )


@settings(max_examples=30, deadline=None)
@given(sizes, sizes, sizes, sizes, seeds)
def test_matmul(batch: int, rows: int, inner: int, cols: int, seed: int) -> None:
    left, right, claim, prove, verify = matmul_case(np.random.default_rng(seed), batch, rows, inner, cols)
    check_true(accepted(prove, verify, claim), left, right)


def test_matmul_lies() -> None:
    *_, claim, prove, verify = matmul_case(np.random.default_rng(2), 3, 2, 4, 3)
    refused(prove, verify, claim, ["matmul round", "matmul values"])


# -- convolution ----------------------------------------------------------------------------------------------------------


def conv_case(
    rng: np.random.Generator,
    *,
    batch: int = 1,
    groups: int = 1,
    out: int = 1,
    inside: int = 1,
    size: tuple[int, int] = (5, 5),
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    pad: tuple[int, int] = (0, 0),
) -> tuple[np.ndarray, np.ndarray, Claim, Prove, Verify]:
    axes, counts = [], []
    for n, k, s, d, p in zip(size, kernel, stride, dilation, pad, strict=True):
        counts.append(max(1, (n + 2 * p - d * (k - 1) - 1) // s + 1))
        axes.append(window(size=n, outputs=counts[-1], kernel=k, stride=s, dilation=d, pad=p))
    shape = Convolution(
        log_out=log_padded(groups * out),
        log_in=log_padded(groups * inside),
        height=axes[0],
        width=axes[1],
        groups=block_diagonal(groups=groups, out=groups * out, inside=groups * inside) if groups > 1 else None,
    )
    weights = padded(rng.integers(-(2**31), 2**31, size=(groups * out, inside, *kernel)))
    # Whatever padded cells of the input hold is never read: by the maps (rows, columns, channels) or with weight zero (channels).
    inputs = rng.integers(-128, 128, size=padded(np.zeros((batch, groups * inside, *size))).shape)
    result = np.zeros((len(inputs), len(weights), *(1 << axis.log_outputs for axis in axes)), dtype=object)
    for y, x, i, j in itertools.product(*(range(c) for c in counts), *(range(k) for k in kernel)):
        h, w = (at * s + tap * d - p for at, tap, s, d, p in zip((y, x), (i, j), stride, dilation, pad, strict=True))
        if 0 <= h < size[0] and 0 <= w < size[1]:
            for o in range(groups * out):
                first = o // out * inside
                read = inputs[:, first : first + inside, h, w].astype(object)
                result[:, o, y, x] += read @ weights[o, :inside, i, j].astype(object)
    return (
        weights,
        inputs,
        claim_on(result, rng),
        lambda writer, c: layers_prover.prove_conv(writer, c, shape, weights, inputs),
        lambda reader, c: layers.verify_conv(reader, c, shape),
    )


pairs = st.tuples(st.sampled_from([1, 2, 3, 5]), st.sampled_from([1, 2, 3, 5]))
ones_or_twos = st.tuples(st.integers(1, 2), st.integers(1, 3))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([1, 2, 3]),
    st.sampled_from(
        [(1, 3, 2), (1, 1, 5), (1, 2, 1), (2, 1, 1), (3, 1, 1), (5, 1, 1), (3, 2, 2), (2, 4, 1), (2, 1, 4), (3, 3, 5), (7, 2, 1)]
    ),
    pairs,
    pairs,
    ones_or_twos,
    ones_or_twos,
    st.tuples(st.integers(0, 2), st.integers(0, 3)),
    seeds,
)
def test_conv(batch, channels, size, kernel, stride, dilation, pad, seed) -> None:  # type: ignore[no-untyped-def]
    groups, out, inside = channels
    weights, inputs, claim, prove, verify = conv_case(
        np.random.default_rng(seed),
        batch=batch,
        groups=groups,
        out=out,
        inside=inside,
        size=size,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        pad=pad,
    )
    check_true(accepted(prove, verify, claim), weights, inputs)


@pytest.mark.parametrize("channels", [(1, 2, 3), (3, 1, 1), (2, 2, 2), (2, 3, 3)])
def test_conv_lies(channels: tuple[int, int, int]) -> None:
    groups, out, inside = channels
    *_, claim, prove, verify = conv_case(np.random.default_rng(3), batch=2, groups=groups, out=out, inside=inside, pad=(1, 1))
    refused(prove, verify, claim, ["conv round", "conv values", "select round", "select value"])


def test_another_convolution_is_refused() -> None:
    # The same sizes everywhere; only which pixels a window reads differs.
    *_, claim, prove, verify = conv_case(np.random.default_rng(4), size=(8, 8), kernel=(3, 3), pad=(1, 1))
    writer = Writer(Transcript())
    prove(writer, claim)
    verify(Reader(writer.getvalue(), Transcript()), claim)
    *_, shifted = conv_case(np.random.default_rng(4), size=(8, 8), kernel=(3, 3), pad=(1, 0))
    with pytest.raises(ProofError):
        shifted(Reader(writer.getvalue(), Transcript()), claim)


def test_another_grouping_is_refused() -> None:
    # Weights and tensors have the same sizes; which channels a filter reads differs.
    rng = np.random.default_rng(6)
    *_, claim, prove, verify = conv_case(rng, groups=3, out=2, inside=2, pad=(1, 1))
    writer = Writer(Transcript())
    prove(writer, claim)
    verify(Reader(writer.getvalue(), Transcript()), claim)
    *_, other = conv_case(rng, groups=4, out=2, inside=2, pad=(1, 1))
    with pytest.raises(ProofError, match="select"):
        other(Reader(writer.getvalue(), Transcript()), claim)


def test_a_padded_position_cannot_reach_an_output() -> None:
    """Two inputs that differ in rows and columns past the real ones have one output, hence one claim; both pass for it."""
    rng = np.random.default_rng(5)
    weights, inputs, claim, prove, verify = conv_case(rng, batch=1, out=2, inside=2, size=(5, 3), kernel=(3, 3), pad=(1, 1))
    changed = inputs.copy()
    changed[:, :, 5:, :] += 1
    changed[:, :, :, 3:] -= 1
    shape = Convolution(
        log_out=1,
        log_in=1,
        height=window(size=5, outputs=5, kernel=3, pad=1),
        width=window(size=3, outputs=3, kernel=3, pad=1),
    )
    found = accepted(lambda writer, c: layers_prover.prove_conv(writer, c, shape, weights, changed), verify, claim)
    check_true(found, weights, changed)
    check_true(accepted(prove, verify, claim), weights, inputs)


# -- selections -----------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([1, 2, 3]), pairs, pairs, ones_or_twos, seeds)
def test_pooling_sums(kept: int, size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = [max(1, (n - k) // s + 1) for n, k, s in zip(size, kernel, stride, strict=True)]
    axes = [window(size=n, outputs=c, kernel=k, stride=s) for n, c, k, s in zip(size, counts, kernel, stride, strict=True)]
    inputs = rng.integers(-128, 128, size=padded(np.zeros((kept, *size))).shape)
    result = np.zeros((len(inputs), *(1 << axis.log_outputs for axis in axes)), dtype=np.int64)
    for y, x, i, j in itertools.product(*(range(c) for c in counts), *(range(k) for k in kernel)):
        h, w = y * stride[0] + i, x * stride[1] + j
        if h < size[0] and w < size[1]:
            result[:, y, x] += inputs[:, h, w]
    found = accepted(
        lambda writer, c: layers_prover.prove_select(writer, c, axes, [None, None], inputs),
        lambda reader, c: layers.verify_select(reader, c, axes, [None, None], log_kept=log_padded(kept)),
        claim_on(result, rng),
    )
    check_true(found, inputs)


def test_slices_pads_and_fill_values() -> None:
    # out = Pad(in[:, 1:4:2], one row above, value 7): the view is the selection plus 7 where nothing is read.
    rng = np.random.default_rng(6)
    inputs = rng.integers(-9, 9, size=(2, 2, 4))
    rows, cols = select([-1, 0, 1], size=2), select([1, 3], size=4)
    out = np.full((2, 4, 2), 7)
    out[:, 1:3] = inputs[:, :, [1, 3]]
    claim = claim_on(out, rng)
    _, at_rows, at_cols = split(claim.point, 1, 2, 1)
    fill = field.ext_mul((7, 0), field.ext_sub(field.ONE, covered([rows, cols], [at_rows, at_cols])))
    rest = Claim(point=claim.point, value=field.ext_sub(claim.value, fill))
    axes, taps = [rows, cols], [[], []]
    found = accepted(
        lambda writer, c: layers_prover.prove_select(writer, c, axes, taps, inputs),
        lambda reader, c: layers.verify_select(reader, c, axes, taps, log_kept=1),
        rest,
    )
    check_true(found, inputs)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2), st.integers(1, 12), st.lists(st.integers(-1, 11), min_size=1, max_size=20), seeds)
def test_any_public_re_indexing(log_kept: int, size: int, sources: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    sources = [min(source, size - 1) for source in sources]
    axis = select(sources, size=size)
    inputs = rng.integers(-128, 128, size=(1 << log_kept, 1 << axis.log_inputs))
    result = np.zeros((1 << log_kept, 1 << axis.log_outputs), dtype=np.int64)
    for y, h in enumerate(sources):
        if h >= 0:
            result[:, y] = inputs[:, h]
    found = accepted(
        lambda writer, c: layers_prover.prove_select(writer, c, [axis], [[]], inputs),
        lambda reader, c: layers.verify_select(reader, c, [axis], [[]], log_kept=log_kept),
        claim_on(result, rng),
    )
    check_true(found, inputs)


def test_selection_lies() -> None:
    rng = np.random.default_rng(7)
    axes = [select([2, 0, 1], size=4), select([1, 1, 3], size=4)]
    inputs = rng.integers(-128, 128, size=(2, 4, 4))
    result = np.zeros((2, 4, 4), dtype=np.int64)
    result[:, :3, :3] = inputs[:, [2, 0, 1]][:, :, [1, 1, 3]]
    claim = claim_on(result, rng)
    taps = [[], []]

    def prove(writer: Writer, c: Claim) -> object:
        return layers_prover.prove_select(writer, c, axes, taps, inputs)

    refused(
        prove,
        lambda reader, c: layers.verify_select(reader, c, axes, taps, log_kept=1),
        claim,
        ["select round", "select value"],
    )
    writer = Writer(Transcript())
    prove(writer, claim)
    swapped = axes[::-1]
    with pytest.raises(ProofError):
        layers.verify_select(Reader(writer.getvalue(), Transcript()), claim, swapped, taps, log_kept=1)


# -- shapes ---------------------------------------------------------------------------------------------------------------


def test_points_split_exactly() -> None:
    rng = np.random.default_rng(8)
    point = random_ext(rng, 5)
    assert split(point, 2, 0, 3) == [point[:2], [], point[2:]]
    for wrong in ((2, 2), (6, -1), ()):
        with pytest.raises(ValueError, match="does not split"):
            split(point, *wrong)


def test_field_elements_and_integers_are_proved_alike() -> None:
    rng = np.random.default_rng(9)
    weights, inputs, claim, *_ = dense_case(rng, 2, 3, 4)
    proofs = []
    for kind in ("int64", "int32", "uint64"):
        w = field.from_signed(weights) if kind == "uint64" else weights.astype(kind)
        q = field.from_signed(inputs) if kind == "uint64" else inputs.astype("int8")
        writer = Writer(Transcript())
        layers_prover.prove_dense(writer, claim, w, q)
        proofs.append(writer.getvalue())
    assert len(set(proofs)) == 1


# -- merge ----------------------------------------------------------------------------------------------------------------


def merge_case(rng: np.random.Generator, log_size: int, count: int) -> tuple[np.ndarray, list[Claim]]:
    tensor = rng.integers(-(2**40), 2**40, size=1 << log_size)
    return tensor, [claim_on(tensor, rng) for _ in range(count)]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 5), st.integers(1, 4), seeds)
def test_merge(log_size: int, count: int, seed: int) -> None:
    tensor, claims = merge_case(np.random.default_rng(seed), log_size, count)
    found = accepted(
        lambda writer, c: layers_prover.prove_merge(writer, [c, *claims[1:]], tensor),
        lambda reader, c: layers.verify_merge(reader, [c, *claims[1:]]),
        claims[0],
    )
    check_true(found, tensor)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_merge_lies(place: int) -> None:
    tensor, claims = merge_case(np.random.default_rng(8), 3, 3)

    def among(claim: Claim) -> list[Claim]:
        return [*claims[:place], claim, *claims[place + 1 :]]

    refused(
        lambda writer, c: layers_prover.prove_merge(writer, among(c), tensor),
        lambda reader, c: layers.verify_merge(reader, among(c)),
        claims[place],
        ["merge round", "merge value"],
    )


def test_two_false_claims_do_not_make_up_for_each_other() -> None:
    tensor, claims = merge_case(np.random.default_rng(9), 3, 2)
    one = field.ONE
    false = [
        Claim(point=claims[0].point, value=field.ext_add(claims[0].value, one)),
        Claim(point=claims[1].point, value=field.ext_sub(claims[1].value, one)),
    ]
    writer = Writer(Transcript())
    layers_prover.prove_merge(writer, false, tensor)
    with pytest.raises(ProofError, match="merge"):
        layers.verify_merge(Reader(writer.getvalue(), Transcript()), false)


def test_the_plain_loops_give_the_same_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    *_, claim, prove, _ = conv_case(np.random.default_rng(10), batch=2, groups=3, size=(6, 5), kernel=(3, 2), pad=(1, 1))
    proofs = []
    for loops in (layers_prover.LOOPS, sumcheck_plain):
        monkeypatch.setattr(layers_prover, "LOOPS", loops)
        monkeypatch.setattr(sumcheck_prover, "LOOPS", loops)
        writer = Writer(Transcript())
        prove(writer, claim)
        proofs.append(writer.getvalue())
    assert proofs[0] == proofs[1]
