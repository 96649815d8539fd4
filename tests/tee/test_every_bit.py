# SPDX-License-Identifier: Apache-2.0
"""That turning over every bit would notice one that counts for nothing."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.fakes.pki.authority import NOW
from tests.fakes.pki.intel import FakeIntel
from tests.tee.dcap.flips import Subject
from tests.tee.every_bit import flipped, remembering, survivors
from verifiable.errors import MalformedError
from verifiable.tee.dcap import verifying
from verifiable.tee.x509 import Certificate


def test_a_bit_is_turned_over_and_back() -> None:
    data = bytes(range(4))
    assert {flipped(data, bit) for bit in range(32)} != {data}
    assert all(flipped(flipped(data, bit), bit) == data for bit in range(32))


def test_a_bit_without_a_meaning_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user data of a quote is signed: whoever does not look at its signature lets any of its bits through."""
    evidence, (collateral,), roots = FakeIntel("sgx", 3).mint()
    subject = Subject(kind="sgx", evidence=evidence, collateral=collateral, roots=roots, at=NOW)
    bits = range(8 * 28, 8 * 30)
    assert subject.survivors("evidence", bits) == []
    monkeypatch.setattr(verifying, "_require_signature", lambda *_given, **_named: None)
    assert subject.survivors("evidence", bits) == []  # the second opinion
    monkeypatch.setattr(verifying.qvl, "judge", lambda *_given, **_named: verifying.qvl.Verdict(status="UpToDate", advisories=()))
    assert subject.survivors("evidence", bits) == list(bits)


def test_every_bit_is_tried() -> None:
    """By as many processes as there are processors, to whom none is given twice."""
    assert survivors(list, 300) == list(range(2400))


def test_what_is_remembered_is_what_was_given() -> None:
    calls: list[bytes] = []

    def parse(data: bytes) -> Certificate:
        calls.append(data)
        return Certificate.parse(data)

    remembered, der = remembering(parse), FakeIntel().root.certificate.public_bytes(Encoding.DER)
    for data in (der, flipped(der, 8), der, flipped(der, 8)):
        if data == der:
            assert remembered(data) == Certificate.parse(der)
        else:
            with pytest.raises(MalformedError):
                remembered(data)
    assert calls == [der, flipped(der, 8)]
