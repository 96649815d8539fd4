# SPDX-License-Identifier: Apache-2.0
"""How far a cheating prover could have moved each output of a circuit, by rounding its quotients the other way.

The walk over the graph says which quotients there are and what amplifies them. It counts for nothing unless it found exactly the
quotients that ezkl lays out, by size and scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from verifiable.errors import UnsupportedError
from verifiable.zk.ezkl.intervals import Bounds, Unbounded, bound

if TYPE_CHECKING:
    from verifiable.model.shapes import Analysis
    from verifiable.zk.circuit import TensorSpec
    from verifiable.zk.ezkl.plan import Plan
    from verifiable.zk.ezkl.settings import EzklSettings


def analyse(program: bytes) -> Analysis:
    """The graph of normalised ONNX as ezkl is given it, apart from the bound on hashed inputs. Raises MalformedError."""
    from verifiable.model.analysis import analyse as walk
    from verifiable.model.averaging import lower_averages
    from verifiable.model.onnx_file import Model, parse_proto
    from verifiable.model.shapes import bind

    lowered = lower_averages(program)
    shapes, _ = bind(Model.parse(lowered).inputs, {})
    proto = parse_proto(lowered)
    opset = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    return walk(proto.graph, opset, shapes)


def bounds(
    analysis: Analysis, settings: EzklSettings, inputs: Mapping[str, tuple[int, int]], *, clamped: bool = False
) -> Bounds | Unbounded:
    """For inputs within these integers; ``clamped``: for everything within the circuit's digits and tables, inputs included."""
    parameters = settings.parameters
    edge = parameters.bound
    found = bound(
        analysis,
        inputs=dict.fromkeys(inputs, (-edge, edge)) if clamped else inputs,
        input_scales=dict(zip(analysis.inputs, settings.input_scales, strict=True)),
        param_scale=parameters.param_scale,
        rebase_multiplier=parameters.scale_rebase_multiplier,
        global_scale=max(parameters.input_scale, parameters.param_scale),
        clamp=edge if clamped else None,
        tables=(parameters.lookup_low, parameters.lookup_high) if clamped else None,
    )
    if isinstance(found, Unbounded) or found.scales == settings.output_scales:
        return found
    return Unbounded(reason="a scale that ezkl chooses otherwise")


def drift(
    analysis: Analysis, settings: EzklSettings, plan: Plan, inputs: Mapping[str, tuple[int, int]]
) -> tuple[int, ...] | Unbounded:
    """Per output, by how many of its integers; all 0 without quotients.

    Inputs that are not public are the prover's to choose, so they are taken to be anything that the circuit's digits hold.
    """
    if not plan.divisions:
        return (0,) * len(analysis.outputs)
    found = bounds(analysis, settings, inputs, clamped=settings.visibility.inputs != "public")
    if isinstance(found, Unbounded):
        return found
    if found.divided != plan.quotients:
        return Unbounded(reason="a quotient that ezkl places otherwise")
    return found.drift


def require(program: bytes, settings: EzklSettings, plan: Plan, inputs: Sequence[TensorSpec]) -> tuple[int, ...]:
    """As :func:`drift`, for a circuit that is to be made. Raises UnsupportedError where there is no bound."""
    if not plan.divisions:
        return (0,) * len(settings.output_scales)
    found = drift(analyse(program), settings, plan, {spec.name: (spec.low, spec.high) for spec in inputs})
    if isinstance(found, Unbounded):
        raise unbounded(found.reason)
    return found


def unbounded(reason: str) -> UnsupportedError:
    """No bound, no circuit: a prover could make anything of its quotients."""
    return UnsupportedError(
        f"ezkl: some values are rounded as the prover likes, and how far that moves the outputs is not known: {reason[:200]}",
        hint="a larger rebase multiplier or a coarser scale does without quotients, where the values stay small enough",
    )
