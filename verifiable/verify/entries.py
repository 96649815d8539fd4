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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from verifiable import files
from verifiable.digest import Digest
from verifiable.errors import (
    Error,
    FatalStateError,
    MalformedError,
    NetworkError,
    PolicyError,
    SignatureError,
    StaleError,
    TrustError,
    UnsupportedError,
)
from verifiable.ledger.entry import Entry
from verifiable.ledger.sigstore import Bundle
from verifiable.ledger.statements import KeyEvent, Verdict
from verifiable.receipt import MAX_SIZE, Receipt, bundle_of, read_statement
from verifiable.trust import TrustRoot
from verifiable.verify.policy import Policy
from verifiable.verify.verifier import Verifier

_T = TypeVar("_T")


class Statements:
    """The receipts and bundles in a folder, by the digest of what is signed in them. Files may come and go; what is no statement
    is passed over, and ``tell`` is called with the reason. Only digests are kept in memory. May be used from several threads.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None] = lambda _reason: None) -> None:
        self._folder, self._tell, self._guard = folder, tell, threading.Lock()
        self._versions: dict[str, tuple[int, ...]] = {}
        self._names: dict[Digest, set[str]] = {}

    def find(self, entry: Entry) -> Iterator[bytes]:
        """Every file whose leaf ``entry`` is, each contents once; the folder is looked at again for those beyond the known.

        More than one may be: the leaf covers what was signed, not the proofs and circuits around it, so a copy that lost or
        spoilt those must not stand in the way of a whole one. Raises FatalStateError (no such folder).
        """
        seen = set[Digest]()
        for again in (False, True):
            with self._guard:
                if again:
                    self._look()
                names = sorted(self._names.get(entry.pae_digest, ()))
            for name in names:
                found = self._read(name)
                if found is None or found[1].entry(entry.public_key) != entry or (own := Digest.of(found[0])) in seen:
                    continue
                seen.add(own)
                yield found[0]

    def _look(self) -> None:
        """Read what is new or has changed, and forget what is gone."""
        try:
            found = {each.name: _version(each) for each in os.scandir(self._folder) if not each.name.startswith(".")}
        except OSError as error:
            raise FatalStateError(f"statements: cannot read {self._folder}: {error.strerror or error}") from error
        changed = {name for name, version in found.items() if version != self._versions.get(name)}
        gone = self._versions.keys() - found.keys()
        for digest in [digest for digest, names in self._names.items() if names & (changed | gone)]:
            self._names[digest] -= changed | gone
            if not self._names[digest]:
                del self._names[digest]
        for name in sorted(changed):
            read = self._read(name, self._tell)
            if read is not None:
                self._names.setdefault(Digest.of(read[1].signed_bytes), set()).add(name)
        self._versions = found

    def _read(self, name: str, tell: Callable[[str], None] = lambda _reason: None) -> tuple[bytes, Bundle] | None:
        """The file and the envelope in it, if it is a statement."""
        try:
            data = files.read(self._folder / name, what="statement", max_size=MAX_SIZE)
            return data, bundle_of(read_statement(data))
        except Error as error:
            tell(f"passed over: {name}: {error.message}")
        return None


def _version(file: os.DirEntry[str]) -> tuple[int, ...]:
    """What tells one version of a file from the next; none of one that has gone since, or leads nowhere."""
    try:
        status = file.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


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

        Raises NetworkError (its statement is not here yet), FatalStateError (the folder or the prover's process failed), what
        :meth:`.Verifier.verify` raises of a receipt, SignatureError, TrustError, StaleError, BindingError of key events and
        verdicts, UnsupportedError of other statements, PolicyError of what cannot be read.
        """
        try:
            entry = Entry.parse(data)
        except MalformedError as error:
            raise _refusal(index, error) from error
        refusal: Error | None = None
        for found in self.statements.find(entry):
            try:
                return self._statement(found, entry, origin, index)
            except Error as error:
                refusal = refusal or _refusal(index, error)
        raise refusal or NetworkError(
            f"entry {index}: no statement here is that of the entry with digest {entry.pae_digest}",
            hint="a cosigner that verifies entries needs what they are about: put the receipt or bundle into its folder",
        )

    def _statement(self, found: bytes, entry: Entry, origin: str, index: int) -> None:
        statement = read_statement(found)
        bundle = bundle_of(statement)
        bundle.verify(entry.public_key)
        if isinstance(statement, Receipt):
            # Without its places: the quorum that would settle it in this log waits for the signature that is asked for here.
            unsettled = replace(statement, log_entries=()).encode()
            self.verifier.verify(unsettled, now=self.now(), policy=self.policy, **self.options)
        elif (event := _parsed(KeyEvent.parse, bundle.payload)) is not None:
            self._event(event, entry, origin, index)
        elif (verdict := _parsed(Verdict.parse, bundle.payload)) is not None:
            self._verdict(verdict, entry)
        else:
            raise UnsupportedError("neither a receipt nor a key event nor a verdict, so nothing can be verified")

    def _event(self, event: KeyEvent, entry: Entry, origin: str, index: int) -> None:
        log = next((log for log in self.trust.logs if log.origin == origin), None)
        if log is None or log.administrator is None:
            raise TrustError(f"a key event, and the trust root names no administrator of {origin!r}")
        if not log.validity.holds(self.now()):
            raise StaleError(f"a key event, and the trust root names {origin!r} for another time")
        if entry.public_key != log.administrator:
            raise SignatureError(f"a key event that is not by the administrator of {origin!r}")
        event.require_effect(origin, index)

    def _verdict(self, verdict: Verdict, entry: Entry) -> None:
        now = self.now()
        named = [each for each in self.trust.verifiers if each.public_key == entry.public_key]
        if not any(each.validity.holds(now) for each in named):
            raise TrustError(f"a verdict about entry {verdict.entry} by nobody whom the trust root names as a verifier")


def _refusal(index: int, error: Error) -> Error:
    """What is wrong with an entry, which the log that asks may know: what cannot be read is no flaw of its request.

    What is wrong with this machine stays what it is.
    """
    if isinstance(error, FatalStateError):
        return error
    kind = PolicyError if isinstance(error, MalformedError) else type(error)
    return kind(f"entry {index}: {error.message}", hint=error.hint)


def _parsed(parse: Callable[[bytes], _T], payload: bytes) -> _T | None:
    try:
        return parse(payload)
    except MalformedError:
        return None


__all__ = ["EntryVerifier", "Statements"]
