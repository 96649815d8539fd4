# SPDX-License-Identifier: Apache-2.0
"""Small Programs, one per kind of operation, with weights from a seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from verifiable.model.program.bounds import Class
from verifiable.model.program.builder import Builder
from verifiable.model.program.ir import Input, Output, Program
from verifiable.model.program.ops import Combine, Concat, Conv, Dense, Maximum, Pad, Reshape, Scale, Slice, SumPool, Transpose
from verifiable.model.program.tables import tabulate

SHIFT = 16


class Maker(Builder):
    """A Builder with layers in one line; ``rng`` decides the weights."""

    def __init__(self, seed: int, *shape: int) -> None:
        super().__init__()
        self.rng = np.random.default_rng(seed)
        self.input(Input(name="x", dtype="float32", shape=shape, scale=1.0, low=-7, high=15))

    def _layer(self, out: int, *inner: int) -> tuple[int, int, int]:
        # Odd multipliers, no bias, sums below 2^15: no ties.
        weight = self.constant(self.rng.integers(-7, 8, size=(out, *inner)).astype(np.int8))
        multiplier = self.constant(self.rng.integers(1000, 3000, size=out) * 2 + 1)
        return weight, multiplier, self.constant(np.zeros(out, np.int64))

    def dense(self, x: int, out: int) -> int:
        weight, multiplier, bias = self._layer(out, self.shapes[x][-1])
        return self.add(Dense(source=x, weight=weight, multiplier=multiplier, bias=bias))

    def biased(self, x: int, out: int) -> int:
        """A Dense with any bias: for what is not rounded any more."""
        weight, multiplier, _ = self._layer(out, self.shapes[x][-1])
        bias = self.constant(self.rng.integers(-999, 999, size=out))
        return self.add(Dense(source=x, weight=weight, multiplier=multiplier, bias=bias))

    def conv(self, x: int, out: int, kernel=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1), groups: int = 1) -> int:  # type: ignore[no-untyped-def]
        weight, multiplier, bias = self._layer(out, self.shapes[x][1] // groups, *kernel)
        return self.add(
            Conv(
                source=x,
                weight=weight,
                multiplier=multiplier,
                bias=bias,
                kernel=kernel,
                strides=strides,
                pads=pads,
                groups=groups,
            )
        )

    def relu(self, t: int, shift: int = SHIFT) -> int:
        rounded = self.rounded(t, shift)
        values = tabulate(
            lambda y: np.maximum(y, 0), rounded, scale_in=1.0, scale_out=2.0, clamp=(0, 15), where="relu", max_rows=1 << 18
        )
        return self.requantise(t, shift, values)

    def done(self, *tensors: int) -> Program:
        return self.finish(
            Output(name=f"y{i}", dtype="float32", shape=self.shapes[t], tensor=t, scale=1.0) for i, t in enumerate(tensors)
        )


def mlp(seed: int = 0) -> Program:
    m = Maker(seed, 1, 11)
    return m.done(m.biased(m.relu(m.dense(m.relu(m.dense(0, 9)), 6)), 5))


def rows(seed: int = 0) -> Program:
    """A Dense over three axes, none a power of two, biased in padded rows too."""
    m = Maker(seed, 3, 5, 6)
    return m.done(m.biased(m.relu(m.dense(0, 3)), 7))


def convs(seed: int = 0) -> Program:
    m = Maker(seed, 1, 3, 7, 6)
    x = m.relu(m.conv(0, 5, strides=(2, 1)))
    x = m.relu(m.conv(x, 3, kernel=(2, 3), pads=(0, 1, 1, 0)))
    return m.done(m.biased(m.add(Reshape(source=x, shape=(1, int(np.prod(m.shapes[x]))))), 4))


def batch(seed: int = 0) -> Program:
    """Three images at once, a number that is padded."""
    m = Maker(seed, 3, 3, 4, 5)
    x = m.relu(m.conv(0, 6, strides=(1, 2)))
    x = m.add(Maximum(left=x, right=m.relu(m.conv(x, 6, groups=2))))
    flat = m.add(Reshape(source=x, shape=(3, int(np.prod(m.shapes[x][1:])))))
    return m.done(m.biased(flat, 5), x)


def depthwise(seed: int = 0) -> Program:
    m = Maker(seed, 1, 3, 5, 5)
    return m.done(m.conv(m.relu(m.conv(0, 3, groups=3)), 2, kernel=(1, 1), pads=(0, 0, 0, 0)))


def groups_of_three(seed: int = 0) -> Program:
    """Neither the groups nor the channels of one are a power of two."""
    m = Maker(seed, 2, 9, 4, 5)
    x = m.relu(m.conv(0, 15, kernel=(2, 3), pads=(1, 0, 0, 1), groups=3))
    return m.done(m.conv(x, 10, kernel=(1, 1), strides=(2, 1), pads=(0, 0, 0, 0), groups=5))


def separable(seed: int = 0) -> Program:
    """Depthwise with two outputs for each channel, then pointwise."""
    m = Maker(seed, 1, 5, 6, 6)
    x = m.relu(m.conv(0, 10, strides=(2, 2), groups=5))
    return m.done(m.relu(m.conv(x, 7, kernel=(1, 1), pads=(0, 0, 0, 0))))


def tied(seed: int = 0, shift: int = 5) -> Program:
    """Accumulators that are ties every few cells, of both parities, beside a layer that shares its table and has none."""
    m = Maker(seed, 3, 5)
    weight = m.constant(m.rng.integers(-7, 8, size=(6, 5)).astype(np.int8))
    ones, none = m.constant(np.full(6, 1 << (shift - 3))), m.constant(np.zeros(6, np.int64))
    t = m.add(Dense(source=0, weight=weight, multiplier=ones, bias=none))
    odd = m.add(Combine(sources=(t,), coefficients=(1,), constant=1))
    rounded = m.rounded(odd, shift)
    values = tabulate(lambda y: y, rounded, scale_in=1.0, scale_out=1.0, clamp=(-99, 99), where="tied", max_rows=1 << 18)
    return m.done(m.requantise(t, shift, values), m.requantise(odd, shift, values), t)


def tied_digits(seed: int = 0) -> Program:
    """A remainder of several digits, the last one shorter."""
    return tied(seed, shift=19)


def constant_pool(seed: int = 0) -> Program:
    m = Maker(seed, 1, 3, 5, 4)
    pool = SumPool(source=m.relu(m.conv(0, 3)), kernel=(3, 2), strides=(2, 2), pads=(1, 0, 1, 1), multiplier=0, bias=-5)
    return m.done(m.add(pool))


def grouped(seed: int = 0) -> Program:
    m = Maker(seed, 1, 6, 4, 5)
    return m.done(m.relu(m.conv(0, 12, groups=3)))


def pooled(seed: int = 0) -> Program:
    m = Maker(seed, 2, 3, 6, 5)
    x = m.relu(m.conv(0, 3))
    pool = SumPool(source=x, kernel=(3, 2), strides=(2, 2), pads=(1, 0, 1, 1), multiplier=5, bias=0)
    return m.done(m.relu(m.conv(m.add(pool), 2)))


def largest(seed: int = 0) -> Program:
    """A max-pool as a tree of maxima of slices."""
    m = Maker(seed, 1, 3, 6, 6)
    x = m.relu(m.conv(0, 3))
    parts = [
        m.add(Slice(source=x, starts=(0, 0, i, j), steps=(1, 1, 2, 2), sizes=(1, 3, 3, 3))) for i in range(2) for j in range(2)
    ]
    top, bottom = m.add(Maximum(left=parts[0], right=parts[1])), m.add(Maximum(left=parts[2], right=parts[3]))
    return m.done(m.conv(m.add(Maximum(left=top, right=bottom)), 2))


def residual(seed: int = 0) -> Program:
    m = Maker(seed, 1, 5)
    x = m.relu(m.dense(0, 5))
    both = m.add(Combine(sources=(m.dense(x, 5), x, x), coefficients=(2, 2048, -1024), constant=1))
    return m.done(m.relu(both), both)


def often_read(seed: int = 0) -> Program:
    """Sums that read one accumulator several times, again and again: unmerged, its claims would double 24 times."""
    m = Maker(seed, 3, 5)
    x = m.dense(0, 6)
    for k in range(24):
        x = m.add(Combine(sources=(x, x), coefficients=(1, 1), constant=k % 3))
    return m.done(m.relu(x, SHIFT + 24), x)


def moved(seed: int = 0) -> Program:
    m = Maker(seed, 3, 5, 2)
    x = m.relu(m.dense(0, 3))
    turned = m.add(Transpose(source=x, axes=(1, 2, 0)))
    around = m.add(Pad(source=turned, before=(0, 1, 0), after=(1, 0, 2), value=3))
    cut = m.add(Slice(source=around, starts=(1, 0, 1), steps=(2, 1, 1), sizes=(2, 4, 3)))
    joined = m.add(Concat(sources=(cut, cut, around_slice(m, around)), axis=1))
    flat = m.add(Reshape(source=joined, shape=(2, int(np.prod(m.shapes[joined])) // 2)))
    return m.done(m.biased(flat, 3), joined)


def around_slice(m: Maker, around: int) -> int:
    return m.add(Slice(source=around, starts=(0, 1, 2), steps=(1, 1, 1), sizes=(2, 3, 3)))


def wild_padding(seed: int = 0) -> Program:
    """Real cells are small, and padded rows hold the bias alone, which no float32 holds exactly beside others."""
    m = Maker(seed, 3, 5)
    m.inputs[0] = Input(name="x", dtype="float32", shape=(3, 5), scale=1.0, low=1, high=1)
    m.classes[0] = (Class(low=1, high=1),)
    ones = m.constant(np.ones(4, np.int64))
    weight = m.constant(np.full((4, 5), 127, np.int8))
    t = m.add(
        Dense(source=0, weight=weight, multiplier=m.constant(np.full(4, 1 << 20)), bias=m.constant(np.full(4, -(635 << 20) + 7)))
    )
    inner = m.constant(m.rng.integers(-127, 128, (4, 4)).astype(np.int8))
    return m.done(m.add(Dense(source=t, weight=inner, multiplier=ones, bias=ones)))


def scaled(seed: int = 0) -> Program:
    """Multiplier and bias over different axes of a tensor padded in all of them."""
    m = Maker(seed, 3, 5, 6)
    x = m.relu(m.dense(0, 3))
    multiplier, bias = m.constant(m.rng.integers(-9, 9, size=(5, 1))), m.constant(m.rng.integers(-9, 9, size=(3, 1, 3)))
    return m.done(m.biased(m.add(Scale(source=x, multiplier=multiplier, bias=bias)), 2))


def input_is_output(seed: int = 0) -> Program:
    m = Maker(seed, 3)
    return m.done(m.add(Combine(sources=(0, 0), coefficients=(3, -1), constant=17)), 0)


ALL: dict[str, Callable[[int], Program]] = {
    f.__name__: f
    for f in (
        mlp,
        rows,
        convs,
        batch,
        depthwise,
        grouped,
        groups_of_three,
        separable,
        tied,
        tied_digits,
        constant_pool,
        pooled,
        largest,
        residual,
        often_read,
        moved,
        scaled,
        input_is_output,
    )
}


def inputs(program: Program, samples: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {e.name: rng.integers(e.low, e.high + 1, size=(samples, *e.shape)) for e in program.inputs}
