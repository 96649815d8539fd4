# SPDX-License-Identifier: Apache-2.0
"""Small networks of the usual families, with random weights of sensible size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx.shape_inference
from onnx import TensorProto, helper, numpy_helper


@dataclass
class Net:
    """A graph being written, one node after the other; each method gives the name of the value it made."""

    seed: int = 0
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], name=f"{kind}_{out}", **attributes))
        return out

    def constant(self, value: Any) -> str:
        name = f"c{len(self.weights)}"
        self.weights[name] = np.asarray(value)
        return name

    def normal(self, *shape: int, gain: float = 1.0) -> str:
        fan = int(np.prod(shape[1:])) or 1
        return self.constant((self.rng.normal(size=shape) * gain * np.sqrt(2 / fan)).astype(np.float32))

    def small(self, *shape: int) -> str:
        return self.constant((self.rng.normal(size=shape) * 0.1).astype(np.float32))

    def conv(
        self, x: str, inner: int, outer: int, kernel: int = 3, stride: int = 1, groups: int = 1, pad: int | None = None
    ) -> str:
        width = kernel // 2 if pad is None else pad
        w, b = self.normal(outer, inner // groups, kernel, kernel), self.small(outer)
        return self.op("Conv", x, w, b, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[width] * 4, group=groups)

    def batchnorm(self, x: str, channels: int) -> str:
        positive = self.constant((np.abs(self.rng.normal(size=channels)) + 0.5).astype(np.float32))
        spread = self.constant((np.abs(self.rng.normal(size=channels)) + 0.5).astype(np.float32))
        return self.op("BatchNormalization", x, positive, self.small(channels), self.small(channels), spread)

    def dense(self, x: str, inner: int, outer: int) -> str:
        return self.op("Gemm", x, self.normal(outer, inner), self.small(outer), transB=1)

    def relu(self, x: str) -> str:
        return self.op("Relu", x)

    def relu6(self, x: str) -> str:
        return self.op("Clip", x, self.constant(np.float32(0)), self.constant(np.float32(6)))

    def model(
        self, shape: Sequence[int], *outputs: str, opset: int = 17, dtype: int = TensorProto.FLOAT, given: int = TensorProto.FLOAT
    ) -> bytes:
        graph = helper.make_graph(
            self.nodes, "net", [helper.make_tensor_value_info("x", given, shape)],
            [helper.make_tensor_value_info(name, dtype, None) for name in outputs],
            [numpy_helper.from_array(array, name) for name, array in self.weights.items()],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        shapes = {value.name: value for value in onnx.shape_inference.infer_shapes(model).graph.output}
        for value in model.graph.output:
            value.CopyFrom(shapes[value.name])
        return model.SerializeToString()


def mlp(batch: int = 1, activation: str = "Relu") -> bytes:
    net = Net()
    a = net.op(activation, net.dense("x", 20, 32))
    b = net.op(activation, net.dense(a, 32, 32))
    return net.model([batch, 20], net.dense(b, 32, 10), opset=18)


def vgg(batch: int = 1) -> bytes:
    net = Net(seed=1)
    x = "x"
    for inner, outer in ((3, 8), (8, 16)):
        x = net.relu(net.conv(x, inner, outer))
        x = net.relu(net.batchnorm(net.conv(x, outer, outer), outer))
        x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.op("Flatten", x)
    return net.model([batch, 3, 16, 16], net.dense(net.relu(net.dense(x, 256, 32)), 32, 10))


def resnet(blocks: Sequence[tuple[int, int]] = ((8, 1), (16, 2), (16, 1))) -> bytes:
    net = Net(seed=2)
    x, channels = net.relu(net.batchnorm(net.conv("x", 3, 8), 8)), 8
    for outer, stride in blocks:
        y = net.relu(net.batchnorm(net.conv(x, channels, outer, stride=stride), outer))
        y = net.batchnorm(net.conv(y, outer, outer), outer)
        if stride != 1 or outer != channels:
            x = net.batchnorm(net.conv(x, channels, outer, kernel=1, stride=stride), outer)
        x, channels = net.relu(net.op("Add", y, x)), outer
    x = net.op("Flatten", net.op("GlobalAveragePool", x))
    return net.model([1, 3, 16, 16], net.dense(x, channels, 10))


def mobilenet() -> bytes:
    net = Net(seed=3)
    x = net.relu6(net.conv("x", 3, 8, stride=2))
    for expand, residual in ((16, True), (32, True), (16, False)):
        y = net.relu6(net.conv(x, 8, expand, kernel=1))
        y = net.relu6(net.conv(y, expand, expand, groups=expand))
        y = net.conv(y, expand, 8, kernel=1)
        x = net.op("Add", x, y) if residual else y
    x = net.op("ReduceMean", net.relu6(net.conv(x, 8, 24, kernel=1)), axes=[2, 3], keepdims=0)
    return net.model([1, 3, 16, 16], net.op("Softmax", net.dense(x, 24, 10), axis=-1))


def inception() -> bytes:
    """Branches that meet in a Concat, one of them a pooled input."""
    net = Net(seed=4)
    a = net.relu(net.conv("x", 3, 4, kernel=1))
    b = net.op("LeakyRelu", net.conv("x", 3, 4), alpha=0.1)
    c = net.op("AveragePool", "x", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    x = net.op("MaxPool", net.op("Concat", a, b, c, axis=1), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = net.op("Transpose", x, perm=[0, 2, 3, 1])
    return net.model([2, 3, 8, 8], net.op("MatMul", x, net.normal(11, 5)))


FAMILIES = {
    "mlp": mlp,
    "mlp, batch of 4": lambda: mlp(4),
    "vgg": vgg,
    "vgg, batch of 3": lambda: vgg(3),
    "resnet": resnet,
    "mobilenet": mobilenet,
    "inception": inception,
}
