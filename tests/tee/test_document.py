# SPDX-License-Identifier: Apache-2.0
"""Attestations: one spelling, capped, and made for the key, nonce and claim at hand or refused."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.pki.amd import FakeAmd
from tests.fakes.pki.authority import NOW
from verifiable.digest import Digest
from verifiable.encoding.record import encode_base64
from verifiable.errors import BindingError, Error, MalformedError, TrustError, UnsupportedError
from verifiable.tee import binding
from verifiable.tee.document import MAX_SIZE, MEDIA_TYPE, Attestation, is_attestation
from verifiable.tee.evidence import KINDS, MAX_COLLATERAL
from verifiable.tee.evidence import MAX_SIZE as MAX_EVIDENCE_SIZE

KEY, CLAIM, OTHER = Digest.of(b"a key"), Digest.of(b"a claim"), Digest.of(b"another")
ONE, TWO = Digest.of(b"one"), Digest.of(b"two")
PLAIN = Attestation(kind="snp", evidence=b"evidence", scope="key", verified_at=NOW, collateral=(TWO, ONE))


def minted(*, nonce: bytes = b"n", claim: Digest | None = None, key: Digest = KEY) -> Attestation:
    """Around a report that is really bound."""
    report, _, _ = FakeAmd().mint(report_data=binding.report_data(key=key, nonce=nonce, claim=claim))
    return replace(PLAIN, evidence=report, nonce=nonce, scope="receipt" if claim else "key")


# Reading and writing


def test_the_bytes() -> None:
    assert (
        PLAIN.encode()
        == (
            f'{{"collateral":["{TWO.hex}","{ONE.hex}"],"evidence":"ZXZpZGVuY2U=","kind":"snp","mediaType":"{MEDIA_TYPE}",'
            '"scope":"key","verifiedAt":"2026-06-01T00:00:00Z"}'
        ).encode()
    )
    assert b'"nonce":"6e"' in replace(PLAIN, nonce=b"n").encode()


attestations = st.builds(
    Attestation,
    kind=st.sampled_from(KINDS),
    evidence=st.binary(max_size=100),
    scope=st.sampled_from(binding.SCOPES),
    verified_at=st.integers(-(10**9), 10**10).map(lambda n: NOW + n * timedelta(microseconds=1_000_001)),
    nonce=st.binary(max_size=64),
    collateral=st.lists(st.binary(max_size=3).map(Digest.of), max_size=MAX_COLLATERAL, unique=True).map(tuple),
)


@given(attestations)
def test_what_is_written_reads_back(attestation: Attestation) -> None:
    data = attestation.encode()
    assert Attestation.parse(data) == attestation
    assert Attestation.parse(data).encode() == data
    assert is_attestation(data)


def edited(*, drop: str = "", **fields: Any) -> bytes:
    """The document with other fields, canonical but for what they are."""
    document = {name: value for name, value in json.loads(PLAIN.encode()).items() if name != drop} | fields
    return json.dumps(document, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


@pytest.mark.parametrize("name", ["collateral", "evidence", "kind", "mediaType", "scope", "verifiedAt"])
def test_every_field_must_be_there(name: str) -> None:
    with pytest.raises(MalformedError, match=f"'{name}' is missing"):
        Attestation.parse(edited(drop=name))


@pytest.mark.parametrize(
    "fields",
    [
        {"mediaType": MEDIA_TYPE.replace("v1", "v2")}, {"kind": "os"}, {"kind": "nvidia-rim"}, {"kind": 3}, {"scope": "both"},
        {"scope": None}, {"evidence": "ZXZpZGVuY2U"}, {"evidence": "ZXZpZGVuY2V="}, {"evidence": "ZXZp ZGVuY2U="},
        {"evidence": "ZXZpZGVuY2U=\n"}, {"evidence": ["ZXZpZGVuY2U="]}, {"verifiedAt": "2026-06-01"},
        {"verifiedAt": "2026-06-01T00:00:00+00:00"}, {"verifiedAt": "2026-06-01T00:00:00.000000Z"},
        {"verifiedAt": "2026-06-01T00:00:00"}, {"verifiedAt": 1780272000}, {"nonce": ""}, {"nonce": "6E"}, {"nonce": "6"},
        {"nonce": "00" * 65}, {"nonce": None}, {"collateral": [ONE.hex, ONE.hex]}, {"collateral": [str(ONE)]},
        {"collateral": [ONE.hex.upper()]}, {"collateral": [ONE.hex[:-2]]}, {"collateral": [3]}, {"collateral": [None]},
        {"collateral": {ONE.hex: ""}}, {"collateral": [Digest.of(bytes([n])).hex for n in range(MAX_COLLATERAL + 1)]},
        {"unknown": 1},
    ],
)  # fmt: skip
def test_other_fields_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        Attestation.parse(edited(**fields))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{}", b"[]", b"null", PLAIN.encode() + b"\n", b" " + PLAIN.encode(), PLAIN.encode()[:-1],
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.encode().replace(b":", b": ", 1), PLAIN.encode().replace(b'"kind"', b'"\\u006bind"'),
        PLAIN.encode().replace(b'"kind":"snp"', b'"kind":"snp","kind":"snp"'),
        PLAIN.encode().replace(b'"kind":"snp"', b'"kind":"tdx","kind":"snp"'), b'{"scope":"key",' + PLAIN.encode()[1:-14] + b"}",
    ],
)  # fmt: skip
def test_other_spellings_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        Attestation.parse(data)


def test_sizes_are_capped() -> None:
    largest = replace(PLAIN, evidence=bytes(MAX_EVIDENCE_SIZE))
    assert Attestation.parse(largest.encode()) == largest
    for more in (1, 2, 3):
        with pytest.raises(MalformedError, match="more than 1,048,576 bytes"):
            Attestation.parse(edited(evidence=encode_base64(bytes(MAX_EVIDENCE_SIZE + more))))
    with pytest.raises(MalformedError, match="more than the 2,097,152 allowed"):
        Attestation.parse(b'{"collateral":[],"evidence":"' + b"A" * MAX_SIZE)


def test_the_same_collateral_is_not_named_twice() -> None:
    with pytest.raises(MalformedError, match="named twice"):
        replace(PLAIN, collateral=(ONE, TWO, ONE))


@given(st.binary(max_size=200) | st.integers(0, len(PLAIN.encode())).map(lambda n: PLAIN.encode()[:n]))
def test_any_bytes_raise_only_malformed_errors(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        assert Attestation.parse(data) == PLAIN


@given(st.integers(0, len(PLAIN.encode()) - 1), st.integers(0, 7))
def test_no_bit_is_without_meaning(at: int, bit: int) -> None:
    data = bytearray(PLAIN.encode())
    data[at] ^= 1 << bit
    with contextlib.suppress(MalformedError):
        assert Attestation.parse(bytes(data)) != PLAIN


# What it was made for


def test_evidence_of_this_key_opens() -> None:
    assert minted().open(key=KEY, claim=None).kind == "snp"
    assert minted().open(key=KEY, claim=CLAIM).kind == "snp"  # a key's evidence stands behind all its receipts
    assert minted(nonce=b"").open(key=KEY, claim=None).report_data == binding.report_data(key=KEY)


def test_evidence_of_this_receipt_opens() -> None:
    assert minted(claim=CLAIM).open(key=KEY, claim=CLAIM).report_data == binding.report_data(key=KEY, nonce=b"n", claim=CLAIM)


@pytest.mark.parametrize(
    ("attestation", "options"),
    [
        (minted(), {"key": OTHER}), (minted(claim=CLAIM), {"key": OTHER}),  # another's key
        (minted(claim=CLAIM), {"claim": OTHER}),  # another receipt of this key
        (replace(minted(), nonce=b"m"), {}), (replace(minted(), nonce=b""), {}), (replace(minted(nonce=b""), nonce=b"n"), {}),
        (replace(minted(), scope="receipt"), {}), (replace(minted(claim=CLAIM), scope="key"), {}),  # another scope
    ],
)  # fmt: skip
def test_evidence_that_was_made_for_something_else(attestation: Attestation, options: dict[str, Any]) -> None:
    with pytest.raises(BindingError, match="was not made for this key, nonce and claim"):
        attestation.open(**({"key": KEY, "claim": CLAIM} | options))


def test_evidence_of_a_receipt_without_one() -> None:
    """Nor may a claim of zeros, which is what a key's evidence has in its place, stand in for it."""
    with pytest.raises(BindingError, match="bound to a receipt, and none is at hand"):
        minted(claim=CLAIM).open(key=KEY, claim=None)
    with pytest.raises(BindingError):
        replace(minted(), scope="receipt").open(key=KEY, claim=Digest(value=bytes(32)))


@pytest.mark.parametrize("kind", KINDS)
def test_evidence_of_another_kind(kind: str) -> None:
    if kind == "snp":
        return
    with pytest.raises((MalformedError, UnsupportedError)):
        replace(minted(), kind=kind).open(key=KEY, claim=None)


@given(st.sampled_from(KINDS), st.binary(max_size=200) | st.just(minted().evidence))
def test_any_evidence_raises_only_our_errors(kind: str, evidence: bytes) -> None:
    with contextlib.suppress(Error):
        replace(PLAIN, kind=kind, evidence=evidence).open(key=OTHER, claim=None)
        raise AssertionError(f"{kind} evidence of another key opened")


# Collateral


def test_collateral_is_found_by_its_digest_in_the_order_named() -> None:
    blobs = {Digest.of(data): data for data in (b"one", b"two", b"three")}
    assert PLAIN.find_collateral(blobs) == (b"two", b"one")
    assert replace(PLAIN, collateral=()).find_collateral({}) == ()


def test_missing_collateral_is_named() -> None:
    with pytest.raises(TrustError, match=f"its collateral {ONE} is not here") as caught:
        PLAIN.find_collateral({TWO: b"two"})
    assert "--collateral FILE" in caught.value.hint


@pytest.mark.parametrize("data", [b"", b"{", b'{"evidence":', b"\x84", bytes(100), b"-----BEGIN", b" " + PLAIN.encode()])
def test_other_things_do_not_look_like_one(data: bytes) -> None:
    assert not is_attestation(data)
