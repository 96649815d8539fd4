# SPDX-License-Identifier: Apache-2.0
"""What was measured of a log, and its JSON.

``{"format": "verifiable.bench.ledger.v1", "machine": {...}, "batch", "entry", "measurements": [...]}``: the machine as in
:mod:`..prove.results`, ``batch`` the entries under one checkpoint, ``entry`` the bytes of one. A measurement is ``{"entries",
"status", "reason", "seconds": {what: {"count", "least", "median", "most"}}, "rates": {what: entries per second}, "bytes": {what:
number}, "counts": {what: number}}``, of the log at that size. ``status`` is ``measured``, ``skipped`` (over a limit) or
``failed``; all but the first give a ``reason``, and so does the first where a limit was only hit after the log had grown.

``rates``: ``append``, from the size before to this one, durable and published; ``append-least``, the slowest 25,600 entries of
them; ``fsck`` and ``fsck-cold``. ``seconds``: ``sync``, what the disk takes to sync a new file of 8 kB; ``alone``, an append of
one entry; ``open`` and ``open-cold``, for writing; ``prove`` and ``prove-cold``, an inclusion proof out of the tiles; ``verify``,
a proof of logging from its bytes, with two signatures; ``verify-path``, its hashes alone. Cold: after the contents of the files
were dropped from the page cache. ``bytes``: ``memory-append``, ``memory-open``, ``memory-read`` (proving and verifying),
``memory-fsck``, the peak resident memory of a process that does nothing else; ``published``, the sum of the sizes of the
published files, and ``allocated``, what the disk holds for them; ``private``, the private folder, nearly all of it the index.
``counts``: ``files``, of those published.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from verifiable.bench.machine import Machine
from verifiable.encoding import json as strict
from verifiable.encoding.record import Record

FORMAT = "verifiable.bench.ledger.v1"
STATUS = ("measured", "skipped", "failed")
SECONDS = ("sync", "alone", "open", "open-cold", "prove", "prove-cold", "verify", "verify-path")
RATES = ("append", "append-least", "fsck", "fsck-cold")
BYTES = ("memory-append", "memory-open", "memory-read", "memory-fsck", "published", "allocated", "private")
COUNTS = ("files",)
MAX_SIZE = 1 << 20
_MAX_MEASUREMENTS = 1000
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Of ``count`` times, in seconds."""

    count: int
    least: float
    median: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(count=len(values), least=min(values), median=statistics.median(values), most=max(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The log at ``entries`` entries."""

    entries: int
    status: str = "measured"
    reason: str = ""
    seconds: Mapping[str, Spread] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    bytes: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.entries:,} entries"

    def figure(self, name: str) -> float | None:
        """The median of a time, a rate, a size or a number; None where it was not measured."""
        if self.status != "measured":
            return None
        if name in self.seconds:
            return self.seconds[name].median
        return next((kind[name] for kind in (self.rates, self.bytes, self.counts) if name in kind), None)

    def worst(self, name: str) -> float | None:
        """The longest of a time; None where it was not measured."""
        return self.seconds[name].most if self.status == "measured" and name in self.seconds else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """One run of the benchmark, the smallest log first."""

    machine: Machine
    batch: int
    entry: int
    measurements: tuple[Measurement, ...] = ()

    @property
    def failed(self) -> tuple[Measurement, ...]:
        return tuple(m for m in self.measurements if m.status == "failed")

    def points(self, figure: str) -> list[tuple[int, float]]:
        """(entries, figure) where it was measured, smallest log first."""
        return [(m.entries, value) for m in self.measurements if (value := m.figure(figure)) is not None]

    def encode(self) -> bytes:
        document = {"format": FORMAT, **asdict(self)}
        return json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Results:
        """Raises MalformedError."""
        root = Record(strict.parse(data, what="benchmark", max_size=MAX_SIZE), "benchmark")
        root.constant("format", FORMAT)
        found = cls(
            machine=Machine.read(root.record("machine")), batch=root.integer("batch"), entry=root.integer("entry"),
            measurements=tuple(map(_measurement, root.records("measurements", maximum=_MAX_MEASUREMENTS))),
        )  # fmt: skip
        root.done()
        return found


def _measurement(record: Record) -> Measurement:
    found = Measurement(
        entries=record.integer("entries"), status=record.choice("status", STATUS), reason=record.text("reason"),
        seconds=_named(record.record("seconds"), SECONDS, _spread), rates=_named(record.record("rates"), RATES, Record.number),
        bytes=_named(record.record("bytes"), BYTES, Record.integer),
        counts=_named(record.record("counts"), COUNTS, Record.integer),
    )  # fmt: skip
    record.done()
    return found


def _named(record: Record, names: tuple[str, ...], read: Callable[[Record, str], T]) -> dict[str, T]:
    found = {name: read(record, name) for name in names if record.has(name)}
    record.done()
    return found


def _spread(parent: Record, name: str) -> Spread:
    record = parent.record(name)
    values: dict[str, Any] = {each: record.number(each) for each in ("least", "median", "most")}
    found = Spread(count=record.integer("count"), **values)
    record.done()
    return found


__all__ = ["BYTES", "COUNTS", "FORMAT", "MAX_SIZE", "RATES", "SECONDS", "Measurement", "Results", "Spread"]
