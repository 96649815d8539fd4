# SPDX-License-Identifier: Apache-2.0
"""How far the proved function is from the float model, and when that is too far."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiable.digest import Digest
from verifiable.errors import Error, MalformedError, UnsupportedError
from verifiable.model.fidelity import Counts, Fidelity, OutputFidelity, measure


def rows(*values: list[float]) -> list[dict[str, np.ndarray]]:
    return [{"y": np.float32([value])} for value in values]


def test_measured_by_hand() -> None:
    report = measure(rows([1, 2], [3, 0]), rows([1.25, 2], [0.5, 1]))
    (output,) = report.outputs
    assert (report.samples, output.name, output.range) == (2, "y", (0.0, 3.0))
    assert output.max_abs_error == 2.5
    assert output.mean_abs_error == (0.25 + 0 + 2.5 + 1) / 4
    assert output.argmax_agreement == 0.5


def test_no_argmax_where_there_is_nothing_to_choose() -> None:
    assert measure(rows([1.0]), rows([1.0])).outputs[0].argmax_agreement is None
    scalar = [{"y": np.float32(1)}]
    assert measure(scalar, scalar).outputs[0].argmax_agreement is None


def test_samples_names_shapes_and_values_must_agree() -> None:
    good = rows([1, 2])
    for floats, found in (
        ([], []), (good, []), (good, rows([1, 2], [1, 2])), (good, [{"z": np.float32([[1, 2]])}]), (good, rows([1, 2, 3])),
        (good, rows([1, math.nan])), (rows([1, math.inf]), good), (good, [{"y": np.float32([1, 2])}]),
    ):  # fmt: skip
        with pytest.raises(MalformedError):
            measure(floats, found)


def test_an_explicit_bound_is_the_only_one() -> None:
    report = measure(rows([1, 2], [3, 0]), rows([2.5, 2], [3, 0]))  # arg-max differs in one row, off by 1.5
    report.require(1.5)
    with pytest.raises(UnsupportedError, match=r"output 'y': off by 1\.5 .* 1\.4 is allowed"):
        report.require(1.4)


def test_by_default_one_percent_of_the_range_and_the_same_choice() -> None:
    measure(rows([0, 100]), rows([0.99, 100])).require(None)
    with pytest.raises(UnsupportedError, match=r"off by 1\.01"):
        measure(rows([0, 100]), rows([1.01, 100])).require(None)
    with pytest.raises(UnsupportedError, match=r"largest element is elsewhere .* 50\.00%"):
        measure(rows([99.9, 100], [0, 1]), rows([100, 99.9], [0, 1])).require(None)


def test_what_json_cannot_carry_is_refused() -> None:
    for value in (math.nan, math.inf, 2.0**53):
        with pytest.raises(MalformedError, match="beyond"):
            OutputFidelity(name="y", max_abs_error=value, mean_abs_error=0.0, range=(0.0, 1.0), argmax_agreement=None)


finite = st.floats(allow_nan=False, allow_infinity=False, min_value=0, max_value=2**53 - 1)
outputs = st.builds(
    lambda name, errors, ends, agreement: OutputFidelity(
        name=name, mean_abs_error=min(errors), max_abs_error=max(errors), range=(min(ends), max(ends)), argmax_agreement=agreement
    ),
    st.text(max_size=20), st.tuples(finite, finite), st.tuples(finite, finite), st.none() | st.floats(0, 1),
)  # fmt: skip


@given(st.builds(Fidelity, samples=st.integers(1, 10**6), outputs=st.lists(outputs, max_size=3).map(tuple)))
def test_encoded_and_parsed_it_is_the_same(report: Fidelity) -> None:
    data = report.encode()
    assert Fidelity.parse(data) == report
    assert Fidelity.parse(data).encode() == data
    assert report.digest == Digest.of(data)


@settings(max_examples=200)
@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_arbitrary_bytes_raise_only_our_errors(data: bytes) -> None:
    with pytest.raises(Error):
        Fidelity.parse(data)


def test_contradictions_and_other_spellings_are_refused() -> None:
    good = measure(rows([1, 2]), rows([1.5, 2])).encode()
    for old, new in (
        (b'"maxAbsError":0.5', b'"maxAbsError":0.1'), (b'"maxAbsError":0.5', b'"maxAbsError":0.50'), (b"[1,2]", b"[2,1]"),
        (b"[1,2]", b"[1]"), (b"[1,2]", b"[1,2,3]"), (b'"argmaxAgreement":1', b'"argmaxAgreement":1.5'),
        (b'"argmaxAgreement":1', b'"argmaxAgreement":null'), (b'"samples":1', b'"samples":0'), (b'"samples":1', b'"samples":1 '),
        (b'"samples":1', b'"extra":1,"samples":1'), (b'"name":"y"', b'"name":"y","name":"z"'),
    ):  # fmt: skip
        assert old in good
        with pytest.raises(MalformedError):
            Fidelity.parse(good.replace(old, new))


def test_counts_are_part_of_the_report_and_may_not_contradict_themselves() -> None:
    plain = measure([{"y": np.float64([[1.0, 2.0]])}], [{"y": np.float64([[1.0, 2.5]])}])
    report = dataclasses.replace(plain, integers=Counts(values=10, saturated=3, differing=1))
    assert Fidelity.parse(report.encode()) == report
    assert Fidelity.parse(plain.encode()).integers is None
    for old, new in ((b'"saturated":3', b'"saturated":11'), (b'"differing":1', b'"differing":-1')):
        with pytest.raises(MalformedError):
            Fidelity.parse(report.encode().replace(old, new))
