# SPDX-License-Identifier: Apache-2.0
"""The machine that a benchmark ran on, in one line: figures mean nothing without it."""

from __future__ import annotations

import os
import platform
from datetime import date
from importlib import metadata
from pathlib import Path

from verifiable import __version__
from verifiable.bench.results import Machine

_PACKAGES = ("ezkl", "numba", "numpy")


def this_machine(today: date) -> Machine:
    """What can be told without asking anybody."""
    return Machine(
        processor=_field(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages={name: _version(name) for name in _PACKAGES} | {"verifiable": __version__},
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


__all__ = ["free_memory", "this_machine"]
