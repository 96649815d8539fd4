# SPDX-License-Identifier: Apache-2.0
"""Who decides what calibration data decide: the data themselves, or a Plan made of them before."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from verifiable.errors import MalformedError
from verifiable.model.guard import shown
from verifiable.model.quantise import weights
from verifiable.model.quantise.calibration import Stats
from verifiable.model.quantise.demand import Demand
from verifiable.model.quantise.functions import identity
from verifiable.model.quantise.grid import Grid
from verifiable.model.quantise.options import Options
from verifiable.model.quantise.plan import Key, Plan
from verifiable.model.quantise.resolution import aligned, needed
from verifiable.model.quantise.scales import grid, snapped
from verifiable.model.quantise.steps import Outline

_T = TypeVar("_T")


class Choices(Protocol):
    """Asked by the emitter, each time for something that it then uses."""

    def grid(self, value: str, bits: int) -> Grid:
        """The integers of ``value`` at so many bits."""

    def unit(self, name: str, fineness: Callable[[float], float]) -> float:
        """What 1 in the accumulator ``name`` stands for; ``fineness`` of a unit is 1 at best."""

    def shift(self, value: str, bits: int, scale: float, rows: Callable[[int], int]) -> int:
        """By how many bits an accumulator with ``scale`` is rounded to make ``value``; ``rows``: of the table behind a shift."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """As a Plan says. Raises MalformedError for what it leaves open."""

    plan: Plan
    used: set[tuple[str, str, int]] = field(default_factory=set)

    def grid(self, value: str, bits: int) -> Grid:
        return self._found("grid", self.plan.grids.get((value, bits)), value, bits)

    def unit(self, name: str, fineness: Callable[[float], float]) -> float:
        del fineness
        return self._found("unit", self.plan.units.get(name), name)

    def shift(self, value: str, bits: int, scale: float, rows: Callable[[int], int]) -> int:
        del scale, rows
        return self._found("shift", self.plan.shifts.get((value, bits)), value, bits)

    def done(self) -> None:
        """Raises MalformedError where the Plan says more than its model asks: no two Plans make one Program."""
        said = {
            *(("grid", *key) for key in self.plan.grids), *(("unit", name, 0) for name in self.plan.units),
            *(("shift", *key) for key in self.plan.shifts),
        }  # fmt: skip
        if idle := sorted(said - self.used):
            raise MalformedError(f"plan: {idle[0][0]} of value {shown(idle[0][1])} is not used by the model")

    def _found(self, what: str, found: _T | None, value: str, bits: int = 0) -> _T:
        if found is None:
            raise MalformedError(f"the plan has no {what} for it", hint="give the plan that was made of this very model")
        self.used.add((what, value, bits))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciding:
    """By the statistics of calibration samples; every answer is kept for the Plan. ``shared``: see scales.groups()."""

    outline: Outline
    demand: Demand
    options: Options
    stats: Mapping[str, Stats]
    shared: Mapping[str, Stats]
    grids: dict[Key, Grid] = field(default_factory=dict)
    units: dict[str, float] = field(default_factory=dict)
    shifts: dict[Key, int] = field(default_factory=dict)
    _seen: dict[Key, Grid] = field(default_factory=dict)

    def grid(self, value: str, bits: int) -> Grid:
        self.grids[value, bits] = self._grid(value, bits)
        return self.grids[value, bits]

    def unit(self, name: str, fineness: Callable[[float], float]) -> float:
        """Fine enough for everything that is made of it."""
        wanted = self.demand.narrow.get(name, ())
        bits = self.options.activation_bits
        if not wanted:
            ends = (end.value for end in self.outline.ends)
            wanted = tuple(value for value in ends if self.outline.root(value)[0] == name and value != name)
            bits = self.options.output_bits
        resolution = min(
            (self._needed(value, self._grid(value, bits)) for value in wanted if value in self.shared),
            default=self._finest(name),
        )
        unit = weights.unit_for(snapped(resolution), self.options.shifts, fineness)
        self.units[name] = unit
        return unit

    def shift(self, value: str, bits: int, scale: float, rows: Callable[[int], int]) -> int:
        """To the resolution that the value's function needs."""
        target = self._grid(value, bits)
        function = self.outline.root(value)[1] or identity
        wanted = self._needed(value, target)
        shift = math.floor(math.log2(wanted / scale) + 1e-9)
        if aligned(function, target) and wanted * 0.5 < math.ldexp(scale, shift) != target.scale:
            shift -= 2
        shift = max(shift, 2)
        while rows(shift) > self.options.max_rows:
            shift += 1  # coarser, and still the whole range
        self.shifts[value, bits] = shift
        return shift

    def _grid(self, value: str, bits: int) -> Grid:
        if (value, bits) not in self._seen:
            self._seen[value, bits] = grid(self.shared[value], bits, search=bits <= 8, headroom=self.options.headroom)
        return self._seen[value, bits]

    def _needed(self, value: str, target: Grid) -> float:
        root, function = self.outline.root(value)
        return needed(function or identity, target, self._observed(root))

    def _observed(self, name: str) -> Stats:
        """Of a value that the model itself does not have: those of the values that it shares its scale with."""
        return self.stats.get(name) or self.shared[name]

    def _finest(self, name: str) -> float:
        """For an accumulator that is an output itself: a sixteenth of a bit below the grid that its outputs would have."""
        return self._grid(name, self.options.output_bits).scale if name in self.shared else 2.0**-16
