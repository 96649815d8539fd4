# SPDX-License-Identifier: Apache-2.0
"""From an ONNX model to an integer Program, in two halves: what calibration samples decide, and what follows from it.

Float models are quantised statically, after Jacob et al. (arXiv 1712.05877) and Nagel et al. (arXiv 2106.08295): weights
symmetric and per output channel, activations with one scale per tensor. Models that are quantised already are lowered
(:mod:`verifiable.model.lower`)::

    onnx = normalise(standard(model), dims=dims)
    plan = plan_of(onnx, samples)           # once, by the maker; plan.encode() goes with the circuit
    made = program(onnx, plan)              # by anybody: the same bytes on every machine, without the samples
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from verifiable.model.program.ir import Program
    from verifiable.model.quantise.calibration import Sample
    from verifiable.model.quantise.options import Options
    from verifiable.model.quantise.plan import Plan
    from verifiable.model.quantise.quantiser import Saturation, Slips


def plan_of(onnx: bytes, samples: Sequence[Sample], options: Options | None = None) -> Plan:
    """What is to be decided before a Program can be made. ``onnx``: normalised; ``samples``: arrays by input name, in the model's
    shapes and dtypes. A model that is quantised already needs no samples: its Plan says so, and nothing else.

    Raises UnsupportedError naming the node that has no integer program, MalformedError for samples that do not fit.
    """
    from verifiable.model.quantise import quantiser

    return quantiser.plan_of(onnx, samples, options)


def program(onnx: bytes, plan: Plan) -> Program:
    """The Program of a normalised model and its Plan: a function of these two, byte for byte.

    Raises MalformedError for a Plan that is not of this model, UnsupportedError naming what no integer program can be made of.
    """
    from verifiable.model.quantise import quantiser

    return quantiser.program(onnx, plan)


def is_quantised(onnx: bytes) -> bool:
    """Whether a normalised model computes with quantised tensors already."""
    from verifiable.model.lower.lowering import is_quantised as quantised
    from verifiable.model.quantise.normalised import analysed

    return quantised(analysed(onnx))


def saturation(program: Program, samples: Sequence[Sample]) -> Saturation:
    """How many values are clamped when ``samples`` are run, inputs included. Raises MalformedError where they do not fit."""
    from verifiable.model.quantise import quantiser

    return quantiser.saturation(program, samples)


def slips(onnx: bytes, program: Program, samples: Sequence[Sample]) -> Slips:
    """Where a lowered model's integers are not onnxruntime's: its float32 misses a tie, or an input lies half-way.

    Counted for outputs whose integers the model shows, so not behind a softmax or arg-max. Raises MalformedError for samples that
    do not fit.
    """
    from verifiable.model.quantise import quantiser

    return quantiser.slips(onnx, program, samples)
