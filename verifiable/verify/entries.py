# SPDX-License-Identifier: Apache-2.0
"""What a verifying cosigner asks of a log's entries before it signs: that each is of a statement that holds
(docs/formats/ledger.md).

An entry names a statement by the digest of what was signed; the statement itself comes from a folder, which is trusted for
nothing. A receipt is judged like any other, by a trust root and a policy; a key event by the log's administrator; a verdict by
the verifiers that are trusted. Key events are not applied to receipts here: whether a key was good at its place is for each
reader to judge, who has them all.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from verifiable import files
from verifiable.digest import Digest
from verifiable.errors import (
    BindingError,
    Error,
    FatalStateError,
    MalformedError,
    NetworkError,
    SignatureError,
    TrustError,
    UnsupportedError,
)
from verifiable.ledger.entry import Entry
from verifiable.ledger.sigstore import Bundle
from verifiable.ledger.statements import KeyEvent, Verdict
from verifiable.receipt import MAX_SIZE, Receipt
from verifiable.trust import TrustRoot
from verifiable.verify.policy import Policy
from verifiable.verify.verifier import Verifier

_T = TypeVar("_T")


class Statements:
    """The receipts and bundles in a folder, by the digest of what is signed in them. Files may come and go; what is no statement
    is passed over. Only digests are kept in memory. May be used from several threads.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._guard = folder, threading.Lock()
        self._versions: dict[str, tuple[int, int]] = {}
        self._names: dict[Digest, set[str]] = {}

    def find(self, entry: Entry) -> bytes:
        """The file whose leaf ``entry`` is. Raises NetworkError when there is none (yet), FatalStateError (no such folder)."""
        with self._guard:
            for again in (False, True):
                if again:
                    self._look()
                for name in sorted(self._names.get(entry.pae_digest, ())):
                    data = self._read(name)
                    if data is not None and _bundle(data).entry(entry.public_key) == entry:
                        return data
        raise NetworkError(
            f"no statement in {self._folder} is that of the entry with digest {entry.pae_digest}",
            hint="a cosigner that verifies entries needs what they are about: put the receipt or bundle there",
        )

    def _look(self) -> None:
        """Read what is new or has changed."""
        try:
            found = {each.name: each.stat() for each in os.scandir(self._folder) if each.is_file()}
        except OSError as error:
            raise FatalStateError(f"statements: cannot read {self._folder}: {error.strerror or error}") from error
        for name, status in found.items():
            version = (status.st_mtime_ns, status.st_size)
            if self._versions.get(name) != version:
                self._versions[name] = version
                data = self._read(name)
                if data is not None:
                    self._names.setdefault(Digest.of(_bundle(data).signed_bytes), set()).add(name)

    def _read(self, name: str) -> bytes | None:
        """The file, if it is a statement."""
        try:
            data = files.read(self._folder / name, what="statement", max_size=MAX_SIZE)
            _bundle(data)
        except Error:
            return None
        return data


@dataclass(frozen=True, kw_only=True)
class EntryVerifier:
    """The judge of a verifying cosigner. ``verifier``: of receipts, with ``policy`` and ``options`` as for its ``verify``;
    ``trust``: who administers logs, and whose verdicts count; ``now``: the clock.
    """

    statements: Statements
    verifier: Verifier
    trust: TrustRoot
    now: Callable[[], datetime]
    policy: Policy | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def judge(self, origin: str, index: int, data: bytes) -> None:
        """Return when entry ``index`` of the log ``origin`` is of a statement that holds.

        Raises MalformedError (no entry of a statement), NetworkError (its statement is not here yet), what
        :meth:`.Verifier.verify` raises of a receipt, SignatureError, TrustError, BindingError of key events and verdicts,
        UnsupportedError of others.
        """
        entry = Entry.parse(data)
        found = self.statements.find(entry)
        bundle = _bundle(found)
        bundle.verify(entry.public_key)
        if _is_receipt(found):
            self.verifier.verify(found, now=self.now(), policy=self.policy, **self.options)
            return
        if (event := _parsed(KeyEvent.parse, bundle.payload)) is not None:
            self._event(event, entry, origin, index)
        elif (verdict := _parsed(Verdict.parse, bundle.payload)) is not None:
            self._verdict(verdict, entry)
        else:
            raise UnsupportedError(f"entry {index}: neither a receipt nor a key event nor a verdict, so nothing can be verified")

    def _event(self, event: KeyEvent, entry: Entry, origin: str, index: int) -> None:
        log = next((log for log in self.trust.logs if log.origin == origin), None)
        if log is None or log.administrator is None:
            raise TrustError(f"entry {index}: a key event, and the trust root names no administrator of {origin!r}")
        if entry.public_key != log.administrator:
            raise SignatureError(f"entry {index}: a key event that is not by the administrator of {origin!r}")
        if event.log != origin or (event.position or 0) > index:
            raise BindingError(f"entry {index}: a key event that counts for nothing there")

    def _verdict(self, verdict: Verdict, entry: Entry) -> None:
        now = self.now()
        named = [each for each in self.trust.verifiers if each.public_key == entry.public_key]
        if not any(each.validity.holds(now) for each in named):
            raise TrustError(f"a verdict about entry {verdict.entry} by nobody whom the trust root names as a verifier")


def _parsed(parse: Callable[[bytes], _T], payload: bytes) -> _T | None:
    try:
        return parse(payload)
    except MalformedError:
        return None


def _is_receipt(data: bytes) -> bool:
    return data.startswith(b'{"bundle":')


def _bundle(data: bytes) -> Bundle:
    return Receipt.parse(data).bundle if _is_receipt(data) else Bundle.parse(data)


__all__ = ["EntryVerifier", "Statements"]
