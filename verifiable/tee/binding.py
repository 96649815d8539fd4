# SPDX-License-Identifier: Apache-2.0
"""What the hardware is asked to sign for us, so that its evidence is about one key or one receipt (docs/formats/attestation.md).

Two scopes. ``key``: this key was made for, and is held by, what was measured; attested once, it stands behind every receipt
signed with the key. ``receipt``: this very claim was made there. Their domain tags differ, so neither passes for the other.
"""

from __future__ import annotations

import hashlib

from verifiable.digest import Digest
from verifiable.errors import BindingError, MalformedError

SCOPES = ("key", "receipt")
SIZE = 64
MAX_NONCE_SIZE = 64
_TAGS = {"key": b"verifiable/tee/key/v1", "receipt": b"verifiable/tee/receipt/v1"}
_ZERO = bytes(32)
#: An SPDM nonce has 32 bytes (DSP0274, GET_MEASUREMENTS): the front of the 64.
_SIZES = {"nvidia": 32}


def report_data(*, key: Digest, nonce: bytes = b"", claim: Digest | None = None) -> bytes:
    """64 bytes: SHA-512 of ``tag NUL key u64le(len(nonce)) nonce claim``; without ``claim`` the scope is the key, and 32 zeros
    stand for it.

    ``key``: the receipt key's fingerprint; ``nonce``: the caller's challenge, at most 64 bytes, empty for none; ``claim``:
    :meth:`verifiable.claim.Claim.attested_digest`. Raises MalformedError.
    """
    if len(nonce) > MAX_NONCE_SIZE:
        raise MalformedError(f"attestation nonce: {len(nonce)} bytes, at most {MAX_NONCE_SIZE} are allowed")
    tag = _TAGS["key" if claim is None else "receipt"]
    parts = (tag, b"\0", key.value, len(nonce).to_bytes(8, "little"), nonce, _ZERO if claim is None else claim.value)
    return hashlib.sha512(b"".join(parts)).digest()


def for_kind(kind: str, data: bytes) -> bytes:
    """As much of the 64 bytes as hardware of this kind signs."""
    return data[: _SIZES.get(kind, SIZE)]


def check_binding(kind: str, found: bytes, expected: bytes) -> None:
    """That evidence of ``kind`` with this report data was made for ``expected``. Raises BindingError."""
    if found != for_kind(kind, expected):
        raise BindingError(f"the {kind} evidence was not made for this key, nonce and claim: its report data is another")


__all__ = ["MAX_NONCE_SIZE", "SCOPES", "SIZE", "check_binding", "for_kind", "report_data"]
