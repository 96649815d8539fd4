# SPDX-License-Identifier: Apache-2.0
"""What a tuning tells: what was chosen and why, what else there was, or why nothing would do."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from verifiable.errors import UnsupportedError
from verifiable.zk.ezkl import search
from verifiable.zk.ezkl.candidates import CALIBRATED_MARGIN, Candidate, Choice, Search
from verifiable.zk.ezkl.trial import Ends


def explain(state: Search, choice: Choice, candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """Lines for a person: a table of the choice and its rivals, then the range, the bound on values, roundings and precision."""
    chosen, best, final = choice.candidate, choice.option, choice.parameters
    others = [c.option for c in candidates if c.option is not None and c.option is not best]
    layouts = list(search.options(state.layouts, chosen.start, chosen.bound, max_logrows=state.max_logrows))
    for columns in search.INNER_COLUMNS:
        same = [o for o in layouts if o.parameters.num_inner_cols == columns != best.parameters.num_inner_cols]
        others += [option] if (option := search.choose(same, state.limits)) is not None else []
    others.sort(key=lambda o: o.cost.seconds)
    shown = dataclasses.replace(best, parameters=final)
    ranges = ", ".join(_range(end) for end in state.trial.inputs)
    values = (
        f"values: at most {chosen.bound.bit_length()} bits for every input in that range (interval arithmetic)"
        if chosen.sound
        else f"values: {chosen.bound.bit_length()} bits, measured on {len(state.probes)} samples, times {CALIBRATED_MARGIN};"
        f" an input far from the samples may turn out not to be provable ({state.unbounded} is not bounded)"
    )
    scales = choice.run.scales
    rounding = (
        f"{best.divisions:,} values are quotients, which a prover may round either way by one unit; that moves "
        + ", ".join(
            f"output {name!r} by at most {units:,} units ({units * 2.0 ** -scales[name]:.3g})"
            for name, units in zip(scales, choice.drift, strict=True)
        )
        if best.divisions
        else "no quotient is left to the prover's rounding"
    )
    return (
        f"chosen by predicted cost, among {len(candidates)} ways to rebase and {len(layouts)} layouts of the best",
        *search.table([("chosen", shown), *(("", option) for option in others)]),
        f"calibrated on {len(state.samples)} samples: {ranges}",
        values,
        rounding,
        f"precision: {chosen.start.param_scale} bits after the point are enough; {final.param_scale} fit the same rows",
        *(f"not possible: rebase {multiplier}: {why}" for multiplier, why in state.refused.items()),
    )


def _range(end: Ends) -> str:
    """Integers are taken as they come; see :data:`verifiable.zk.ezkl.trial.MARGIN`."""
    widened = ", widened by a quarter of its span" if end.dtype.startswith("float") else ""
    return f"{end.name} in [{end.low:g}, {end.high:g}]{widened}"


def unsatisfied(state: Search) -> UnsupportedError:
    """No precision was good enough: what stood in the way of one that was, or the nearest miss, by output and parameters."""
    if state.obstacle is not None:
        return state.obstacle
    if state.nearest is None:
        return UnsupportedError(
            f"no parameters were found for this model: {next(iter(state.refused.values()), 'none could be laid out')}",
            hint="scale the weights and inputs down, or remove what `verifiable check` names as costly",
        )
    _, reached, best = state.nearest
    allowed = ", ".join(f"{value:.3g}" for value in state.allowed.values())
    return UnsupportedError(
        f"no parameters are within the allowed error ({allowed}): {reached} at best, with scale {best.param_scale}"
        f" and rebase multiplier {best.scale_rebase_multiplier}",
        hint="allow more with --max-error, or scale the model so that its values are neither tiny nor huge",
    )
