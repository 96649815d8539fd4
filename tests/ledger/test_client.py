# SPDX-License-Identifier: Apache-2.0
"""Reading and following somebody else's log, over a directory and over HTTP, honest or not."""

from __future__ import annotations

import base64
import contextlib
import http.server
import ipaddress
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.ledger.parties import MemoryLog, cosigner
from verifiable.errors import (
    BindingError,
    ConsistencyError,
    InclusionError,
    MalformedError,
    NetworkError,
    SignatureError,
    StaleError,
    TrustError,
)
from verifiable.ledger.checkpoint import SignedCheckpoint
from verifiable.ledger.client import LogClient, SplitViewError, verify_split
from verifiable.ledger.directory import LogDirectory
from verifiable.ledger.http import HttpSource
from verifiable.ledger.storage import DirectoryStorage, Source
from verifiable.ledger.watch import Watch
from verifiable.ledger.witness_client import cosign

ENTRIES = [b"entry %d" % i for i in range(600)]


@pytest.fixture
def directory(tmp_path: Path) -> LogDirectory:
    directory = LogDirectory.at(tmp_path / "log")
    directory.initialise("log.example/test")
    with directory.open() as log:
        log.append_many(ENTRIES)
    return directory


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """``serve(folder)`` or ``serve(handler=...)``: the URL of a web server."""
    servers = []

    def call(folder: Path | None = None, handler: Any = _Quiet) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)) if folder else handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield call
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("remote", [False, True])
def test_everything_is_verified_from_what_a_static_server_publishes(remote: bool, directory: LogDirectory, serve: Serve) -> None:
    source: Source = HttpSource(serve(directory.public) + "/") if remote else DirectoryStorage(directory.public)
    client = LogClient(source, directory.identity().keys)
    seen = client.checkpoint()
    assert seen.checkpoint.size == 600
    for index in (0, 255, 256, 599):
        assert client.entry(index, seen) == ENTRIES[index]
    with directory.open() as log:
        log.append_many([b"more %d" % i for i in range(200)])
    new = client.checkpoint()
    client.consistency(seen, new)
    assert client.entry(599, seen) == ENTRIES[599], "an older checkpoint still serves, though its partial tiles are gone"
    with pytest.raises(InclusionError):
        client.entry(800, new)
    with pytest.raises(StaleError, match="shows size 600, and has shown 800"):
        client.consistency(new, seen)


@pytest.mark.parametrize(
    ("path", "index"), [("tile/entries/001", 300), ("tile/0/001", 300), ("tile/0/000", 5), ("tile/1/000.p/2", 300)]
)
def test_a_lying_server_is_not_believed(path: str, index: int, directory: LogDirectory) -> None:
    client = LogClient(DirectoryStorage(directory.public), directory.identity().keys)
    seen = client.checkpoint()
    victim = directory.public / path
    data = victim.read_bytes()
    # The hash or entry of number 300, of number 0, of the first half.
    at = data.index(b"entry 300") if "entries" in path else 44 * 32 if path == "tile/0/001" else 0
    victim.write_bytes(data[:at] + b"E" + data[at + 1 :])
    with pytest.raises(InclusionError):
        client.entry(index, seen)
    victim.unlink()
    with pytest.raises(NetworkError, match="missing"):
        LogClient(DirectoryStorage(directory.public), directory.identity().keys).entry(index, seen)


def test_wrong_keys_and_origins(directory: LogDirectory, tmp_path: Path) -> None:
    other = LogDirectory.at(tmp_path / "other")
    with pytest.raises(TrustError, match="not signed by"):
        LogClient(DirectoryStorage(directory.public), other.initialise("log.example/test")).checkpoint()
    third = LogDirectory.at(tmp_path / "third")
    with pytest.raises(BindingError, match=r"log\.example/third"):
        LogClient(DirectoryStorage(directory.public), third.initialise("log.example/third")).checkpoint()
    with pytest.raises(TrustError, match="no key"):
        LogClient(DirectoryStorage(directory.public), ())
    with pytest.raises(NetworkError, match="no checkpoint"):
        LogClient(DirectoryStorage(tmp_path / "nothing"), directory.identity().keys).checkpoint()


def _handler(respond: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Any:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            respond(self)

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler


def _answer(status: int, body: bytes = b"", **headers: str) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def respond(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return respond


@pytest.mark.parametrize(
    ("respond", "error", "words"),
    [
        (_answer(500), NetworkError, "HTTP 500"),
        (_answer(302, Location="http://127.0.0.1:9/"), NetworkError, "HTTP 302"),
        (_answer(200, b"x" * 101), MalformedError, "more than the 100 bytes"),
        (_answer(200, b"x", Content_Length="50"), NetworkError, "bytes"),
        (_answer(200, b"x", Content_Encoding="gzip"), NetworkError, "compressed"),
    ],
)
def test_servers_that_misbehave(respond: Any, error: type[Exception], words: str, serve: Serve) -> None:
    with pytest.raises(error, match=words):
        HttpSource(serve(handler=_handler(respond))).read("checkpoint", max_size=100)


def _drip(begin: bytes, again: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """A peer that is never silent and never done."""

    def talk(peer: socket.socket, stop: threading.Event) -> None:
        peer.sendall(begin)
        while not stop.wait(0.02):
            peer.sendall(again)

    return talk


@contextlib.contextmanager
def _peer(talk: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    stop = threading.Event()

    def accept(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            talk(connection, stop)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, args=(listener,))
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


DRIPS = {
    "a status line": ("http", _drip(b"", b"H")),
    "headers": ("http", _drip(b"HTTP/1.1 200 OK\r\nX: ", b"x")),
    "nothing but promises": ("http", _drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
    "the size of a chunk": ("http", _drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x")),
    "chunks": ("http", _drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")),
    "a body": ("http", _drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x")),
    "a body of no length": ("http", _drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x")),
    # A record of 16 kB that never comes to its end.
    "a handshake": ("https", _drip(b"\x16\x03\x03\x40\x00", b"\x02")),
}


@pytest.mark.parametrize("what", DRIPS)
def test_a_server_that_drips_meets_the_deadline(what: str) -> None:
    scheme, talk = DRIPS[what]
    with _peer(talk) as address:
        source = HttpSource(f"{scheme}://{address}", seconds=0.3)
        with pytest.raises(NetworkError, match="too slow, not done in"):
            source.read("checkpoint", max_size=10_000)


@pytest.mark.parametrize("what", DRIPS)
def test_a_cosigner_that_drips_meets_the_deadline(what: str) -> None:
    scheme, talk = DRIPS[what]
    log = MemoryLog().add(3)
    with _peer(talk) as address, pytest.raises(NetworkError, match=r"too slow, not done in|timed out"):
        cosign(log.checkpoint(), cosigner(1).key, f"{scheme}://{address}", log.consistency, timeout=0.3)


def _certificate(path: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that nobody vouches for, in one file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "here")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made.public_bytes(Encoding.PEM)
    path.write_bytes(pem)
    return path


@pytest.mark.parametrize("known", [False, True])
def test_a_server_that_drips_over_tls_meets_the_deadline(known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = _certificate(tmp_path / "pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    def talk(peer: socket.socket, stop: threading.Event) -> None:
        with tls.wrap_socket(peer, server_side=True) as secured:
            _drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x")(secured, stop)

    # A minute of silence is allowed and does not come: only the cut ends this.
    with _peer(talk) as address:
        source = HttpSource(f"https://{address}", timeout=60, seconds=1)
        with pytest.raises(NetworkError, match="too slow, not done in" if known else "certificate verify failed"):
            source.read("checkpoint", max_size=1_000_000)


def test_no_server_and_no_url() -> None:
    with pytest.raises(NetworkError):
        HttpSource("http://127.0.0.1:9/").read("checkpoint", max_size=100)
    for url in ("file:///etc", "ftp://x", "log"):
        with pytest.raises(MalformedError, match="not an http"):
            HttpSource(url)


def test_missing_is_none(directory: LogDirectory, serve: Serve) -> None:
    assert HttpSource(serve(directory.public)).read("tile/0/999", max_size=100) is None


def _fork(directory: LogDirectory, name: str) -> LogDirectory:
    fork = LogDirectory.at(directory.public.with_name(name))
    shutil.copytree(directory.public, fork.public)
    shutil.copytree(directory.private, fork.private)
    return fork


@pytest.mark.parametrize(("ours", "theirs"), [(1, 1), (1, 5), (256, 300)])
def test_watch_finds_a_split_view_and_keeps_the_evidence(ours: int, theirs: int, directory: LogDirectory, tmp_path: Path) -> None:
    fork = _fork(directory, "fork")
    for each, count, word in ((directory, ours, b"ours"), (fork, theirs, b"theirs")):
        with each.open() as log:
            log.append_many([b"%s %d" % (word, i) for i in range(count)])
    keys, state = directory.identity().keys, tmp_path / "seen"
    watch = Watch(LogClient(DirectoryStorage(directory.public), keys), state)
    before = watch.look()
    watch = Watch(LogClient(DirectoryStorage(fork.public), keys), state)  # after a restart
    with pytest.raises(SplitViewError, match="split view"):
        watch.look()
    # What anybody can check with the log's key alone.
    old, new, proof = watch.evidence()
    old, new = (SignedCheckpoint.open(path.read_bytes(), *keys) for path in (old, new))
    assert proof.exists() is (ours != theirs)
    hashes = [base64.b64decode(line) for line in proof.read_bytes().splitlines()] if proof.exists() else []
    verify_split(old, new, hashes)
    verify_split(new, old, hashes)
    if hashes:
        with pytest.raises(ConsistencyError):
            verify_split(old, new, [bytes(32), *hashes[1:]])
    assert (old.size, new.size) == (600 + ours, 600 + theirs)
    assert old == before.checkpoint
    assert state.read_bytes() == before.note, "the split view is not taken for the new truth"


def test_watch_follows_and_tells_stale_from_split(directory: LogDirectory, tmp_path: Path) -> None:
    keys, state = directory.identity().keys, tmp_path / "seen"
    old = _fork(directory, "old")
    watch = Watch(LogClient(DirectoryStorage(directory.public), keys), state)
    assert watch.look().checkpoint.size == 600
    with directory.open() as log:
        log.append(b"one more")
    assert watch.look().checkpoint.size == 601
    # The same log, with an older checkpoint in front of today's tiles: a cache.
    shutil.copy(old.public / "checkpoint", directory.public / "checkpoint")
    with pytest.raises(StaleError):
        watch.look()
    assert watch.last is not None
    assert watch.last.checkpoint.size == 601
    assert not [path for path in watch.evidence() if path.exists()]


def test_a_shorter_fork_does_not_pass_for_a_stale_cache_for_ever(directory: LogDirectory, tmp_path: Path) -> None:
    fork = _fork(directory, "fork")
    for each, count in ((directory, 5), (fork, 1)):
        with each.open() as log:
            log.append_many([b"%s %d" % (each.public.name.encode(), i) for i in range(count)])
    keys, state, now = directory.identity().keys, tmp_path / "seen", [0.0]
    Watch(LogClient(DirectoryStorage(directory.public), keys), state).look()
    watch = Watch(LogClient(DirectoryStorage(fork.public), keys), state, patience=60, clock=lambda: now[0])
    for now[0] in (0.0, 60.0):
        with pytest.raises(StaleError, match="shows size 601, and has shown 605"):
            watch.look()
    now[0] = 61.0
    with pytest.raises(SplitViewError, match="rolled back, or a fork"):
        watch.look()
    assert [SignedCheckpoint.open(path.read_bytes(), *keys).size for path in watch.evidence()[:2]] == [605, 601]
    assert not watch.evidence()[2].exists()


@pytest.mark.parametrize("how", ["damaged", "lost", "cut"])
def test_tiles_that_somebody_damaged_are_no_split_view(how: str, directory: LogDirectory, tmp_path: Path) -> None:
    """Whoever serves the tiles is not the log. But a log that never shows what it signs is not followed for ever."""
    keys, state, now = directory.identity().keys, tmp_path / "seen", [0.0]
    watch = Watch(LogClient(DirectoryStorage(directory.public), keys), state, patience=60, clock=lambda: now[0])
    watch.look()
    with directory.open() as log:
        log.append(b"one more")

    def damage(tile: Path) -> bytes:
        good = tile.read_bytes()
        tile.unlink() if how == "lost" else tile.write_bytes(bytes(len(good)) if how == "damaged" else good[:-1])
        return good

    tile = directory.public / "tile" / "1" / "000.p" / "2"
    good = damage(tile)
    for now[0] in (0.0, 60.0):
        with pytest.raises((NetworkError, MalformedError), match=r"do not lead|missing|instead of"):
            watch.look()
    assert not any(path.exists() for path in watch.evidence())
    tile.write_bytes(good)
    assert watch.look().checkpoint.size == 601, "it was a disturbance"
    with directory.open() as log:
        log.append(b"and one more")
    damage(directory.public / "tile" / "0" / "002.p" / "90")
    with pytest.raises((NetworkError, MalformedError)):
        watch.look()
    now[0] = 121.0
    watch.evidence()[2].write_bytes(b"of an earlier one")
    with pytest.raises(SplitViewError, match="for 61 s: it signs what it does not show") as caught:
        watch.look()
    assert caught.value.proof is None
    assert [SignedCheckpoint.open(path.read_bytes(), *keys).size for path in watch.evidence()[:2]] == [601, 602]
    assert not watch.evidence()[2].exists()


def test_an_honest_log_cannot_be_shown_to_be_split(directory: LogDirectory) -> None:
    client = LogClient(DirectoryStorage(directory.public), directory.identity().keys)
    old = client.checkpoint()
    with directory.open() as log:
        log.append(b"one more")
    new = client.checkpoint()
    proof = client.consistency(old, new)
    for false in ((), proof, (old.checkpoint.root, *proof), (bytes(32), *proof), (bytes(32),)):
        with pytest.raises(ConsistencyError):
            verify_split(old.checkpoint, new.checkpoint, false)
    with pytest.raises(ConsistencyError):
        verify_split(old.checkpoint, old.checkpoint, ())
    with pytest.raises(ConsistencyError):  # two logs may well differ
        verify_split(old.checkpoint, replace(old.checkpoint, origin="log.example/other", root=bytes(32)), ())


def test_one_damaged_download_accuses_nobody(directory: LogDirectory, tmp_path: Path) -> None:
    class Flaky:
        bad = ""

        def read(self, path: str, *, max_size: int) -> bytes | None:
            data = DirectoryStorage(directory.public).read(path, max_size=max_size)
            if path == self.bad:
                self.bad = ""
                return bytes(len(data or b""))
            return data

    keys, source = directory.identity().keys, Flaky()
    old = LogClient(DirectoryStorage(directory.public), keys).checkpoint()
    with directory.open() as log:
        log.append(b"one more")
    for tile in ("tile/1/000.p/2", "tile/0/002.p/89"):
        client, source.bad = LogClient(source, keys), tile
        client.consistency(client.seen(old.note), client.checkpoint())
        assert not source.bad, "the proof goes over this tile"
        client, source.bad = LogClient(source, keys), tile
        assert client.entry(600, client.checkpoint()) == b"one more"
        assert not source.bad


def test_a_damaged_state_is_not_a_beginning(directory: LogDirectory, tmp_path: Path) -> None:
    state = tmp_path / "seen"
    client = LogClient(DirectoryStorage(directory.public), directory.identity().keys)
    Watch(client, state).look()
    state.write_bytes(state.read_bytes().replace(b"\n600\n", b"\n599\n"))
    with pytest.raises(SignatureError):
        Watch(client, state)
