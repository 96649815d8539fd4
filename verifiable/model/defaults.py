# SPDX-License-Identifier: Apache-2.0
"""Defaulted attributes, written out: a ``Conv`` without ``strides`` is valid ONNX, and some readers refuse it.

Where the operator's schema has a default, that is used; the geometry of convolutions and pooling has defaults that depend on
shapes, given in prose by the ONNX operator specification (Conv, ConvTranspose, MaxPool, AveragePool).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import defs, helper

from verifiable.errors import UnsupportedError

_WINDOWED = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool")
Attributes = dict[str, Any]


def attributes_of(node: onnx.NodeProto) -> Attributes:
    """The node's attributes as Python values; strings decoded."""
    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {name: _decoded(value) for name, value in values.items()}


def with_defaults(
    node: onnx.NodeProto, schema: defs.OpSchema, inputs: Sequence[tuple[int, ...]], outputs: Sequence[tuple[int, ...]]
) -> onnx.NodeProto:
    """The same node with every attribute spelled out, sorted by name, and nothing else in it.

    Raises UnsupportedError for a transposed convolution whose ``output_shape`` no padding gives.
    """
    attributes = attributes_of(node)
    for name, declared in schema.attributes.items():
        if name not in attributes and declared.default_value.name:
            attributes[name] = _decoded(helper.get_attribute_value(declared.default_value))
    if node.op_type in _WINDOWED and len(inputs[0]) > 2:
        attributes = _with_geometry(node.op_type, schema, attributes, inputs, outputs)
    kinds: Any = {name: schema.attributes[name].type for name in attributes if name in schema.attributes}
    result = onnx.NodeProto(op_type=node.op_type, name=node.name, input=node.input, output=node.output)
    for name in sorted(attributes):
        result.attribute.append(
            helper.make_attribute(name, attributes[name], attr_type=kinds[name].value if name in kinds else None)
        )
    return result


def _with_geometry(
    op: str, schema: defs.OpSchema, attributes: Attributes, inputs: Sequence[tuple[int, ...]], outputs: Sequence[tuple[int, ...]]
) -> Attributes:
    axes = len(inputs[0]) - 2
    result = {name: value for name, value in attributes.items() if name not in ("auto_pad", "output_shape")}
    if op.startswith("Conv"):
        result.setdefault("kernel_shape", list(inputs[1][2:]))
        result.setdefault("group", 1)
    for name, default in (("strides", 1), ("dilations", 1), ("output_padding", 0)):
        if name in schema.attributes:
            result.setdefault(name, [default] * axes)
    result["pads"] = _pads(op, attributes, result, inputs[0][2:], outputs[0][2:])
    return result


def _pads(op: str, given: Mapping[str, Any], filled: Mapping[str, Any], before: Sequence[int], after: Sequence[int]) -> list[int]:
    """Explicit pads, all begins and then all ends; from ``auto_pad`` or ``output_shape`` where those are given."""
    mode = given.get("auto_pad", "NOTSET")
    axes = len(before)
    if mode == "VALID" or (mode == "NOTSET" and "output_shape" not in given):
        return list(given.get("pads", [0] * 2 * axes)) if mode == "NOTSET" else [0] * 2 * axes
    begins, ends = [], []
    for i in range(axes):
        stride, window = filled["strides"][i], (filled["kernel_shape"][i] - 1) * filled.get("dilations", [1] * axes)[i] + 1
        if op == "ConvTranspose":
            total = stride * (before[i] - 1) + filled["output_padding"][i] + window - after[i]
            if total < 0:
                raise UnsupportedError("its output_shape is larger than any padding gives", hint="export it with explicit pads")
        else:
            total = max((after[i] - 1) * stride + window - before[i], 0)
        smaller_first = mode == "SAME_UPPER"
        begins.append(total // 2 if smaller_first else total - total // 2)
        ends.append(total - begins[-1])
    return begins + ends


def _decoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return [_decoded(item) for item in value] if isinstance(value, list | tuple) else value
