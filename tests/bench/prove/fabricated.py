# SPDX-License-Identifier: Apache-2.0
"""Results made up for tests of what is done with results."""

from __future__ import annotations

from typing import Any

from verifiable.bench.machine import Machine
from verifiable.bench.prove.results import Measurement, Results
from verifiable.bench.prove.subjects import Size

MACHINE = Machine(
    processor="Some <fast> & cheap processor", cores=2, memory=24 * 10**9, system="Linux 6", python="3.11.7",
    packages={"verifiable": "0.1.0", "ezkl": "23.0.5"}, date="2026-01-02",
)  # fmt: skip


def measured(
    model: str, system: str, parameters: int = 1000, *, total: float = 1.0, memory: int = 10**8, **more: Any
) -> Measurement:
    seconds = {"compile": (2.0,), "total": (total, total / 2, total * 3), **more.pop("seconds", {})}
    sizes = {"memory-compile": 2 * memory, "memory-prove": memory, "proof": 2000, **more.pop("bytes", {})}
    size = Size(parameters=parameters, activations=0, multiply_adds=parameters)
    return Measurement(model=model, system=system, size=size, seconds=seconds, bytes=sizes)


def unmeasured(model: str, system: str, status: str, reason: str) -> Measurement:
    return Measurement(
        model=model, system=system, size=Size(parameters=5, activations=1, multiply_adds=9), status=status, reason=reason
    )


def results(*measurements: Measurement) -> Results:
    return Results(machine=MACHINE, measurements=measurements)
