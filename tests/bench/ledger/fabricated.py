# SPDX-License-Identifier: Apache-2.0
"""Results of a log made up for tests of what is done with results."""

from __future__ import annotations

from collections.abc import Mapping

from tests.bench.prove.fabricated import MACHINE
from verifiable.bench.ledger import STEPS
from verifiable.bench.ledger.results import Measurement, Results, Spread

GOOD = {"append": 6000.0, "append-least": 5500.0, "fsck": 250_000.0, "fsck-cold": 210_000.0}


def times(*values: float) -> Spread:
    return Spread.of(values)


def measured(
    entries: int, *, rates: Mapping[str, float] = GOOD, memory: int | Mapping[str, int] = 10**8, **seconds: Spread
) -> Measurement:
    """``memory``: of every step, or by step."""
    held = memory if isinstance(memory, Mapping) else dict.fromkeys(STEPS, memory)
    return Measurement(
        entries=entries, rates=rates, counts={"files": 7},
        bytes={**{f"memory-{step}": value for step, value in held.items()}, "published": 5000, "allocated": 8192, "private": 900},
        seconds={name.replace("_", "-"): spread for name, spread in seconds.items()},
    )  # fmt: skip


def results(*measurements: Measurement) -> Results:
    return Results(machine=MACHINE, batch=256, entry=489, measurements=measurements)
