# SPDX-License-Identifier: Apache-2.0
"""Which evidence is measured, with what and as of when: files, attestations, lists."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.bench.tee.fabricated import case
from tests.fakes.pki.amd import FakeAmd
from tests.fakes.pki.authority import NOW
from tests.fakes.pki.aws import FakeNitro
from tests.fakes.pki.nvidia import FakeNvidia
from verifiable.bench.tee.subjects import Case, Software, parse_cases, read_cases
from verifiable.digest import Digest
from verifiable.errors import MalformedError, TrustError
from verifiable.tee.document import Attestation
from verifiable.tee.evidence import MAX_COLLATERAL
from verifiable.tee.roots import shipped

LATER = NOW + timedelta(days=1)
LIST = """
[[cases]]
evidence = "quote.bin"

[[cases]]
name = "a GPU"
kind = "nvidia"
evidence = "gpu/report.dat"
collateral = ["gpu/chain.pem", "/elsewhere/driver.xml"]
roots = ["root.pem"]
rim-roots = ["rim.pem"]
at = "2025-01-01T00:00:00Z"
"""


def _cases(text: str) -> tuple[Case, ...]:
    return parse_cases(text.encode(), folder=Path("/lists"), at=NOW, what="cases")


def test_evidence_is_read_with_its_collateral_and_its_kind_is_told_by_its_form(tmp_path: Path) -> None:
    minted = FakeAmd().mint()
    subject = case(tmp_path, minted).read()
    assert (subject.evidence, subject.collateral, subject.kind, subject.at) == (*minted[:2], "snp", NOW)
    assert case(tmp_path, minted, roots=()).read().roots is None


def test_roots_are_in_place_of_the_vendors_of_that_kind_alone(tmp_path: Path) -> None:
    minted = FakeNvidia().mint()
    given = case(tmp_path, minted)
    both, devices, rims = (
        replace(given, **fields).read().roots for fields in ({}, {"rim_roots": ()}, {"roots": ()})
    )  # fmt: skip
    assert both is not None
    assert devices is not None
    assert rims is not None
    wanted = [[root.certificate for root in minted[2].of(kind)] for kind in ("nvidia", "nvidia-rim")]
    assert [[root.certificate for root in both.of(kind)] for kind in ("nvidia", "nvidia-rim")] == wanted
    assert [root.certificate for root in devices.of("nvidia")] == wanted[0]
    assert devices.of("nvidia-rim") == shipped().of("nvidia-rim")
    assert rims.of("nvidia") == shipped().of("nvidia")
    assert both.of("snp") == shipped().of("snp")


def test_an_attestation_is_measured_as_what_is_in_it(tmp_path: Path) -> None:
    minted = FakeAmd().mint()
    evidence, collateral, _ = minted
    digests = tuple(map(Digest.of, collateral))
    attestation = Attestation(kind="snp", evidence=evidence, scope="key", verified_at=NOW, collateral=digests)
    (tmp_path / "attestation.json").write_bytes(attestation.encode())
    wrapped = case(tmp_path, minted, evidence=tmp_path / "attestation.json", at=LATER)
    subject = replace(wrapped, collateral=wrapped.collateral[::-1]).read()
    assert (subject.evidence, subject.collateral, subject.kind, subject.at) == (evidence, collateral, "snp", NOW)
    with pytest.raises(MalformedError, match="of kind snp, not tdx"):
        replace(wrapped, kind="tdx").read()
    with pytest.raises(TrustError, match="is not here"):
        replace(wrapped, collateral=()).read()


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    given = case(tmp_path, FakeNitro().mint())
    (tmp_path / "noise").write_bytes(b"noise")
    with pytest.raises(MalformedError, match="cannot be told"):
        replace(given, evidence=tmp_path / "noise").read()
    with pytest.raises(MalformedError, match="root"):
        replace(given, roots=(tmp_path / "noise",)).read()
    with pytest.raises(MalformedError, match="absent"):
        replace(given, collateral=(tmp_path / "absent",)).read()
    with pytest.raises(MalformedError, match=f"at most {MAX_COLLATERAL}"):
        replace(given, collateral=(tmp_path / "noise",) * (MAX_COLLATERAL + 1)).read()


def test_software_evidence_is_made_for_the_time_it_is_judged_at() -> None:
    subject = Software(at=NOW).read()
    assert (subject.kind, subject.at, subject.collateral) == ("software", NOW, ())
    assert b'"issuedOn":"2026-06-01T00:00:00Z"' in subject.evidence


def test_a_list_names_evidence_relative_to_its_folder(tmp_path: Path) -> None:
    plain, gpu = _cases(LIST)
    assert plain == Case(
        name="quote.bin", evidence=Path("/lists/quote.bin"), kind=None, collateral=(), roots=(), rim_roots=(), at=NOW
    )  # fmt: skip
    assert gpu == Case(
        name="a GPU", evidence=Path("/lists/gpu/report.dat"), kind="nvidia",
        collateral=(Path("/lists/gpu/chain.pem"), Path("/elsewhere/driver.xml")), roots=(Path("/lists/root.pem"),),
        rim_roots=(Path("/lists/rim.pem"),), at=datetime(2025, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    (tmp_path / "cases.toml").write_text(LIST)
    assert read_cases(tmp_path / "cases.toml", at=NOW)[0].evidence == tmp_path / "quote.bin"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'cases' is missing"),
        ("cases = 5", "expected a list"),
        ("[[case]]\nevidence = 'x'", "'cases' is missing"),
        ("[[cases]]\nname = 'x'", "'evidence' is missing"),
        ("[[cases]]\nevidence = 'x'\nkind = 'sev'", "is none of tdx"),
        ("[[cases]]\nevidence = 'x'\nat = 2025-01-01T00:00:00Z", "expected a string"),
        ("[[cases]]\nevidence = 'x'\nat = 'yesterday'", "not a UTC time"),
        ("[[cases]]\nevidence = 'x'\ncollateral = 'y'", "expected a list"),
        ("[[cases]]\nevidence = 'x'\ncollateral = [1]", "expected a string"),
        ("[[cases]]\nevidence = 'x'\nrim-root = ['y']", "unknown field 'rim-root'"),
        ("[[cases]]\nevidence = 'x'\n[more]", "unknown field 'more'"),
        ("[[cases]", "not TOML"),
    ],
)
def test_another_list_is_malformed(text: str, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        _cases(text)
