# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiable.encoding.record import Record, decode_base64, encode_base64, format_time, parse_time
from verifiable.errors import MalformedError


def test_a_field_that_nobody_took_is_an_error() -> None:
    record = Record({"a": "x", "b": 1}, "doc")
    assert record.text("a") == "x"
    with pytest.raises(MalformedError, match=r"doc: unknown field 'b'"):
        record.done()


@pytest.mark.parametrize(
    ("value", "read", "reason"),
    [
        ({}, lambda r: r.text("x"), "field 'x' is missing"),
        ({"x": 1}, lambda r: r.text("x"), "expected a string, found an integer"),
        ({"x": True}, lambda r: r.integer("x"), "expected an integer, found a boolean"),
        ({"x": 1.5}, lambda r: r.integer("x"), "expected an integer, found a number"),
        ({"x": -1}, lambda r: r.integer("x"), "outside [0"),
        ({"x": 1}, lambda r: r.boolean("x"), "expected true or false"),
        ({"x": True}, lambda r: r.number("x"), "expected a number"),
        ({"x": "q"}, lambda r: r.choice("x", ("a", "b")), "none of a, b"),
        ({"x": "AB"}, lambda r: r.hex("x", max_size=1), "not lower-case"),
        ({"x": "zz"}, lambda r: r.hex("x", max_size=1), "not hexadecimal"),
        ({"x": "00" * 31}, lambda r: r.digest("x"), "not 64 hex digits"),
        ({"x": "A" * 100}, lambda r: r.base64("x", max_size=3), "more than 3 bytes"),
        ({"x": "AAAAAAA="}, lambda r: r.base64("x", max_size=4), "more than 4 bytes"),
        ({"x": []}, lambda r: r.record("x"), "doc.x: expected an object, found a list"),
        ({"x": [1, 2]}, lambda r: r.items("x", maximum=1), "more than 1 entries"),
        ({"x": [0]}, lambda r: r.shape("x"), "not a tensor shape"),
        ({"x": [2**20] * 3}, lambda r: r.shape("x"), "not a tensor shape"),
        ({"x": None}, lambda r: r.items("x", maximum=1), "expected a list, found null"),
    ],
)
def test_wrong_types_are_named_with_their_place(value: Any, read: Any, reason: str) -> None:
    with pytest.raises(MalformedError, match=re.escape(reason)):
        read(Record(value, "doc"))


@given(st.binary(max_size=40))
def test_base64_round_trips(data: bytes) -> None:
    assert decode_base64(encode_base64(data), "x") == data


@pytest.mark.parametrize("text", ["AB==", "AA=", "AA", "A A=", "AA==\n", "A-__", "====", "é"])
def test_a_second_spelling_of_base64_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        decode_base64(text, "x")


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_round_trip(moment: datetime) -> None:
    assert parse_time(format_time(moment), "x") == moment


def test_times_are_written_in_utc() -> None:
    assert format_time(datetime(2026, 1, 2, 5, tzinfo=timezone(timedelta(hours=2)))) == "2026-01-02T03:00:00Z"


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05",
        "2026-01-02T03:04:05+00:00",
        "2026-01-02 03:04:05Z",
        "2026-13-02T03:04:05Z",
        "",
        "x",
        "2026-01-02T03:04:05.000000Z",
    ],
)
def test_other_spellings_of_a_time_are_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_time(text, "x")
