# SPDX-License-Identifier: Apache-2.0
"""Golden values: one way of writing them, one way of signing them, and nothing read that is not signed."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod

from tests.fakes.pki.authority import DAY, NOW, Authority, new_key
from tests.fakes.pki.nvidia import COUNT, DRIVER, FakeNvidia, der, measured, sign_manifest, tag
from verifiable.errors import AttestationError, Error, MalformedError, SignatureError, StaleError, TrustError, UnsupportedError
from verifiable.tee.nvidia import manifest
from verifiable.tee.nvidia.manifest import MAX_SIZE, GoldenValues, Manifest

FAKE = FakeNvidia()
VALUES = {3: (measured(3),), 5: (measured(5), measured(6))}
GOOD = FAKE.manifest(DRIVER, VALUES)
SIGNATURE = GOOD[GOOD.index(b"<ds:Signature") : GOOD.index(b"</SoftwareIdentity>")]


def verify(data: bytes, *anchors: Authority, **arguments: Any) -> GoldenValues:
    chosen = [each.parsed for each in anchors or (FAKE.rim_root,)]
    return Manifest.parse(data).verify(chosen, **({"at": NOW, "what": "golden values"} | arguments))[0]


def refused(kind: type[Error], why: str, data: bytes, *anchors: Authority, **arguments: Any) -> None:
    with pytest.raises(kind, match=why):
        verify(data, *anchors, **arguments)


def test_what_is_signed_is_read() -> None:
    found = verify(GOOD)
    assert (found.product, found.version, len(found.golden)) == ("GH100", DRIVER, COUNT)
    assert {each.index: each.values for each in found.active} == VALUES
    assert Manifest.parse(GOOD).claimed == found
    assert verify(GOOD + b"\n") == found


# How it is written


def _replaced(old: bytes, new: bytes) -> bytes:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<SoftwareIdentity", b"<?xml version='1.0'?><SoftwareIdentity"),
        (b"<SoftwareIdentity", b"\xef\xbb\xbf<SoftwareIdentity"),
        (b"<SoftwareIdentity", b" <SoftwareIdentity"),
        (b"<SoftwareIdentity", b"<!DOCTYPE SoftwareIdentity><SoftwareIdentity"),
        (b"<SoftwareIdentity", b'<!DOCTYPE SoftwareIdentity [<!ENTITY a "b">]><SoftwareIdentity'),
        (b"<SoftwareIdentity", b'<!DOCTYPE SoftwareIdentity SYSTEM "file:///etc/passwd"><SoftwareIdentity'),
        (b"    <ns0:Meta", b"<!---->    <ns0:Meta"),
        (b"    <ns0:Meta", b"<?a b?>    <ns0:Meta"),
        (b"    <ns0:Meta", b"<![CDATA[    ]]><ns0:Meta"),
        (b"    <ns0:Meta", b"&#32;   <ns0:Meta"),
        (b"Fake Corporation", b"Fake&#32;Corporation"),
        (b"Fake Corporation", b"Fake&amp;Corporation"),
        (b"Fake Corporation", b"Fake C\xc3\xb6rporation"),
        (b"\n", b"\r\n"),
        (b"</SoftwareIdentity>", b"</SoftwareIdentity>\n\n"),
        (b"</SoftwareIdentity>", b"</SoftwareIdentity>\0"),
        (b"</SoftwareIdentity>", b"</SoftwareIdentity><a/>"),
        (b"</SoftwareIdentity>", b""),
        (b'edition="GPU" ', b'edition="GPU"  '),
        (b'edition="GPU"', b"edition='GPU'"),
        (b'revision="r1"/>', b'revision="r1"></ns0:Meta>'),
        (b'revision="r1"/>', b'revision="r1" xml:space="preserve"/>'),
        (b'revision="r1"/>', b'revision="r1" revision="r2"/>'),
        (b"<SoftwareIdentity ", b"<SoftwareIdentitx "),
        (b'<SoftwareIdentity xmlns="http://standards', b'<SoftwareIdentity xmlns="http://other'),
    ],
)
def test_one_way_of_writing_it(old: bytes, new: bytes) -> None:
    """The canonical form that is signed would be the same for many of these."""
    with pytest.raises(MalformedError):
        Manifest.parse(_replaced(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'index="3"', b'index="03"'),
        (b'index="3"', b'index="-3"'),
        (b'index="3"', b'index="4"'),
        (b'index="3"', b'index="\xc2\xb3"'),
        (b' index="3"', b""),
        (b'active="True"', b'active="true"'),
        (b'alternatives="1"', b'alternatives="0"'),
        (b'alternatives="1"', b'alternatives="2"'),
        (b'alternatives="1"', b'alternatives="65"'),
        (b'alternatives="2"', b'alternatives="1"'),
        (b'size="48"', b'size="47"'),
        (measured(3).hex().encode(), measured(3).hex().upper().encode()),
        (measured(3).hex().encode(), measured(3).hex()[:-2].encode()),
        (measured(3).hex().encode(), b""),
        (b'type="Measurement"', b'type="Other"'),
        (b'name="Measurement_3"', b'name="Measurement_3" extra=""'),
        (b'name="Measurement_3"', b'name=""'),
        (b"ns0:Resource", b"ns0:Source"),
        (b"ns2:Hash0", b"Hash0"),
        (b'product="GH100"', b'product=""'),
        (b'product="GH100"', b'product="GH 100"'),
        (b'colloquialVersion="550.90.07" ', b""),
    ],
)
def test_golden_values_that_cannot_be(old: bytes, new: bytes) -> None:
    with pytest.raises(MalformedError):
        Manifest.parse(_replaced(old, new))


def test_a_payload_of_nothing() -> None:
    start, end = GOOD.index(b"        <ns0:Resource"), GOOD.index(b"    </ns0:Payload>")
    with pytest.raises(MalformedError, match="no golden values"):
        Manifest.parse(GOOD[:start] + GOOD[end:])


def test_too_large_or_too_deep() -> None:
    with pytest.raises(MalformedError, match="is more than"):
        Manifest.parse(GOOD + b" " * MAX_SIZE)
    for name in (b"ns0:Entity", b"ds:X509Data"):
        for count in (20, 5000):
            nested = (b"<" + name + b">") * count + (b"</" + name + b">") * count
            with pytest.raises(MalformedError):
                Manifest.parse(_replaced(b"</ds:X509Data>", nested + b"</ds:X509Data>"))


# How it is signed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"/2006/12/xml-c14n11", b"/2006/12/xml-c14n11#WithComments"),
        (b"http://www.w3.org/2006/12/xml-c14n11", b"http://www.w3.org/2001/10/xml-exc-c14n#"),
        (b"#ecdsa-sha384", b"#ecdsa-sha256"),
        (b"/2001/04/xmldsig-more#sha384", b"/2001/04/xmlenc#sha256"),
        (b'URI=""', b'URI="#a"'),
        (b'URI=""', b'URI="http://127.0.0.1/"'),
        (b' URI=""', b""),
        (b"<ds:Reference ", b'<ds:Reference Id="a" '),
        (b"</ds:Reference>", b'</ds:Reference><ds:Reference URI=""/>'),
        (b"</ds:Transforms>", b'<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"/></ds:Transforms>'),
        (b"</ds:Signature>", b"<ds:Object/></ds:Signature>"),
        (b"<ds:KeyInfo>", b"<ds:KeyInfo><ds:KeyValue/>"),
        (b"<ds:SignatureValue>", b"<ds:SignatureValue>\n"),
        (b"</ds:SignedInfo>", b"</ds:SignedInfo>\n"),
        (b"<ds:KeyInfo>", b"<ds:KeyInfo>\n"),
        (b"<ds:X509Certificate>", b"<ds:X509Certificate> "),
        (b"<ds:X509Certificate>", b'<ds:X509Certificate a="">'),
        (b"<ds:X509Certificate>", b"<ds:X509Certificate></ds:X509Certificate><ds:X509Certificate>"),
    ],
)
def test_one_way_of_signing_it(old: bytes, new: bytes) -> None:
    with pytest.raises(MalformedError):
        Manifest.parse(_replaced(old, new))


@pytest.mark.parametrize(
    "algorithms",
    [
        {"signature_algorithm": SignatureMethod.ECDSA_SHA256},
        {"signature_algorithm": SignatureMethod.ECDSA_SHA512},
        {"digest_algorithm": DigestAlgorithm.SHA256},
        {"digest_algorithm": DigestAlgorithm.SHA512},
        {"c14n_algorithm": CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0},
        {"c14n_algorithm": CanonicalizationMethod.CANONICAL_XML_1_0},
    ],
)
def test_other_algorithms_are_not_taken_even_from_the_right_signer(algorithms: dict[str, Any]) -> None:
    data = sign_manifest(etree.fromstring(tag(DRIVER, VALUES)), FAKE.signer, **algorithms)
    refused(MalformedError, "in the one way", data)


def test_no_signature_and_two() -> None:
    with pytest.raises(MalformedError, match="one signature"):
        Manifest.parse(tag(DRIVER, VALUES))
    with pytest.raises(MalformedError, match="one signature"):
        Manifest.parse(_replaced(SIGNATURE, SIGNATURE * 2))
    with pytest.raises(MalformedError, match="one signature"):
        Manifest.parse(_replaced(SIGNATURE, b"").replace(b"<ns0:Entity", SIGNATURE + b"<ns0:Entity"))


def test_a_value_changed_after_signing() -> None:
    refused(SignatureError, "does not hold", _replaced(measured(3).hex().encode(), measured(4).hex().encode()))
    refused(SignatureError, "does not hold", _replaced(b'active="False"', b'active="True"'))
    refused(SignatureError, "does not hold", _replaced(DRIVER.encode(), b"550.90.08"))
    refused(SignatureError, "does not hold", _replaced(b"    <ns0:Meta", b"   <ns0:Meta"))


def test_a_digest_made_to_fit() -> None:
    """The right digest of other content, in a signature over the old one."""
    other = FAKE.manifest(DRIVER, {3: (measured(4),)})
    digest = re.compile(rb"<ds:DigestValue>.*?</ds:DigestValue>")
    mixed = _replaced(measured(3).hex().encode(), measured(4).hex().encode())
    found = digest.search(other)
    assert found
    refused(SignatureError, "does not hold", digest.sub(found[0], mixed))


def _wrapped(move: Callable[[Any, Any], Any]) -> bytes:
    """A document of an attacker's with the signed one somewhere in it."""
    evil = etree.fromstring(tag(DRIVER, {3: (measured(4),)}))
    return etree.tostring(move(evil, etree.fromstring(GOOD)))


def _inside(place: str) -> Callable[[Any, Any], Any]:
    def move(evil: Any, good: Any) -> Any:
        evil[("Entity", "Meta", "Payload").index(place)].append(good)
        return evil

    return move


def _beside(evil: Any, good: Any) -> Any:
    """The signature at its place, what it signs in the object that XML signatures may have."""
    signature = good[3]
    evil.append(signature)
    inner = etree.SubElement(signature, "{http://www.w3.org/2000/09/xmldsig#}Object")
    inner.append(good)
    return evil


@pytest.mark.parametrize("move", [_inside("Entity"), _inside("Meta"), _inside("Payload"), _beside])
def test_signature_wrapping(move: Callable[[Any, Any], Any]) -> None:
    """What is verified and what is read must be the same element: the root."""
    with pytest.raises((MalformedError, SignatureError)):
        verify(_wrapped(move))


def test_wrapping_with_a_signature_at_its_place() -> None:
    """The root's own signature, of the evil document, must hold; the one deeper inside is only text that is signed."""

    def move(evil: Any, good: Any) -> Any:
        evil[0].append(good)
        evil.append(etree.fromstring(etree.tostring(good[3])))
        return evil

    refused(SignatureError, "does not hold", _wrapped(move))


def test_only_what_the_signature_covers_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the file were read otherwise: the golden values are those of the signed bytes."""
    data, read = GOOD, manifest._read
    other = etree.fromstring(_replaced(measured(3).hex().encode(), measured(4).hex().encode()))
    monkeypatch.setattr(manifest, "_read", lambda given: other if given == data else read(given))
    assert {each.index: each.values for each in verify(GOOD).active} == VALUES


# By whom it is signed


def test_another_root() -> None:
    refused(TrustError, "no root that is trusted", GOOD, FakeNvidia().device_root)
    with pytest.raises(TrustError):
        Manifest.parse(GOOD).verify([], at=NOW, what="golden values")


def test_a_root_of_the_same_name() -> None:
    refused(SignatureError, "does not hold", GOOD, FakeNvidia().rim_root)


@pytest.mark.parametrize("signer", ["firmware", "boot_rom"])
def test_signed_by_a_device(signer: str) -> None:
    """A GPU's own key must not say what the GPU ought to measure."""
    refused(TrustError, "no root that is trusted", FAKE.manifest(signer=getattr(FAKE, signer)))


def test_signed_by_another_key_than_the_certificates() -> None:
    imposter = Authority(key=new_key(), certificate=FAKE.signer.certificate, above=FAKE.signer.above)
    refused(SignatureError, "does not hold", FAKE.manifest(signer=imposter))


def test_certificates_of_somebody_else() -> None:
    """The chain is sound, and the key that signed is not the first certificate's."""
    other = FAKE.rim_signers.authority("another signer", ca=False)
    refused(SignatureError, "does not hold", FAKE.manifest(chain=other.chain))


@pytest.mark.parametrize("kind", ["p256", "rsa"])
def test_a_signer_with_another_kind_of_key(kind: str) -> None:
    other = FAKE.rim_signers.authority("other key", ca=False, key=new_key(kind))
    data = GOOD.replace(_pem(FAKE.signer.der), _pem(other.der))
    assert data != GOOD
    refused(SignatureError, "does not hold", data)


def _pem(certificate: bytes) -> bytes:
    text = base64.b64encode(certificate)
    return b"\n".join(text[i : i + 64] for i in range(0, len(text), 64))


def test_an_authority_signs_no_golden_values() -> None:
    refused(AttestationError, "signed by an authority", FAKE.manifest(signer=FAKE.rim_signers))


def test_a_certificate_for_something_else() -> None:
    signer = FAKE.rim_signers.authority("other use", ca=False, usage=("key_agreement",))
    refused(AttestationError, "may not be used for signing golden values", FAKE.manifest(signer=signer))


def test_a_signer_that_made_a_signer() -> None:
    """Not an authority, and an authority with no more below it."""
    refused(AttestationError, "is no authority over", FAKE.manifest(signer=FAKE.signer.authority("below", ca=False)))
    deep = FAKE.rim_signers.authority("one too many").authority("below", ca=False)
    refused(AttestationError, "is no authority over", FAKE.manifest(signer=deep))


@pytest.mark.parametrize("name", ["rim_root", "rim_chip", "rim_signers", "signer"])
def test_judged_at_its_time(name: str) -> None:
    fake = FakeNvidia(fields={name: {"since": NOW - DAY, "until": NOW + DAY}})
    data = fake.manifest()
    assert verify(data, fake.rim_root)
    for at in (NOW - 2 * DAY, NOW + 2 * DAY):
        refused(StaleError, "is valid from", data, fake.rim_root, at=at)


def test_the_certificates_are_the_chain_and_nothing_more() -> None:
    chain = FAKE.signer.chain
    assert verify(FAKE.manifest(chain=chain[:-1]))  # the root may be left out
    for other in ((*chain, FAKE.firmware.certificate), (chain[0], chain[2], chain[1], chain[3]), (*chain, chain[-1])):
        refused(MalformedError, "one chain in order", FAKE.manifest(chain=other))
    refused(TrustError, "no root that is trusted", FAKE.manifest(chain=chain[:1]))


def _resealed(old: bytes, new: bytes) -> bytes:
    """The manifest with its signer's certificate changed, and signed again by who had signed that."""
    parsed, key = FAKE.signer.parsed, FAKE.rim_signers.key
    assert old in parsed.signed
    signed = parsed.signed.replace(old, new)
    changed = der(0x30, signed, parsed.algorithm, der(3, b"\0" + key.sign(signed, ec.ECDSA(hashes.SHA384()))))
    return GOOD.replace(_pem(FAKE.signer.der), _pem(changed))


def test_certificates_that_others_cannot_load() -> None:
    """No warning and no error but our own leaves, whatever the library below thinks of a certificate."""
    with pytest.raises(UnsupportedError, match="kind of key that is not known"):
        verify(_resealed(bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d020f")))
    serial = FAKE.signer.parsed.serial
    size = serial.bit_length() // 8 + 1
    number = bytes((2, size)) + serial.to_bytes(size, "big")
    with pytest.raises(UnsupportedError, match="no positive serial number"):
        verify(_resealed(number, bytes((2, size, 0x80)) + bytes(size - 1)))


def test_certificates_have_one_spelling() -> None:
    """Bits behind the end of base64 that pads would mean nothing."""
    signers = (FAKE.rim_signers.authority(f"signer {'x' * n}", ca=False) for n in range(1, 60))
    padded = next(signer for signer in signers if len(signer.der) % 3 == 1)
    data, text = FAKE.manifest(signer=padded), _pem(padded.der)
    assert verify(data)
    assert text.endswith(b"==")
    assert text in data
    refused(MalformedError, "in its one form", data.replace(text, text[:-3] + bytes((text[-3] + 1,)) + b"=="))
    refused(MalformedError, "not base64", data.replace(text, text[:-1]))


# The second line: what signxml itself is told, were the file read less strictly


def _signed_contents(data: bytes) -> GoldenValues:
    return manifest._signed_contents(data, FAKE.signer.parsed, at=NOW, what="golden values")


@pytest.mark.parametrize(
    "algorithms", [{"signature_algorithm": SignatureMethod.ECDSA_SHA256}, {"digest_algorithm": DigestAlgorithm.SHA256}]
)
def test_its_algorithms_are_pinned(algorithms: dict[str, Any]) -> None:
    assert _signed_contents(GOOD).active
    with pytest.raises(SignatureError, match="does not hold"):
        _signed_contents(sign_manifest(etree.fromstring(tag(DRIVER, VALUES)), FAKE.signer, **algorithms))


def test_it_looks_for_the_signature_at_its_place() -> None:
    """A signature deeper inside can be one over the whole document too."""
    root = etree.fromstring(tag(DRIVER, VALUES))
    etree.SubElement(root[0], "{http://www.w3.org/2000/09/xmldsig#}Signature", Id="placeholder")
    data = sign_manifest(root, FAKE.signer)
    assert data.index(b"SignatureValue>") < data.index(b"<ns0:Meta")
    with pytest.raises(SignatureError, match="does not hold"):
        _signed_contents(data)


def test_it_covers_the_whole_document() -> None:
    root = etree.fromstring(tag(DRIVER, VALUES))
    root.remove(root[0])
    with pytest.raises(SignatureError, match="not over the whole"):
        _signed_contents(sign_manifest(root, FAKE.signer))
    twice = etree.fromstring(tag(DRIVER, VALUES))
    twice.append(etree.fromstring(etree.tostring(twice[2])))
    with pytest.raises(SignatureError, match="not over the whole"):
        _signed_contents(sign_manifest(twice, FAKE.signer))


# Nothing else is raised


@settings(deadline=None)
@given(st.data())
def test_arbitrary_changes_raise_nothing_else(data: Any) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 64)))
    marks = [b"<", b">", b"/>", b'"', b' a=""', b"<a/>", b"ds:", b"\n", b' xmlns:a="b"', b' xmlns=""', b' xmlns:a="../b"']
    piece = data.draw(st.binary(max_size=24) | st.sampled_from(marks))
    with contextlib.suppress(Error):
        verify(GOOD[:start] + piece + GOOD[end:])


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_else(data: bytes) -> None:
    with contextlib.suppress(Error):
        verify(b"<SoftwareIdentity" + data)
