# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import json as standard
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiable.encoding import json
from verifiable.errors import Error, MalformedError

# RFC 8785 writes larger integral doubles as digits, which a strict reader must refuse as integers.
SAFE_FLOATS = st.floats(-(2.0**53) + 1, 2.0**53 - 1)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | SAFE_FLOATS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def read(data: bytes, **options: int) -> object:
    return json.parse(data, what="test", max_size=options.pop("max_size", 1 << 20), **options)


@given(values)
def test_canonical_form_is_a_fixed_point(value: object) -> None:
    try:
        data = json.canonical(value)
    except MalformedError:  # lone surrogates have no UTF-8 form
        return
    parsed = json.parse_canonical(data, what="test", max_size=1 << 20, max_depth=64)
    assert json.canonical(parsed) == data


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_error(data: bytes) -> None:
    with contextlib.suppress(Error):
        read(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a":1,"a":1}', "duplicate key 'a'"),
        (b'{"a":{"b":1,"b":2}}', "duplicate key 'b'"),
        (b"[" * 33 + b"]" * 33, "nested deeper"),
        (b"[" * 200_000, "nested deeper"),
        (b"NaN", "NaN is not a JSON number"),
        (b"-Infinity", "-Infinity is not"),
        (b"1e999", "overflows a double"),
        (b"9007199254740993", "beyond 2^53"),
        (b"1" * 100_000, "beyond 2^53"),
        (b'"\xff"', "not UTF-8 at byte 1"),
        (b"", "not JSON"),
        (b"{} x", "not JSON"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedError, match=r"^test: ") as caught:
        read(data)
    assert reason in caught.value.message


def test_brackets_in_strings_are_not_nesting() -> None:
    text = "[" * 100 + '\\"' + "[" * 100
    assert read(standard.dumps([text]).encode()) == [text]


def test_size_is_capped_before_content() -> None:
    with pytest.raises(MalformedError, match="more than the 4 allowed"):
        read(b"{{{{{{{", max_size=4)


@pytest.mark.parametrize("unit", [b"[],", b"{},", b"0,", b'"",', b'{"a":0},', b'""', b"[", b'[{"":[]}],'])
def test_many_small_values_are_refused_before_any_is_made(unit: bytes) -> None:
    """64 MiB of empty lists are 22 million objects: a minute and gigabytes. A receipt of that size is a few base64 strings."""
    data = b"[" + unit * (((8 << 20) - 4) // len(unit)) + b"0]"
    tracemalloc.start()
    try:
        with pytest.raises(MalformedError, match="too many values"):
            read(data, max_size=1 << 26)
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()


def test_the_bulk_may_be_text() -> None:
    assert read(b'["' + b"A" * (8 << 20) + b'"]', max_size=1 << 26) == ["A" * (8 << 20)]


@pytest.mark.parametrize("data", [b'{"b":1,"a":2}', b'{"a": 1}', b"1.0", b'{"a":1}\n', b'"\\u0041"'])
def test_other_spellings_of_the_same_value_are_not_canonical(data: bytes) -> None:
    read(data)
    with pytest.raises(MalformedError, match="canonical"):
        json.parse_canonical(data, what="test", max_size=100)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53 + 1, {1: 2}, object()])
def test_what_json_cannot_carry_cannot_be_written(value: object) -> None:
    with pytest.raises(MalformedError):
        json.canonical(value)


@pytest.mark.parametrize("text", ['"' + '\\"' * 2_000_000, '"' * 2_000_001, '"' + "a\\" * 2_000_000, '["' + "[" * 4_000_000])
def test_no_text_makes_the_depth_scan_slow(text: str) -> None:
    """Quadratic scanning of these would take hours; the test has no clock, it simply ends."""
    with pytest.raises(MalformedError):
        read(text.encode(), max_size=1 << 24)


@pytest.mark.parametrize("data", [b'{"\\ud800":1}', b'["\\udfff"]', b'{"a":{"\\udc00":2}}'])
def test_a_lone_surrogate_is_no_crash(data: bytes) -> None:
    with pytest.raises(MalformedError):
        json.parse_canonical(data, what="test", max_size=100)
