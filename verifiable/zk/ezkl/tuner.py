# SPDX-License-Identifier: Apache-2.0
"""Chooses an ezkl circuit's parameters by predicted cost; takes the place of ezkl's ``calibrate_settings``.

1. The range of each input, from the calibration samples. 2. For each way of rebasing, the coarsest precision whose outputs are
within the allowed error. 3. How large values get, by interval arithmetic over the graph for every admissible input, or by running
the samples. 4. Of all layouts that hold such values, the one with the least predicted cost. 5. Every sample is run through the
circuit that was chosen, and the allowed error is checked on all of them.

Nothing is proved, timed or drawn at random: the same arguments give the same parameters, which is what an auditor repeats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from verifiable.errors import MalformedError
from verifiable.zk.circuit import Visibility
from verifiable.zk.ezkl import search, trial
from verifiable.zk.ezkl.candidates import Candidate, Choice, Search, candidate, candidates, confirmed
from verifiable.zk.ezkl.cost import Cost, Layout, predict
from verifiable.zk.ezkl.drift import analyse
from verifiable.zk.ezkl.explanation import explain, unsatisfied
from verifiable.zk.ezkl.parameters import EzklParameters, check_visibility
from verifiable.zk.ezkl.process import job
from verifiable.zk.ezkl.search import Layouts
from verifiable.zk.ezkl.trial import Ends, Trial
from verifiable.zk.system import Limits, Progress, no_progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from verifiable.model.shapes import Analysis
    from verifiable.zk.ezkl.trial import Sample

# Samples spread evenly that judge a precision, beside the most telling ones.
_PROBES = 3


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
        return tuple(
            {n: array.astype("f8") * self.output_scales[n] for n, array in sample.items()} for sample in self.integer_outputs
        )


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
    everywhere and 1 % of the output's range. Raises MalformedError for samples that do not fit the model, UnsupportedError where
    no parameters serve: the error names the output, what was reached, and with which parameters, or the rows and memory needed.
    """
    check_visibility(visibility)
    limits = limits or Limits()
    if max_error is not None and not 0 <= max_error < float("inf"):
        raise MalformedError(f"the allowed error {max_error!r} is not a number from 0 upwards")
    analysis = analyse(program)
    ends = _ordered(trial.ends(calibration), analysis)
    _check_outputs(float_outputs, len(calibration), analysis)
    with job(limits=limits, progress=progress) as child:

        def begin(inputs: tuple[Ends, ...]) -> Search:
            return Search(
                layouts=Layouts(child=child, program=program, visibility=visibility),
                trial=Trial(
                    child=child, program=program, inputs=inputs, outputs={n: analysis.values[n].shape for n in analysis.outputs}
                ),
                analysis=analysis, samples=calibration, expected=float_outputs, allowed=_allowed(float_outputs, max_error),
                max_error=max_error, max_logrows=max_logrows, limits=limits, probes=_probes(float_outputs),
            )  # fmt: skip

        state = begin(ends)
        found = candidates(state)
        if not found and state.outside:
            # Widening the calibrated range took a function out of its domain: the circuit admits what was calibrated, no more.
            state = begin(_ordered(trial.ends(calibration, margin=0.0), analysis))
            found = candidates(state)
        if not found:
            raise unsatisfied(state)
        return _decide(state, found)


def _decide(state: Search, candidates: Sequence[Candidate]) -> Tuning:
    """The best of the candidates; the next finer precision when the samples that were not probed turn it down."""
    rest = list(candidates)
    while rest:
        fitting = [c.option for c in rest if c.option is not None]
        best = search.choose(fitting, state.limits)
        if best is None:
            smallest = min(rest, key=lambda c: c.bound)
            raise search.too_large(state.layouts, smallest.start, smallest.bound, state.max_logrows, state.limits)
        chosen = next(c for c in rest if c.option is best)
        if (choice := confirmed(state, chosen, best)) is not None:
            return _tuning(state, choice, candidates)
        rest.remove(chosen)
        finer = candidate(state, chosen.start.scale_rebase_multiplier, above=chosen.start.param_scale)
        rest += [finer] if finer is not None else []
    raise unsatisfied(state)


def _tuning(state: Search, choice: Choice, candidates: Sequence[Candidate]) -> Tuning:
    settings, _ = state.layouts.settings(choice.parameters)
    specs = state.trial.specs(settings)
    return Tuning(
        parameters=choice.parameters,
        input_ranges={spec.name: (spec.low, spec.high) for spec in specs},
        input_scales={spec.name: spec.scale for spec in specs},
        output_scales={name: 2.0**-bits for name, bits in choice.run.scales.items()},
        integer_outputs=choice.run.integers,
        explanation=explain(state, choice, candidates),
        predicted=predict(Layout.of(settings), choice.parameters.logrows),
    )


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
