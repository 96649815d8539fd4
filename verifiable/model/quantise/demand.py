# SPDX-License-Identifier: Apache-2.0
"""Who needs what of an Outline: which values must become narrow integers, and which may stay wide accumulators."""

from __future__ import annotations

from dataclasses import dataclass

from verifiable.model.quantise.options import Options
from verifiable.model.quantise.steps import Affine, Average, Elementwise, End, Linear, Move, Outline, Sum, users


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


def demand(outline: Outline, options: Options) -> Demand:
    """One look at the whole model, before anything is built."""
    used_by = users(outline)
    wide = {name for name, step in outline.steps.items() if _is_wide(step, options)}
    exits: set[str] = set()
    for name in reversed(list(outline.steps)):
        if all(isinstance(u, End) or (isinstance(outline.steps[u], Move) and u in exits) for u in used_by[name]):
            exits.add(name)
    absorbed = {name for name in wide if isinstance(outline.steps[name], Linear | Sum) and _only_added(outline, used_by[name])}
    narrow: dict[str, list[str]] = {}
    for name in outline.steps:
        readers = [u for u in used_by[name] if not isinstance(u, End) and not isinstance(outline.steps[u], Elementwise)]
        if name not in absorbed and any(u not in exits or not isinstance(outline.steps[u], Move) for u in readers):
            narrow.setdefault(outline.root(name)[0], []).append(name)
    return Demand(
        wide=frozenset(wide), absorbed=frozenset(absorbed), exits=frozenset(exits),
        narrow={root: tuple(names) for root, names in narrow.items()},
    )  # fmt: skip


def _only_added(outline: Outline, readers: list[str | End]) -> bool:
    """Whether its only reader adds it to something, once: users lists a reader for each time that it reads."""
    return len(readers) == 1 and not isinstance(reader := readers[0], End) and isinstance(outline.steps[reader], Sum)


def _is_wide(step: object, options: Options) -> bool:
    if isinstance(step, Average):
        return step.factor != 1 and step.kernel[0] * step.kernel[1] > options.max_pool_area
    return isinstance(step, Linear | Affine | Sum)
