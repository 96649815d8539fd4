# SPDX-License-Identifier: Apache-2.0
"""Attacks on attestation documents, each refused by the numbered check that is there for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.fakes.pki.authority import DAY, NOW, Authority, new_key
from tests.fakes.pki.aws import AUTHORITY_USAGE, MEASUREMENT, MODULE, FakeNitro, seal, sign
from verifiable.digest import Digest
from verifiable.errors import (
    AttestationError,
    BindingError,
    Error,
    MalformedError,
    SignatureError,
    StaleError,
    TrustError,
)
from verifiable.tee import binding
from verifiable.tee.evidence import VerifiedEvidence
from verifiable.tee.nitro import NAMES, parse
from verifiable.tee.nitro.evidence import SIGNATURE_SIZE
from verifiable.tee.reference import Reference, appraise
from verifiable.tee.roots import Roots, shipped

FAKE = FakeNitro()
MINUTE = timedelta(minutes=1)
#: The order of P-384 (SEC 2 v2, 2.5.1).
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
WANTED = Reference(name="ours", kind="nitro", measurements={"pcr0": (MEASUREMENT.hex(),)}, max_age=timedelta(hours=24))


def verify(data: bytes, roots: Roots = FAKE.roots, **arguments: Any) -> VerifiedEvidence:
    return parse(data).verify(**({"at": NOW, "roots": roots} | arguments))


def refused(kind: type[Error], check: int, data: bytes, roots: Roots = FAKE.roots, **arguments: Any) -> None:
    """By that kind of error, at that number, and the ones before had passed."""
    with pytest.raises(kind) as caught:
        verify(data, roots, **arguments)
    checks = caught.value.checks  # type: ignore[attr-defined]
    assert [(each.number, each.status) for each in checks] == [(n, "pass") for n in range(1, check)] + [(check, "fail")]


def test_what_is_established() -> None:
    data, collateral, roots = FAKE.mint(report_data=b"r" * 64, nonce=b"\x01\x02", public_key=b"\x03")
    found = verify(data, roots, collateral=collateral)
    assert (found.kind, found.at, found.report_data, found.issued_on) == ("nitro", NOW, b"r" * 64, NOW)
    assert found.measurements["pcr0"] == MEASUREMENT.hex()
    assert set(found.measurements) == {f"pcr{index}" for index in range(16)}
    assert (found.debug, found.simulated, found.tcb, found.tcb_status, found.advisories) == (False, False, {}, "", ())
    assert found.identity == {"module-id": MODULE, "digest": "SHA384", "nonce": "0102", "public-key": "03"}
    assert found.anchor == roots.roots[0]
    assert found.anchored.startswith("under fake-nitro-root (sha256:")
    assert [(each.name, each.status) for each in found.checks] == [(name, "pass") for name in NAMES]
    appraise(found, WANTED, made=NOW, at=NOW, scope=None)


# 1. signature


def test_a_document_that_another_key_signed() -> None:
    document, _ = FAKE.document()
    refused(SignatureError, 1, seal(cbor2.dumps(document), new_key()))


@pytest.mark.parametrize("signature", [bytes(96), b"\xff" * 96, bytes(47) + b"\x01" + bytes(47) + b"\x01"])
def test_signatures_that_are_none(signature: bytes) -> None:
    document, signer = FAKE.document()
    refused(SignatureError, 1, seal(cbor2.dumps(document), signer.key, signature=signature))


def test_the_context_is_signed_along() -> None:
    """The payload alone, or under another header, is something else that the key may sign one day."""
    document, signer = FAKE.document()
    payload = cbor2.dumps(document)
    for signed in (
        payload,
        cbor2.dumps(["Signature", b"\xa1\x01\x38\x22", b"", b"", payload]),
        cbor2.dumps(["Signature1", b"", b"", payload]),
    ):
        refused(SignatureError, 1, seal(payload, None, signature=sign(signed, signer.key)))


@pytest.mark.parametrize("kind", ["p256", "rsa"])
def test_a_key_that_is_not_on_p384(kind: str) -> None:
    leaf = FAKE.leaf(NOW, key=new_key(kind))
    document, _ = FAKE.document(leaf=leaf)
    payload = cbor2.dumps(document)
    signature = sign(cbor2.dumps(["Signature1", b"\xa1\x01\x38\x22", b"", payload]), leaf.key) if kind == "p256" else bytes(96)
    refused(AttestationError, 1, seal(payload, None, signature=signature))


def test_every_field_is_under_the_signature() -> None:
    document, signer = FAKE.document(nonce=b"n", public_key=b"p")
    signature = parse(seal(cbor2.dumps(document), signer.key)).signature
    for name, value in (
        ("module_id", "i-other"), ("timestamp", document["timestamp"] + 1), ("user_data", b"x"), ("nonce", b"x"),
        ("public_key", b"x"), ("pcrs", {0: bytes(48)}), ("cabundle", document["cabundle"][::-1]),
    ):  # fmt: skip
        refused(SignatureError, 1, seal(cbor2.dumps(document | {name: value}), None, signature=signature))


def test_the_mirrored_signature_says_the_same_and_is_another_file() -> None:
    """ECDSA: with (r, s) also (r, n - s) holds, and AWS writes either. Who names evidence names it by digest (see nitro.md)."""
    data, _, roots = FAKE.mint()
    half = SIGNATURE_SIZE // 2
    mirrored = data[:-half] + (ORDER - int.from_bytes(data[-half:], "big")).to_bytes(half, "big")
    first, second = verify(data, roots), verify(mirrored, roots)
    assert first == second
    assert parse(data) != parse(mirrored)
    assert Digest.of(data) != Digest.of(mirrored)


# 2. certificates


def test_another_root() -> None:
    data, _, _ = FAKE.mint()
    refused(TrustError, 2, data, shipped())
    refused(TrustError, 2, data, Roots())
    refused(TrustError, 2, data, FAKE.root.roots("snp"))


def test_a_root_of_the_trusted_ones_name() -> None:
    """The root that comes with the document proves nothing."""
    data, _, _ = FakeNitro().mint()
    refused(SignatureError, 2, data)


def test_a_root_in_the_document_that_is_not_the_trusted_one() -> None:
    """The same key under the same name, another certificate: the chain would hold."""
    again = Authority.root(FAKE.root_name, key=FAKE.root.key)
    document, signer = FAKE.document()
    document["cabundle"][0] = again.der
    refused(AttestationError, 2, seal(cbor2.dumps(document), signer.key))


@pytest.mark.parametrize("change", ["missing", "turned", "twice", "foreign"])
def test_a_bundle_that_is_not_the_chain(change: str) -> None:
    document, signer = FAKE.document()
    bundle = document["cabundle"]
    changed = {
        "missing": bundle[1:],
        "turned": bundle[::-1],
        "twice": [*bundle, bundle[-1]],
        "foreign": [*bundle, FakeNitro().region.der],
    }[change]
    refused(AttestationError, 2, seal(cbor2.dumps(document | {"cabundle": changed}), signer.key))


def test_an_authority_missing() -> None:
    document, signer = FAKE.document()
    del document["cabundle"][2]
    refused(TrustError, 2, seal(cbor2.dumps(document), signer.key))


@pytest.mark.parametrize("name", ["root", "region", "zone", "instance"])
@pytest.mark.parametrize("window", [{"until": NOW - DAY}, {"since": NOW + DAY}])
def test_an_authority_that_is_not_valid_then(name: str, window: dict[str, Any]) -> None:
    fake = FakeNitro(fields={name: window})
    data, _, roots = fake.mint()
    refused(StaleError, 2, data, roots)


@pytest.mark.parametrize("at", [NOW - 10 * MINUTE, NOW + 181 * MINUTE])
def test_a_leaf_that_is_not_valid_then(at: Any) -> None:
    data, _, roots = FAKE.mint()
    refused(StaleError, 2, data, roots, at=at)
    verify(data, roots, at=NOW + 179 * MINUTE)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("zone", {"ca": False, "path_length": None}),
        ("zone", {"constraints": False}),
        ("region", {"path_length": 1}),
        ("zone", {"path_length": 0}),
        ("root", {"path_length": 2}),
        ("instance", {"usage": ("digital_signature",)}),
        ("region", {"usage": ("crl_sign",)}),
        ("zone", {"extensions": [("1.2.3.4", b"\x05\x00", True)]}),
    ],
)
def test_authorities_that_are_none(name: str, fields: dict[str, Any]) -> None:
    fake = FakeNitro(fields={name: fields})
    data, _, roots = fake.mint()
    refused(AttestationError, 2, data, roots)


def test_an_enclave_that_issues_certificates() -> None:
    """Path length 0: an instance certifies leaves, and these nothing."""
    leaf = FAKE.leaf(NOW)
    below = leaf.authority("another enclave", ca=False, since=NOW - MINUTE, until=NOW + MINUTE)
    data, _, roots = FAKE.mint(leaf=below)
    refused(AttestationError, 2, data, roots)


def test_an_authority_signed_by_somebody_else() -> None:
    fake = FakeNitro(fields={"zone": {"signing_key": new_key()}})
    data, _, roots = fake.mint()
    refused(SignatureError, 2, data, roots)


# 3. usage


def test_an_instance_that_signs_documents_itself() -> None:
    data, _, roots = FAKE.mint(leaf=FAKE.instance)
    refused(AttestationError, 3, data, roots)


@pytest.mark.parametrize(
    "fields",
    [
        {"usage": ("key_encipherment",)},
        {"usage": ()},
        {"ca": True, "usage": AUTHORITY_USAGE},
    ],
)
def test_a_leaf_for_something_else(fields: dict[str, Any]) -> None:
    data, _, roots = FAKE.mint(leaf=FAKE.leaf(NOW, **fields))
    refused(AttestationError, 3, data, roots)


def test_a_leaf_that_does_not_say_what_it_is_for() -> None:
    key = FAKE.leaf_key
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(FAKE.instance.certificate.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - MINUTE)
        .not_valid_after(NOW + MINUTE)
        .sign(FAKE.instance.key, hashes.SHA384())
    )
    data, _, roots = FAKE.mint(leaf=Authority(key=key, certificate=certificate, above=FAKE.instance.chain))
    refused(AttestationError, 3, data, roots)


# 4. time


@pytest.mark.parametrize("made", [NOW - MINUTE, NOW + 181 * MINUTE])
def test_made_when_its_certificate_was_not_valid(made: Any) -> None:
    data, _, roots = FAKE.mint(timestamp=int(made.timestamp() * 1000))
    refused(AttestationError, 4, data, roots)


def test_made_after_the_time_of_judgement() -> None:
    for ahead, good in ((5, True), (6, False)):
        data, _, roots = FAKE.mint(timestamp=int((NOW + ahead * MINUTE).timestamp() * 1000))
        if good:
            assert verify(data, roots).issued_on == NOW + ahead * MINUTE
        else:
            refused(StaleError, 4, data, roots)


def test_no_collateral_is_wanted() -> None:
    data, _, roots = FAKE.mint()
    with pytest.raises(MalformedError, match="no collateral"):
        verify(data, roots, collateral=(FAKE.root.der,))


# appraisal and binding


def test_debug_mode_is_seen_and_not_appraised() -> None:
    data, _, roots = FAKE.mint(debug=True)
    found = verify(data, roots)
    assert found.debug
    with pytest.raises(AttestationError, match="debug"):
        appraise(found, WANTED, made=NOW, at=NOW, scope=None)


def test_another_image() -> None:
    data, _, roots = FAKE.mint(measurement=b"\x01" * 48)
    with pytest.raises(AttestationError, match="pcr0"):
        appraise(verify(data, roots), WANTED, made=NOW, at=NOW, scope=None)


def test_the_age_is_the_hardwares_own() -> None:
    data, _, roots = FAKE.mint()
    with pytest.raises(StaleError):
        appraise(verify(data, roots), WANTED, made=NOW + 48 * 60 * MINUTE, at=NOW + 48 * 60 * MINUTE, scope=None)


def test_replayed_for_another_key_nonce_or_claim() -> None:
    key, claim = Digest.of(b"key"), Digest.of(b"claim")
    mine = binding.report_data(key=key, nonce=b"fresh")
    found = verify(FAKE.mint(report_data=mine)[0])
    binding.check_binding("nitro", found.report_data, mine)
    for other in (
        binding.report_data(key=Digest.of(b"other"), nonce=b"fresh"),
        binding.report_data(key=key, nonce=b"stale"),
        binding.report_data(key=key, nonce=b"fresh", claim=claim),
    ):
        with pytest.raises(BindingError):
            binding.check_binding("nitro", found.report_data, other)
    with pytest.raises(BindingError):
        binding.check_binding("nitro", verify(FAKE.mint(report_data=None)[0]).report_data, mine)
