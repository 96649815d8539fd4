# SPDX-License-Identifier: Apache-2.0
"""Keeping a proof within its deadline, which is looked at before every phase."""

from __future__ import annotations

import time

from verifiable.errors import FatalStateError
from verifiable.zk.system import Limits, Progress


class Watch:
    """Passes phases on to ``progress``. Called with the next phase; raises FatalStateError once the deadline has passed."""

    def __init__(self, *, limits: Limits, progress: Progress) -> None:
        self._progress = progress
        self._seconds = limits.seconds
        self._started = time.monotonic()

    def __call__(self, phase: str, fraction: float | None) -> None:
        if self._seconds is not None and time.monotonic() - self._started > self._seconds:
            raise FatalStateError(f"the deadline of {self._seconds:g} s passed before {phase}", hint="allow more with --timeout")
        self._progress(phase, fraction)
