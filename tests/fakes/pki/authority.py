"""Certificate authorities for tests: a fake vendor's root, and whatever it or somebody else is made to sign.

Everything can be wrong on purpose: dates, names, key usage, constraints, extensions, the key that signs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from verifiable.tee.roots import Roots
from verifiable.tee.x509 import Certificate

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def new_key(kind: str = "p384") -> Any:
    """``p256``, ``p384`` or ``rsa`` (2048 bits: AMD has 4096, which only takes longer to make)."""
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1() if kind == "p256" else ec.SECP384R1())


@cache
def shared_key(kind: str, label: str) -> Any:
    """The same key for the same label, for the whole run: RSA keys take long to make."""
    del label
    return new_key(kind)


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A certificate with its private key; what it issues is signed with it. ``chain``: itself first, its root last."""

    key: Any
    certificate: x509.Certificate
    above: tuple[x509.Certificate, ...] = ()

    @classmethod
    def root(cls, name: str, *, kind: str = "p384", key: Any = None, **fields: Any) -> Authority:
        key = key or new_key(kind)
        return cls(key=key, certificate=issue(name, key.public_key(), name, key, **({"ca": True} | fields)))

    def authority(self, name: str, *, kind: str = "p384", key: Any = None, **fields: Any) -> Authority:
        """One below, also a leaf with its key at hand (``ca=False``)."""
        key = key or new_key(kind)
        certificate = self.issue(name, key.public_key(), **({"ca": True} | fields))
        return Authority(key=key, certificate=certificate, above=self.chain)

    def issue(self, name: str, public_key: Any, **fields: Any) -> x509.Certificate:
        return issue(
            name, public_key, fields.pop("issuer", self.certificate.subject), fields.pop("signing_key", self.key), **fields
        )

    def crl(self, revoked: Iterable[int] = (), *, at: datetime = NOW, days: int = 30, **fields: Any) -> bytes:
        """DER of a revocation list of these serial numbers."""
        builder = x509.CertificateRevocationListBuilder(
            issuer_name=fields.pop("issuer", self.certificate.subject), last_update=at - DAY, next_update=at + days * DAY
        )
        for serial in revoked:
            entry = x509.RevokedCertificateBuilder(serial_number=serial, revocation_date=at - DAY).build()
            builder = builder.add_revoked_certificate(entry)
        builder = builder.add_extension(x509.CRLNumber(1), critical=False)
        return sign(builder, fields.pop("signing_key", self.key)).public_bytes(Encoding.DER)

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        return (self.certificate, *self.above)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def parsed(self) -> Certificate:
        return Certificate.parse(self.der)

    def roots(self, *kinds: str, name: str = "fake vendor") -> Roots:
        """This one as the only trust anchor for evidence of these kinds."""
        return Roots.given(name, kinds, pem(self.certificate))


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def issue(
    name: str | x509.Name,
    public_key: Any,
    issuer: str | x509.Name,
    signing_key: Any,
    *,
    ca: bool = False,
    path_length: int | None = None,
    since: datetime = NOW - 365 * DAY,
    until: datetime = NOW + 3650 * DAY,
    serial: int | None = None,
    usage: Sequence[str] | None = None,
    extensions: Iterable[tuple[str, bytes, bool]] = (),
    constraints: bool = True,
) -> x509.Certificate:
    """``usage``: names of key usages, by default what a CA or a leaf has; ``extensions``: (OID, DER, critical)."""
    chosen = tuple(usage) if usage is not None else (("key_cert_sign", "crl_sign") if ca else ("digital_signature",))
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(public_key)
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(_usage(chosen), critical=True)
    )
    if constraints:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    for oid, value, critical in extensions:
        builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), critical=critical)
    return sign(builder, signing_key)


def sign(builder: Any, key: Any) -> Any:
    """RSA keys sign as AMD's do (PSS, SHA-384, 48 bytes of salt), others with ECDSA and the hash of their size."""
    if isinstance(key, rsa.RSAPrivateKey):
        return builder.sign(key, hashes.SHA384(), rsa_padding=padding.PSS(padding.MGF1(hashes.SHA384()), salt_length=48))
    return builder.sign(key, hashes.SHA256() if key.curve.name == "secp256r1" else hashes.SHA384())


def public_der(key: Any) -> bytes:
    public = key.public_key() if hasattr(key, "public_key") else key
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _name(name: str | x509.Name) -> x509.Name:
    return name if isinstance(name, x509.Name) else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(names: Sequence[str]) -> x509.KeyUsage:
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
        "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in names for name in every})
