# SPDX-License-Identifier: Apache-2.0
"""Candidates for a circuit's precision and rebasing: which are good enough, and how large a number each must hold.

Precision is judged on a few telling samples by running the circuit without a proof; the one that is chosen in the end has to hold
for all of them (:func:`confirmed`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from verifiable.errors import UnsupportedError
from verifiable.zk.ezkl import search
from verifiable.zk.ezkl.cost import RESERVED_ROWS
from verifiable.zk.ezkl.drift import bounds, drift, unbounded
from verifiable.zk.ezkl.instances import FIELD
from verifiable.zk.ezkl.intervals import Bounds, Unbounded
from verifiable.zk.ezkl.parameters import MAX_SCALE, EzklParameters
from verifiable.zk.ezkl.search import Layouts, Option
from verifiable.zk.ezkl.trial import Run, Trial
from verifiable.zk.system import Limits

if TYPE_CHECKING:
    from verifiable.model.shapes import Analysis
    from verifiable.zk.ezkl.trial import Sample

#: Bits after the binary point that are tried, from coarse to fine.
SCALES = (4, 5, 6, 7, 8, 9, 10, 12, 14, 16)
#: 10 leaves all but the longest chains of products without a division; every smaller one trades digits for divisions.
REBASE_MULTIPLIERS = (10, 8, 6, 5, 4, 3, 2, 1)
#: Where values can only be measured, on the calibration samples, circuits are made for this many times as much.
CALIBRATED_MARGIN = 4
# The probes must be well within what is allowed, since the rest of the samples may be worse.
_PROBE_SHARE = 0.6
_MAX_SPARE_BITS = 4
# Without a table, and without a value at 0.
_PARTIAL = {"Reciprocal"}
# More than any table could hold; runs without a proof lay out no tables.
_WIDE_LOOKUPS = (-(1 << 40), 1 << 40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One precision and one rebasing, good enough on the probes. ``bound``: what its digits must hold."""

    start: EzklParameters
    bound: int
    sound: bool
    option: Option | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A candidate with the layout taken for it, and the parameters that use what room this leaves; ``run``: of every sample.

    ``drift``: per output, by how many of its integers a cheating prover could have moved it.
    """

    candidate: Candidate
    option: Option
    parameters: EzklParameters
    run: Run
    drift: tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class Search:
    """The state of one tuning. ``allowed``: error per output; ``nearest``, ``refused``: for the message when nothing serves.

    ``obstacle``: what stood in the way of a precision that was good enough; ``outside``: that was a function's domain.
    """

    layouts: Layouts
    trial: Trial
    analysis: Analysis
    samples: Sequence[Sample]
    expected: Sequence[Sample]
    allowed: Mapping[str, float]
    max_error: float | None
    max_logrows: int
    limits: Limits
    probes: tuple[int, ...]
    unbounded: str = ""
    nearest: tuple[float, str, EzklParameters] | None = None
    refused: dict[int, str] = field(default_factory=dict)
    obstacle: UnsupportedError | None = None
    outside: bool = False

    def refuse(self, parameters: EzklParameters, error: UnsupportedError) -> None:
        """Remember why these parameters will not do."""
        self.refused[parameters.scale_rebase_multiplier] = f"scale {parameters.param_scale}, {error.message}"
        self.obstacle = error


def candidates(state: Search) -> list[Candidate]:
    """One per way of rebasing. Divisions cost precision, so a smaller multiplier is not tried at coarser scales."""
    found: list[Candidate] = []
    for multiplier in _multipliers(state):
        coarsest = found[-1].start.param_scale if found else 0
        if (new := candidate(state, multiplier, above=coarsest - 1)) is not None:
            found.append(new)
    return found


def candidate(state: Search, multiplier: int, *, above: int = 0) -> Candidate | None:
    """The coarsest precision above ``above`` that the probes accept, and the best layout for it."""
    for scale in (s for s in SCALES if s > above):
        start = search.wide(scale=scale, multiplier=multiplier, lookups=_WIDE_LOOKUPS)
        try:
            agree = _probes_agree(state, start)
        except UnsupportedError as error:
            state.refused[multiplier] = f"scale {scale}, {error.message}"
            continue
        if not agree:
            continue
        try:
            start, needed, sound = _bound(state, dataclasses.replace(start, lookup_low=-1, lookup_high=1))
            _drift(state, start)
        except UnsupportedError as error:
            state.refuse(start, error)
            continue
        if needed > search.WIDE_BOUND:
            state.refused[multiplier] = f"scale {scale} already needs {needed.bit_length()} bits for its values"
            return None
        found = list(search.options(state.layouts, start, needed, max_logrows=state.max_logrows))
        return Candidate(start=start, bound=needed, sound=sound, option=search.choose(found, state.limits))
    return None


def _multipliers(state: Search) -> Iterator[int]:
    """Those that differ in anything: where no product reaches a multiplier's limit, the next larger one is the same circuit."""
    seen = set()
    for multiplier in REBASE_MULTIPLIERS:
        settings, plan = state.layouts.settings(search.wide(scale=SCALES[0], multiplier=multiplier, lookups=_WIDE_LOOKUPS))
        mark = (settings.num_rows, settings.output_scales, plan)
        if mark not in seen:
            seen.add(mark)
            yield multiplier


def _probes_agree(state: Search, parameters: EzklParameters) -> bool:
    """The probes one by one, so that too coarse a scale is found out at the first."""
    return all(_good(state, _run(state, parameters, [index]), [index], parameters, share=_PROBE_SHARE) for index in state.probes)


def _run(state: Search, parameters: EzklParameters, which: Sequence[int]) -> Run:
    settings, _ = state.layouts.settings(parameters)
    return state.trial.run(settings, [state.samples[i] for i in which])


def _good(state: Search, run: Run, which: Sequence[int], parameters: EzklParameters, *, share: float = 1.0) -> bool:
    """Whether these samples are within ``share`` of the allowed error, with the same arg-max where that is asked for."""
    import numpy as np

    for name in state.trial.outputs:
        found = np.stack([sample[name] for sample in run.values()])
        expected = np.stack([state.expected[i][name] for i in which]).astype(np.float64)
        error = float(np.abs(found - expected).max())
        if state.nearest is None or error / (state.allowed[name] or 1) < state.nearest[0]:
            state.nearest = (error / (state.allowed[name] or 1), f"output {name!r} is off by {error:.3g}", parameters)
        classes = state.max_error is None and found.ndim > 1 and found.shape[-1] > 1
        if error > share * state.allowed[name] or (classes and (found.argmax(-1) != expected.argmax(-1)).any()):
            return False
    return True


def _bound(state: Search, start: EzklParameters) -> tuple[EzklParameters, int, bool]:
    """What the digits must hold, and whether that is for every admissible input or was measured on the samples.

    Tables always hold every argument that an admissible input can lead to: one beyond them ends a thread of ezkl, and the call
    never returns. Raises UnsupportedError where that cannot be had, or an argument may be outside a function's domain.
    """
    settings, _ = state.layouts.settings(start)
    found = _intervals(state, start)
    if isinstance(found, Unbounded):
        _check_unbounded(state, found, lookups=settings.lookups)
        state.unbounded = found.reason
        return start, _measured(state, start), False
    if settings.lookups:
        start = _with_tables(state, start, found)
    if found.unsure:
        state.unbounded = found.unsure
        return start, _measured(state, start), False
    return start, found.decomposed, True


def _check_unbounded(state: Search, found: Unbounded, *, lookups: int) -> None:
    state.outside |= found.outside
    if found.outside:
        raise UnsupportedError(
            found.reason,
            hint="narrow the calibration data so that it stays inside, or clip the argument before this node",
        )
    if lookups or any(node.op_type in _PARTIAL for node in state.analysis.nodes):
        raise UnsupportedError(
            f"what reaches a table function is not bounded for every input: {found.reason} is not understood",
            hint="put a Clip before the function and keep other operators out of its way, or replace it, by a ReLU for instance",
        )


def _with_tables(state: Search, start: EzklParameters, found: Bounds) -> EzklParameters:
    low, high = found.lookup
    if not found.table:
        raise UnsupportedError(
            "ezkl lays out a table function that is not in the model", hint="`verifiable check` shows the nodes"
        )
    if (rows := high - low + 1 + RESERVED_ROWS) > 1 << state.max_logrows:
        raise UnsupportedError(
            f"{found.table}: its argument can be any of {rows:,} integers, more than a table of 2^{state.max_logrows} rows holds",
            hint="clip its argument, or scale the weights before it down",
        )
    return dataclasses.replace(start, lookup_low=min(low, 0), lookup_high=max(high, 0))


def _drift(state: Search, parameters: EzklParameters) -> tuple[int, ...]:
    """Per output, in integers. Raises UnsupportedError where a prover could move one by more than the allowed error."""
    settings, plan = state.layouts.settings(parameters)
    found = drift(state.analysis, settings, plan, _inputs(state, parameters))
    if isinstance(found, Unbounded):
        raise unbounded(found.reason)
    for units, name, bits in zip(found, state.trial.outputs, settings.output_scales, strict=True):
        if units * 2.0**-bits > state.allowed[name]:
            walked = _intervals(state, parameters)
            where = walked.quotients if isinstance(walked, Bounds) else "a layer"
            raise UnsupportedError(
                f"a cheating prover could have moved output {name!r} by up to {units:,} units ({units * 2.0**-bits:.3g}),"
                f" {state.allowed[name]:.3g} is allowed: the results of {where} are rounded either way, later weights amplify it",
                hint="allow more with --max-error, make the weights after that node smaller, or use narrower layers;"
                " the sumcheck proof system rounds exactly",
            )
    return found


def _inputs(state: Search, parameters: EzklParameters) -> dict[str, tuple[int, int]]:
    settings, _ = state.layouts.settings(parameters)
    return {spec.name: (spec.low, spec.high) for spec in state.trial.specs(settings)}


def _intervals(state: Search, parameters: EzklParameters, *, clamped: bool = False) -> Bounds | Unbounded:
    settings, _ = state.layouts.settings(parameters)
    return bounds(state.analysis, settings, _inputs(state, parameters), clamped=clamped)


def _measured(state: Search, start: EzklParameters) -> int:
    """By bisection: the fewest bits with which every probe runs; and the admissible inputs themselves must fit."""
    settings, _ = state.layouts.settings(start)
    specs = state.trial.specs(settings)
    samples = [state.samples[i] for i in state.probes]
    low, high = 0, search.WIDE_BOUND.bit_length()
    while high - low > 1:
        middle = (low + high) // 2
        legs = -(-middle // 20)
        tried = dataclasses.replace(start, decomp_base=search.base_for((1 << middle) - 1, legs), decomp_legs=legs)
        fits = state.trial.succeeds(state.layouts.settings(tried)[0], samples)
        low, high = (low, middle) if fits else (middle, high)
    return max(CALIBRATED_MARGIN << high, *(abs(end) for spec in specs for end in (spec.low, spec.high)))


def confirmed(state: Search, chosen: Candidate, option: Option) -> Choice | None:
    """All samples through the circuit itself; None where they turn it down."""
    parameters = _use_spare(state, chosen, option)
    wraps = _intervals(state, parameters, clamped=True)
    if isinstance(wraps, Bounds) and wraps.largest >= FIELD // 2:
        state.refused[parameters.scale_rebase_multiplier] = "a value could wrap around in the field"
        return None
    everything = range(len(state.samples))
    try:
        moved = _drift(state, parameters)
        run = _run(state, parameters, everything)
    except UnsupportedError as error:
        state.refuse(parameters, error)
        return None
    good = _good(state, run, everything, parameters)
    return Choice(candidate=chosen, option=option, parameters=parameters, run=run, drift=moved) if good else None


def _use_spare(state: Search, chosen: Candidate, best: Option) -> EzklParameters:
    """Finer precision where the layout has room for it: rows do not depend on the scale, so this is free."""
    final = search.spare_digits(best)
    if not chosen.sound or best.layout.lookups:
        return final
    for extra in range(_MAX_SPARE_BITS, 0, -1):
        scale = min(chosen.start.param_scale + extra, MAX_SCALE)
        finer = dataclasses.replace(final, input_scale=scale, param_scale=scale)
        found = _intervals(state, finer)
        layout, _ = state.layouts.layout(finer)
        if isinstance(found, Bounds) and found.decomposed <= finer.bound and layout.cells <= best.layout.cells:
            return finer
    return final
