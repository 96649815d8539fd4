# SPDX-License-Identifier: Apache-2.0
"""Downloads a ceremony's file: from any mirror, because only its SHA-256 from :mod:`.ceremonies` decides.

The default mirror is the bucket that the files' converter (han0110/halo2-kzg-srs) documents and that ezkl and other projects
use. It could not be reached from the machine where this was written: the client is tested against local servers only.

A mirror is trusted for availability alone. The exact size is known beforehand and is the cap; redirects are few and never leave
https for http; every read has a timeout and the whole has a deadline; nothing is visible in the store before its digest holds.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Protocol

from verifiable.digest import Digest
from verifiable.errors import Error, FatalStateError, NetworkError, TrustError, VerificationError
from verifiable.zk.srs import ceremonies
from verifiable.zk.srs import format as raw
from verifiable.zk.srs.store import SrsInfo, SrsStore
from verifiable.zk.system import Progress, no_progress

#: ``{k}`` stands for logrows.
MIRRORS = ("https://trusted-setup-halo2kzg.s3.eu-central-1.amazonaws.com/perpetual-powers-of-tau-raw-{k}",)
MAX_REDIRECTS = 3
_CHUNK = 1 << 18
_SLOWEST = 1 << 15  # bytes per second, below which the deadline cuts a download off


class Opener(Protocol):
    """What opens URLs; :func:`default_opener` is the real one."""

    def open(self, fullurl: urllib.request.Request, data: None = None, timeout: float | None = None) -> http.client.HTTPResponse:
        """The response with its body unread. Raises OSError, http.client.HTTPException or ValueError."""
        ...


def fetch(
    logrows: int,
    store: SrsStore,
    *,
    ceremony: str = ceremonies.PUBLIC,
    mirrors: Sequence[str] = MIRRORS,
    timeout: float = 30.0,
    seconds: float | None = None,
    opener: Opener | None = None,
    clock: Callable[[], float] = time.monotonic,
    progress: Progress = no_progress,
) -> SrsInfo:
    """The ceremony's file of this size, from the store or else from the first mirror that delivers it.

    ``timeout``: seconds without a byte; ``seconds``: for the whole file, per mirror (default: at 32 kB/s, plus a minute).
    Raises TrustError (no digest known), NetworkError (no mirror delivers), VerificationError (a mirror delivers another file).
    """
    expected = ceremonies.file_digest(ceremony, logrows)
    if expected is None:
        raise TrustError(
            f"SRS: no digest of {ceremony[:80]} at logrows {logrows} is known, so a download could not be checked",
            hint="get the file yourself and import it",
        )
    if present := store.by_digest(expected):
        return present
    size = raw.size_of(logrows)
    allowed = 60 + size / _SLOWEST if seconds is None else seconds
    opener = opener or default_opener()
    failures: list[Error] = []
    for mirror in mirrors:
        with store.incoming() as aside:
            try:
                transfer = _Transfer(opener=opener, timeout=timeout, clock=clock, deadline=clock() + allowed, progress=progress)
                transfer.run(mirror.replace("{k}", str(logrows)), aside, size)
                return _adopted(store, aside, expected, mirror)
            except (NetworkError, VerificationError) as error:
                failures.append(error)
    if not failures:
        raise NetworkError("SRS: no mirror was named", hint="name at least one URL")
    # A mirror that lies matters more than one that is down.
    raise next((failure for failure in failures if isinstance(failure, VerificationError)), failures[-1])


def default_opener() -> Opener:
    """http and https with proxies from the environment; no ``file:``, ``ftp:`` or ``data:``."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = MAX_REDIRECTS
    max_repeats = MAX_REDIRECTS

    def redirect_request(  # noqa: PLR0917 (the base class's signature)
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if req.type == "https" and not newurl.startswith("https:"):
            raise urllib.error.URLError("redirected away from https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Transfer:
    """One attempt at one URL."""

    def __init__(
        self, *, opener: Opener, timeout: float, clock: Callable[[], float], deadline: float, progress: Progress
    ) -> None:
        self._opener, self._timeout, self._clock, self._deadline, self._progress = opener, timeout, clock, deadline, progress

    def run(self, url: str, target: Path, size: int) -> None:
        """Write exactly ``size`` bytes of ``url`` to ``target``. Raises NetworkError, FatalStateError."""
        try:
            request = urllib.request.Request(url, headers={"Accept-Encoding": "identity", "User-Agent": "verifiable"})  # noqa: S310
            if request.type not in {"http", "https"}:
                raise NetworkError(f"SRS: {url}: only https and http can be fetched")
            with self._opener.open(request, timeout=self._timeout) as response:
                announced = response.headers.get("Content-Length")
                if announced is not None and announced != str(size):
                    raise NetworkError(f"SRS: {url}: announces {announced[:24]} bytes where {size} were expected")
                self._save(response, url, target, size)
        except urllib.error.HTTPError as error:
            error.close()
            meaning = "redirects too often" if 300 <= error.code < 400 else http.client.responses.get(error.code, "")
            raise NetworkError(f"SRS: {url}: HTTP {error.code} {meaning}".rstrip(), hint="try another mirror") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NetworkError(f"SRS: {url}: {_reason(error)}", hint="check the network, or try another mirror") from error

    def _save(self, response: http.client.HTTPResponse, url: str, target: Path, size: int) -> None:
        received = 0
        with _create(target) as stream:
            # read1 returns what one packet brought: a server that drips bytes meets the deadline, not an endless read
            while block := response.read1(_CHUNK):
                received += len(block)
                if received > size:
                    raise NetworkError(f"SRS: {url}: sends more than the {size:,} bytes expected")
                if self._clock() > self._deadline:
                    raise NetworkError(f"SRS: {url}: too slow, {received:,} of {size:,} bytes", hint="try another mirror")
                _write(stream, block, target)
                self._progress("download", received / size)
        if received != size:
            raise NetworkError(f"SRS: {url}: stopped after {received:,} of {size:,} bytes", hint="try again")


def _adopted(store: SrsStore, aside: Path, expected: Digest, mirror: str) -> SrsInfo:
    try:
        return store.adopt(aside, expected=expected)
    except VerificationError as error:
        raise VerificationError(f"{error.message} (from {mirror})", hint="the mirror is damaged or lies; try another") from error


def _create(target: Path) -> IO[bytes]:
    try:
        return target.open("xb")
    except OSError as error:
        raise FatalStateError(f"SRS store: cannot write {target}: {error.strerror}") from error


def _write(stream: IO[bytes], block: bytes, target: Path) -> None:
    try:
        stream.write(block)
    except OSError as error:
        raise FatalStateError(f"SRS store: cannot write {target}: {error.strerror}", hint="check free space") from error


def _reason(error: Exception) -> str:
    """One printable line: part of it may be the server's own words."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        error = error.reason
    text = str(error) or type(error).__name__
    return "".join(c if c.isprintable() else " " for c in text)[:200]
