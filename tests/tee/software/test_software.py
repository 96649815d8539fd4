# SPDX-License-Identifier: Apache-2.0
"""Software evidence: strict, signed in every bit, and nobody's word."""

from __future__ import annotations

import contextlib
import json
from dataclasses import FrozenInstanceError, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.pki.authority import NOW
from tests.fakes.pki.software import MEASUREMENT, TCB, FakeSoftware
from verifiable.digest import Digest
from verifiable.encoding.json import canonical
from verifiable.errors import (
    AttestationError,
    BindingError,
    Error,
    MalformedError,
    SignatureError,
    StaleError,
    UnsupportedError,
)
from verifiable.keys.public import ORDER, verify_signature
from verifiable.keys.signer import temporary
from verifiable.tee import binding, registry
from verifiable.tee.evidence import VerifiedEvidence
from verifiable.tee.reference import Reference, appraise
from verifiable.tee.roots import Roots, shipped
from verifiable.tee.software import MEDIA_TYPE, NAMES, SoftwareEvidence, parse

FAKE = FakeSoftware()
GOOD, _, _ = FAKE.mint()
WANTED = Reference(
    name="ours", kind="software", measurements={"measurement": (MEASUREMENT.hex(),)}, max_age=timedelta(hours=1),
    minimum_tcb={"library": 1000},
)  # fmt: skip


def verify(data: bytes, **arguments: Any) -> VerifiedEvidence:
    return parse(data).verify(**({"at": NOW, "roots": Roots()} | arguments))


def changed(**fields: Any) -> bytes:
    """The document with other fields, under the signature that it had; None takes one out."""
    document = json.loads(GOOD) | fields
    return canonical({name: value for name, value in document.items() if value is not None})


def test_what_is_established() -> None:
    evidence = registry.parse("software", GOOD)
    assert evidence.encode() == GOOD
    assert evidence == parse(GOOD)
    found = verify(GOOD, roots=shipped())
    assert (found.kind, found.simulated, found.debug, found.tcb) == ("software", True, False, TCB)
    assert (found.measurements, found.issued_on) == ({"measurement": MEASUREMENT.hex()}, NOW)
    assert (found.anchor, found.anchored) == (None, "vouched for by nobody")
    assert [(each.name, each.status) for each in found.checks] == list(zip(NAMES, ("pass", "pass", "skip"), strict=True))
    assert "simulated" in found.checks[2].detail
    appraise(found, WANTED, made=NOW, at=NOW, scope=None)
    with pytest.raises(FrozenInstanceError):
        parse(GOOD).debug = True  # type: ignore[misc]


def test_it_says_that_it_is_simulated_in_itself() -> None:
    assert b'"simulated":true' in GOOD
    for value in (False, None, 1, "true"):
        with pytest.raises(MalformedError, match="simulated"):
            parse(changed(simulated=value))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("measurement", "ab" * 48), ("reportData", "ab" * 64), ("debug", True), ("tcb", {"library": 1001}), ("tcb", {}),
        ("issuedOn", "2026-06-01T00:00:01Z"),
    ],
)  # fmt: skip
def test_every_field_is_under_the_signature(field: str, value: Any) -> None:
    with pytest.raises(SignatureError):
        verify(changed(**{field: value}))


def test_the_key_is_under_the_signature() -> None:
    from verifiable.encoding.record import encode_base64

    with pytest.raises(SignatureError):
        verify(changed(publicKey=encode_base64(temporary().public_key)))


def test_the_signature_is_for_software_evidence_alone() -> None:
    """A node's key may be given for it; what that key signs as evidence is no receipt, and not even the bare document."""
    evidence = parse(GOOD)
    unsigned = changed(signature=None)
    with pytest.raises(SignatureError):
        verify_signature(evidence.public_key, unsigned, evidence.signature)
    with pytest.raises(SignatureError):
        replace(evidence, signature=FAKE.signer.sign(unsigned)).verify(at=NOW, roots=Roots())


def test_the_mirrored_signature_is_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    evidence = parse(GOOD)
    r, s = decode_dss_signature(evidence.signature)
    with pytest.raises(SignatureError, match="high"):
        replace(evidence, signature=encode_dss_signature(r, ORDER - s)).verify(at=NOW, roots=Roots())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("measurement", "ab" * 47), ("measurement", "ab" * 49), ("measurement", "AB" * 48), ("measurement", None),
        ("reportData", "ab" * 63), ("reportData", "ab" * 65), ("reportData", ""), ("tcb", []), ("tcb", {"Library": 1}),
        ("tcb", {"library": -1}), ("tcb", {"library": 1.5}), ("tcb", {f"c{i}": i for i in range(17)}), ("debug", 0),
        ("debug", None), ("issuedOn", "2026-06-01"), ("issuedOn", 0), ("publicKey", ""), ("publicKey", "AAAA"),
        ("signature", None), ("signature", "AA="), ("mediaType", "text/plain"), ("unknown", 1),
    ],
)  # fmt: skip
def test_what_it_may_not_hold(field: str, value: Any) -> None:
    with pytest.raises(MalformedError):
        parse(changed(**{field: value}))


@pytest.mark.parametrize(
    "data", [b"", b"{}", GOOD + b"\n", GOOD[:-1], b" " + GOOD, json.dumps(json.loads(GOOD)).encode(), GOOD + GOOD, b"[" * 9999]
)
def test_no_second_spelling(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse(data)


def test_the_size_is_looked_at_first() -> None:
    with pytest.raises(MalformedError, match="more than the 16,384 allowed"):
        parse(bytes(1 << 15))


def test_other_kinds_are_not_read() -> None:
    with pytest.raises(UnsupportedError):
        parse(GOOD, kind="tdx")


def test_no_collateral_is_wanted() -> None:
    with pytest.raises(MalformedError, match="no collateral"):
        verify(GOOD, collateral=(b"x",))


def test_made_after_the_time_of_judgement() -> None:
    verify(GOOD, at=NOW - timedelta(minutes=5))
    with pytest.raises(StaleError) as caught:
        verify(GOOD, at=NOW - timedelta(minutes=6))
    assert [each.status for each in caught.value.checks] == ["pass", "fail"]  # type: ignore[attr-defined]


def test_appraisal_refuses_what_it_refuses_of_hardware() -> None:
    for fields, reason in (
        ({"debug": True}, "debug"),
        ({"measurement": bytes(48)}, "register measurement"),
        ({"tcb": {"library": 999}}, "at least 1000"),
    ):
        with pytest.raises(AttestationError, match=reason):
            appraise(verify(FAKE.mint(**fields)[0]), WANTED, made=NOW, at=NOW, scope=None)
    with pytest.raises(StaleError):
        appraise(verify(GOOD), WANTED, made=NOW + timedelta(days=1), at=NOW + timedelta(days=1), scope=None)


def test_replayed_for_another_key() -> None:
    mine, other = (binding.report_data(key=Digest.of(name)) for name in (b"mine", b"other"))
    found = verify(FAKE.mint(report_data=mine)[0])
    binding.check_binding("software", found.report_data, mine)
    with pytest.raises(BindingError):
        binding.check_binding("software", found.report_data, other)


def test_every_bit_turned_over() -> None:
    accepted = []
    for bit in range(len(GOOD) * 8):
        data = GOOD[: bit // 8] + bytes([GOOD[bit // 8] ^ 1 << bit % 8]) + GOOD[bit // 8 + 1 :]
        try:
            verify(data)
        except Error:
            continue
        accepted.append(bit)
    assert accepted == []


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_only_error(data: bytes) -> None:
    with contextlib.suppress(Error):
        parse(data)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(json.loads(GOOD))),
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9) | st.lists(st.none()) | st.just({"a": 1}),
        max_size=3,
    )
)
def test_arbitrary_fields_raise_only_error(fields: dict[str, Any]) -> None:
    with contextlib.suppress(Error):
        verify(canonical(json.loads(GOOD) | fields))


def test_what_cannot_be_read_is_not_issued() -> None:
    with pytest.raises(MalformedError):
        SoftwareEvidence.issue(FAKE.signer, measurement=b"", report_data=bytes(64), tcb={}, issued_on=NOW)
    assert MEDIA_TYPE in GOOD.decode()
