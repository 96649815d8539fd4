# SPDX-License-Identifier: Apache-2.0
"""Reports of real processors, with the keys' certificates that AMD made for them, under AMD's real roots."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.tee.snp.flips import Pieces
from verifiable.checklist import Check
from verifiable.errors import AttestationError, SignatureError, StaleError
from verifiable.tee import registry
from verifiable.tee.evidence import VerifiedEvidence
from verifiable.tee.reference import Reference, appraise
from verifiable.tee.roots import Roots, read_shipped, shipped

AT = datetime(2024, 6, 1, tzinfo=UTC)
CHAIN = read_shipped("amd-ask-milan") + read_shipped("amd-ark-milan")
#: name -> start of the measurement, debug, TCB, firmware, and the certificate's validity.
EXPECTED = {
    "report_v2_milan": ("a1f3930413247bb3", False, (3, 0, 8, 115), "1.52.4", "2023-01-24T17:58:26"),
    "report_google_milan": ("b07af9620f3b839b", True, (2, 0, 5, 68), "1.49.3", "2022-09-24T00:55:28"),
}


@pytest.fixture(scope="module")
def vectors(shared: Path) -> Path:
    folder = shared / "vectors" / "snp"
    if not folder.is_dir():
        pytest.skip(f"recorded reports are not here ({folder})")
    return folder


def _verify(report: bytes, *collateral: bytes, at: datetime = AT, roots: Roots | None = None) -> VerifiedEvidence:
    return registry.parse("snp", report).verify(at=at, roots=roots or shipped(), collateral=collateral)


def _pair(vectors: Path, name: str) -> tuple[bytes, bytes]:
    return (vectors / f"{name}.bin").read_bytes(), (vectors / f"{name}.vcek.der").read_bytes()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_report_verifies(vectors: Path, name: str) -> None:
    report, vcek = _pair(vectors, name)
    measurement, debug, tcb, firmware, _ = EXPECTED[name]
    for collateral in ((vcek,), (vcek, CHAIN), (read_shipped("amd-ask-milan"), vcek)):
        verified = _verify(report, *collateral)
        assert verified.measurements["measurement"].startswith(measurement)
        assert verified.debug is debug
        assert tuple(verified.tcb[name] for name in ("bootloader", "tee", "snp", "microcode")) == tcb
        assert (verified.identity["firmware"], verified.identity["product"]) == (firmware, "Milan-B0")
        assert verified.anchor.name == "amd-ark-milan"
        assert verified.checks[2] == Check(number=3, name="revocation", status="skip", detail="no revocation list was given")
        assert {check.status for check in verified.checks} == {"pass", "skip"}
    assert registry.parse("snp", report).encode() == report


@pytest.mark.parametrize("name", EXPECTED)
def test_it_holds_for_the_seven_years_of_its_certificate(vectors: Path, name: str) -> None:
    report, vcek = _pair(vectors, name)
    since = datetime.fromisoformat(EXPECTED[name][-1]).replace(tzinfo=UTC)
    until = since.replace(year=since.year + 7)
    _verify(report, vcek, at=since)
    _verify(report, vcek, at=until)
    for at in (since - timedelta(seconds=1), until + timedelta(seconds=1)):
        with pytest.raises(StaleError, match="SEV-VCEK"):
            _verify(report, vcek, at=at)


def test_the_certificate_that_is_not_amds_is_refused(vectors: Path) -> None:
    report, _ = _pair(vectors, "report_v2_milan")
    with pytest.raises(SignatureError, match="SEV-VCEK"):
        _verify(report, (vectors / "wrong.vcek.der").read_bytes())


def test_the_certificate_of_another_chip_is_refused(vectors: Path) -> None:
    (report, _), (_, other) = (_pair(vectors, name) for name in EXPECTED)
    with pytest.raises(AttestationError, match="another chip"):
        _verify(report, other)


def test_debug_mode_is_refused_by_the_appraisal(vectors: Path) -> None:
    report, vcek = _pair(vectors, "report_google_milan")
    verified = _verify(report, vcek)
    reference = Reference(
        name="g", kind="snp", measurements={"measurement": (verified.measurements["measurement"],)}, max_age=timedelta(days=1)
    )
    with pytest.raises(AttestationError, match="debug mode"):
        appraise(verified, reference, made=AT, at=AT, scope=None)


def _pieces(vectors: Path, name: str) -> Pieces:
    return Pieces(pieces=(*_pair(vectors, name), CHAIN), at=AT)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_bits_chosen_at_random_count(vectors: Path, which: int) -> None:
    pieces = _pieces(vectors, "report_v2_milan")
    assert pieces.survivors(which, random.Random(which).sample(range(8 * len(pieces.pieces[which])), 300)) == []


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("name", EXPECTED)
def test_every_bit_counts(vectors: Path, name: str, which: int) -> None:
    """No byte of a report, of a VCEK's certificate or of AMD's chain is without meaning."""
    assert _pieces(vectors, name).every_survivor(which) == []
