# SPDX-License-Identifier: Apache-2.0
"""HTTP connections that end in time, whatever the peer does.

A timeout for each read lets a peer stay for ever that drips bytes, wherever no length bounds them: the headers, ``100 Continue``
again and again, the size line of a chunk, the TLS handshake. So a timer cuts the TCP connection itself.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from types import TracebackType
from typing import Any


class Deadline:
    """``seconds`` for everything that happens on one connection, from when it is made to the end of the block.

    A cut looks to the reader like a peer that has finished: ask :attr:`passed` before believing that what came is all.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.passed = seconds, False
        self._timer: threading.Timer | None = None
        self._held: socket.socket | None = None

    def plain(self, host: str, port: int | None = None, **options: Any) -> http.client.HTTPConnection:
        """A connection under this deadline, not yet made."""
        return self._bound(_Plain(host, port, **options))

    def encrypted(self, host: str, port: int | None = None, **options: Any) -> http.client.HTTPConnection:
        """Likewise, over TLS, with the peer's certificate verified by the system's roots."""
        return self._bound(_Encrypted(host, port, **options))

    def _bound(self, connection: _Plain) -> _Plain:
        connection.deadline = self
        return connection

    def begin(self, connection: socket.socket) -> None:
        """Start the timer that cuts ``connection``."""
        # A descriptor of our own: TLS takes the socket's away from it, and its number could be another file's by then.
        self._held = connection.dup()
        self._timer = threading.Timer(self.seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def _cut(self) -> None:
        self.passed = True
        if self._held is not None:
            with contextlib.suppress(OSError):
                self._held.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Deadline:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._held is not None:
            self._held.close()


class _Plain(http.client.HTTPConnection):
    deadline: Deadline

    def connect(self) -> None:
        super().connect()
        self.deadline.begin(self.sock)


class _Encrypted(http.client.HTTPSConnection, _Plain):
    """The base class's ``connect`` calls ours for the TCP connection, and shakes hands over it afterwards."""
