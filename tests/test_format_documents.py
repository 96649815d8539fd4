# SPDX-License-Identifier: Apache-2.0
"""The examples in docs/formats are read by the code that they document."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.ledger.parties import NOW, MemoryLog, cosigner, log_signers
from verifiable.digest import Digest
from verifiable.encoding.json import canonical
from verifiable.encoding.record import encode_base64
from verifiable.encoding.tensor import Tensor
from verifiable.errors import MalformedError
from verifiable.ledger.checkpoint import Checkpoint
from verifiable.ledger.entry import Entry
from verifiable.ledger.policy import Policy
from verifiable.ledger.statements import KEY_EVENT_TYPE, VERDICT_TYPE
from verifiable.tee.binding import report_data
from verifiable.tee.reference import parse_references
from verifiable.tee.roots import shipped
from verifiable.trust import TrustRoot
from verifiable.verify.policy import AllOf, SignedBy, parse_policy


def _blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)


def test_the_tensor_example(checkout: Path) -> None:
    document = checkout / "docs" / "formats" / "tensor.md"
    *_, example = _blocks(document, "")
    encoded = bytes.fromhex("".join(line.split("   ")[0] for line in example.splitlines()))
    tensor = Tensor.parse(encoded)
    assert tensor == Tensor.from_array(np.array([[1, -2.5]], np.float32))
    assert f"`{tensor.digest.hex}`" in document.read_text()


def test_the_trust_root_and_policy_examples(checkout: Path) -> None:
    trust_text, policy_text = _blocks(checkout / "docs" / "formats" / "trust.md", "toml")
    trust = TrustRoot.parse(trust_text.encode())
    assert [len(entries) for entries in (trust.keys, trust.circuits, trust.setups, trust.logs)] == [1, 1, 1, 1]
    assert trust.logs[0].administrator == trust.keys[0].public_key
    assert [(each.name, each.digest) for each in trust.verifiers] == [("full node one", trust.keys[0].digest)]
    assert [witness.name for witness in trust.logs[0].policy.witnesses] == ["one", "two"]
    policy = parse_policy(policy_text.encode())
    assert isinstance(policy, AllOf)
    assert policy.policies[2].policies[0] == SignedBy(key=trust.keys[0].digest)  # type: ignore[attr-defined]


def test_every_documented_demand_is_known(checkout: Path) -> None:
    text = (checkout / "docs" / "formats" / "trust.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+) = (.+?)` \|", text, re.MULTILINE)
    assert len(rows) == 11
    digest = "ab" * 32
    for name, value in rows:
        value = (
            value.replace("<circuit id>", digest)
            .replace("<key fingerprint>", digest)
            .replace("<origin>", "ledger.example")
            .replace("{...}, ...", "{proved = true}")
        )
        parse_policy(f"all-of = [{{proved = true}}, {{{name} = {value}}}]".encode())


@pytest.mark.parametrize(
    ("table", "field"),
    [("keys", "public-key"), ("circuits", "id"), ("setups", "fingerprint"), ("logs", "vkey"), ("verifiers", "public-key")],
)
def test_the_documented_fields_are_required(table: str, field: str) -> None:
    with pytest.raises(MalformedError, match=f"'{field}' is missing"):
        TrustRoot.parse(f"[[{table}]]\nname = 'x'\n".encode())


def test_the_ledgers_examples(checkout: Path) -> None:
    checkpoint, _state, policy_text = _blocks(checkout / "docs" / "formats" / "ledger.md", "")
    assert Checkpoint.parse(checkpoint.encode()) == MemoryLog().add(5).checkpoint().checkpoint
    policy = Policy.parse(policy_text.encode())
    assert policy.logs[0].key == log_signers()[0].key
    signed = MemoryLog().add(5).checkpoint()
    cosigned = signed.with_signatures([cosigner(2, post_quantum=False).sign_checkpoint(signed.checkpoint, NOW)])
    assert policy.check(cosigned) == ("X2", "X")


def test_the_leaf_of_the_settled_format(checkout: Path) -> None:
    """The documented shape, with the document's placeholders filled in, is what the code writes."""
    text = (checkout / "docs" / "formats" / "settled.md").read_text()
    template = _blocks(checkout / "docs" / "formats" / "settled.md", "")[0]
    entry = Entry.of(Digest.of(b"x"), b"signature", b"key")
    for field, value in (("over", entry.pae_digest.value), ("the DER signature", b"signature"), ("the DER key", b"key")):
        template = re.sub(rf"<base64 of [^>]*{field}[^>]*>", f'"{encode_base64(value)}"', template)
    assert canonical(json.loads(template)) == entry.encode()
    for kind in (KEY_EVENT_TYPE, VERDICT_TYPE):
        assert f"`{kind}`" in text


def test_the_attestations_examples(checkout: Path) -> None:
    document = checkout / "docs" / "formats" / "attestation.md"
    expected = report_data(key=Digest(value=b"\xaa" * 32), nonce=bytes.fromhex("00112233"))
    assert _blocks(document, "")[1].split() == [expected[:32].hex(), expected[32:].hex()]
    (example,) = _blocks(document, "toml")
    assert [(each.kind, each.binding, each.tcb_status) for each in parse_references(example.encode())] == [
        ("snp", "key", ("UpToDate",)),
        ("tdx", "receipt", ("UpToDate", "SWHardeningNeeded")),
    ]


def test_the_documented_roots_are_those_shipped(checkout: Path) -> None:
    text = (checkout / "docs" / "formats" / "attestation.md").read_text()
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|.*\| `([0-9a-f]{64})` \|$", text, re.MULTILINE)
    assert rows == [(root.name, root.fingerprint.hex) for root in shipped().roots]
