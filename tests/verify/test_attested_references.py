# SPDX-License-Identifier: Apache-2.0
"""A receipt whose evidence meets several references: which of them a policy may name, and which still hold later."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest

from tests.fakes.attested import Attested, attest, wanting
from tests.fakes.log import COSIGNED, FakeLog
from tests.fakes.pki.amd import FakeAmd
from tests.fakes.receipts import NOW, honest
from verifiable.errors import PolicyError
from verifiable.tee.roots import Roots
from verifiable.verify.policy import AttestedBy

CODE = b"m" * 48
STRICT = wanting("snp", "measurement", CODE.hex(), name="strict", max_age=timedelta(hours=1))
LAX = replace(STRICT, name="lax", max_age=timedelta(days=365))
FOREIGN = wanting("snp", "measurement", "00", name="another build")


def snp(data: bytes) -> tuple[bytes, tuple[bytes, ...], Roots]:
    return FakeAmd().mint(report_data=data, measurement=CODE)


@cache
def settled() -> Attested:
    """By its cosigners' time, which is when it was made."""
    found, log = attest(honest(), [("snp", snp)], at=COSIGNED, references=[STRICT, LAX, FOREIGN]), FakeLog()
    index = log.append(found.receipt.entry.encode())
    place = log.place(index, log.checkpoint(time=COSIGNED))
    trust = replace(found.trust, logs=(log.trusted(quorum=2),))
    return replace(found, receipt=replace(found.receipt, log_entries=(place,)), trust=trust)


def test_what_one_reference_still_takes_is_acceptable_now() -> None:
    (attested,) = settled().verify(now=COSIGNED + timedelta(days=2)).attested
    assert [each.reference.name for each in attested.appraisals] == ["strict", "lax"]
    assert attested.later is None


def test_what_no_reference_takes_any_more_is_not() -> None:
    (attested,) = settled().verify(now=COSIGNED + timedelta(days=400)).attested
    assert attested.counts
    assert "1h is the most allowed by 'strict'" in (attested.later or "")
    assert "365d is the most allowed by 'lax'" in (attested.later or "")


@pytest.mark.parametrize("name", ["strict", "lax"])
def test_a_policy_may_name_each_that_is_met(name: str) -> None:
    policy = AttestedBy(kind="snp", reference=name)
    assert settled().verify(now=NOW, policy=policy).attested[0].meets(name)


@pytest.mark.parametrize("name", ["another build", "stirct"])
def test_a_policy_that_names_another_is_told_which_are_met(name: str) -> None:
    with pytest.raises(PolicyError, match=f"as '{name}' wants it: it meets 'strict', 'lax' only"):
        settled().verify(now=NOW, policy=AttestedBy(reference=name))
