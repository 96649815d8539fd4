# SPDX-License-Identifier: Apache-2.0
"""Networks with seeded random weights, for measuring what a proof costs: that depends on shapes, not on what was learnt.

Weights are He-initialised from a PCG64 stream, so the same name gives the same bytes everywhere; BatchNorm counts as folded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from verifiable.errors import UnsupportedError

if TYPE_CHECKING:
    import onnx

SEED = 20
OPSET, IR_VERSION = 17, 8
INPUT, OUTPUT = "x", "y"


class Net:
    """A graph under construction: each method adds a layer behind tensor ``last`` and moves on to its output.

    ``shape`` is that of ``last``: [batch, features] or [batch, channels, height, width].
    """

    def __init__(self, *shape: int) -> None:
        import numpy as np

        self._random = np.random.Generator(np.random.PCG64(SEED))
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, Any] = {}
        self._input = shape
        self.shape, self.last = shape, INPUT

    def dense(self, width: int) -> Net:
        """A fully connected layer of ``width`` outputs; flattens an image first."""
        if len(self.shape) > 2:
            self._add("Flatten", (self.shape[0], math.prod(self.shape[1:])), axis=1)
        weights = self._layer(width, self.shape[1])
        return self._add("Gemm", (self.shape[0], width), *weights, transB=1)

    def conv(self, filters: int, *, kernel: int = 3, stride: int = 1) -> Net:
        """A convolution of odd ``kernel``, padded so that only ``stride`` makes the image smaller."""
        batch, channels, height, width = self.shape
        weights = self._layer(filters, channels, kernel, kernel)
        shape = (batch, filters, -(-height // stride), -(-width // stride))
        pads = [kernel // 2] * 4
        return self._add("Conv", shape, *weights, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads)

    def relu(self) -> Net:
        return self._add("Relu", self.shape)

    def pool(self) -> Net:
        """The largest of every 2 x 2."""
        batch, channels, height, width = self.shape
        return self._add("MaxPool", (batch, channels, height // 2, width // 2), kernel_shape=[2, 2], strides=[2, 2])

    def average(self) -> Net:
        """The mean of each channel."""
        return self._add("GlobalAveragePool", (*self.shape[:2], 1, 1))

    def residual(self, filters: int, *, stride: int = 1) -> Net:
        """A basic block (He et al., arXiv 1512.03385): two convolutions beside a shortcut, projected where shapes differ."""
        before = self.last, self.shape
        self.conv(filters, stride=stride).relu().conv(filters)
        body = self.last
        self.last, self.shape = before
        if (stride, filters) != (1, self.shape[1]):
            self.conv(filters, kernel=1, stride=stride)
        return self._add("Add", self.shape, body).relu()

    def encode(self) -> bytes:
        """ONNX with one float32 input ``x`` and output ``y``."""
        from onnx import TensorProto, helper, numpy_helper

        self._nodes[-1].output[0] = OUTPUT
        graph = helper.make_graph(
            self._nodes, "synthetic",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, self._input)],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, self.shape)],
            [numpy_helper.from_array(array, name) for name, array in self._weights.items()],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        return bytes(model.SerializeToString(deterministic=True))

    def _layer(self, *shape: int) -> tuple[str, str]:
        """He et al. (arXiv 1502.01852): a standard deviation of sqrt(2 / fan-in)."""
        number = len(self._weights) // 2
        weight = self._random.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
        bias = self._random.standard_normal(shape[0]) * 0.01
        names = f"w{number}", f"b{number}"
        self._weights |= {name: array.astype("<f4") for name, array in zip(names, (weight, bias), strict=True)}
        return names

    def _add(self, op: str, shape: Sequence[int], *others: str, **attributes: Any) -> Net:
        from onnx import helper

        name = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, [self.last, *others], [name], **attributes))
        self.last, self.shape = name, tuple(shape)
        return self


def _mlp(*widths: int, batch: int = 1) -> Net:
    net = Net(batch, widths[0])
    for width in widths[1:-1]:
        net.dense(width).relu()
    return net.dense(widths[-1])


def _cifar_cnn() -> Net:
    return Net(1, 3, 32, 32).conv(32).relu().pool().conv(64).relu().pool().dense(60).relu().dense(10)


def _resnet18() -> Net:
    net = Net(1, 3, 32, 32).conv(64).relu()
    for filters in (64, 128, 256, 512):
        net.residual(filters, stride=1 if filters == 64 else 2).residual(filters)
    return net.average().dense(10)


#: By name; a factory costs as much as its weights are many.
NETWORKS: Mapping[str, Callable[[], Net]] = MappingProxyType(
    {
        "tiny": lambda: Net(1, 1, 4, 4).conv(2).relu().dense(3),
        "mlp-784-128-10": lambda: _mlp(784, 128, 10),
        "mlp-784-128-10-batch32": lambda: _mlp(784, 128, 10, batch=32),
        "cifar-cnn": _cifar_cnn,
        "dense-4m": lambda: _mlp(1024, 1024, 1024, 1024, 1024, 10),
        "resnet18-cifar": _resnet18,
        "mlp-34k": lambda: _mlp(128, 128, 128, 10),
        "mlp-134k": lambda: _mlp(256, 256, 256, 10),
        "mlp-530k": lambda: _mlp(512, 512, 512, 10),
        "mlp-2m": lambda: _mlp(1024, 1024, 1024, 10),
    }
)
#: One shape in four sizes, each four times the one before: how cost grows.
LADDER = ("mlp-34k", "mlp-134k", "mlp-530k", "mlp-2m")
#: Proved in a moment: to try things out.
TINY = "tiny"


def network(name: str) -> bytes:
    """The ONNX file of that name. Raises UnsupportedError."""
    if name not in NETWORKS:
        raise UnsupportedError(f"no generated network {name[:80]!r}", hint=f"there are {', '.join(NETWORKS)}")
    return NETWORKS[name]().encode()


__all__ = ["LADDER", "NETWORKS", "TINY", "Net", "network"]
