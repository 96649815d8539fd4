# SPDX-License-Identifier: Apache-2.0
"""Everything that calibration data decide about a Program, as a small file (docs/formats/plan.md).

Whoever has the model and its Plan makes the very same Program, without the data. A Plan comes from a stranger: it can make a
Program inaccurate, which the fidelity report shows, but never one that is no Program.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from verifiable.encoding import json
from verifiable.encoding.record import Record
from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.program.ir import MAX_OPS, MAX_SHIFT
from verifiable.model.quantise.grid import Grid
from verifiable.model.quantise.options import Options

MEDIA_TYPE = "application/vnd.verifiable.plan.v1+json"
#: Of the rules that make a Program of a model and a Plan. Other rules, other number.
VERSION = 1
MAX_SIZE = 1 << 24
_FORMS = ("quantised", "lowered")
_FARTHEST = 1 << 31

#: A value, and the bits of its grid.
Key = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``options``: None for a model that is quantised already, of which nothing is left to decide.

    ``inputs``, ``grids``: the integers of each input, and of each value at a number of bits. ``units``: what 1 in an
    accumulator stands for. ``shifts``: the power of two by which accumulators are rounded to make a value.
    """

    options: Options | None = None
    inputs: Mapping[str, Grid] = field(default_factory=dict)
    grids: Mapping[Key, Grid] = field(default_factory=dict)
    units: Mapping[str, float] = field(default_factory=dict)
    shifts: Mapping[Key, int] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Canonical JSON; :meth:`parse` is the inverse."""
        head = {"mediaType": MEDIA_TYPE, "version": VERSION, "form": _FORMS[self.options is None]}
        if self.options is None:
            return json.canonical(head)
        return json.canonical({
            **head,
            "options": {**asdict(self.options), "shifts": list(self.options.shifts)},
            "inputs": [{"value": name, **asdict(grid)} for name, grid in sorted(self.inputs.items())],
            "grids": [{"value": name, "bits": bits, **asdict(grid)} for (name, bits), grid in sorted(self.grids.items())],
            "units": [{"value": name, "scale": scale} for name, scale in sorted(self.units.items())],
            "shifts": [{"value": name, "bits": bits, "shift": shift} for (name, bits), shift in sorted(self.shifts.items())],
        })  # fmt: skip

    @classmethod
    def parse(cls, data: bytes) -> Plan:
        """Raises MalformedError for what :meth:`encode` would not have written, UnsupportedError for another version's rules."""
        root = Record(json.parse_canonical(data, what="plan", max_size=MAX_SIZE), "plan")
        root.constant("mediaType", MEDIA_TYPE)
        if (version := root.integer("version")) != VERSION:
            raise UnsupportedError(f"plan: of version {version} of the quantiser, this is version {VERSION}")
        plan = cls() if root.choice("form", _FORMS) == "lowered" else _quantised(root)
        root.done()
        if plan.encode() != data:
            raise MalformedError("plan: entries out of order, or given twice")
        return plan


def _quantised(root: Record) -> Plan:
    return Plan(
        options=_options(root.record("options")),
        inputs={_value(r): _grid(r) for r in root.records("inputs", maximum=MAX_OPS)},
        grids={_key(r): _grid(r) for r in root.records("grids", maximum=MAX_OPS)},
        units={_value(r): _scale(r) for r in root.records("units", maximum=MAX_OPS)},
        shifts={_key(r): _shift(r) for r in root.records("shifts", maximum=MAX_OPS)},
    )


def _options(record: Record) -> Options:
    found: dict[str, Any] = {}
    for entry in fields(Options):
        if entry.name == "shifts":
            found["shifts"] = tuple(record.items("shifts", maximum=MAX_SHIFT))
        else:
            found[entry.name] = record.number(entry.name) if entry.name == "headroom" else record.integer(entry.name)
    record.done()
    if any(isinstance(shift, bool) or not isinstance(shift, int) for shift in found["shifts"]):
        raise MalformedError(f"{record.where}.shifts: expected integers")
    return Options(**found)


def _value(record: Record) -> str:
    return record.text("value", max_length=MAX_SIZE)


def _key(record: Record) -> Key:
    return _value(record), record.integer("bits", minimum=2, maximum=16)


def _grid(record: Record) -> Grid:
    low, high = (record.integer(name, minimum=-_FARTHEST, maximum=_FARTHEST - 1) for name in ("low", "high"))
    scale = _scale(record)
    if low > high:
        raise MalformedError(f"{record.where}: low {low} is above high {high}")
    return Grid(scale=scale, low=low, high=high)


def _shift(record: Record) -> int:
    shift = record.integer("shift", minimum=0, maximum=MAX_SHIFT)
    record.done()
    return shift


def _scale(record: Record) -> float:
    scale = record.number("scale")
    record.done()
    if not (scale > 0 and math.isfinite(scale)):
        raise MalformedError(f"{record.where}.scale: not positive")
    return scale
