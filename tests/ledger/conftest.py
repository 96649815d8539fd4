# SPDX-License-Identifier: Apache-2.0
"""A log's identity, and a bench to open logs on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from verifiable.ledger.dedup import DedupIndex
from verifiable.ledger.identity import Identity
from verifiable.ledger.lock import Lock
from verifiable.ledger.log import Log
from verifiable.ledger.note import NoteSigner
from verifiable.ledger.storage import Storage

ORIGIN = "log.example/test"


def make_identity(origin: str = ORIGIN, seed: int = 1) -> Identity:
    """Ed25519 alone, which is deterministic and fast; the ML-DSA-44 line is in test_directory.py."""
    signer = NoteSigner(name=origin, private=Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))
    return Identity(origin=origin, signers=(signer,), now=lambda: datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="session")
def identity() -> Identity:
    return make_identity()


Open = Callable[..., Log]


@pytest.fixture
def open_log(identity: Identity, tmp_path: Path) -> Iterator[Open]:
    """``open_log(public, private)``; whatever is still open at the end is closed."""
    opened: list[Log] = []

    def call(public: Storage, private: Storage, who: Identity = identity, batch: int = 256) -> Log:
        with Lock.acquire(tmp_path / "lock") as lock:
            log = Log(public, private, who, lock=lock, index=DedupIndex(None), batch=batch)
            opened.append(log)
            lock.release = lambda: None  # type: ignore[method-assign] # released by the log's own close, below
        return log

    yield call
    for log in opened:
        log.close()
