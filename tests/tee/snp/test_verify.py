# SPDX-License-Identifier: Apache-2.0
"""Verifying reports of a fake AMD: what holds, and every attack that must not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.pki.amd import PROVIDER, TCB, FakeAmd
from tests.fakes.pki.authority import DAY, NOW
from tests.tee.snp.attacks import ATTACKS, CURVE_ORDER, MILAN, VLEK, Case
from verifiable.checklist import Check
from verifiable.digest import Digest
from verifiable.errors import AttestationError, BindingError, Error
from verifiable.tee import binding, registry
from verifiable.tee.reference import Reference, appraise
from verifiable.tee.snp import NAMES


@pytest.mark.parametrize("version", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["vcek", "vlek"])
@pytest.mark.parametrize("generation", ["Milan", "Genoa", "Turin"])
def test_a_report_of_every_kind_verifies(generation: str, kind: str, version: int) -> None:
    amd = FakeAmd(generation=generation, kind=kind)
    report, collateral, roots = amd.mint(version=version, crl=True)
    verified = registry.parse("snp", report).verify(at=NOW, roots=roots, collateral=collateral)
    assert [check.name for check in verified.checks] == list(NAMES)
    assert all(check.status == "pass" for check in verified.checks)
    assert (verified.kind, verified.anchor) == ("snp", roots.roots[0])
    wanted = TCB | ({"fmc": 0} if generation == "Turin" else {})
    assert verified.tcb == wanted | {f"launch-{name}": value for name, value in wanted.items()}


def test_what_is_measured_is_told() -> None:
    fields = {"host_data": b"h" * 32, "policy": 0x3001F, "guest_svn": 7, "vmpl": 1, "version": 5, "current_mit_vector": 3}
    verified = Case(report=fields).verify()
    assert verified.measurements == {
        "measurement": "6d" * 48, "host-data": "68" * 32, "id-key-digest": "00" * 48, "author-key-digest": "00" * 48,
        "family-id": "00" * 16, "image-id": "00" * 16, "guest-svn": "7", "policy": "000000000003001f",
        "platform-info": "0000000000000027", "vmpl": "1", "launch-mitigations": "0" * 16, "current-mitigations": "0" * 15 + "3",
    }  # fmt: skip
    assert verified.identity["product"] == "Milan-B1"
    assert verified.identity["chip-id"] == bytes(range(1, 65)).hex()
    assert verified.identity["firmware"] == "1.55.29"
    assert not verified.debug


def test_a_vlek_names_its_provider_and_no_chip() -> None:
    verified = Case(amd=VLEK).verify()
    assert verified.identity["provider"] == PROVIDER
    assert "chip-id" not in verified.identity


def test_a_vlek_signs_also_where_the_chips_key_is_masked() -> None:
    Case(amd=VLEK, report={"flags": 0b110}).verify()


def test_pieces_of_collateral_may_come_in_any_order_and_form() -> None:
    leaf = MILAN.certificate()
    for collateral in ((MILAN.chain, leaf), (MILAN.ask.der, leaf), (leaf, MILAN.ark.der, MILAN.ask.der)):
        Case(collateral=lambda _, given=collateral: given).verify()  # type: ignore[misc]


def test_a_lower_reported_version_than_the_current_one_is_no_contradiction() -> None:
    newer = MILAN.tcb(microcode=220, snp=25)
    Case(report={"current_tcb": newer, "committed_tcb": newer}).verify()


def test_without_a_revocation_list_that_check_is_skipped() -> None:
    assert Case().verify().checks[2] == Check(number=3, name="revocation", status="skip", detail="no revocation list was given")


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused(name: str) -> None:
    attack = ATTACKS[name]
    with pytest.raises(attack.error, match=attack.match) as caught:
        attack.case.verify()
    assert type(caught.value) is attack.error
    checks = caught.value.checks  # type: ignore[attr-defined]
    assert (len(checks), checks[-1].status) == (attack.check, "fail")


def test_every_field_of_the_report_is_signed() -> None:
    report, collateral, roots = MILAN.mint(version=5)
    for at in range(0x2A0):
        for bit in (0, 7):
            changed = bytearray(report)
            changed[at] ^= 1 << bit
            with pytest.raises(Error):
                registry.parse("snp", bytes(changed)).verify(at=NOW, roots=roots, collateral=collateral)


def test_a_guest_that_allows_an_agent_and_has_none_is_accepted() -> None:
    Case(report={"policy": 0x70000}).verify()


def test_the_other_s_of_a_signature_is_the_same_report() -> None:
    """ECDSA has two signatures for one, and AMD's firmware makes both: a report is no identifier of itself."""
    report, collateral, roots = MILAN.mint()
    s = int.from_bytes(report[0x2E8:0x318], "little")
    other = report[:0x2E8] + (CURVE_ORDER - s).to_bytes(72, "little") + report[0x330:]
    first, second = (registry.parse("snp", each).verify(at=NOW, roots=roots, collateral=collateral) for each in (report, other))
    assert report != other
    assert first == second


def test_the_evidence_is_of_one_key_nonce_and_claim() -> None:
    key, nonce, claim = Digest.of(b"key"), b"nonce", Digest.of(b"claim")
    expected = binding.report_data(key=key, nonce=nonce, claim=claim)
    evidence = registry.parse("snp", MILAN.report(report_data=expected))
    binding.check_binding("snp", evidence.report_data, expected)
    for other in (
        binding.report_data(key=Digest.of(b"other"), nonce=nonce, claim=claim),
        binding.report_data(key=key, nonce=b"replayed", claim=claim),
        binding.report_data(key=key, nonce=nonce),
    ):
        with pytest.raises(BindingError):
            binding.check_binding("snp", evidence.report_data, other)


@pytest.mark.parametrize(
    ("report", "wanted", "match"),
    [
        ({"debug": True}, {}, "debug mode"),
        ({"measurement": b"x" * 48}, {}, "register measurement"),
        ({"vmpl": 1}, {}, "register vmpl"),
        ({}, {"minimum_tcb": {"microcode": 220}}, "microcode is at version 219"),
        ({"launch_tcb": MILAN.tcb(snp=20)}, {"minimum_tcb": {"launch-snp": 24}}, "launch-snp is at version 20"),
        ({}, {"minimum_tcb": {"fmc": 0}}, "fmc is not in the evidence"),
    ],
)
def test_an_appraisal_refuses(report: dict[str, Any], wanted: dict[str, Any], match: str) -> None:
    measurements = {"measurement": ("6d" * 48,), "vmpl": ("0",)}
    reference = Reference(name="guest", kind="snp", measurements=measurements, max_age=DAY, **wanted)
    with pytest.raises(AttestationError, match=match):
        appraise(Case(report=report).verify(), reference, made=NOW, at=NOW, scope="key")
    appraise(
        Case().verify(),
        Reference(name="guest", kind="snp", measurements=measurements, max_age=DAY),
        made=NOW,
        at=NOW,
        scope="key",
    )


def test_debug_may_be_allowed() -> None:
    reference = Reference(name="g", kind="snp", measurements={"measurement": ("6d" * 48,)}, max_age=DAY, allow_debug=True)
    appraise(Case(report={"debug": True}).verify(), reference, made=NOW, at=NOW, scope="key")


REPORT, COLLATERAL, ROOTS = MILAN.mint(crl=True)


@given(st.integers(0, 2), st.integers(0, 5000), st.binary(max_size=40), st.integers(0, 40))
def test_changed_collateral_raises_only_errors(which: int, at: int, patch: bytes, cut: int) -> None:
    piece = COLLATERAL[which]
    at %= len(piece) + 1
    changed = piece[:at] + patch + piece[at + cut :]
    given_ = (*COLLATERAL[:which], changed, *COLLATERAL[which + 1 :])
    try:
        registry.parse("snp", REPORT).verify(at=NOW, roots=ROOTS, collateral=given_)
    except Error:
        return
    assert changed.strip() == piece.strip() or changed.replace(b"\n", b"").replace(b"\r", b"") == piece.replace(b"\n", b"")
