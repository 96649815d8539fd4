# SPDX-License-Identifier: Apache-2.0
"""Averages become convolutions with constant weights: the same function, without a quotient.

For proof systems whose division lets a prover round either way. A depthwise convolution by 1/n is a sum of products, and its
result is exact in the product's scale.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import count
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from verifiable.errors import MalformedError
from verifiable.model.guard import guarded

_KINDS = ("AveragePool", "GlobalAveragePool")
_KERNEL_AND_BIAS_FREE = ("kernel_shape", "strides", "pads")


@lru_cache(maxsize=8)
def lower_averages(program: bytes) -> bytes:
    """``program`` (normalised ONNX) with each average over a window as a ``Conv`` with one constant kernel per channel.

    AveragePool that leaves padding out of its count, rounds its shape up or dilates is left as it is: preflight refuses it.
    Deterministic; a program without averages is returned unchanged. Raises MalformedError.
    """
    if not any(kind.encode() in program for kind in _KINDS):
        return program
    with guarded("program"):
        model = onnx.load_from_string(program)
        shapes = _shapes(model)
    graph = model.graph
    taken = {name for node in graph.node for name in (*node.input, *node.output)} | set(shapes)
    taken |= {tensor.name for tensor in graph.initializer}
    fresh = (name for number in count() if (name := f"average{number}") not in taken)
    for position, node in enumerate(graph.node):
        if node.op_type in _KINDS and (window := _window(node, shapes)) is not None:
            channels, kernel = shapes[node.input[0]][1], window["kernel_shape"]
            weights = np.full((channels, 1, *kernel), 1 / math.prod(kernel), np.float32)
            graph.initializer.append(numpy_helper.from_array(weights, name := next(fresh)))
            lowered = helper.make_node(
                "Conv", [node.input[0], name], list(node.output), name=node.name, group=channels, dilations=[1, 1], **window
            )
            graph.node[position].CopyFrom(lowered)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _window(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """The attributes of the convolution over the same windows; None where it would be another function."""
    shape = shapes.get(node.input[0], ())
    if len(shape) != 4 or shape[0] != 1:
        return None
    if node.op_type == "GlobalAveragePool":
        return {"kernel_shape": list(shape[2:]), "strides": [1, 1], "pads": [0] * 4}
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    pads, dilations = list(given.get("pads", [0] * 4)), set(given.get("dilations", [1]))
    automatic = given.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
    uncounted = any(pads) and given.get("count_include_pad", 0) != 1
    if automatic or uncounted or given.get("ceil_mode", 0) or dilations != {1} or len(given["kernel_shape"]) != 2:
        return None
    return {"kernel_shape": list(given["kernel_shape"]), "strides": list(given.get("strides", [1, 1])), "pads": pads}


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Of every value; a normalised program has fixed ones."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    found = {}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        dims = value.type.tensor_type.shape.dim
        if not all(dim.HasField("dim_value") for dim in dims):
            raise MalformedError(f"program: the shape of {value.name[:80]!r} is not fixed")
        found[value.name] = tuple(dim.dim_value for dim in dims)
    return found
