# SPDX-License-Identifier: Apache-2.0
"""Grows one log from size to size through the library, and measures it at each, within limits of memory and time.

Nothing is filled in by other means: every entry up to the last was appended, signed for and made durable like any other. The log
is kept in the benchmark's cache folder, and is gone afterwards.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verifiable.bench import step, workplace
from verifiable.bench.child import Over
from verifiable.bench.ledger import STEPS
from verifiable.bench.ledger.results import Measurement, Spread
from verifiable.bench.ledger.steps import Job
from verifiable.bench.step import Failed
from verifiable.errors import UnsupportedError
from verifiable.zk.system import Limits, Progress, no_progress

#: What the disk needs per entry: the entry, its hashes, its line in the index, and the ends of files.
BYTES = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``entries``: of the largest log; ``runs`` of opening and fsck. ``limits``: of each process's memory, and of the seconds of
    one size.
    """

    entries: int
    runs: int = 3
    limits: Limits = field(default_factory=Limits)


def sizes(entries: int) -> tuple[int, ...]:
    """1,000, 3,000, 10,000, ... up to half of ``entries``, and that."""
    steps = (n * 10**power for power in range(3, 10) for n in (1, 3))
    return (*(size for size in steps if size <= entries // 2), entries)


def measure(options: Options, *, progress: Progress = no_progress) -> Iterator[Measurement]:
    """One Measurement per size, as they come. Raises ConflictError while another benchmark runs here, UnsupportedError when the
    disk has no room for the log.
    """
    cache = workplace.cache_directory()
    with workplace.alone(cache):
        _require_room(cache, options.entries)
        with workplace.folder(cache) as folder:
            for size in sizes(options.entries):
                measuring = _Measuring(size, folder, options, progress)
                yield measuring.result()
                if not measuring.grown:
                    return


def _require_room(cache: Path, entries: int) -> None:
    free = shutil.disk_usage(cache).free
    if entries * BYTES > free:
        raise UnsupportedError(
            f"benchmark: a log of {entries:,} entries takes {entries * BYTES / 1e9:.3g} GB in {cache}, where {free / 1e9:.3g} GB "
            "are free",
            hint="measure a smaller log, or name a folder on a larger disk in VERIFIABLE_CACHE",
        )


class _Measuring:
    """One size. ``grown``: the log has reached it, so a larger one can be measured after it."""

    def __init__(self, entries: int, folder: Path, options: Options, progress: Progress) -> None:
        self._entries, self._folder, self._options, self._progress = entries, folder, options, progress
        self._found: dict[str, dict[str, Any]] = {"seconds": {}, "rates": {}, "bytes": {}, "counts": {}}
        seconds = options.limits.seconds
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self.grown = False

    def result(self) -> Measurement:
        status, reason = "measured", ""
        try:
            for name in STEPS:
                self._progress(f"{self._entries:,} entries: {name}", None)
                self._step(name)
                self.grown = True
        except Over as over:
            status, reason = "measured" if self.grown else "skipped", str(over)
        except Failed as failure:
            status, reason = "failed", str(failure)
        seconds = {name: Spread.of(values) for name, values in self._found.pop("seconds").items()}
        return Measurement(entries=self._entries, status=status, reason=reason, seconds=seconds, **self._found)

    def _step(self, name: str) -> None:
        job = Job(step=name, log=self._folder / "log", entries=self._entries, runs=self._options.runs)
        found = step.do(
            "ledger", job.to_json(), self._folder / f"{name}-{self._entries}.json",
            environment=os.environ, deadline=self._deadline, memory=self._options.limits.memory,
        )  # fmt: skip
        for kind, values in found.items():
            self._found[kind] |= values


__all__ = ["BYTES", "Options", "measure", "sizes"]
