# SPDX-License-Identifier: Apache-2.0
"""Fixtures for every suite: a home of one's own, and the recorded material where it is present."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def isolated_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees or leaves a key, a setup or a cached file in the real home directory."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("VERIFIABLE_CACHE", str(home / "cache"))
    monkeypatch.setenv("VERIFIABLE_DATA", str(home / "data"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    return home


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the source tree."""
    return _CHECKOUT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Recorded material that is not part of the project; tests that need it skip where it is absent."""
    candidates = [Path(p) for p in (os.environ.get("VERIFIABLE_SHARED"),) if p] or [_CHECKOUT.parent / "shared"]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    pytest.skip(f"recorded material is not here ({candidates[0]}); set VERIFIABLE_SHARED to its folder")
