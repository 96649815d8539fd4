# SPDX-License-Identifier: Apache-2.0
"""Small networks and their calibration samples, for the tuner's tests. Built here, with fixed weights."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from verifiable.model.normalise import normalise
from verifiable.model.onnx_file import Model
from verifiable.model.runtime import FloatModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """A normalised program, its samples, and what onnxruntime makes of them."""

    program: bytes
    samples: list[dict[str, Any]]
    floats: list[dict[str, Any]]


def net(
    nodes: Sequence[Any],
    weights: dict[str, Any],
    shape: Sequence[int],
    out: Sequence[int],
    *,
    samples: int = 12,
    low: float = -1.0,
) -> Net:
    graph = helper.make_graph(
        list(nodes), "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    program = normalise(Model.parse(model.SerializeToString()))
    rng, float_model = np.random.Generator(np.random.PCG64(3)), FloatModel(program)
    data = [{"x": rng.uniform(low, 1, shape).astype(np.float32)} for _ in range(samples)]
    return Net(program=program, samples=data, floats=[dict(float_model.run(sample)) for sample in data])


def mlp(dims: Sequence[int] = (8, 16, 4), *, activation: str = "Relu", last: str = "", seed: int = 0, low: float = -1.0) -> Net:
    rng = np.random.Generator(np.random.PCG64(seed))
    nodes, weights, x = [], {}, "x"
    for i, (a, b) in enumerate(itertools.pairwise(dims)):
        weights |= {f"w{i}": rng.standard_normal((b, a)) / np.sqrt(a), f"b{i}": rng.standard_normal(b) * 0.1}
        final = i == len(dims) - 2
        nodes.append(helper.make_node("Gemm", [x, f"w{i}", f"b{i}"], ["y" if final and not last else f"g{i}"], transB=1))
        x = f"g{i}"
        if not final:
            nodes.append(helper.make_node(activation, [x], [f"a{i}"]))
            x = f"a{i}"
    if last:
        nodes.append(helper.make_node(last, [x], ["y"]))
    return net(nodes, weights, [1, dims[0]], [1, dims[-1]], low=low)


def cnn(pool: str = "AveragePool") -> Net:
    rng = np.random.Generator(np.random.PCG64(5))
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node(pool, ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], axis=1),
        helper.make_node("Gemm", ["f", "v"], ["y"], transB=1),
    ]
    weights = {
        "w": rng.standard_normal((2, 1, 3, 3)) / 3,
        "b": rng.standard_normal(2) * 0.1,
        "v": rng.standard_normal((3, 18)) / 4,
    }
    return net(nodes, weights, [1, 1, 6, 6], [1, 3], low=0.0)
