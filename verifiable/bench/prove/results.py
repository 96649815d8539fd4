# SPDX-License-Identifier: Apache-2.0
"""What was measured, and its JSON.

``{"format": "verifiable.bench.v1", "machine": {"processor", "cores", "memory", "system", "python", "packages": {name: version},
"date"}, "measurements": [...]}``; a measurement is ``{"model", "system", "parameters", "activations", "multiplyAdds", "status",
"reason", "seconds": {what: [one per run]}, "bytes": {what: number}}``. ``status`` is ``measured``, ``left out`` (nobody asked for
an expensive one), ``skipped`` (over a limit) or ``failed``; all but the first give a ``reason``, and so does the first where a
limit was only hit by the command.

``seconds``: ``compile``; ``witness``, ``prove`` and their sum ``total``, in a warm process; ``verify``, likewise;
``command``, the command ``prove`` from start to exit. ``bytes``: ``memory-compile``, ``memory-prove``, ``memory-verify``, the
peak resident memory of the largest process; ``proving-key``; ``verifier``, what a verifier must hold; ``proof``.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from verifiable.bench.machine import Machine
from verifiable.bench.prove.subjects import Size
from verifiable.encoding import json as strict
from verifiable.encoding.record import Record

FORMAT = "verifiable.bench.v1"
STATUS = ("measured", "left out", "skipped", "failed")
SECONDS = ("compile", "witness", "prove", "total", "verify", "command")
BYTES = ("memory-compile", "memory-prove", "memory-verify", "proving-key", "verifier", "proof")
MAX_SIZE = 1 << 24
_MAX_ENTRIES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One model with one system. Every entry of ``seconds`` has one value per run."""

    model: str
    system: str
    size: Size
    status: str = "measured"
    reason: str = ""
    seconds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    bytes: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.model}, {self.system}"

    def figure(self, name: str) -> float | None:
        """The median of a time, a size, or ``memory-peak`` (the largest of all phases); None where it was not measured."""
        if self.status != "measured":
            return None
        if name == "memory-peak":
            return max((v for key, v in self.bytes.items() if key.startswith("memory-")), default=None)
        if name in self.seconds:
            return statistics.median(self.seconds[name])
        return self.bytes.get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """One run of the benchmark."""

    machine: Machine
    measurements: tuple[Measurement, ...]

    @property
    def failed(self) -> tuple[Measurement, ...]:
        return tuple(m for m in self.measurements if m.status == "failed")

    def find(self, model: str, system: str) -> Measurement | None:
        return next((m for m in self.measurements if (m.model, m.system) == (model, system)), None)

    def figure(self, model: str, system: str, name: str) -> float | None:
        """As :meth:`Measurement.figure`; None also where there is no such measurement."""
        found = self.find(model, system)
        return None if found is None else found.figure(name)

    def encode(self) -> bytes:
        document = {
            "format": FORMAT, "machine": asdict(self.machine), "measurements": [_document(m) for m in self.measurements]
        }  # fmt: skip
        return json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Results:
        """Raises MalformedError."""
        root = Record(strict.parse(data, what="benchmark", max_size=MAX_SIZE), "benchmark")
        root.constant("format", FORMAT)
        machine = Machine.read(root.record("machine"))
        measurements = tuple(_measurement(entry) for entry in root.records("measurements", maximum=_MAX_ENTRIES))
        root.done()
        return cls(machine=machine, measurements=measurements)


def _document(m: Measurement) -> dict[str, Any]:
    return {
        "model": m.model, "system": m.system, "parameters": m.size.parameters, "activations": m.size.activations,
        "multiplyAdds": m.size.multiply_adds, "status": m.status, "reason": m.reason,
        "seconds": {name: list(values) for name, values in m.seconds.items()}, "bytes": dict(m.bytes),
    }  # fmt: skip


def _measurement(record: Record) -> Measurement:
    seconds, sizes = record.record("seconds"), record.record("bytes")
    found = Measurement(
        model=record.text("model"), system=record.text("system"), status=record.choice("status", STATUS),
        reason=record.text("reason"),
        size=Size(
            parameters=record.integer("parameters"), activations=record.integer("activations"),
            multiply_adds=record.integer("multiplyAdds"),
        ),
        seconds={name: tuple(Record({"s": v}, f"seconds.{name}").number("s") for v in seconds.items(name, maximum=1000))
                 for name in SECONDS if seconds.has(name)},
        bytes={name: sizes.integer(name) for name in BYTES if sizes.has(name)},
    )  # fmt: skip
    for each in (seconds, sizes, record):
        each.done()
    return found


__all__ = ["BYTES", "FORMAT", "SECONDS", "Measurement", "Results"]
