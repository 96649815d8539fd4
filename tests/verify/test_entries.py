# SPDX-License-Identifier: Apache-2.0
"""What a verifying cosigner asks of entries: each kind of statement, and whoever would have it sign what does not hold."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.log import ORIGIN, FakeLog, cosigner
from tests.fakes.receipts import NOW, _key, attacker_key, honest, node_key, resign
from verifiable.digest import Digest
from verifiable.errors import (
    BindingError,
    ConsistencyError,
    Error,
    FatalStateError,
    NetworkError,
    PolicyError,
    ProofError,
    SignatureError,
    StaleError,
    TrustError,
    UnsupportedError,
)
from verifiable.keys.signer import Signer
from verifiable.ledger.cosigner import VerifyingCosigner
from verifiable.ledger.policy import Policy
from verifiable.ledger.sigstore import Bundle
from verifiable.ledger.statements import KeyEvent, Verdict
from verifiable.ledger.witnessing import AddCheckpoint
from verifiable.merkle.proofs import consistency_proof
from verifiable.receipt import MAX_SIZE
from verifiable.trust import TrustedKey, TrustRoot, Validity
from verifiable.verify.entries import EntryVerifier, Statements
from verifiable.verify.policy import AllOf, LoggedIn, ProvedBy, SignedBy
from verifiable.verify.verifier import Verifier

RUN = honest()
ADMIN, FULL = _key(), _key()


@dataclass
class Bench:
    """A log, a folder of statements, and who judges the one by the other."""

    folder: Path
    log: FakeLog

    def trust(self, **change: Any) -> TrustRoot:
        full = TrustedKey(name="full one", public_key=FULL.public_key)
        logs = (self.log.trusted(administrator=ADMIN.public_key),)
        return replace(RUN.trust, **({"logs": logs, "verifiers": (full,)} | change))

    def judge(self, index: int = 0, *, trust: TrustRoot | None = None, **options: Any) -> None:
        """Entry ``index`` of the log as it is."""
        trust = trust or self.trust()
        verifier = Verifier(trust, {"fake": RUN.system})
        EntryVerifier(
            statements=Statements(self.folder), verifier=verifier, trust=trust, now=lambda: NOW, **options
        ).judge(ORIGIN, index, self.log.leaves[index])  # fmt: skip

    def put(self, data: bytes, name: str = "statement.json") -> None:
        (self.folder / name).write_bytes(data)

    def add(self, statement: Any, by: Signer | None = None) -> int:
        """Log it, and put it into the folder."""
        self.put(statement.encode(), f"{len(self.log.leaves)}.json")
        entry = statement.entry(by.public_key) if by else statement.entry
        return self.log.append(entry.encode())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "statements").mkdir()
    return Bench(tmp_path / "statements", FakeLog())


def _event(**change: Any) -> KeyEvent:
    fields = {"action": "add", "log": ORIGIN, "name": "node", "public_key": node_key().public_key, "issued_on": NOW}
    return KeyEvent(**(fields | change))


def _verdict() -> Verdict:
    return Verdict(entry=Digest.of(b"x"), verifier="urn:x:full", properties=("VERIFIABLE_EVIDENCE_ZK",), created_on=NOW)


def refused(bench: Bench, error: type[Error], match: str, index: int = 0, **options: Any) -> None:
    with pytest.raises(error, match=match):
        bench.judge(index, **options)


def test_each_kind_of_statement_that_holds(bench: Bench) -> None:
    bench.add(RUN.receipt)
    bench.add(Bundle.sign(_event().encode(), ADMIN), ADMIN)
    bench.add(Bundle.sign(_event(action="revoke", position=1).encode(), ADMIN), ADMIN)
    bench.add(Bundle.sign(_verdict().encode(), FULL), FULL)
    for index in range(4):
        bench.judge(index)


# Receipts.


def test_a_receipt_without_a_valid_proof_is_refused(bench: Bench) -> None:
    (evidence,) = RUN.receipt.evidence
    data = bytes(len(evidence.data or b""))
    forged = type(evidence).zk(data, evidence.descriptor.media_type)
    claim = replace(RUN.receipt.claim, evidence=(forged.descriptor,))
    bench.add(resign(replace(RUN.receipt, evidence=(forged,)), claim, node_key()))
    refused(bench, ProofError, "proof")


def test_a_receipt_of_a_circuit_that_nobody_trusts_is_refused(bench: Bench) -> None:
    bench.add(RUN.receipt)
    refused(bench, TrustError, "no circuit is pinned", trust=bench.trust(circuits=()))


def test_a_receipt_that_does_not_meet_the_policy_is_refused(bench: Bench) -> None:
    bench.add(RUN.receipt)
    bench.judge()
    refused(bench, PolicyError, "entry 0: .*a signature by", policy=SignedBy(key=attacker_key().fingerprint))


def test_another_receipt_by_the_same_key_does_not_stand_in(bench: Bench) -> None:
    other = honest(x=[[4.0, 5.0, 6.0]], nonce=bytes(16))
    bench.log.append(other.receipt.entry.encode())
    bench.put(RUN.data)
    refused(bench, NetworkError, "no statement here")


def test_the_same_claim_under_another_signature_does_not_stand_in(bench: Bench) -> None:
    entry = replace(RUN.receipt.entry, signature=node_key().sign(b"something else"))
    bench.log.append(entry.encode())
    bench.put(RUN.data)
    refused(bench, NetworkError, "no statement here")


@pytest.mark.parametrize("origin", [ORIGIN, "another.example"])
def test_a_receipt_is_judged_without_its_places(bench: Bench, origin: str) -> None:
    """`log append -o` writes one whose checkpoint no cosigner has signed: the quorum waits for this very cosigner."""
    index = bench.log.append(RUN.receipt.entry.encode())
    other = FakeLog(origin=origin)
    other.append(RUN.receipt.entry.encode())
    place = bench.log.place(index, bench.log.checkpoint(by=())) if origin == ORIGIN else other.place(0, other.checkpoint(by=()))
    bench.put(replace(RUN.receipt, log_entries=(place,)).encode())
    bench.judge(trust=bench.trust(logs=(bench.log.trusted(), *(() if origin == ORIGIN else (other.trusted(),)))))
    refused(
        bench, PolicyError, "entry 0: .*settled", policy=AllOf((ProvedBy(), LoggedIn()))
    )  # so no policy that asks for a log is ever met


# Key events and verdicts.


def test_a_key_event_by_anybody_else_is_refused(bench: Bench) -> None:
    bench.add(Bundle.sign(_event().encode(), attacker_key()), attacker_key())
    refused(bench, SignatureError, "not by the administrator")


def test_a_key_event_where_nobody_administers_is_refused(bench: Bench) -> None:
    bench.add(Bundle.sign(_event().encode(), ADMIN), ADMIN)
    refused(bench, TrustError, "no administrator", trust=bench.trust(logs=(bench.log.trusted(),)))


def test_a_key_event_in_a_log_that_is_trusted_no_more_is_refused(bench: Bench) -> None:
    bench.add(Bundle.sign(_event().encode(), ADMIN), ADMIN)
    past = replace(bench.log.trusted(administrator=ADMIN.public_key), validity=Validity(until=NOW - timedelta(days=1)))
    refused(bench, StaleError, "another time", trust=bench.trust(logs=(past,)))


@pytest.mark.parametrize("change", [{"log": "other.example"}, {"action": "revoke", "position": 1}])
def test_a_key_event_that_counts_for_nothing_is_refused(bench: Bench, change: dict[str, Any]) -> None:
    bench.add(Bundle.sign(_event(**change).encode(), ADMIN), ADMIN)
    refused(bench, BindingError, "counts for nothing")


def test_a_verdict_by_nobody_is_refused(bench: Bench) -> None:
    bench.add(Bundle.sign(_verdict().encode(), attacker_key()), attacker_key())
    refused(bench, TrustError, "by nobody")


def test_a_verdict_by_a_verifier_of_the_past_is_refused(bench: Bench) -> None:
    bench.add(Bundle.sign(_verdict().encode(), FULL), FULL)
    past = TrustedKey(name="full", public_key=FULL.public_key, validity=Validity(until=NOW - timedelta(days=1)))
    refused(bench, TrustError, "by nobody", trust=bench.trust(verifiers=(past,)))


def test_a_false_signature_is_refused_and_only_by_this_check(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Bundle.sign(_event().encode(), ADMIN)
    bench.add(replace(sound, signature=ADMIN.sign(b"something else")), ADMIN)
    refused(bench, SignatureError, "does not hold")
    monkeypatch.setattr(Bundle, "verify", lambda _self, _key: None)
    bench.judge()


def test_a_statement_of_no_kind_that_is_known_is_refused(bench: Bench) -> None:
    bench.add(Bundle.sign(b'{"_type":"https://in-toto.io/Statement/v1"}', ADMIN), ADMIN)
    refused(bench, UnsupportedError, "neither a receipt nor")


def test_bytes_that_are_of_no_statement_are_refused(bench: Bench) -> None:
    bench.log.append(b"anything")
    refused(bench, PolicyError, "entry 0: log entry")


# The folder.


def test_what_is_not_here_yet_may_come(bench: Bench) -> None:
    bench.log.append(RUN.receipt.entry.encode())
    refused(bench, NetworkError, "no statement here")
    bench.put(b"not a statement", "noise")
    bench.put(RUN.data[:-1], "cut.json")
    (bench.folder / "folder").mkdir()
    (bench.folder / "dangling").symlink_to("/nonexistent")
    refused(bench, NetworkError, "no statement here")
    bench.put(RUN.data)
    bench.judge()


def test_a_file_that_changes_is_read_again(bench: Bench) -> None:
    statements = Statements(bench.folder)
    bench.put(honest(x=[[4.0, 5.0, 6.0]]).data)
    assert list(statements.find(RUN.receipt.entry)) == []
    bench.put(RUN.data)
    assert list(statements.find(RUN.receipt.entry)) == [RUN.data]
    bench.put(b"gone")
    assert list(statements.find(RUN.receipt.entry)) == []
    bench.put(RUN.data, "back.json")
    (bench.folder / "statement.json").unlink()
    assert list(statements.find(RUN.receipt.entry)) == [RUN.data]
    assert statements._versions.keys() == {"back.json"}


def test_what_is_passed_over_is_told_once_and_why(bench: Bench) -> None:
    told: list[str] = []
    bench.put(b"not a statement", "noise")
    bench.put(RUN.data, "receipt.json")
    bench.put(b"half", ".receipt.json.part")
    (bench.folder / "folder").mkdir()
    os.mkfifo(bench.folder / "pipe")
    with (bench.folder / "huge").open("wb") as stream:
        stream.truncate(MAX_SIZE + 1)
    statements = Statements(bench.folder, told.append)
    for _ in range(2):
        assert list(statements.find(RUN.receipt.entry)) == [RUN.data]
    assert [line.split(": ")[1] for line in told] == ["folder", "huge", "noise", "pipe"]
    assert "67,108,865 bytes" in told[1]
    assert "not a regular file" in told[3]


@pytest.mark.parametrize("name", ["a.json", "z.json"])
def test_a_spoilt_copy_does_not_stand_in_the_way_of_a_whole_one(bench: Bench, name: str) -> None:
    """The leaf covers what was signed: whoever can write to the folder could keep a receipt from ever being cosigned."""
    bench.log.append(RUN.receipt.entry.encode())
    bench.put(replace(RUN.receipt, circuit=None).encode(), name)
    refused(bench, TrustError, "entry 0: .*does not carry")
    bench.put(RUN.data, "m.json")
    bench.judge()


def test_a_copy_that_breaks_the_verifiers_process_is_told_as_our_own_fault_unless_another_holds(bench: Bench) -> None:
    bench.log.append(RUN.receipt.entry.encode())
    spoilt = replace(RUN.receipt, circuit=None).encode()
    bench.put(spoilt, "a.json")
    sound = Verifier(bench.trust(), {"fake": RUN.system})

    class Breaking(Verifier):
        def verify(self, receipt: bytes, **options: Any) -> Any:
            if receipt == spoilt:
                raise FatalStateError("the verifier's process ended")
            return sound.verify(receipt, **options)

    judge = EntryVerifier(
        statements=Statements(bench.folder), verifier=Breaking(bench.trust()), trust=bench.trust(), now=lambda: NOW
    )
    with pytest.raises(FatalStateError, match="process ended"):
        judge.judge(ORIGIN, 0, bench.log.leaves[0])
    bench.put(RUN.data, "b.json")
    judge.judge(ORIGIN, 0, bench.log.leaves[0])


def test_a_whole_copy_may_come_after_a_spoilt_one(bench: Bench) -> None:
    bench.log.append(RUN.receipt.entry.encode())
    statements = Statements(bench.folder)
    bench.put(replace(RUN.receipt, circuit=None).encode(), "a.json")
    assert len(list(statements.find(RUN.receipt.entry))) == 1
    bench.put(RUN.data, "b.json")
    bench.put(RUN.data, "c.json")
    assert [RUN.data] == list(statements.find(RUN.receipt.entry))[1:]


def test_a_folder_that_is_not_there_is_our_own_fault(bench: Bench, tmp_path: Path) -> None:
    bench.folder = tmp_path / "nowhere"
    bench.log.append(RUN.receipt.entry.encode())
    refused(bench, Error, "cannot read")


# The cosigner that it is for.

NAME = "full.example/verifying"


@contextlib.contextmanager
def _cosigner(tmp_path: Path, bench: Bench, signers: Any) -> Iterator[VerifyingCosigner]:
    trust = bench.trust()
    judge = EntryVerifier(
        statements=Statements(bench.folder), verifier=Verifier(trust, {"fake": RUN.system}), trust=trust, now=lambda: NOW
    )
    path = tmp_path / "state"
    fresh = not path.exists()
    if fresh:
        VerifyingCosigner.create(path, signers)
    source = lambda _origin, start, end: bench.log.leaves[start:end]  # noqa: E731
    with contextlib.closing(VerifyingCosigner(path, signers, lambda: NOW, source, judge.judge)) as opened:
        if fresh:
            opened.register(bench.log.signer.key)
        yield opened


def _ask(full: VerifyingCosigner, log: FakeLog) -> Any:
    old = full.state(ORIGIN).size
    proof = consistency_proof(old, len(log.leaves), log._read)
    return full.add_checkpoint(AddCheckpoint(old=old, proof=proof, checkpoint=log.checkpoint(by=(), time=NOW)))


def test_it_signs_what_holds_waits_for_what_is_missing_and_never_signs_what_is_false(tmp_path: Path, bench: Bench) -> None:
    signers = (cosigner(NAME),)
    with _cosigner(tmp_path, bench, signers) as full:
        bench.add(RUN.receipt)
        (first,) = _ask(full, bench.log)
        event = Bundle.sign(_event().encode(), ADMIN)
        bench.log.append(event.entry(ADMIN.public_key).encode())
        with pytest.raises(NetworkError):
            _ask(full, bench.log)
    bench.put(event.encode(), "late.json")
    with _cosigner(tmp_path, bench, signers) as full:  # goes on where it was
        assert full.state(ORIGIN).size == 1
        assert _ask(full, bench.log) != (first,)
        bench.log.append(b"anything")
        with pytest.raises(PolicyError, match="entry 2"):
            _ask(full, bench.log)
        assert full.state(ORIGIN).size == 2
        bench.log.leaves[2:] = []
        bench.log.leaves[0] = RUN.receipt.entry.encode() + b" "
        bench.add(Bundle.sign(_verdict().encode(), FULL), FULL)
        with pytest.raises(ConsistencyError):
            _ask(full, bench.log)


def test_a_plain_cosigner_does_not_count_as_one_that_verifies(bench: Bench) -> None:
    bench.add(RUN.receipt)
    plain, full = cosigner("full.example"), cosigner(NAME)
    signed = bench.log.checkpoint(by=(plain,), time=NOW)
    with pytest.raises(PolicyError):
        Policy.k_of_n([bench.log.signer.key], {"full": full.key}, 1).check(signed)
    assert Policy.k_of_n([bench.log.signer.key], {"plain": plain.key}, 1).check(signed)
