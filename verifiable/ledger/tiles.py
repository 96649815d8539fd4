# SPDX-License-Identifier: Apache-2.0
"""Paths, arithmetic and entry bundles of C2SP tlog-tiles: pure functions, no I/O.

A tile holds up to 256 hashes of one level: tile N of level L covers the entries from ``N * 256**(L+1)`` on, and each hash in it
is the root of 256**L entries. An entry bundle holds the entries themselves, under the same index as the level-0 tile of their
hashes. Source: https://c2sp.org/tlog-tiles, read at C2SP commit 5ba5ee8.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from verifiable.errors import MalformedError

HEIGHT = 8
WIDTH = 1 << HEIGHT
HASH_SIZE = 32
TILE_SIZE = WIDTH * HASH_SIZE
MAX_ENTRY = (1 << 16) - 1
MAX_BUNDLE = WIDTH * (2 + MAX_ENTRY)
#: Sizes are written in decimal and kept below 2^63, as C2SP asks.
MAX_SIZE = (1 << 63) - 1
CHECKPOINT = "checkpoint"
MAX_CHECKPOINT = 1 << 19


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A tile by its place. ``width`` is the number of hashes, 1 to 256; below 256 it is partial."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        return f"tile/{self.level}/{_number(self.index)}{_suffix(self.width)}"

    @property
    def size(self) -> int:
        return self.width * HASH_SIZE


def bundle_path(index: int, width: int = WIDTH) -> str:
    """Where the entry bundle of ``width`` entries from ``index * 256`` on is."""
    return f"tile/entries/{_number(index)}{_suffix(width)}"


def partials(path: str) -> str:
    """The folder of the partial versions of the full tile or bundle at ``path``."""
    return f"{path}.p"


def width_at(level: int, index: int, size: int) -> int:
    """How many hashes tile ``index`` of ``level`` has in a tree of ``size`` entries: 0 (no such tile) to 256."""
    return max(0, min(WIDTH, (size >> HEIGHT * level) - index * WIDTH))


def levels(size: int) -> range:
    """The levels that have a tile in a tree of ``size`` entries."""
    return range(next(level for level in count() if size >> HEIGHT * level == 0))


def edge(size: int) -> Iterator[Tile]:
    """The partial tiles of a tree of ``size`` entries, lowest level first; a level whose tiles are all full has none."""
    for level in levels(size):
        whole, width = divmod(size >> HEIGHT * level, WIDTH)
        if width:
            yield Tile(level=level, index=whole, width=width)


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Each entry after its length as a big-endian uint16. Raises MalformedError for an entry that does not fit."""
    for entry in entries:
        check_entry(entry)
    return b"".join([part for entry in entries for part in (len(entry).to_bytes(2, "big"), entry)])


def parse_bundle(data: bytes, width: int, *, what: str = "entry bundle") -> list[bytes]:
    """Exactly ``width`` entries, and nothing after them. Raises MalformedError."""
    entries, at, end = [], 0, len(data)
    for _ in range(width):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        entries.append(data[start:at])
    # Slices never raise: a bundle that ends early shows here, because ``at`` moves on by what the lengths promise.
    if at != end:
        raise MalformedError(f"{what}: {end:,} bytes are not {width} length-prefixed entries")
    return entries


def check_entry(entry: bytes) -> None:
    """Raises MalformedError for an entry whose length does not fit its uint16 prefix."""
    if len(entry) > MAX_ENTRY:
        raise MalformedError(
            f"log entry: {len(entry):,} bytes is more than the {MAX_ENTRY:,} allowed",
            hint="log digests; keep the data in a blob store",
        )


def _number(index: int) -> str:
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03d}")
    return "/".join(reversed(groups))


def _suffix(width: int) -> str:
    return "" if width == WIDTH else f".p/{width}"
