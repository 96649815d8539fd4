# SPDX-License-Identifier: Apache-2.0
"""Certificates (RFC 5280): parsed strictly, and followed from a leaf to a root that the caller trusts, at a given time.

Four vendors' chains, so what is checked is what they have: names, signatures, validity, basic constraints, key usage, path
length, revocation where a list is given. Extensions that nobody here understands are refused when they are critical.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from verifiable.encoding.record import format_time
from verifiable.errors import AttestationError, Error, MalformedError, SignatureError, StaleError, TrustError, UnsupportedError
from verifiable.tee import der

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

#: Vendors' certificates have less than 2 KiB and names of some 130 bytes; what strangers send is read before it is believed.
MAX_SIZE = 1 << 13
MAX_NAME = 1 << 9
MAX_CHAIN = 10
#: For people whose evidence leads to another root.
OTHER_ROOTS = "if it should be, name it: --root PEM, or [[vendors]] in a trust root"
#: How many certificates a chain may be looked for among.
MAX_POOL = 16
BASIC_CONSTRAINTS, KEY_USAGE = "2.5.29.19", "2.5.29.15"
#: keyUsage bits (RFC 5280 §4.2.1.3), from the most significant.
DIGITAL_SIGNATURE, CERT_SIGN, CRL_SIGN = 0x80, 0x04, 0x02
# Critical extensions that are looked at, or that narrow nothing that matters here: the two above, and the key identifiers.
_UNDERSTOOD = frozenset({BASIC_CONSTRAINTS, KEY_USAGE, "2.5.29.14", "2.5.29.35"})
_ECDSA = {"1.2.840.10045.4.3.2": "256", "1.2.840.10045.4.3.3": "384", "1.2.840.10045.4.3.4": "512"}
_RSA_PSS = "1.2.840.113549.1.1.10"
#: Keys that vendors have; others are weak, or slow on purpose.
_CURVES, _RSA_BITS = ("secp256r1", "secp384r1", "secp521r1"), range(2048, 4097)
#: RSASSA-PSS with SHA-384, MGF1 with SHA-384 and 48 bytes of salt, the only parameters that are read: as AMD writes them, and as
#: DER would have it, without the trailer field, which has its default.
_SHA384_MGF1_48 = "a00f300d06096086480165030402020500a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130"
_PSS_SHA384 = (
    bytes.fromhex(f"304606092a864886f70d01010a3039{_SHA384_MGF1_48}a303020101"),
    bytes.fromhex(f"304106092a864886f70d01010a3034{_SHA384_MGF1_48}"),
)
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE-----(?:\r?\n|\Z)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """Its DER ``value``, the content of the OCTET STRING."""

    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A parsed certificate, unverified. ``issuer`` and ``subject`` are DER names, compared as bytes; ``public_key``: DER
    SubjectPublicKeyInfo; ``signed``: the bytes that ``signature`` is over; ``algorithm``: DER AlgorithmIdentifier.
    """

    der: bytes
    signed: bytes
    serial: int
    issuer: bytes
    subject: bytes
    not_before: datetime
    not_after: datetime
    public_key: bytes
    extensions: Mapping[str, Extension]
    algorithm: bytes
    signature: bytes

    @classmethod
    def parse(cls, data: bytes, *, what: str = "certificate") -> Certificate:
        """Read DER. Raises MalformedError."""
        if len(data) > MAX_SIZE:
            raise MalformedError(f"{what}: {len(data):,} bytes is more than the {MAX_SIZE:,} allowed")
        outer = der.parse(data, what=what).children()
        signed, algorithm, signature = outer.take(der.SEQUENCE), outer.take(der.SEQUENCE), outer.take().bits()
        outer.done()
        fields = signed.children()
        version = fields.take(0xA0).children(0xA0)
        if version.take().integer() != 2:
            raise MalformedError(f"{what}: not a version 3 certificate")
        version.done()
        serial = fields.take().integer()
        if fields.take(der.SEQUENCE).encoded != algorithm.encoded:
            raise MalformedError(f"{what}: names two signature algorithms")
        issuer, validity = fields.take(der.SEQUENCE).encoded, fields.take().children()
        not_before, not_after = validity.take().time(), validity.take().time()
        validity.done()
        subject, public_key = fields.take(der.SEQUENCE).encoded, fields.take(der.SEQUENCE).encoded
        if max(len(issuer), len(subject)) > MAX_NAME:
            raise MalformedError(f"{what}: a name of more than the {MAX_NAME:,} bytes allowed")
        extensions = _extensions(fields.optional(0xA3), what)
        fields.done()
        return cls(
            der=data, signed=signed.encoded, serial=serial, issuer=issuer, subject=subject, not_before=not_before,
            not_after=not_after, public_key=public_key, extensions=extensions, algorithm=algorithm.encoded, signature=signature,
        )  # fmt: skip

    @property
    def name(self) -> str:
        """The subject's common name, for people; its other parts where it has none."""
        return common_name(self.subject)

    def key(self) -> PublicKeyTypes:
        """Raises UnsupportedError, MalformedError."""
        return load_key(self.public_key, what=f"certificate of {self.name}")

    def verify_signature(self, issuer: Certificate) -> None:
        """That ``issuer``'s key signed this. Raises SignatureError, UnsupportedError."""
        verify(issuer.public_key, self.algorithm, self.signature, self.signed, what=f"certificate of {self.name}")

    def require_current(self, at: datetime) -> None:
        """Raises StaleError unless ``at`` is in its validity."""
        if not self.not_before <= at <= self.not_after:
            window = f"{format_time(self.not_before)} to {format_time(self.not_after)}"
            raise StaleError(f"the certificate of {self.name} is valid from {window}, not at {format_time(at)}")

    def require_usage(self, bit: int, *, what: str) -> None:
        """Raises AttestationError unless keyUsage allows ``bit``; a certificate without keyUsage may be used for anything."""
        usage = self.extensions.get(KEY_USAGE)
        if usage is not None and not _key_usage(usage.value) & bit:
            raise AttestationError(f"the certificate of {self.name} may not be used for {what}")

    @property
    def path_length(self) -> int | None:
        """-1: not an authority. Else how many authorities may stand below it; None: any number. Raises MalformedError."""
        extension = self.extensions.get(BASIC_CONSTRAINTS)
        if extension is None:
            return -1
        fields = der.parse(extension.value, what="basicConstraints").children()
        authority = fields.take().boolean() if fields.peek() == der.BOOLEAN else False
        limit = fields.take().integer() if fields.more else None
        fields.done()
        return limit if authority else -1


def follow(
    leaf: Certificate, intermediates: Iterable[Certificate], anchors: Sequence[Certificate], *, at: datetime,
    understood: Iterable[str] = (), what: str, longest: int = MAX_CHAIN,
) -> tuple[Certificate, ...]:  # fmt: skip
    """The chain from ``leaf`` to one of ``anchors`` (that one last), every link checked at ``at``.

    ``intermediates`` may come in any order and hold more; ``understood``: critical extensions that the caller judges; ``what``
    names the leaf in errors; ``longest``: certificates at most in the chain. An anchor is trusted as it is: its own signature is
    not looked at. Raises TrustError (the chain ends nowhere), SignatureError, AttestationError, StaleError, UnsupportedError,
    MalformedError.
    """
    known = _UNDERSTOOD | set(understood)
    pool, chain = list(intermediates), [leaf]
    if len(pool) > MAX_POOL:  # each may have the name that is looked for, and would be tried
        raise MalformedError(f"{what}: {len(pool)} certificates of authorities, at most {MAX_POOL} are allowed")
    while True:
        issuer = _issuer(chain[-1], anchors, at)
        anchored = issuer is not None
        if issuer is None:
            issuer = _issuer(chain[-1], [c for c in pool if c not in chain], at)
        if issuer is None or len(chain) >= longest:
            raise TrustError(
                f"{what}: its certificates lead to {common_name(chain[-1].issuer)!r}, which is no root that is trusted here",
                hint=OTHER_ROOTS,
            )
        _link(chain, issuer, known, at)
        chain.append(issuer)
        if anchored:
            issuer.require_current(at)
            return tuple(chain)


def _issuer(subject: Certificate, candidates: Sequence[Certificate], at: datetime) -> Certificate | None:
    """Who of the candidates of that name issued it: several may have it (a root and its successor, or somebody's imitation)."""
    named = [c for c in candidates if c.subject == subject.issuer]
    if len(named) > 1:
        named.sort(key=lambda c: (not _signed_by(subject, c), not c.not_before <= at <= c.not_after))
    return named[0] if named else None


def _signed_by(subject: Certificate, issuer: Certificate) -> bool:
    try:
        subject.verify_signature(issuer)
    except Error:
        return False
    return True


def _link(chain: list[Certificate], issuer: Certificate, known: frozenset[str], at: datetime) -> None:
    """That the last of ``chain`` is good at ``at`` and by ``issuer``, which may have that many authorities below it."""
    subject = chain[-1]
    subject.verify_signature(issuer)
    subject.require_current(at)
    limit = issuer.path_length
    if limit is not None and limit < len(chain) - 1:
        raise AttestationError(f"the certificate of {issuer.name} is no authority over {subject.name}")
    issuer.require_usage(CERT_SIGN, what="signing certificates")
    for oid, extension in subject.extensions.items():
        if extension.critical and oid not in known:
            raise AttestationError(f"the certificate of {subject.name} has a critical extension {oid} that is not understood")


def verify(public_key: bytes, algorithm: bytes, signature: bytes, data: bytes, *, what: str) -> None:
    """That ``signature`` over ``data`` holds; ``algorithm``: DER AlgorithmIdentifier. Raises SignatureError, UnsupportedError."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    key = load_key(public_key, what=what)
    fields = der.parse(algorithm, what=what).children()
    oid = fields.take().oid()
    try:
        if oid in _ECDSA and not fields.more and isinstance(key, ec.EllipticCurvePublicKey):
            digests: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
            key.verify(signature, data, ec.ECDSA(digests[_ECDSA[oid]]))
        elif oid == _RSA_PSS and algorithm in _PSS_SHA384 and isinstance(key, rsa.RSAPublicKey):
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=hashes.SHA384.digest_size)
            key.verify(signature, data, pss, hashes.SHA384())
        else:
            raise UnsupportedError(f"{what}: signature algorithm {oid}, or its parameters, with this kind of key")
    except InvalidSignature as error:
        raise SignatureError(f"{what}: its signature does not hold") from error


def load_key(public_key: bytes, *, what: str) -> PublicKeyTypes:
    """The key in a DER SubjectPublicKeyInfo, in the one spelling of it: a point on a curve has three. RSA keys have 2048 to 4096
    bits, curves are three of NIST's. Raises MalformedError, UnsupportedError.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

    try:
        key = load_der_public_key(public_key)
    except UnsupportedAlgorithm as error:
        raise UnsupportedError(f"{what}: a kind of key that is not known here") from error
    except ValueError as error:
        raise MalformedError(f"{what}: its public key cannot be read") from error
    if key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != public_key:
        raise MalformedError(f"{what}: its public key is in a second spelling")
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in _CURVES:
        raise UnsupportedError(f"{what}: its key is on {key.curve.name}, which no vendor uses")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size not in _RSA_BITS:
        raise UnsupportedError(f"{what}: an RSA key of {key.key_size} bits; {_RSA_BITS[0]} to {_RSA_BITS[-1]} are read here")
    return key


def parse_pem_chain(pem: bytes, *, what: str, maximum: int = MAX_CHAIN) -> tuple[Certificate, ...]:
    """The certificates of a PEM file, in order; nothing else may be in it but white space around them. Raises MalformedError."""
    if len(pem) > 2 * maximum * MAX_SIZE:
        raise MalformedError(f"{what}: {len(pem):,} bytes is more than the {2 * maximum * MAX_SIZE:,} allowed")
    try:
        text = pem.decode("ascii").strip(" \t\r\n\0")
    except UnicodeDecodeError as error:
        raise MalformedError(f"{what}: not PEM") from error
    blocks, end = [], 0
    for match in _PEM.finditer(text):
        if text[end : match.start()].strip():
            break
        blocks.append(match[1])
        end = match.end()
    if not blocks or len(blocks) > maximum or text[end:].strip():
        raise MalformedError(f"{what}: not a PEM file of 1 to {maximum} certificates")
    texts = ["".join(block.split()) for block in blocks]
    try:
        ders = [base64.b64decode(each, validate=True) for each in texts]
    except (binascii.Error, ValueError) as error:
        raise MalformedError(f"{what}: not PEM") from error
    if any(base64.b64encode(each).decode() != given for each, given in zip(ders, texts, strict=True)):
        raise MalformedError(f"{what}: not PEM: there are bits behind its end")
    return tuple(Certificate.parse(each, what=what) for each in ders)


def common_name(name: bytes) -> str:
    """For people: the common name of a DER name, or else the last of its parts."""
    parts: dict[str, str] = {}
    for group in _all(der.parse(name, what="name").children()):
        for pair in _all(group.children(der.SET)):
            fields = pair.children()
            oid, value = fields.take().oid(), fields.take().body
            text = value.decode("utf-8", "replace")[:80]
            parts[oid] = "".join(c if c.isprintable() else "\ufffd" for c in text)  # it goes to terminals, and others chose it
    return parts.get("2.5.4.3") or next(reversed(parts.values()), "(no name)")


def _all(reader: der.Reader) -> Iterable[der.Element]:
    while reader.more:
        yield reader.take()


def _extensions(element: der.Element | None, what: str) -> dict[str, Extension]:
    if element is None:
        return {}
    outer = element.children(0xA3)
    inner = outer.take().children()
    outer.done()
    return parse_extensions(inner, what=what)


def parse_extensions(reader: der.Reader, *, what: str) -> dict[str, Extension]:
    """What is inside the Extensions of a certificate, of a revocation list or of an entry in one. Raises MalformedError."""
    found: dict[str, Extension] = {}
    for each in _all(reader):
        fields = each.children()
        oid = fields.take().oid()
        critical = fields.take().boolean() if fields.peek() == der.BOOLEAN else False
        value = fields.take(der.OCTET_STRING).body
        fields.done()
        if oid in found:
            raise MalformedError(f"{what}: extension {oid} stands in it twice")
        found[oid] = Extension(critical=critical, value=value)
    return found


def _key_usage(value: bytes) -> int:
    element = der.parse(value, what="keyUsage").expect(der.BIT_STRING)
    unused, bits = element.body[:1], element.body[1:]
    if len(unused) != 1 or unused[0] > 7 or int.from_bytes(bits, "big") % (1 << unused[0]) or (unused[0] and not bits):
        element.fail("not a bit string")
    return bits[0] if bits else 0


__all__ = [
    "CERT_SIGN", "CRL_SIGN", "DIGITAL_SIGNATURE", "MAX_CHAIN", "MAX_SIZE", "OTHER_ROOTS", "Certificate", "Extension",
    "common_name", "follow", "load_key", "parse_extensions", "parse_pem_chain", "verify",
]  # fmt: skip
