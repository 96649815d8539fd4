# SPDX-License-Identifier: Apache-2.0
"""Check 2 with a ledger: a key is judged where its entry stands, and nobody moves an entry or a key event."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.fakes.log import COSIGNED, ORIGIN, FakeLog, settle, settle_bundle, settled_again
from tests.fakes.receipts import NOW, Honest, attacker_key, honest, node_key
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
from verifiable.keys.signer import Signer
from verifiable.ledger.sigstore import Bundle
from verifiable.ledger.statements import KeyEvent
from verifiable.receipt import Receipt
from verifiable.trust import TrustedKey, TrustRoot, Validity
from verifiable.verify.verified import Verified

RUN = honest()
EARLY = honest(x=[[4.0, 5.0, 6.0]], nonce=bytes(16))
ADMIN = attacker_key()  # any key that is not the node's
CLOCK = datetime(2026, 3, 1, tzinfo=NOW.tzinfo)


def _event(action: str, log: FakeLog, *, by: Signer = ADMIN, key: Signer | None = None, **fields: Any) -> bytes:
    """A key event about the node's key, settled where ``log`` now ends."""
    return settle_bundle(_signed(action, by=by, key=key, **fields), by.public_key, log)


def _signed(action: str, *, by: Signer = ADMIN, key: Signer | None = None, **fields: Any) -> Bundle:
    public = (key or node_key()).public_key
    event = KeyEvent(**{"log": ORIGIN, "name": "the node", "issued_on": CLOCK, "action": action, "public_key": public} | fields)
    return Bundle.sign(event.encode(), by)


def _trust(log: FakeLog, *, keys: tuple[TrustedKey, ...] | None = None, **options: Any) -> TrustRoot:
    options.setdefault("administrator", ADMIN.public_key)
    trust = replace(RUN.trust, logs=(log.trusted(**options),))
    return trust if keys is None else replace(trust, keys=keys)


def _verify(run: Honest, receipt: Receipt, trust: TrustRoot, *events: bytes, **options: Any) -> Verified:
    return run.verify(receipt.encode(), trust=trust, key_events=events, **options)


def _stopped(error: type[Error], match: str, *args: Any) -> None:
    with pytest.raises(error, match=match) as caught:
        _verify(*args)
    assert type(caught.value) is error
    assert [c.number for c in caught.value.checks] == [1, 2]  # type: ignore[attr-defined]


def test_a_revocation_does_not_unmake_what_was_true() -> None:
    log = FakeLog()
    early = settle(EARLY.receipt, log)  # entry 3
    late = settle(RUN.receipt, log)
    revoked = _event("revoke", log, position=5)
    early, late = settled_again(log, [early, late])
    assert _verify(EARLY, early, _trust(log), revoked).signer.name == "the node"
    _stopped(StaleError, r"revoked from 5 of ledger.example/one on; this is entry 9", RUN, late, _trust(log), revoked)


@pytest.mark.parametrize(("position", "holds"), [(3, False), (4, True)])
def test_a_revocation_begins_at_its_position(position: int, holds: bool) -> None:
    log = FakeLog()
    receipt = settle(RUN.receipt, log)  # entry 3
    revoked = _event("revoke", log, position=position)
    if holds:
        assert _verify(RUN, receipt, _trust(log), revoked).settled[0].index == 3
    else:
        _stopped(StaleError, "revoked from 3", RUN, receipt, _trust(log), revoked)


def test_a_stolen_key_cannot_back_date() -> None:
    """The thief signs a claim of long ago, or leaves the entry away, or takes the place of an old entry, or makes up a log."""
    log = FakeLog()
    honest_one = settle(EARLY.receipt, log)
    revoked = _event("revoke", log, position=6)
    stolen = settle(RUN.receipt, log)
    trust = _trust(log)
    _stopped(StaleError, "this is entry", RUN, stolen, trust, revoked)
    _stopped(StaleError, "in no place before", RUN, RUN.receipt, trust, revoked)
    (place,), (own,) = honest_one.log_entries, stolen.log_entries
    for forged in (place, replace(own, index=2), replace(place, body=RUN.receipt.entry.encode())):
        _stopped(StaleError, "in no place before", RUN, replace(stolen, log_entries=(forged,)), trust, revoked)
    private = FakeLog()
    (elsewhere,) = settle(RUN.receipt, private, before=0).log_entries
    for entry in (elsewhere, replace(elsewhere, log_id=own.log_id)):
        _stopped(StaleError, "in no place before", RUN, replace(stolen, log_entries=(entry,)), trust, revoked)


def test_what_lacks_the_quorum_is_in_no_place() -> None:
    log = FakeLog()
    receipt = settle(RUN.receipt, log)
    revoked = _event("revoke", log, position=5)
    bare = replace(receipt, log_entries=(log.place(3, log.checkpoint(by=log.cosigners[:1])),))
    _stopped(StaleError, "in no place before", RUN, bare, _trust(log), revoked)
    with pytest.raises(PolicyError, match="quorum"):  # without a revocation it is check 7 that refuses
        _verify(RUN, bare, _trust(log))


def test_another_log_does_not_tell_when() -> None:
    log, other = FakeLog(), FakeLog(origin="ledger.example/two")
    revoked = _event("revoke", log, position=0)
    receipt = settle(RUN.receipt, other, before=0)
    trust = _trust(log)
    trust = replace(trust, logs=(*trust.logs, replace(other.trusted(), name="the second")))
    assert _verify(RUN, receipt, trust).settled
    _stopped(StaleError, "revoked from 0 of ledger.example/one on; this is in no place", RUN, receipt, trust, revoked)


def test_a_retired_key_signs_nothing_from_there_on() -> None:
    log = FakeLog()
    early = settle(EARLY.receipt, log)
    retired = _event("retire", log)  # entry 6
    late = settle(RUN.receipt, log, before=0)
    early, late = settled_again(log, [early, late])
    assert _verify(EARLY, early, _trust(log), retired).signer.name == "the node"
    _stopped(StaleError, "retired from 6 .* this is entry 7", RUN, late, _trust(log), retired)
    _stopped(StaleError, "retired from 6", RUN, RUN.receipt, _trust(log), retired)


def test_an_added_key_signs_from_there_on() -> None:
    log = FakeLog()
    early = settle(EARLY.receipt, log, before=0)  # entry 0
    added = _event("add", log)
    late = settle(RUN.receipt, log)
    early, late = settled_again(log, [early, late])
    trust = _trust(log, keys=())
    verified = _verify(RUN, late, trust, added)
    assert (verified.signer.name, verified.checks[1].status) == ("the node", "pass")
    assert _verify(RUN, RUN.receipt, trust, added).signer.name == "the node"  # in no log: judged after everything
    _stopped(StaleError, "added to ledger.example/one after entry 0", EARLY, early, trust, added)
    # Trusted by the root from the start, it needs no adding.
    assert _verify(EARLY, early, _trust(log), added).signer.name == "the node"


def test_once_keys_are_named_only_they_sign() -> None:
    log = FakeLog()
    added = _event("add", log, key=ADMIN, name="somebody")
    _stopped(SignatureError, "not in the trust root", RUN, RUN.receipt, _trust(log, keys=()), added)


def test_a_key_that_was_added_twice_begins_where_it_first_was() -> None:
    log = FakeLog()
    first = _event("add", log)
    receipt = settle(RUN.receipt, log)
    second = _event("add", log)
    assert _verify(RUN, receipt, _trust(log, keys=()), second, first).signer.name == "the node"


def test_an_adding_in_one_log_does_not_count_in_another() -> None:
    """Places of two logs are not comparable: entry 0 of the one is not before entry 3 of the other."""
    log, other = FakeLog(), FakeLog(origin="ledger.example/two")
    trust = _trust(log, keys=())
    trust = replace(trust, logs=(*trust.logs, replace(other.trusted(administrator=ADMIN.public_key), name="the second")))
    early = _event("add", log)  # entry 0 there
    receipt = settle(RUN.receipt, other, before=0)  # entry 0 here
    late = settle_bundle(_signed("add", log=other.origin), ADMIN.public_key, other)
    assert _verify(RUN, receipt, trust, early).signer.name == "the node"
    _stopped(StaleError, "added to ledger.example/two after entry 0", RUN, receipt, trust, early, late)


def test_so_many_events_are_not_read() -> None:
    with pytest.raises(MalformedError, match="more than 4096"):
        _verify(RUN, RUN.receipt, _trust(FakeLog()), *[b""] * 4097)


def test_adding_again_does_not_undo_a_revocation() -> None:
    log = FakeLog()
    events = [_event("add", log), _event("revoke", log, position=1), _event("add", log)]
    receipt = settle(RUN.receipt, log)
    _stopped(StaleError, "revoked from 1", RUN, receipt, _trust(log, keys=()), *events)


def test_events_about_other_keys_say_nothing_of_this_one() -> None:
    log = FakeLog()
    other = _event("revoke", log, key=ADMIN, position=0)
    assert _verify(RUN, RUN.receipt, _trust(log), other).signer.name == "the node"


def test_where_nobody_names_keys_a_revocation_still_counts() -> None:
    log = FakeLog()
    revoked = _event("revoke", log, position=0)
    _stopped(StaleError, "revoked from 0", RUN, RUN.receipt, _trust(log, keys=()), revoked)


def test_an_event_by_somebody_else_is_no_event() -> None:
    """Neither the key's own holder nor a stranger makes one; nor does the right signature settled as another's."""
    log = FakeLog()
    theirs = _event("add", log, by=node_key(), key=node_key())
    _stopped(SignatureError, "another key", RUN, RUN.receipt, _trust(log, keys=()), theirs)
    index = log.append(_signed("add").entry(node_key().public_key).encode())
    wrong_leaf = replace(_signed("add"), log_entries=(log.place(index),)).encode()
    _stopped(BindingError, "of another statement", RUN, RUN.receipt, _trust(log, keys=()), wrong_leaf)


def test_a_log_without_an_administrator_has_no_events() -> None:
    log = FakeLog()
    revoked = _event("revoke", log, position=0)
    _stopped(TrustError, "nobody is trusted to say so", RUN, RUN.receipt, _trust(log, administrator=None), revoked)
    about_another = _signed("revoke", position=0, log="ledger.example/two")
    elsewhere = settle_bundle(about_another, ADMIN.public_key, log)
    _stopped(TrustError, "nobody is trusted to say so in ledger.example/two", RUN, RUN.receipt, _trust(log), elsewhere)


def test_an_event_must_be_in_the_log_it_is_about() -> None:
    log, other = FakeLog(), FakeLog(origin="ledger.example/two")
    trust = _trust(log)
    _stopped(TrustError, "not settled in ledger.example/one", RUN, RUN.receipt, trust, _signed("retire").encode())
    in_another = settle_bundle(_signed("retire"), ADMIN.public_key, other)
    _stopped(TrustError, "not settled in ledger.example/one", RUN, RUN.receipt, trust, in_another)
    event = Bundle.parse(_event("retire", log))
    log.fill(3)
    place = replace(log.place(0), index=2)
    _stopped(InclusionError, "another root|too", RUN, RUN.receipt, trust, replace(event, log_entries=(place,)).encode())
    bare = replace(event, log_entries=(log.place(0, log.checkpoint(by=())),)).encode()
    _stopped(PolicyError, "quorum", RUN, RUN.receipt, trust, bare)


def test_a_revocation_does_not_reach_beyond_itself() -> None:
    log = FakeLog()
    future = _event("revoke", log, position=7)
    _stopped(BindingError, "revokes from 7 on, and is itself entry 0", RUN, RUN.receipt, _trust(log), future)


def test_a_receipt_is_no_key_event() -> None:
    log = FakeLog()
    receipt = settle(RUN.receipt, log)
    _stopped(MalformedError, "key event", RUN, RUN.receipt, _trust(log), receipt.bundle.encode())
    _stopped(MalformedError, "bundle", RUN, RUN.receipt, _trust(log), b"{}")


def _until(moment: datetime) -> tuple[TrustedKey, ...]:
    return (TrustedKey(name="the node", public_key=node_key().public_key, validity=Validity(until=moment)),)


def test_a_window_is_judged_when_cosigners_had_the_entry() -> None:
    log = FakeLog()
    receipt = settle(RUN.receipt, log)
    expired = _trust(log, keys=_until(NOW - timedelta(seconds=1)))
    later = NOW + timedelta(days=400)
    assert _verify(RUN, receipt, expired).signer.name == "the node"
    assert _verify(RUN, receipt, expired, now=later).settled[0].time == COSIGNED
    _stopped(StaleError, "not valid at", RUN, RUN.receipt, expired)
    already = _trust(log, keys=_until(COSIGNED))
    _stopped(StaleError, "not valid at", RUN, receipt, already)


def test_without_a_quorum_nobody_dates_an_entry() -> None:
    """One cosigner in the thief's pocket would do."""
    log = FakeLog()
    receipt = settle(RUN.receipt, log)
    _stopped(StaleError, "not valid at", RUN, receipt, _trust(log, keys=_until(NOW - timedelta(seconds=1)), quorum=0))


def test_one_liar_among_the_cosigners_does_not_date_an_entry_back() -> None:
    """It does not make an entry older than the others saw it."""
    log = FakeLog()
    receipt = settle(RUN.receipt, log)
    honest_ones, liar = log.checkpoint(by=log.cosigners[:2]), log.checkpoint(by=log.cosigners[2:], time=COSIGNED - timedelta(9))
    both = honest_ones.with_signatures(liar.note.signatures[1:])
    receipt = replace(receipt, log_entries=(log.place(3, both),))
    assert _verify(RUN, receipt, _trust(log)).settled[0].time == COSIGNED
    _stopped(StaleError, "not valid at", RUN, receipt, _trust(log, keys=_until(COSIGNED - timedelta(1))))


@pytest.mark.parametrize("lie", [NOW, NOW + timedelta(days=9000)], ids=["late", "still to come"])
def test_nor_forward(lie: datetime) -> None:
    """A cosigner that nobody needs cannot carry an entry out of its key's time, nor into a future that nobody accepts."""
    log = FakeLog()
    receipt = settle(RUN.receipt, log)
    enough, liar = log.checkpoint(by=log.cosigners[:2]), log.checkpoint(by=log.cosigners[2:], time=lie)
    receipt = replace(receipt, log_entries=(log.place(3, enough.with_signatures(liar.note.signatures[1:])),))
    verified = _verify(RUN, receipt, _trust(log, keys=_until(COSIGNED + timedelta(seconds=1))))
    assert verified.settled[0].time == COSIGNED


def test_a_cosigners_clock_that_is_ahead_does_not_let_a_key_begin_early() -> None:
    log = FakeLog()
    receipt = settle(RUN.receipt, log)
    receipt = replace(receipt, log_entries=(log.place(3, log.checkpoint(time=NOW + timedelta(minutes=3))),))
    for since, holds in ((NOW, True), (NOW + timedelta(minutes=2), False)):
        keys = (TrustedKey(name="the node", public_key=node_key().public_key, validity=Validity(since=since)),)
        if holds:
            assert _verify(RUN, receipt, _trust(log, keys=keys)).settled[0].time == NOW + timedelta(minutes=3)
        else:
            _stopped(StaleError, "not valid at", RUN, receipt, _trust(log, keys=keys))


def test_the_earliest_of_several_logs_counts() -> None:
    """An entry that was in one log in time does not grow younger by being put into another."""
    log, other = FakeLog(), FakeLog(origin="ledger.example/two")
    receipt = settle(RUN.receipt, log)
    again = settle(RUN.receipt, other)
    later = other.place(3, other.checkpoint(time=NOW))
    both = replace(receipt, log_entries=(*receipt.log_entries, later))
    trust = _trust(log, keys=_until(NOW - timedelta(seconds=1)))
    trust = replace(trust, logs=(*trust.logs, replace(other.trusted(), name="the second")))
    assert [place.time for place in _verify(RUN, both, trust).settled] == [COSIGNED, NOW]
    _stopped(StaleError, "not valid at", RUN, replace(again, log_entries=(later,)), trust)
