# SPDX-License-Identifier: Apache-2.0
"""Fewer and simpler nodes for the same function: BatchNorm into convolutions, no-ops out, doubles merged.

onnxslim does the generic part. Compared on small graphs with onnxscript's optimiser (0.7.2): that one also takes BatchNorm into
Gemm, but keeps a Pad by nothing and shape arithmetic over a free axis, takes 4.6 s to import against 3.0 s, and its passes come
as one pipeline with constant folding. Of onnxslim (0.1.98) the passes named here are called one by one, its constant folding is
not (it is unbounded, and rounds as this processor does), and no environment variable reaches it. Its patterns invent names by
appending to existing ones, so it sees a graph whose values are called v0, v1, ...; whatever it may get wrong is
found when the two functions are compared (:mod:`.agreement`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from verifiable.errors import UnsupportedError
from verifiable.model.defaults import attributes_of
from verifiable.model.guard import guarded
from verifiable.model.shapes import Analysis, Value
from verifiable.model.tensors import CODES, from_array

# Not its fusions of Conv with Mul, Add and Pad: they take a constant along the width for one along the channels where there are
# as many of both, and do not read Pad's axes.
_FUSIONS = ("FusionConvBN", "FusionConvTransposeBN", "EliminationReshape", "EliminationUnsqueeze", "EliminationTranspose")


def to_graph(analysis: Analysis, nodes: Sequence[onnx.NodeProto] | None = None) -> onnx.GraphProto:
    """The analysed graph with a fixed shape on every value; weights in order of name, nodes in the order they run."""
    values = analysis.values
    kept = analysis.nodes if nodes is None else nodes
    used = {name for node in kept for name in node.input}
    made = [name for node in kept for name in node.output if name in values and name not in analysis.outputs]
    weights = [(name, values[name].constant) for name in sorted(used) if name in values]
    return helper.make_graph(
        list(kept),
        "main",
        [_value_info(name, values[name]) for name in analysis.inputs],
        [_value_info(name, values[name]) for name in analysis.outputs],
        [from_array(array, name) for name, array in weights if array is not None],
        value_info=[_value_info(name, values[name]) for name in made],
    )


def simplify(graph: onnx.GraphProto, opset: int) -> onnx.GraphProto:
    """One round of onnxslim's passes over a graph with fixed shapes. Raises UnsupportedError if it stumbles."""
    logging.getLogger("onnxslim").setLevel(logging.CRITICAL + 1)
    with guarded("model: onnxslim cannot simplify it", kind=UnsupportedError), np.errstate(all="ignore"):
        return _simplify(graph, opset)


def _simplify(graph: onnx.GraphProto, opset: int) -> onnx.GraphProto:
    import onnxslim.third_party.onnx_graphsurgeon as gs
    from onnxslim.core.optimization import graph_fusion
    from onnxslim.core.optimization.dead_node_elimination import dead_node_elimination
    from onnxslim.core.optimization.subexpression_elimination import subexpression_elimination
    from onnxslim.core.pattern.registry import get_fusion_patterns

    available = get_fusion_patterns()
    patterns = {name: available[name] for name in _FUSIONS}
    surgeon: Any = gs.import_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])).toposort()
    graph_fusion(surgeon, patterns)
    dead_node_elimination(surgeon)
    surgeon.cleanup().toposort()
    subexpression_elimination(surgeon)
    surgeon.cleanup().toposort()
    simplified: onnx.GraphProto = gs.export_onnx(surgeon).graph
    return simplified


def lower_batchnorm(analysis: Analysis) -> onnx.GraphProto:
    """BatchNorms that no convolution took in become one product and one sum per channel (Ioffe and Szegedy 2015, Alg. 2)."""
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, Value] = {}
    for node in analysis.nodes:
        batchnorm = node.op_type == "BatchNormalization"
        parameters = [analysis.values[name].constant for name in node.input[1:]] if batchnorm else [None]
        if any(p is None for p in parameters):
            nodes.append(node)
            continue
        gamma, beta, mean, variance = (np.asarray(p, np.float64) for p in parameters)
        source, out = analysis.values[node.input[0]], node.output[0]
        with np.errstate(all="ignore"):  # a negative variance gives NaN, which is refused by name later
            scale = gamma / np.sqrt(variance + attributes_of(node)["epsilon"])
        shape = (1, -1) + (1,) * (len(source.shape) - 2)
        for name, array in ((f"{out}_scale", scale), (f"{out}_shift", beta - mean * scale)):
            shaped = array.astype(source.dtype).reshape(shape)
            constants[name] = Value(dtype=source.dtype, shape=shaped.shape, constant=shaped)
        nodes.append(helper.make_node("Mul", [node.input[0], f"{out}_scale"], [f"{out}_scaled"], name=f"{node.name}_scale"))
        nodes.append(helper.make_node("Add", [f"{out}_scaled", f"{out}_shift"], [out], name=f"{node.name}_shift"))
    return to_graph(_extended(analysis, nodes, constants))


def unusual_gemm(node: onnx.NodeProto, analysis: Analysis) -> bool:
    """Whether :func:`lower_gemm` has work with this node."""
    return node.op_type == "Gemm" and analysis.values[node.output[0]].dtype in ("float16", "float64")


def lower_gemm(analysis: Analysis) -> onnx.GraphProto:
    """A Gemm in half or double precision becomes MatMul and Add: ezkl's reader takes its bias in single precision only."""
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, Value] = {}
    for node in analysis.nodes:
        if not unusual_gemm(node, analysis):
            nodes.append(node)
            continue
        made, given = _spelled_out(node, analysis)
        nodes += made
        constants |= given
    return to_graph(_extended(analysis, nodes, constants))


def _spelled_out(node: onnx.NodeProto, analysis: Analysis) -> tuple[list[onnx.NodeProto], dict[str, Value]]:
    """``alpha * A' @ B' + beta * C``, what is trivial left out; and the constants that it needs."""
    attributes, out, nodes = attributes_of(node), node.output[0], []
    dtype = analysis.values[out].dtype
    constants: dict[str, Value] = {}

    def step(op: str, inputs: list[str], name: str) -> str:
        nodes.append(helper.make_node(op, inputs, [name], name=name))
        return name

    def constant(array: Any, name: str) -> str:
        constants[name] = Value(dtype=dtype, shape=array.shape, constant=array)
        return name

    def operand(name: str, suffix: str, *, transposed: bool) -> str:
        if not transposed:
            return name
        if (value := analysis.values[name].constant) is not None:
            return constant(np.ascontiguousarray(value.T), f"{out}_{suffix}")
        nodes.append(helper.make_node("Transpose", [name], [f"{out}_{suffix}"], name=f"{out}_{suffix}", perm=[1, 0]))
        return f"{out}_{suffix}"

    def scaled(name: str, suffix: str, factor: float) -> str:
        if factor == 1.0:
            return name
        return step("Mul", [name, constant(np.array(factor, dtype), f"{out}_{suffix}")], f"{out}_{suffix}ed")

    left = operand(node.input[0], "left", transposed=bool(attributes.get("transA")))
    right = operand(node.input[1], "right", transposed=bool(attributes.get("transB")))
    total = scaled(step("MatMul", [left, right], f"{out}_product"), "alpha", attributes.get("alpha", 1.0))
    if len(node.input) > 2 and node.input[2]:
        total = step("Add", [total, scaled(node.input[2], "beta", attributes.get("beta", 1.0))], f"{out}_sum")
    nodes[-1].output[0] = out
    return nodes, constants


def _extended(analysis: Analysis, nodes: Sequence[onnx.NodeProto], constants: Mapping[str, Value]) -> Analysis:
    return Analysis(
        opset=analysis.opset, inputs=analysis.inputs, outputs=analysis.outputs, nodes=tuple(nodes),
        values={**analysis.values, **constants}, defects=(),
    )  # fmt: skip


def renamed(graph: onnx.GraphProto, names: Mapping[str, str], labels: Mapping[tuple[str, str], str]) -> onnx.GraphProto:
    """A copy with values renamed, nodes named by output and operator, and weights in order of name."""
    result = onnx.GraphProto()
    result.CopyFrom(graph)
    for value in [*result.input, *result.output, *result.value_info, *result.initializer]:
        value.name = names[value.name]
    for node in result.node:
        node.name = labels.get((node.output[0], node.op_type), names[node.output[0]])
        node.input[:] = [names[name] if name else "" for name in node.input]
        node.output[:] = [names[name] if name else "" for name in node.output]
    ordered = sorted(result.initializer, key=lambda weight: weight.name)
    del result.initializer[:]
    result.initializer.extend(ordered)
    return result


def _value_info(name: str, value: Value) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, CODES[value.dtype], value.shape)
