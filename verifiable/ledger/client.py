# SPDX-License-Identifier: Apache-2.0
"""Reading somebody's log: every entry and every proof is checked against a checkpoint that the log's key has signed.

The log's storage and whatever serves it are trusted for nothing but availability.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from verifiable.errors import ConsistencyError, InclusionError, NetworkError, StaleError, TrustError
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
    """The log has signed ``old`` and ``new``, of which neither extends the other, or never showed that one does.

    ``proof``: empty for two checkpoints of one size, which show it by themselves. Else the root that the larger one's tree had at
    the size of the smaller, followed by the consistency proof from that root: it holds, so the larger one commits to a tree
    that the smaller is not (:func:`verify_split`). None: nothing is shown but that the log did not answer for its signature.
    """

    def __init__(self, message: str, *, old: Seen, new: Seen, proof: tuple[bytes, ...] | None) -> None:
        shown = "together they show anybody that this log shows different histories"
        unshown = "the log owes the proof that one extends the other"
        super().__init__(message, hint=f"keep both checkpoints: {unshown if proof is None else shown}")
        self.old, self.new, self.proof = old, new, proof


def verify_split(one: Checkpoint, other: Checkpoint, proof: Sequence[bytes]) -> None:
    """Return when ``proof`` of a :class:`SplitViewError` shows that the two checkpoints are of different histories.

    Their signatures are verified already. Raises ConsistencyError when it does not.
    """
    first, last = sorted((one, other), key=lambda checkpoint: checkpoint.size)
    if first.size == last.size:
        root: bytes = last.root
    else:
        root = proof[0] if proof else b""
        verify_consistency(first.size, root, last.size, last.root, proof[1:])
    if first.origin != last.origin or root == first.root:
        raise ConsistencyError(
            f"checkpoints of sizes {first.size} and {last.size}: nothing contradicts that one extends the other"
        )


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
        return self._twice(lambda: self._included(index, at.checkpoint))

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
        other), NetworkError (the log does not show the tiles that a proof needs, or not those of its root), MalformedError.
        """
        first, last = sorted((old.checkpoint, new.checkpoint), key=lambda checkpoint: checkpoint.size)
        try:
            proof = self._twice(lambda: self._proven(first, last))
        except ConsistencyError as error:
            shown = self._contradiction(first, last)
            if shown is not None:
                raise SplitViewError(f"log {first.origin!r}: split view: {error}", old=old, new=new, proof=shown) from error
            if new.checkpoint.size < old.checkpoint.size:
                raise _stale(first, last) from error
            raise NetworkError(
                f"log {last.origin!r}: its tiles do not lead to the root of size {last.size}",
                hint="damaged where they are kept or on the way; run fsck on it",
            ) from error
        except NetworkError as error:
            if new.checkpoint.size < old.checkpoint.size:  # nor does it serve the larger tree any more
                raise _stale(first, last) from error
            raise
        if new.checkpoint.size < old.checkpoint.size:
            raise _stale(first, last)
        return proof

    def _included(self, index: int, under: Checkpoint) -> tuple[bytes, ...]:
        proof = proofs.inclusion_proof(index, under.size, partial(self._reader.node, under.size))
        verify_inclusion(self._reader.leaf(under.size, index), index, under.size, proof, under.root)
        return proof

    def _proven(self, first: Checkpoint, last: Checkpoint) -> tuple[bytes, ...]:
        proof = proofs.consistency_proof(first.size, last.size, partial(self._reader.node, last.size))
        verify_consistency(first.size, first.root, last.size, last.root, proof)
        return proof

    def _contradiction(self, first: Checkpoint, last: Checkpoint) -> tuple[bytes, ...] | None:
        """What shows that the two contradict each other, or None when the tiles are not those of the larger one.

        Whoever serves the tiles is not the log: tiles that lead nowhere accuse nobody.
        """
        node, proof = partial(self._reader.node, last.size), tuple[bytes, ...]()
        if first.size < last.size:
            proof = (proofs.root(first.size, node), *proofs.consistency_proof(first.size, last.size, node))
        try:
            verify_split(first, last, proof)
        except ConsistencyError:
            return None
        return proof

    def _twice(self, attempt: Callable[[], tuple[bytes, ...]]) -> tuple[bytes, ...]:
        """A tile that was damaged on its way, once, is in the cache: it is fetched again before anybody is blamed."""
        try:
            return attempt()
        except (InclusionError, ConsistencyError):
            self._reader = TileReader(self._source, blame=NetworkError)
            return attempt()


def _stale(now: Checkpoint, before: Checkpoint) -> StaleError:
    return StaleError(
        f"log {now.origin!r}: it shows size {now.size}, and has shown {before.size} before",
        hint="a stale cache, or the log was rolled back",
    )
