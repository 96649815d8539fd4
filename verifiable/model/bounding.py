# SPDX-License-Identifier: Apache-2.0
"""Every input passes through ``x + (|x| - |x|)``: the same function, in which the size of each input has to be looked at.

For proof systems that check the range of a value only where an operator needs it: through a purely linear graph, an input
that nobody sees could otherwise be any element of a finite field, and the outputs anything at all.
"""

from __future__ import annotations

from itertools import count

import onnx
from onnx import helper

from verifiable.errors import UnsupportedError
from verifiable.model.guard import guarded, shown

_SIGNED = {onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE} | {
    onnx.TensorProto.INT8, onnx.TensorProto.INT16, onnx.TensorProto.INT32, onnx.TensorProto.INT64,
}  # fmt: skip


def bound_inputs(program: bytes) -> bytes:
    """``program`` (normalised ONNX) with that sum before every use of every input. Deterministic.

    Raises UnsupportedError for inputs that have no absolute value (booleans, unsigned).
    """
    with guarded("program"):
        model = onnx.load_from_string(program)
    graph = model.graph
    names = {name for node in graph.node for name in (*node.input, *node.output)} | {value.name for value in graph.input}
    fresh = (name for number in count() if (name := f"bounded{number}") not in names)
    weights = {tensor.name for tensor in graph.initializer}
    added: list[onnx.NodeProto] = []
    renamed: dict[str, str] = {}
    for value in graph.input:
        if value.name in weights:
            continue
        if value.type.tensor_type.elem_type not in _SIGNED:
            raise UnsupportedError(
                f"input {shown(value.name)}: booleans and unsigned integers cannot be hashed",
                hint="make it public, or a signed type",
            )
        size, nothing, result = next(fresh), next(fresh), next(fresh)
        added += [
            helper.make_node("Abs", [value.name], [size]),
            helper.make_node("Sub", [size, size], [nothing]),
            helper.make_node("Add", [value.name, nothing], [result]),
        ]
        renamed[value.name] = result
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = renamed.get(name, name)
    kept = list(graph.node)
    del graph.node[:]
    graph.node.extend([*added, *kept])
    data: bytes = model.SerializeToString(deterministic=True)
    return data
