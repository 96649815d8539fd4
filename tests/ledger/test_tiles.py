# SPDX-License-Identifier: Apache-2.0
"""Paths and arithmetic against the examples of c2sp.org/tlog-tiles, the tree against naive hashing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.log_storage import MemoryStorage
from verifiable.errors import FatalStateError, MalformedError
from verifiable.ledger import tiles
from verifiable.ledger.stage import Stage
from verifiable.ledger.tiles import Tile, bundle_path, encode_bundle, parse_bundle, width_at
from verifiable.ledger.tree import Edge, TileReader, subtree
from verifiable.merkle import proofs
from verifiable.merkle.hashing import EMPTY_ROOT, leaf_hash, node_hash


def test_the_specifications_paths() -> None:
    assert Tile(level=0, index=1234067).path == "tile/0/x001/x234/067"
    assert Tile(level=3, index=0, width=7).path == "tile/3/000.p/7"
    assert bundle_path(999) == "tile/entries/999"
    assert bundle_path(1000, 255) == "tile/entries/x001/000.p/255"


def test_the_specifications_tree_of_70_000() -> None:
    assert [(t.level, t.index, t.width) for t in tiles.edge(70_000)] == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert [width_at(0, i, 70_000) for i in (0, 272, 273, 274)] == [256, 256, 112, 0]
    assert [(t.level, t.index, t.width) for t in tiles.edge(256)] == [(1, 0, 1)]
    assert [*tiles.edge(0)] == []


@given(st.lists(st.binary(max_size=300), max_size=40))
def test_bundles_round_trip(entries: list[bytes]) -> None:
    assert parse_bundle(encode_bundle(entries), len(entries)) == entries


@given(st.binary(max_size=64), st.integers(0, 5))
def test_a_bundle_is_canonical_or_refused(data: bytes, width: int) -> None:
    try:
        entries = parse_bundle(data, width)
    except MalformedError:
        return
    assert encode_bundle(entries) == data


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\2a", b"\0\1ab", b"\0\1a\0", b"\xff\xffa"])
def test_a_cut_or_overlong_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_bundle(data, 1)


def test_an_entry_is_at_most_65535_bytes() -> None:
    encode_bundle([bytes(65_535)])
    with pytest.raises(MalformedError, match="65,536"):
        encode_bundle([bytes(65_536)])


def _naive(leaves: list[bytes]) -> bytes:
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(_naive(leaves[:split]), _naive(leaves[split:]))


def test_subtree_is_node_hash_on_pairs() -> None:
    leaves = [leaf_hash(bytes([i])) for i in range(8)]
    assert subtree(b"".join(leaves)) == _naive(leaves)


@given(st.lists(st.integers(0, 300), max_size=6))
def test_growing_in_any_steps_gives_the_naive_root_and_readable_tiles(steps: list[int]) -> None:
    storage, edge, entries = MemoryStorage(), Edge(), []
    for step, count in enumerate(steps):
        batch = [b"%d %d" % (step, i) for i in range(count)]
        edge, objects = edge.extend(batch)
        storage.create(objects)
        entries += batch
        assert edge == Edge.load(storage, len(entries))
    assert edge.root == _naive([leaf_hash(entry) for entry in entries])
    reader, size = TileReader(storage), len(entries)
    assert proofs.root(size, lambda level, index: reader.node(size, level, index)) == edge.root


def test_a_reader_falls_back_on_the_full_tile() -> None:
    storage = MemoryStorage()
    edge, objects = Edge().extend([b"%d" % i for i in range(200)])
    _, more = edge.extend([b"%d" % i for i in range(200, 256)])
    assert objects.keys() == {"tile/0/000.p/200", "tile/entries/000.p/200"}
    storage.create(more)  # without the partial ones
    assert Edge.load(storage, 200) == edge


def test_a_damaged_stage_is_not_replayed() -> None:
    stage = Stage(size=3, root=bytes(32), entries=(b"one", b""))
    data = stage.encode()
    assert Stage.parse(data) == stage
    for at in range(len(data)):
        with pytest.raises(FatalStateError, match="damaged"):
            Stage.parse(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
