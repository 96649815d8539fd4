# SPDX-License-Identifier: Apache-2.0
"""Measures pieces of evidence one after the other, each in a process of its own, within limits of memory and time.

What cannot be read or does not verify is reported by name, and the rest goes on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from verifiable.bench import step, workplace
from verifiable.bench.child import Over
from verifiable.bench.step import Failed
from verifiable.bench.tee import DEFAULT_RUNS
from verifiable.bench.tee.results import Measurement
from verifiable.bench.tee.steps import Job
from verifiable.bench.tee.subjects import Case, Software
from verifiable.errors import Error
from verifiable.zk.system import Limits, Progress, no_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``runs`` of each time. ``limits``: of each process's memory, and of the seconds of one piece of evidence."""

    runs: int = DEFAULT_RUNS
    limits: Limits = field(default_factory=Limits)


def measure(cases: Sequence[Case | Software], options: Options, *, progress: Progress = no_progress) -> Iterator[Measurement]:
    """One Measurement per case, as they come. Raises ConflictError while another benchmark runs here."""
    cache = workplace.cache_directory()
    with workplace.alone(cache):
        for case in cases:
            with workplace.folder(cache) as folder:
                yield _measured(case, folder, options, progress)


def _measured(case: Case | Software, folder: Path, options: Options, progress: Progress) -> Measurement:
    name, kind, limits = case.name, case.kind or "", options.limits
    deadline = None if limits.seconds is None else time.monotonic() + limits.seconds
    progress(name, None)
    try:
        subject = case.read()
        kind = subject.kind
        job = Job.of(subject, folder, runs=options.runs)
        found = step.do(
            "tee", job.to_json(), folder / "answer.json", environment=os.environ, deadline=deadline, memory=limits.memory
        )
    except Over as over:
        return Measurement(name=name, kind=kind, status="skipped", reason=str(over))
    except (Failed, Error) as failure:
        return Measurement(name=name, kind=kind, status="failed", reason=str(failure))
    seconds = {figure: tuple(values) for figure, values in found["seconds"].items()}
    return Measurement(name=name, kind=kind, seconds=seconds, bytes=found["bytes"])


__all__ = ["Options", "measure"]
