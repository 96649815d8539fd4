# SPDX-License-Identifier: Apache-2.0
"""Who needs what of a Plan: which values must become narrow integers, and which may stay wide accumulators."""

from __future__ import annotations

from dataclasses import dataclass

from verifiable.model.quantise.options import Options
from verifiable.model.quantise.plan import Affine, Average, Elementwise, End, Linear, Move, Plan, Sum, users


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """``wide``: values made as accumulators. ``absorbed``: those that are only ever added into another accumulator, at its unit.
    ``exits``: values that only reach outputs, by moves alone: they stay as they are. ``narrow``: values needed as narrow
    integers, listed by the tensor they are a function of.
    """

    wide: frozenset[str]
    absorbed: frozenset[str]
    exits: frozenset[str]
    narrow: dict[str, tuple[str, ...]]


def demand(plan: Plan, options: Options) -> Demand:
    """One look at the whole plan, before anything is built."""
    used_by = users(plan)
    wide = {name for name, step in plan.steps.items() if _is_wide(step, options)}
    exits: set[str] = set()
    for name in reversed(list(plan.steps)):
        if all(isinstance(u, End) or (isinstance(plan.steps[u], Move) and u in exits) for u in used_by[name]):
            exits.add(name)
    absorbed = {name for name in wide if isinstance(plan.steps[name], Linear | Sum) and _only_added(plan, used_by[name])}
    narrow: dict[str, list[str]] = {}
    for name in plan.steps:
        readers = [u for u in used_by[name] if not isinstance(u, End) and not isinstance(plan.steps[u], Elementwise)]
        if name not in absorbed and any(u not in exits or not isinstance(plan.steps[u], Move) for u in readers):
            narrow.setdefault(plan.root(name)[0], []).append(name)
    return Demand(
        wide=frozenset(wide), absorbed=frozenset(absorbed), exits=frozenset(exits),
        narrow={root: tuple(names) for root, names in narrow.items()},
    )  # fmt: skip


def _only_added(plan: Plan, readers: list[str | End]) -> bool:
    """Whether its only reader adds it to something, once: users lists a reader for each time that it reads."""
    return len(readers) == 1 and not isinstance(reader := readers[0], End) and isinstance(plan.steps[reader], Sum)


def _is_wide(step: object, options: Options) -> bool:
    if isinstance(step, Average):
        return step.factor != 1 and step.kernel[0] * step.kernel[1] > options.max_pool_area
    return isinstance(step, Linear | Affine | Sum)
