# SPDX-License-Identifier: Apache-2.0
"""Certificates in PEM: nothing beside them, and one spelling of each but for white space."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.pki.authority import NOW, Authority, pem
from verifiable.errors import Error, MalformedError
from verifiable.tee.x509 import follow, parse_pem_chain

ROOT = Authority.root("root")
MIDDLE = ROOT.authority("middle")
LEAF = MIDDLE.authority("leaf", ca=False)
CHAIN = pem(LEAF.certificate, MIDDLE.certificate)


def test_a_chain_of_pem() -> None:
    expected = (LEAF.parsed, MIDDLE.parsed)
    for spelled in (
        CHAIN,
        CHAIN.rstrip(),
        CHAIN.replace(b"\n", b"\r\n"),
        b"\n" + CHAIN + b"\n\n\0",
        CHAIN.replace(b"-\n-", b"-\n\n-"),
    ):
        assert parse_pem_chain(spelled, what="chain") == expected


def _lines(data: bytes) -> bytes:
    return base64.encodebytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", LEAF.der, b"subject=leaf\n" + CHAIN, CHAIN + b"x", CHAIN.replace(b"-\n-", b"-\nx\n-"), CHAIN[:-2], CHAIN * 6,
        CHAIN.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"), CHAIN.replace(b"-----BEGIN", b"----BEGIN", 1), b"\xff" + CHAIN,
        CHAIN.replace(b"\n", b"", 1), CHAIN.replace(b"M", b"*", 1), CHAIN.replace(b"MII", b"MI", 1),
        CHAIN.replace(b"MII", b"MII=", 1),
        b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n" + _lines(LEAF.der + b"\0") + b"-----END CERTIFICATE-----\n",
    ],
)  # fmt: skip
def test_other_pem_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_pem_chain(data, what="chain")


def test_pem_of_another_thing_is_not_skipped() -> None:
    key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    for spelled in (key + CHAIN, CHAIN + key, pem(LEAF.certificate) + key + pem(MIDDLE.certificate)):
        with pytest.raises(MalformedError, match="not a PEM file of 1 to 10 certificates"):
            parse_pem_chain(spelled, what="chain")


def test_bits_behind_the_end_of_base64_have_one_spelling() -> None:
    data = next(
        d for d in (ROOT.issue("x" * n, LEAF.key.public_key()).public_bytes(Encoding.DER) for n in range(1, 99)) if len(d) % 3
    )
    body = base64.b64encode(data)
    last = body.rstrip(b"=")
    other = last[:-1] + bytes([last[-1] + 1]) + b"=" * (len(body) - len(last))
    assert base64.b64decode(other) == data != other
    wrapped = b"-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n"
    assert parse_pem_chain(wrapped % body, what="chain")[0].der == data
    with pytest.raises(MalformedError):
        parse_pem_chain(wrapped % other, what="chain")


@given(st.integers(0, len(CHAIN) - 1), st.integers(0, 7))
def test_no_bit_of_a_pem_file_makes_another_chain(at: int, bit: int) -> None:
    """A flipped line end may be another white space; nothing else may pass."""
    data = bytearray(CHAIN)
    data[at] ^= 1 << bit
    try:
        found = parse_pem_chain(bytes(data), what="chain")
    except Error:
        return
    if found == (LEAF.parsed, MIDDLE.parsed):
        assert CHAIN[at : at + 1] == b"\n"
    else:
        with pytest.raises(Error):
            follow(found[0], found[1:], [ROOT.parsed], at=NOW, what="leaf")
