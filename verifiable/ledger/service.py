# SPDX-License-Identifier: Apache-2.0
"""A cosigner behind HTTP (c2sp.org/tlog-witness): ``POST /add-checkpoint`` and ``GET /<origin hash>/checkpoint``.

Whoever reaches the port may speak to it, so each connection has a size, a deadline and a place in a bounded number of them. TLS
and rate limits belong to a reverse proxy in front.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from verifiable.errors import (
    ConflictError,
    ConsistencyError,
    Error,
    FatalStateError,
    MalformedError,
    NetworkError,
)  # fmt: skip
from verifiable.ledger.cosigner import Cosigner
from verifiable.ledger.witnessing import ADD_CHECKPOINT, MAX_REQUEST, SIZE_TYPE, AddCheckpoint

_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_TEXT = "text/plain; charset=utf-8"
#: Errors of :meth:`Cosigner.add_checkpoint` by the status that the specification gives them, most specific first.
_STATUS: tuple[tuple[type[Error], int], ...] = (
    (ConsistencyError, 422), (MalformedError, 400), (FatalStateError, 500), (NetworkError, 503),
)  # fmt: skip
#: Every other: the checkpoint is not signed by the log, or an entry does not hold. Not 422, which says that the log has forked.
_REFUSED = 403
#: What went wrong here is for the operator, not for the world.
_OURS = {500: "out of order\n", 503: "an entry cannot be read or judged yet\n"}


class CosignerServer(ThreadingHTTPServer):
    """``serve_forever`` until ``shutdown``. Raises NetworkError when the address cannot be had.

    ``connections``: how many are served at once, the rest are turned away with 503; ``seconds``: how long one may take;
    ``tell``: called with what went wrong here, which the world is not told.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, cosigner: Cosigner, host: str, port: int, *, connections: int = 32, seconds: float = 60.0,
        tell: Callable[[Error], None] = lambda _error: None,
    ) -> None:  # fmt: skip
        self.cosigner, self.seconds, self.tell = cosigner, seconds, tell
        self._places = threading.BoundedSemaphore(connections)
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise NetworkError(f"cosigner: cannot listen on {host}:{port}: {error}") from error

    @property
    def url(self) -> str:
        """The submission and monitoring prefix, as seen from this machine."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            with contextlib.suppress(OSError):
                request.settimeout(1)
                request.sendall(_BUSY)
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was to be had: the place is free again
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        # A timeout per read would let a client that drips bytes stay for ever; this ends the connection whatever it does.
        deadline = threading.Timer(self.seconds, _cut, (request,))
        deadline.daemon = True
        deadline.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            deadline.cancel()
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is the peer's affair; nothing is printed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CosignerServer

    def do_POST(self) -> None:
        if self.path != ADD_CHECKPOINT:
            return self._answer(404, "no such path\n")
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdecimal() and len(length) < 10):
            return self._answer(411, "a Content-Length is needed\n")
        if int(length) > MAX_REQUEST:
            return self._answer(413, f"more than {MAX_REQUEST} bytes\n")
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            return self._answer(400, "the body is shorter than announced\n")
        return self._add_checkpoint(body)

    def _add_checkpoint(self, body: bytes) -> None:
        cosigner = self.server.cosigner
        try:
            request = AddCheckpoint.parse(body)
            origin = request.checkpoint.checkpoint.origin
            if not cosigner.knows(origin):
                return self._answer(404, "no such log\n", keep=True)
            try:
                lines = [signature.encode() for signature in cosigner.add_checkpoint(request)]
            except ConflictError:
                return self._answer(409, f"{cosigner.state(origin).size}\n", SIZE_TYPE, keep=True)
        except Error as error:
            status = next((code for kind, code in _STATUS if isinstance(error, kind)), _REFUSED)
            if status in _OURS:
                self.server.tell(error)
            return self._answer(status, _OURS.get(status, f"{error.message}\n"), keep=True)
        return self._answer(200, "".join(f"{line}\n" for line in lines), keep=True)

    def do_GET(self) -> None:
        parts = self.path.split("/")
        try:
            found = self.server.cosigner.published(parts[1]) if len(parts) == 3 and parts[2] == "checkpoint" else None
        except Error as error:
            self.server.tell(error)
            return self._answer(500, _OURS[500])
        return self._answer(200, found.decode(), keep=True) if found else self._answer(404, "nothing here\n", keep=True)

    def _answer(self, status: int, text: str, kind: str = _TEXT, *, keep: bool = False) -> None:
        """``keep``: the request was read to its end, so the connection can carry another."""
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if not keep:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "verifiable"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """The library prints nothing."""


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
