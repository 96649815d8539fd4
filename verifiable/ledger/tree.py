# SPDX-License-Identifier: Apache-2.0
"""The tree as tiles: growing it at its right edge, and reading hashes of it for proofs.

Appending needs only the edge (the partial tile of each level and the partial bundle): at most 255 hashes a level, whatever the
size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from verifiable.errors import Error, FatalStateError, MalformedError
from verifiable.ledger import tiles
from verifiable.ledger.storage import Source
from verifiable.ledger.tiles import HASH_SIZE, HEIGHT, TILE_SIZE, WIDTH, Tile
from verifiable.merkle.hashing import EMPTY_ROOT, leaf_hash, node_hash

_CACHED_TILES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """The right edge of a tree of ``size`` entries: ``hashes[L]`` are those of the partial tile of level L, ``bundle`` its
    entries.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()
    bundle: bytes = b""

    @classmethod
    def load(cls, source: Source, size: int) -> Edge:
        """Read at most one tile per level and one bundle. Raises FatalStateError for what is missing or does not fit together."""
        hashes = [b""] * len(tiles.levels(size))
        for tile in tiles.edge(size):
            hashes[tile.level] = read_tile(source, tile)
        width = size % WIDTH
        bundle = read_bundle(source, size // WIDTH, width) if width else b""
        if bundle and b"".join(map(leaf_hash, _parsed(bundle, size // WIDTH, width))) != hashes[0]:
            bad, tile = tiles.bundle_path(size // WIDTH, width), Tile(level=0, index=size // WIDTH, width=width)
            raise FatalStateError(f"log: {bad} does not hold the entries of {tile.path}", hint="run fsck")
        return cls(size=size, hashes=tuple(hashes), bundle=bundle)

    @property
    def root(self) -> bytes:
        """The RFC 9162 tree hash: the peaks of the tree, folded from the right."""
        root = b""
        for hashes in self.hashes:
            for peak in reversed([*_peaks(hashes)]):
                root = node_hash(peak, root) if root else peak
        return root or EMPTY_ROOT

    def extend(self, entries: Sequence[bytes]) -> tuple[Edge, dict[str, bytes]]:
        """The edge after ``entries``, and the tiles and bundles that are new, by path. Raises MalformedError (entry too long)."""
        objects: dict[str, bytes] = {}
        bundle = self._bundles(entries, objects)
        levels: list[bytes] = []
        new, level = b"".join(map(leaf_hash, entries)), 0
        while new or level < len(self.hashes):
            before = self.hashes[level] if level < len(self.hashes) else b""
            partial, new = self._level(level, before, new, objects)
            levels.append(partial)
            level += 1
        return Edge(size=self.size + len(entries), hashes=tuple(levels), bundle=bundle), objects

    def _bundles(self, entries: Sequence[bytes], objects: dict[str, bytes]) -> bytes:
        index, width = divmod(self.size, WIDTH)
        bundle, at = self.bundle, 0
        while at < len(entries):
            some = entries[at : at + WIDTH - width]
            bundle += tiles.encode_bundle(some)
            at, width = at + len(some), width + len(some)
            objects[tiles.bundle_path(index, width)] = bundle
            if width == WIDTH:
                index, width, bundle = index + 1, 0, b""
        return bundle

    def _level(self, level: int, before: bytes, new: bytes, objects: dict[str, bytes]) -> tuple[bytes, bytes]:
        """Write a level's full tiles and its partial one; return the hashes of the partial one and the roots of the full ones."""
        index = (self.size >> HEIGHT * level) // WIDTH
        data, roots = before + new, []
        while len(data) >= TILE_SIZE:
            objects[Tile(level=level, index=index).path] = data[:TILE_SIZE]
            roots.append(subtree(data[:TILE_SIZE]))
            data, index = data[TILE_SIZE:], index + 1
        if new and data:
            objects[Tile(level=level, index=index, width=len(data) // HASH_SIZE).path] = data
        return data, b"".join(roots)


class TileReader:
    """Hashes of any complete subtree of a log of ``size`` entries, out of its tiles; what a proof is made of.

    ``blame`` is raised for a tile that is missing: FatalStateError in one's own log, NetworkError in somebody else's.
    """

    def __init__(self, source: Source, *, blame: type[Error] = FatalStateError) -> None:
        self._source, self._blame = source, blame
        self._cached = lru_cache(maxsize=_CACHED_TILES)(self._read)

    def node(self, size: int, level: int, index: int) -> bytes:
        """The root of the leaves ``index * 2**level`` to ``(index + 1) * 2**level``, all within ``size``."""
        row, height = divmod(level, HEIGHT)
        number, place = divmod(index << height, WIDTH)
        width = tiles.width_at(row, number, size)
        assert place + (1 << height) <= width, (size, level, index)
        start = place * HASH_SIZE
        return subtree(self._cached(row, number, width)[start : start + (HASH_SIZE << height)])

    def leaf(self, size: int, index: int) -> bytes:
        """The leaf hash of entry ``index``."""
        return self.node(size, 0, index)

    def _read(self, level: int, index: int, width: int) -> bytes:
        return read_tile(self._source, Tile(level=level, index=index, width=width), blame=self._blame)


def read_tile(source: Source, tile: Tile, *, blame: type[Error] = FatalStateError) -> bytes:
    """The hashes of ``tile``; of a partial one also out of the full one, once that has taken its place. Raises MalformedError."""
    data = source.read(tile.path, max_size=TILE_SIZE)
    if data is None and tile.width < WIDTH:
        full = Tile(level=tile.level, index=tile.index)
        data = source.read(full.path, max_size=TILE_SIZE)
        data = data[: tile.size] if data is not None and len(data) == TILE_SIZE else None
    if data is None:
        raise blame(f"log: {tile.path} is missing", hint="the log is damaged or incomplete; run fsck on it")
    if len(data) != tile.size:
        raise MalformedError(f"log: {tile.path} has {len(data):,} bytes instead of {tile.size:,}")
    return data


def read_bundle(source: Source, index: int, width: int, *, blame: type[Error] = FatalStateError) -> bytes:
    """The first ``width`` entries of bundle ``index``, still encoded; out of the full bundle when only that is left."""
    path = tiles.bundle_path(index, width)
    data = source.read(path, max_size=tiles.MAX_BUNDLE)
    if data is None and width < WIDTH:
        data = source.read(tiles.bundle_path(index), max_size=tiles.MAX_BUNDLE)
        if data is not None:
            return tiles.encode_bundle(_parsed(data, index, WIDTH)[:width])
    if data is None:
        raise blame(f"log: {path} is missing", hint="the log is damaged or incomplete; run fsck on it")
    return data


def read_entries(source: Source, index: int, width: int, *, blame: type[Error] = FatalStateError) -> list[bytes]:
    """The first ``width`` entries of bundle ``index``. Raises MalformedError."""
    return _parsed(read_bundle(source, index, width, blame=blame), index, width)


def entries_between(source: Source, start: int, end: int, *, blame: type[Error] = FatalStateError) -> Iterator[bytes]:
    """Entries ``start`` up to, not including, ``end``, as the bundles have them; nothing is compared with the tree."""
    for number in range(start // WIDTH, -(-end // WIDTH)):
        found = read_entries(source, number, tiles.width_at(0, number, end), blame=blame)
        yield from found[max(start - number * WIDTH, 0) :]


def subtree(hashes: bytes) -> bytes:
    """The root over a power of two of concatenated hashes. Slices of one buffer: twice as fast as node_hash on pairs."""
    while len(hashes) > HASH_SIZE:
        hashes = b"".join([sha256(b"\x01" + hashes[at : at + 64]).digest() for at in range(0, len(hashes), 64)])
    return hashes


def _peaks(hashes: bytes) -> Iterator[bytes]:
    """The roots of the maximal complete subtrees of a partial tile, from the left."""
    at = 0
    for bit in reversed(range(HEIGHT)):
        if len(hashes) // HASH_SIZE >> bit & 1:
            yield subtree(hashes[at : at + (HASH_SIZE << bit)])
            at += HASH_SIZE << bit


def _parsed(data: bytes, index: int, width: int) -> list[bytes]:
    return tiles.parse_bundle(data, width, what=f"log: {tiles.bundle_path(index, width)}")
