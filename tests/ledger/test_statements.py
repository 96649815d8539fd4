# SPDX-License-Identifier: Apache-2.0
"""Key events and verdicts: in-toto statements that read back to the byte, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.fakes.receipts import attacker_key, honest, node_key
from verifiable.digest import Digest
from verifiable.encoding.json import canonical
from verifiable.errors import BindingError, Error, MalformedError, UnsupportedError
from verifiable.ledger.statements import KeyEvent, Verdict

WHEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENT = KeyEvent(
    action="revoke", log="ledger.example/one", name="node one", public_key=node_key().public_key, issued_on=WHEN, position=7
)
ENTRY = honest().receipt.entry
VERDICT = Verdict.about(
    ENTRY,
    verifier="https://full.example/v1",
    properties=("VERIFIABLE_SIGNATURE", "VERIFIABLE_EVIDENCE_ZK"),
    created_on=WHEN,
    policies=(Digest.of(b"a policy"),),
)


def _event(**change: Any) -> KeyEvent:
    fields = {name: getattr(EVENT, name) for name in ("action", "log", "name", "public_key", "issued_on", "position")}
    return KeyEvent(**(fields | change))


@pytest.mark.parametrize("event", [EVENT, _event(action="add", position=None), _event(action="retire", position=None)])
def test_a_key_event_reads_back(event: KeyEvent) -> None:
    assert KeyEvent.parse(event.encode()) == event
    document = json.loads(event.encode())
    assert document["predicateType"] == "urn:verifiable:key-event:v1"
    assert document["subject"] == [{"name": "node one", "digest": {"sha256": node_key().fingerprint.hex}}]


def test_a_verdict_is_a_simple_verification_result() -> None:
    assert Verdict.parse(VERDICT.encode()) == VERDICT
    document = json.loads(VERDICT.encode())
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["predicateType"] == "https://in-toto.io/attestation/svr/v0.2"
    assert document["subject"] == [{"name": "entry", "digest": {"sha256": Digest.of(ENTRY.encode()).hex}}]
    assert document["predicate"] == {
        "verifier": {"id": "https://full.example/v1", "policies": [{"digest": {"sha256": Digest.of(b"a policy").hex}}]},
        "timeCreated": "2026-03-01T12:00:00Z",
        "properties": ["VERIFIABLE_SIGNATURE", "VERIFIABLE_EVIDENCE_ZK"],
    }


@pytest.mark.parametrize(
    "change",
    [
        {"action": "restore"},
        {"position": None},
        {"action": "add"},
        {"action": "retire"},
        {"position": -1},
        {"position": 2**53},
        {"public_key": b"no key"},
    ],
)
def test_a_key_event_is_one_of_three(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        _event(**change)


def test_only_keys_that_can_sign_receipts() -> None:
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    with pytest.raises(UnsupportedError):
        _event(public_key=key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def test_a_verdict_says_something() -> None:
    for properties in ((), ("A", "A")):
        with pytest.raises(MalformedError, match="at least one property"):
            Verdict.about(ENTRY, verifier="x:", properties=properties, created_on=WHEN)


@pytest.mark.parametrize("verifier", ["", "full.example", "https://full example", "x:" + "y" * 1024, "x:\n"])
def test_a_verifier_is_a_uri(verifier: str) -> None:
    with pytest.raises(MalformedError, match="no URI"):
        Verdict.about(ENTRY, verifier=verifier, properties=("A",), created_on=WHEN)
    with pytest.raises(MalformedError):
        Verdict.parse(_with(VERDICT.encode(), lambda d: d["predicate"]["verifier"].update(id=verifier)))


def _with(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    document = json.loads(data)
    change(document)
    return canonical(document)


_OTHER = {"name": "node one", "digest": {"sha256": attacker_key().fingerprint.hex}}


@pytest.mark.parametrize(
    ("parse", "data", "error"),
    [
        (KeyEvent.parse, _with(EVENT.encode(), lambda d: d.update(subject=[_OTHER])), BindingError),
        (KeyEvent.parse, _with(EVENT.encode(), lambda d: d.update(subject=[])), MalformedError),
        (KeyEvent.parse, _with(EVENT.encode(), lambda d: d.update(subject=d["subject"] * 2)), MalformedError),
        (KeyEvent.parse, _with(EVENT.encode(), lambda d: d["predicate"].update(position="7")), MalformedError),
        (KeyEvent.parse, _with(EVENT.encode(), lambda d: d["predicate"].update(reason="x")), MalformedError),
        (KeyEvent.parse, _with(EVENT.encode(), lambda d: d["predicate"].pop("log")), MalformedError),
        (KeyEvent.parse, VERDICT.encode(), MalformedError),
        (KeyEvent.parse, EVENT.encode() + b" ", MalformedError),
        (KeyEvent.parse, b" " * 70_000, MalformedError),
        (Verdict.parse, EVENT.encode(), MalformedError),
        (Verdict.parse, _with(VERDICT.encode(), lambda d: d["predicate"].update(properties=[])), MalformedError),
        (Verdict.parse, _with(VERDICT.encode(), lambda d: d["predicate"].update(properties=[1])), MalformedError),
        (Verdict.parse, _with(VERDICT.encode(), lambda d: d["predicate"]["verifier"].pop("policies")), MalformedError),
        (Verdict.parse, _with(VERDICT.encode(), lambda d: d["subject"][0].update(name="claim")), MalformedError),
        (Verdict.parse, _with(VERDICT.encode(), lambda d: d["predicate"].update(timeCreated="today")), MalformedError),
    ],
)
def test_nothing_else_is_read(parse: Callable[[bytes], object], data: bytes, error: type[Error]) -> None:
    with pytest.raises(error) as caught:
        parse(data)
    assert type(caught.value) is error
