# SPDX-License-Identifier: Apache-2.0
"""What a model would cost to prove, before there is calibration data: for typical precision and values of a typical size."""

from __future__ import annotations

from verifiable.zk.circuit import Visibility
from verifiable.zk.ezkl import search
from verifiable.zk.ezkl.cost import Cost
from verifiable.zk.ezkl.parameters import MAX_LOGROWS
from verifiable.zk.ezkl.process import job
from verifiable.zk.ezkl.search import Layouts
from verifiable.zk.system import Limits, Progress, no_progress

#: 7 bits after the point, products rescaled once, values of up to 28 bits: what most calibrated models end near.
TYPICAL_SCALE, TYPICAL_MULTIPLIER, TYPICAL_BOUND = 7, 2, (1 << 28) - 1


def estimate(
    program: bytes, *, visibility: Visibility, limits: Limits | None = None, progress: Progress = no_progress
) -> Cost | None:
    """The predicted cost of normalised ONNX; None where nothing up to 2^26 rows would hold it. Raises UnsupportedError."""
    start = search.wide(scale=TYPICAL_SCALE, multiplier=TYPICAL_MULTIPLIER, lookups=(-(1 << 15), 1 << 15))
    with job(limits=limits or Limits(), progress=progress) as child:
        layouts = Layouts(child=child, program=program, visibility=visibility)
        found = list(search.options(layouts, start, TYPICAL_BOUND, max_logrows=MAX_LOGROWS))
    best = search.choose(found, limits or Limits())
    return None if best is None else best.cost
