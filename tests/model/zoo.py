# SPDX-License-Identifier: Apache-2.0
"""Small graphs, one for each thing that normalising must get right. Built here, with fixed weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
Weights = dict[str, Any]


def weight(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).normal(size=shape).astype(np.float32)


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Sequence[int | str | None]],
    outputs: dict[str, Sequence[int | str | None]],
    weights: Weights | None = None,
    *,
    opset: int = 17,
    input_type: int = FLOAT,
    output_type: int = FLOAT,
    ir_version: int = 8,
) -> bytes:
    graph = helper.make_graph(
        list(nodes),
        "zoo",
        [helper.make_tensor_value_info(name, input_type, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, output_type, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version).SerializeToString()


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, list(inputs), list(outputs), name=f"{op.lower()}_{outputs[0]}", **attributes)


def mlp(opset: int = 17) -> bytes:
    nodes = [
        node("MatMul", ["x", "w1"], ["a"]), node("Add", ["a", "b1"], ["b"]), node("Relu", ["b"], ["c"]),
        node("Gemm", ["c", "w2", "b2"], ["y"], transB=1),
    ]  # fmt: skip
    weights = {"w1": weight(8, 16), "b1": weight(16, seed=1), "w2": weight(4, 16, seed=2), "b2": weight(4, seed=3)}
    return build(nodes, {"x": [1, 8]}, {"y": [1, 4]}, weights, opset=opset)


def conv_without_strides() -> bytes:
    return build([node("Conv", ["x", "w"], ["y"])], {"x": [1, 2, 6, 6]}, {"y": [1, 3, 4, 4]}, {"w": weight(3, 2, 3, 3)})


def conv_auto_pad(mode: str, strides: Sequence[int] = (2, 2), size: int = 7) -> bytes:
    return build(
        [node("Conv", ["x", "w", "b"], ["y"], auto_pad=mode, strides=list(strides))],
        {"x": [1, 2, size, size]}, {"y": [1, 3, None, None]}, {"w": weight(3, 2, 3, 2), "b": weight(3, seed=1)},
    )  # fmt: skip


def conv_transpose(**attributes: Any) -> bytes:
    return build(
        [node("ConvTranspose", ["x", "w"], ["y"], **attributes)], {"x": [1, 2, 5, 5]}, {"y": [1, 3, None, None]},
        {"w": weight(2, 3, 3, 3)},
    )  # fmt: skip


def pool(op: str, **attributes: Any) -> bytes:
    return build([node(op, ["x"], ["y"], kernel_shape=[3, 3], **attributes)], {"x": [1, 2, 8, 8]}, {"y": [1, 2, None, None]})


def batchnorm(channels: int) -> Weights:
    positive = np.abs(weight(channels, seed=9)) + 0.5
    return {"g": weight(channels, seed=5), "bb": weight(channels, seed=6), "m": weight(channels, seed=7), "v": positive}


def conv_batchnorm() -> bytes:
    nodes = [
        node("Conv", ["x", "w", "b"], ["a"]),
        node("BatchNormalization", ["a", "g", "bb", "m", "v"], ["n"]),
        node("Relu", ["n"], ["y"]),
    ]
    return build(
        nodes, {"x": [1, 2, 6, 6]}, {"y": [1, 3, 4, 4]}, {"w": weight(3, 2, 3, 3), "b": weight(3, seed=1), **batchnorm(3)}
    )


def gemm_batchnorm() -> bytes:
    nodes = [node("Gemm", ["x", "w"], ["a"]), node("BatchNormalization", ["a", "g", "bb", "m", "v"], ["y"], epsilon=1e-3)]
    return build(nodes, {"x": [1, 5]}, {"y": [1, 3]}, {"w": weight(5, 3), **batchnorm(3)})


def dropout() -> bytes:
    nodes = [node("Relu", ["x"], ["a"]), node("Dropout", ["a", "r"], ["b"]), node("Neg", ["b"], ["y"])]
    return build(nodes, {"x": [1, 5]}, {"y": [1, 5]}, {"r": np.float32(0.5)})


def identity_chain() -> bytes:
    nodes = [
        node("Identity", ["x"], ["a"]),
        node("Identity", ["a"], ["b"]),
        node("Tanh", ["b"], ["c"]),
        node("Identity", ["c"], ["y"]),
    ]
    return build(nodes, {"x": [1, 5]}, {"y": [1, 5]})


def folded_constants() -> bytes:
    nodes = [
        helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.float32([[1, 2, 3]]))),
        node("Mul", ["k", "s"], ["k2"]), node("Unsqueeze", ["k2", "axes"], ["k3"]), node("Squeeze", ["k3", "axes"], ["k4"]),
        node("Add", ["x", "k4"], ["y"]),
    ]  # fmt: skip
    return build(nodes, {"x": [1, 3]}, {"y": [1, 3]}, {"s": np.float32(2), "axes": np.int64([0])})


def shape_arithmetic() -> bytes:
    """Flattening as exporters write it: Shape, Gather, Unsqueeze, Concat, Reshape; batch left free."""
    nodes = [
        node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"]), node("Unsqueeze", ["n", "first"], ["n1"]),
        node("Concat", ["n1", "rest"], ["target"], axis=0), node("Reshape", ["x", "target"], ["flat"]),
        node("MatMul", ["flat", "w"], ["y"]),
    ]  # fmt: skip
    weights = {"zero": np.int64(0), "first": np.int64([0]), "rest": np.int64([-1]), "w": weight(12, 2)}
    return build(nodes, {"x": ["N", 3, 4]}, {"y": ["N", 2]}, weights)


def shared_weight() -> bytes:
    """Two convolutions share a weight; only one of them is followed by a BatchNorm."""
    nodes = [
        node("Conv", ["x", "w"], ["a"]), node("BatchNormalization", ["a", "g", "bb", "m", "v"], ["n"]),
        node("Conv", ["x", "w"], ["b"]), node("Add", ["n", "b"], ["y"]),
    ]  # fmt: skip
    return build(nodes, {"x": [1, 2, 6, 6]}, {"y": [1, 3, 4, 4]}, {"w": weight(3, 2, 3, 3), **batchnorm(3)})


def name_clash() -> bytes:
    """A value already has the name that the optimiser would invent for the folded weight."""
    nodes = [
        node("Conv", ["x", "w"], ["a"]), node("BatchNormalization", ["a", "g", "bb", "m", "v"], ["n"]),
        node("Mul", ["n", "n_weight"], ["p"]), node("Add", ["p", "n_bias"], ["y"]),
    ]  # fmt: skip
    clash = {"n_weight": weight(3, 1, 4, seed=11), "n_bias": weight(3, 4, 1, seed=12)}
    return build(nodes, {"x": [1, 2, 6, 6]}, {"y": [1, 3, 4, 4]}, {"w": weight(3, 2, 3, 3), **batchnorm(3), **clash})


def depthwise() -> bytes:
    nodes = [
        node("Conv", ["x", "w"], ["a"], group=4, pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["a", "g", "bb", "m", "v"], ["y"]),
    ]
    return build(nodes, {"x": [1, 4, 6, 6]}, {"y": [1, 4, 6, 6]}, {"w": weight(4, 1, 3, 3), **batchnorm(4)})


def conv1d() -> bytes:
    return build(
        [node("Conv", ["x", "w"], ["y"], auto_pad="SAME_LOWER")], {"x": [1, 2, 9]}, {"y": [1, 3, 9]}, {"w": weight(3, 2, 4)}
    )


def two_outputs() -> bytes:
    nodes = [
        node("Relu", ["x"], ["y"]),
        node("Identity", ["y"], ["z"]),
        node("Identity", ["y"], ["t"]),
        node("Neg", ["t"], ["u"]),
    ]
    return build(nodes, {"x": [1, 5]}, {"y": [1, 5], "z": [1, 5], "u": [1, 5]})


def old_opset() -> bytes:
    """Operator set 9: axes as attributes, Dropout and BatchNormalization of their time."""
    nodes = [
        node("Conv", ["x", "w"], ["a"]), node("BatchNormalization", ["a", "g", "bb", "m", "v"], ["n"]),
        node("ReduceSum", ["n"], ["s"], axes=[2, 3], keepdims=1),
        node("Squeeze", ["s"], ["q"], axes=[2, 3]), node("Dropout", ["q"], ["d"], ratio=0.3), node("Softmax", ["d"], ["y"]),
    ]  # fmt: skip
    return build(nodes, {"x": ["N", 2, 6, 6]}, {"y": ["N", 3]}, {"w": weight(3, 2, 3, 3), **batchnorm(3)}, opset=9)


def softmax_classifier() -> bytes:
    nodes = [node("Flatten", ["x"], ["f"]), node("Gemm", ["f", "w", "b"], ["g"]), node("Softmax", ["g"], ["y"])]
    return build(nodes, {"x": [1, 2, 3]}, {"y": [1, 4]}, {"w": weight(6, 4), "b": weight(4, seed=1)})


def padded_conv() -> bytes:
    nodes = [node("Pad", ["x", "pads"], ["p"]), node("Conv", ["p", "w"], ["y"], strides=[2, 2])]
    return build(
        nodes, {"x": [1, 2, 6, 6]}, {"y": [1, 3, 3, 3]}, {"pads": np.int64([0, 0, 1, 1, 0, 0, 1, 1]), "w": weight(3, 2, 3, 3)}
    )


def gather_integers() -> bytes:
    nodes = [node("Gather", ["table", "x"], ["y"])]
    return build(nodes, {"x": [1, 3]}, {"y": [1, 3, 4]}, {"table": weight(7, 4)}, input_type=INT64)


ZOO: dict[str, tuple[Callable[[], bytes], dict[str, int]]] = {
    "mlp": (mlp, {}),
    "mlp, opset 9": (lambda: mlp(9), {}),
    "mlp, opset 21": (lambda: mlp(21), {}),
    "conv without strides": (conv_without_strides, {}),
    "conv SAME_UPPER": (lambda: conv_auto_pad("SAME_UPPER"), {}),
    "conv SAME_LOWER": (lambda: conv_auto_pad("SAME_LOWER", size=6), {}),
    "conv VALID": (lambda: conv_auto_pad("VALID"), {}),
    "conv1d SAME_LOWER": (conv1d, {}),
    "conv transpose": (lambda: conv_transpose(strides=[2, 2], output_padding=[1, 1]), {}),
    "conv transpose SAME_UPPER": (lambda: conv_transpose(strides=[2, 2], auto_pad="SAME_UPPER"), {}),
    "conv transpose SAME_LOWER": (lambda: conv_transpose(strides=[2, 2], auto_pad="SAME_LOWER"), {}),
    "conv transpose output_shape": (lambda: conv_transpose(strides=[2, 2], output_shape=[10, 10]), {}),
    "max pool": (lambda: pool("MaxPool"), {}),
    "max pool SAME_UPPER": (lambda: pool("MaxPool", strides=[2, 2], auto_pad="SAME_UPPER"), {}),
    "max pool ceil": (lambda: pool("MaxPool", strides=[2, 2], ceil_mode=1), {}),
    "average pool SAME_LOWER": (lambda: pool("AveragePool", strides=[2, 2], auto_pad="SAME_LOWER"), {}),
    "conv + batchnorm": (conv_batchnorm, {}),
    "gemm + batchnorm": (gemm_batchnorm, {}),
    "depthwise conv + batchnorm": (depthwise, {}),
    "shared weight": (shared_weight, {}),
    "name clash": (name_clash, {}),
    "dropout": (dropout, {}),
    "identity chain": (identity_chain, {}),
    "two outputs": (two_outputs, {}),
    "constants": (folded_constants, {}),
    "shape arithmetic": (shape_arithmetic, {"N": 2}),
    "opset 9": (old_opset, {"N": 1}),
    "softmax": (softmax_classifier, {}),
    "pad into conv": (padded_conv, {}),
    "gather": (gather_integers, {}),
}
