# SPDX-License-Identifier: Apache-2.0
"""Leaf and node hashes of RFC 6962 §2.1 (RFC 9162 §2.1.1), with SHA-256.

The leading byte separates leaves from nodes; without it a node's preimage could be presented as a leaf.
"""

from __future__ import annotations

import hashlib

from verifiable.errors import MalformedError

HASH_SIZE = 32
#: Sizes and indices are below 2^63, as in tlog-witness and in the signed integers of most readers.
MAX_SIZE = (1 << 63) - 1
#: The root of the tree without leaves: SHA-256 of nothing.
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data): the hash of one entry."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right): the hash over two subtrees, each 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def require_hash(value: bytes, what: str) -> None:
    """Raise MalformedError unless ``value`` has 32 bytes: another length would move the border between two children."""
    if len(value) != HASH_SIZE:
        raise MalformedError(f"{what}: {len(value)} bytes where a hash has {HASH_SIZE}")


def require_size(value: int, what: str) -> None:
    """Raise MalformedError unless ``0 <= value < 2^63``."""
    if not 0 <= value <= MAX_SIZE:
        raise MalformedError(f"{what}: {value} is outside 0 to 2^63 - 1")
