# SPDX-License-Identifier: Apache-2.0
"""A cosigner against logs that lie, and against what may happen to its own folder."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.parties import NOW, ORIGIN, MemoryLog, cosigner, log_signers
from verifiable import files
from verifiable.errors import (
    BindingError,
    ConflictError,
    ConsistencyError,
    Error,
    FatalStateError,
    MalformedError,
    NetworkError,
    ProofError,
    SignatureError,
    TrustError,
)  # fmt: skip
from verifiable.ledger import tiles
from verifiable.ledger.checkpoint import SignedCheckpoint
from verifiable.ledger.cosigner import Cosigner, VerifyingCosigner
from verifiable.ledger.cosigner_state import LogState
from verifiable.ledger.witnessing import AddCheckpoint
from verifiable.merkle.hashing import leaf_hash

SIGNERS = (cosigner(1, "w.example", post_quantum=False), cosigner(2, "w.example"))
VERIFYING = (cosigner(3, "w.example/verifying"),)
LOG = MemoryLog().add(20)
KEYS = tuple(signer.key for signer in LOG.signers)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Cosigner.create(tmp_path / "state", SIGNERS)
    return tmp_path / "state"


@pytest.fixture
def witness(folder: Path, clock: Clock) -> Iterator[Cosigner]:
    with contextlib.closing(Cosigner(folder, SIGNERS, clock)) as opened:
        opened.register(*KEYS)
        yield opened


def _request(log: MemoryLog, old: int, new: int, **changes) -> AddCheckpoint:
    return replace(AddCheckpoint(old=old, proof=log.consistency(old, new), checkpoint=log.checkpoint(new)), **changes)


def test_a_log_that_grows_is_cosigned_at_each_step(witness: Cosigner, clock: Clock) -> None:
    old = 0
    for new in (0, 1, 5, 5, 8, 20):
        clock.now += timedelta(seconds=1)
        request = _request(LOG, old, new)
        lines = witness.add_checkpoint(request)
        both = request.checkpoint.with_signatures(lines)
        assert [both.signed_by(key) for key in witness.keys] == [(clock.now,), (clock.now,)]
        published = SignedCheckpoint.parse(witness.published(_hash(ORIGIN)) or b"")
        assert published.note.signatures == both.note.signatures
        old = new


def _hash(origin: str) -> str:
    from verifiable.ledger.witnessing import checkpoint_path

    return checkpoint_path(origin).split("/")[1]


def test_only_what_the_cosigner_verified_is_published(witness: Cosigner) -> None:
    stranger = cosigner(9).sign_checkpoint(LOG.checkpoint().checkpoint, NOW)
    witness.add_checkpoint(_request(LOG, 0, 20, checkpoint=LOG.checkpoint().with_signatures([stranger])))
    published = SignedCheckpoint.parse(witness.published(_hash(ORIGIN)) or b"")
    assert [s.name for s in published.note.signatures] == [ORIGIN, ORIGIN, "w.example", "w.example"]
    assert witness.published(_hash("unknown")) is None
    assert witness.published("../cosigner") is None


def test_a_log_that_signs_a_hundred_times_is_remembered_like_any_other(witness: Cosigner) -> None:
    """All of them and our own would be a note that is too long to be read again: our own state, damaged by the log."""
    signed = LOG.checkpoint(8)
    many = replace(signed, note=replace(signed.note, signatures=signed.note.signatures[:1] * 100))
    witness.add_checkpoint(_request(LOG, 0, 8, checkpoint=many))
    witness.add_checkpoint(_request(LOG, 8, 9))
    assert witness.state(ORIGIN).size == 9


FORK = LOG.fork(4, 12)
OTHER = MemoryLog(LOG.entries, log_signers(name="log.example/two"), "log.example/two")


@pytest.mark.parametrize(
    ("defect", "request_", "error"),
    [
        ("an old checkpoint, from its own size", _request(LOG, 5, 7), ConflictError),
        ("an old checkpoint, from nothing", _request(LOG, 0, 7), ConflictError),
        ("a size that was never cosigned", _request(LOG, 9, 12), ConflictError),
        ("a forked copy, longer", _request(FORK, 8, 12), ConsistencyError),
        ("a forked copy of the same size", _request(FORK, 8, 8), ConsistencyError),
        ("a forked copy with the true log's proof", _request(FORK, 8, 12, proof=LOG.consistency(8, 12)), ConsistencyError),
        ("no proof", _request(LOG, 8, 12, proof=()), ConsistencyError),
        ("a proof of nothing", _request(LOG, 8, 8, proof=(leaf_hash(b""),)), ConsistencyError),
        ("another log", _request(OTHER, 8, 12), TrustError),
        ("another key under the name", _request(MemoryLog(LOG.entries, log_signers(2)), 8, 12), TrustError),
        (
            "a forged signature beside a true one",
            _request(
                LOG, 8, 12,
                checkpoint=LOG.checkpoint(12).with_signatures([replace(LOG.signers[0].sign("x"), signature=bytes(64))]),
            ),
            SignatureError,
        ),
        (
            "signatures of another checkpoint",
            _request(LOG, 8, 12, checkpoint=LOG.checkpoint(12).with_signatures(LOG.checkpoint(11).note.signatures)),
            SignatureError,
        ),
    ],
)  # fmt: skip
def test_a_log_with_one_defect(witness: Cosigner, folder: Path, defect: str, request_: AddCheckpoint, error: type[Error]) -> None:
    witness.add_checkpoint(_request(LOG, 0, 8))
    before = _contents(folder)
    with pytest.raises(error):
        witness.add_checkpoint(request_)
    assert _contents(folder) == before
    assert witness.add_checkpoint(_request(LOG, 8, 12))


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_empty_log_has_one_root(witness: Cosigner) -> None:
    empty = LOG.checkpoint(0).checkpoint
    lie = SignedCheckpoint.sign(replace(empty, root=leaf_hash(b"")), LOG.signers, NOW)
    with pytest.raises(ConsistencyError):
        witness.add_checkpoint(AddCheckpoint(old=0, proof=(), checkpoint=lie))


def test_one_history_even_for_two_that_ask_at_once(witness: Cosigner) -> None:
    """Compare and persist are one step: of two histories from one size, one is cosigned."""
    witness.add_checkpoint(_request(LOG, 0, 4))
    requests = [_request(log, 4, size) for log in (LOG, FORK) for size in (8, 10, 12)]

    def ask(request: AddCheckpoint) -> bool:
        try:
            return bool(witness.add_checkpoint(request))
        except (ConflictError, ConsistencyError):
            return False

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(ask, requests)) == 1


# Its own folder


def test_what_was_signed_is_remembered_by_the_next_process(folder: Path, witness: Cosigner, clock: Clock) -> None:
    witness.add_checkpoint(_request(LOG, 0, 8))
    with pytest.raises(FatalStateError, match="in use"):
        Cosigner(folder, SIGNERS, clock)
    witness.close()
    with contextlib.closing(Cosigner(folder, SIGNERS, clock)) as again:
        with pytest.raises(ConsistencyError):
            again.add_checkpoint(_request(FORK, 8, 12))
        assert again.state(ORIGIN).size == 8


def test_a_cosigner_that_lost_its_lock_signs_nothing(folder: Path, witness: Cosigner, clock: Clock) -> None:
    """Somebody removes the lock file, and a second process takes the folder; or it was closed while a request was waiting."""
    witness.add_checkpoint(_request(LOG, 0, 4))
    (folder / "lock").unlink()
    (folder / "lock").touch()
    with contextlib.closing(Cosigner(folder, SIGNERS, clock)) as second:
        with pytest.raises(FatalStateError, match="no longer held"):
            witness.add_checkpoint(_request(FORK, 4, 8))
        assert second.add_checkpoint(_request(LOG, 4, 8))
    with pytest.raises(FatalStateError, match="closed"):
        second.add_checkpoint(_request(LOG, 8, 9))


def test_nothing_is_signed_that_could_not_be_persisted(witness: Cosigner, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FatalStateError):
        witness.add_checkpoint(_request(LOG, 0, 8))
    monkeypatch.setattr(os, "fsync", real)
    assert witness.state(ORIGIN).size in {0, 8}
    assert not list((folder / "logs").glob(".*"))


def test_a_folder_rolled_back_under_a_running_cosigner(witness: Cosigner, folder: Path) -> None:
    witness.add_checkpoint(_request(LOG, 0, 4))
    shutil.copytree(folder / "logs", folder / "copy")
    witness.add_checkpoint(_request(LOG, 4, 8))
    shutil.rmtree(folder / "logs")
    (folder / "copy").rename(folder / "logs")
    with pytest.raises(FatalStateError, match="older copy"):
        witness.add_checkpoint(_request(FORK, 4, 8))


@pytest.mark.parametrize("steps", [[], [(0, 4)], [(0, 8)]])
def test_a_folder_rolled_back_between_two_runs_shows_by_its_own_signature(
    witness: Cosigner, folder: Path, clock: Clock, steps: list[tuple[int, int]]
) -> None:
    """``steps``: what the rolled-back folder then cosigns, up to the very size of which it has already signed another tree."""
    shutil.copytree(folder / "logs", folder / "copy")
    forked = _request(FORK, 0, 8)
    forked = replace(forked, checkpoint=forked.checkpoint.with_signatures(witness.add_checkpoint(forked)))
    witness.close()
    shutil.rmtree(folder / "logs")
    (folder / "copy").rename(folder / "logs")
    with contextlib.closing(Cosigner(folder, SIGNERS, clock)) as again:
        for old, new in steps:
            again.add_checkpoint(_request(LOG, old, new))
        with pytest.raises(FatalStateError, match="older copy"):
            again.add_checkpoint(forked)


def test_a_forged_line_in_its_own_name_cannot_stop_a_cosigner(witness: Cosigner) -> None:
    request = _request(LOG, 0, 8)
    line = replace(SIGNERS[0].sign_checkpoint(request.checkpoint.checkpoint, NOW), signature=bytes(72))
    assert witness.add_checkpoint(replace(request, checkpoint=request.checkpoint.with_signatures([line])))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data.replace(b"\n4\n", b"\n3\n"),
        lambda data: data.replace(b"cosigner-log/v1", b"cosigner-log/v2"),
        lambda data: data + b"\n",
    ],
)
def test_a_damaged_state_is_never_started_anew(witness: Cosigner, folder: Path, damage) -> None:
    witness.add_checkpoint(_request(LOG, 0, 4))
    (path,) = (folder / "logs").iterdir()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FatalStateError):
        witness.add_checkpoint(_request(LOG, 4, 8))


def test_a_state_that_vanished_is_not_started_anew(witness: Cosigner, folder: Path) -> None:
    witness.add_checkpoint(_request(LOG, 0, 4))
    (path,) = (folder / "logs").iterdir()
    path.unlink()
    with pytest.raises(FatalStateError):
        witness.add_checkpoint(_request(FORK, 0, 8))


def test_a_clock_set_back(witness: Cosigner, clock: Clock) -> None:
    witness.add_checkpoint(_request(LOG, 0, 4))
    clock.now -= timedelta(hours=1)
    with pytest.raises(FatalStateError, match="clock"):
        witness.add_checkpoint(_request(LOG, 4, 8))


def test_a_log_is_registered_once_and_with_its_own_keys(witness: Cosigner) -> None:
    with pytest.raises(FatalStateError, match="known already"):
        witness.register(*KEYS)
    with pytest.raises(BindingError):
        witness.register()
    with pytest.raises(BindingError):
        witness.register(KEYS[0], log_signers(name="log.example/two")[0].key)
    with pytest.raises(BindingError, match="its own key"):
        witness.register(replace(SIGNERS[1].key, name="log.example/three"))


def test_a_folder_is_of_one_kind_and_one_key(folder: Path, tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(BindingError, match="other keys"):
        Cosigner(folder, SIGNERS[:1], clock)
    with pytest.raises(FatalStateError):
        Cosigner.create(folder, SIGNERS)
    with pytest.raises(FatalStateError, match="no state folder"):
        Cosigner(tmp_path / "nowhere", SIGNERS, clock)
    with pytest.raises(BindingError, match="plain"):
        VerifyingCosigner.create(tmp_path / "v", SIGNERS)
    with pytest.raises(BindingError, match="verifying"):
        Cosigner.create(tmp_path / "p", VERIFYING)
    with pytest.raises(BindingError, match="one name"):
        Cosigner.create(tmp_path / "p", (*SIGNERS, cosigner(5)))
    VerifyingCosigner.create(tmp_path / "v", VERIFYING)
    with pytest.raises(BindingError):
        Cosigner(tmp_path / "v", VERIFYING, clock)
    assert not (tmp_path / "p").exists()


# Verifying cosigners


@contextlib.contextmanager
def _verifying(tmp_path: Path, clock: Clock, entries: list[bytes], judged: list[int] | None = None):
    def source(origin: str, start: int, end: int) -> list[bytes]:
        assert origin == ORIGIN
        return entries[start:end]

    def judge(origin: str, index: int, entry: bytes) -> None:
        assert origin == ORIGIN
        if entry == b"false":
            raise ProofError(f"entry {index} does not hold")
        if judged is not None:
            judged.append(index)

    path = tmp_path / "verifying"
    if not path.exists():
        VerifyingCosigner.create(path, VERIFYING)
    with contextlib.closing(VerifyingCosigner(path, VERIFYING, clock, source, judge)) as opened:
        if not opened.knows(ORIGIN):
            opened.register(*KEYS)
        yield opened


def test_a_verifying_cosigner_judges_each_entry_once(tmp_path: Path, clock: Clock) -> None:
    judged: list[int] = []
    for old, new in ((0, 3), (3, 3), (3, 11), (11, 20)):  # opened anew each time: what it knows of the tree is on disk
        with _verifying(tmp_path, clock, LOG.entries, judged) as witness:
            request = _request(LOG, old, new)
            lines = witness.add_checkpoint(request)
            assert request.checkpoint.with_signatures(lines).signed_by(VERIFYING[0].key)
    assert judged == list(range(20))


def test_an_entry_that_does_not_hold_is_not_cosigned(tmp_path: Path, clock: Clock) -> None:
    log = MemoryLog([*LOG.entries[:6], b"false"]).add(3)
    with _verifying(tmp_path, clock, log.entries) as witness:
        witness.add_checkpoint(_request(log, 0, 6))
        with pytest.raises(ProofError, match="entry 6"):
            witness.add_checkpoint(_request(log, 6, 10))
        assert witness.state(ORIGIN).size == 6


@pytest.mark.parametrize(
    "shown",
    [
        LOG.entries[:9],
        [*LOG.entries[:9], b"another"],
        [*LOG.entries[:5], *reversed(LOG.entries[5:10])],
    ],
)
def test_entries_that_are_not_the_trees_are_not_cosigned(tmp_path: Path, clock: Clock, shown: list[bytes]) -> None:
    with _verifying(tmp_path, clock, shown) as witness:
        witness.add_checkpoint(_request(LOG, 0, 5))
        with pytest.raises(ConsistencyError):
            witness.add_checkpoint(_request(LOG, 5, 10))


def test_entries_that_cannot_be_read_are_not_the_requests_fault(tmp_path: Path, clock: Clock) -> None:
    with _verifying(tmp_path, clock, LOG.entries) as witness:
        witness._source = lambda origin, start, end: tiles.parse_bundle(b"\xff", end - start, what="log: tile/entries/000.p/5")
        with pytest.raises(NetworkError, match="cannot be read: log: tile/entries"):
            witness.add_checkpoint(_request(LOG, 0, 5))


def test_a_source_that_never_ends(tmp_path: Path, clock: Clock) -> None:
    with _verifying(tmp_path, clock, LOG.entries) as witness:
        witness._source = lambda origin, start, end: iter(LOG.entries[start : end + 1])
        with pytest.raises(ConsistencyError, match="more entries"):
            witness.add_checkpoint(_request(LOG, 0, 5))


def test_a_plain_cosigners_state_is_no_verifying_ones(tmp_path: Path, clock: Clock) -> None:
    with _verifying(tmp_path, clock, LOG.entries) as witness:
        witness.add_checkpoint(_request(LOG, 0, 5))
        (path,) = (tmp_path / "verifying" / "logs").iterdir()
        state = LogState.parse(path.read_bytes())
        for edge in ((), (leaf_hash(b"x"), leaf_hash(b"y"))):
            files.write(path, replace(state, edge=edge).encode(), what="test")
            with pytest.raises(FatalStateError):
                witness.add_checkpoint(_request(LOG, 5, 6))


# The messages


def test_requests_round_trip() -> None:
    for old, new in ((0, 0), (0, 5), (5, 5), (7, 20)):
        request = _request(LOG, old, new)
        assert AddCheckpoint.parse(request.encode()) == request


@pytest.mark.parametrize(
    ("defect", "old", "new"),
    [
        ("no old size", b"old 7\n", b""),
        ("leading zero", b"old 7\n", b"old 07\n"),
        ("negative", b"old 7\n", b"old -1\n"),
        ("above the checkpoint's", b"old 7\n", b"old 21\n"),
        ("two spaces", b"old 7\n", b"old  7\n"),
        ("short hash", b"old 7\n", b"old 7\nAAAA\n"),
        ("64 hashes", b"old 7\n", b"old 7\n" + (b"A" * 43 + b"=\n") * 64),
        ("no empty line", b"\n\n", b"\n"),
        ("carriage return", b"old 7\n", b"old 7\r\n"),
        ("not ASCII", b"old 7\n", b"old \xff\n"),
    ],
)
def test_a_malformed_request(defect: str, old: bytes, new: bytes) -> None:
    data = _request(LOG, 7, 20).encode()
    assert old in data
    with pytest.raises(MalformedError):
        AddCheckpoint.parse(data.replace(old, new, 1))


@given(st.binary(max_size=100), st.integers(0, 400))
def test_whatever_the_bytes_only_our_errors(junk: bytes, at: int) -> None:
    state = LogState(keys=KEYS, latest=LOG.checkpoint()).encode()
    for parse, sample in ((AddCheckpoint.parse, _request(LOG, 7, 20).encode()), (LogState.parse, state)):
        for data in (junk, sample[:at] + junk, sample[:at] + junk + sample[at + len(junk) :]):
            with contextlib.suppress(Error):
                parse(data)
