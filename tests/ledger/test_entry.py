# SPDX-License-Identifier: Apache-2.0
"""The leaf is Rekor v2's, to the byte."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.receipts import honest
from verifiable.digest import Digest
from verifiable.encoding.json import canonical
from verifiable.errors import MalformedError
from verifiable.ledger.entry import MAX_SIZE, Entry

RECEIPT = honest().receipt
ENTRY = RECEIPT.entry


def test_the_leaf_is_a_hashedrekord_over_what_was_signed() -> None:
    document = json.loads(ENTRY.encode())
    spec = document.pop("spec")["hashedRekordV002"]
    assert document == {"apiVersion": "0.0.2", "kind": "hashedrekord"}
    digest = hashlib.sha256(RECEIPT.signed_bytes).digest()
    assert spec["data"] == {"algorithm": "SHA2_256", "digest": base64.b64encode(digest).decode()}
    verifier = {
        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
        "publicKey": {"rawBytes": base64.b64encode(RECEIPT.claim.public_key).decode()},
    }
    assert spec["signature"] == {"content": base64.b64encode(RECEIPT.signature).decode(), "verifier": verifier}
    assert ENTRY.leaf_hash == hashlib.sha256(b"\0" + ENTRY.encode()).digest()


def test_it_reads_back() -> None:
    assert Entry.parse(ENTRY.encode()) == ENTRY
    assert Entry.of(ENTRY.pae_digest, ENTRY.signature, ENTRY.public_key) == ENTRY
    assert len(ENTRY.encode()) < 65_536  # what an entry bundle can hold


def test_each_part_makes_another_leaf() -> None:
    others = (replace(ENTRY, pae_digest=Digest.of(b"")), replace(ENTRY, signature=b"x"), replace(ENTRY, public_key=b"x"))
    assert len({ENTRY.leaf_hash, *(other.leaf_hash for other in others)}) == 4


def _change(change: Callable[[dict[str, Any]], None]) -> bytes:
    document = json.loads(ENTRY.encode())
    change(document)
    return canonical(document)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        ENTRY.encode() + b"\n",
        b" " * (MAX_SIZE + 1),
        _change(lambda d: d.update(kind="dsse")),
        _change(lambda d: d.update(apiVersion="0.0.1")),
        _change(lambda d: d.update(more=1)),
        _change(lambda d: d["spec"].update(dsseV002={})),
        _change(lambda d: d["spec"]["hashedRekordV002"]["data"].update(algorithm="SHA2_512")),
        _change(lambda d: d["spec"]["hashedRekordV002"]["data"].update(digest="AAAA")),
        _change(lambda d: d["spec"]["hashedRekordV002"]["signature"]["verifier"].update(keyDetails="PKIX_ED25519")),
        _change(lambda d: d["spec"]["hashedRekordV002"]["signature"]["verifier"].update(x509Certificate={})),
    ],
)
def test_nothing_else_is_read(data: bytes) -> None:
    with pytest.raises(MalformedError):
        Entry.parse(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read_back(data: bytes) -> None:
    with pytest.raises(MalformedError):
        Entry.parse(data)
