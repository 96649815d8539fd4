"""Quotes of real machines with the collateral of their day: the verdict that each gets, and when, and that every bit counts."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes.pki.authority import NOW
from tests.fakes.pki.intel import FakeIntel
from tests.tee.dcap.flips import Subject
from verifiable.errors import AttestationError, StaleError, TrustError
from verifiable.tee import registry
from verifiable.tee.evidence import VerifiedEvidence
from verifiable.tee.reference import Reference, appraise
from verifiable.tee.roots import Roots, shipped

JULY = datetime(2025, 7, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
#: The latest of the times that its collateral is for, and the earliest after them.
WINDOWS = {
    "tdx_quote": (datetime(2025, 6, 19, 10, 32, 27, tzinfo=UTC), datetime(2025, 7, 19, 10, 0, 34, tzinfo=UTC)),
    "sgx_quote": (datetime(2025, 6, 19, 10, 56, 11, tzinfo=UTC), datetime(2025, 7, 19, 10, 1, 18, tzinfo=UTC)),
}
MINTED = {"sgx-3": FakeIntel("sgx", 3), "tdx-4": FakeIntel("tdx", 4), "tdx-5": FakeIntel("tdx", 5)}


def _recorded(shared: Path, name: str, at: datetime = JULY, roots: Roots | None = None) -> Subject:
    folder = shared / "vectors/tdx"
    return Subject(
        kind=name[:3],
        evidence=(folder / name).read_bytes(),
        collateral=(folder / f"{name}_collateral.json").read_bytes(),
        roots=shipped() if roots is None else roots,
        at=at,
    )


def _minted(name: str) -> Subject:
    evidence, (collateral,), roots = MINTED[name].mint(padding=3)
    return Subject(kind=name[:3], evidence=evidence, collateral=collateral, roots=roots, at=NOW)


def _verify(subject: Subject) -> VerifiedEvidence:
    evidence = registry.parse(subject.kind, subject.evidence)
    return evidence.verify(at=subject.at, roots=subject.roots, collateral=(subject.collateral,))


def test_a_trust_domain_is_up_to_date(shared: Path) -> None:
    found = _verify(_recorded(shared, "tdx_quote"))
    assert (found.tcb_status, found.advisories, found.debug) == ("UpToDate", (), False)
    assert found.measurements["mrtd"].startswith("91eb2b44d141d4ece09f0c75c2c53d24")
    assert found.measurements["rtmr3"] == "00" * 48
    assert found.tcb == {
        "tdx-module": 6, "tdx-module-version": 1, "tdx-microcode": 3, "pcesvn": 11, "qesvn": 6, "evaluation": 17,
    }  # fmt: skip
    assert (found.identity["fmspc"], found.identity["authority"]) == ("b0c06f000000", "platform")
    assert found.anchor.name == "intel-sgx-root"


def test_an_enclave_needs_configuration_and_hardening(shared: Path) -> None:
    found = _verify(_recorded(shared, "sgx_quote"))
    assert found.tcb_status == "ConfigurationAndSWHardeningNeeded"
    assert found.advisories == ("INTEL-SA-00289", "INTEL-SA-00615")
    assert found.measurements["mrenclave"].startswith("33d8736db756ed4997e04ba358d27833")
    assert found.tcb == {"isvsvn": 0, "pcesvn": 13, "qesvn": 10, "evaluation": 17}
    wanted = Reference(
        name="wanted", kind="sgx", measurements={"mrenclave": (found.measurements["mrenclave"],)}, max_age=timedelta(days=1)
    )  # fmt: skip
    with pytest.raises(AttestationError, match="the platform is ConfigurationAndSWHardeningNeeded"):
        appraise(found, wanted, made=JULY, at=JULY, scope="key")


def test_an_outdated_platform_matches_no_level(shared: Path) -> None:
    with pytest.raises(AttestationError, match="No matching TCB level") as caught:
        _verify(_recorded(shared, "tdx_quote_outdated", datetime(2026, 3, 1, tzinfo=UTC)))
    assert caught.value.checks[-1].number == 9  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", WINDOWS)
def test_before_and_after_its_collateral_it_is_refused(shared: Path, name: str) -> None:
    first, last = WINDOWS[name]
    for at in (first, last):
        _verify(_recorded(shared, name, at))
    for at in (first - SECOND, last + SECOND, datetime(2016, 1, 1, tzinfo=UTC), datetime(2060, 1, 1, tzinfo=UTC)):
        with pytest.raises(StaleError):
            _verify(_recorded(shared, name, at))


def test_collateral_of_another_platform(shared: Path) -> None:
    own, other = _recorded(shared, "tdx_quote"), _recorded(shared, "sgx_quote")
    with pytest.raises(AttestationError, match="PCK authority"):
        _verify(Subject(own.kind, own.evidence, other.collateral, own.roots, own.at))
    later = _recorded(shared, "tdx_quote_outdated", datetime(2026, 3, 1, tzinfo=UTC))
    with pytest.raises(AttestationError, match="fmspc"):
        _verify(Subject(own.kind, own.evidence, later.collateral, own.roots, later.at))


def test_under_another_root_it_is_nothing(shared: Path) -> None:
    for roots in (FakeIntel().roots, Roots()):
        with pytest.raises(TrustError):
            _verify(_recorded(shared, "tdx_quote", roots=roots))


@pytest.mark.parametrize("piece", ["evidence", "collateral"])
@pytest.mark.parametrize("name", WINDOWS)
def test_some_of_its_bits(shared: Path, name: str, piece: str) -> None:
    subject = _recorded(shared, name)
    chosen = random.Random(f"{name} {piece}").sample(range(8 * len(getattr(subject, piece))), 150)
    assert subject.survivors(piece, chosen) == []


@pytest.mark.parametrize("piece", ["evidence", "collateral"])
@pytest.mark.parametrize("name", MINTED)
def test_some_of_the_bits_of_what_the_fake_vendor_made(name: str, piece: str) -> None:
    subject = _minted(name)
    chosen = random.Random(f"{name} {piece}").sample(range(8 * len(getattr(subject, piece))), 150)
    assert subject.survivors(piece, chosen) == []


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["evidence", "collateral"])
@pytest.mark.parametrize("name", WINDOWS)
def test_every_bit(shared: Path, name: str, piece: str) -> None:
    assert _recorded(shared, name).every_survivor(piece) == []


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["evidence", "collateral"])
def test_every_bit_of_the_outdated_platforms(shared: Path, piece: str) -> None:
    """That it is outdated is what the last check finds; a change never gets so far."""
    subject = replace(_recorded(shared, "tdx_quote_outdated", datetime(2026, 3, 1, tzinfo=UTC)), within=9)
    assert subject.every_survivor(piece) == []
