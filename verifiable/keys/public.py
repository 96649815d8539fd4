# SPDX-License-Identifier: Apache-2.0
"""Public keys and signatures: ECDSA on P-256 with SHA-256, one byte form for each key and for each signature.

P-256 because Sigstore and Rekor v2 take no pure Ed25519. Both forms are exact: a key has one SubjectPublicKeyInfo, and of the
two values ``s`` and ``n - s`` that verify alike only the lower is a signature here, so nobody without the key can make a
second valid receipt out of a first one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verifiable.digest import Digest
from verifiable.errors import MalformedError, SignatureError, UnsupportedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

MAX_KEY_SIZE = 4096
MAX_SIGNATURE_SIZE = 72
#: The order of the P-256 base point (SEC 2 v2, 2.4.2).
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def fingerprint(public_key: bytes) -> Digest:
    """SHA-256 of the SubjectPublicKeyInfo; how we name a key."""
    return Digest.of(public_key)


def check_public_key(public_key: bytes, *, what: str = "public key") -> bytes:
    """``public_key`` if it is the canonical DER SubjectPublicKeyInfo of a P-256 key (uncompressed point, 91 bytes).

    Raises UnsupportedError for another kind of key, MalformedError for another spelling or for no key at all.
    """
    _load(public_key, what)
    return public_key


def parse_public_key_pem(pem: bytes, *, what: str = "public key") -> bytes:
    """The DER SubjectPublicKeyInfo in a ``PUBLIC KEY`` PEM block. Raises MalformedError, UnsupportedError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    if len(pem) > MAX_KEY_SIZE:
        raise MalformedError(f"{what}: not a PEM public key", hint="expected a block '-----BEGIN PUBLIC KEY-----'")
    try:
        key = serialization.load_pem_public_key(pem)
    except UnsupportedAlgorithm as error:
        raise UnsupportedError(f"{what}: not a key on P-256") from error
    except ValueError as error:
        raise MalformedError(f"{what}: not a PEM public key", hint="expected a block '-----BEGIN PUBLIC KEY-----'") from error
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return check_public_key(der, what=what)


def public_key_pem(public_key: bytes) -> str:
    """PEM text of a public key, as a trust root wants it."""
    from cryptography.hazmat.primitives import serialization

    key = _load(public_key, "public key")
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def verify_signature(public_key: bytes, data: bytes, signature: bytes) -> None:
    """Return if ``signature`` (DER ``ECDSA-Sig-Value``, low ``s``) over ``data`` holds under ``public_key`` (DER).

    Raises SignatureError when it does not hold or is spelled in another way, UnsupportedError for another kind of key,
    MalformedError when ``public_key`` is no key.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = _load(public_key, "public key")
    if normalise_signature(signature) != signature:
        raise SignatureError("signature: the high one of the two values of s", hint="the file was changed; use the original")
    try:
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise SignatureError(f"signature does not hold under key {fingerprint(public_key)}") from error


def normalise_signature(signature: bytes) -> bytes:
    """The same signature with the lower of its two values of ``s``. Raises SignatureError when it is not strict DER."""
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    try:
        r, s = decode_dss_signature(signature)
    except ValueError as error:
        raise SignatureError("signature: not a DER encoded ECDSA signature") from error
    if not (0 < r < ORDER and 0 < s < ORDER) or encode_dss_signature(r, s) != signature:
        raise SignatureError("signature: not a DER encoded ECDSA signature on P-256")
    return encode_dss_signature(r, min(s, ORDER - s))


def _load(public_key: bytes, what: str) -> EllipticCurvePublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    if len(public_key) > MAX_KEY_SIZE:
        raise MalformedError(f"{what}: more than {MAX_KEY_SIZE} bytes")
    try:
        key = serialization.load_der_public_key(public_key)
    except UnsupportedAlgorithm as error:
        raise UnsupportedError(f"{what}: not a key on P-256") from error
    except ValueError as error:
        raise MalformedError(f"{what}: not a DER encoded SubjectPublicKeyInfo") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UnsupportedError(f"{what}: not a key on P-256", hint="make one with `verifiable keys generate FILE`")
    if key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo) != public_key:
        raise MalformedError(f"{what}: not in canonical form (an uncompressed point on a named curve)")
    return key
