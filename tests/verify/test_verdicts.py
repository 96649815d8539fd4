# SPDX-License-Identifier: Apache-2.0
"""Verdicts: signed of nothing that was not verified, and believed of nobody, nowhere and about nothing but what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.adversarial.removal import remove
from tests.fakes.log import COSIGNED, ORIGIN, FakeLog, settle_bundle
from tests.fakes.receipts import NOW, _key, attacker_key, honest, node_key, resign
from verifiable.digest import Digest
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
from verifiable.ledger.statements import KeyEvent, Verdict
from verifiable.tee.evidence import VerifiedEvidence
from verifiable.trust import TrustedKey, TrustRoot, Validity
from verifiable.verify import verdicts
from verifiable.verify.verdicts import Issued, VerifiedVerdict
from verifiable.verify.verified import Attested
from verifiable.verify.verifier import Verifier

RUN = honest()
OTHER = honest(x=[[4.0, 5.0, 6.0]], nonce=bytes(16))
FULL, ADMIN = attacker_key(), _key()  # any keys that are not the node's
SIGNED_ENOUGH = f'signed-by = "{node_key().fingerprint}"'.encode()


def _issue(run: Any = RUN, signer: Signer = FULL, **options: Any) -> Issued:
    return verdicts.issue(Verifier(run.trust, {"fake": run.system}), run.data, signer, now=COSIGNED, **options)


def _settled(log: FakeLog, bundle: Bundle | None = None, by: Signer = FULL) -> bytes:
    return settle_bundle(bundle or _issue().bundle, by.public_key, log)


def _trust(log: FakeLog, **change: Any) -> TrustRoot:
    full = TrustedKey(name="full one", public_key=FULL.public_key)
    return replace(TrustRoot(logs=(log.trusted(administrator=ADMIN.public_key),), verifiers=(full,)), **change)


def _read(verdict: bytes, trust: TrustRoot, receipt: bytes = RUN.data, **options: Any) -> VerifiedVerdict:
    return verdicts.read(verdict, receipt, trust, **{"now": NOW} | options)


def _stopped(error: type[Error], match: str, at: int, verdict: bytes, trust: TrustRoot, **options: Any) -> None:
    with pytest.raises(error, match=match) as caught:
        _read(verdict, trust, **options)
    assert type(caught.value) is error
    assert [c.number for c in caught.value.checks] == [*range(1, at + 1)]  # type: ignore[attr-defined]


def test_a_verdict_says_what_was_verified() -> None:
    issued = _issue(name="https://full.example/v1", policy=b"proved = true")
    assert issued.verdict.entry == Digest.of(RUN.receipt.entry.encode())
    assert issued.verdict.policies == (Digest.of(b"proved = true"),)
    passed = {f"VERIFIABLE_{check.name.upper()}" for check in issued.verified.checks if check.status == "pass"}
    assert set(issued.verdict.properties) == {*passed, "VERIFIABLE_EVIDENCE_ZK"}
    assert "VERIFIABLE_LEDGER" not in passed  # not settled, so skipped
    assert Verdict.parse(issued.bundle.payload) == issued.verdict
    assert _issue().verdict.verifier == f"urn:verifiable:verifier:{FULL.fingerprint}"


def test_it_is_believed_once_settled() -> None:
    log = FakeLog()
    log.fill(4)
    found = _read(_settled(log), _trust(log))
    assert (found.signer.name, found.signer.fingerprint) == ("full one", FULL.fingerprint)
    assert [(place.index, place.time) for place in found.settled] == [(4, COSIGNED)]
    assert [(check.name, check.status) for check in found.checks] == [(name, "pass") for name in verdicts.CHECKS]
    by_hand = _read(_settled(log), _trust(log, verifiers=()), verifiers=[FULL.public_key])
    assert by_hand.signer.name == "named by the caller"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda r: replace(r, signature=OTHER.receipt.signature), SignatureError),
        (lambda r: resign(r, replace(r.claim, outputs=OTHER.receipt.claim.outputs)), SignatureError),  # a stranger's
        (lambda r: resign(r, replace(r.claim, outputs=OTHER.receipt.claim.outputs), node_key()), Error),  # not what was proved
    ],
)
def test_nothing_is_signed_of_what_does_not_hold(
    change: Callable[[Any], Any], error: type[Error], monkeypatch: pytest.MonkeyPatch
) -> None:
    signed: list[bytes] = []
    verifier, forged = Verifier(RUN.trust, {"fake": RUN.system}), change(RUN.receipt).encode()
    monkeypatch.setattr(Signer, "sign", lambda _self, data: signed.append(data))
    with pytest.raises(error):
        verdicts.issue(verifier, forged, _key(), now=NOW)
    with pytest.raises(PolicyError):
        verdicts.issue(verifier, RUN.data, _key(), now=NOW, policy=b"rerun = true")
    assert signed == []


def test_nobody_judges_a_receipt_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PolicyError, match="of their own"):
        _issue(signer=node_key())
    log, node = FakeLog(), node_key()
    with monkeypatch.context() as patch:
        remove(patch, verdicts._require_another, "this very key")
        own = _settled(log, _issue(signer=node).bundle, node)
    trust = _trust(log, verifiers=(TrustedKey(name="the node", public_key=node.public_key),))
    _stopped(PolicyError, "of their own", 2, own, trust)


def test_the_signer_must_be_named_as_a_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as one who signs receipts, neither by the trust root nor by the administrator; and not by the bundle's hint."""
    log = FakeLog()
    verdict = _settled(log)
    keys = (TrustedKey(name="may sign receipts", public_key=FULL.public_key),)
    _stopped(TrustError, "no verifier that you trust", 2, verdict, _trust(log, verifiers=(), keys=keys))
    added = KeyEvent(action="add", log=ORIGIN, name="n", public_key=FULL.public_key, issued_on=NOW)
    event = settle_bundle(Bundle.sign(added.encode(), ADMIN), ADMIN.public_key, log)
    _stopped(TrustError, "no verifier that you trust", 2, verdict, _trust(log, verifiers=()), key_events=[event])
    stranger = _key()
    theirs = _issue(signer=stranger).bundle
    _stopped(TrustError, str(stranger.fingerprint), 2, _settled(log, theirs, stranger), _trust(log))
    hinted = replace(theirs, keyid=FULL.fingerprint, key_hint=FULL.fingerprint)
    index = log.append(hinted.entry(FULL.public_key).encode())
    settled = replace(hinted, log_entries=(log.place(index),)).encode()
    _stopped(SignatureError, "does not hold", 2, settled, _trust(log))
    monkeypatch.setattr(Bundle, "verify", lambda *_: None)
    assert _read(settled, _trust(log)).signer.name == "full one"  # nothing else would have noticed


def test_a_verdict_about_another_receipt(monkeypatch: pytest.MonkeyPatch) -> None:
    log = FakeLog()
    _stopped(BindingError, "is about entry", 5, _settled(log, _issue(OTHER).bundle), _trust(log))
    again = resign(RUN.receipt, RUN.receipt.claim, node_key())  # the same claim under a second signature is another entry
    _stopped(BindingError, "is about entry", 5, _settled(log), _trust(log), receipt=again.encode())
    remove(monkeypatch, verdicts.read, "the verdict is about entry")
    assert _read(_settled(log), _trust(log), again.encode())


def test_an_unsettled_verdict_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    log, elsewhere = FakeLog(), FakeLog(origin="ledger.example/two")
    bare = _issue().bundle
    _stopped(TrustError, "settled in no log that you trust", 3, bare.encode(), _trust(log))
    _stopped(TrustError, "settled in no log that you trust", 3, _settled(elsewhere), _trust(log))
    _stopped(TrustError, "settled in no log that you trust", 3, _settled(log), _trust(log, logs=()))
    index = log.append(bare.entry(FULL.public_key).encode())
    few = replace(bare, log_entries=(log.place(index, log.checkpoint(by=log.cosigners[:1])),)).encode()
    _stopped(PolicyError, "quorum", 3, few, _trust(log))
    log.fill(6)
    moved = replace(bare, log_entries=(replace(log.place(index), index=index + 2),)).encode()
    _stopped(InclusionError, "another root|too", 3, moved, _trust(log))
    anothers = replace(bare, log_entries=(log.place(index + 2),)).encode()
    _stopped(BindingError, "of another statement", 3, anothers, _trust(log))
    remove(monkeypatch, verdicts.read, "the verdict is settled in no log")
    assert _read(bare.encode(), _trust(log))


def test_a_verifiers_key_is_judged_at_the_place() -> None:
    log = FakeLog()
    log.fill(3)
    early = _settled(log)  # entry 3
    revoke = KeyEvent(action="revoke", log=ORIGIN, name="full one", public_key=FULL.public_key, issued_on=NOW, position=4)
    event = settle_bundle(Bundle.sign(revoke.encode(), ADMIN), ADMIN.public_key, log)
    late = _settled(log, _issue(name="x:stolen").bundle)
    assert _read(early, _trust(log), key_events=[event]).settled[0].index == 3
    _stopped(StaleError, "revoked from 4", 4, late, _trust(log), key_events=[event])
    by_node = settle_bundle(Bundle.sign(revoke.encode(), node_key()), node_key().public_key, log)
    _stopped(SignatureError, "another key", 4, early, _trust(log), key_events=[by_node])
    ended = (TrustedKey(name="full one", public_key=FULL.public_key, validity=Validity(until=COSIGNED)),)
    _stopped(StaleError, "not valid at", 4, early, _trust(log, verifiers=ended))
    still = (replace(ended[0], validity=Validity(until=COSIGNED + timedelta(seconds=1))),)
    assert _read(early, _trust(log, verifiers=still)).signer.name == "full one"


def test_what_is_found_must_be_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    log = FakeLog()
    weak = _settled(log, _weak())
    _stopped(PolicyError, "no evidence that it stands by itself", 6, weak, _trust(log))
    assert _read(weak, _trust(log), required=["VERIFIABLE_SIGNATURE"])
    _stopped(PolicyError, "does not say VERIFIABLE_EVIDENCE_RERUN", 6, weak, _trust(log), required=["VERIFIABLE_EVIDENCE_RERUN"])
    remove(monkeypatch, verdicts._judge, "the verdict says of no evidence")
    assert _read(weak, _trust(log))


def _weak() -> Bundle:
    """A verdict of somebody to whom a signature was enough."""
    verdict = _issue(policy=SIGNED_ENOUGH).verdict
    kept = tuple(name for name in verdict.properties if not name.startswith("VERIFIABLE_EVIDENCE"))
    return Bundle.sign(replace(verdict, properties=kept).encode(), FULL)


def test_what_rests_on_a_development_setup_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    run = honest(ceremony="dev-insecure")
    run = replace(run, trust=replace(run.trust, setups=()))
    issued = _issue(run, allow_dev_srs=True)
    assert verdicts.INSECURE_SETUP in issued.verdict.properties
    assert verdicts.INSECURE_SETUP not in _issue().verdict.properties
    log = FakeLog()
    settled = _settled(log, issued.bundle)
    _stopped(PolicyError, "insecure: VERIFIABLE_INSECURE_SETUP", 6, settled, _trust(log), receipt=run.data)
    asked = {"required": ["VERIFIABLE_EVIDENCE_ZK"]}
    _stopped(PolicyError, "insecure", 6, settled, _trust(log), receipt=run.data, **asked)
    assert _read(settled, _trust(log), run.data, allow_dev_srs=True)
    unknown = replace(issued.verdict, properties=("VERIFIABLE_EVIDENCE_ZK", "VERIFIABLE_INSECURE_NEW"))
    later = _settled(log, Bundle.sign(unknown.encode(), FULL))
    _stopped(PolicyError, "VERIFIABLE_INSECURE_NEW", 6, later, _trust(log), receipt=run.data, allow_dev_srs=True)
    remove(monkeypatch, verdicts._judge, "the verdict rests on what is insecure")
    assert _read(settled, _trust(log), run.data)


def test_what_rests_on_simulated_hardware_says_so() -> None:
    software = VerifiedEvidence(kind="software", at=NOW, report_data=bytes(64), measurements={}, anchor=None, checks=())
    attested = Attested(kind="software", scope="claim", nonce=bytes(16), at=NOW, stands_for=NOW, evidence=software)
    verified = replace(RUN.verify(), evidence=("tee",), attested=(attested,))
    found = verdicts.properties(verified)
    assert {"VERIFIABLE_EVIDENCE_TEE", verdicts.INSECURE_TEE} <= set(found)
    uncounted = replace(verified, attested=(replace(attested, problem="nobody wants it"),))
    assert verdicts.INSECURE_TEE not in verdicts.properties(uncounted)
    log = FakeLog()
    verdict = Verdict.about(RUN.receipt.entry, verifier="x:y", properties=found, created_on=NOW)
    settled = _settled(log, Bundle.sign(verdict.encode(), FULL))
    _stopped(PolicyError, "insecure: VERIFIABLE_INSECURE_TEE", 6, settled, _trust(log), allow_dev_srs=True)
    assert _read(settled, _trust(log), allow_simulated_tee=True)


def test_other_statements_are_no_verdicts() -> None:
    log = FakeLog()
    event = KeyEvent(action="add", log=ORIGIN, name="n", public_key=FULL.public_key, issued_on=NOW)
    _stopped(MalformedError, "verdict", 1, _settled(log, Bundle.sign(event.encode(), FULL)), _trust(log))
    _stopped(MalformedError, "verdict", 1, RUN.receipt.bundle.encode(), _trust(log))
    _stopped(MalformedError, "bundle", 1, RUN.data, _trust(log))
    _stopped(MalformedError, "time zone", 1, _settled(log), _trust(log), now=NOW.replace(tzinfo=None))


LOG = FakeLog()
HELD = _settled(LOG)
TRUST = _trust(LOG)


@given(at=st.integers(0, len(HELD) - 1), byte=st.integers(0, 255))
def test_no_changed_byte_holds(at: int, byte: int) -> None:
    changed = HELD[:at] + bytes([byte]) + HELD[at + 1 :]
    if changed == HELD:
        assert _read(changed, TRUST)
        return
    try:
        found = _read(changed, TRUST)
    except Error:
        return
    # Only cosignatures beyond the quorum, once they name nobody who is known, change nothing of what is established.
    assert found.verdict == _read(HELD, TRUST).verdict
    assert len(found.settled[0].cosigners) >= 2


@given(data=st.binary(max_size=200))
def test_any_bytes_raise_our_errors_only(data: bytes) -> None:
    for verdict, receipt in ((data, RUN.data), (HELD, data), (b'{"dsseEnvelope":' + data, RUN.data)):
        with pytest.raises(Error):
            _read(verdict, TRUST, receipt)
