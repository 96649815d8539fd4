# SPDX-License-Identifier: Apache-2.0
"""A log's identity."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from verifiable.ledger.identity import Identity
from verifiable.ledger.note import NoteSigner

ORIGIN = "log.example/test"


def make_identity(origin: str = ORIGIN, seed: int = 1) -> Identity:
    """Ed25519 alone, which is deterministic and fast; the ML-DSA-44 line is in test_directory.py."""
    signer = NoteSigner(name=origin, private=Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))
    return Identity(origin=origin, signers=(signer,), now=lambda: datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="session")
def identity() -> Identity:
    return make_identity()
