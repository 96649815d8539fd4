# SPDX-License-Identifier: Apache-2.0
"""Re-derives a whole log from its entries, and names every object that does not fit.

Where an entry bundle and its tile disagree, the hash one level up says which of the two is wrong; at the right edge, which has
no level above it, the root of the checkpoint says it. Memory does not grow with the log.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from verifiable.errors import Error, FatalStateError
from verifiable.ledger import tiles
from verifiable.ledger.checkpoint import Checkpoint
from verifiable.ledger.storage import Source
from verifiable.ledger.tiles import CHECKPOINT, HASH_SIZE, MAX_CHECKPOINT, TILE_SIZE, WIDTH, Tile
from verifiable.ledger.tree import Edge, subtree

_MAX_DOUBTS = 8
#: Who has signed for 2^60 entries and shows none would otherwise fill our memory with their names.
_MAX_DAMAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One object that is not what it must be; ``path`` is relative to the log."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What :func:`fsck` found. ``checkpoint`` is None when no checkpoint could be read; then nothing else was looked at."""

    checkpoint: Checkpoint | None
    damage: tuple[Damage, ...]

    def require_sound(self) -> None:
        """Raises FatalStateError naming the first damaged object and the number of them."""
        if self.damage:
            first, more = self.damage[0], len(self.damage) - 1
            others = f", and {more} more" if more else ""
            raise FatalStateError(
                f"log: {first.path}: {first.reason}{others}", hint="restore the named files from a copy of the log"
            )


def fsck(
    source: Source,
    read_checkpoint: Callable[[bytes], Checkpoint],
    *,
    head: bytes | None = None,
    progress: Callable[[str, float | None], None] = lambda _phase, _fraction: None,
) -> Report:
    """Check every object of the log in ``source``.

    ``read_checkpoint`` verifies a note and returns what it says (see :meth:`.identity.Identity.open`); ``head`` is the log's
    own record of the last note it signed, where that is at hand. Damage is returned, not raised; NetworkError is raised where
    the source is remote.
    """
    damage: list[Damage] = []
    note = source.read(CHECKPOINT, max_size=MAX_CHECKPOINT)
    published = _opened(note, CHECKPOINT, read_checkpoint, damage)
    signed = None if head is None else _opened(head, "head", read_checkpoint, damage)
    if published and signed and published != signed:
        damage.append(
            Damage(path=CHECKPOINT, reason=f"size {published.size}, but the log has signed another, of size {signed.size}")
        )
    checkpoint = published or signed
    if checkpoint is not None:
        _Walk(source, checkpoint, damage, progress).run()
    return Report(checkpoint=checkpoint, damage=tuple(damage))


def _opened(
    note: bytes | None, path: str, read_checkpoint: Callable[[bytes], Checkpoint], damage: list[Damage]
) -> Checkpoint | None:
    try:
        if note is not None:
            return read_checkpoint(note)
        damage.append(Damage(path=path, reason="missing"))
    except Error as error:
        damage.append(Damage(path=path, reason=str(error)))
    return None


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A tile of the right edge that is not what its children give, and whom to blame if the stored one is right."""

    tile: Tile
    derived: bytes | None
    stored: bytes | None
    children: tuple[Damage, ...]


class _Walk:
    """One pass over the bundles, carrying the roots of full tiles up as they complete."""

    def __init__(
        self, source: Source, checkpoint: Checkpoint, damage: list[Damage], progress: Callable[[str, float | None], None]
    ) -> None:
        self._source, self._damage, self._progress = source, damage, progress
        self._size, self._root = checkpoint.size, checkpoint.root
        self._rows: list[list[bytes]] = [[] for _ in tiles.levels(self._size)]
        self._edge: list[bytes] = [b""] * len(self._rows)
        self._doubts: list[_Doubt] = []

    def run(self) -> None:
        whole = self._size // WIDTH
        for number in range(whole):
            self._full(Tile(level=0, index=number), *self._leaves(number, WIDTH))
            if number % 1024 == 0:
                self._progress("entries", number / whole)
            if len(self._damage) >= _MAX_DAMAGE:
                self._damage.append(
                    Damage(path="tile", reason=f"too much is damaged: not looked at after {(number + 1) * WIDTH} entries")
                )
                return
        for tile in tiles.edge(self._size):
            self._partial(tile)
        self._judge_edge()
        self._older_partials()

    def _leaves(self, number: int, width: int) -> tuple[bytes | None, list[Damage]]:
        """The leaf hashes that bundle ``number`` gives, and the blame if they are wrong."""
        path = tiles.bundle_path(number, width)
        try:
            data = self._source.read(path, max_size=tiles.MAX_BUNDLE)
            if data is None:
                return None, [Damage(path=path, reason="missing")]
            entries = tiles.parse_bundle(data, width)
        except Error as error:
            return None, [Damage(path=path, reason=str(error))]
        hashes = b"".join([sha256(b"\x00" + entry).digest() for entry in entries])
        return hashes, [Damage(path=path, reason="its entries do not hash to the tree")]

    def _full(self, tile: Tile, derived: bytes | None, blame: list[Damage]) -> None:
        stored, wrong = self._stored(tile)
        if derived is None or derived != stored:
            derived = self._judge(tile, derived, stored, blame, wrong)
        self._rise(tile, subtree(derived) if derived is not None else None)

    def _rise(self, tile: Tile, root: bytes | None) -> None:
        """Hand the root of a full tile to the row above, and check the tile there when it completes."""
        if root is None:  # named already; what the parent says stands in, so that the parent is not blamed for it
            root = self._said_above(tile) or bytes(HASH_SIZE)
        row = self._rows[tile.level + 1]
        row.append(root)
        if len(row) == WIDTH:
            above = Tile(level=tile.level + 1, index=tile.index // WIDTH)
            derived = b"".join(row)
            row.clear()
            self._full(above, derived, [])

    def _judge(self, tile: Tile, derived: bytes | None, stored: bytes | None, blame: list[Damage], wrong: Damage) -> bytes | None:
        """Name what is wrong with a full tile; returns its right contents, or None when nobody has them."""
        above = self._said_above(tile)
        if derived is not None and (subtree(derived) == above):
            self._damage.append(wrong)
            return derived
        if stored is not None and subtree(stored) == above:
            self._damage += blame or self._children(tile, derived, stored)
            return stored
        self._damage += [*(blame or self._children(tile, derived, stored)), wrong]
        # Nobody above vouches for either: that is the parent's own damage, if the two below agree with each other.
        return None

    def _partial(self, tile: Tile) -> None:
        derived: bytes | None
        if tile.level == 0:
            derived, blame = self._leaves(tile.index, tile.width)
        else:
            derived, blame = b"".join(self._rows[tile.level]), []
        stored, wrong = self._stored(tile)
        if derived is not None and derived == stored:
            self._edge[tile.level] = derived
            return
        children = tuple(blame or self._children(tile, derived, stored))
        self._doubts.append(_Doubt(tile, derived, stored, children))
        self._damage.append(wrong) if stored is None else None
        self._damage += children if derived is None else ()

    def _judge_edge(self) -> None:
        """Try the derived and the stored version of each doubtful tile until the root is the checkpoint's."""
        choices: list[tuple[bytes, ...]] = [
            tuple(each for each in (doubt.derived, doubt.stored) if each is not None) for doubt in self._doubts[:_MAX_DOUBTS]
        ]
        for chosen in itertools.product(*choices):
            for doubt, hashes in zip(self._doubts, chosen, strict=False):
                self._edge[doubt.tile.level] = hashes
            if len(chosen) == len(self._doubts) and Edge(size=self._size, hashes=tuple(self._edge)).root == self._root:
                self._damage += [
                    each for doubt, hashes in zip(self._doubts, chosen, strict=True) for each in _losers(doubt, hashes)
                ]
                return
        for doubt in self._doubts:
            self._damage += [*doubt.children, Damage(path=doubt.tile.path, reason="is not what its entries give")]
        self._damage.append(Damage(path=CHECKPOINT, reason=f"the tree of {self._size} entries has another root"))

    def _older_partials(self) -> None:
        """What is still served for earlier checkpoints at the edge."""
        for tile in tiles.edge(self._size):
            hashes = self._edge[tile.level]
            for width in range(1, tile.width):
                older = Tile(level=tile.level, index=tile.index, width=width)
                stored, wrong = self._stored(older, missing=False)
                if wrong.reason and stored != hashes[: older.size]:
                    self._damage.append(wrong)
                if tile.level == 0:
                    self._older_bundle(tile.index, width, hashes)

    def _older_bundle(self, number: int, width: int, hashes: bytes) -> None:
        leaves, blame = self._leaves(number, width)
        if leaves != hashes[: width * HASH_SIZE] and blame[0].reason != "missing":
            self._damage += blame

    def _stored(self, tile: Tile, *, missing: bool = True) -> tuple[bytes | None, Damage]:
        """The tile as it is stored, and what to say if that is wrong."""
        try:
            data = self._source.read(tile.path, max_size=TILE_SIZE)
        except Error as error:
            return None, Damage(path=tile.path, reason=str(error))
        if data is None:
            return None, Damage(path=tile.path, reason="missing" if missing else "")
        if len(data) != tile.size:
            return None, Damage(path=tile.path, reason=f"{len(data):,} bytes instead of {tile.size:,}")
        return data, Damage(path=tile.path, reason="is not what its entries give")

    def _said_above(self, tile: Tile) -> bytes | None:
        """The root of this full tile according to the tile above it."""
        number, place = divmod(tile.index, WIDTH)
        width = tiles.width_at(tile.level + 1, number, self._size)
        stored, _ = self._stored(Tile(level=tile.level + 1, index=number, width=width))
        return None if stored is None else stored[place * HASH_SIZE : (place + 1) * HASH_SIZE]

    @staticmethod
    def _children(tile: Tile, derived: bytes | None, stored: bytes | None) -> list[Damage]:
        """The children that lead elsewhere than the tile says, though each fits its own entries."""
        if derived is None or stored is None:
            return []
        return [
            Damage(
                path=Tile(level=tile.level - 1, index=tile.index * WIDTH + place).path,
                reason="and all below it lead to another tree",
            )
            for place in _differences(derived, stored)
        ]


def _losers(doubt: _Doubt, chosen: bytes) -> Sequence[Damage]:
    """What was named before, when one of the two could not be read, is not named again."""
    if doubt.derived is None or doubt.stored is None:
        return ()
    return doubt.children if chosen == doubt.stored else (Damage(path=doubt.tile.path, reason="is not what its entries give"),)


def _differences(one: bytes, other: bytes) -> Iterator[int]:
    for at in range(0, min(len(one), len(other)), HASH_SIZE):
        if one[at : at + HASH_SIZE] != other[at : at + HASH_SIZE]:
            yield at // HASH_SIZE
