# SPDX-License-Identifier: Apache-2.0
"""The tlog-witness protocol over real sockets, each side against a true and a false other."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.ledger.parties import NOW, ORIGIN, MemoryLog, cosigner, log_signers
from verifiable.errors import (
    ConflictError,
    ConsistencyError,
    Error,
    FatalStateError,
    NetworkError,
    PolicyError,
    ProofError,
    SignatureError,
    StaleError,
    TrustError,
)
from verifiable.ledger.checkpoint import SignedCheckpoint
from verifiable.ledger.cosigner import Cosigner, VerifyingCosigner
from verifiable.ledger.note import NoteKey
from verifiable.ledger.policy import Group, Policy, PolicyLog, PolicyWitness
from verifiable.ledger.service import CosignerServer
from verifiable.ledger.witness_client import cosign, cosign_quorum, latest
from verifiable.ledger.witnessing import ADD_CHECKPOINT, MAX_REQUEST, SIZE_TYPE, AddCheckpoint, checkpoint_path

LOG = MemoryLog().add(20)
FORK = LOG.fork(4, 12)
KEYS = tuple(signer.key for signer in LOG.signers)


@contextlib.contextmanager
def _serving(folder: Path, number: int, **limits) -> Iterator[CosignerServer]:
    signers = (cosigner(number),)
    Cosigner.create(folder, signers)
    with contextlib.closing(Cosigner(folder, signers, lambda: NOW)) as state:
        state.register(*KEYS)
        with CosignerServer(state, "127.0.0.1", 0, **limits) as server, _running(server):
            yield server


@contextlib.contextmanager
def _running(server) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CosignerServer]:
    with _serving(tmp_path / "state", 1) as running:
        yield running


def _ask(server: CosignerServer, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.headers.get("Content-Type", ""), response.read()


def _post(server: CosignerServer, log: MemoryLog, old: int, new: int, **changes) -> tuple[int, str, bytes]:
    request = replace(AddCheckpoint(old=old, proof=log.consistency(old, new), checkpoint=log.checkpoint(new)), **changes)
    return _ask(server, "POST", ADD_CHECKPOINT, request.encode())


def test_each_answer_has_the_status_of_the_specification(server: CosignerServer) -> None:
    other = MemoryLog(LOG.entries, log_signers(name="log.example/two"), "log.example/two")
    status, _, body = _post(server, LOG, 0, 8)
    assert status == 200
    assert body.startswith("— w1.example ".encode())
    assert _post(server, LOG, 5, 9) == (409, SIZE_TYPE, b"8\n")
    assert _post(server, LOG, 0, 9) == (409, SIZE_TYPE, b"8\n")
    assert _post(server, other, 0, 8)[0] == 404
    assert _post(server, MemoryLog(LOG.entries, log_signers(2)), 8, 9)[0] == 403
    forged = LOG.checkpoint(9).with_signatures(LOG.checkpoint(8).note.signatures)
    assert _post(server, LOG, 8, 9, checkpoint=forged)[0] == 403
    assert _post(server, FORK, 8, 12)[0] == 422
    assert _post(server, LOG, 8, 12, proof=())[0] == 422
    old = AddCheckpoint(old=8, proof=(), checkpoint=LOG.checkpoint(8)).encode()
    assert _ask(server, "POST", ADD_CHECKPOINT, old.replace(b"old 8", b"old 9"))[0] == 400
    assert _ask(server, "POST", ADD_CHECKPOINT, b"junk")[0] == 400
    assert _ask(server, "POST", "/", b"junk")[0] == 404
    assert _ask(server, "PUT", ADD_CHECKPOINT, b"junk")[0] == 501
    assert _ask(server, "GET", checkpoint_path("unknown"))[0] == 404
    assert _ask(server, "GET", "/../../cosigner")[0] == 404
    status, _, body = _ask(server, "GET", checkpoint_path(ORIGIN))
    assert SignedCheckpoint.parse(body).checkpoint.size == 8
    assert status == 200


def test_the_first_root_of_an_empty_log(server: CosignerServer) -> None:
    empty = LOG.checkpoint(0).checkpoint
    lie = SignedCheckpoint.sign(replace(empty, root=bytes(32)), LOG.signers, NOW)
    assert _post(server, LOG, 0, 0, checkpoint=lie)[0] == 422
    assert _post(server, LOG, 0, 0)[0] == 200


def test_two_requests_on_one_connection(server: CosignerServer) -> None:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)
    with contextlib.closing(connection):
        for old, new in ((0, 3), (3, 7)):
            request = AddCheckpoint(old=old, proof=LOG.consistency(old, new), checkpoint=LOG.checkpoint(new))
            connection.request("POST", ADD_CHECKPOINT, request.encode())
            response = connection.getresponse()
            assert (response.status, bool(response.read())) == (200, True)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Length": str(MAX_REQUEST + 1)}, 413),
        ({"Content-Length": "-1"}, 411),
        ({"Content-Length": "9" * 40}, 411),
        ({"Transfer-Encoding": "chunked"}, 411),
    ],
)
def test_bodies_without_a_bound_are_not_read(server: CosignerServer, headers: dict[str, str], status: int) -> None:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)
    with contextlib.closing(connection):
        connection.putrequest("POST", ADD_CHECKPOINT)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == status


def test_a_client_that_says_nothing_loses_its_place(tmp_path: Path) -> None:
    with _serving(tmp_path / "state", 1, connections=1, seconds=0.5) as server:
        with socket.create_connection(server.server_address[:2], timeout=10) as silent:
            silent.sendall(b"POST /add-checkpoint HTTP/1.1\r\n")
            with socket.create_connection(server.server_address[:2], timeout=10) as second:
                assert second.recv(100).startswith(b"HTTP/1.1 503")
            assert silent.recv(100) == b""
        deadline = time.monotonic() + 10
        while _ask(server, "GET", checkpoint_path(ORIGIN))[0] != 404:
            assert time.monotonic() < deadline


def test_its_own_damage_is_told_to_its_operator_and_not_to_the_world(tmp_path: Path) -> None:
    told: list[Error] = []
    with _serving(tmp_path / "state", 1, tell=told.append) as server:
        assert _post(server, LOG, 0, 8)[0] == 200
        (path,) = (tmp_path / "state" / "logs").iterdir()
        path.write_bytes(b"")
        assert _post(server, LOG, 8, 9) == (500, "text/plain; charset=utf-8", b"out of order\n")
        assert _ask(server, "GET", checkpoint_path(ORIGIN))[0] == 500
        assert _ask(server, "POST", ADD_CHECKPOINT, b"no request")[0] == 400
    assert ["is damaged" in str(error) for error in told] == [True, True]


@pytest.mark.parametrize(
    ("refusal", "status", "answer"),
    [
        (ProofError("entry 0: false"), 403, b"entry 0: false\n"),
        (PolicyError("entry 0: not enough"), 403, b"entry 0: not enough\n"),
        (TrustError("entry 0: by nobody"), 403, b"entry 0: by nobody\n"),
        (NetworkError("no statement in /home/full"), 503, b"an entry cannot be read or judged yet\n"),
        (FatalStateError("no folder /home/full"), 500, b"out of order\n"),
    ],
)
def test_an_entry_that_is_not_cosigned_does_not_pass_for_a_fork(
    tmp_path: Path, refusal: Error, status: int, answer: bytes
) -> None:
    """422 tells the log that another history of it exists, and to stop: only a proof that fails may say that."""
    signers, told = (cosigner(3, "w.example/verifying"),), list[Error]()

    def judge(_origin: str, _index: int, _entry: bytes) -> None:
        raise refusal

    VerifyingCosigner.create(tmp_path / "state", signers)
    source = lambda _origin, start, end: LOG.entries[start:end]  # noqa: E731
    with contextlib.closing(VerifyingCosigner(tmp_path / "state", signers, lambda: NOW, source, judge)) as state:
        state.register(*KEYS)
        with CosignerServer(state, "127.0.0.1", 0, tell=told.append) as server, _running(server):
            assert _post(server, LOG, 0, 8) == (status, "text/plain; charset=utf-8", answer)
            with pytest.raises(NetworkError, match=f"HTTP {status}: {answer.decode().strip()}"):
                cosign(LOG.checkpoint(8), signers[0].key, server.url, LOG.consistency)
        assert state.state(ORIGIN).size == 0
    assert told == ([refusal] * 2 if status >= 500 else [])


def test_an_address_that_cannot_be_had(server: CosignerServer) -> None:
    with pytest.raises(NetworkError, match="cannot listen"):
        CosignerServer(server.cosigner, "127.0.0.1", server.server_address[1])


# The client, against a true cosigner


def test_the_client_asks_again_from_the_size_that_it_is_told(server: CosignerServer) -> None:
    key = cosigner(1).key
    for size in (0, 5, 5, 20):
        signed = LOG.checkpoint(size)
        line = cosign(signed, key, server.url + "/", LOG.consistency)
        assert signed.with_signatures([line]).signed_by(key) == (NOW,)
    witness = PolicyWitness(name="w", key=key, url=server.url)
    published = latest(witness, ORIGIN)
    assert published is not None
    assert published.checkpoint.size == 20
    assert latest(witness, "unknown") is None


def test_the_client_is_told_of_a_rolled_back_log_and_of_a_fork(server: CosignerServer) -> None:
    key = cosigner(1).key
    cosign(LOG.checkpoint(8), key, server.url, LOG.consistency)
    with pytest.raises(ConflictError, match="has cosigned size 8"):
        cosign(LOG.checkpoint(6), key, server.url, LOG.consistency)
    with pytest.raises(ConsistencyError, match="does not extend"):
        cosign(FORK.checkpoint(12), key, server.url, FORK.consistency)


def test_a_quorum_of_two_of_three(tmp_path: Path) -> None:
    with _serving(tmp_path / "1", 1) as one, _serving(tmp_path / "2", 2) as two:
        urls = {"a": one.url, "b": two.url, "c": "http://127.0.0.1:1"}

        def policy(k: int) -> Policy:
            return Policy(
                logs=(PolicyLog(key=KEYS[0]),),
                witnesses=tuple(PolicyWitness(name=n, key=cosigner(i).key, url=u) for i, (n, u) in enumerate(urls.items(), 1)),
                groups=(Group(name="g", threshold=k, members=tuple(urls)),), quorum="g",
            )  # fmt: skip

        signed, failures = cosign_quorum(LOG.checkpoint(5), policy(2), LOG.consistency)
        assert policy(2).check(SignedCheckpoint.parse(signed.encode())) == ("a", "b", "g")
        assert [type(failure) for failure in failures] == [NetworkError]
        with pytest.raises(PolicyError, match=r"cosigned by a, b.*127\.0\.0\.1:1"):
            cosign_quorum(LOG.checkpoint(6), policy(3), LOG.consistency)
        # both have seen another history: neither signs, and the reason is in the error
        with pytest.raises(PolicyError, match="does not extend"):
            cosign_quorum(FORK.checkpoint(12), policy(2), FORK.consistency)

        def damaged(old: int, new: int) -> tuple[bytes, ...]:
            raise FatalStateError("a tile is gone")

        with pytest.raises(FatalStateError, match="a tile is gone"):
            cosign_quorum(LOG.checkpoint(9), policy(2), damaged)


# The client, against a false one


@contextlib.contextmanager
def _answering(*answers: tuple[int, str, bytes]) -> Iterator[str]:
    """A peer that gives these answers, the last one for ever."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self) -> None:
            status, kind, body = left.pop(0) if len(left) > 1 else left[0]
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *args) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server, _running(server):
        yield f"http://127.0.0.1:{server.server_address[1]}"


SIGNED = LOG.checkpoint(8)
TRUE, FALSE = cosigner(1), cosigner(2)


def _lines(*signers, checkpoint: SignedCheckpoint = SIGNED, now=NOW) -> bytes:
    return b"".join(f"{s.sign_checkpoint(checkpoint.checkpoint, now).encode()}\n".encode() for s in signers)


@pytest.mark.parametrize(
    ("defect", "answer", "error"),
    [
        ("another key's signature", (200, "", _lines(FALSE)), NetworkError),
        ("a signature of another checkpoint", (200, "", _lines(TRUE, checkpoint=LOG.checkpoint(9))), SignatureError),
        ("nothing", (200, "", b""), NetworkError),
        ("no signature line", (200, "", b"hello\n"), NetworkError),
        ("not UTF-8", (200, "", b"\xff\n"), NetworkError),
        ("a redirect", (302, "", b""), NetworkError),
        ("an error", (500, "", b"\x1b[31mout of order\n"), NetworkError),
        ("a size for ever", (409, SIZE_TYPE, b"3\n"), NetworkError),
        ("a size of another type", (409, "text/html", b"3\n"), NetworkError),
        ("a size that is none", (409, SIZE_TYPE, b"-3\n"), NetworkError),
        ("a size beyond", (409, SIZE_TYPE, b"9\n"), ConflictError),
    ],
)
def test_a_false_cosigner(defect: str, answer: tuple[int, str, bytes], error: type[Exception]) -> None:
    with _answering(answer) as url, pytest.raises(error) as caught:
        cosign(SIGNED, TRUE.key, url, LOG.consistency)
    assert "\x1b" not in str(caught.value)


def test_an_answer_without_end_is_not_kept() -> None:
    with _answering((200, "", b"x" * 600_000)) as url, pytest.raises(NetworkError, match="sends more than"):
        cosign(SIGNED, TRUE.key, url, LOG.consistency)


def test_signatures_by_strangers_are_left_out() -> None:
    with _answering((200, "", _lines(FALSE, TRUE))) as url:
        assert cosign(SIGNED, TRUE.key, url, LOG.consistency).name == "w1.example"


def _policy_of(url: str) -> Policy:
    """One cosigner of two is enough; only the first is asked."""
    return Policy(
        logs=(PolicyLog(key=KEYS[0]),),
        witnesses=(PolicyWitness(name="a", key=TRUE.key, url=url), PolicyWitness(name="b", key=FALSE.key)),
        groups=(Group(name="g", threshold=1, members=("a", "b")),), quorum="g",
    )  # fmt: skip


def test_a_cosigner_with_many_signatures_leaves_room_for_the_others() -> None:
    """A note of more than a hundred signatures could not be read by anybody, the log included."""
    many = b"".join(_lines(TRUE, now=NOW + timedelta(seconds=i)) for i in range(100))
    with _answering((200, "", many)) as url:
        signed, failures = cosign_quorum(SIGNED, _policy_of(url), LOG.consistency)
    assert failures == ()
    assert len(SignedCheckpoint.parse(signed.encode()).note.signatures) == len(SIGNED.note.signatures) + 1


def test_a_time_that_has_not_come_is_not_put_on_the_checkpoint() -> None:
    cosigned = SIGNED.with_signatures([FALSE.sign_checkpoint(SIGNED.checkpoint, NOW)])
    for ahead, accepted in ((timedelta(minutes=5), True), (timedelta(minutes=5, seconds=1), False)):
        with _answering((200, "", _lines(TRUE, now=NOW + ahead))) as url:
            signed, failures = cosign_quorum(cosigned, _policy_of(url), LOG.consistency, now=lambda: NOW)
        assert ("a" in _policy_of(url).check(signed)) is accepted
        assert [type(failure) for failure in failures] == ([] if accepted else [StaleError])


def test_a_signature_without_a_time_is_no_cosignature() -> None:
    from verifiable.ledger import cosignature

    timeless = bytes(8) + TRUE.private.sign(cosignature.message(TRUE.key, SIGNED.checkpoint, 0))
    line = replace(TRUE.sign_checkpoint(SIGNED.checkpoint, NOW), signature=timeless)
    with _answering((200, "", f"{line.encode()}\n".encode())) as url, pytest.raises(SignatureError, match="no time"):
        cosign(SIGNED, TRUE.key, url, LOG.consistency)


@pytest.mark.parametrize(
    "body",
    [b"junk", SIGNED.encode(), LOG.checkpoint(8).with_signatures([FALSE.sign_checkpoint(SIGNED.checkpoint, NOW)]).encode()],
)
def test_what_a_false_cosigner_publishes(body: bytes) -> None:
    with _answering((200, "", body)) as url, pytest.raises(NetworkError):
        latest(PolicyWitness(name="w", key=TRUE.key, url=url), ORIGIN)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://", "ftp://127.0.0.1/", "http://127.0.0.1:99999/", "http://[", "x", "http://127.0.0.1:1"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(NetworkError):
        cosign(SIGNED, TRUE.key, url, LOG.consistency)


def test_a_peer_that_drips_bytes_meets_the_deadline() -> None:
    stop = threading.Event()

    def drip(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer, contextlib.suppress(OSError):
            while not stop.wait(0.05):
                peer.sendall(b"H")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        began = time.monotonic()
        try:
            with pytest.raises(NetworkError):
                cosign(SIGNED, TRUE.key, f"http://127.0.0.1:{listener.getsockname()[1]}", LOG.consistency, timeout=0.5)
        finally:
            stop.set()
            thread.join()
        assert time.monotonic() - began < 8


def test_times_are_whole_seconds() -> None:
    line = TRUE.sign_checkpoint(SIGNED.checkpoint, NOW + timedelta(milliseconds=700))
    key: NoteKey = TRUE.key
    assert SIGNED.with_signatures([line]).signed_by(key) == (NOW,)
