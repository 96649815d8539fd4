# SPDX-License-Identifier: Apache-2.0
"""Random float graphs: Programs follow them, better with more bits, and nothing leaves the bounds."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.model.quantise.cases import Sample, compare, normalised, quantised, samples
from tests.model.quantise.networks import Net
from verifiable.model.program.bounds import bounds
from verifiable.model.program.ir import Program
from verifiable.model.quantise.options import Options

UNARY = ("Relu", "Sigmoid", "Tanh", "HardSwish", "LeakyRelu", "Elu", "Softplus", "Abs", "Sin")
LAYERS = (
    "Conv", "Strided", "Depthwise", "Grouped", "BatchNorm", "MaxPool", "AveragePool", "Residual", "Concat", "Pad", "Transpose",
    "Scaled", *UNARY,
)  # fmt: skip
HEADS = ("Gemm", "MatMul", "GlobalAveragePool", "None")
WIDE = Options(activation_bits=14, weight_bits=16, max_rows=1 << 20)


def layered(kinds: list[str], head: str, seed: int) -> bytes:
    net = Net(seed=seed)
    shape = [int(net.rng.integers(1, 4)), 4, 8, 8]
    first, x = list(shape), net.conv("x", 4, 4)
    for kind in kinds:
        if kind == "Sin":  # within a turn or so: beyond, the last digit of any argument, a float's too, decides the result
            x = net.op(kind, net.op("Mul", x, net.constant(np.float32(0.1))))
        elif kind in UNARY:
            x = net.op(kind, x)
        elif kind in {"Conv", "Depthwise", "Grouped"}:
            x = net.conv(x, 4, 4, groups={"Depthwise": 4, "Grouped": 2}.get(kind, 1))
        elif kind == "BatchNorm":
            x = net.batchnorm(x, 4)
        elif kind in {"Strided", "MaxPool", "AveragePool"} and min(shape[2:]) >= 4:
            shape[2:] = [size // 2 for size in shape[2:]]
            pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
            x = net.conv(x, 4, 4, kernel=2, stride=2, pad=0) if kind == "Strided" else net.op(kind, x, **pool)
        elif kind == "Residual":
            x = net.op("Add", x, net.conv(net.relu(net.conv(x, 4, 4)), 4, 4))
        elif kind == "Concat":
            x = net.conv(net.op("Concat", x, net.relu(net.conv(x, 4, 3)), axis=1), 7, 4, kernel=1)
        elif kind == "Pad":
            x, shape[2] = net.op("Pad", x, net.constant(np.int64([0, 0, 2, 0, 0, 0, 0, 0]))), shape[2] + 2
        elif kind == "Transpose":
            x, shape[2:] = net.op("Transpose", x, perm=[0, 1, 3, 2]), shape[:1:-1]
        elif kind == "Scaled":
            x = net.op("Sub", net.op("Mul", x, net.constant(np.float32(0.7))), net.small(4, 1, 1))
    inner = int(np.prod(shape[1:]))
    if head == "GlobalAveragePool":
        x = net.dense(net.op("Flatten", net.op(head, x)), 4, 5)
    elif head != "None":
        x = net.op("Flatten", x)
        x = net.dense(x, inner, 5) if head == "Gemm" else net.op("Add", net.op("MatMul", x, net.normal(inner, 5)), net.small(5))
    return net.model(first, x)


def error(onnx: bytes, given_samples: list[Sample], options: Options) -> float:
    """On the samples of the calibration: beyond them it is saturation that counts, not resolution."""
    program = quantised(onnx, given_samples, options)
    assert Program.parse(program.encode()) == program
    assert not bounds(program).ties
    (compared,) = compare(program, onnx, given_samples).values()
    return compared.error


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(LAYERS), min_size=1, max_size=5), st.sampled_from(HEADS), st.integers(0, 10**6))
def test_programs_follow_random_graphs(kinds: list[str], head: str, seed: int) -> None:
    onnx = normalised(layered(kinds, head, seed))
    given_samples = samples(onnx, 15)
    narrow, wide = error(onnx, given_samples, Options()), error(onnx, given_samples, WIDE)
    assert narrow < 0.08
    assert wide < 0.004
