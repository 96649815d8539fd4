# SPDX-License-Identifier: Apache-2.0
"""Judging proofs: the algorithms of RFC 9162 §2.1.3.2 and §2.1.4.2, step by step.

A proof is false in one way only, whatever is wrong with it: a hash too many, too few, too short or of another tree are
all an InclusionError or a ConsistencyError, since none of them says which side lied.
"""

from __future__ import annotations

from collections.abc import Sequence

from verifiable.errors import ConsistencyError, InclusionError
from verifiable.merkle.hashing import EMPTY_ROOT, HASH_SIZE, MAX_SIZE, node_hash


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return when the entry with the leaf hash ``leaf`` is number ``index`` of the tree of ``size`` leaves with this ``root``.

    Hashes are 32 bytes; ``proof`` runs from the leaf's sibling to the root's child. Raises InclusionError.
    """
    if inclusion_root(leaf, index, size, proof) != root:
        raise InclusionError(f"entry {index} of {size}: the proof leads to another root")


def inclusion_root(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that ``proof`` leads to from the leaf hash ``leaf`` at ``index`` of ``size``. Nobody has vouched for it yet.

    Raises InclusionError when no tree of that size has a proof of this shape.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise InclusionError(f"entry {index} is not in a log of {size}")
    if any(len(value) != HASH_SIZE for value in (leaf, *proof)):
        raise InclusionError(f"entry {index} of {size}: not every hash has {HASH_SIZE} bytes")
    at, last, value = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise InclusionError(f"entry {index} of {size}: the proof is longer than the tree is high")
        if at & 1 or at == last:
            value = node_hash(sibling, value)
            while not at & 1 and at:  # levels on the right edge where this node has no sibling
                at, last = at >> 1, last >> 1
        else:
            value = node_hash(value, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise InclusionError(f"entry {index} of {size}: the proof is too short")
    return value


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return when the tree of ``old_size`` leaves with ``old_root`` is a prefix of that of ``new_size`` with ``new_root``.

    From size 0 the proof is empty and the old root must be the empty tree's: every tree extends that one, and no
    other root belongs to it. Raises ConsistencyError.
    """
    if not 0 <= old_size <= new_size <= MAX_SIZE:
        raise ConsistencyError(f"a log of {new_size} entries cannot extend one of {old_size}")
    for size, root in ((old_size, old_root), (new_size, new_root)):
        if size == 0 and root != EMPTY_ROOT:
            raise ConsistencyError("size 0: the root is not that of the empty log")
    if old_size in {0, new_size} and proof:
        raise ConsistencyError(f"sizes {old_size} and {new_size}: there is nothing to prove, and yet a proof")
    if old_size == new_size:
        if old_root != new_root:
            raise ConsistencyError(f"two different roots for one size, {old_size}: the log showed two histories")
        return
    if any(len(value) != HASH_SIZE for value in (old_root, new_root, *proof)):
        raise ConsistencyError(f"sizes {old_size} and {new_size}: not every hash has {HASH_SIZE} bytes")
    if old_size == 0:
        return
    found_old, found_new = _fold_both(old_size, old_root, new_size, proof)
    if found_old != old_root:
        raise ConsistencyError(f"sizes {old_size} and {new_size}: the proof does not lead to the old root")
    if found_new != new_root:
        raise ConsistencyError(f"sizes {old_size} and {new_size}: the proof does not lead to the new root")


def _fold_both(old_size: int, old_root: bytes, new_size: int, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The two roots that the proof leads to, for ``0 < old_size < new_size``."""
    path = list(proof)
    if old_size & (old_size - 1) == 0:  # a complete tree: the proof leaves its root out
        path.insert(0, old_root)
    if not path:
        raise ConsistencyError(f"sizes {old_size} and {new_size}: the proof is empty")
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ConsistencyError(f"sizes {old_size} and {new_size}: the proof is longer than the tree is high")
        if at & 1 or at == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise ConsistencyError(f"sizes {old_size} and {new_size}: the proof is too short")
    return old, new
