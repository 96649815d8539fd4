# SPDX-License-Identifier: Apache-2.0
"""Chooses an ezkl circuit's parameters by predicted cost; takes the place of ezkl's ``calibrate_settings``.

1. The range of each input, from the calibration samples. 2. For each way of rebasing, the coarsest precision whose outputs are
within the allowed error. 3. How large values get, by interval arithmetic over the graph for every admissible input, or by running
the samples. 4. Of all layouts that hold such values, the one with the least predicted cost. 5. Every sample is run through the
circuit that was chosen, and the allowed error is checked on all of them.

Nothing is proved, timed or drawn at random: the same arguments give the same parameters, which is what an auditor repeats.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from verifiable.errors import MalformedError, UnsupportedError
from verifiable.zk.circuit import Visibility
from verifiable.zk.ezkl import search, trial
from verifiable.zk.ezkl.cost import Cost, Layout, predict
from verifiable.zk.ezkl.instances import FIELD
from verifiable.zk.ezkl.intervals import Bounds, bound
from verifiable.zk.ezkl.parameters import MAX_SCALE, EzklParameters, check_visibility
from verifiable.zk.ezkl.process import Child, job
from verifiable.zk.ezkl.search import Layouts, Option
from verifiable.zk.ezkl.trial import Ends, Run
from verifiable.zk.system import Limits, Progress, no_progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from verifiable.model.shapes import Analysis
    from verifiable.zk.ezkl.trial import Sample

#: Bits after the binary point that are tried, from coarse to fine.
SCALES = (4, 5, 6, 7, 8, 9, 10, 12, 14, 16)
#: 10 leaves all but the longest chains of products without a division; every smaller one trades digits for divisions.
REBASE_MULTIPLIERS = (10, 8, 6, 5, 4, 3, 2, 1)
#: Where values can only be measured, on the calibration samples, circuits are made for this many times as much.
CALIBRATED_MARGIN = 4
_PROBES = 3
_PROBE_SHARE = 0.6
_MAX_SPARE_BITS = 4
_WIDE_LOOKUPS = (-(1 << 40), 1 << 40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What was chosen and why, with the exact outputs of every calibration sample.

    ``input_ranges``: (low, high) integers at the input's scale; every input within them can be proved, unless ``explanation``
    says that values were only measured. ``input_scales``, ``output_scales``: the unit of the integers, as in ``TensorSpec``.
    """

    parameters: EzklParameters
    input_ranges: Mapping[str, tuple[int, int]]
    input_scales: Mapping[str, float]
    output_scales: Mapping[str, float]
    integer_outputs: tuple[Mapping[str, NDArray[np.int64]], ...]
    explanation: tuple[str, ...]
    predicted: Cost

    @property
    def outputs(self) -> tuple[Mapping[str, NDArray[np.float64]], ...]:
        """Per sample, integers times scale: what a fidelity report compares with the float model."""
        return tuple({n: array * self.output_scales[n] for n, array in sample.items()} for sample in self.integer_outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """One precision and one rebasing, good enough on the probes. ``bound``: what its digits must hold."""

    start: EzklParameters
    bound: int
    sound: bool
    option: Option | None


@dataclass(slots=True, kw_only=True)
class _Search:
    """The state of one call of :func:`tune`."""

    program: bytes
    layouts: Layouts
    child: Child
    analysis: Analysis
    inputs: tuple[Ends, ...]
    shapes: Mapping[str, tuple[int, ...]]
    samples: Sequence[Sample]
    expected: Sequence[Sample]
    allowed: Mapping[str, float]
    max_error: float | None
    max_logrows: int
    limits: Limits
    probes: tuple[int, ...]
    unbounded: str = ""
    nearest: tuple[float, str, EzklParameters] | None = None
    refused: list[str] = field(default_factory=list)


def tune(
    *,
    program: bytes,
    visibility: Visibility,
    calibration: Sequence[Mapping[str, NDArray[np.generic]]],
    float_outputs: Sequence[Mapping[str, NDArray[np.generic]]],
    max_error: float | None = None,
    max_logrows: int = 22,
    limits: Limits | None = None,
    progress: Progress = no_progress,
) -> Tuning:
    """The cheapest parameters whose outputs stay within ``max_error`` of ``float_outputs`` on every calibration sample.

    ``program``: normalised ONNX. ``max_error``: largest absolute error in the output's unit; None asks for the same arg-max
    everywhere and 1 % of the output's range. Raises MalformedError for samples that do not fit the model, UnsupportedError where no
    parameters serve: the error names the output, what was reached, and with which parameters, or the rows and memory needed.
    """
    check_visibility(visibility)
    limits = limits or Limits()
    if max_error is not None and not 0 <= max_error < float("inf"):
        raise MalformedError(f"the allowed error {max_error!r} is not a number from 0 upwards")
    analysis = _analyse(program)
    inputs = _ordered(trial.ends(calibration), analysis)
    _check_outputs(float_outputs, len(calibration), analysis)
    with job(limits=limits, progress=progress) as child:
        state = _Search(
            program=program, child=child, analysis=analysis, inputs=inputs, samples=calibration, expected=float_outputs,
            layouts=Layouts(child=child, program=program, visibility=visibility),
            shapes={name: analysis.values[name].shape for name in analysis.outputs},
            allowed=_allowed(float_outputs, max_error), max_error=max_error, max_logrows=max_logrows, limits=limits,
            probes=_probes(float_outputs),
        )  # fmt: skip
        candidates = _candidates(state)
        if not candidates:
            raise _unsatisfied(state)
        return _decide(state, candidates)


def _decide(state: _Search, candidates: Sequence[_Candidate]) -> Tuning:
    """The best of the candidates; the next finer precision when the samples that were not probed turn it down."""
    rest = list(candidates)
    while rest:
        fitting = [c.option for c in rest if c.option is not None]
        best = search.choose(fitting, state.limits)
        if best is None:
            smallest = min(rest, key=lambda c: c.bound)
            raise search.too_large(state.layouts, smallest.start, smallest.bound, state.max_logrows, state.limits)
        chosen = next(c for c in rest if c.option is best)
        final, bounds_sound = _use_spare(state, chosen, best)
        if (run := _confirmed(state, final)) is not None:
            return _tuning(state, chosen, best, final, run, candidates, sound=bounds_sound)
        rest.remove(chosen)
        finer = _candidate(state, chosen.start.scale_rebase_multiplier, above=chosen.start.param_scale)
        rest += [finer] if finer is not None else []
    raise _unsatisfied(state)


def _candidates(state: _Search) -> list[_Candidate]:
    """One per way of rebasing. Each division costs precision, so a smaller multiplier needs no coarser scale than a larger one."""
    found: list[_Candidate] = []
    for multiplier in _multipliers(state):
        coarsest = found[-1].start.param_scale if found else 0
        if (candidate := _candidate(state, multiplier, above=coarsest - 1)) is not None:
            found.append(candidate)
    return found


def _candidate(state: _Search, multiplier: int, *, above: int = 0) -> _Candidate | None:
    """The coarsest precision above ``above`` that the probes accept, and the best layout for it."""
    for scale in (s for s in SCALES if s > above):
        start = search.wide(scale=scale, multiplier=multiplier, lookups=_WIDE_LOOKUPS)
        try:
            runs = _probed(state, start)
        except UnsupportedError as error:  # values beyond 2^60 at this scale; a finer one would have larger ones still
            state.refused.append(f"scale {scale}, rebase {multiplier}: {error.message}")
            return None
        if runs is None:
            continue
        start = _with_lookups(start, runs)
        needed, sound = _bound(state, start)
        if needed > search.WIDE_BOUND:
            state.refused.append(f"scale {scale}, rebase {multiplier}: values of {needed.bit_length()} bits")
            return None
        found = list(search.options(state.layouts, start, needed, max_logrows=state.max_logrows))
        return _Candidate(start=start, bound=needed, sound=sound, option=search.choose(found, state.limits))
    return None


def _multipliers(state: _Search) -> Iterator[int]:
    """Those that differ in anything: where no product reaches a multiplier's limit, the next larger one is the same circuit."""
    seen = set()
    for multiplier in REBASE_MULTIPLIERS:
        settings, plan = state.layouts.settings(search.wide(scale=SCALES[0], multiplier=multiplier, lookups=_WIDE_LOOKUPS))
        mark = (settings.num_rows, settings.output_scales, plan)
        if mark not in seen:
            seen.add(mark)
            yield multiplier


def _probed(state: _Search, parameters: EzklParameters) -> list[Run] | None:
    """The probes one by one, so that too coarse a scale is found out at the first; None where one is too far off."""
    runs = []
    for index in state.probes:
        runs.append(_run(state, parameters, [index]))
        if not _good(state, runs[-1], [index], parameters, share=_PROBE_SHARE):
            return None
    return runs


def _run(state: _Search, parameters: EzklParameters, which: Sequence[int]) -> Run:
    settings, _ = state.layouts.settings(parameters)
    samples = [state.samples[i] for i in which]
    return trial.run(state.child, state.program, settings, state.inputs, state.shapes, samples)


def _good(state: _Search, run: Run, which: Sequence[int], parameters: EzklParameters, *, share: float = 1.0) -> bool:
    """Whether these samples are within ``share`` of the allowed error, with the same arg-max where that is asked for."""
    import numpy as np

    for name in state.shapes:
        found = np.stack([sample[name] for sample in run.values()])
        expected = np.stack([state.expected[i][name] for i in which]).astype(np.float64)
        error = float(np.abs(found - expected).max())
        if state.nearest is None or error / (state.allowed[name] or 1) < state.nearest[0]:
            state.nearest = (error / (state.allowed[name] or 1), f"output {name!r} is off by {error:.3g}", parameters)
        classes = state.max_error is None and found.ndim > 1 and found.shape[-1] > 1
        if error > share * state.allowed[name] or (classes and (found.argmax(-1) != expected.argmax(-1)).any()):
            return False
    return True


def _bound(state: _Search, start: EzklParameters) -> tuple[int, bool]:
    """What the digits must hold, and whether that holds for every admissible input or was measured on the samples."""
    found = _intervals(state, start)
    if isinstance(found, Bounds):
        return found.decomposed, True
    state.unbounded = found
    return _measured(state, start), False


def _intervals(state: _Search, start: EzklParameters, *, clamp: int | None = None) -> Bounds | str:
    settings, _ = state.layouts.settings(start)
    specs = [end.spec(bits, start.bound) for end, bits in zip(state.inputs, settings.input_scales, strict=True)]
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


def _measured(state: _Search, start: EzklParameters) -> int:
    """By bisection: the fewest bits with which every probe runs; and the admissible inputs themselves must fit."""
    settings, _ = state.layouts.settings(start)
    specs = [end.spec(bits, start.bound) for end, bits in zip(state.inputs, settings.input_scales, strict=True)]
    samples = [state.samples[i] for i in state.probes]
    low, high = 0, search.WIDE_BOUND.bit_length()
    while high - low > 1:
        middle = (low + high) // 2
        legs = -(-middle // 20)
        tried = dataclasses.replace(start, decomp_base=search.base_for((1 << middle) - 1, legs), decomp_legs=legs)
        fits = trial.succeeds(
            state.child, state.program, state.layouts.settings(tried)[0], state.inputs, state.shapes, samples
        )  # fmt: skip
        low, high = (low, middle) if fits else (middle, high)
    return max(CALIBRATED_MARGIN << high, *(abs(end) for spec in specs for end in (spec.low, spec.high)))


def _with_lookups(start: EzklParameters, runs: Sequence[Run]) -> EzklParameters:
    """Table functions are laid out for what the samples need of them, and as much again."""
    reach = 2 * max(1, *(end for run in runs for end in (-run.lookup_low, run.lookup_high)))
    return dataclasses.replace(start, lookup_low=-reach, lookup_high=reach)


def _use_spare(state: _Search, chosen: _Candidate, best: Option) -> tuple[EzklParameters, bool]:
    """Finer precision where the layout has room for it: rows do not depend on the scale, so this is free."""
    final = search.spare_digits(best)
    if not chosen.sound or best.layout.lookups:
        return final, chosen.sound
    for extra in range(_MAX_SPARE_BITS, 0, -1):
        scale = chosen.start.param_scale + extra
        if scale > MAX_SCALE:
            continue
        finer = dataclasses.replace(final, input_scale=scale, param_scale=scale)
        found = _intervals(state, finer)
        layout, _ = state.layouts.layout(finer)
        if isinstance(found, Bounds) and found.decomposed <= finer.bound and layout.cells <= best.layout.cells:
            return finer, True
    return final, True


def _confirmed(state: _Search, parameters: EzklParameters) -> Run | None:
    """All samples through the circuit itself; None where they turn it down."""
    everything = range(len(state.samples))
    if (
        (wraps := _intervals(state, parameters, clamp=parameters.bound))
        and isinstance(wraps, Bounds)
        and wraps.largest >= FIELD // 2
    ):
        state.refused.append(f"scale {parameters.param_scale}: a value could wrap around in the field")
        return None
    try:
        run = _run(state, parameters, everything)
    except UnsupportedError as error:
        state.refused.append(error.message)
        return None
    return run if _good(state, run, everything, parameters) else None


def _tuning(
    state: _Search,
    chosen: _Candidate,
    best: Option,
    final: EzklParameters,
    run: Run,
    candidates: Sequence[_Candidate],
    *,
    sound: bool,
) -> Tuning:
    settings, _ = state.layouts.settings(final)
    specs = [end.spec(bits, final.bound) for end, bits in zip(state.inputs, settings.input_scales, strict=True)]
    return Tuning(
        parameters=final,
        input_ranges={spec.name: (spec.low, spec.high) for spec in specs},
        input_scales={spec.name: spec.scale for spec in specs},
        output_scales={name: 2.0**-bits for name, bits in run.scales.items()},
        integer_outputs=run.integers,
        explanation=_explain(state, chosen, best, final, candidates, sound=sound),
        predicted=predict(Layout.of(settings), final.logrows),
    )


def _explain(
    state: _Search, chosen: _Candidate, best: Option, final: EzklParameters, candidates: Sequence[_Candidate], *, sound: bool
) -> tuple[str, ...]:
    others = [c.option for c in candidates if c.option is not None and c.option is not best]
    layouts = list(search.options(state.layouts, chosen.start, chosen.bound, max_logrows=state.max_logrows))
    for columns in search.INNER_COLUMNS:
        same = [o for o in layouts if o.parameters.num_inner_cols == columns != best.parameters.num_inner_cols]
        others += [option] if (option := search.choose(same, state.limits)) is not None else []
    others.sort(key=lambda o: o.cost.seconds)
    shown = dataclasses.replace(best, parameters=final)
    ranges = ", ".join(f"{end.name} in [{end.low:g}, {end.high:g}]" for end in state.inputs)
    values = (
        f"values: at most {chosen.bound.bit_length()} bits for every input in that range (interval arithmetic)"
        if sound
        else f"values: {chosen.bound.bit_length()} bits, measured on {len(state.probes)} samples, times {CALIBRATED_MARGIN};"
        f" an input far from the samples may turn out not to be provable ({state.unbounded} is not bounded)"
    )
    rounding = (
        f"{best.divisions:,} values are quotients, which a prover may round either way by one unit"
        if best.divisions
        else "no value is rounded: the outputs are the only ones that can be proved"
    )
    return (
        f"chosen by predicted cost, among {len(candidates)} ways to rebase and {len(layouts)} layouts of the best",
        *search.table([("chosen", shown), *(("", option) for option in others)]),
        f"calibrated on {len(state.samples)} samples, widened by a quarter: {ranges}",
        values,
        rounding,
        f"precision: {chosen.start.param_scale} bits after the point are enough; {final.param_scale} fit the same rows",
        *(f"not possible: {line}" for line in dict.fromkeys(state.refused)),
    )


def _unsatisfied(state: _Search) -> UnsupportedError:
    if state.nearest is None:
        return UnsupportedError(
            f"no parameters were found for this model: {state.refused[-1] if state.refused else 'none could be laid out'}",
            hint="scale the weights and inputs down, or remove what `verifiable check` names as costly",
        )
    _, reached, best = state.nearest
    allowed = ", ".join(f"{value:.3g}" for value in state.allowed.values())
    return UnsupportedError(
        f"no parameters are within the allowed error ({allowed}): {reached} at best, with scale {best.param_scale}"
        f" and rebase multiplier {best.scale_rebase_multiplier}",
        hint="allow more with --max-error, or scale the model so that its values are neither tiny nor huge",
    )


def _analyse(program: bytes) -> Analysis:
    from verifiable.model.analysis import analyse
    from verifiable.model.onnx_file import Model, parse_proto
    from verifiable.model.shapes import bind

    shapes, _ = bind(Model.parse(program).inputs, {})
    proto = parse_proto(program)
    opset = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    return analyse(proto.graph, opset, shapes)


def _ordered(found: tuple[Ends, ...], analysis: Analysis) -> tuple[Ends, ...]:
    by_name = {end.name: end for end in found}
    if different := sorted(set(by_name) ^ set(analysis.inputs)):
        told = "is missing" if different[0] in analysis.inputs else "is not an input of the model"
        raise MalformedError(f"calibration: {different[0][:80]!r} {told}")
    for name, end in by_name.items():
        value = analysis.values[name]
        if (end.dtype, end.shape) != (value.dtype, value.shape):
            raise MalformedError(
                f"calibration: input {name!r} is {end.dtype}{list(end.shape)}, the model takes {value.dtype}{list(value.shape)}"
            )
    return tuple(by_name[name] for name in analysis.inputs)


def _check_outputs(outputs: Sequence[Sample], samples: int, analysis: Analysis) -> None:
    import numpy as np

    if len(outputs) != samples:
        raise MalformedError(f"calibration: {samples} samples, but {len(outputs)} results of the float model")
    for index, sample in enumerate(outputs):
        if set(sample) != set(analysis.outputs):
            raise MalformedError(f"calibration: the outputs of sample {index} are not the model's")
        for name, array in sample.items():
            if not np.isfinite(np.asarray(array, np.float64)).all():
                raise MalformedError(f"calibration: output {name!r} of sample {index} is not finite")


def _allowed(outputs: Sequence[Sample], max_error: float | None) -> Mapping[str, float]:
    """Per output, as a fidelity report will judge it."""
    import numpy as np

    from verifiable.model.fidelity import DEFAULT_SHARE

    def default(name: str) -> float:
        every: Any = np.stack([sample[name] for sample in outputs]).astype(np.float64)
        low, high = float(every.min()), float(every.max())
        return DEFAULT_SHARE * (high - low or max(abs(low), abs(high)))

    return {name: default(name) if max_error is None else max_error for name in outputs[0]}


def _probes(outputs: Sequence[Sample]) -> tuple[int, ...]:
    """The samples that tell most: the largest outputs, the closest decisions, and some spread evenly."""
    import numpy as np

    def closeness(sample: Sample) -> float:
        gaps = [
            np.diff(np.sort(np.asarray(a, np.float64), axis=-1)[..., -2:]).min()
            for a in sample.values()
            if a.ndim and a.shape[-1] > 1
        ]
        return float(min(gaps, default=0.0))

    indices = range(len(outputs))
    largest = sorted(indices, key=lambda i: (-max(float(np.abs(a).max()) for a in outputs[i].values()), i))
    closest = sorted(indices, key=lambda i: (closeness(outputs[i]), i))
    spread = [i * len(outputs) // _PROBES for i in range(_PROBES)]
    return tuple(sorted(dict.fromkeys([largest[0], *closest[:2], *spread]))[: 2 * _PROBES])


__all__ = ["Tuning", "tune"]
