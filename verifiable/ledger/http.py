# SPDX-License-Identifier: Apache-2.0
"""A log's objects over HTTP: GET below one prefix, with caps, timeouts and a deadline.

Nothing that comes from here is believed: :mod:`.client` checks it against the log's signature.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request

from verifiable.errors import MalformedError, NetworkError
from verifiable.ledger.deadline import Deadline

_CHUNK = 1 << 16
_MISSING = (404, 410)


class HttpSource:
    """The log at the URL ``prefix``. ``timeout``: seconds without a byte; ``seconds``: for one object, from connecting on."""

    def __init__(self, prefix: str, *, timeout: float = 10.0, seconds: float = 60.0) -> None:
        if not prefix.startswith(("https://", "http://")):
            raise MalformedError(f"log: not an http or https address: {prefix[:80]!r}")
        self._prefix, self._timeout, self._seconds = prefix.rstrip("/"), timeout, seconds

    def read(self, path: str, *, max_size: int) -> bytes | None:
        """The object, or None where the server says that there is none. Redirects are not followed.

        Raises NetworkError, MalformedError.
        """
        url = f"{self._prefix}/{path}"
        headers = {"Accept-Encoding": "identity", "User-Agent": "verifiable"}
        if path == "checkpoint":
            headers["Cache-Control"] = "no-cache"
        deadline = Deadline(self._seconds)
        try:
            request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http or https, see above
            with deadline, _opener(deadline).open(request, timeout=self._timeout) as response:
                data = self._body(response, url, max_size)
                if deadline.passed:  # a cut reads like the end of an object whose length nobody has said
                    raise TimeoutError
                return data
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in _MISSING:
                return None
            raise NetworkError(f"log: {url}: HTTP {error.code}", hint="check the log's address, or try again") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            if deadline.passed:
                raise NetworkError(f"log: {url}: too slow, not done in {self._seconds:.0f} s", hint="try again") from error
            raise NetworkError(f"log: {url}: {_reason(error)}", hint="check the network, or try again") from error

    def _body(self, response: http.client.HTTPResponse, url: str, max_size: int) -> bytes:
        # Some servers compress without being asked, as tlog-tiles allows; a decompression bomb is not worth the few bytes.
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise NetworkError(f"log: {url}: sent compressed, though that was not asked for")
        received, blocks = 0, []
        while block := response.read1(_CHUNK):
            received += len(block)
            if received > max_size:
                raise MalformedError(f"log: {url}: more than the {max_size:,} bytes allowed")
            blocks.append(block)
        if response.length:
            raise http.client.IncompleteRead(b"".join(blocks), response.length)
        return b"".join(blocks)


class _Handler(urllib.request.AbstractHTTPHandler):
    """http and https over connections with a deadline."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._deadline.plain, req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._deadline.encrypted, req)

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_


def _opener(deadline: Deadline) -> urllib.request.OpenerDirector:
    """No handler for redirects, nor for any scheme but http and https."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _Handler(deadline),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _reason(error: Exception) -> str:
    """One printable line: part of it may be the server's own words."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        error = error.reason
    return "".join(c if c.isprintable() else " " for c in str(error) or type(error).__name__)[:200]
