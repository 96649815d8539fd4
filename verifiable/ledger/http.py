# SPDX-License-Identifier: Apache-2.0
"""A log's objects over HTTP: GET below one prefix, with caps, timeouts and a deadline.

Nothing that comes from here is believed: :mod:`.client` checks it against the log's signature.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from verifiable.errors import MalformedError, NetworkError

_CHUNK = 1 << 16
_MISSING = (404, 410)


class HttpSource:
    """The log at the URL ``prefix``. ``timeout``: seconds without a byte; ``seconds``: for one object."""

    def __init__(
        self, prefix: str, *, timeout: float = 10.0, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not prefix.startswith(("https://", "http://")):
            raise MalformedError(f"log: not an http or https address: {prefix[:80]!r}")
        self._prefix, self._timeout, self._seconds, self._clock = prefix.rstrip("/"), timeout, seconds, clock
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            self._opener.add_handler(handler)

    def read(self, path: str, *, max_size: int) -> bytes | None:
        """The object, or None where the server says that there is none. Redirects are not followed.

        Raises NetworkError, MalformedError.
        """
        url = f"{self._prefix}/{path}"
        headers = {"Accept-Encoding": "identity", "User-Agent": "verifiable"}
        if path == "checkpoint":
            headers["Cache-Control"] = "no-cache"
        try:
            request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http or https, see above
            with self._opener.open(request, timeout=self._timeout) as response:
                return self._body(response, url, max_size)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in _MISSING:
                return None
            raise NetworkError(f"log: {url}: HTTP {error.code}", hint="check the log's address, or try again") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NetworkError(f"log: {url}: {_reason(error)}", hint="check the network, or try again") from error

    def _body(self, response: http.client.HTTPResponse, url: str, max_size: int) -> bytes:
        # Some servers compress without being asked, as tlog-tiles allows; a decompression bomb is not worth the few bytes.
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise NetworkError(f"log: {url}: sent compressed, though that was not asked for")
        deadline, received, blocks = self._clock() + self._seconds, 0, []
        # read1 returns what one packet brought: a server that drips bytes meets the deadline, not an endless read.
        while block := response.read1(_CHUNK):
            received += len(block)
            if received > max_size:
                raise MalformedError(f"log: {url}: more than the {max_size:,} bytes allowed")
            if self._clock() > deadline:
                raise NetworkError(f"log: {url}: too slow, {received:,} bytes in {self._seconds:.0f} s", hint="try again")
            blocks.append(block)
        if response.length:
            raise NetworkError(f"log: {url}: {response.length:,} bytes are missing", hint="try again")
        return b"".join(blocks)


def _reason(error: Exception) -> str:
    """One printable line: part of it may be the server's own words."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        error = error.reason
    return "".join(c if c.isprintable() else " " for c in str(error) or type(error).__name__)[:200]
