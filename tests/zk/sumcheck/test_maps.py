# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.zk.sumcheck.liars import extension, random_ext
from verifiable.zk.sumcheck import evaluation, field, maps
from verifiable.zk.sumcheck.maps import AxisMap, block_diagonal, covered, log_padded, select, window

windows = st.fixed_dictionaries(
    {
        "size": st.integers(1, 9),
        "kernel": st.integers(1, 5),
        "stride": st.integers(1, 3),
        "dilation": st.integers(1, 3),
        "pad": st.integers(0, 3),
    }
)


def outputs_of(size: int, kernel: int, stride: int, dilation: int, pad: int) -> int:
    return max(1, (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1)


def table(axis: AxisMap) -> np.ndarray:
    """The 0/1 table M(y, i, h), padded."""
    whole = np.zeros((1 << axis.log_outputs, 1 << axis.log_taps, 1 << axis.log_inputs), dtype=np.int64)
    np.add.at(whole, (axis.outputs, axis.taps, axis.inputs), 1)
    return whole


@settings(max_examples=60, deadline=None)
@given(windows, st.integers(0, 2**32))
def test_a_window_map_is_its_definition(shape: dict[str, int], seed: int) -> None:
    outputs = outputs_of(**shape)
    axis = window(**shape, outputs=outputs)
    expected = np.zeros((1 << axis.log_outputs, 1 << axis.log_taps, 1 << axis.log_inputs), dtype=np.int64)
    for y in range(outputs):
        for i in range(shape["kernel"]):
            h = y * shape["stride"] + i * shape["dilation"] - shape["pad"]
            if 0 <= h < shape["size"]:
                expected[y, i, h] = 1
    assert np.array_equal(table(axis), expected)
    assert list(axis.taps) == sorted(axis.taps)
    rng = np.random.default_rng(seed)
    r, s, t = (random_ext(rng, n) for n in (axis.log_outputs, axis.log_taps, axis.log_inputs))
    assert axis.evaluate(r, s, t) == extension(expected, r + s + t)
    assert axis.evaluate(r, None, t) == extension(expected.sum(axis=1), r + t)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32))
def test_a_block_diagonal_map_is_its_definition(groups: int, here: int, within: int, seed: int) -> None:
    out, inside = groups * here, groups * within
    axis = block_diagonal(groups=groups, out=out, inside=inside)
    expected = np.zeros((1 << log_padded(out), 1 << log_padded(inside), 1 << log_padded(out), 1 << log_padded(within)), np.int64)
    for o in range(out):
        for k in range(within):
            expected[o, o // here * within + k, o, k] = 1
    assert np.array_equal(table(axis), expected.reshape(table(axis).shape))
    assert list(axis.taps) == sorted(axis.taps)
    rng = np.random.default_rng(seed)
    r, s, t = (random_ext(rng, n) for n in (axis.log_outputs, axis.log_taps, axis.log_inputs))
    assert axis.evaluate(r, s, t) == extension(expected, r + s + t)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-2, 6), min_size=0, max_size=12), st.integers(7, 9), st.integers(0, 2), st.integers(0, 2**32))
def test_a_selection_is_its_definition(sources: list[int], size: int, more: int, seed: int) -> None:
    axis = select(sources, size=size, log_outputs=log_padded(max(1, len(sources))) + more)
    expected = np.zeros((1 << axis.log_outputs, 1 << axis.log_inputs), dtype=np.int64)
    for y, h in enumerate(sources):
        if h >= 0:
            expected[y, h] = 1
    assert np.array_equal(table(axis)[:, 0], expected)
    rng = np.random.default_rng(seed)
    r, t = random_ext(rng, axis.log_outputs), random_ext(rng, axis.log_inputs)
    assert axis.evaluate(r, [], t) == extension(expected, r + t)
    assert axis.evaluate(r, None, t) == extension(expected, r + t)


def test_what_a_product_of_selections_covers() -> None:
    rng = np.random.default_rng(1)
    rows, cols = select([-1, 0, 1, -1], size=2), select([2, -1, 0], size=3)
    points = [random_ext(rng, 2), random_ext(rng, 2)]
    reads = np.outer([0, 1, 1, 0], [1, 0, 1, 0])
    assert covered([rows, cols], points) == extension(reads, points[0] + points[1])


@pytest.mark.parametrize(("size", "expected"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4)])
def test_padding(size: int, expected: int) -> None:
    assert log_padded(size) == expected


def test_a_map_is_evaluated_at_its_own_variables_alone() -> None:
    axis = window(size=4, outputs=4, kernel=2)
    one = [field.ONE]
    assert axis.evaluate(one * 2, one, one * 2) == field.ZERO  # 3 reads 4, which is outside
    for r, s, t in ((1, 1, 2), (2, 0, 2), (2, 2, 2), (2, 1, 3)):
        with pytest.raises(ValueError, match="is not evaluated at"):
            axis.evaluate(one * r, one * s, one * t)


def test_windows_that_reach_nothing_are_empty() -> None:
    axis = window(size=1, outputs=1, kernel=1, pad=3)
    assert len(axis.outputs) == 0
    assert axis.evaluate([], [], []) == field.ZERO


@settings(max_examples=40, deadline=None)
@given(windows, st.integers(0, 2**32))
def test_large_maps_are_evaluated_alike(shape: dict[str, int], seed: int) -> None:
    axis = window(**shape, outputs=outputs_of(**shape))
    rng = np.random.default_rng(seed)
    r, s, t = (random_ext(rng, n) for n in (axis.log_outputs, axis.log_taps, axis.log_inputs))
    few = [axis.evaluate(r, taps, t) for taps in (s, None)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maps, "_FEW", -1)
        assert [axis.evaluate(r, taps, t) for taps in (s, None)] == few


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 9), st.sampled_from([1, 2, 255, 2**15, 2**31, 2**40, 2**62]), st.booleans(), st.integers(0, 2**32))
def test_extensions_of_public_integers(log_size: int, largest: int, same: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # All of them the largest, at an eq table of large limbs, is the worst case for exactness.
    values = np.full(1 << log_size, -largest) if same else rng.integers(-largest, largest, size=1 << log_size)
    point = random_ext(rng, log_size)
    assert evaluation.of_integers(values, point) == extension(values, point)
    assert evaluation.eq_list(point) == [(int(a), int(b)) for a, b in field.eq_table(point)]
    assert evaluation.of_counter(point) == extension(np.arange(1 << log_size), point)


def test_a_table_of_another_size_has_no_extension_there() -> None:
    with pytest.raises(ValueError, match="3 variables"):
        evaluation.of_integers(np.arange(4), [field.ONE] * 3)
