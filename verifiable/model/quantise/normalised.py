# SPDX-License-Identifier: Apache-2.0
"""What the quantiser and the lowering know of a normalised model."""

from __future__ import annotations

from verifiable.model.analysis import analyse
from verifiable.model.defects import refusal
from verifiable.model.onnx_file import parse_proto
from verifiable.model.shapes import Analysis


def analysed(onnx: bytes) -> Analysis:
    """The analysis of a normalised model. Raises MalformedError or UnsupportedError for one that is none."""
    proto = parse_proto(onnx)
    weights = {tensor.name for tensor in proto.graph.initializer}
    shapes = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in proto.graph.input if value.name not in weights
    }  # fmt: skip
    opset = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 0)
    analysis = analyse(proto.graph, opset, shapes)
    if analysis.defects:
        raise refusal(analysis.defects)
    return analysis
