# SPDX-License-Identifier: Apache-2.0
"""Whether a child still does anything: where one of ezkl's threads ends without an answer, the others wait for it for ever.

A panic's message need not appear, so processor time is watched: a prover that computes uses some, and one that waits for the
disk, was stopped, or only lacks a processor is in another state than asleep.
"""

from __future__ import annotations

from pathlib import Path

_INTERVAL = 1.0
# Waiting threads wake up now and then to look around: some hundredths of a second in ten.
_IDLE_TICKS = 20


class Pulse:
    """Of one process, on the caller's clock."""

    def __init__(self, pid: int, now: float) -> None:
        self._tasks = Path(f"/proc/{pid}/task")
        self._looked = self._since = now
        self._ticks = 0

    def asleep(self, now: float) -> float:
        """For how many seconds every thread has been asleep and used no processor to speak of; looks once a second at most."""
        if now - self._looked >= _INTERVAL:
            self._looked = now
            states, ticks = self._look()
            if states != {"S"} or ticks - self._ticks > _IDLE_TICKS:
                self._ticks, self._since = ticks, now
        return now - self._since

    def _look(self) -> tuple[set[str], int]:
        """The threads' states, and their processor time in ticks (proc(5), fields 3, 14 and 15); no state where unreadable."""
        states, ticks = set(), 0
        try:
            for task in self._tasks.iterdir():
                fields = (task / "stat").read_text().rpartition(")")[2].split()
                states.add(fields[0])
                ticks += int(fields[11]) + int(fields[12])
        except OSError:
            return set(), 0
        return states, ticks
