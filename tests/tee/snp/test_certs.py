# SPDX-License-Identifier: Apache-2.0
"""Collateral sorted by looking, and a hypervisor's table of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.pki.amd import FakeAmd, certificate_table
from tests.fakes.pki.authority import NOW, Authority, pem
from verifiable.errors import Error, MalformedError, TrustError
from verifiable.tee.evidence import MAX_COLLATERAL, MAX_SIZE
from verifiable.tee.snp import Report, parse, parse_certificate_table
from verifiable.tee.snp.certs import Collateral
from verifiable.tee.x509 import MAX_CHAIN

AMD = FakeAmd()
VCEK, ASK = "63da758d-e664-4564-adc5-f4b93be8accd", "4ab7b379-bbac-4fe4-a02f-05aef327c782"
ARK = "c0b406a4-a803-4952-9743-3fb6014cd0ae"
VLEK, CRL = "a8074bc2-a25a-483e-aae6-39c045a0b8a1", "92f81bc3-5811-4d3d-97ff-d19f88dc67ea"
OTHER = "ecae0c0f-9502-43b1-afa2-0ae2e0d565b6"
REPORT = Report.parse(AMD.report())
CONTENTS = (AMD.certificate(), AMD.ask.der, AMD.ark.der, AMD.ark.crl())
TABLE = certificate_table(*zip((VCEK, ASK, ARK, CRL), CONTENTS, strict=True))


@pytest.mark.parametrize("padding", [0, 1, 4096])
def test_a_table_is_collateral(padding: int) -> None:
    collateral = parse_certificate_table(TABLE + bytes(padding))
    assert collateral == CONTENTS
    parse(AMD.report()).verify(at=NOW, roots=AMD.roots, collateral=collateral)


def test_entries_keep_their_order_and_others_are_dropped() -> None:
    assert parse_certificate_table(certificate_table((OTHER, b"x" * 8), (VLEK, b"one"), (OTHER, b"y"), (ASK, b"two"))) == (
        b"one", b"two",
    )  # fmt: skip


def test_authorities_are_few() -> None:
    """Over all pieces: each would be tried for each link."""
    other = Authority.root("other", key=AMD.ask.key).certificate
    full = (AMD.certificate(), pem(*[other] * 6), pem(*[other] * (MAX_CHAIN - 6)))
    assert len(Collateral.sort(full, REPORT).authorities) == MAX_CHAIN
    with pytest.raises(MalformedError, match="11 certificates of authorities, at most 10 are allowed"):
        Collateral.sort((*full, pem(other)), REPORT)


@pytest.mark.parametrize("data", [b"", bytes(24), bytes(4096)])
def test_no_table_is_no_collateral(data: bytes) -> None:
    assert parse_certificate_table(data) == ()


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (bytes(23), "end is missing"),
        (TABLE[:48], "end is missing"),
        (TABLE[:-1], "points outside"),
        (bytes.fromhex(VCEK.replace("-", "")) + (47).to_bytes(4, "little") + bytes(4 + 24), "points outside"),
        (bytes.fromhex(VCEK.replace("-", "")) + b"\xff" * 8 + bytes(24), "points outside"),
        (certificate_table(*[(ASK, b"x")] * (MAX_COLLATERAL + 1)), "more than 16 entries"),
        (bytes(MAX_SIZE + 1), "more than"),
    ],
)
def test_a_table_that_is_none_is_refused(data: bytes, match: str) -> None:
    with pytest.raises(MalformedError, match=match):
        parse_certificate_table(data)


@given(st.binary(max_size=400), st.integers(0, 96))
def test_arbitrary_tables_raise_only_errors(data: bytes, at: int) -> None:
    for each in (data, TABLE[:at] + data + TABLE[at + len(data) :]):
        try:
            found = parse_certificate_table(each)
        except Error:
            continue
        assert all(len(piece) <= len(each) for piece in found)


def test_pieces_are_known_by_their_looks_in_any_order() -> None:
    pieces = [AMD.ark.crl(), AMD.chain, AMD.certificate()]
    for chosen in (pieces, pieces[::-1]):
        sorted_ = Collateral.sort(chosen, REPORT)
        assert sorted_.leaf.name == "SEV-VCEK"
        assert [each.name for each in sorted_.authorities] == ["SEV-Milan", "ARK-Milan"]
        assert len(sorted_.lists) == 1


@pytest.mark.parametrize(
    ("piece", "match"),
    [
        (b"", "collateral 2"),
        (b"{}", "collateral 2"),
        (b"-----BEGIN CERTIFICATE-----\n", "collateral 2: not a PEM"),
        (AMD.certificate()[:-1], "collateral 2: cut off"),
        (AMD.certificate() + b"\0", "collateral 2: 1 bytes too many"),
        (AMD.ark.crl() + b"\0", "collateral 2: 1 bytes too many"),
        (AMD.chain + b"and more", "collateral 2: not a PEM"),
        (AMD.certificate(), "2 certificates of keys"),
        (b"\x30\x84\x7f\xff\xff\xff" * 4, "collateral 2"),
    ],
)
def test_a_piece_that_is_none_is_named(piece: bytes, match: str) -> None:
    with pytest.raises(MalformedError, match=match):
        Collateral.sort([AMD.certificate(), piece], REPORT)


def test_too_many_pieces_are_refused() -> None:
    with pytest.raises(MalformedError, match="17 pieces"):
        Collateral.sort([AMD.certificate()] * 17, REPORT)


def test_an_authority_without_a_place_in_the_chain_is_named() -> None:
    stranger = Authority.root("a stranger")
    sorted_ = Collateral.sort([AMD.certificate(), AMD.ask.der, stranger.der], REPORT)
    with pytest.raises(MalformedError, match="a stranger"):
        sorted_.require_needed((sorted_.leaf, sorted_.authorities[0]))


@pytest.mark.parametrize(
    ("generation", "kind", "version", "source"),
    [
        ("Milan", "vcek", 2, "https://kdsintf.amd.com/vcek/v1"),
        ("Milan", "vcek", 3, f"/vcek/v1/Milan/{bytes(range(1, 65)).hex()}?blSPL=04&teeSPL=01&snpSPL=24&ucodeSPL=219"),
        ("Genoa", "vcek", 5, f"/vcek/v1/Genoa/{bytes(range(1, 65)).hex()}?blSPL=04&teeSPL=01&snpSPL=24&ucodeSPL=219"),
        ("Turin", "vcek", 5, "/vcek/v1/Turin/0102030405060708?fmcSPL=00&blSPL=04&teeSPL=01&snpSPL=24&ucodeSPL=219"),
        ("Milan", "vlek", 3, "cloud provider"),
    ],
)
def test_a_missing_certificate_comes_with_its_address(generation: str, kind: str, version: int, source: str) -> None:
    report = Report.parse(FakeAmd(generation=generation, kind=kind).report(version=version))
    with pytest.raises(TrustError, match="is not here") as caught:
        Collateral.sort([], report)
    assert caught.value.hint.startswith("give it: --collateral FILE")
    assert source in caught.value.hint


@given(st.binary(max_size=300), st.integers(0, 1200), st.integers(0, 8))
def test_arbitrary_collateral_raises_only_errors(data: bytes, at: int, cut: int) -> None:
    certificate = AMD.certificate()
    for each in (data, certificate[:at] + data + certificate[at + cut :]):
        try:
            Collateral.sort([each], REPORT)
        except Error:
            continue
