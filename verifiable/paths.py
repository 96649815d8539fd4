# SPDX-License-Identifier: Apache-2.0
"""Where this machine's own state lives (XDG Base Directory Specification 0.8).

Caches may be deleted at any time and cost only time; data (keys) may not.
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """``$VERIFIABLE_CACHE``, else ``$XDG_CACHE_HOME/verifiable``, else ``~/.cache/verifiable``; not created here."""
    return _directory("VERIFIABLE_CACHE", "XDG_CACHE_HOME", ".cache")


def data_directory() -> Path:
    """``$VERIFIABLE_DATA``, else ``$XDG_DATA_HOME/verifiable``, else ``~/.local/share/verifiable``; not created here."""
    return _directory("VERIFIABLE_DATA", "XDG_DATA_HOME", ".local/share")


def _directory(own: str, xdg: str, fallback: str) -> Path:
    if chosen := os.environ.get(own):
        return Path(chosen).absolute()
    base = os.environ.get(xdg, "")
    # The specification: a relative path here is invalid and is ignored.
    return (Path(base) if Path(base).is_absolute() else Path.home() / fallback) / "verifiable"
