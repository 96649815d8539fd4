# SPDX-License-Identifier: Apache-2.0
"""Measures models one after the other, each step in a process of its own, within limits of memory and time.

What would exceed a limit, or does, is skipped with its reason; what fails is reported by name, and the rest goes on. Everything
is kept in a cache folder of the benchmark's own, with its own development setups; keys and circuits are gone afterwards.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from verifiable.bench import child, step, workplace
from verifiable.bench.child import Over
from verifiable.bench.prove import STOCK, SYSTEMS
from verifiable.bench.prove.results import Measurement
from verifiable.bench.prove.steps import STEPS, Job
from verifiable.bench.prove.subjects import TINY, Size, Subject, find
from verifiable.bench.step import Failed
from verifiable.bench.timing import repeat, timed
from verifiable.errors import Error
from verifiable.zk.system import Limits, Progress, no_progress

#: What ezkl takes per multiply-add, at the low end of MLPs and LeNet-5 on two cores: good enough to skip what is hopeless.
EZKL_BYTES, EZKL_SECONDS = 5000, 5e-5
#: Multiply-adds above which ezkl is measured only when it is asked for.
CHEAP = 150_000
_NO_SIZE = Size(parameters=0, activations=0, multiply_adds=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``systems``: those to measure, or empty for all of them, the expensive only with ``everything``; ``runs`` per time.

    ``limits``: of every process's memory in bytes, and of the seconds of one model with one system. ``command``: how to start
    the command line, to time ``prove`` from start to exit; empty: not timed.
    """

    systems: tuple[str, ...] = ()
    everything: bool = False
    runs: int = 3
    limits: Limits = field(default_factory=Limits)
    command: tuple[str, ...] = ()


def measure(names: Sequence[str], options: Options, *, progress: Progress = no_progress) -> Iterator[Measurement]:
    """One Measurement per model and system, as they come. Raises ConflictError while another benchmark runs here."""
    cache = workplace.cache_directory()
    with workplace.alone(cache):
        if "sumcheck" in (options.systems or SYSTEMS):
            _warm_up(cache, options, progress)
        for name in names:
            with workplace.folder(cache) as folder:
                yield from _subject(name, folder, cache, options, progress)


def _subject(name: str, folder: Path, cache: Path, options: Options, progress: Progress) -> Iterator[Measurement]:
    systems = [system for system in SYSTEMS if system in (options.systems or SYSTEMS)]
    try:
        progress(f"{name}: reading", None)
        subject = find(name, folder)
    except Error as error:
        for system in systems:
            yield Measurement(model=name, system=system, size=_NO_SIZE, status="failed", reason=str(error))
        return
    for system in systems:
        with workplace.folder(cache) as own:
            yield _Measuring(subject, system, options, folder=own, cache=cache, progress=progress).result()


def _warm_up(cache: Path, options: Options, progress: Progress) -> None:
    """Prove something tiny: the first proof on a machine compiles loops for a minute, and that is nobody's figure."""
    progress("warming up", None)
    with workplace.folder(cache) as folder, workplace.folder(cache) as own:
        subject = find(TINY, folder)
        tiny = replace(options, systems=("sumcheck",), runs=1, limits=Limits(), command=())
        _Measuring(subject, "sumcheck", tiny, folder=own, cache=cache, progress=no_progress).result()


class _Measuring:
    """One model with one system."""

    def __init__(self, subject: Subject, system: str, options: Options, *, folder: Path, cache: Path, progress: Progress) -> None:
        self._subject, self._system, self._options, self._progress = subject, system, options, progress
        self._folder, self._cache = folder, cache
        self._seconds: dict[str, tuple[float, ...]] = {}
        self._bytes: dict[str, int] = {}
        seconds = options.limits.seconds
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def result(self) -> Measurement:
        status = "measured"
        reason = ""
        if self._is_expensive() and not (self._options.systems or self._options.everything):
            status, reason = "left out", f"takes minutes; --system {self._system} or --all"
        else:
            try:
                reason = self._run()
            except Over as over:
                status, reason = "skipped", str(over)
            except Failed as failure:
                status, reason = "failed", str(failure)
        return Measurement(
            model=self._subject.name, system=self._system, size=self._subject.size, status=status, reason=reason,
            seconds=self._seconds, bytes=self._bytes,
        )  # fmt: skip

    def _run(self) -> str:
        """What could not be measured besides, if anything. Raises Over, Failed."""
        self._foresee()
        try:
            for name in STEPS:
                self._progress(f"{self._subject.name}, {self._system}: {name}", None)
                self._step(name)
            return self._time_command() if self._options.command and self._system != STOCK else ""
        finally:
            shutil.rmtree(self._cache / "blobs", ignore_errors=True)  # proving keys, of gigabytes

    def _is_expensive(self) -> bool:
        return self._system != "sumcheck" and self._subject.size.multiply_adds > CHEAP

    def _foresee(self) -> None:
        """Raises Over for what cannot end well. Our own system foresees its memory itself."""
        if self._system == "sumcheck":
            return
        work, limits = self._subject.size.multiply_adds, self._options.limits
        if limits.memory is not None and work * EZKL_BYTES > limits.memory:
            raise Over(f"would take {work * EZKL_BYTES / 1e9:.3g} GB or more, {self._limit()}")
        if limits.seconds is not None and work * EZKL_SECONDS > limits.seconds:
            raise Over(f"would take {work * EZKL_SECONDS:.3g} s or more, limit {limits.seconds:g} s")

    def _step(self, name: str) -> None:
        subject, limits = self._subject, self._options.limits
        job = Job(
            step=name, system=self._system, model=subject.model.absolute(), calibration=subject.calibration,
            sample=subject.sample, folder=self._folder, max_error=subject.max_error, runs=self._options.runs,
            memory=limits.memory,
        )  # fmt: skip
        found = step.do(
            "prove", job.to_json(), self._folder / f"{name}.json",
            environment=self._environment, deadline=self._deadline, memory=limits.memory,
        )  # fmt: skip
        self._seconds |= {name: tuple(values) for name, values in found["seconds"].items()}
        self._bytes |= found["bytes"]

    def _limit(self) -> str:
        memory = self._options.limits.memory
        return "no limit set" if memory is None else f"limit {memory / 1e9:.3g} GB"

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "VERIFIABLE_CACHE": str(self._cache), "VERIFIABLE_DATA": str(self._folder / "data")}

    def _time_command(self) -> str:
        """A limit that is only hit here takes nothing from what was measured before; the reason is returned."""
        self._progress(f"{self._subject.name}, {self._system}: the command", None)
        try:
            self._seconds["command"] = tuple(repeat(lambda: timed(self._command), self._options.runs))
        except Over as over:
            return str(over)
        return ""

    def _command(self) -> None:
        """``prove`` as a user starts it, with compiled loops and keys cached."""
        target = self._folder / "command.json"
        circuit = self._folder / "circuit"
        command = [*self._options.command, "prove", str(circuit), str(self._subject.sample), "-o", str(target)]
        memory = self._options.limits.memory
        try:
            ended = child.run(command, given="", environment=self._environment, deadline=self._deadline, memory=memory)
        except Over as over:
            raise Over(f"the command: {over}") from None
        if ended.code:
            raise Failed(f"the command: {ended.last_line}")


__all__ = ["CHEAP", "Options", "measure"]
