# SPDX-License-Identifier: Apache-2.0
"""Random quantised graphs against onnxruntime: the very same integers, but where its float32 slips across a tie."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.model.lower.models import Quantised
from tests.model.lower.test_lowering import distance_from_tie, every_quantised_tensor, lowered
from tests.model.quantise.cases import compare, normalised
from verifiable.errors import UnsupportedError
from verifiable.model.program.execute import Executor
from verifiable.model.program.values import quantise_inputs
from verifiable.model.quantise import slips
from verifiable.model.runtime import FloatModel

LAYERS = (
    "Conv", "Strided", "Depthwise", "Grouped", "Relu", "Clip", "MaxPool", "AveragePool", "Residual", "Difference", "Concat",
    "Pad", "Transpose",
)  # fmt: skip
HEADS = ("None", "Gemm", "MatMul", "GlobalAveragePool", "Flatten")
layers = st.lists(st.sampled_from(LAYERS), min_size=1, max_size=5)
seeds = st.integers(0, 10**6)


class Graph:
    """A quantised network, layer by layer; ``exact``: every scale a power of two."""

    def __init__(self, seed: int, exact: bool) -> None:
        self.rng, self.exact, self.net = np.random.default_rng(seed), exact, Quantised()
        self.shape = (int(self.rng.integers(1, 4)), 4, 6, 6)
        self.first = self.shape
        self.scale, self.zero = self.a_scale(2**-4), self.a_zero()
        self.x = self.net.qdq("x", self.scale, self.zero)

    def a_scale(self, near: float) -> float:
        factor = 2.0 ** self.rng.integers(-1, 2) if self.exact else self.rng.uniform(0.6, 1.7)
        return float(np.float32(near * factor))

    def a_zero(self) -> np.generic:
        return np.uint8(self.rng.integers(0, 256)) if self.rng.random() < 0.5 else np.int8(self.rng.integers(-128, 128))

    def rounded(self, value: str) -> None:
        self.scale, self.zero = self.a_scale(2**-4), self.a_zero()
        self.x = self.net.qdq(value, self.scale, self.zero)

    def weighted(self, shape: tuple[int, ...], axis: int) -> list[str]:
        """Weights with a scale for each output channel, and a bias at the product of the scales."""
        count = shape[axis]
        scales = np.float32([self.a_scale(2**-6) for _ in range(count)])
        values = self.net.constant(self.rng.integers(-30, 31, shape).astype(np.int8))
        bias = self.net.constant(self.rng.integers(-500, 500, count).astype(np.int32))
        return [
            self.net.dq(values, scales, np.zeros(count, np.int8), axis=axis),
            self.net.dq(bias, scales * np.float32(self.scale), np.zeros(count, np.int32), axis=0),
        ]  # fmt: skip

    def convolved(self, groups: int = 1, stride: int = 1) -> str:
        batch, channels, height, width = self.shape
        pads = [int(p) for p in self.rng.integers(0, 2, 4)]
        weights = self.weighted((channels, channels // groups, 3, 3), 0)
        sizes = [(s + pads[i] + pads[i + 2] - 3) // stride + 1 for i, s in enumerate((height, width))]
        self.shape = (batch, channels, *sizes)
        return self.net.op("Conv", self.x, *weights, kernel_shape=[3, 3], strides=[stride] * 2, pads=pads, group=groups)

    def add(self, kind: str) -> None:
        net, (batch, channels, height, width) = self.net, self.shape
        if kind in {"MaxPool", "AveragePool", "Strided", "Conv", "Depthwise", "Grouped"} and min(height, width) < 4:
            return
        if kind in {"Conv", "Depthwise", "Grouped", "Strided"}:
            y = self.convolved({"Depthwise": channels, "Grouped": 2}.get(kind, 1), 2 if kind == "Strided" else 1)
            self.rounded(net.op("Relu", y) if self.rng.random() < 0.5 else y)
        elif kind in {"Relu", "Clip"}:
            limits = [net.constant(np.float32(v)) for v in (-1, 2)] if kind == "Clip" else []
            self.rounded(net.op(kind, self.x, *limits))
        elif kind == "MaxPool":
            self.x = net.op("MaxPool", self.x, kernel_shape=[3, 2], strides=[1, 2], pads=[1, 0, 1, 0])
            self.shape = (batch, channels, height, (width - 2) // 2 + 1)
        elif kind == "AveragePool":
            self.rounded(net.op("AveragePool", self.x, kernel_shape=[2, 2], strides=[2, 2]))
            self.shape = (batch, channels, height // 2, width // 2)
        elif kind in {"Residual", "Difference"}:
            before = self.x
            self.rounded(net.op("Relu", self.x))
            self.rounded(net.op("Add" if kind == "Residual" else "Sub", before, self.x))
        elif kind == "Concat":
            halves = [net.op("Slice", self.x, *(net.constant(np.int64([v])) for v in (i, i + 2, 1))) for i in (2, 0)]
            before, scale, zero = halves[0], self.scale, self.zero
            self.rounded(net.op("Relu", halves[1]))
            self.rounded(net.op("Concat", net.qdq(before, scale, zero), self.x, axis=1))
        elif kind == "Pad":
            self.rounded(net.op("Pad", self.x, net.constant(np.int64([0, 0, 1, 0, 0, 0, 0, 1]))))
            self.shape = (batch, channels, height + 1, width + 1)
        else:
            self.x = net.op("Transpose", self.x, perm=[0, 1, 3, 2])
            self.shape = (batch, channels, width, height)

    def finish(self, head: str) -> bytes:
        net, inner = self.net, int(np.prod(self.shape[1:]))
        if head == "GlobalAveragePool" and self.shape[2] * self.shape[3] in {4, 16, 64}:
            self.rounded(net.op("GlobalAveragePool", self.x))
        elif head in {"Gemm", "MatMul", "Flatten"}:
            flat = net.op("Flatten", self.x)
            if head == "Flatten":
                self.x = flat
            elif head == "Gemm":
                self.rounded(net.op("Gemm", flat, *self.weighted((5, inner), 0), transB=1))
            else:
                weight, bias = self.weighted((inner, 5), 1)
                self.rounded(net.op("Add", net.op("MatMul", flat, weight), bias))
        return net.model(self.first, self.x)

    def samples(self, scale: float, count: int = 12) -> list[dict[str, np.ndarray]]:
        """On quarters of the input's steps, but not half-way, where circuits round otherwise than QuantizeLinear."""
        steps = self.rng.integers(-300, 300, (count, *self.first)) + self.rng.choice([-0.25, 0, 0.25], (count, *self.first))
        return [{"x": (step * scale).astype(np.float32)} for step in steps]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(layers, st.sampled_from(HEADS), seeds)
def test_power_of_two_scales_give_the_very_same_integers(kinds: list[str], head: str, seed: int) -> None:
    graph = Graph(seed, exact=True)
    scale = graph.scale
    for kind in kinds:
        graph.add(kind)
    program, onnx_bytes = lowered(graph.finish(head))
    given_samples = graph.samples(scale)
    (compared,) = compare(program, onnx_bytes, given_samples).values()
    counted = slips(onnx_bytes, program, given_samples)
    note(f"{counted.differing} of {counted.values} differ")
    assert (compared.found == compared.expected).all()
    assert (counted.differing, counted.values, counted.farthest) == (0, compared.found.size, 0)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(layers, st.sampled_from(HEADS), seeds)
def test_other_scales_differ_at_ties_that_float32_misses_only(kinds: list[str], head: str, seed: int) -> None:
    graph = Graph(seed, exact=False)
    scale = graph.scale
    for kind in ("Conv", *kinds):
        graph.add(kind)
    onnx_bytes = normalised(graph.finish(head))
    try:
        program, exposed = every_quantised_tensor(onnx_bytes)
    except UnsupportedError as error:
        assert "rounds exactly" in str(error)  # noqa: PT017 - the refusal is one of two right answers
        return
    given_samples = graph.samples(scale, 6)
    integers, _ = quantise_inputs(program, {"x": np.stack([sample["x"] for sample in given_samples])})
    ran, model = Executor(program).run_many(integers), FloatModel(exposed)
    first = []
    for k, sample in enumerate(given_samples):
        theirs = model.run(sample)
        for output in program.outputs:
            apart = ran.outputs[output.name][k] - theirs[output.name].astype(np.int64)
            if apart.any():
                assert np.abs(apart).max() == 1
                first.append((distance_from_tie(program, ran, output.tensor, k)[apart != 0] < 2**-12).all())
                break
    assert all(first)


def test_refusals_of_random_scales_are_rare() -> None:
    refused = []
    for seed in range(15):
        graph = Graph(seed, exact=False)
        for kind in ("Conv", "Residual", "AveragePool"):
            graph.add(kind)
        try:
            lowered(graph.finish("Gemm"))
        except UnsupportedError as error:
            refused.append(str(error))
    assert len(refused) <= 1, refused
