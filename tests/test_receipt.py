# SPDX-License-Identifier: Apache-2.0
"""The receipt's wire format: a Sigstore bundle in it, one spelling, sizes capped before anything is looked at."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.receipts import attacker_key, edit, honest, node_key
from verifiable import receipt as receipt_module
from verifiable.errors import BindingError, Error, MalformedError
from verifiable.receipt import MAX_SIZE, Evidence, Receipt, make_receipt

RUN = honest()
DATA = RUN.data


@pytest.mark.parametrize("run", [RUN, honest(embed=False), honest(inputs="hashed"), honest(outputs="private")])
def test_parse_and_encode_are_inverses(run: Any) -> None:
    assert Receipt.parse(run.data) == run.receipt
    assert Receipt.parse(run.data).encode() == run.data


def test_the_documented_shape() -> None:
    document = RUN.document
    assert document["mediaType"] == "application/vnd.verifiable.receipt.v1+json"
    bundle = document["bundle"]
    fingerprint = node_key().fingerprint.hex
    assert bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert bundle["verificationMaterial"] == {"publicKey": {"hint": fingerprint}, "tlogEntries": []}
    envelope = bundle["dsseEnvelope"]
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert base64.b64decode(envelope["payload"]) == RUN.receipt.claim.encode()
    assert [set(s) for s in envelope["signatures"]] == [{"sig", "keyid"}]
    (evidence,) = document["evidence"]
    assert set(evidence) == {"kind", "mediaType", "sha256", "size", "data"}
    assert set(document["circuit"]) == {"circuit", "parts"}
    assert set(document["circuit"]["parts"]) == {"verifying-key", "srs"}


def test_evidence_may_be_elsewhere() -> None:
    receipt = replace(RUN.receipt, evidence=(replace(RUN.receipt.evidence[0], data=None),))
    assert Receipt.parse(receipt.encode()) == receipt


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(extra=1),
        lambda d: d.update(mediaType="application/vnd.verifiable.receipt.v2+json"),
        lambda d: d.pop("evidence"),
        lambda d: d["bundle"].update(extra=1),
        lambda d: d["bundle"].update(mediaType="application/vnd.dev.sigstore.bundle.v0.2+json"),
        lambda d: d["bundle"]["verificationMaterial"].update(certificate="AA=="),
        lambda d: d["bundle"]["verificationMaterial"]["publicKey"].update(hint="00"),
        lambda d: d["bundle"]["verificationMaterial"].pop("tlogEntries"),
        lambda d: d["bundle"]["dsseEnvelope"].update(payloadType="application/json"),
        lambda d: d["bundle"]["dsseEnvelope"].update(extra=1),
        lambda d: d["bundle"]["dsseEnvelope"]["signatures"].clear(),
        lambda d: d["bundle"]["dsseEnvelope"].update(signatures=d["bundle"]["dsseEnvelope"]["signatures"] * 2),
        lambda d: d["bundle"]["dsseEnvelope"]["signatures"][0].update(sig="A" * 100),
        lambda d: d["bundle"]["dsseEnvelope"]["signatures"][0].update(sig="AB=="),
        lambda d: d["bundle"]["dsseEnvelope"]["signatures"][0].update(keyid="a key"),
        lambda d: d["bundle"]["dsseEnvelope"].update(payload="e30"),
        lambda d: d["evidence"][0].update(kind="hearsay"),
        lambda d: d["evidence"][0].update(data="AAAA\n"),
        lambda d: d["evidence"][0].update(extra=1),
        lambda d: d.update(evidence=d["evidence"] * 65),
        lambda d: d["circuit"].update(extra="AA=="),
        lambda d: d["circuit"]["parts"].update(srs=1),
        lambda d: d["circuit"].update(circuit="*"),
    ],
)
def test_what_is_refused(change: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(MalformedError):
        Receipt.parse(edit(DATA, change))


def test_other_spellings_are_refused() -> None:
    for other in (
        DATA + b"\n",
        json.dumps(RUN.document).encode(),
        json.dumps(RUN.document, indent=1).encode(),
        b"\xef\xbb\xbf" + DATA,
    ):
        with pytest.raises(MalformedError):
            Receipt.parse(other)


def test_duplicate_keys_are_refused() -> None:
    with pytest.raises(MalformedError, match="duplicate"):
        Receipt.parse(DATA.replace(b'"evidence":', b'"evidence":[],"evidence":', 1))


def test_the_size_is_capped_before_the_content() -> None:
    with pytest.raises(MalformedError, match="more than"):
        Receipt.parse(b"\xff" * (MAX_SIZE + 1))


def test_a_receipt_that_nobody_could_read_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipt_module, "MAX_SIZE", 1000)
    with pytest.raises(MalformedError, match="more than"):
        RUN.receipt.encode()


def test_deep_nesting_is_an_error_not_a_crash() -> None:
    with pytest.raises(MalformedError, match="nested"):
        Receipt.parse(b"[" * 100_000)


def test_make_receipt_refuses_what_does_not_belong_together() -> None:
    claim, evidence, circuit = RUN.receipt.claim, RUN.receipt.evidence, RUN.circuit.verifier
    with pytest.raises(BindingError, match="another key"):
        make_receipt(claim, evidence, attacker_key(), circuit)
    with pytest.raises(BindingError, match="evidence"):
        make_receipt(claim, (Evidence.zk(b"other", "m"),), node_key(), circuit)
    with pytest.raises(BindingError, match="another circuit"):
        make_receipt(claim, evidence, node_key(), honest(weights=((1, 1, 1), (1, 1, 1))).circuit.verifier)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_only_errors(data: bytes) -> None:
    with pytest.raises(Error):
        Receipt.parse(data)
