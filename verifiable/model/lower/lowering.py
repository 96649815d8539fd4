# SPDX-License-Identifier: Apache-2.0
"""The way in: a quantised model becomes a Program with the same integers."""

from __future__ import annotations

from verifiable.errors import UnsupportedError
from verifiable.model.guard import guarded
from verifiable.model.lower.walk import Walk
from verifiable.model.program.ir import Program
from verifiable.model.quantise.quantiser import analysed

_MARKS = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"}


def is_quantised(onnx: bytes) -> bool:
    """Whether a normalised model computes with quantised tensors, so that it must be lowered, never quantised again."""
    return any(node.op_type in _MARKS for node in analysed(onnx).nodes)


def lower(onnx: bytes) -> Program:
    """``onnx``: normalised, quantised. Raises UnsupportedError naming what cannot be lowered to exactly the same integers."""
    with guarded("model: cannot be lowered", kind=UnsupportedError):
        walk = Walk(analysis=analysed(onnx))
        outputs = walk.run()
        return walk.builder.finish(outputs)
