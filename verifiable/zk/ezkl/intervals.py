# SPDX-License-Identifier: Apache-2.0
"""How large the integers of a circuit can get, for every input that it admits, and how far a prover could move its outputs.

ezkl proves that certain values are within ±(base^legs - 1) by writing them out in digits: inputs and outputs, the input of each
ReLU, every difference that is compared, every quotient. This module mirrors where it does so and at which scale, for networks of
affine layers, pooling and the common activations; for any other operator it knows nothing and says so. A bound on values that is
too small would cost completeness (an admissible input without a proof). The bound on outputs, ``drift``, is one of soundness:
:mod:`.drift` holds the quotients that were found here against those that ezkl lays out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from verifiable.model.defaults import attributes_of
from verifiable.zk.ezkl.interval_rules import RULES, Rule
from verifiable.zk.ezkl.ranges import SLACK, Outside, Range, Unknown, Walk, ceil

if TYPE_CHECKING:
    from verifiable.model.shapes import Analysis


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """``decomposed``: the largest magnitude that is written in digits; ``largest``: of any value, in integers.

    ``unsure``: an operator within which larger values may be written in digits; empty where there is none. ``divided``: how many
    quotients there are of each (number of elements, scale). ``scales``: of the outputs, to hold against ezkl's own. ``lookup``:
    the extremes that enter a table function, in integers; ``table``: the node with the widest. ``quotients``: the first
    node that ends in some. ``drift``: per output, by how many
    of its integers a prover could have moved an element.
    """

    decomposed: int
    largest: int
    unsure: str
    divided: Counter[tuple[int, int]]
    scales: tuple[int, ...]
    lookup: tuple[int, int]
    table: str
    quotients: str
    drift: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbounded:
    """Why there are no bounds. ``outside``: an admissible input takes a function out of its domain."""

    reason: str
    outside: bool = False


def bound(
    analysis: Analysis,
    *,
    inputs: Mapping[str, tuple[int, int]],
    input_scales: Mapping[str, int],
    param_scale: int,
    rebase_multiplier: int,
    global_scale: int,
    clamp: int | None = None,
    tables: tuple[int, int] | None = None,
) -> Bounds | Unbounded:
    """Bounds for inputs within these integer ranges, or what is not understood.

    With ``clamp``, every value that the circuit writes in digits is taken to be within ±clamp, as the circuit proves; likewise
    ``tables`` for the integers that enter a table.
    """
    import numpy as np

    limit = global_scale * rebase_multiplier
    walk = Walk(analysis=analysis, param_scale=param_scale, full=global_scale, limit=limit, clamp=clamp, tables=tables)
    try:
        for name, (low, high) in inputs.items():
            shape, unit = analysis.values[name].shape, 2.0 ** -input_scales[name]
            ends = Range(low=np.full(shape, low * unit), high=np.full(shape, high * unit), scale=input_scales[name])
            walk.ranges[name] = walk.digits(ends)
        with np.errstate(over="ignore", invalid="ignore"):
            for node in analysis.nodes:
                walk.node = f"{node.op_type} {node.name or node.output[0]}"[:80]
                walk.ranges[node.output[0]] = _rule(node)(walk, node, attributes_of(node))
        outputs = [walk.digits(walk.computed(name)) for name in analysis.outputs]
    except Unknown as unknown:
        return Unbounded(reason=str(unknown))
    except Outside as outside:
        return Unbounded(reason=str(outside), outside=True)
    drifts = [float(np.max(value.moved, initial=0.0)) / value.unit for value in outputs]
    if not np.isfinite([walk.largest, walk.decomposed, *drifts]).all():
        return Unbounded(reason="a value beyond all bounds")
    return Bounds(
        decomposed=ceil(walk.decomposed), largest=ceil(walk.largest), unsure=walk.unsure, divided=walk.divided,
        scales=tuple(value.scale for value in outputs), lookup=walk.lookup, table=walk.table, quotients=walk.quotients,
        drift=tuple(int(units * SLACK) for units in drifts),
    )  # fmt: skip


def _rule(node: Any) -> Rule:
    if node.op_type not in RULES or len(node.output) != 1:
        raise Unknown(node.op_type)
    return RULES[node.op_type]


__all__ = ["Bounds", "Unbounded", "bound"]
