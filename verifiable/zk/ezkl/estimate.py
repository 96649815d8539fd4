# SPDX-License-Identifier: Apache-2.0
"""What a model would cost to prove, before there is calibration data: for typical precision and values of a typical size."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from verifiable.errors import UnsupportedError
from verifiable.model.onnx_file import Model
from verifiable.zk.circuit import Visibility
from verifiable.zk.ezkl import search, trial
from verifiable.zk.ezkl.cost import Cost, Layout
from verifiable.zk.ezkl.drift import analyse, bounds
from verifiable.zk.ezkl.intervals import Bounds
from verifiable.zk.ezkl.parameters import MAX_LOGROWS, EzklParameters
from verifiable.zk.ezkl.process import Child, job
from verifiable.zk.ezkl.search import Layouts, Option
from verifiable.zk.ezkl.trial import Trial
from verifiable.zk.system import Limits, Progress, no_progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: 7 bits after the point, values of up to 28 bits: what most calibrated models end near.
TYPICAL_SCALE, TYPICAL_BOUND = 7, (1 << 28) - 1
#: How products are rescaled: as a whole; at once, so that table functions see small numbers.
MULTIPLIERS = (2, 1)
#: Multiply-adds beyond which ezkl is not asked: it takes some four seconds per million, and for nine layouts.
MAX_ASKED = 1 << 20
#: Seconds that every proof takes besides: the prover's process, its reading of the circuit, a first verification.
OVERHEAD_SECONDS = 0.3
# Their ranges are those of this many inputs drawn from [-1, 1].
_SAMPLES = 3
_ANY = (-(1 << 40), 1 << 40)  # more than any table could hold; runs without a proof lay out none
_UNBOUNDED = (-(1 << 11), 1 << 11)
# Cells per element of a node's output, for its digits and sums: measured on dense and convolutional networks.
_CELLS_PER_ACTIVATION, _CELLS_PER_DIGIT = 10, 6


def estimate(
    program: bytes, *, visibility: Visibility, multiply_adds: int = 0, activations: int = 0, limits: Limits | None = None,
    progress: Progress = no_progress,
) -> Cost | None:  # fmt: skip
    """The predicted cost of normalised ONNX; None where nothing up to 2^26 rows would hold it.

    ``multiply_adds``, ``activations``: as preflight counts them; where there are more than :data:`MAX_ASKED` products, they stand
    in for ezkl's own count, roughly. Raises UnsupportedError where ezkl cannot lay it out, FatalStateError beyond the limits.
    """
    limits = limits or Limits()
    if multiply_adds > MAX_ASKED:
        found = _extrapolated(multiply_adds, activations)
    else:
        found = _laid_out(program, visibility, limits, progress)
    best = search.choose(found, Limits())
    return None if best is None else dataclasses.replace(best.cost, seconds=round(best.cost.seconds + OVERHEAD_SECONDS, 3))


def _laid_out(program: bytes, visibility: Visibility, limits: Limits, progress: Progress) -> list[Option]:
    with job(limits=limits, progress=progress) as child:
        layouts = Layouts(child=child, program=program, visibility=visibility)
        found: list[Option] = []
        try:
            for multiplier in MULTIPLIERS:
                start = search.wide(scale=TYPICAL_SCALE, multiplier=multiplier, lookups=_ANY)
                settings, _ = layouts.settings(start)
                if settings.lookups:
                    low, high = _bounded(child, layouts, start)
                    start = dataclasses.replace(start, lookup_low=low, lookup_high=high)
                found += search.options(layouts, start, TYPICAL_BOUND, max_logrows=MAX_LOGROWS)
                if not settings.lookups:
                    break
        except UnsupportedError as error:
            # The hint of the layout would send the reader here.
            raise UnsupportedError(
                error.message, hint="simplify the model or export it in float32, one part at a time, until ezkl takes it"
            ) from error
    return found


def _bounded(child: Child, layouts: Layouts, start: EzklParameters) -> tuple[int, int]:
    """What can enter the table functions for inputs in [-1, 1]; a guess where no bound is known."""
    model = Model.parse(layouts.program)
    outputs = {info.name: tuple(d for d in info.shape if isinstance(d, int)) for info in model.outputs}
    settings, _ = layouts.settings(start)
    trials = Trial(child=child, program=layouts.program, inputs=trial.ends(_samples(model)), outputs=outputs)
    inputs = {spec.name: (spec.low, spec.high) for spec in trials.specs(settings)}
    found = bounds(analyse(layouts.program), settings, inputs)
    return found.lookup if isinstance(found, Bounds) else _UNBOUNDED


def _samples(model: Model) -> list[dict[str, NDArray[np.generic]]]:
    import numpy as np

    generator = np.random.Generator(np.random.PCG64(0))

    def drawn(dtype: str, shape: Any) -> NDArray[np.generic]:
        found: NDArray[np.generic] = (
            generator.uniform(-1, 1, shape) if dtype.startswith("float") else generator.integers(0, 2, shape)
        ).astype(dtype)
        return found

    return [{info.name: drawn(info.dtype, info.shape) for info in model.inputs} for _ in range(_SAMPLES)]


def _extrapolated(multiply_adds: int, activations: int) -> list[Option]:
    """One column of products, for every number of digits: what ezkl lays out when most of a model is matrix products."""
    start = search.wide(scale=TYPICAL_SCALE, multiplier=MULTIPLIERS[0], lookups=(-1, 1))
    found: list[Option] = []
    for legs in range(2, 9):
        base = search.base_for(TYPICAL_BOUND, legs)
        layout = Layout(
            cells=multiply_adds + activations * (_CELLS_PER_ACTIVATION + _CELLS_PER_DIGIT * legs), constants=2 * activations,
            columns=1, tables=(3, base), lookups=0, lookup_rows=0, dynamic=0, least_rows=1, hashes=0,
        )  # fmt: skip
        parameters = dataclasses.replace(start, decomp_base=base, decomp_legs=legs)
        found += search.sizes(layout, 0, parameters, MAX_LOGROWS)
    return found
