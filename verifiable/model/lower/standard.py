# SPDX-License-Identifier: Apache-2.0
"""onnxruntime's own quantised operators (domain com.microsoft), written as dequantise, compute, quantise.

Its static quantiser makes them in QOperator form; the standard form says the same, and is all that the rest of us reads. The
operators' definitions: onnxruntime, docs/ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from verifiable.errors import UnsupportedError
from verifiable.model.guard import shown
from verifiable.model.onnx_file import Model, parse_proto

_DOMAIN = "com.microsoft"
# operator -> standard operator, number of quantised inputs (three entries each), and where they start
_SIMPLE = {
    "QLinearAdd": ("Add", 2), "QLinearAveragePool": ("AveragePool", 1), "QLinearGlobalAveragePool": ("GlobalAveragePool", 1),
    "QLinearLeakyRelu": ("LeakyRelu", 1), "QLinearSigmoid": ("Sigmoid", 1),
}  # fmt: skip


def standard(model: Model) -> Model:
    """The same model without operators of onnxruntime's domain; the model itself if it has none.

    Raises UnsupportedError naming the first such operator that has no standard form here.
    """
    if not any(node.domain == _DOMAIN for node in parse_proto(model.data).graph.node):
        return model
    proto = parse_proto(model.data)
    writer = _Writer(proto.graph)
    nodes = [made for node in proto.graph.node for made in writer.rewritten(node)]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    kept = [entry for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)
    return Model.parse(proto.SerializeToString(deterministic=True))


class _Writer:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.numbers = {tensor.name: tensor for tensor in graph.initializer}

    def rewritten(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        if node.domain != _DOMAIN:
            yield node
            return
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        makers: dict[str, Callable[[onnx.NodeProto, dict[str, Any]], Iterator[onnx.NodeProto]]] = {
            "QLinearConcat": self._concat, "QGemm": self._gemm, "QuantizeLinear": _plain, "DequantizeLinear": _plain,
        }  # fmt: skip
        if node.op_type in _SIMPLE:
            yield from self._simple(node, attributes)
        elif node.op_type in makers:
            yield from makers[node.op_type](node, attributes)
        else:
            raise UnsupportedError(
                f"model: {shown(node.name)} ({node.op_type}): operator of onnxruntime's own domain without a standard form here",
                hint="quantise with quant_format=QuantFormat.QDQ",
            )

    def _simple(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Iterator[onnx.NodeProto]:
        kind, count = _SIMPLE[node.op_type]
        if attributes.pop("channels_last", 0):
            raise UnsupportedError(f"model: {shown(node.name)} ({node.op_type}): with channels last")
        reals = yield from _dequantised(node, [list(node.input[3 * i : 3 * i + 3]) for i in range(count)])
        yield from _computed(node, kind, reals, list(node.input[3 * count :]), attributes)

    def _concat(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Iterator[onnx.NodeProto]:
        parts = [list(node.input[i : i + 3]) for i in range(2, len(node.input), 3)]
        reals = yield from _dequantised(node, parts)
        yield from _computed(node, "Concat", reals, list(node.input[:2]), attributes)

    def _gemm(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Iterator[onnx.NodeProto]:
        x, weight = list(node.input[:3]), list(node.input[3:6])
        reals = yield from _dequantised(node, [x])
        axis = 0 if attributes.get("transB", 0) else 1
        reals.append(f"{node.output[0]}_weight")
        yield helper.make_node("DequantizeLinear", weight, reals[1:], name=reals[1], axis=axis)
        if len(node.input) > 6 and node.input[6]:
            scale = self._product(f"{node.output[0]}_bias_scale", x[1], weight[1], attributes.get("alpha", 1.0))
            reals.append(f"{node.output[0]}_bias")
            yield helper.make_node("DequantizeLinear", [node.input[6], scale], reals[2:], name=reals[2], axis=0)
        yield from _computed(node, "Gemm", reals, list(node.input[7:9]), attributes)

    def _product(self, name: str, left: str, right: str, alpha: float) -> str:
        """The scale of a bias: the product of the others, in float32 as everywhere in this format."""
        if left not in self.numbers or right not in self.numbers:
            raise UnsupportedError(f"model: scale {shown(left)} or {shown(right)} is not constant")
        arrays = [numpy_helper.to_array(self.numbers[n]).astype(np.float64).reshape(-1) for n in (left, right)]
        product = (arrays[0] * arrays[1] * alpha).astype(np.float32)
        self.graph.initializer.append(numpy_helper.from_array(product if product.size > 1 else product.reshape(()), name))
        return name


def _dequantised(node: onnx.NodeProto, parts: list[list[str]]) -> Any:
    """Yields the nodes, returns the names of the real values."""
    names = [f"{node.output[0]}_real{i}" for i in range(len(parts))]
    for name, part in zip(names, parts, strict=True):
        yield helper.make_node("DequantizeLinear", _trimmed(part), [name], name=name)
    return names


def _computed(
    node: onnx.NodeProto, kind: str, reals: list[str], target: list[str], attributes: Mapping[str, Any]
) -> Iterator[onnx.NodeProto]:
    out = node.output[0]
    quantised = bool(target and target[0])
    real = f"{out}_real" if quantised else out
    yield helper.make_node(kind, reals, [real], name=node.name or real, **attributes)
    if quantised:
        yield helper.make_node("QuantizeLinear", _trimmed([real, *target]), [out], name=f"{out}_quantise")


def _plain(node: onnx.NodeProto, attributes: dict[str, Any]) -> Iterator[onnx.NodeProto]:
    yield helper.make_node(node.op_type, list(node.input), list(node.output), name=node.name, **attributes)


def _trimmed(names: list[str]) -> list[str]:
    return names[:-1] if not names[-1] else names
