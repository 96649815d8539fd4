# SPDX-License-Identifier: Apache-2.0
"""What is said in the log besides receipts: who may sign (key events), and what others found (verdicts). docs/formats/settled.md.

Both are in-toto statements v1 in canonical JSON, signed and settled like receipts. A key event acts by its place in the log
and not by its date: a date is what somebody writes, a place is what the log gave and nobody can take later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from verifiable.digest import Digest
from verifiable.encoding import json
from verifiable.encoding.record import Record, encode_base64, format_time
from verifiable.errors import BindingError, MalformedError
from verifiable.keys.public import check_public_key, fingerprint
from verifiable.ledger.entry import Entry

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
KEY_EVENT_TYPE = "urn:verifiable:key-event:v1"
#: in-toto attestation framework, Simple Verification Result.
VERDICT_TYPE = "https://in-toto.io/attestation/svr/v0.2"
MAX_SIZE = 1 << 16
ACTIONS = ("add", "retire", "revoke")
_KEY_SIZE = 1024
_MAX_LIST = 256
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]{0,1023}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEvent:
    """One change of who may sign, for the log with this origin.

    ``add`` and ``retire`` act from where they stand in the log on. ``revoke`` names the ``position`` from which nothing signed
    with the key is believed, at most its own; the others have none. ``public_key``: DER SubjectPublicKeyInfo on P-256;
    ``name``: what the key is called; ``issued_on``: aware, the issuer's word. Raises MalformedError for another combination.
    """

    action: str
    log: str
    name: str
    public_key: bytes
    issued_on: datetime
    position: int | None = None

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise MalformedError(f"key event: {self.action!r} is none of {', '.join(ACTIONS)}")
        if (self.position is not None) != (self.action == "revoke"):
            raise MalformedError("key event: a revocation names a position, and nothing else does")
        if self.position is not None and not 0 <= self.position <= json.MAX_SAFE_INTEGER:
            raise MalformedError(f"key event: {self.position} is no position in a log")
        check_public_key(self.public_key, what="key event: public key")

    def require_effect(self, origin: str, index: int) -> None:
        """Return when it would count as entry ``index`` of the log ``origin``. Raises BindingError."""
        if self.log != origin:
            raise BindingError(
                f"key event about {self.name!r}: it is about the log {self.log!r}, and counts for nothing in {origin!r}",
                hint="sign one for this log: `verifiable log key-event --origin`",
            )
        if self.position is not None and self.position > index:
            raise BindingError(
                f"key event about {self.name!r}: counts for nothing: "
                f"revokes from {self.position} on, and would itself be entry {index}",
                hint="a revocation reaches back, at most to its own place: --position",
            )

    def encode(self) -> bytes:
        """The statement; ``KeyEvent.parse(k.encode()) == k``."""
        predicate: dict[str, Any] = {
            "action": self.action,
            "log": self.log,
            "publicKey": encode_base64(self.public_key),
            "issuedOn": format_time(self.issued_on),
        }
        if self.position is not None:
            predicate["position"] = self.position
        return _statement(KEY_EVENT_TYPE, self.name, fingerprint(self.public_key), predicate)

    @classmethod
    def parse(cls, data: bytes) -> KeyEvent:
        """Raises MalformedError, UnsupportedError (a key that is not on P-256), BindingError (the subject is another key)."""
        name, digest, predicate = _parse(data, KEY_EVENT_TYPE, "key event")
        event = cls(
            action=predicate.choice("action", ACTIONS),
            log=predicate.text("log", max_length=255),
            name=name,
            public_key=predicate.base64("publicKey", max_size=_KEY_SIZE),
            issued_on=predicate.time("issuedOn"),
            position=predicate.integer("position") if predicate.has("position") else None,
        )
        predicate.done()
        if digest != fingerprint(event.public_key):
            raise BindingError("key event: its subject is another key than the one in it")
        return event


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a verifier found: a Simple Verification Result v0.2 about a ledger entry.

    ``entry``: SHA-256 of the leaf; ``verifier``: a URI; ``policies``: digests of the policy files, if any; ``properties``: what
    was verified, at least one; ``created_on``: aware.
    """

    entry: Digest
    verifier: str
    properties: tuple[str, ...]
    created_on: datetime
    policies: tuple[Digest, ...] = ()

    def __post_init__(self) -> None:
        if not self.properties or len(set(self.properties)) != len(self.properties):
            raise MalformedError("verdict: needs at least one property, and each once")
        if not _URI.fullmatch(self.verifier):
            raise MalformedError(
                f"verdict: the verifier is no URI: {self.verifier[:80]!r}", hint="like https://full.example/v1, or urn:..."
            )

    @classmethod
    def about(cls, entry: Entry, **fields: Any) -> Verdict:
        """The verdict about this leaf; ``fields`` are the others."""
        return cls(entry=Digest.of(entry.encode()), **fields)

    def encode(self) -> bytes:
        """The statement; ``Verdict.parse(v.encode()) == v``."""
        policies = [{"digest": {"sha256": digest.hex}} for digest in self.policies]
        predicate = {
            "verifier": {"id": self.verifier, "policies": policies},
            "timeCreated": format_time(self.created_on),
            "properties": list(self.properties),
        }
        return _statement(VERDICT_TYPE, "entry", self.entry, predicate)

    @classmethod
    def parse(cls, data: bytes) -> Verdict:
        """Raises MalformedError."""
        name, digest, predicate = _parse(data, VERDICT_TYPE, "verdict")
        verifier, properties = predicate.record("verifier"), predicate.items("properties", maximum=_MAX_LIST)
        if name != "entry" or not all(isinstance(value, str) for value in properties):
            raise MalformedError("verdict: its subject is an entry, and its properties are strings")
        verdict = cls(
            entry=digest,
            verifier=verifier.text("id", max_length=1024),
            properties=tuple(properties),
            created_on=predicate.time("timeCreated"),
            policies=tuple(map(_policy, verifier.records("policies", maximum=_MAX_LIST))),
        )
        verifier.done()
        predicate.done()
        return verdict


def _policy(record: Record) -> Digest:
    digest = record.record("digest")
    value = digest.digest("sha256")
    digest.done()
    record.done()
    return value


def _statement(kind: str, name: str, digest: Digest, predicate: dict[str, Any]) -> bytes:
    subject = [{"name": name, "digest": {"sha256": digest.hex}}]
    return json.canonical({"_type": STATEMENT_TYPE, "subject": subject, "predicateType": kind, "predicate": predicate})


def _parse(data: bytes, kind: str, what: str) -> tuple[str, Digest, Record]:
    """Name and digest of the one subject, and the predicate, of which nothing is taken yet."""
    root = Record(json.parse_canonical(data, what=what, max_size=MAX_SIZE), what)
    root.constant("_type", STATEMENT_TYPE)
    root.constant("predicateType", kind)
    subjects = root.records("subject", maximum=1)
    if not subjects:
        raise MalformedError(f"{what}.subject: exactly one is wanted")
    name, digest = subjects[0].text("name", max_length=256), subjects[0].record("digest")
    value = digest.digest("sha256")
    predicate = root.record("predicate")
    for record in (digest, subjects[0], root):
        record.done()
    return name, value, predicate
