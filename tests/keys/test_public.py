# SPDX-License-Identifier: Apache-2.0
"""Keys and signatures have one spelling each, and a signature holds for one key and one message."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from verifiable.errors import Error, MalformedError, SignatureError, UnsupportedError
from verifiable.keys.public import (
    ORDER,
    check_public_key,
    fingerprint,
    normalise_signature,
    parse_public_key_pem,
    public_key_pem,
    verify_signature,
)

KEY = ec.generate_private_key(ec.SECP256R1())
DER = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
DATA = b"what is signed"
SIGNATURE = normalise_signature(KEY.sign(DATA, ec.ECDSA(hashes.SHA256())))


def _der(key: object) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]


def test_a_signature_holds() -> None:
    verify_signature(DER, DATA, SIGNATURE)


def test_it_holds_for_one_message_and_one_key() -> None:
    with pytest.raises(SignatureError):
        verify_signature(DER, DATA + b"!", SIGNATURE)
    with pytest.raises(SignatureError):
        verify_signature(_der(ec.generate_private_key(ec.SECP256R1())), DATA, SIGNATURE)


def test_sha384_is_not_sha256() -> None:
    with pytest.raises(SignatureError):
        verify_signature(DER, DATA, normalise_signature(KEY.sign(DATA, ec.ECDSA(hashes.SHA384()))))


def test_the_mirrored_signature_is_refused() -> None:
    r, s = decode_dss_signature(SIGNATURE)
    mirrored = encode_dss_signature(r, ORDER - s)
    KEY.public_key().verify(mirrored, DATA, ec.ECDSA(hashes.SHA256()))  # plain ECDSA accepts it
    with pytest.raises(SignatureError, match="high"):
        verify_signature(DER, DATA, mirrored)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        SIGNATURE + b"\0",
        SIGNATURE[:-1],
        b"\x30\x81" + SIGNATURE[1:],  # a long-form length
        SIGNATURE[:2] + b"\x02" + bytes([SIGNATURE[3] + 1]) + b"\0" + SIGNATURE[4:],  # padded integer
        encode_dss_signature(0, 1),
        encode_dss_signature(1, 0),
        encode_dss_signature(ORDER, 1),
        encode_dss_signature(1, ORDER + 1),
        decode_dss_signature(SIGNATURE)[0].to_bytes(32, "big") + decode_dss_signature(SIGNATURE)[1].to_bytes(32, "big"),
    ],
)
def test_other_spellings_of_a_signature_are_refused(signature: bytes) -> None:
    with pytest.raises(SignatureError):
        verify_signature(DER, DATA, signature)


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1()])
def test_other_curves_are_unsupported(curve: ec.EllipticCurve) -> None:
    with pytest.raises(UnsupportedError, match="P-256"):
        verify_signature(_der(ec.generate_private_key(curve)), DATA, SIGNATURE)


def test_ed25519_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="P-256"):
        check_public_key(_der(ed25519.Ed25519PrivateKey.generate()))


def test_a_compressed_point_is_another_spelling() -> None:
    point = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    head = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    with pytest.raises(MalformedError, match="canonical"):
        check_public_key(head + point)


@pytest.mark.parametrize("data", [b"", DER[:-1], DER + b"\0", b"\x30" * 5000])
def test_no_key(data: bytes) -> None:
    with pytest.raises(MalformedError):
        check_public_key(data)


def test_pem_round_trip() -> None:
    assert parse_public_key_pem(public_key_pem(DER).encode()) == DER
    assert len(fingerprint(DER).value) == 32


def test_a_private_key_is_not_taken_for_a_public_one() -> None:
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(MalformedError) as caught:
        parse_public_key_pem(pem)
    assert pem.splitlines()[1].decode() not in str(caught.value)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_errors(data: bytes) -> None:
    for call in (
        lambda: verify_signature(data, b"", SIGNATURE),
        lambda: verify_signature(DER, DATA, data),
        lambda: parse_public_key_pem(data),
    ):
        with pytest.raises(Error):
            call()
