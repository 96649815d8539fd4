# SPDX-License-Identifier: Apache-2.0
"""The one place that writes a log: the order of writes, what a crash after each means, and how opening a log finishes what was
begun.

Two places are written. ``public`` is the tlog-tiles directory. ``private`` holds what must not be rolled back with it: the last
checkpoint that this log has signed (``head``), and the staged batch. No checkpoint leaves this module before ``head`` holds it
durably, and ``head`` only ever moves to a tree that extends the one before; so no two checkpoints of this log disagree,
whatever was lost in between.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

from verifiable.errors import ConflictError, ConsistencyError, FatalStateError
from verifiable.ledger import stage as staging
from verifiable.ledger import tiles
from verifiable.ledger.checkpoint import Checkpoint
from verifiable.ledger.identity import Identity
from verifiable.ledger.note import Note
from verifiable.ledger.stage import Stage
from verifiable.ledger.storage import Storage
from verifiable.ledger.tiles import CHECKPOINT, HEIGHT, MAX_CHECKPOINT, WIDTH, Tile
from verifiable.ledger.tree import Edge
from verifiable.merkle.hashing import EMPTY_ROOT

HEAD = "head"
#: Entries in one commit by a log. What a crash left of a batch is within so many of the end.
MAX_BATCH = 4096
_MAX_STAGE = 1 << 29
_RESTORE = "restore the newest copy of both folders; never let an older one sign again"


class Writer:
    """Appends batches to the log in ``public``. ``fence`` raises ConflictError once another writer may be at work."""

    def __init__(self, public: Storage, private: Storage, identity: Identity, fence: Callable[[], None]) -> None:
        """Opens the log, and finishes the batch that a crash interrupted.

        Raises FatalStateError (damaged, rolled back, or no log), ConsistencyError (a fork), SignatureError and BindingError
        (another log's).
        """
        self._public, self._private, self._identity, self._fence = public, private, identity, fence
        self._mutex = threading.Lock()
        self._failed: BaseException | None = None
        head = private.read(HEAD, max_size=MAX_CHECKPOINT)
        if head is None:
            raise FatalStateError("log: nothing was signed here yet", hint="make a log with `verifiable log init`")
        self._head, self._signed = head, identity.open(head)
        self._published = public.read(CHECKPOINT, max_size=MAX_CHECKPOINT)
        self._edge = Edge()
        self._recover()

    @property
    def edge(self) -> Edge:
        return self._edge

    @property
    def checkpoint(self) -> bytes:
        """The published note: the log's signatures, and what cosignatures were added."""
        assert self._published is not None
        return self._published

    def commit(self, entries: Sequence[bytes]) -> None:
        """Append ``entries`` in this order; durable and published on return.

        Raises MalformedError (an entry is too long: nothing happened), ConflictError and FatalStateError: then whether they are
        in the log is only known when it is opened again, and this writer refuses further work.
        """
        for entry in entries:
            tiles.check_entry(entry)
        with self._mutex, self._stopping():
            stage = Stage(size=self._edge.size, root=self._edge.root, entries=tuple(entries))
            self._fence()
            self._private.create({stage.path: stage.encode()})
            # A crash from here on: the batch is decided, nobody was told. Opening the log goes on from the stage.
            self._finish(stage)

    def publish(self, note: bytes) -> None:
        """Put the cosignatures in ``note``, the current checkpoint with more signatures, on the published one.

        Those that are there already stay, and so do the log's own: whoever asked other cosigners at the same time loses nothing.
        Raises ConflictError when the log has moved on, SignatureError or BindingError when the note is not this log's,
        MalformedError when there is no room for so many, FatalStateError.
        """
        checkpoint, own = self._identity.open(note), {(key.name, key.key_id) for key in self._identity.keys}
        added = [each for each in Note.parse(note).signatures if (each.name, each.key_id) not in own]
        with self._mutex:
            if checkpoint != self._signed:
                raise ConflictError(
                    f"log: the log has moved on to size {self._signed.size}", hint="have the new checkpoint cosigned"
                )
            data = Note.parse(self.checkpoint).with_signatures(added).encode()
            Note.parse(data)  # what could not be read again is not published
            with self._stopping():
                self._fence()
                self._public.replace(CHECKPOINT, data, expected=self._published)
                self._published = data

    @contextlib.contextmanager
    def _stopping(self) -> Iterator[None]:
        """After a failed write the state on disk is unknown: the writer that saw it does nothing more."""
        if self._failed is not None:
            raise FatalStateError(f"log: stopped after an error: {self._failed}", hint="open the log again") from self._failed
        try:
            yield
        except BaseException as error:
            self._failed = error
            raise

    def _finish(self, stage: Stage) -> None:
        edge, objects = self._edge.extend(stage.entries)
        again = self._signed.size != stage.size
        if again and (edge.size, edge.root) != (self._signed.size, self._signed.root):
            raise FatalStateError("log: the staged batch does not lead to the checkpoint that was signed", hint=_RESTORE)
        self._public.create(objects)
        # A crash: tiles that no checkpoint covers, so no reader asks for them; the stage makes the same ones again.
        if not again:
            self._sign(edge)
            # A crash: the log is committed to this root, and nobody has seen it. Opening publishes this very note.
        self._public.replace(CHECKPOINT, self._head, expected=self._published)
        # A crash: published and durable, only the answer was lost. The same entries get the same places when they come again.
        before, self._edge, self._published = self._edge, edge, self._head
        self._private.discard(stage.path)
        self._tidy(before.size)

    def _sign(self, edge: Edge) -> None:
        checkpoint = Checkpoint(origin=self._signed.origin, size=edge.size, root=edge.root)
        note = self._identity.sign(checkpoint)
        self._fence()
        self._private.replace(HEAD, note, expected=self._head)
        self._head, self._signed = note, checkpoint

    def _tidy(self, before: int) -> None:
        """Drop the partial versions of the tiles that became full since size ``before``; readers fall back on the full ones."""
        for level in tiles.levels(self._edge.size):
            first, last = ((size >> HEIGHT * level) // WIDTH for size in (before, self._edge.size))
            for index in range(first, last):
                self._public.discard(tiles.partials(Tile(level=level, index=index).path))
                if level == 0:
                    self._public.discard(tiles.partials(tiles.bundle_path(index)))

    def _recover(self) -> None:
        published = self._judge_published()
        self._edge = Edge.load(self._public, published.size)
        if self._edge.root != published.root:
            raise FatalStateError(f"log: the tiles do not lead to the published root of size {published.size}", hint="run fsck")
        data = self._private.read(Stage.path_at(published.size), max_size=_MAX_STAGE)
        if data is None and published.size < self._signed.size:
            raise FatalStateError(
                f"log: rolled back: it has size {published.size}, and size {self._signed.size} was signed", hint=_RESTORE
            )
        if data is not None:
            stage = Stage.parse(data)
            if (stage.size, stage.root) != (published.size, published.root):
                raise FatalStateError("log: the staged batch belongs to another tree", hint=_RESTORE)
            self._fence()
            self._finish(stage)
        elif self._published is None:
            self._public.replace(CHECKPOINT, self._head, expected=None)
            self._published = self._head
        self._private.discard(staging.FOLDER)
        self._tidy(max(0, self._edge.size - MAX_BATCH))  # what a crash kept the last batch from dropping

    def _judge_published(self) -> Checkpoint:
        """The published checkpoint, held against what this log has signed."""
        if self._published is None:
            if self._signed.size:
                raise FatalStateError(f"log: no checkpoint is published, and size {self._signed.size} was signed", hint=_RESTORE)
            return self._signed
        published = self._identity.open(self._published)
        if published.size > self._signed.size:
            raise FatalStateError(
                f"log: size {published.size} is published, but the private folder knows only of {self._signed.size}",
                hint=_RESTORE,
            )
        if published.size == self._signed.size and published.root != self._signed.root:
            raise ConsistencyError(
                f"log: fork: the published checkpoint of size {published.size} is not the one that was signed last",
                hint="this folder is another branch of the log: two copies were written to",
            )
        return published


def initialise(public: Storage, private: Storage, identity: Identity) -> None:
    """Sign and publish the checkpoint of the empty log. Raises ConflictError when there is a log already, FatalStateError."""
    if public.read(CHECKPOINT, max_size=MAX_CHECKPOINT) is not None:
        raise ConflictError("log: there is a log already", hint="choose another folder")
    note = identity.sign(Checkpoint(origin=identity.origin, size=0, root=EMPTY_ROOT))
    private.replace(HEAD, note, expected=None)
    # A crash: opening the log publishes it.
    public.replace(CHECKPOINT, note, expected=None)
