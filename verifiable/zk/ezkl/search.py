# SPDX-License-Identifier: Apache-2.0
"""The choices that a tuner has, each with its predicted cost: columns, digits and rows for one precision and one rebasing.

Everything here is a function of the program and of integers; no clock and no randomness, since an auditor repeats it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from verifiable.errors import Error, UnsupportedError
from verifiable.zk.circuit import Visibility
from verifiable.zk.ezkl import steps
from verifiable.zk.ezkl.cost import RESERVED_ROWS, Cost, Layout, predict
from verifiable.zk.ezkl.parameters import MAX_LOGROWS, MIN_LOGROWS, EzklParameters
from verifiable.zk.ezkl.plan import Plan
from verifiable.zk.ezkl.process import Child
from verifiable.zk.ezkl.settings import EzklSettings
from verifiable.zk.system import Limits

#: Columns of a dot product that are tried. Four or more raise the gates' degree above five, which doubles the extended domain.
INNER_COLUMNS = (1, 2, 3)
#: Digits in base 2^20 for runs in which nothing may overflow but what no circuit could hold.
WIDE_BASE, WIDE_LEGS = 1 << 20, 3
WIDE_BOUND = int(WIDE_BASE**WIDE_LEGS) - 1
#: Copies of the columns' block beyond this make proofs and verification large.
MAX_PLACES = 24
#: A layout this much slower than the fastest may still be chosen for its fewer columns: smaller proofs, faster verification.
TOLERANCE = 1.10
_LEGS = range(1, 17)
# Four of its digits stay below 2^63; large enough to be no other table's size.
_ASKED_BASE = 1 << 15
_PATIENCE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One complete choice and what it will cost. ``divisions``: values that the prover may round either way."""

    parameters: EzklParameters
    divisions: int
    layout: Layout
    cost: Cost


@dataclass(slots=True, kw_only=True)
class Layouts:
    """Asks ezkl how it lays the program out, each question once."""

    child: Child
    program: bytes
    visibility: Visibility
    known: dict[EzklParameters, tuple[EzklSettings, Plan]] = dataclasses.field(default_factory=dict)

    def settings(self, parameters: EzklParameters) -> tuple[EzklSettings, Plan]:
        """Canonical settings, and the plan. Raises UnsupportedError where ezkl cannot."""
        if parameters not in self.known:
            self.known[parameters] = steps.make_settings(self.child, self.program, parameters, self.visibility)
        return self.known[parameters]

    def layout(self, parameters: EzklParameters) -> tuple[Layout, int]:
        """The layout, whatever ``logrows``, and how many divisions are in it; exact up to some rows.

        A dot product takes its digits ``columns`` at a time, so that ``columns`` more digits always add the same number of
        cells; ezkl is only asked for the first few. Cells do not depend on the base.
        """
        legs, columns = parameters.decomp_legs, parameters.num_inner_cols
        first, divisions = self._asked(parameters, 1)
        if legs <= columns + 1:
            found, _ = self._asked(parameters, legs)
            cells = found.cells
        else:
            step = self._asked(parameters, columns + 1)[0].cells - first.cells
            rounds, rest = divmod(legs - 1, columns)
            cells = self._asked(parameters, rest + 1)[0].cells + rounds * step
        tables = tuple(parameters.decomp_base if rows == _ASKED_BASE else rows for rows in first.tables)
        return dataclasses.replace(first, cells=cells, tables=tables), divisions

    def _asked(self, parameters: EzklParameters, legs: int) -> tuple[Layout, int]:
        asked = dataclasses.replace(parameters, logrows=MAX_LOGROWS, decomp_base=_ASKED_BASE, decomp_legs=legs)
        settings, plan = self.settings(asked)
        return Layout.of(settings), plan.divisions


def wide(*, scale: int, multiplier: int, lookups: tuple[int, int]) -> EzklParameters:
    """Parameters under which every run succeeds that could under any."""
    return EzklParameters(
        input_scale=scale, param_scale=scale, scale_rebase_multiplier=multiplier, decomp_base=WIDE_BASE, decomp_legs=WIDE_LEGS,
        num_inner_cols=1, logrows=MAX_LOGROWS, lookup_low=lookups[0], lookup_high=lookups[1],
    )  # fmt: skip


def base_for(bound: int, legs: int) -> int:
    """The smallest power of two whose ``legs`` digits reach beyond ``bound``."""
    return 1 << max(1, math.ceil(bound.bit_length() / legs))


def options(layouts: Layouts, start: EzklParameters, bound: int, *, max_logrows: int) -> Iterator[Option]:
    """Every layout worth its question, for values up to ``bound``; ``start`` fixes precision, rebasing and lookups."""
    for columns in INNER_COLUMNS:
        worse, best = 0, math.inf
        for legs in _LEGS:
            base = base_for(bound, legs)
            if base > min(1 << 20, (1 << max_logrows) - RESERVED_ROWS):
                continue
            if worse >= _PATIENCE or (base == 2 and base_for(bound, legs - 1) == 2):
                break
            parameters = dataclasses.replace(start, decomp_base=base, decomp_legs=legs, num_inner_cols=columns)
            if parameters_too_wide(base, legs):
                continue
            layout, divisions = layouts.layout(parameters)
            found = list(sizes(layout, divisions, parameters, max_logrows))
            yield from found
            fastest = min((option.cost.seconds for option in found), default=math.inf)
            worse, best = (worse + 1, best) if fastest >= best else (0, fastest)


def parameters_too_wide(base: int, legs: int) -> bool:
    """Digits beyond a 64-bit integer; outputs are given as such."""
    return bool(base**legs > 2**63)


def sizes(layout: Layout, divisions: int, parameters: EzklParameters, max_logrows: int) -> Iterator[Option]:
    """The same layout in columns of every length that serves."""
    least = max(MIN_LOGROWS, layout.least_logrows(), math.ceil(math.log2(parameters.decomp_base + RESERVED_ROWS)))
    for logrows in range(least, max_logrows + 1):
        cost = predict(layout, logrows)
        if cost.columns // 3 <= MAX_PLACES:
            chosen = dataclasses.replace(parameters, logrows=logrows)
            yield Option(parameters=chosen, divisions=divisions, layout=layout, cost=cost)
        if cost.columns <= 3 * layout.columns:
            return  # longer columns would be emptier, and nothing else


def choose(found: Sequence[Option], limits: Limits) -> Option | None:
    """The fastest that fits the memory; of those nearly as fast, fewest divisions, then fewest columns, then the smallest key."""
    fitting = [option for option in found if limits.memory is None or option.cost.memory <= limits.memory]
    if not fitting:
        return None
    fastest = min(option.cost.seconds for option in fitting)
    near = [option for option in fitting if option.cost.seconds <= TOLERANCE * fastest]
    return min(
        near, key=lambda o: (o.divisions, o.cost.columns, o.cost.proving_key, o.cost.seconds, dataclasses.astuple(o.parameters))
    )


def spare_digits(option: Option) -> EzklParameters:
    """The same layout with the largest base that its columns hold: more range, and nothing is paid for it."""
    room = (1 << option.cost.logrows) - RESERVED_ROWS
    base = option.parameters.decomp_base
    while 2 * base <= room and not parameters_too_wide(2 * base, option.parameters.decomp_legs):
        base *= 2
    return dataclasses.replace(option.parameters, decomp_base=base)


def too_large(layouts: Layouts, start: EzklParameters, bound: int, max_logrows: int, limits: Limits) -> Error:
    """What it would have taken."""
    if parameters_too_wide(base_for(bound, 8), 8) and bound >= WIDE_BOUND:
        return UnsupportedError(
            f"the model's values need {bound.bit_length()} bits, beyond a 64-bit integer",
            hint="scale the weights or the inputs down, or accept a larger --max-error",
        )
    needed = choose(list(options(layouts, start, bound, max_logrows=MAX_LOGROWS)), Limits())
    if needed is None:
        return UnsupportedError(f"the model does not fit 2^{MAX_LOGROWS} rows", hint="make it smaller")
    cost = needed.cost
    allowed = f"2^{max_logrows} rows" + (f" and {limits.memory / 1e9:.1f} GB" if limits.memory else "")
    return UnsupportedError(
        f"the model needs 2^{cost.logrows} rows and about {cost.memory / 1e9:.1f} GB of memory to prove; {allowed} are allowed",
        hint="allow more with --max-logrows or the memory limit, or make the model smaller",
    )


def table(rows: Sequence[tuple[str, Option]]) -> tuple[str, ...]:
    """Options as aligned lines, under a heading."""
    head = ("", "scale", "rebase", "columns", "digits", "rows", "2^k", "roundings", "seconds", "memory", "proving key")
    body = [(mark, *_cells(option)) for mark, option in rows]
    widths = [max(len(line[i]) for line in (head, *body)) for i in range(len(head))]
    return tuple("  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in (head, *body))


def _cells(option: Option) -> tuple[str, ...]:
    p, c = option.parameters, option.cost
    return (
        str(p.param_scale), str(p.scale_rebase_multiplier), str(p.num_inner_cols), f"{p.decomp_legs} of {p.decomp_base}",
        f"{c.rows:,}", str(c.logrows), f"{option.divisions:,}",
        f"{c.seconds:.2f}", f"{c.memory / 1e6:,.0f} MB", f"{c.proving_key / 1e6:,.1f} MB",
    )  # fmt: skip


__all__: Sequence[str] = [
    "Layouts", "Option", "base_for", "choose", "options", "sizes", "spare_digits", "table", "too_large", "wide",
]  # fmt: skip
