# SPDX-License-Identifier: Apache-2.0
"""The download client against real local servers that serve, lie, stall and run in circles."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.zk.srs.known import make
from tests.zk.srs.test_ceremonies import smallest_file
from verifiable.errors import FatalStateError, NetworkError, TrustError, VerificationError
from verifiable.zk.srs import fetch
from verifiable.zk.srs.ceremonies import CEREMONIES, PUBLIC
from verifiable.zk.srs.store import SrsInfo, SrsStore

FILE = smallest_file(CEREMONIES[0])  # the real k = 1 file of the public ceremony


class Handler(BaseHTTPRequestHandler):
    """``/<behaviour>``; ``released`` ends the ones that hang."""

    released: threading.Event

    def do_GET(self) -> None:
        behaviour: Callable[[], None] = getattr(self, "serve_" + self.path.strip("/").split("/")[0].replace("-", "_"))
        try:
            behaviour()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def body(self, data: bytes, *, announce: int | None = None) -> None:
        self.send_response(200)
        if announce is not None:
            self.send_header("Content-Length", str(announce))
        self.end_headers()
        self.wfile.write(data)

    def redirect(self, to: str) -> None:
        self.send_response(302)
        self.send_header("Location", to)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def serve_good(self) -> None:
        self.body(FILE, announce=len(FILE))

    def serve_good_unannounced(self) -> None:
        self.body(FILE)

    def serve_other(self) -> None:
        self.body(make(1).data(), announce=len(FILE))

    def serve_flipped(self) -> None:
        self.body(FILE[:-1] + bytes([FILE[-1] ^ 1]), announce=len(FILE))

    def serve_short(self) -> None:
        self.body(FILE[:100], announce=len(FILE))

    def serve_short_unannounced(self) -> None:
        self.body(FILE[:100])

    def serve_wrong_length(self) -> None:
        self.body(FILE + b"\0", announce=len(FILE) + 1)

    def serve_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(bytes(1 << 16))

    def serve_hung(self) -> None:
        self.released.wait(20)

    def serve_stalled(self) -> None:
        self.body(FILE[:100], announce=len(FILE))
        self.wfile.flush()
        self.released.wait(20)

    def serve_dripping(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(FILE)))
        self.end_headers()
        for byte in FILE:
            self.wfile.write(bytes([byte]))
            if self.released.wait(0.05):
                return

    def serve_loop(self) -> None:
        self.redirect(f"/loop/{time.monotonic_ns()}")

    def serve_moved(self) -> None:
        self.redirect("/good")

    def serve_to_file(self) -> None:
        self.redirect("file:///etc/hostname")

    def serve_missing(self) -> None:
        self.send_error(404)

    def serve_broken(self) -> None:
        self.send_error(503)

    def serve_garbage(self) -> None:
        self.wfile.write(b"\x1b[2J this is not HTTP\r\n\r\n")
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    released = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"released": released}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def store(tmp_path: Path) -> SrsStore:
    return SrsStore(tmp_path / "srs")


def get(store: SrsStore, *mirrors: str, timeout: float = 5, seconds: float | None = None) -> SrsInfo:
    return fetch.fetch(1, store, mirrors=mirrors, timeout=timeout, seconds=seconds)


@pytest.mark.parametrize("behaviour", ["good", "good-unannounced", "moved"])
def test_the_ceremonys_file_arrives(url: str, store: SrsStore, behaviour: str) -> None:
    info = get(store, f"{url}/{behaviour}/perpetual-powers-of-tau-raw-{{k}}")
    assert (info.ceremony, info.logrows) == (PUBLIC, 1)
    assert info.path.read_bytes() == FILE
    assert store.find(1) == info


def test_what_is_here_is_not_downloaded(url: str, store: SrsStore) -> None:
    info = get(store, f"{url}/good")
    assert get(store, f"{url}/missing") == info


def test_progress_reaches_the_end(url: str, store: SrsStore) -> None:
    seen: list[tuple[str, float | None]] = []
    fetch.fetch(1, store, mirrors=[f"{url}/good"], progress=lambda phase, fraction: seen.append((phase, fraction)))
    assert seen[-1] == ("download", 1.0)


@pytest.mark.parametrize("behaviour", ["other", "flipped"])
def test_another_file_is_refused_and_never_visible(url: str, store: SrsStore, behaviour: str) -> None:
    with pytest.raises(VerificationError, match=f"not sha256:.*/{behaviour}"):
        get(store, f"{url}/{behaviour}")
    assert list(store._root.iterdir()) == []


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("short", "stopped after 100 of 516|IncompleteRead"),
        ("short-unannounced", "stopped after 100 of 516"),
        ("wrong-length", "announces 517 bytes"),
        ("endless", "more than the 516 bytes"),
        ("missing", "HTTP 404"),
        ("broken", "HTTP 503"),
        ("loop", "redirects too often"),
        ("to-file", "file|redirect"),
        ("garbage", "this is not HTTP"),
    ],
)
def test_a_server_that_misbehaves(url: str, store: SrsStore, behaviour: str, reason: str) -> None:
    with pytest.raises(NetworkError, match=f"{behaviour}.*({reason})") as failure:
        get(store, f"{url}/{behaviour}")
    assert failure.value.message.isprintable()
    assert failure.value.hint or behaviour in {"wrong-length", "endless"}
    assert list(store._root.iterdir()) == []


@pytest.mark.parametrize("behaviour", ["hung", "stalled"])
def test_silence_ends_with_the_timeout(url: str, store: SrsStore, behaviour: str) -> None:
    started = time.monotonic()
    with pytest.raises(NetworkError, match="timed out"):
        get(store, f"{url}/{behaviour}", timeout=0.3)
    assert time.monotonic() - started < 10
    assert list(store._root.iterdir()) == []


def test_a_byte_now_and_then_ends_with_the_deadline(url: str, store: SrsStore) -> None:
    started = time.monotonic()
    with pytest.raises(NetworkError, match="too slow"):
        get(store, f"{url}/dripping", seconds=0.3)
    assert time.monotonic() - started < 10


def test_the_next_mirror_is_tried(url: str, store: SrsStore) -> None:
    assert get(store, "http://127.0.0.1:1/x", f"{url}/missing", f"{url}/flipped", f"{url}/good").ceremony == PUBLIC


def test_a_lying_mirror_is_reported_rather_than_a_dead_one(url: str, store: SrsStore) -> None:
    with pytest.raises(VerificationError):
        get(store, f"{url}/flipped", f"{url}/missing")


@pytest.mark.parametrize(
    "mirror",
    ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "nonsense", "", "http://[bad", "http://a b/", "http://x:y/", "//x"],
)
def test_only_http_urls_are_fetched(store: SrsStore, mirror: str) -> None:
    with pytest.raises(NetworkError):
        get(store, mirror)
    assert list(store._root.iterdir()) == []


@pytest.mark.parametrize("mirror", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x"])
def test_other_schemes_are_refused_whatever_the_opener_can_do(store: SrsStore, mirror: str) -> None:
    with pytest.raises(NetworkError, match="only https and http"):
        fetch.fetch(1, store, mirrors=[mirror], opener=urllib.request.build_opener())


def test_nobody_is_asked_for_what_could_not_be_checked(store: SrsStore) -> None:
    for logrows, ceremony in ((27, PUBLIC), (20, "axiom-perpetual-powers-of-tau"), (1, "unheard-of"), (1, "dev-insecure")):
        with pytest.raises(TrustError, match="could not be checked"):
            fetch.fetch(logrows, store, ceremony=ceremony, mirrors=[])


def test_no_mirror_at_all(store: SrsStore) -> None:
    with pytest.raises(NetworkError, match="no mirror"):
        get(store)


def test_a_redirect_from_https_to_http_is_refused() -> None:
    with pytest.raises(OSError, match="away from https"):
        fetch._Redirects().redirect_request(
            urllib.request.Request("https://a/"), None, 302, "Found", None, "http://a/"  # type: ignore[arg-type]
        )  # fmt: skip


def test_the_default_mirror_is_https() -> None:
    assert all(mirror.startswith("https://") and "{k}" in mirror for mirror in fetch.MIRRORS)


def test_a_store_that_cannot_be_written_is_not_the_networks_fault(url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FatalStateError):
        get(SrsStore(tmp_path / "file"), f"{url}/good")
