# SPDX-License-Identifier: Apache-2.0
"""A cosigner: signs a log's checkpoint only when it extends the last one it signed (c2sp.org/tlog-witness, without the HTTP).

The checks of :meth:`Cosigner.add_checkpoint`, in the specification's order: 1 a known log · 2 signed by it · 3 our own state is
whole and not older than what we signed · 4 the old size is ours · 5 consistency · 6 (verifying cosigners) every new entry ·
7 persist, then answer. A crash before the end of 7 loses a signature that nobody has seen.

A plain cosigner says "one history"; a *verifying* one also says "I re-verified every entry". One key stands for one
statement, so their names differ (the latter's ends in ``/verifying``), and a state folder belongs to one kind and its keys.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from verifiable import files
from verifiable.errors import (
    BindingError,
    ConflictError,
    ConsistencyError,
    Error,
    FatalStateError,
    MalformedError,
    NetworkError,
    SignatureError,
    TrustError,
    UnsupportedError,
)  # fmt: skip
from verifiable.ledger.checkpoint import Checkpoint, SignedCheckpoint
from verifiable.ledger.cosignature import CosignatureSigner
from verifiable.ledger.cosigner_state import LogState, hold, marker, read, still_held
from verifiable.ledger.lock import Lock
from verifiable.ledger.note import NoteKey, NoteSignature
from verifiable.ledger.witnessing import AddCheckpoint
from verifiable.merkle.compact import CompactRange
from verifiable.merkle.hashing import leaf_hash
from verifiable.merkle.verify import verify_consistency

#: ``source(origin, start, end)``: the log's entries from ``start`` up to, not including, ``end``. Raises Error.
EntrySource = Callable[[str, int, int], Iterable[bytes]]
#: ``judge(origin, index, entry)`` returns when the entry holds, or raises VerificationError, TrustError, UnsupportedError,
#: NetworkError where it cannot be judged yet, FatalStateError.
EntryJudge = Callable[[str, int, bytes], None]
_HEX = re.compile(r"[0-9a-f]{64}")


class Cosigner:
    """One at a time per state folder (held by a lock until :meth:`close`); methods may be called from any number of threads."""

    verifying = False

    def __init__(self, directory: Path, signers: Sequence[CosignatureSigner], now: Callable[[], datetime]) -> None:
        """Open the folder that :meth:`create` made for the same keys.

        Raises FatalStateError (missing, damaged, in use), BindingError (made for other keys or the other kind).
        """
        self._directory, self._signers, self._now = directory, tuple(signers), now
        self._guards: dict[str, threading.Lock] = {}
        self._seen: dict[str, int] = {}
        self._lock: Lock | None = hold(directory / "lock")
        try:
            if read(directory / "cosigner") != marker(self._signers, verifying=self.verifying):
                raise BindingError(
                    f"cosigner: {directory} was made for other keys, or for the other kind of cosigner",
                    hint="one folder, one key and one name for each kind",
                )
        except Error:
            self.close()
            raise

    @classmethod
    def create(cls, directory: Path, signers: Sequence[CosignatureSigner]) -> None:
        """Make the state folder for these keys, knowing no log. Raises FatalStateError (exists), BindingError (a wrong name)."""
        whose = marker(tuple(signers), verifying=cls.verifying)
        with files.new_directory(directory, what="cosigner") as aside:
            (aside / "logs").mkdir()
            files.write(aside / "lock", b"", what="cosigner", mode=0o600)
            files.write(aside / "cosigner", whose, what="cosigner")

    def close(self) -> None:
        """Let go of the folder. A second call does nothing."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def name(self) -> str:
        return self._signers[0].name

    @property
    def keys(self) -> tuple[NoteKey, ...]:
        """The public keys that the cosignatures are under."""
        return tuple(signer.key for signer in self._signers)

    def register(self, *keys: NoteKey) -> None:
        """Cosign the log with these keys from now on, from size 0. Raises FatalStateError (known already), BindingError."""
        if not keys or len({key.name for key in keys}) != 1:
            raise BindingError("cosigner: the keys of a log carry its origin as their one name")
        if {key.public for key in keys} & {key.public for key in self.keys}:
            raise BindingError("cosigner: a log cannot be cosigned with its own key")
        origin = keys[0].name
        path = self._path(origin)
        with self._guards.setdefault(origin, threading.Lock()):
            if path.exists():
                raise FatalStateError(
                    f"cosigner: the log {keys[0].name!r} is known already", hint="its state is not started anew"
                )
            files.write(path, LogState(keys=keys).encode(), what="cosigner state")

    def knows(self, origin: str) -> bool:
        """Whether the log was registered."""
        return self._path(origin).exists()

    def published(self, digest: str) -> bytes | None:
        """The last cosigned checkpoint of the log whose origin has this SHA-256 (hex), or None. Raises FatalStateError."""
        path = self._directory / "logs" / digest
        if not _HEX.fullmatch(digest) or not path.exists():
            return None
        latest = _load(path).latest
        return latest.encode() if latest else None

    def state(self, origin: str) -> LogState:
        """What is known of a log. Raises TrustError (not registered), FatalStateError (damaged, or older than before)."""
        self._require_known(origin)
        state = _load(self._path(origin))
        if state.keys[0].name != origin or (self.verifying and len(state.edge) != state.size.bit_count()):
            raise FatalStateError(f"cosigner: the state of {origin!r} is another log's, or another cosigner's")
        if state.size < self._seen.get(origin, 0):
            raise _rolled_back(origin, state.size, self._seen[origin])
        self._seen[origin] = state.size
        return state

    def add_checkpoint(self, request: AddCheckpoint) -> tuple[NoteSignature, ...]:
        """Cosign ``request.checkpoint``, durably recorded before this returns; one signature per key.

        Raises TrustError (unknown log, or not signed by a known key of it), SignatureError, ConflictError (the old size is not
        ours), ConsistencyError, FatalStateError, and what a verifying cosigner's source and judge raise.
        """
        signed, new = request.checkpoint, request.checkpoint.checkpoint
        # 1 a known log
        self._require_known(new.origin)
        # From here one thread at a time for each log: two that compared with the same old state could sign a fork.
        with self._guards.setdefault(new.origin, threading.Lock()):
            state = self.state(new.origin)
            # 2 signed by it
            log_signatures = _log_signatures(state, signed)
            # 3 our own state
            self._require_memory(state, signed)
            # 4 the old size
            if request.old != state.size:
                raise ConflictError(
                    f"cosigner {self.name!r}: last cosigned {new.origin!r} at size {state.size}, not {request.old}",
                    hint="prove consistency from that size",
                )
            # 5 consistency
            verify_consistency(state.size, state.root, new.size, new.root, request.proof)
            # 6 entries
            edge = self._examine(state, new)
            # 7 persist, then answer
            still_held(self._lock)
            cosignatures = self._sign(state, new)
            kept = replace(signed, note=replace(signed.note, signatures=(*log_signatures, *cosignatures)))
            files.write(self._path(new.origin), LogState(keys=state.keys, latest=kept, edge=edge).encode(), what="cosigner state")
            self._seen[new.origin] = new.size
            return cosignatures

    def _require_known(self, origin: str) -> None:
        # A log that was here and is gone is damage, for `state` to report.
        if not self.knows(origin) and origin not in self._seen:
            raise TrustError(f"cosigner {self.name!r}: no such log: {origin[:80]!r}", hint="register the log's keys first")

    def _examine(self, state: LogState, new: Checkpoint) -> tuple[bytes, ...]:  # noqa: ARG002 - verifying cosigners do
        return ()

    def _require_memory(self, state: LogState, signed: SignedCheckpoint) -> None:
        """A true cosignature of ours that our state does not know of: the folder is an older copy, and could sign a fork."""
        for key in self.keys:
            try:
                ours = bool(signed.signed_by(key))
            except SignatureError:
                ours = False  # anybody can write such a line; it says nothing
            new = signed.checkpoint
            if ours and (new.size > state.size or (new.size == state.size and new.root != state.root)):
                raise _rolled_back(new.origin, state.size, new.size)

    def _sign(self, state: LogState, new: Checkpoint) -> tuple[NoteSignature, ...]:
        now = self._now()
        for key in self.keys if state.latest else ():
            assert state.latest is not None
            if any(time and time > now for time in state.latest.signed_by(key)):
                raise FatalStateError(
                    f"cosigner {self.name!r}: the clock ({now}) is behind its own last signature", hint="set the clock, or wait"
                )
        return tuple(signer.sign_checkpoint(new, now) for signer in self._signers)

    def _path(self, origin: str) -> Path:
        return self._directory / "logs" / hashlib.sha256(origin.encode()).hexdigest()


class VerifyingCosigner(Cosigner):
    """Signs only after every entry since its last signature was fetched, found to make up the tree, and judged."""

    verifying = True

    def __init__(
        self, directory: Path, signers: Sequence[CosignatureSigner], now: Callable[[], datetime], source: EntrySource,
        judge: EntryJudge,
    ) -> None:  # fmt: skip
        """As :class:`Cosigner`. ``source`` is trusted for nothing: its entries must hash to the checkpoint's root."""
        super().__init__(directory, signers, now)
        self._source, self._judge = source, judge

    def _examine(self, state: LogState, new: Checkpoint) -> tuple[bytes, ...]:
        edge = CompactRange(size=state.size, hashes=state.edge)
        if edge.root != state.root:
            raise FatalStateError(f"cosigner: the state of {new.origin!r} contradicts itself")
        for entry in self._entries(new.origin, state.size, new.size):
            if edge.size == new.size:
                raise ConsistencyError(f"log {new.origin!r}: more entries than its checkpoint of size {new.size} counts")
            self._judge(new.origin, edge.size, entry)
            edge = edge.append(leaf_hash(entry))
        if (edge.size, edge.root) != (new.size, new.root):
            raise ConsistencyError(
                f"log {new.origin!r}: its entries up to {edge.size} do not make up the tree of size {new.size}"
            )
        return edge.hashes

    def _entries(self, origin: str, start: int, end: int) -> Iterator[bytes]:
        try:
            yield from self._source(origin, start, end)
        except MalformedError as error:  # whoever serves the log's files damaged them; the request is as it should be
            raise NetworkError(f"log {origin!r}: its entries cannot be read: {error.message}", hint=error.hint) from error


def _log_signatures(state: LogState, signed: SignedCheckpoint) -> tuple[NoteSignature, ...]:
    # One for each key: a note has room for a hundred, and what is kept must also hold ours, and be read again.
    found = tuple(signed.note.by(key)[0] for key in state.keys if signed.signed_by(key))
    if not found:
        raise TrustError(f"checkpoint of {signed.checkpoint.origin!r}: not signed by any known key of this log")
    return found


def _load(path: Path) -> LogState:
    try:
        return LogState.parse(read(path))
    except (MalformedError, UnsupportedError) as error:
        raise FatalStateError(f"cosigner: {path} is damaged: {error.message}") from error


def _rolled_back(origin: str, known: int, signed: int) -> FatalStateError:
    return FatalStateError(
        f"cosigner: its state of {origin!r} ends at size {known}, yet it has signed size {signed}: an older copy of its folder",
        hint="stop; retire these keys, since nobody can say what else was signed with them",
    )
