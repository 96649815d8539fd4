# SPDX-License-Identifier: Apache-2.0
"""Making proofs: RFC 9162 §2.1.3.1 (inclusion) and §2.1.4.1 (consistency), and the root, from stored complete subtrees.

Only complete subtrees are ever asked for, so a store that never rewrites a node can answer. An incomplete one is
folded from the complete ones inside it.
"""

from __future__ import annotations

from collections.abc import Callable

from verifiable.errors import ConsistencyError, InclusionError
from verifiable.merkle.compact import fold
from verifiable.merkle.hashing import require_size

#: ``read(level, index)``: the hash of the complete subtree over the 2^level leaves from ``index * 2^level`` on. Raises Error.
NodeReader = Callable[[int, int], bytes]


def root(size: int, read: NodeReader) -> bytes:
    """The root of the tree over the first ``size`` leaves, 32 bytes. Raises MalformedError, and what ``read`` raises."""
    require_size(size, "tree size")
    return fold(read(level, index) for level, index in _cover(0, size))


def compact_range_nodes(size: int) -> tuple[tuple[int, int], ...]:
    """``(level, index)`` of each complete subtree of a tree of ``size`` leaves, left to right."""
    require_size(size, "tree size")
    return tuple(_cover(0, size))


def inclusion_proof(index: int, size: int, read: NodeReader) -> tuple[bytes, ...]:
    """The sibling hashes from leaf ``index`` up to the root of the tree of ``size`` leaves.

    Raises InclusionError when there is no such leaf, MalformedError, and what ``read`` raises.
    """
    require_size(size, "tree size")
    if not 0 <= index < size:
        raise InclusionError(f"no entry {index} in a log of {size}")
    proof: list[tuple[int, int]] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            proof.append((middle, high))
            high = middle
        else:
            proof.append((low, middle))
            low = middle
    return tuple(_subtree(*part, read) for part in reversed(proof))


def consistency_proof(old: int, new: int, read: NodeReader) -> tuple[bytes, ...]:
    """What shows that the tree of ``old`` leaves is a prefix of the tree of ``new`` leaves; empty from size 0 and to itself.

    Raises ConsistencyError when ``old > new``, MalformedError, and what ``read`` raises.
    """
    require_size(old, "old size")
    require_size(new, "new size")
    if old > new:
        raise ConsistencyError(f"a log of {new} entries cannot extend one of {old}")
    if old in {0, new}:
        return ()
    proof: list[tuple[int, int]] = []
    low, high = 0, new
    while old < high:  # SUBPROOF(old - low, D[low:high]); the old tree ends inside this subtree
        middle = low + _split(high - low)
        if old <= middle:
            proof.append((middle, high))
            high = middle
        else:
            proof.append((low, middle))
            low = middle
    if low > 0:  # the verifier knows the old root only where the old tree is this whole subtree
        proof.append((low, high))
    return tuple(_subtree(*part, read) for part in reversed(proof))


def _split(count: int) -> int:
    """The largest power of two below ``count`` (which is 2 or more)."""
    return 1 << ((count - 1).bit_length() - 1)


def _subtree(low: int, high: int, read: NodeReader) -> bytes:
    return fold(read(level, index) for level, index in _cover(low, high))


def _cover(low: int, high: int) -> list[tuple[int, int]]:
    """The complete subtrees over the leaves low..high; ``low`` is a multiple of a power of two that is not below their number."""
    nodes = []
    while low < high:
        level = (high - low).bit_length() - 1
        nodes.append((level, low >> level))
        low += 1 << level
    return nodes
