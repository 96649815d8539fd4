"""Revocation lists: strict, complete, of their issuer, for their time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.pki.authority import DAY, NOW, Authority, sign
from verifiable.errors import AttestationError, Error, MalformedError, SignatureError, StaleError, UnsupportedError
from verifiable.tee.crl import MAX_SIZE, RevocationList
from verifiable.tee.x509 import Certificate

ROOT = Authority.root("root")
LIST = ROOT.crl((3, 0x90, 1 << 150))


def test_the_right_list_holds_and_names_what_is_revoked() -> None:
    parsed = RevocationList.parse(LIST)
    parsed.verify(ROOT.parsed, at=NOW)
    assert parsed.revoked == {3, 0x90, 1 << 150}
    parsed.require_unrevoked(_leaf(4))
    with pytest.raises(AttestationError, match="revoked"):
        parsed.require_unrevoked(_leaf(3))


def test_a_list_of_nothing_holds() -> None:
    parsed = RevocationList.parse(ROOT.crl())
    parsed.verify(ROOT.parsed, at=NOW)
    assert parsed.revoked == frozenset()


def test_a_list_does_not_speak_for_another_issuer() -> None:
    other = Authority.root("somebody else")
    with pytest.raises(AttestationError, match="does not cover"):
        RevocationList.parse(LIST).require_unrevoked(other.parsed)
    with pytest.raises(AttestationError, match="it is that of root"):
        RevocationList.parse(LIST).verify(other.parsed, at=NOW)


def test_another_key_is_refused() -> None:
    with pytest.raises(SignatureError):
        RevocationList.parse(LIST).verify(Authority.root("root").parsed, at=NOW)


def test_a_key_that_may_not_sign_lists_is_refused() -> None:
    root = Authority.root("root", usage=("key_cert_sign",))
    with pytest.raises(AttestationError, match="may not be used for signing revocation lists"):
        RevocationList.parse(root.crl()).verify(root.parsed, at=NOW)


@pytest.mark.parametrize("at", [NOW - DAY - timedelta(seconds=1), NOW + 30 * DAY])
def test_outside_its_window_it_says_nothing(at: object) -> None:
    with pytest.raises(StaleError):
        RevocationList.parse(LIST).verify(ROOT.parsed, at=at)  # type: ignore[arg-type]


@pytest.mark.parametrize("critical", [True, False])
def test_a_delta_is_no_list(critical: bool) -> None:
    with pytest.raises(UnsupportedError, match=r"extension 2\.5\.29\.27 it is not the whole list"):
        RevocationList.parse(_built(extension=x509.DeltaCRLIndicator(1), critical=critical))


@pytest.mark.parametrize("critical", [True, False])
def test_a_list_of_limited_scope_is_refused(critical: bool) -> None:
    """One of users' certificates alone says nothing of an authority's."""
    scope = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
    with pytest.raises(UnsupportedError, match=r"extension 2\.5\.29\.28 it is not the whole list"):
        RevocationList.parse(_built(extension=scope, critical=critical))


@pytest.mark.parametrize("critical", [True, False])
def test_an_entry_about_another_issuers_certificate_is_refused(critical: bool) -> None:
    issuer = x509.CertificateIssuer([x509.DirectoryName(x509.Name([]))])
    with pytest.raises(UnsupportedError, match=r"extension 2\.5\.29\.29 it is not the whole list"):
        RevocationList.parse(_built(entry=issuer, critical=critical))


def test_a_critical_extension_of_unknown_meaning_is_refused() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"")
    with pytest.raises(UnsupportedError, match=r"critical extension 1\.2\.3 that is not understood"):
        RevocationList.parse(_built(extension=unknown))
    RevocationList.parse(_built(extension=unknown, critical=False))


def test_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(MalformedError, match="more than"):
        RevocationList.parse(bytes(MAX_SIZE + 1))


def test_every_bit_counts() -> None:
    for bit in range(8 * len(LIST)):
        changed = bytearray(LIST)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Error):
            RevocationList.parse(bytes(changed)).verify(ROOT.parsed, at=NOW)


@given(st.binary(max_size=200), st.integers(0, len(LIST)), st.integers(0, 8))
@settings(deadline=None)
def test_arbitrary_bytes_raise_only_errors(data: bytes, at: int, cut: int) -> None:
    for each in (data, LIST[:at] + data + LIST[at + cut :]):
        try:
            RevocationList.parse(each).verify(ROOT.parsed, at=NOW)
        except Error:
            continue
        assert each == LIST


def _leaf(serial: int) -> Certificate:
    return Certificate.parse(ROOT.issue("leaf", ROOT.key.public_key(), serial=serial).public_bytes(Encoding.DER))


def _built(
    *, extension: x509.ExtensionType | None = None, entry: x509.ExtensionType | None = None, critical: bool = True
) -> bytes:
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=ROOT.certificate.subject, last_update=NOW - DAY, next_update=NOW + DAY
    )
    if extension is not None:
        builder = builder.add_extension(extension, critical=critical)
    if entry is not None:
        revoked = x509.RevokedCertificateBuilder(serial_number=3, revocation_date=NOW - DAY).add_extension(entry, critical)
        builder = builder.add_revoked_certificate(revoked.build())
    return sign(builder, ROOT.key).public_bytes(Encoding.DER)  # type: ignore[no-any-return]
