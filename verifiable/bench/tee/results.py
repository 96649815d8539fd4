# SPDX-License-Identifier: Apache-2.0
"""What was measured of evidence, and its JSON.

``{"format": "verifiable.bench.tee.v1", "machine": {...}, "measurements": [...]}``, the machine as in :mod:`..prove.results`. A
measurement is ``{"name", "kind", "status", "reason", "seconds": {what: [one per run]}, "bytes": {what: number}}``. ``status`` is
``measured``, ``skipped`` (over a limit) or ``failed`` (not read, or not verified); all but the first give a ``reason``. ``kind``
is empty where it was not found out.

``seconds``: ``first``, the first call in a process, with what it loads; ``parse``, ``verify`` and their sum ``total``, of all
others; ``cpu``, of ``total`` what the processor was busy with it. ``bytes``: ``evidence``, ``collateral`` (all pieces together),
and ``memory-verify``, the peak resident memory of a process that does nothing else.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from verifiable.bench.machine import Machine
from verifiable.bench.tee import MAX_RUNS
from verifiable.encoding import json as strict
from verifiable.encoding.record import Record

FORMAT = "verifiable.bench.tee.v1"
STATUS = ("measured", "skipped", "failed")
SECONDS = ("first", "parse", "verify", "total", "cpu")
BYTES = ("evidence", "collateral", "memory-verify")
MAX_SIZE = 1 << 26
_MAX_MEASUREMENTS = 1001


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One piece of evidence. Every entry of ``seconds`` has one value per run."""

    name: str
    kind: str
    status: str = "measured"
    reason: str = ""
    seconds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    bytes: Mapping[str, int] = field(default_factory=dict)

    def figure(self, name: str) -> float | None:
        """The median of a time, or a size; None where it was not measured."""
        if self.status == "measured" and name in self.seconds:
            return statistics.median(self.seconds[name])
        return self.bytes.get(name) if self.status == "measured" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """One run of the benchmark."""

    machine: Machine
    measurements: tuple[Measurement, ...] = ()

    @property
    def failed(self) -> tuple[Measurement, ...]:
        return tuple(m for m in self.measurements if m.status == "failed")

    def encode(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, allow_nan=False).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Results:
        """Raises MalformedError."""
        root = Record(strict.parse(data, what="benchmark", max_size=MAX_SIZE), "benchmark")
        root.constant("format", FORMAT)
        found = cls(
            machine=Machine.read(root.record("machine")),
            measurements=tuple(map(_measurement, root.records("measurements", maximum=_MAX_MEASUREMENTS))),
        )
        root.done()
        return found


def _measurement(record: Record) -> Measurement:
    seconds, sizes = record.record("seconds"), record.record("bytes")
    found = Measurement(
        name=record.text("name"), kind=record.text("kind"), status=record.choice("status", STATUS), reason=record.text("reason"),
        seconds={name: _times(seconds, name) for name in SECONDS if seconds.has(name)},
        bytes={name: sizes.integer(name) for name in BYTES if sizes.has(name)},
    )  # fmt: skip
    for each in (seconds, sizes, record):
        each.done()
    return found


def _times(record: Record, name: str) -> tuple[float, ...]:
    """One at least: a median is wanted."""
    values = record.items(name, maximum=MAX_RUNS)
    given = [Record({"s": value}, f"{record.where}.{name}") for value in values or [None]]
    return tuple(each.number("s") for each in given)


__all__ = ["BYTES", "FORMAT", "MAX_SIZE", "SECONDS", "Measurement", "Results"]
