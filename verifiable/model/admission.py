# SPDX-License-Identifier: Apache-2.0
"""Nodes that are refused for what they are, before anything about their shapes is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set

import numpy as np
import onnx
from onnx import defs

from verifiable.model.defaults import attributes_of
from verifiable.model.defects import Defect
from verifiable.model.guard import shown
from verifiable.model.shapes import Value
from verifiable.model.tensors import node_name

_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}


def inadmissible(node: onnx.NodeProto, opset: int, values: Mapping[str, Value], used: Set[str]) -> Defect | None:
    """The defect of a node that no shape could mend, or None. ``values``: what is known so far; ``used``: names that are read."""
    told = _foreign(node, opset)
    if told is None and _trains(node, values, used):
        told = "it is in training mode", "export the model in evaluation mode (PyTorch: model.eval())"
    elif told is None and _divides_unsafely(node, values):
        told = "integer division by something other than a positive constant", "divide by a positive constant, or use floats"
    return None if told is None else Defect(where=node_name(node), op=node.op_type, reason=told[0], fix=told[1])


def _foreign(node: onnx.NodeProto, opset: int) -> tuple[str, str] | None:
    """Reason and fix for a node that is no deterministic tensor operator of the standard set."""
    if node.domain.startswith("ai.onnx.ml"):
        return "a classical machine-learning operator (ai.onnx.ml)", "convert the model to tensor operators (hummingbird-ml does)"
    if node.domain not in ("", "ai.onnx"):
        return f"operator of the domain {shown(node.domain)}, not the standard one", "export with standard operators only"
    if any(a.HasField("g") or a.graphs for a in node.attribute):
        return "control flow cannot be proved", "export the model with fixed control flow (traced, unrolled)"
    if node.op_type in _RANDOM:
        return "it draws random numbers", "give them as an input"
    if not defs.has(node.op_type, opset, ""):
        return f"operator set {opset} has no such operator", "export with standard operators only"
    if any(not math.isfinite(x) for a in node.attribute for x in [a.f, *a.floats]):
        return "an attribute is NaN or infinite", "use a large finite number"
    return None


def _trains(node: onnx.NodeProto, values: Mapping[str, Value], used: Set[str]) -> bool:
    """Dropout or BatchNormalization that does more than inference, or whose extra outputs somebody reads."""
    if node.op_type not in ("Dropout", "BatchNormalization"):
        return False
    switch = node.input[2] if node.op_type == "Dropout" and len(node.input) > 2 else ""
    switched = values[switch].constant if switch in values else None
    if switch and (switched is None or switched.any()):
        return True
    return bool(attributes_of(node).get("training_mode", 0)) or any(name in used for name in node.output[1:])


def _divides_unsafely(node: onnx.NodeProto, values: Mapping[str, Value]) -> bool:
    """Integer division by zero is a hardware trap, not an exception: it would end this process."""
    if node.op_type not in ("Div", "Mod") or len(node.input) != 2 or node.input[1] not in values:
        return False
    divisor = values[node.input[1]]
    if divisor.dtype.startswith("float"):
        return False
    return divisor.constant is None or bool((divisor.constant.astype(np.float64) <= 0).any())
