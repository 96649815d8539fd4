# SPDX-License-Identifier: Apache-2.0
"""One step of a measurement in a process of its own: what it found, or why it found nothing."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verifiable.bench import child
from verifiable.bench.child import Ended, Over

_STARVED = ("emory allocation", "MemoryError", "Cannot allocate memory", "std::bad_alloc")


class Failed(Exception):  # noqa: N818 - becomes a measurement
    """A step went wrong for another reason than a limit; its text says which."""


def do(
    suite: str,
    job: Mapping[str, Any],
    answer: Path,
    *,
    environment: Mapping[str, str],
    deadline: float | None,
    memory: int | None,
) -> dict[str, Any]:
    """What :mod:`.worker` answers to ``job``, a step of ``suite``, through the new file ``answer``.

    ``deadline``: of ``time.monotonic()``; ``memory``: in bytes. Raises Over, Failed, both naming the step.
    """
    step = job["step"]
    command = [sys.executable, "-P", "-m", "verifiable.bench.worker", suite, str(answer)]
    try:
        ended = child.run(command, given=json.dumps(job), environment=environment, deadline=deadline, memory=memory)
    except Over as over:
        raise Over(f"{step}: {over}") from None
    found: dict[str, Any] = json.loads(answer.read_text()) if answer.exists() else death(ended)
    if found.get("error") == "memory":
        limit = "no limit set" if memory is None else f"limit {memory / 1e9:.3g} GB"
        raise Over(f"{step}: {found['message']} ({limit})")
    if "error" in found:
        raise Failed(f"{step}: {found['message']}")
    return found


def death(ended: Ended) -> dict[str, Any]:
    """What to make of a process that left no answer."""
    how = f"signal {-ended.code}" if ended.code < 0 else f"exit code {ended.code}"
    if ended.code == -signal.SIGKILL or any(words in ended.said for words in _STARVED):
        return {"error": "memory", "message": f"out of memory, {how}"}
    return {"error": "failed", "message": f"died with {how}: {ended.last_line}"}


__all__ = ["Failed", "death", "do"]
