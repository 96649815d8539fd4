# SPDX-License-Identifier: Apache-2.0
"""Runs a command and watches it: killed when it takes too long, or when it and its children hold too much memory.

What counts is resident memory. A limit set by the kernel would count what is only reserved, and show as a crash somewhere inside
a library instead of as a limit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from verifiable.errors import FatalStateError

POLL_SECONDS = 0.1


class Over(Exception):  # noqa: N818 - a limit, not an error
    """A limit was, or would be, exceeded; its text says which."""


class Ended(NamedTuple):
    """Exit code (negative: a signal) and standard error."""

    code: int
    said: str

    @property
    def last_line(self) -> str:
        """Of what it said, without hints."""
        lines = [line for line in self.said.splitlines() if line.strip() and not line.startswith("hint:")]
        return lines[-1][:300] if lines else "it said nothing"


def run(
    command: Sequence[str], *, given: str, environment: Mapping[str, str], deadline: float | None, memory: int | None
) -> Ended:  # fmt: skip
    """Run to the end with ``given`` on standard input. ``deadline``: of ``time.monotonic()``; ``memory``: in bytes.

    Raises Over, FatalStateError for a command that cannot be started.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        process = subprocess.Popen(command, env=environment, text=True, errors="replace", **pipes)  # type: ignore[call-overload]
    except OSError as error:
        raise FatalStateError(f"benchmark: cannot start {command[0]}: {error.strerror or error}") from error
    with process:
        try:
            _, said = _communicate(process, given, deadline, memory)
        except BaseException:
            for pid in reversed(list(_family(process.pid))):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise
    return Ended(process.returncode, said)


def _communicate(process: subprocess.Popen[str], given: str, deadline: float | None, memory: int | None) -> tuple[str, str]:
    text: str | None = given
    while True:
        if deadline is not None and time.monotonic() > deadline:
            raise Over("over the limit of time")
        if memory is not None and (held := resident(process.pid)) > memory:
            raise Over(f"over the limit of {memory / 1e9:.3g} GB: {held / 1e9:.3g} GB")
        try:
            return process.communicate(text, timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            text = None


def resident(pid: int) -> int:
    """Bytes of resident memory of a process and all below it; 0 once it is gone."""
    return sum(_own(each) for each in _family(pid))


def _family(pid: int) -> Iterator[int]:
    yield pid
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _read(listed).split():
            yield from _family(int(child))


def _own(pid: int) -> int:
    lines = _read(Path(f"/proc/{pid}/status")).splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it ended in the meantime
        return ""


__all__ = ["POLL_SECONDS", "Ended", "Over", "resident", "run"]
