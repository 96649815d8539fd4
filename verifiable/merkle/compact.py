# SPDX-License-Identifier: Apache-2.0
"""The right edge of a tree: all that is needed to append to it and to know its root.

A tree of n leaves is a row of complete subtrees, one per set bit of n, the largest on the left. Their hashes are its compact
range; appending a leaf merges subtrees of equal size from the right, as a carry does in binary addition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from verifiable.errors import MalformedError
from verifiable.merkle.hashing import EMPTY_ROOT, node_hash, require_hash, require_size

#: ``visit(level, index, hash)``: the subtree over the leaves ``index * 2^level`` up to ``(index + 1) * 2^level`` is complete.
Visitor = Callable[[int, int, bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactRange:
    """``hashes``: the complete subtrees of a tree of ``size`` leaves, left to right. Raises MalformedError unless they fit."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        require_size(self.size, "compact range: size")
        if len(self.hashes) != self.size.bit_count():
            raise MalformedError(
                f"compact range: {len(self.hashes)} hashes where a tree of {self.size} leaves has {self.size.bit_count()}"
            )
        for value in self.hashes:
            require_hash(value, "compact range")

    @property
    def root(self) -> bytes:
        """The tree's root, 32 bytes."""
        return fold(self.hashes)

    def append(self, leaf: bytes, visit: Visitor | None = None) -> CompactRange:
        """With one more leaf hash; see :meth:`extend`."""
        return self.extend((leaf,), visit)

    def extend(self, leaves: Iterable[bytes], visit: Visitor | None = None) -> CompactRange:
        """With these leaf hashes appended, in order.

        ``visit`` is called once for each node that becomes complete, the leaves themselves (level 0) included, children before
        their parent. Raises MalformedError.
        """
        size, hashes = self.size, list(self.hashes)
        for leaf in leaves:
            require_hash(leaf, "leaf hash")
            level, index, value = 0, size, leaf
            if visit:
                visit(level, index, value)
            while index & 1:
                level, index, value = level + 1, index >> 1, node_hash(hashes.pop(), value)
                if visit:
                    visit(level, index, value)
            hashes.append(value)
            size += 1
        return CompactRange(size=size, hashes=tuple(hashes))


def fold(hashes: Iterable[bytes]) -> bytes:
    """The root over adjacent complete subtrees of falling size, left to right; EMPTY_ROOT for none."""
    *rest, value = tuple(hashes) or (EMPTY_ROOT,)
    for left in reversed(rest):
        value = node_hash(left, value)
    return value
