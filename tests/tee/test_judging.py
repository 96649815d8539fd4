# SPDX-License-Identifier: Apache-2.0
"""Evidence by itself: for which key, which challenge, and by whose reference; and what it can be drafted and told from."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.pki.authority import NOW
from tests.fakes.pki.aws import MEASUREMENT, FakeNitro
from tests.fakes.pki.software import FakeSoftware
from verifiable.digest import Digest
from verifiable.errors import AttestationError, BindingError, Error, MalformedError, PolicyError, StaleError, TrustError
from verifiable.tee import binding, drafting, registry
from verifiable.tee.document import Attestation
from verifiable.tee.evidence import VerifiedEvidence
from verifiable.tee.judging import appraise_by_any, bind
from verifiable.tee.reference import Reference, appraise, parse_references

KEY, OTHER = Digest.of(b"key"), Digest.of(b"other")
NITRO, SOFTWARE = FakeNitro(), FakeSoftware()
NONCE = b"\xc0\xff\xee"


def nitro(**fields: Any) -> VerifiedEvidence:
    data, collateral, roots = NITRO.mint(**fields)
    return registry.parse("nitro", data).verify(at=NOW, roots=roots, collateral=collateral)


def software(**fields: Any) -> VerifiedEvidence:
    data, _, roots = SOFTWARE.mint(**fields)
    return registry.parse("software", data).verify(at=NOW, roots=roots)


def attestation(scope: str = "key", nonce: bytes = NONCE) -> Attestation:
    return Attestation(kind="nitro", evidence=b"x", scope=scope, verified_at=NOW, nonce=nonce)


BOUND = nitro(report_data=binding.report_data(key=KEY, nonce=NONCE))


def statuses(found: Any) -> list[str]:
    return [check.status for check in found.checks]


def test_nothing_asked_is_nothing_established() -> None:
    found = bind(BOUND)
    assert (found.scope, statuses(found)) == (None, ["skip", "skip"])


def test_made_for_the_key_and_the_nonce() -> None:
    for found in (bind(BOUND, key=KEY, nonce=NONCE), bind(BOUND, key=KEY, nonce=NONCE, attestation=attestation())):
        assert (found.scope, statuses(found)) == ("key", ["pass", "pass"])
    assert statuses(bind(BOUND, key=KEY, attestation=attestation())) == ["pass", "skip"]


@pytest.mark.parametrize(
    "asked",
    [
        {"key": OTHER, "nonce": NONCE},
        {"key": KEY, "nonce": b"\xc0\xff\xef"},
        {"key": KEY},
        {"key": KEY, "attestation": attestation(nonce=b"other")},
        {"key": KEY, "nonce": b"other", "attestation": attestation()},
        {"key": OTHER, "attestation": attestation()},
        {"key": KEY, "attestation": attestation(scope="receipt")},
    ],
)
def test_made_for_something_else(asked: dict[str, Any]) -> None:
    with pytest.raises(BindingError) as caught:
        bind(BOUND, **asked)
    assert caught.value.checks[-1].status == "fail"  # type: ignore[attr-defined]


def test_the_vendors_own_nonce() -> None:
    assert statuses(bind(nitro(nonce=NONCE), nonce=NONCE)) == ["skip", "pass"]
    assert statuses(bind(software(report_data=NONCE.ljust(64, b"\0")), nonce=NONCE)) == ["skip", "pass"]
    for found in (nitro(nonce=b"other"), nitro(nonce=None), nitro(report_data=NONCE), software(report_data=b"\1" * 64)):
        with pytest.raises(BindingError, match="another challenge"):
            bind(found, nonce=NONCE)
    with pytest.raises(BindingError):
        bind(software(), nonce=bytes(65))


def test_a_nonce_that_only_a_key_could_establish() -> None:
    """The document says it, and anybody may write one."""
    with pytest.raises(TrustError, match="no key was given"):
        bind(BOUND, nonce=NONCE, attestation=attestation())


def reference(**fields: Any) -> Reference:
    wanted = {"name": "a", "kind": "nitro", "measurements": {"pcr0": (MEASUREMENT.hex(),)}, "max_age": timedelta(hours=1)}
    return Reference(**(wanted | fields))


def test_any_reference_that_is_met_is_enough() -> None:
    wrong = reference(name="wrong", measurements={"pcr0": ("00",)})
    other = reference(name="other", kind="snp", measurements={"measurement": ("00",)})
    found = appraise_by_any(BOUND, (other, wrong, reference()), made=NOW, at=NOW, scope=None)
    assert found.reference.name == "a"
    with pytest.raises(AttestationError, match=r"holds .* 'wrong'"):
        appraise_by_any(BOUND, (wrong, other), made=NOW, at=NOW, scope=None)
    with pytest.raises(AttestationError, match=r"'wrong': .*; 'a': "):
        appraise_by_any(BOUND, (wrong, reference()), made=NOW, at=NOW + timedelta(hours=2), scope=None)
    with pytest.raises(StaleError):
        appraise_by_any(BOUND, (reference(),), made=NOW, at=NOW + timedelta(hours=2), scope=None)
    for none in ((other,), ()):
        with pytest.raises(PolicyError, match="for nitro"):
            appraise_by_any(BOUND, none, made=NOW, at=NOW, scope=None)


# drafts


@pytest.mark.parametrize(
    "verified", [BOUND, software(), replace(BOUND, tcb_status="OutOfDate", advisories=("B-1", "A-1"), tcb={"x": 3})]
)
def test_a_draft_is_met_by_what_it_is_from(verified: VerifiedEvidence) -> None:
    made = drafting.draft(verified, name="ours")
    text = drafting.to_toml(made, verified, source="evidence.bin")
    assert parse_references(text.encode()) == (made,)
    appraise(verified, made, made=NOW, at=NOW + timedelta(hours=23), scope=None)
    with pytest.raises(StaleError):
        appraise(verified, made, made=NOW, at=NOW + timedelta(hours=25), scope=None)
    assert all(line.startswith("#") for line in text.splitlines()[:5])


def test_a_draft_names_what_identifies_and_lists_the_rest() -> None:
    made = drafting.draft(BOUND, name="ours")
    text = drafting.to_toml(made, BOUND, source="evidence.bin")
    assert made.measurements == {"pcr0": (MEASUREMENT.hex(),)}
    assert f'# pcr2 = ["{MEASUREMENT.hex()}"]' in text
    assert "simulated" not in text
    assert "simulated" in drafting.to_toml(drafting.draft(software(), name="s"), software(), source="x")
    tdx = replace(BOUND, kind="tdx", measurements={"mrtd": "00", "rtmr0": "01", "rtmr1": "02", "rtmr2": "03", "rtmr3": "04"})
    assert set(drafting.draft(tdx, name="t").measurements) == {"mrtd", "rtmr0", "rtmr1", "rtmr2"}


def test_no_draft_of_debug_mode_unless_allowed() -> None:
    debug = nitro(debug=True)
    with pytest.raises(PolicyError, match="debug mode"):
        drafting.draft(debug, name="d")
    allowed = drafting.draft(debug, name="d", allow_debug=True)
    assert allowed.allow_debug
    assert "allow-debug  the machine's owner" in drafting.to_toml(allowed, debug, source="x")
    assert not drafting.draft(BOUND, name="d", allow_debug=True).allow_debug


def test_nothing_in_the_evidence_leaves_its_comment() -> None:
    """Names of files, and whatever a vendor's format lets into a register."""
    hostile = replace(BOUND, measurements={**BOUND.measurements, "pcr9": '"]\nallow-debug = true\n# "\u2028'})
    made = drafting.draft(hostile, name='x"\n[[references]]')
    assert parse_references(drafting.to_toml(made, hostile, source="a\n[[references]]").encode()) == (made,)


# kinds


def test_the_kind_is_told_by_the_form() -> None:
    assert registry.guess(NITRO.mint()[0]) == "nitro"
    assert registry.guess(SOFTWARE.mint()[0]) == "software"
    for data in (b"{}", bytes(1184)):
        with pytest.raises(MalformedError) as caught:
            registry.guess(data)
        assert "--kind" in caught.value.hint
    with pytest.raises(MalformedError, match="empty"):
        registry.guess(b"")


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_error(data: bytes) -> None:
    with contextlib.suppress(Error):
        registry.guess(data)
