# SPDX-License-Identifier: Apache-2.0
"""Quantised models: by onnxruntime's static quantiser, and by hand."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.model.quantise.cases import Sample, normalised


def static(
    data: bytes,
    given: Sequence[Sample],
    folder: Path,
    *,
    operator_form: bool = False,
    signed: bool = False,
    per_channel: bool = False,
    **more: Any,
) -> bytes:
    """onnxruntime's static quantisation: weights s8, activations u8 or s8."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left: Iterator[Sample] = iter(given)

        def get_next(self) -> Sample | None:
            return next(self.left, None)

    source, target = folder / "float.onnx", folder / "quantised.onnx"
    source.write_bytes(normalised(data))
    logging.disable(logging.WARNING)
    try:
        quantize_static(
            str(source), str(target), Reader(), quant_format=QuantFormat.QOperator if operator_form else QuantFormat.QDQ,
            activation_type=QuantType.QInt8 if signed else QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=per_channel,
            **more,
        )  # fmt: skip
    finally:
        logging.disable(logging.NOTSET)
    return target.read_bytes()


ZERO = np.uint8(0)


class Quantised:
    """A graph by hand, every value on a grid of its own."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], name=f"{kind}_{out}", **attributes))
        return out

    def constant(self, value: Any) -> str:
        name = f"c{len(self.weights)}"
        self.weights[name] = np.asarray(value)
        return name

    def q(self, x: str, scale: float, zero: Any = ZERO) -> str:
        return self.op("QuantizeLinear", x, self.constant(np.float32(scale)), self.constant(zero))

    def dq(self, x: str, scale: Any, zero: Any = ZERO, **attributes: Any) -> str:
        return self.op("DequantizeLinear", x, self.constant(np.asarray(scale, np.float32)), self.constant(zero), **attributes)

    def qdq(self, x: str, scale: float, zero: Any = ZERO) -> str:
        return self.dq(self.q(x, scale, zero), scale, zero)

    def model(
        self, shape: Sequence[int], output: str, *, kind: int = onnx.TensorProto.FLOAT, out: int = onnx.TensorProto.FLOAT
    ) -> bytes:
        graph = helper.make_graph(
            self.nodes, "quantised", [helper.make_tensor_value_info("x", kind, shape)],
            [helper.make_tensor_value_info(output, out, None)],
            [numpy_helper.from_array(array, name) for name, array in self.weights.items()],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        inferred = onnx.shape_inference.infer_shapes(model).graph.output[0]
        model.graph.output[0].CopyFrom(inferred)
        return model.SerializeToString()
