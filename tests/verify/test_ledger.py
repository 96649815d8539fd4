# SPDX-License-Identifier: Apache-2.0
"""Check 7: what a settled receipt establishes, and each way in which it can be settled falsely."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes.log import COSIGNED, ORIGIN, FakeLog, cosigner, settle
from tests.fakes.receipts import NOW, attacker_key, edit, honest
from verifiable.errors import (
    BindingError,
    Error,
    InclusionError,
    MalformedError,
    PolicyError,
    SignatureError,
    StaleError,
    TrustError,
)
from verifiable.ledger.policy import PolicyLog
from verifiable.ledger.sigstore import LogEntry
from verifiable.receipt import Receipt
from verifiable.trust import TrustRoot, Validity
from verifiable.verify.policy import AllOf, LoggedIn, ProvedBy

RUN = honest()
OTHER = honest(x=[[4.0, 5.0, 6.0]], nonce=bytes(16))
LOG = FakeLog()
SETTLED = settle(RUN.receipt, LOG)
(PLACE,) = SETTLED.log_entries


def _trust(log: FakeLog = LOG, **options: Any) -> TrustRoot:
    return replace(RUN.trust, logs=(log.trusted(**options),))


def _verify(receipt: Receipt | bytes, trust: TrustRoot | None = None, **options: Any) -> Any:
    data = receipt if isinstance(receipt, bytes) else receipt.encode()
    return RUN.verify(data, trust=trust or _trust(), **options)


def _with(**change: Any) -> Receipt:
    return replace(SETTLED, log_entries=(replace(PLACE, **change),))


def test_a_settled_receipt_is_verified() -> None:
    verified = _verify(SETTLED)
    (place,) = verified.settled
    assert (place.log, place.origin, place.index, place.size) == ("our ledger", ORIGIN, 3, 6)
    assert place.cosigners == ("w0.example", "w1.example", "w2.example")
    assert place.time == COSIGNED
    assert verified.checks[6].status == "pass"
    assert verified.checks[6].detail.startswith("entry 3 of 'our ledger' (6 entries), cosigned by w0.example")


def test_a_settled_receipt_reads_back_to_the_same_bytes() -> None:
    assert Receipt.parse(SETTLED.encode()) == SETTLED
    assert Receipt.parse(SETTLED.encode()).encode() == SETTLED.encode()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9])
def test_every_place_in_logs_of_every_shape(size: int) -> None:
    for index in range(size):
        log = FakeLog()
        settled = settle(RUN.receipt, log, before=index, after=size - index - 1)
        assert _verify(settled, _trust(log)).settled[0].index == index


def test_without_a_log_in_the_trust_root_nothing_is_established() -> None:
    verified = RUN.verify(SETTLED.encode())
    assert verified.checks[6].status == "skip"
    assert "names no log" in verified.checks[6].detail
    assert verified.settled == ()


def test_a_receipt_that_is_in_no_log_is_not_settled() -> None:
    verified = _verify(RUN.receipt)
    assert (verified.checks[6].status, verified.settled) == ("skip", ())


def test_two_logs_each_count() -> None:
    second = FakeLog(origin="ledger.example/two")
    (other,) = settle(RUN.receipt, second, before=1).log_entries
    both = replace(SETTLED, log_entries=(PLACE, other))
    trust = replace(RUN.trust, logs=(LOG.trusted(), replace(second.trusted(), name="the second")))
    assert [place.log for place in _verify(both, trust).settled] == ["our ledger", "the second"]


def test_a_log_that_nobody_here_knows_takes_nothing_from_one_that_is_known() -> None:
    (other,) = settle(RUN.receipt, FakeLog(origin="ledger.example/two")).log_entries
    both = replace(SETTLED, log_entries=(PLACE, other))
    assert [place.log for place in _verify(both).settled] == ["our ledger"]


def test_an_entry_without_cosigners_where_none_are_asked_for() -> None:
    bare = replace(SETTLED, log_entries=(LOG.place(3, LOG.checkpoint(by=())),))
    (place,) = _verify(bare, _trust(quorum=0)).settled
    assert (place.cosigners, place.time) == ((), None)


def test_a_lone_cosigner_dates_nothing_where_no_quorum_is_asked_for() -> None:
    (place,) = _verify(SETTLED, _trust(quorum=0)).settled
    assert (len(place.cosigners), place.time) == (3, None)


@dataclass(frozen=True)
class Attack:
    name: str
    receipt: Callable[[], Receipt | bytes]
    error: type[Error]
    match: str = ""


def _under_the_logs_name() -> Receipt:
    """A whole log of the attacker's own, under the trusted origin, and said to be the trusted one by its id."""
    fake = FakeLog()
    (place,) = settle(RUN.receipt, fake).log_entries
    return replace(SETTLED, log_entries=(replace(place, log_id=PLACE.log_id),))


def _other_log_said_to_be_ours() -> Receipt:
    (place,) = settle(RUN.receipt, FakeLog(origin="ledger.example/two")).log_entries
    return replace(SETTLED, log_entries=(replace(place, log_id=PLACE.log_id),))


def _entry_of_another_receipt() -> Receipt:
    log = LOG
    index = log.append(OTHER.receipt.entry.encode())
    return replace(SETTLED, log_entries=(log.place(index),))


def _entry_by_another_key() -> Receipt:
    body = RUN.receipt.bundle.entry(attacker_key().public_key).encode()
    log = FakeLog(leaves=[body])
    return replace(SETTLED, log_entries=(replace(log.place(0), log_id=PLACE.log_id),))


def _tampered_cosignature() -> Receipt:
    signed = PLACE.checkpoint
    lines = list(signed.note.signatures)
    lines[1] = replace(lines[1], signature=lines[1].signature[:-1] + bytes([lines[1].signature[-1] ^ 1]))
    return _with(checkpoint=replace(signed, note=replace(signed.note, signatures=tuple(lines))))


def _post_dated_cosignature() -> Receipt:
    """The time on a cosignature line moved, and the signature left."""
    signed = PLACE.checkpoint
    lines = list(signed.note.signatures)
    moved = (int.from_bytes(lines[1].signature[:8], "big") - 3600).to_bytes(8, "big")
    lines[1] = replace(lines[1], signature=moved + lines[1].signature[8:])
    return _with(checkpoint=replace(signed, note=replace(signed.note, signatures=tuple(lines))))


def _one_cosigner_as_two() -> Receipt:
    """One cosigner's line twice, for a quorum of two."""
    signed = LOG.checkpoint(by=LOG.cosigners[:1])
    lines = (*signed.note.signatures, signed.note.signatures[1])
    return replace(SETTLED, log_entries=(LOG.place(3, replace(signed, note=replace(signed.note, signatures=lines))),))


def _unsigned_root() -> Receipt:
    """A tree of one leaf under the signatures of the honest one."""
    tree = FakeLog(leaves=[RUN.receipt.entry.encode()]).checkpoint().checkpoint
    note = replace(PLACE.checkpoint.note, text=tree.encode().decode())
    return _with(index=0, hashes=(), checkpoint=replace(PLACE.checkpoint, checkpoint=tree, note=note))


def _cosigned(*by: Any) -> Receipt:
    return replace(SETTLED, log_entries=(LOG.place(3, LOG.checkpoint(by=by)),))


ATTACKS = (
    Attack("another place", lambda: _with(index=2), InclusionError, "another root"),
    Attack("a place after its own", lambda: _with(index=4), InclusionError),
    Attack("a forged hash", lambda: _with(hashes=(bytes(32), *PLACE.hashes[1:])), InclusionError, "another root"),
    Attack("a hash too few", lambda: _with(hashes=PLACE.hashes[:-1]), InclusionError, "too short"),
    Attack("a hash too many", lambda: _with(hashes=(*PLACE.hashes, bytes(32))), InclusionError, "longer"),
    Attack("no proof at all", lambda: _with(hashes=()), InclusionError),
    Attack("the entry of another receipt", _entry_of_another_receipt, BindingError, "of another statement"),
    Attack("an entry by another key", _entry_by_another_key, BindingError, "of another statement"),
    Attack("not a leaf at all", lambda: _with(body=b"{}"), BindingError, "of another statement"),
    Attack("a root that the log never signed", _unsigned_root, SignatureError, "does not hold"),
    Attack("another log under the same origin", _under_the_logs_name, TrustError, "not signed by"),
    Attack("another log's checkpoint", _other_log_said_to_be_ours, BindingError, "not of 'ledger.example/one'"),
    Attack("a log that nobody trusts", lambda: settle(RUN.receipt, FakeLog(origin="x.example")), TrustError, "in no log"),
    Attack("no cosignatures", lambda: _cosigned(), PolicyError, "quorum"),
    Attack("one cosignature of two", lambda: _cosigned(LOG.cosigners[0]), PolicyError, "quorum"),
    Attack("one cosigner twice", _one_cosigner_as_two, PolicyError, "quorum"),
    Attack(
        "cosigners that nobody knows", lambda: _cosigned(*(cosigner(f"w{i}.example") for i in range(3))), PolicyError, "quorum"
    ),
    Attack("a tampered cosignature", _tampered_cosignature, SignatureError, "does not hold"),
    Attack("a cosignature's time moved", _post_dated_cosignature, SignatureError, "does not hold"),
    Attack(
        "cosigned in the future",
        lambda: replace(SETTLED, log_entries=(LOG.place(3, LOG.checkpoint(time=NOW + timedelta(minutes=6))),)),
        StaleError,
        "has not come yet",
    ),
)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_a_false_settlement_is_stopped(attack: Attack) -> None:
    receipt = attack.receipt()
    with pytest.raises(attack.error, match=attack.match or None) as caught:
        _verify(receipt)
    assert type(caught.value) is attack.error
    checks = caught.value.checks  # type: ignore[attr-defined]
    assert [c.number for c in checks] == list(range(1, 8))
    assert checks[-1].status == "fail"


def test_a_false_proof_is_stopped_even_where_no_log_is_known() -> None:
    with pytest.raises(InclusionError):
        RUN.verify(_with(index=2).encode())
    with pytest.raises(BindingError):
        RUN.verify(_entry_of_another_receipt().encode())


def test_a_log_has_its_time_too() -> None:
    past = replace(LOG.trusted(), validity=Validity(until=NOW))
    with pytest.raises(StaleError, match="'our ledger' is in the trust root, but not for this time"):
        _verify(SETTLED, replace(RUN.trust, logs=(past,)))


def _proof(change: Callable[[dict[str, Any]], None]) -> Callable[[], bytes]:
    def changed(document: dict[str, Any]) -> None:
        change(document["bundle"]["verificationMaterial"]["tlogEntries"][0])

    return lambda: edit(SETTLED.encode(), changed)


MALFORMED = {
    "two sizes": _proof(lambda e: e["inclusionProof"].update(treeSize="7")),
    "two roots": _proof(lambda e: e["inclusionProof"].update(rootHash=base64.b64encode(bytes(32)).decode())),
    "two indices": _proof(lambda e: e.update(logIndex="0")),
    "an index beyond the log": _proof(lambda e: (e.update(logIndex="6"), e["inclusionProof"].update(logIndex="6"))),
    "an index with a leading zero": _proof(lambda e: (e.update(logIndex="03"), e["inclusionProof"].update(logIndex="03"))),
    "a negative index": _proof(lambda e: (e.update(logIndex="-1"), e["inclusionProof"].update(logIndex="-1"))),
    "a short hash": _proof(lambda e: e["inclusionProof"].update(hashes=["AAAA"])),
    "a hash that is no text": _proof(lambda e: e["inclusionProof"].update(hashes=[1])),
    "too many hashes": _proof(lambda e: e["inclusionProof"].update(hashes=[base64.b64encode(bytes(32)).decode()] * 64)),
    "another kind": _proof(lambda e: e["kindVersion"].update(kind="dsse")),
    "another version": _proof(lambda e: e["kindVersion"].update(version="0.0.1")),
    "a promise instead of a proof": _proof(lambda e: e.update(inclusionPromise={"signedEntryTimestamp": "AAAA"})),
    "an integrated time": _proof(lambda e: e.update(integratedTime="1772366400")),
    "a short log id": _proof(lambda e: e["logId"].update(keyId="AAAA")),
    "no checkpoint": _proof(lambda e: e["inclusionProof"].pop("checkpoint")),
    "a checkpoint that is no note": _proof(lambda e: e["inclusionProof"]["checkpoint"].update(envelope="x")),
    "one log twice": lambda: edit(
        SETTLED.encode(), lambda d: d["bundle"]["verificationMaterial"]["tlogEntries"].append(PLACE.to_json())
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_contradicts_itself_is_not_read(name: str) -> None:
    with pytest.raises(MalformedError) as caught:
        _verify(MALFORMED[name]())
    assert [c.number for c in caught.value.checks] == [1]  # type: ignore[attr-defined]


def test_an_entry_outside_its_log_is_none() -> None:
    with pytest.raises(MalformedError, match="number 6 is not in a log of"):
        LogEntry(log_id=bytes(32), index=6, hashes=(), checkpoint=FakeLog(leaves=[b"x"] * 6).checkpoint(), body=b"")


def test_a_policy_can_ask_for_a_settled_receipt() -> None:
    asked = AllOf((ProvedBy(), LoggedIn()))
    assert "settled in 'our ledger'" in _verify(SETTLED, policy=asked).checks[8].detail
    assert _verify(SETTLED, policy=AllOf((ProvedBy(), LoggedIn(origin=ORIGIN)))).settled
    for receipt, trust in ((RUN.receipt, _trust()), (SETTLED, RUN.trust)):  # in no log; in one that nobody named
        with pytest.raises(PolicyError, match="asks for a receipt that is settled"):
            _verify(receipt, trust, policy=asked)
    with pytest.raises(PolicyError, match=r"settled in 'x\.example'"):
        _verify(SETTLED, policy=AllOf((ProvedBy(), LoggedIn(origin="x.example"))))


def test_each_key_of_the_log_must_have_signed() -> None:
    """Whoever broke the one kind of signature has not broken the other."""
    second = cosigner(ORIGIN, post_quantum=True)
    trusted = LOG.trusted()
    both = replace(trusted, policy=replace(trusted.policy, logs=(*trusted.policy.logs, PolicyLog(key=second.key))))
    trust = replace(RUN.trust, logs=(both,))
    with pytest.raises(TrustError, match="not signed by"):
        _verify(SETTLED, trust)
    settled = replace(SETTLED, log_entries=(LOG.place(3, LOG.checkpoint(by=(*LOG.cosigners, second))),))
    assert _verify(settled, trust).settled[0].cosigners == ("w0.example", "w1.example", "w2.example")
