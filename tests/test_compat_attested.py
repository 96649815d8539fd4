# SPDX-License-Identifier: Apache-2.0
"""What was once released verifies for ever: receipts that hardware vouched for, judged by the trust root beside them when every
certificate in them has expired, as ``compat/make_attested.py`` made them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.compat.make_attested import NONCE, make
from verifiable.errors import BindingError, PolicyError
from verifiable.receipt import Evidence, Receipt
from verifiable.tee import registry
from verifiable.tee.document import Attestation
from verifiable.trust import TrustRoot
from verifiable.verify.policy import AllOf, AttestedBy, LoggedIn, ProvedBy
from verifiable.verify.verified import Verified
from verifiable.verify.verifier import Verifier

FOLDERS = sorted((Path(__file__).parent / "compat").glob("*/attested"))
#: When the fake vendors' roots have been dead for years.
LATER = datetime(2040, 1, 1, tzinfo=UTC)
NAMES = ("attested.json", "software.json")
BOTH = AllOf((ProvedBy(), AttestedBy(kind="snp", reference="the guest"), AttestedBy(kind="nvidia"), LoggedIn()))


@dataclass(frozen=True)
class Released:
    """One folder of attested receipts, and what its reader believes."""

    folder: Path

    def __getitem__(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    @property
    def trust(self) -> TrustRoot:
        return TrustRoot.parse(self["trust.toml"])

    @property
    def receipt(self) -> Receipt:
        return Receipt.parse(self["attested.json"])

    def verify(self, receipt: str | Receipt = "attested.json", *, trust: TrustRoot | None = None, **options: Any) -> Verified:
        data = self[receipt] if isinstance(receipt, str) else receipt.encode()
        return Verifier(trust or self.trust).verify(data, **({"now": LATER, "nonce": NONCE} | options))


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.parent.name)
def released(request: pytest.FixtureRequest) -> Released:
    return Released(request.param)


def test_there_are_attested_receipts_and_they_are_small() -> None:
    assert FOLDERS
    for folder in FOLDERS:
        assert sum(path.stat().st_size for path in folder.iterdir()) < 300_000


def test_an_attested_receipt_verifies_for_ever_at_its_time(released: Released) -> None:
    verified = released.verify(policy=BOTH)
    assert (verified.signer.name, verified.evidence) == ("node one", ("zk", "tee"))
    assert [check.status for check in verified.checks] == ["pass"] * 9
    guest, gpu = verified.attested
    assert [(each.kind, each.scope, each.nonce, each.counts) for each in (guest, gpu)] == [
        ("snp", "receipt", NONCE, True), ("nvidia", "receipt", NONCE, True),
    ]  # fmt: skip
    assert (guest.meets("the guest"), gpu.meets("its GPU")) == (True, True)
    for each in (guest, gpu):
        assert each.evidence is not None
        assert {check.status for check in each.evidence.checks} <= {"pass", "skip"}
        assert abs(each.stands_for - each.at) < timedelta(minutes=1)
    assert guest.evidence is not None
    assert guest.evidence.checks[2].status == "pass"  # the revocation list of that day


def test_the_verdict_says_apart_whether_the_evidence_would_be_good_now(released: Released) -> None:
    verified = released.verify()
    assert [each.later is None for each in verified.attested] == [False, False]
    assert all("is valid from" in (each.later or "") for each in verified.attested)
    then = verified.attested[0].stands_for + timedelta(minutes=5)
    assert [each.later for each in released.verify(now=then).attested] == [None, None]


def test_without_its_place_in_the_log_its_evidence_is_too_old(released: Released) -> None:
    """The proof stands; the hardware's word was for a time that nobody vouches for any more."""
    bare = dataclasses.replace(released.receipt, log_entries=())
    verified = released.verify(bare)
    assert verified.evidence == ("zk",)
    assert "1h is the most allowed by 'the guest'" in (verified.attested[0].problem or "")
    with pytest.raises(PolicyError, match="1h is the most allowed"):
        released.verify(bare, policy=AttestedBy())


def test_its_collateral_may_be_kept_elsewhere(released: Released) -> None:
    receipt = released.receipt
    kept = [each.data for each in receipt.evidence if each.descriptor.kind == "collateral" and each.data is not None]
    assert len(kept) == 6  # VCEK, AMD's chain and list; the GPU's certificates and two manifests
    away = dataclasses.replace(
        receipt,
        evidence=tuple(
            Evidence(descriptor=each.descriptor) if each.descriptor.kind == "collateral" else each for each in receipt.evidence
        ),
    )
    assert released.verify(away, collateral=kept, policy=BOTH).evidence == ("zk", "tee")
    with pytest.raises(PolicyError, match=r"its collateral sha256:.* is not here"):
        released.verify(away, collateral=kept[1:], policy=BOTH)


@pytest.mark.parametrize("gone", ["vendors", "references"])
def test_who_trusts_no_such_vendor_or_wants_nothing_of_it_is_not_convinced(released: Released, gone: str) -> None:
    trust = dataclasses.replace(released.trust, **{gone: type(getattr(released.trust, gone))()})
    verified = released.verify(trust=trust)
    assert (verified.evidence, [each.counts for each in verified.attested]) == (("zk",), [False, False])
    with pytest.raises(PolicyError):
        released.verify(trust=trust, policy=BOTH)


def test_simulated_evidence_of_a_key_counts_where_it_is_allowed(released: Released) -> None:
    with pytest.raises(PolicyError, match="simulated: no hardware stands behind it"):
        released.verify("software.json")
    verified = released.verify("software.json", allow_simulated_tee=True)
    (software,) = verified.attested
    assert verified.evidence == ("tee",)
    assert (software.kind, software.scope, software.nonce, software.meets("simulated")) == ("software", "key", b"", True)


def test_its_evidence_does_not_pass_under_another_receipt(released: Released) -> None:
    """Of the same node, whose claim describes its own."""
    other = Receipt.parse(released["software.json"])
    with pytest.raises(BindingError, match="not what the claim describes"):
        released.verify(dataclasses.replace(other, evidence=released.receipt.evidence), allow_simulated_tee=True)


@pytest.mark.parametrize("name", NAMES)
def test_every_attested_file_reads_back_to_the_byte(released: Released, name: str) -> None:
    receipt = Receipt.parse(released[name])
    assert receipt.encode() == released[name]
    documents = [each.data for each in receipt.evidence if each.descriptor.kind == "tee" and each.data is not None]
    assert documents
    for data in documents:
        attestation = Attestation.parse(data)
        assert attestation.encode() == data
        assert registry.parse(attestation.kind, attestation.evidence).encode() == attestation.evidence


def test_fixtures_of_today_can_be_made(tmp_path: Path) -> None:
    """By the script that made the recorded ones, so that the next version's will be there too."""
    make(tmp_path / "attested")
    made = Released(tmp_path / "attested")
    assert made.verify(policy=BOTH).evidence == ("zk", "tee")
    assert {path.name for path in made.folder.iterdir()} == {path.name for path in FOLDERS[-1].iterdir()}
