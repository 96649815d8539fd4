# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's golden values: a reference integrity manifest (RIM) is a software identity tag (ISO/IEC 19770-2, as the TCG profiles
it) in XML, with an enveloped XML signature whose certificates lie in the file.

XML is a poor thing to sign, so only one way of writing it is read. No declaration, document type, entity, comment, CDATA or
processing instruction; one signature, at its place, over the whole document, with the algorithms pinned; and the bytes must be
those that a serialiser makes of what was read, so that no two files say the same. After that the golden values come from what the
signature covered, never from the file.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NoReturn

from verifiable.errors import AttestationError, MalformedError, SignatureError, UnsupportedError
from verifiable.tee import x509
from verifiable.tee.x509 import Certificate

MAX_SIZE = 1 << 18
_MAX_ALTERNATIVES = 64
_DIGEST_SIZE = 48
_SWID, _SHA384 = "{http://standards.iso.org/iso/19770/-2/2015/schema.xsd}", "{http://www.w3.org/2001/04/xmlenc#sha384}"
_DSIG, _XML = "{http://www.w3.org/2000/09/xmldsig#}", "{http://www.w3.org/XML/1998/namespace}"
_C14N = {"Algorithm": "http://www.w3.org/2006/12/xml-c14n11"}
#: The signature as it must stand: depth below the root, element, attributes. Then one or more X509Certificate.
_SIGNATURE: tuple[tuple[int, str, Mapping[str, str]], ...] = (
    (1, "Signature", {}),
    (2, "SignedInfo", {}),
    (3, "CanonicalizationMethod", _C14N),
    (3, "SignatureMethod", {"Algorithm": "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"}),
    (3, "Reference", {"URI": ""}),
    (4, "Transforms", {}),
    (5, "Transform", {"Algorithm": "http://www.w3.org/2000/09/xmldsig#enveloped-signature"}),
    (5, "Transform", _C14N),
    (4, "DigestMethod", {"Algorithm": "http://www.w3.org/2001/04/xmldsig-more#sha384"}),
    (4, "DigestValue", {}),
    (2, "SignatureValue", {}),
    (2, "KeyInfo", {}),
    (3, "X509Data", {}),
)
_CERTIFICATE = (4, "X509Certificate")
_WITH_TEXT = {_DSIG + name for name in ("DigestValue", "SignatureValue", "X509Certificate")}
_NUMBER, _DIGEST = re.compile(r"0|[1-9][0-9]{0,2}"), re.compile(r"[0-9a-f]{96}")
_LABEL = re.compile(r"[0-9A-Za-z._-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """What measurement ``index`` (from 0) may be: one of ``values``. Only an ``active`` one counts."""

    index: int
    active: bool
    values: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenValues:
    """``product``: the chip; ``version``: of the driver or of the VBIOS that they are for."""

    product: str
    version: str
    golden: tuple[Golden, ...]

    @property
    def active(self) -> tuple[Golden, ...]:
        return tuple(each for each in self.golden if each.active)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest as it was read, unverified. ``data``: its bytes; ``claimed``: what it holds if its signature does;
    ``certificates``: its signer's first.
    """

    data: bytes
    claimed: GoldenValues
    certificates: tuple[Certificate, ...]

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Raises MalformedError."""
        root = _read(data)
        children = list(root)
        if [child.tag for child in children] != [_SWID + "Entity", _SWID + "Meta", _SWID + "Payload", _DSIG + "Signature"]:
            _fail("is not an entity, meta data, a payload and one signature")
        return cls(data=data, claimed=_contents(root), certificates=_certificates(children[3]))

    def verify(self, anchors: Sequence[Certificate], *, at: datetime, what: str) -> tuple[GoldenValues, tuple[Certificate, ...]]:
        """The golden values that are signed by a chain to one of ``anchors`` at ``at``, and that chain. Raises TrustError,
        SignatureError, AttestationError, StaleError, UnsupportedError, MalformedError.
        """
        chain = x509.follow(self.certificates[0], self.certificates[1:], anchors, at=at, what=what)
        require_whole(self.certificates, chain, what=what)
        if self.certificates[0].path_length != -1:
            raise AttestationError(f"{what}: signed by an authority, not by one of its signers")
        self.certificates[0].require_usage(x509.DIGITAL_SIGNATURE, what="signing golden values")
        return _signed_contents(self.data, self.certificates[0], at=at, what=what), chain


def require_whole(given: Sequence[Certificate], chain: Sequence[Certificate], *, what: str) -> None:
    """That the certificates ``given`` are the ``chain`` itself, in order, with or without its root; others would go unread.
    Raises MalformedError.
    """
    ders = [certificate.der for certificate in chain]
    if [certificate.der for certificate in given] not in (ders, ders[:-1]):
        raise MalformedError(f"{what}: its certificates are not one chain in order, to its root and no further")


def _signed_contents(data: bytes, signer: Certificate, *, at: datetime, what: str) -> GoldenValues:
    """What the signature in ``data`` covers, if it holds under ``signer``, whose chain was followed already: of signxml nothing
    is asked about certificates but the key.
    """
    from cryptography.x509 import load_der_x509_certificate
    from lxml.etree import LxmlError
    from signxml.algorithms import DigestAlgorithm, SignatureMethod
    from signxml.exceptions import SignXMLException
    from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

    expected = SignatureConfiguration(
        location="./",
        expect_references=1,
        signature_methods=frozenset({SignatureMethod.ECDSA_SHA384}),
        digest_algorithms=frozenset({DigestAlgorithm.SHA384}),
        verification_time=at,
    )
    signer.key()  # of a kind that is known, so that nothing below is surprised
    if signer.serial <= 0:  # of which cryptography warns, and which it will refuse
        raise UnsupportedError(f"{what}: the certificate of {signer.name} has no positive serial number")
    try:
        certificate = load_der_x509_certificate(signer.der)
    except ValueError as error:
        raise UnsupportedError(f"{what}: the certificate of {signer.name} cannot be used") from error
    try:
        found = XMLVerifier().verify(data, x509_cert=certificate, parser=_parser(), expect_config=expected)
    except (SignXMLException, LxmlError, ValueError) as error:
        raise SignatureError(f"{what}: its signature does not hold") from error
    root = found.signed_xml if isinstance(found, VerifyResult) else None
    if root is None or [child.tag for child in root] != [_SWID + "Entity", _SWID + "Meta", _SWID + "Payload"]:
        raise SignatureError(f"{what}: its signature is not over the whole document")
    return _contents(root)


def _read(data: bytes) -> Any:
    """The root of the document. Raises MalformedError."""
    from lxml import etree

    if len(data) > MAX_SIZE:
        _fail(f"of {len(data):,} bytes is more than the {MAX_SIZE:,} allowed")
    if not data.isascii() or not data.startswith(b"<Software") or any(mark in data for mark in (b"<!", b"<?", b"&", b"\r")):
        _fail("is not plain XML in ASCII, or has a declaration, a comment or an entity in it")
    try:
        root = etree.fromstring(data, parser=_parser())
        exact = etree.tostring(root)
    except (etree.LxmlError, ValueError) as error:
        raise MalformedError("golden values (RIM): not well-formed XML") from error
    if root.tag != _SWID + "SoftwareIdentity" or data.removesuffix(b"\n") != exact:
        _fail("is not a software identity tag as it is written")
    if any(name.startswith(_XML) for element in root.iter() for name in element.attrib):
        _fail("has an attribute of XML itself")
    return root


@cache
def _parser() -> Any:
    from lxml import etree

    return etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, recover=False)


def _contents(root: Any) -> GoldenValues:
    meta, payload = root[1], root[2]
    product, version = meta.get("product", ""), meta.get("colloquialVersion", "")
    if not _LABEL.fullmatch(product) or not _LABEL.fullmatch(version):
        _fail("does not say for which product and version it is")
    golden = tuple(_golden(resource) for resource in payload)
    if len({each.index for each in golden}) != len(golden) or not golden:
        _fail("has no golden values, or two for one index")
    return GoldenValues(product=product, version=version, golden=golden)


def _golden(resource: Any) -> Golden:
    attributes = dict(resource.attrib)
    index, count = attributes.pop("index", ""), attributes.pop("alternatives", "")
    active = attributes.pop("active", "")
    if not _NUMBER.fullmatch(index) or not _NUMBER.fullmatch(count) or active not in {"True", "False"}:
        _fail("has a resource without an index, a number of alternatives, or whether it is active")
    if not 1 <= int(count) <= _MAX_ALTERNATIVES:
        _fail(f"allows {count} values for index {index}")
    values = [attributes.pop(f"{_SHA384}Hash{i}", "") for i in range(int(count))]
    name, size = attributes.pop("name", ""), attributes.pop("size", "")
    if resource.tag != _SWID + "Resource" or len(resource) or attributes != {"type": "Measurement"} or not name:
        _fail(f"has something at index {index} that is not one measurement")
    if size != str(_DIGEST_SIZE) or not all(_DIGEST.fullmatch(value) for value in values):
        _fail(f"has a golden value at index {index} that is not SHA-384")
    return Golden(index=int(index), active=active == "True", values=tuple(bytes.fromhex(value) for value in values))


def _certificates(signature: Any) -> tuple[Certificate, ...]:
    """Those in the signature, which must stand there as :data:`_SIGNATURE` says, with nothing between its elements."""
    elements = list(_flat(signature, depth=1))
    head, rest = elements[: len(_SIGNATURE)], elements[len(_SIGNATURE) :]
    shape = [(depth, element.tag, dict(element.attrib)) for depth, element in head]
    wanted = [(depth, _DSIG + name, attributes) for depth, name, attributes in _SIGNATURE]
    others = {(depth, each.tag, len(each.attrib)) for depth, each in rest}
    if shape != wanted or others != {(_CERTIFICATE[0], _DSIG + _CERTIFICATE[1], 0)}:
        _fail("is not signed in the one way that is read here")
    if len(rest) > x509.MAX_CHAIN:
        _fail(f"carries {len(rest)} certificates, at most {x509.MAX_CHAIN} are allowed")
    for _, element in elements:
        if element.tail or (element.text and element.tag not in _WITH_TEXT):
            _fail("has text in its signature where none belongs")
    texts = {element.tag: element.text or "" for _, element in head}
    _base64(texts[_DSIG + "DigestValue"]), _base64(texts[_DSIG + "SignatureValue"])
    ders = [_base64((element.text or "").replace("\n", "")) for _, element in rest]
    return tuple(Certificate.parse(each, what="golden values (RIM): a certificate") for each in ders)


def _flat(element: Any, *, depth: int) -> Iterator[tuple[int, Any]]:
    yield depth, element
    if depth > _CERTIFICATE[0] + 1:
        _fail("has a signature that is nested too deep")
    for child in element:
        yield from _flat(child, depth=depth + 1)


def _base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError("golden values (RIM): not base64") from error
    if base64.b64encode(data).decode() != text:
        _fail("has base64 that is not in its one form")
    return data


def _fail(why: str) -> NoReturn:
    raise MalformedError(f"golden values (RIM): the file {why}")


__all__ = ["MAX_SIZE", "Golden", "GoldenValues", "Manifest", "require_whole"]
