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
from verifiable.zk.ezkl.instances import FIELD
from verifiable.zk.ezkl.intervals import Bounds, bound
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
# A table for all admissible inputs may be this much larger than one for the samples.
_MAX_TABLE_GROWTH = 4
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
    """A candidate with the layout taken for it, and the parameters that use what room this leaves; ``run``: of every sample."""

    candidate: Candidate
    option: Option
    parameters: EzklParameters
    run: Run


@dataclass(slots=True, kw_only=True)
class Search:
    """The state of one tuning. ``allowed``: error per output; ``nearest``, ``refused``: for the message when nothing serves."""

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
            runs = _probed(state, start)
        except UnsupportedError as error:
            state.refused[multiplier] = f"scale {scale}, {error.message}"
            continue
        if runs is None:
            continue
        start, needed, sound = _bound(state, _with_lookups(start, runs))
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


def _probed(state: Search, parameters: EzklParameters) -> list[Run] | None:
    """The probes one by one, so that too coarse a scale is found out at the first; None where one is too far off."""
    runs = []
    for index in state.probes:
        runs.append(_run(state, parameters, [index]))
        if not _good(state, runs[-1], [index], parameters, share=_PROBE_SHARE):
            return None
    return runs


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
    """What the digits must hold, and whether digits and tables serve every admissible input or were measured on the samples."""
    found = _intervals(state, start)
    if not isinstance(found, Bounds):
        state.unbounded = found
        return start, _measured(state, start), False
    low, high = found.lookup
    if (high - low) > _MAX_TABLE_GROWTH * (start.lookup_high - start.lookup_low):
        state.unbounded = "a table function's input"
        return start, found.decomposed, False
    if low == high == 0:
        return start, found.decomposed, True
    return dataclasses.replace(start, lookup_low=min(low, 0), lookup_high=max(high, 0)), found.decomposed, True


def _intervals(state: Search, start: EzklParameters, *, clamp: int | None = None) -> Bounds | str:
    settings, _ = state.layouts.settings(start)
    specs = state.trial.specs(settings)
    inputs = {spec.name: (spec.low, spec.high) for spec in specs}
    found = bound(
        state.analysis,
        inputs=inputs if clamp is None else dict.fromkeys(inputs, (-clamp, clamp)),
        input_scales=dict(zip(inputs, settings.input_scales, strict=True)),
        param_scale=start.param_scale,
        rebase_multiplier=start.scale_rebase_multiplier,
        global_scale=max(start.input_scale, start.param_scale),
        clamp=clamp,
    )
    if isinstance(found, str) or found.scales == settings.output_scales:
        return found
    return "a scale that ezkl chooses otherwise"


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


def _with_lookups(start: EzklParameters, runs: Sequence[Run]) -> EzklParameters:
    """Table functions are laid out for what the samples need of them, and half as much at either end."""
    low, high = min(run.lookup_low for run in runs), max(run.lookup_high for run in runs)
    margin = (high - low) // 2 + 1
    return dataclasses.replace(start, lookup_low=low - margin, lookup_high=high + margin)


def confirmed(state: Search, chosen: Candidate, option: Option) -> Choice | None:
    """All samples through the circuit itself; None where they turn it down."""
    parameters = _use_spare(state, chosen, option)
    wraps = _intervals(state, parameters, clamp=parameters.bound)
    if isinstance(wraps, Bounds) and wraps.largest >= FIELD // 2:
        state.refused[parameters.scale_rebase_multiplier] = "a value could wrap around in the field"
        return None
    everything = range(len(state.samples))
    try:
        run = _run(state, parameters, everything)
    except UnsupportedError as error:
        state.refused[parameters.scale_rebase_multiplier] = error.message
        return None
    good = _good(state, run, everything, parameters)
    return Choice(candidate=chosen, option=option, parameters=parameters, run=run) if good else None


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
