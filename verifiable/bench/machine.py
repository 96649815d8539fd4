# SPDX-License-Identifier: Apache-2.0
"""The machine that a benchmark ran on, in one line: figures mean nothing without it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path

from verifiable import __version__
from verifiable.encoding.record import Record

_PACKAGES = ("ezkl", "numba", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where and when; ``memory`` in bytes, ``date`` as YYYY-MM-DD."""

    processor: str
    cores: int
    memory: int
    system: str
    python: str
    packages: Mapping[str, str]
    date: str

    def __str__(self) -> str:
        packages = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        memory = f"{self.memory / 1e9:.0f} GB"
        return f"{self.processor}, {self.cores} cores, {memory}; {self.system}; python {self.python}; {packages}; {self.date}"

    @classmethod
    def read(cls, record: Record) -> Machine:
        """Raises MalformedError."""
        packages = record.record("packages")
        found = cls(
            processor=record.text("processor"), cores=record.integer("cores"), memory=record.integer("memory"),
            system=record.text("system"), python=record.text("python"), date=record.text("date"),
            packages={name: packages.text(name) for name in packages.names()},
        )  # fmt: skip
        packages.done()
        record.done()
        return found


def this_machine(today: date, packages: tuple[str, ...] = _PACKAGES) -> Machine:
    """What can be told without asking anybody; ``packages`` are those whose versions matter."""
    return Machine(
        processor=_field(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages={name: _version(name) for name in packages} | {"verifiable": __version__},
        date=today.isoformat(),
    )


def free_memory() -> int:
    """Bytes that can be had without swapping."""
    return int(_field(Path("/proc/meminfo"), "MemAvailable").split()[0]) * 1024


def _field(path: Path, name: str) -> str:
    lines = path.read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


__all__ = ["Machine", "free_memory", "this_machine"]
