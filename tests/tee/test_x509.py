# SPDX-License-Identifier: Apache-2.0
"""Certificates: strict to read, and followed only along links that hold."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.pki.authority import DAY, NOW, Authority, issue, new_key, public_der, shared_key
from tests.tee.test_der import tlv
from verifiable.errors import (
    AttestationError,
    Error,
    MalformedError,
    SignatureError,
    StaleError,
    TrustError,
    UnsupportedError,
    VerificationError,
)
from verifiable.tee import der
from verifiable.tee.x509 import DIGITAL_SIGNATURE, MAX_NAME, MAX_POOL, MAX_SIZE, Certificate, common_name, follow, verify

ROOT = Authority.root("root")
MIDDLE = ROOT.authority("middle", path_length=0)
LEAF = MIDDLE.authority("leaf", ca=False)
SECOND = timedelta(seconds=1)
OID = "1.3.6.1.4.1.99999.1"


def chase(leaf: Authority, *pool: Authority, anchors: tuple[Authority, ...] = (ROOT,), **options: Any) -> tuple[str, ...]:
    """The names along the chain."""
    chain = follow(
        leaf.parsed, [c.parsed for c in pool], [a.parsed for a in anchors], what="leaf", **({"at": NOW} | options)
    )  # fmt: skip
    return tuple(c.name for c in chain)


# What holds


def test_a_chain_is_followed_to_its_root_in_any_order_and_among_others() -> None:
    other = Authority.root("other")
    assert chase(LEAF, MIDDLE) == ("leaf", "middle", "root")
    assert chase(LEAF, other, ROOT, LEAF, MIDDLE, anchors=(other, ROOT)) == ("leaf", "middle", "root")
    assert chase(LEAF, anchors=(MIDDLE,)) == ("leaf", "middle")  # trusted as it is


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa"])
def test_every_algorithm_that_vendors_use(kind: str) -> None:
    root = Authority.root("root", kind=kind, key=shared_key("rsa", "root") if kind == "rsa" else None)
    assert chase(root.authority("leaf", ca=False), anchors=(root,)) == ("leaf", "root")


def test_validity_includes_its_first_and_its_last_second() -> None:
    leaf = ROOT.authority("leaf", ca=False, since=NOW, until=NOW + DAY)
    assert chase(leaf, at=NOW) == chase(leaf, at=NOW + DAY) == ("leaf", "root")


def test_a_root_and_its_successor_may_have_one_name() -> None:
    """As may an imitation that somebody put among the roots: the one that signed is found, whatever the order."""
    new, imitation = Authority.root("root"), Authority.root("root")
    for anchors in ((ROOT, new, imitation), (imitation, new, ROOT)):
        assert chase(new.authority("leaf", ca=False), anchors=anchors) == ("leaf", "root")
        assert chase(LEAF, MIDDLE, anchors=anchors) == ("leaf", "middle", "root")


def test_a_renewed_intermediate_is_found_beside_the_expired_one() -> None:
    expired = ROOT.authority("middle", key=MIDDLE.key, until=NOW - DAY)
    for pool in ((expired, MIDDLE), (MIDDLE, expired)):
        assert chase(LEAF, *pool) == ("leaf", "middle", "root")


# What does not


def test_an_unknown_root() -> None:
    with pytest.raises(TrustError, match="lead to 'root', which is no root"):
        chase(LEAF, MIDDLE, anchors=(Authority.root("other"),))
    with pytest.raises(TrustError):
        chase(LEAF, MIDDLE, anchors=())
    with pytest.raises(TrustError, match="lead to 'middle'"):
        chase(LEAF)


def test_a_self_made_root_of_the_same_name() -> None:
    fake = Authority.root("root")
    forged = fake.authority("middle").authority("leaf", ca=False)
    pool = [Certificate.parse(c.public_bytes(Encoding.DER)) for c in forged.above]
    with pytest.raises(SignatureError, match="certificate of middle"):
        follow(forged.parsed, pool, [ROOT.parsed], at=NOW, what="leaf")


def test_a_self_made_leaf_and_its_own_root_are_no_root() -> None:
    own = Authority.root("own")
    with pytest.raises(TrustError):
        chase(own, own)


def test_a_certificate_that_is_signed_by_nobody() -> None:
    forged = Authority(key=LEAF.key, certificate=ROOT.issue("leaf", LEAF.key.public_key(), signing_key=new_key()))
    with pytest.raises(SignatureError, match="certificate of leaf"):
        chase(forged)


@pytest.mark.parametrize("at", ["leaf", "middle", "root"])
@pytest.mark.parametrize("window", [(NOW - 9 * DAY, NOW - SECOND), (NOW + SECOND, NOW + 9 * DAY)])
def test_outside_a_validity(at: str, window: tuple[Any, Any]) -> None:
    dates = dict(zip(("since", "until"), window, strict=True))
    root = Authority.root("root", **(dates if at == "root" else {}))
    middle = root.authority("middle", **(dates if at == "middle" else {}))
    leaf = middle.authority("leaf", ca=False, **(dates if at == "leaf" else {}))
    with pytest.raises(StaleError, match=f"certificate of {at} is valid from"):
        chase(leaf, middle, anchors=(root,))


@pytest.mark.parametrize("fields", [{"ca": False}, {"constraints": False}, {"ca": False, "usage": ("key_cert_sign",)}])
def test_an_issuer_that_is_no_authority(fields: dict[str, Any]) -> None:
    middle = ROOT.authority("middle", **({"usage": ("key_cert_sign", "digital_signature")} | fields))
    with pytest.raises(AttestationError, match="middle is no authority over leaf"):
        chase(middle.authority("leaf", ca=False), middle)


def test_a_leaf_signs_no_other_leaf() -> None:
    """A device's key makes itself another device."""
    with pytest.raises(AttestationError, match="leaf is no authority over another"):
        chase(LEAF.authority("another", ca=False), LEAF, MIDDLE)


def test_an_anchor_must_be_an_authority_too() -> None:
    with pytest.raises(AttestationError, match="no authority"):
        chase(LEAF.authority("another", ca=False), anchors=(LEAF,))


def test_more_authorities_than_the_path_length() -> None:
    lower = MIDDLE.authority("lower")  # below one with path length 0
    with pytest.raises(AttestationError, match="middle is no authority over lower"):
        chase(lower.authority("leaf", ca=False), lower, MIDDLE)
    root = Authority.root("root", path_length=1)
    a = root.authority("a")
    b = a.authority("b")
    assert chase(a.authority("leaf", ca=False), a, anchors=(root,)) == ("leaf", "a", "root")
    with pytest.raises(AttestationError, match="root is no authority over a"):
        chase(b.authority("leaf", ca=False), b, a, anchors=(root,))


@pytest.mark.parametrize("usage", [("digital_signature",), ("crl_sign",), ("key_encipherment", "digital_signature")])
def test_an_authority_whose_key_may_not_sign_certificates(usage: tuple[str, ...]) -> None:
    middle = ROOT.authority("middle", usage=usage)
    with pytest.raises(AttestationError, match="middle may not be used for signing certificates"):
        chase(middle.authority("leaf", ca=False), middle)


def test_usage_of_a_leaf() -> None:
    LEAF.parsed.require_usage(DIGITAL_SIGNATURE, what="evidence")
    with pytest.raises(AttestationError, match="root may not be used for evidence"):
        ROOT.parsed.require_usage(DIGITAL_SIGNATURE, what="evidence")


@pytest.mark.parametrize("at", ["leaf", "middle"])
def test_a_critical_extension_that_nobody_understands(at: str) -> None:
    def extra(name: str, critical: bool) -> dict[str, Any]:
        return {"extensions": [(OID, b"\5\0", critical)]} if name == at else {}

    for critical in (True, False):
        middle = ROOT.authority("middle", **extra("middle", critical))
        leaf = middle.authority("leaf", ca=False, **extra("leaf", critical))
        if critical:
            with pytest.raises(AttestationError, match=f"certificate of {at} has a critical extension {OID}"):
                chase(leaf, middle)
        assert chase(leaf, middle, understood=[OID] if critical else []) == ("leaf", "middle", "root")


def test_name_constraints_are_not_ignored() -> None:
    constraints = x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.com")], excluded_subtrees=None)
    middle = ROOT.authority("middle", extensions=[("2.5.29.30", constraints.public_bytes(), True)])
    with pytest.raises(AttestationError, match=r"2\.5\.29\.30 that is not understood"):
        chase(middle.authority("leaf", ca=False), middle)


def test_loops_end() -> None:
    a_key, b_key = new_key(), new_key()
    a = Authority(key=a_key, certificate=issue("a", a_key.public_key(), "b", b_key, ca=True))
    b = Authority(key=b_key, certificate=issue("b", b_key.public_key(), "a", a_key, ca=True))
    itself = Authority.root("itself")
    with pytest.raises(TrustError):
        chase(a.authority("leaf", ca=False), a, b)
    with pytest.raises(TrustError):
        chase(itself.authority("leaf", ca=False), itself)


def test_chains_have_an_end() -> None:
    links = [ROOT]
    for i in range(12):
        links.append(links[-1].authority(f"link {i}", key=MIDDLE.key))
    assert len(chase(links[8], *links[1:8])) == 9
    with pytest.raises(TrustError):
        chase(links[12], *links[1:12])


# Signatures


def _body(signed: Authority = LEAF) -> tuple[bytes, bytes, bytes]:
    parsed = signed.parsed
    return parsed.algorithm, parsed.signature, parsed.signed


def _algorithm(dotted: str, parameters: bytes = b"") -> bytes:
    name = x509.Name([x509.NameAttribute(x509.ObjectIdentifier(dotted), "x")]).public_bytes()
    reader = der.parse(name, what="").children().take().children(der.SET).take().children()
    return tlv(0x30, reader.take().encoded + parameters)


@pytest.mark.parametrize("name", ["256", "512"])
def test_another_hash_than_the_one_that_was_signed(name: str) -> None:
    _, signature, signed = _body()
    other = _algorithm({"256": "1.2.840.10045.4.3.2", "512": "1.2.840.10045.4.3.4"}[name])
    with pytest.raises(SignatureError):
        verify(public_der(MIDDLE.key), other, signature, signed, what="test")


@pytest.mark.parametrize(
    "algorithm",
    [
        _algorithm("1.2.840.10045.4.3.3", b"\5\0"),  # ECDSA has no parameters
        _algorithm("1.2.840.10045.4.1"),  # SHA-1
        _algorithm("1.2.840.10045.4.3.1"),  # SHA-224
        _algorithm("1.2.840.113549.1.1.11", b"\5\0"),  # PKCS #1 v1.5
        _algorithm("1.2.840.113549.1.1.10"),  # PSS with its default parameters, SHA-1
        _algorithm("1.3.101.112"),
        _algorithm("2.16.840.1.101.3.4.2.2"),  # a hash alone
    ],
)
@pytest.mark.parametrize("kind", ["p384", "rsa"])
def test_algorithms_that_are_not_used_here(algorithm: bytes, kind: str) -> None:
    key = shared_key("rsa", "root") if kind == "rsa" else MIDDLE.key
    _, signature, signed = _body()
    with pytest.raises(UnsupportedError, match="signature algorithm"):
        verify(public_der(key), algorithm, signature, signed, what="test")


def test_an_algorithm_with_another_kind_of_key() -> None:
    rsa_root = Authority.root("root", key=shared_key("rsa", "root"))
    algorithm, signature, signed = _body(rsa_root)
    with pytest.raises(UnsupportedError):
        verify(public_der(ROOT.key), algorithm, signature, signed, what="test")
    algorithm, signature, signed = _body()
    for key in (shared_key("rsa", "root"), ed25519.Ed25519PrivateKey.generate(), dsa.generate_private_key(1024)):
        with pytest.raises(UnsupportedError):
            verify(public_der(key), algorithm, signature, signed, what="test")


def test_pss_with_another_salt_or_hash() -> None:
    key = shared_key("rsa", "root")
    algorithm, _, signed = _body(Authority.root("root", key=key))
    good = padding.PSS(padding.MGF1(hashes.SHA384()), salt_length=48)
    verify(public_der(key), algorithm, key.sign(signed, good, hashes.SHA384()), signed, what="test")
    for scheme, digest in (
        (padding.PSS(padding.MGF1(hashes.SHA384()), salt_length=32), hashes.SHA384()),
        (padding.PSS(padding.MGF1(hashes.SHA384()), salt_length=0), hashes.SHA384()),
        (padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=48), hashes.SHA384()),
        (padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=48), hashes.SHA256()),
        (padding.PKCS1v15(), hashes.SHA384()),
    ):
        with pytest.raises(SignatureError):
            verify(public_der(key), algorithm, key.sign(signed, scheme, digest), signed, what="test")


def test_signatures_have_one_encoding() -> None:
    algorithm, signature, signed = _body()
    r, s = decode_dss_signature(signature)
    loose = tlv(0x30, tlv(2, b"\0" + signature[4 : 4 + signature[3]]) + tlv(2, s.to_bytes(49, "big")))
    for other in (b"", b"\0", signature + b"\0", signature[:-1], loose, encode_dss_signature(r, 0), encode_dss_signature(0, s)):
        with pytest.raises(SignatureError):
            verify(public_der(MIDDLE.key), algorithm, other, signed, what="test")


def test_two_algorithms_in_one_certificate() -> None:
    """The one outside is not signed."""
    parsed = LEAF.parsed
    outside = _algorithm("1.2.840.10045.4.3.2")
    with pytest.raises(MalformedError, match="two signature algorithms"):
        Certificate.parse(tlv(0x30, parsed.signed + outside + tlv(3, b"\0" + parsed.signature)))


def test_a_curve_of_ones_own() -> None:
    """CVE-2020-0601: a public key with parameters of its maker's choice, of which the real key is a multiple."""
    point = MIDDLE.key.public_key().public_numbers()
    coordinates = b"\4" + point.x.to_bytes(48, "big") + point.y.to_bytes(48, "big")
    prime = 2**384 - 2**128 - 2**96 + 2**32 - 1
    b = (point.y**2 - point.x**3 + 3 * point.x) % prime
    field = tlv(0x30, tlv(6, bytes.fromhex("2a8648ce3d0101")) + tlv(2, b"\0" + prime.to_bytes(48, "big")))
    curve = tlv(0x30, tlv(4, (prime - 3).to_bytes(48, "big")) + tlv(4, b.to_bytes(48, "big")))
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
    parameters = tlv(
        0x30, tlv(2, b"\1") + field + curve + tlv(4, coordinates) + tlv(2, b"\0" + order.to_bytes(48, "big")) + tlv(2, b"\1")
    )
    key = tlv(0x30, tlv(0x30, tlv(6, bytes.fromhex("2a8648ce3d0201")) + parameters) + tlv(3, b"\0" + coordinates))
    algorithm, signature, signed = _body()
    with pytest.raises((UnsupportedError, MalformedError)):
        verify(key, algorithm, signature, signed, what="test")


@pytest.mark.parametrize("form", ["hybrid", "compressed"])
def test_a_public_key_in_a_second_spelling(form: str) -> None:
    numbers = MIDDLE.key.public_key().public_numbers()
    x, y = (n.to_bytes(48, "big") for n in (numbers.x, numbers.y))
    point = bytes([6 + numbers.y % 2]) + x + y if form == "hybrid" else bytes([2 + numbers.y % 2]) + x
    curve = tlv(0x30, tlv(6, bytes.fromhex("2a8648ce3d0201")) + tlv(6, bytes.fromhex("2b81040022")))
    algorithm, signature, signed = _body()
    with pytest.raises(MalformedError, match="second spelling"):
        verify(tlv(0x30, curve + tlv(3, b"\0" + point)), algorithm, signature, signed, what="test")


@given(st.integers(0, 119), st.integers(0, 7))
def test_a_public_key_with_a_bit_flipped_verifies_nothing(at: int, bit: int) -> None:
    key = bytearray(public_der(MIDDLE.key))
    key[at] ^= 1 << bit
    algorithm, signature, signed = _body()
    with pytest.raises((VerificationError, UnsupportedError, MalformedError)):
        verify(bytes(key), algorithm, signature, signed, what="test")


# Parsing


def test_the_fields_are_those_that_cryptography_reads() -> None:
    parsed, theirs = MIDDLE.parsed, MIDDLE.certificate
    assert parsed.serial == theirs.serial_number
    assert (parsed.issuer, parsed.subject) == (theirs.issuer.public_bytes(), theirs.subject.public_bytes())
    assert (parsed.not_before, parsed.not_after) == (theirs.not_valid_before_utc, theirs.not_valid_after_utc)
    assert (parsed.public_key, parsed.signature) == (public_der(theirs.public_key()), theirs.signature)
    assert parsed.signed == theirs.tbs_certificate_bytes
    assert {oid: e.critical for oid, e in parsed.extensions.items()} == {
        e.oid.dotted_string: e.critical for e in theirs.extensions
    }
    assert (parsed.path_length, ROOT.parsed.path_length, LEAF.parsed.path_length) == (0, None, -1)
    assert parsed == Certificate.parse(MIDDLE.der) != LEAF.parsed


def _rebuilt(
    *,
    version: bytes = tlv(0xA0, tlv(2, b"\2")),
    serial: bytes = tlv(2, b"\1"),
    validity: bytes = b"",
    extensions: bytes | None = None,
) -> bytes:
    """The leaf, made anew and signed by its issuer, with parts that cryptography's builder would not make."""
    fields = der.parse(LEAF.parsed.signed, what="").children()
    parts = [fields.take().encoded for _ in range(8)]
    parts[:2] = version, serial
    parts[4] = validity or parts[4]
    parts[7] = parts[7] if extensions is None else extensions
    signed = tlv(0x30, b"".join(parts))
    signature = MIDDLE.key.sign(signed, ec.ECDSA(hashes.SHA384()))
    return tlv(0x30, signed + LEAF.parsed.algorithm + tlv(3, b"\0" + signature))


def _extension(oid: str, value: bytes, critical: bytes = b"") -> bytes:
    name = _algorithm(oid)[2:]
    return tlv(0x30, name + critical + tlv(4, value))


def test_serial_number_zero_is_read() -> None:
    """As AMD's chips have it."""
    parsed = Certificate.parse(_rebuilt(serial=tlv(2, b"\0")))
    assert parsed.serial == 0
    assert len(follow(parsed, [MIDDLE.parsed], [ROOT.parsed], at=NOW, what="leaf")) == 3


def test_serial_number_zero_of_a_real_chip(shared: Any) -> None:
    path = shared / "vectors" / "snp" / "report_v2_milan.vcek.der"
    if not path.is_file():
        pytest.skip(f"recorded material is not here: {path}")
    assert Certificate.parse(path.read_bytes()).serial == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"version": b""}, {"version": tlv(0xA0, tlv(2, b"\1"))}, {"version": tlv(0xA0, tlv(2, b"\3"))},
        {"version": tlv(0xA0, tlv(2, b"\2") + tlv(2, b"\2"))}, {"serial": tlv(2, b"\0\1")}, {"serial": tlv(4, b"\1")},
        {"extensions": tlv(0x81, b"\0a")}, {"extensions": tlv(0xA3, b"")}, {"extensions": tlv(0xA3, tlv(0x30, b"") * 2)},
        {"extensions": tlv(0xA3, tlv(0x31, b""))}, {"extensions": tlv(0xA3, tlv(0x30, tlv(0x30, b"")))},
        {"extensions": tlv(0xA3, tlv(0x30, _extension(OID, b"", tlv(1, b"\1"))))},
        {"extensions": tlv(0xA3, tlv(0x30, _extension(OID, b"") + b"\0"))}, {"extensions": tlv(0xA3, tlv(0x30, b"")) * 2},
        {"validity": tlv(0x30, tlv(23, b"260101000000Z") * 3)}, {"validity": tlv(0x30, tlv(23, b"260101000000Z"))},
    ],
)  # fmt: skip
def test_other_shapes_are_refused(fields: dict[str, bytes]) -> None:
    with pytest.raises(MalformedError):
        Certificate.parse(_rebuilt(**fields))


def test_an_extension_that_stands_there_twice() -> None:
    """Of which one reader takes the first, and the other the last."""
    twice = tlv(0xA3, tlv(0x30, _extension(OID, b"a") + _extension("1.2.3", b"") + _extension(OID, b"b")))
    with pytest.raises(MalformedError, match=f"extension {OID} stands in it twice"):
        Certificate.parse(_rebuilt(extensions=twice))


@pytest.mark.parametrize(
    "value",
    [b"", b"\5\0", tlv(0x30, tlv(1, b"\xff")) + b"\0", tlv(0x30, tlv(1, b"\1")), tlv(0x30, tlv(1, b"\xff") + tlv(2, b"\0") * 2)],
)
def test_basic_constraints_that_cannot_be_read(value: bytes) -> None:
    parsed = Certificate.parse(_rebuilt(extensions=tlv(0xA3, tlv(0x30, _extension("2.5.29.19", value)))))
    with pytest.raises(MalformedError, match="basicConstraints"):
        assert parsed.path_length


@pytest.mark.parametrize(
    ("value", "limit"), [("3000", -1), ("3003010100", -1), ("3003020105", -1), ("30060101ff0201ff", -1), ("30030101ff", None)]
)
def test_basic_constraints(value: str, limit: int | None) -> None:
    parsed = Certificate.parse(_rebuilt(extensions=tlv(0xA3, tlv(0x30, _extension("2.5.29.19", bytes.fromhex(value))))))
    assert parsed.path_length == limit


@pytest.mark.parametrize("bits", ["", "01", "0904", "0105", "07ff", "ff80"])
def test_key_usage_that_is_no_bit_string(bits: str) -> None:
    value = tlv(3, bytes.fromhex(bits))
    parsed = Certificate.parse(_rebuilt(extensions=tlv(0xA3, tlv(0x30, _extension("2.5.29.15", value)))))
    with pytest.raises(MalformedError, match="keyUsage"):
        parsed.require_usage(DIGITAL_SIGNATURE, what="x")


def test_certificates_are_capped() -> None:
    with pytest.raises(MalformedError, match="more than the 8,192 allowed"):
        Certificate.parse(bytes(MAX_SIZE + 1))


@pytest.mark.parametrize("whose", ["subject", "issuer"])
def test_names_are_capped(whose: str) -> None:
    """Their text is looked up for every link that is tried."""
    long = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "long" * 10)] * (MAX_NAME // 50 + 1))
    names = {"name": "leaf", "issuer": "middle"} | {{"subject": "name", "issuer": "issuer"}[whose]: long}
    certificate = issue(public_key=LEAF.key.public_key(), signing_key=MIDDLE.key, **names)
    with pytest.raises(MalformedError, match="a name of more than the 512 bytes allowed"):
        Certificate.parse(certificate.public_bytes(Encoding.DER))


def test_a_chain_is_not_looked_for_among_many() -> None:
    """Each has the name of the next link, so each would be tried, at every link."""
    own = Authority.root("own")
    pool = [own.authority("own", key=own.key) for _ in range(MAX_POOL + 1)]
    with pytest.raises(TrustError):
        chase(own, *pool[:-1])
    with pytest.raises(MalformedError, match="17 certificates of authorities"):
        chase(own, *pool)


def test_a_chain_is_as_long_as_the_caller_says() -> None:
    assert chase(LEAF, MIDDLE, longest=3) == ("leaf", "middle", "root")
    with pytest.raises(TrustError, match="lead to 'root'"):
        chase(LEAF, MIDDLE, longest=2)


@pytest.mark.parametrize("bits", [256, 1024, 2047, 4097, 16384])
def test_rsa_keys_that_are_weak_or_slow(bits: int) -> None:
    """One of 256 bits, for this hash, makes cryptography raise an error of another kind."""
    signed = shared_key("rsa", "root").sign(b"data", padding.PSS(padding.MGF1(hashes.SHA384()), 48), hashes.SHA384())
    key = public_der(rsa.RSAPublicNumbers(65537, (1 << bits) - 1).public_key())
    algorithm = Authority.root("root", key=shared_key("rsa", "root")).parsed.algorithm
    with pytest.raises(UnsupportedError, match=f"an RSA key of {bits} bits"):
        verify(key, algorithm, signed, b"data", what="x")


@pytest.mark.parametrize("curve", [ec.SECP192R1(), ec.SECP224R1(), ec.SECP256K1(), ec.BrainpoolP384R1()])
def test_curves_that_no_vendor_uses(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    signed = key.sign(b"data", ec.ECDSA(hashes.SHA384()))
    with pytest.raises(UnsupportedError, match=f"on {curve.name}, which no vendor uses"):
        verify(public_der(key), LEAF.parsed.algorithm, signed, b"data", what="x")


@given(st.integers(0, len(LEAF.der) - 1), st.integers(0, 7))
def test_no_bit_of_a_certificate_is_without_meaning(at: int, bit: int) -> None:
    data = bytearray(LEAF.der)
    data[at] ^= 1 << bit
    with pytest.raises(Error):
        follow(Certificate.parse(bytes(data)), [MIDDLE.parsed], [ROOT.parsed], at=NOW, what="leaf")


@given(st.binary(max_size=200) | st.integers(0, len(MIDDLE.der)).map(lambda n: MIDDLE.der[:n]))
def test_any_bytes_raise_only_our_errors(data: bytes) -> None:
    with contextlib.suppress(Error):
        Certificate.parse(data)
        assert data == MIDDLE.der


# Names


def test_names_are_for_people() -> None:
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Vendor")
    assert common_name(x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, "Root")]).public_bytes()) == "Root"
    assert common_name(x509.Name([organisation]).public_bytes()) == "Vendor"
    assert common_name(x509.Name([]).public_bytes()) == "(no name)"


@pytest.mark.parametrize("text", ["root\n  verified", "\x1b[2Jroot", "root\r", "\u202etoor", "\x00", "a\u2028b"])
def test_a_name_does_not_command_a_terminal(text: str) -> None:
    """It comes from whoever made the certificate, and is printed in errors."""
    name = tlv(0x30, tlv(0x31, tlv(0x30, bytes.fromhex("0603550403") + tlv(12, text.encode()))))
    assert common_name(name).isprintable()
