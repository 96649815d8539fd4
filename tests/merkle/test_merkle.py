# SPDX-License-Identifier: Apache-2.0
"""The Merkle core against a naive tree, and with one defect at a time."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.merkle import naive
from verifiable.errors import ConsistencyError, Error, InclusionError, MalformedError
from verifiable.merkle.compact import CompactRange
from verifiable.merkle.hashing import EMPTY_ROOT, leaf_hash, node_hash
from verifiable.merkle.proofs import compact_range_nodes, consistency_proof, inclusion_proof, root
from verifiable.merkle.verify import inclusion_root, verify_consistency, verify_inclusion

SIZES = range(34)


def _entries(count: int) -> list[bytes]:
    return [b"entry %d" % i for i in range(count)]


def _read(entries: list[bytes]):
    def read(level: int, index: int) -> bytes:
        assert (index + 1) << level <= len(entries), "asked for a subtree that is not complete"
        return naive.mth(entries[index << level : (index + 1) << level])

    return read


@pytest.mark.parametrize("size", SIZES)
def test_every_proof_is_the_rfcs_and_verifies(size: int) -> None:
    entries = _entries(size)
    read, top = _read(entries), naive.mth(entries)
    assert root(size, read) == top
    for index in range(size):
        proof = inclusion_proof(index, size, read)
        assert list(proof) == naive.path(index, entries)
        verify_inclusion(leaf_hash(entries[index]), index, size, proof, top)
    for old in range(1, size + 1):
        proof = consistency_proof(old, size, read)
        assert list(proof) == naive.proof(old, entries)
        verify_consistency(old, naive.mth(entries[:old]), size, top, proof)
    assert consistency_proof(0, size, read) == ()
    verify_consistency(0, EMPTY_ROOT, size, top, ())


@pytest.mark.parametrize("size", SIZES)
def test_a_compact_range_has_the_trees_root_and_names_each_completed_node_once(size: int) -> None:
    entries, seen = _entries(size), {}

    def visit(level: int, index: int, value: bytes) -> None:
        assert (level, index) not in seen
        seen[level, index] = value

    edge = CompactRange()
    for entry in entries:
        edge = edge.append(leaf_hash(entry), visit)
    assert edge.root == naive.mth(entries)
    assert edge == CompactRange().extend(map(leaf_hash, entries))
    read = _read(entries)
    assert seen == {(lv, i): read(lv, i) for lv in range(7) for i in range(size >> lv)}
    assert edge.hashes == tuple(seen[node] for node in compact_range_nodes(size))


@given(st.lists(st.binary(max_size=8), max_size=70), st.data())
def test_a_proof_with_one_defect_is_refused(entries: list[bytes], data: st.DataObject) -> None:
    entries.append(b"last")
    size, read, top = len(entries), _read(entries), naive.mth(entries)
    index = data.draw(st.integers(0, size - 1))
    proof, leaf = inclusion_proof(index, size, read), leaf_hash(entries[index])
    verify_inclusion(leaf, index, size, proof, top)
    flipped = data.draw(st.integers(0, 255))
    for bad_leaf, bad_proof, bad_root in _spoilt(leaf, proof, top, flipped):
        with pytest.raises(InclusionError):
            verify_inclusion(bad_leaf, index, size, bad_proof, bad_root)
    with pytest.raises(InclusionError):
        verify_inclusion(leaf, index + size, size, proof, top)

    old = data.draw(st.integers(1, size))
    old_root, proof = naive.mth(entries[:old]), consistency_proof(old, size, read)
    verify_consistency(old, old_root, size, top, proof)
    for bad_old, bad_proof, bad_root in _spoilt(old_root, proof, top, flipped):
        with pytest.raises(ConsistencyError):
            verify_consistency(old, bad_old, size, bad_root, bad_proof)
    with pytest.raises(ConsistencyError):
        verify_consistency(size + 1, top, size, top, ())


def _spoilt(first: bytes, proof: tuple[bytes, ...], top: bytes, bit: int):
    yield _flip(first, bit), proof, top
    yield first, proof, _flip(top, bit)
    yield first, (*proof, top), top
    yield first, (first, *proof), top
    yield first[:-1], proof, top
    yield first, proof, top + b"\0"
    for i in range(len(proof)):
        yield first, (*proof[:i], _flip(proof[i], bit), *proof[i + 1 :]), top
        yield first, (*proof[:i], *proof[i + 1 :]), top
        yield first, (*proof[:i], proof[i][:-1], *proof[i + 1 :]), top


def _flip(value: bytes, bit: int) -> bytes:
    return (int.from_bytes(value, "big") ^ 1 << bit).to_bytes(len(value), "big")


def test_a_node_is_no_leaf() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)
    with pytest.raises(InclusionError):
        verify_inclusion(leaf_hash(left + right), 0, 1, (), node_hash(left, right))


@pytest.mark.parametrize("new", [0, 1, 5])
def test_from_nothing_only_the_empty_root_will_do(new: int) -> None:
    top = naive.mth(_entries(new))
    with pytest.raises(ConsistencyError):
        verify_consistency(0, leaf_hash(b""), new, top, ())
    with pytest.raises(ConsistencyError):
        verify_consistency(0, EMPTY_ROOT, new, top, (top,))


def test_the_empty_log_has_no_other_root() -> None:
    with pytest.raises(ConsistencyError):
        verify_consistency(0, leaf_hash(b""), 0, leaf_hash(b""), ())


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: inclusion_proof(3, 3, _read(_entries(3))), InclusionError),
        (lambda: inclusion_proof(-1, 3, _read(_entries(3))), InclusionError),
        (lambda: consistency_proof(4, 3, _read(_entries(3))), ConsistencyError),
        (lambda: root(-1, _read([])), MalformedError),
        (lambda: root(1 << 63, _read([])), MalformedError),
        (lambda: CompactRange(size=3, hashes=(EMPTY_ROOT,)), MalformedError),
        (lambda: CompactRange(size=1, hashes=(b"short",)), MalformedError),
        (lambda: CompactRange().append(b"short"), MalformedError),
    ],
)
def test_what_no_tree_has_is_an_error(make, error: type[Error]) -> None:
    with pytest.raises(error):
        make()


_NUMBERS, _BYTES = st.integers(-2, 1 << 64), st.binary(max_size=40)


@given(_NUMBERS, _NUMBERS, _BYTES, _BYTES, st.lists(_BYTES))
def test_nothing_but_our_errors_leaves_the_verifiers(a: int, b: int, x: bytes, y: bytes, proof: list[bytes]) -> None:
    for call in (lambda: verify_inclusion(x, a, b, proof, y), lambda: verify_consistency(a, x, b, y, proof)):
        with contextlib.suppress(Error):
            call()


@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_a_proof_longer_than_the_tree_is_high_leads_nowhere(size: int) -> None:
    """Also where the root is not given but found: a receipt that signs the root alone would else hold for a taller tree."""
    entries = _entries(size)
    read, leaf, extra = _read(entries), leaf_hash(entries[-1]), leaf_hash(b"")
    proof = (*inclusion_proof(size - 1, size, read), extra)
    with pytest.raises(InclusionError, match="longer than the tree is high"):
        inclusion_root(leaf, size - 1, size, proof)
    if size > 1:
        with pytest.raises(ConsistencyError, match="longer than the tree is high"):
            verify_consistency(1, naive.mth(entries[:1]), size, naive.mth(entries), (*consistency_proof(1, size, read), extra))
