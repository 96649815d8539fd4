# SPDX-License-Identifier: Apache-2.0
"""The way in: a quantised model becomes a Program with the same integers."""

from __future__ import annotations

from verifiable.model.lower.walk import Walk
from verifiable.model.program.ir import Program
from verifiable.model.shapes import Analysis

_MARKS = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"}


def is_quantised(analysis: Analysis) -> bool:
    """Whether a normalised model computes with quantised tensors, so that it must be lowered, never quantised again."""
    return any(node.op_type in _MARKS for node in analysis.nodes)


def lowered(analysis: Analysis) -> Program:
    """Of a quantised model. Raises UnsupportedError naming what cannot be lowered to exactly the same integers."""
    walk = Walk(analysis=analysis)
    outputs = walk.run()
    return walk.builder.finish(outputs)
