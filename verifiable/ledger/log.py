# SPDX-License-Identifier: Apache-2.0
"""The log: appends from many threads, sequenced in batches, durable when they return; and the proofs of what is in it.

One thread writes. It takes whatever is waiting, up to a batch, so a lone append costs one round of syncs and a thousand at once
share it.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from verifiable.errors import ConsistencyError, Error, FatalStateError, InclusionError
from verifiable.ledger import tiles
from verifiable.ledger.dedup import DedupIndex
from verifiable.ledger.identity import Identity
from verifiable.ledger.lock import Lock
from verifiable.ledger.storage import Storage
from verifiable.ledger.tiles import WIDTH
from verifiable.ledger.tree import TileReader, read_entries
from verifiable.ledger.writer import MAX_BATCH, Writer
from verifiable.merkle import proofs
from verifiable.merkle.hashing import leaf_hash

BATCH = 256
_WAITING_BATCHES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """Where an entry is. ``known``: it was there before, and keeps its place."""

    index: int
    known: bool


@dataclass(frozen=True, slots=True)
class _Request:
    entries: tuple[bytes, ...]
    done: Future[tuple[Appended, ...]]


class Log:
    """A log that this process writes; ``lock`` is held and from now on the log's, and ``index`` too.

    ``public`` and ``private`` are told apart in :mod:`.writer`. Memory does not grow with the log. Raises what :class:`.Writer`
    raises.
    """

    def __init__(
        self,
        public: Storage,
        private: Storage,
        identity: Identity,
        *,
        lock: Lock,
        index: DedupIndex,
        batch: int = BATCH,
    ) -> None:
        self._public, self._lock, self._index = public, lock, index
        self._batch = max(1, min(batch, MAX_BATCH))
        self._writer = Writer(public, private, identity, lock.check)
        self._reader = TileReader(public)
        self._catch_up()
        self._waiting: deque[_Request] = deque()
        self._count = 0
        self._changed = threading.Condition()
        self._closing = False
        self._failed: Error | None = None
        self._thread = threading.Thread(target=self._run, name="log sequencer", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """The number of entries under the published checkpoint."""
        return self._writer.edge.size

    def checkpoint(self) -> bytes:
        """The published checkpoint, a signed note."""
        return self._writer.checkpoint

    def append(self, entry: bytes) -> Appended:
        """The place of ``entry``, at most 65,535 bytes; durable and under the published checkpoint on return. The same entry:
        the same place.

        Raises MalformedError (too long), FatalStateError (the log has stopped; whether the entry is in shows when it is opened
        again).
        """
        return self.submit((entry,)).result()[0]

    def append_many(self, entries: Sequence[bytes]) -> list[Appended]:
        """Like :meth:`append`, for any number of entries, in order. One that is too long keeps all of them out."""
        for entry in entries:
            tiles.check_entry(entry)
        parts = [self.submit(entries[at : at + self._batch]) for at in range(0, len(entries), self._batch)]
        return [appended for part in parts for appended in part.result()]

    def submit(self, entries: Sequence[bytes]) -> Future[tuple[Appended, ...]]:
        """Queue up to ``batch`` entries, which get into one checkpoint together. Blocks while many are waiting.

        The future holds their places once they are durable, or the error. Raises MalformedError, FatalStateError.
        """
        assert len(entries) <= self._batch
        for entry in entries:
            tiles.check_entry(entry)
        request = _Request(tuple(entries), Future())
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._count < self._batch * _WAITING_BATCHES)
            self._require_running()
            self._waiting.append(request)
            self._count += len(entries)
            self._changed.notify_all()
        return request.done

    def publish(self, note: bytes) -> None:
        """Publish the current checkpoint with the cosignatures that ``note`` adds; see :meth:`.writer.Writer.publish`."""
        self._writer.publish(note)

    def entry(self, index: int) -> bytes:
        """Entry number ``index``. Raises InclusionError (no such entry), FatalStateError (damaged)."""
        size = self._require(index, self.size)
        number, place = divmod(index, WIDTH)
        entry = read_entries(self._public, number, tiles.width_at(0, number, size))[place]
        if leaf_hash(entry) != self._reader.leaf(size, index):
            raise FatalStateError(f"log: entry {index} does not match its tile", hint="run fsck")
        return entry

    def inclusion(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        """The proof that entry ``index`` is in the tree of ``size`` entries (default: the published one).

        Raises InclusionError.
        """
        size = self._require(index, self.size if size is None else size)
        return proofs.inclusion_proof(index, size, partial(self._reader.node, size))

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """The proof that the tree of ``old`` entries is a prefix of that of ``new``.

        Raises ConsistencyError for sizes this log never had.
        """
        if not 0 <= old <= new <= self.size:
            raise ConsistencyError(f"log: no trees of {old} and {new} entries in a log of {self.size}")
        return proofs.consistency_proof(old, new, partial(self._reader.node, new))

    def close(self) -> None:
        """Write what is waiting, then let the next writer in. A second call does nothing."""
        if not self._thread.is_alive() and self._closing:
            return
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        try:
            self._index.close()
        finally:
            self._lock.release()

    def _require(self, index: int, size: int) -> int:
        if not 0 <= index < size <= self.size:
            raise InclusionError(f"log: no entry {index} in a tree of {size}; the log has {self.size} entries")
        return size

    def _catch_up(self) -> None:
        """Bring the index to the size of the log; it may lag after a crash, and it starts empty."""
        size = self.size
        indexed = self._index.size
        if indexed > size or (indexed and self._reader.leaf(size, indexed - 1) != self._index.last):
            self._index.reset()  # of another log, or of another branch of this one
        while self._index.size < size:
            number, place = divmod(self._index.size, WIDTH)
            entries = read_entries(self._public, number, tiles.width_at(0, number, size))
            self._index.add([leaf_hash(entry) for entry in entries[place:]])

    @property
    def _stopped(self) -> bool:
        return self._closing or self._failed is not None

    def _require_running(self) -> None:
        if self._failed is not None:
            raise FatalStateError(f"log: stopped after an error: {self._failed}", hint="open the log again") from self._failed
        if self._closing:
            raise FatalStateError("log: it is closed", hint="open the log again")

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            try:
                self._sequence(batch)
            except Exception as error:  # noqa: BLE001 - a writer thread that dies silently leaves every caller waiting for ever
                self._fail(error, batch)

    def _next(self) -> list[_Request] | None:
        """The requests that make the next batch; None when the log is closed and nothing is waiting, or when it has failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopped)
            if not self._waiting:
                return None
            batch: list[_Request] = []
            room = self._batch
            while self._waiting and len(self._waiting[0].entries) <= room:
                request = self._waiting.popleft()
                room -= len(request.entries)
                self._count -= len(request.entries)
                if request.done.set_running_or_notify_cancel():
                    batch.append(request)
            self._changed.notify_all()
            return batch

    def _sequence(self, batch: list[_Request]) -> None:
        leaves = {leaf_hash(entry): entry for request in batch for entry in request.entries}
        known = self._known(leaves)
        size = self.size
        fresh = {leaf: size + place for place, leaf in enumerate(leaf for leaf in leaves if leaf not in known)}
        if fresh:
            self._writer.commit([leaves[leaf] for leaf in fresh])
        for request in batch:
            request.done.set_result(
                tuple(
                    Appended(index=known[leaf] if leaf in known else fresh[leaf], known=leaf in known)
                    for leaf in map(leaf_hash, request.entries)
                )
            )
        batch.clear()
        self._index.add([*fresh])

    def _known(self, leaves: dict[bytes, bytes]) -> dict[bytes, int]:
        """What the index says, where the log agrees."""
        size = self.size
        found = self._index.find(leaves)
        return {leaf: place for leaf, place in found.items() if place < size and self._reader.leaf(size, place) == leaf}

    def _fail(self, error: Exception, batch: list[_Request]) -> None:
        reason = error if isinstance(error, Error) else FatalStateError(f"log: {type(error).__name__}: {error}")
        with self._changed:
            self._failed = reason
            left = [*batch, *self._waiting]
            self._waiting.clear()
            self._changed.notify_all()
        for request in left:
            with contextlib.suppress(InvalidStateError):  # cancelled by its caller, who waits for nothing
                request.done.set_exception(reason)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
