# SPDX-License-Identifier: Apache-2.0
"""Reading somebody's log: every entry and every proof is checked against a checkpoint that the log's key has signed.

The log's storage and whatever serves it are trusted for nothing but availability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from verifiable.errors import ConsistencyError, NetworkError, StaleError, TrustError
from verifiable.ledger import tiles
from verifiable.ledger.checkpoint import Checkpoint, SignedCheckpoint
from verifiable.ledger.note import NoteKey
from verifiable.ledger.storage import Source
from verifiable.ledger.tiles import CHECKPOINT, MAX_CHECKPOINT, WIDTH
from verifiable.ledger.tree import TileReader, read_entries
from verifiable.merkle import proofs
from verifiable.merkle.hashing import leaf_hash
from verifiable.merkle.verify import verify_consistency, verify_inclusion


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A checkpoint whose signatures hold, and the note that carried it: the evidence, should another one contradict it."""

    checkpoint: Checkpoint
    note: bytes


class SplitViewError(ConsistencyError):
    """The log has signed two checkpoints of which neither extends the other; ``old`` and ``new`` are the evidence."""

    def __init__(self, message: str, *, old: Seen, new: Seen) -> None:
        super().__init__(
            message, hint="keep both checkpoints: together they show anybody that this log shows different histories"
        )
        self.old, self.new = old, new


class LogClient:
    """The log in ``source`` (a :class:`.storage.DirectoryStorage`, an :class:`.http.HttpSource`), signed by every one of
    ``keys``.
    """

    def __init__(self, source: Source, keys: Sequence[NoteKey]) -> None:
        if not keys:
            raise TrustError("log client: no key to verify the log with", hint="name the log's vkey")
        self._source, self._keys = source, tuple(keys)
        self._reader = TileReader(source, blame=NetworkError)

    def checkpoint(self) -> Seen:
        """The published checkpoint.

        Raises NetworkError, MalformedError, BindingError (of another log), TrustError, SignatureError.
        """
        note = self._source.read(CHECKPOINT, max_size=MAX_CHECKPOINT)
        if note is None:
            raise NetworkError("log client: no checkpoint is published there", hint="check the log's address")
        return self.seen(note)

    def seen(self, note: bytes) -> Seen:
        """A checkpoint that came another way, verified like one from the log."""
        return Seen(checkpoint=SignedCheckpoint.open(note, *self._keys), note=note)

    def inclusion(self, index: int, at: Seen) -> tuple[bytes, ...]:
        """The proof that entry ``index`` is under ``at``, made from the log's tiles and verified.

        Raises InclusionError, NetworkError.
        """
        size, root = at.checkpoint.size, at.checkpoint.root
        proof = proofs.inclusion_proof(index, size, partial(self._reader.node, size))
        verify_inclusion(self._reader.leaf(size, index), index, size, proof, root)
        return proof

    def entry(self, index: int, at: Seen) -> bytes:
        """Entry ``index``, shown to be under ``at``. Raises InclusionError, NetworkError, MalformedError."""
        size = at.checkpoint.size
        proof = self.inclusion(index, at)
        number, place = divmod(index, WIDTH)
        entry = read_entries(self._source, number, tiles.width_at(0, number, size), blame=NetworkError)[place]
        verify_inclusion(leaf_hash(entry), index, size, proof, at.checkpoint.root)
        return entry

    def consistency(self, old: Seen, new: Seen) -> tuple[bytes, ...]:
        """The proof that ``new`` extends ``old``, made from the log's tiles and verified.

        Raises StaleError (``new`` is the smaller one, and agrees as far as can be told), SplitViewError (they contradict each
        other), NetworkError (the log does not show the tiles that a proof needs), MalformedError.
        """
        first, last = sorted((old.checkpoint, new.checkpoint), key=lambda checkpoint: checkpoint.size)
        try:
            proof = self._proven(first, last)
        except ConsistencyError:
            # A tile that was damaged on its way, once, is no reason to accuse anybody.
            self._reader = TileReader(self._source, blame=NetworkError)
            try:
                proof = self._proven(first, last)
            except ConsistencyError as error:
                raise SplitViewError(f"log {first.origin!r}: split view: {error}", old=old, new=new) from error
        except NetworkError as error:
            if new.checkpoint.size < old.checkpoint.size:  # nor does it serve the larger tree any more
                raise _stale(first, last) from error
            raise
        if new.checkpoint.size < old.checkpoint.size:
            raise _stale(first, last)
        return proof

    def _proven(self, first: Checkpoint, last: Checkpoint) -> tuple[bytes, ...]:
        proof = proofs.consistency_proof(first.size, last.size, partial(self._reader.node, last.size))
        verify_consistency(first.size, first.root, last.size, last.root, proof)
        return proof


def _stale(now: Checkpoint, before: Checkpoint) -> StaleError:
    return StaleError(
        f"log {now.origin!r}: it shows size {now.size}, and has shown {before.size} before",
        hint="a stale cache, or the log was rolled back",
    )
