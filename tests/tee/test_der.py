# SPDX-License-Identifier: Apache-2.0
"""DER has one spelling for each value; every other one is refused, and nothing but a MalformedError comes of any bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.pki.authority import NOW, Authority
from verifiable.errors import MalformedError
from verifiable.tee import der
from verifiable.tee.der import Element, Reader


def tlv(tag: int, body: bytes) -> bytes:
    """The shortest encoding, written independently of the reader."""
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def one(data: bytes) -> Element:
    return der.parse(data, what="test")


def _moment(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize("size", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000])
def test_lengths_in_their_shortest_form(size: int) -> None:
    body = bytes(size)
    element = one(tlv(4, body))
    assert (element.tag, element.body, element.encoded) == (4, body, tlv(4, body))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x04", b"\x04\x01", b"\x04\x02a", b"\x04\x81\x01a", b"\x04\x81\x7f" + bytes(0x7F),
        b"\x04\x82\x00\x80" + bytes(0x80),
        b"\x04\x83\x00\xff\xff" + bytes(0xFFFF), b"\x04\x80a\0\0", b"\x04\x80", b"\x04\x84\x00", b"\x04\x85\x00\x00\x00\x00\x01a",
        b"\x04\xff" + bytes(127), b"\x04\x84\xff\xff\xff\xff", b"\x1f\x01\x00", b"\xbf\x81\x01\x00", b"\x04\x01ab",
    ],
)  # fmt: skip
def test_other_lengths_and_tags_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        one(data)


def test_nothing_may_be_left_over() -> None:
    reader = Reader(tlv(2, b"\1") + tlv(2, b"\2"), "test")
    assert reader.take().integer() == 1
    with pytest.raises(MalformedError, match="3 bytes too many"):
        reader.done()
    assert (reader.more, reader.peek(), reader.take(2).integer()) == (True, 2, 2)
    reader.done()
    assert (reader.more, reader.peek(), reader.optional(2)) == (False, -1, None)


def test_a_tag_is_insisted_upon() -> None:
    with pytest.raises(MalformedError, match="0x04 where 0x30"):
        one(tlv(4, b"")).children()
    with pytest.raises(MalformedError, match="0x24 where 0x04"):  # constructed, as BER allows
        one(tlv(0x24, tlv(4, b"a"))).expect(der.OCTET_STRING)


@pytest.mark.parametrize(
    ("read", "tag", "bodies"),
    [
        (Element.integer, der.INTEGER, [b"", b"\0\1", b"\0\x7f", b"\xff\x80", b"\xff\xff"]),
        (Element.boolean, der.BOOLEAN, [b"", b"\1", b"\x80", b"\xfe", b"\0\0", b"\xff\xff"]),
        (Element.bits, der.BIT_STRING, [b"", b"\1a", b"\7\x80", b"\x08a"]),
        (Element.oid, der.OID, [b"", b"\x80", b"\x80\1", b"\x2a\x80\1", b"\x2a\x86", b"\x2a\x82" + b"\x80" * 8 + b"\0"]),
        (
            Element.time, der.UTC_TIME,
            [
                b"", b"260601000000", b"2606010000Z", b"260601000000+0000", b"260601000000.0Z", b"261301000000Z",
                b"260631000000Z",
                b"260601240000Z", b"260601000060Z", b"260601000061Z", b" 60601000000Z", b"+60601000000Z",
                "2606010000\u0662\u0662Z".encode(),
                b"2606010000\xb2\xb2Z", b"260601000000z", b"20260601000000Z",
            ],
        ),
        (Element.time, der.GENERALIZED_TIME, [b"260601000000Z", b"20260601000000", b"00000601000000Z", b"20260601000000.5Z"]),
        (Element.time, der.OCTET_STRING, [b"260601000000Z", b"Z", b""]),
    ],
)  # fmt: skip
def test_second_spellings_are_refused(read: Callable[[Element], object], tag: int, bodies: list[bytes]) -> None:
    for body in bodies:
        with pytest.raises(MalformedError, match=r"^test: "):
            read(one(tlv(tag, body)))


@given(st.integers())
def test_integers(value: int) -> None:
    length = (value + (value < 0)).bit_length() // 8 + 1
    assert one(tlv(der.INTEGER, value.to_bytes(length, "big", signed=True))).integer() == value


@given(st.integers(min_value=1 << 2040, max_value=1 << 2048), st.integers(min_value=0))
def test_integers_as_cryptography_writes_them(r: int, s: int) -> None:
    encoded = encode_dss_signature(r, s)
    reader = one(encoded).children()
    assert (reader.take().integer(), reader.take().integer()) == (r, s) == decode_dss_signature(encoded)
    reader.done()


def test_integers_are_capped() -> None:
    """Python raises a ValueError for one of more than 4300 digits, in the very message that would refuse it."""
    assert one(tlv(der.INTEGER, b"\1" * 512)).integer() < 1 << 4096
    with pytest.raises(MalformedError, match="an integer of 513 bytes"):
        one(tlv(der.INTEGER, b"\1" * 513)).integer()


@pytest.mark.parametrize(
    ("body", "dotted"),
    [
        ("2a864886f70d01010a", "1.2.840.113549.1.1.10"), ("550403", "2.5.4.3"), ("883703", "2.999.3"), ("00", "0.0"),
        ("4f", "1.39"), ("27", "0.39"), ("28", "1.0"), ("50", "2.0"), ("2b81ffffffffffffffff7f", "1.3.18446744073709551615"),
    ],
)  # fmt: skip
def test_object_identifiers(body: str, dotted: str) -> None:
    assert one(tlv(der.OID, bytes.fromhex(body))).oid() == dotted


@given(st.sampled_from([0, 1, 2]), st.integers(0, 39), st.lists(st.integers(0, 2**63), max_size=5))
def test_object_identifiers_as_cryptography_writes_them(first: int, second: int, more: list[int]) -> None:
    dotted = ".".join(map(str, (first, second, *more)))
    attribute = x509.NameAttribute(x509.ObjectIdentifier(dotted), "x")
    name = one(x509.Name([attribute]).public_bytes())
    pair = name.children().take(der.SET).children(der.SET).take(der.SEQUENCE).children()
    assert pair.take().oid() == dotted


class _Watched(bytes):
    def __iter__(self) -> Iterator[int]:
        for i in range(len(self)):
            assert i < 16, "read on for nothing"
            yield self[i]


def test_an_endless_number_in_an_object_identifier_is_not_put_together() -> None:
    """To its end, a million bytes of it take minutes."""
    body = _Watched(b"\x2a" + b"\xff" * 1000 + b"\x01")
    with pytest.raises(MalformedError, match="not an object identifier"):
        Element(der.OID, body, tlv(der.OID, body), "test").oid()


@given(st.integers(-631152000, 2524607999).map(_moment))  # 1950 to 2049
def test_times_in_two_digits(moment: datetime) -> None:
    assert one(tlv(der.UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())).time() == moment


@given(st.integers(-30610224000, 253402300799).map(_moment))  # 1000 to 9999
def test_times_in_four_digits(moment: datetime) -> None:
    assert one(tlv(der.GENERALIZED_TIME, moment.strftime("%Y%m%d%H%M%SZ").encode())).time() == moment


def test_times_as_cryptography_writes_them() -> None:
    for until in (
        datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2050, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, tzinfo=UTC),
    ):
        parsed = Authority.root("root", since=NOW - timedelta(seconds=1), until=until).parsed
        assert (parsed.not_before, parsed.not_after) == (NOW - timedelta(seconds=1), until)


READS = (Element.oid, Element.integer, Element.boolean, Element.bits, Element.time, Element.children)


def walk(data: bytes, depth: int = 0) -> int:
    """Take everything apart in every way; the number of elements."""
    reader, count = Reader(data, "test"), 0
    while reader.more:
        element = reader.take()
        assert data.find(element.encoded) >= 0
        assert tlv(element.tag, element.body) == element.encoded
        for read in READS:
            with contextlib.suppress(MalformedError):
                read(element)
        if element.tag & 0x20 and depth < 50:
            count += walk(element.body, depth + 1)
        count += 1
    reader.done()
    return count


@given(st.binary(max_size=300))
def test_any_bytes_raise_only_malformed_errors(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        walk(data)


CERTIFICATE = Authority.root("root", path_length=3).der


def test_a_certificate_of_cryptographys_is_walked_to_its_last_byte() -> None:
    assert walk(CERTIFICATE) > 30


@given(st.integers(0, len(CERTIFICATE) - 1), st.integers(0, 255), st.booleans())
def test_a_mutated_certificate_raises_only_malformed_errors(at: int, byte: int, cut: bool) -> None:
    with contextlib.suppress(MalformedError):
        walk(CERTIFICATE[:at] + bytes([byte]) + (b"" if cut else CERTIFICATE[at + 1 :]))
