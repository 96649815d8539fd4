# SPDX-License-Identifier: Apache-2.0
"""Random Programs of every operation, and inputs for them."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from verifiable.model.program.builder import Builder
from verifiable.model.program.ir import Input, Output, Program
from verifiable.model.program.ops import (
    Combine,
    Concat,
    Conv,
    Dense,
    Maximum,
    Pad,
    Reshape,
    Scale,
    Slice,
    SumPool,
    Transpose,
    sources,
)  # fmt: skip
from verifiable.model.program.tables import clamped

MAX_ROWS = 1 << 14


def random_program(seed: int) -> Program:
    """Three to nine operations over one or two inputs."""
    return _Maker(random.Random(seed)).program()


def programs() -> st.SearchStrategy[Program]:
    return st.integers(0, 2**32 - 1).map(random_program)


def random_inputs(program: Program, seed: int, samples: int | None = None) -> dict[str, np.ndarray]:
    """Inputs that often take their extreme values."""
    rng = np.random.default_rng(seed)
    found = {}
    for entry in program.inputs:
        shape = entry.shape if samples is None else (samples, *entry.shape)
        values = rng.integers(entry.low, entry.high, shape, endpoint=True)
        edges = rng.choice(np.array([entry.low, entry.high]), shape)
        found[entry.name] = np.where(rng.random(shape) < rng.random(), edges, values)
    return found


class _Maker:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.builder = Builder()
        self.np = np.random.default_rng(rng.getrandbits(32))

    def program(self) -> Program:
        for name in ["x", "y"][: self.rng.choice([1, 1, 2])]:
            low = self.rng.choice([0, -128, -7, 3])
            shape = tuple(self.rng.choice([(1, 2, 4, 5), (2, 2, 3, 3), (2, 6), (3, 2, 2)]))
            self.builder.input(
                Input(name=name, dtype="float32", shape=shape, scale=0.5, low=low, high=low + self.rng.choice([1, 255]))
            )
        inputs = len(self.builder.shapes)
        makers: list[Callable[[int], int | None]] = [
            self.dense, self.conv, self.pool, self.combine, self.scale, self.maximum, self.requantise, self.requantise,
            self.transpose, self.reshape, self.concat, self.slice, self.pad,
        ]  # fmt: skip
        while len(self.builder.shapes) < inputs + self.rng.randint(3, 9):
            last = len(self.builder.shapes) - 1
            self.rng.choice(makers)(last if self.rng.random() < 0.7 else self.rng.randrange(last + 1))
        used = {s for op in self.builder.ops for s in sources(op)}
        ends = [t for t in range(len(self.builder.shapes)) if t not in used]
        outputs = [Output(name=f"o{t}", dtype="float32", shape=self.builder.shapes[t], tensor=t, scale=0.25) for t in ends]
        return self.builder.finish(outputs)

    def numbers(self, shape: tuple[int, ...], kind: str, size: int) -> int:
        return self.builder.constant(self.np.integers(-size, size, shape, endpoint=True).astype(kind))

    def fits(self, tensor: int, limit: int = 1 << 40) -> bool:
        low, high = self.builder.range(tensor)
        return max(-low, high) < limit

    def dense(self, x: int) -> int | None:
        outer, inner = self.rng.randint(1, 4), self.builder.shapes[x][-1]
        if not self.fits(x):
            return None
        kind, size = self.rng.choice([("int8", 127), ("int16", 2000), ("int8", 0)])
        return self.builder.add(
            Dense(
                source=x,
                weight=self.numbers((outer, inner), kind, size),
                multiplier=self.multipliers(outer),
                bias=self.biases(outer),
            )
        )

    def multipliers(self, count: int) -> int:
        return self.builder.constant(self.np.integers(-3, 64, count).astype(np.int64) * self.rng.choice([1, 2, 4]))

    def biases(self, count: int) -> int:
        size = self.rng.choice([0, 1, 10**6])
        return self.builder.constant(self.np.integers(-size, size, count, endpoint=True) * 2 + self.rng.choice([0, 1]))

    def window(self, x: int) -> tuple[tuple[int, int], tuple[int, int], tuple[int, ...]] | None:
        shape = self.builder.shapes[x]
        if len(shape) != 4 or not self.fits(x):
            return None
        pads = tuple(self.rng.choice([0, 0, 1, 2]) for _ in range(4))
        room = shape[2] + pads[0] + pads[2], shape[3] + pads[1] + pads[3]
        return (
            (self.rng.randint(1, min(3, room[0])), self.rng.randint(1, min(3, room[1]))),
            (self.rng.randint(1, 3), self.rng.randint(1, 2)),
            pads,
        )

    def conv(self, x: int) -> int | None:
        if (found := self.window(x)) is None:
            return None
        kernel, strides, pads = found
        channels = self.builder.shapes[x][1]
        groups = self.rng.choice([g for g in range(1, channels + 1) if channels % g == 0])
        outer = groups * self.rng.randint(1, 2)
        weight = self.numbers((outer, channels // groups, *kernel), "int8", 127)
        return self.builder.add(
            Conv(
                source=x,
                weight=weight,
                multiplier=self.multipliers(outer),
                bias=self.biases(outer),
                kernel=kernel,
                strides=strides,
                pads=pads,
                groups=groups,
            )
        )

    def pool(self, x: int) -> int | None:
        if (found := self.window(x)) is None:
            return None
        kernel, strides, pads = found
        return self.builder.add(
            SumPool(
                source=x,
                kernel=kernel,
                strides=strides,
                pads=pads,
                multiplier=self.rng.randint(-5, 9),
                bias=self.rng.randint(-9, 9),
            )
        )

    def alike(self, x: int) -> int:
        same = [t for t, shape in enumerate(self.builder.shapes) if shape == self.builder.shapes[x] and self.fits(t)]
        return self.rng.choice(same) if same else x

    def combine(self, x: int) -> int | None:
        tensors = tuple(self.alike(x) for _ in range(self.rng.randint(1, 3)))
        if not self.fits(x):
            return None
        coefficients = tuple(self.rng.choice([1, -1, 2, 30000]) for _ in tensors)
        return self.builder.add(Combine(sources=tensors, coefficients=coefficients, constant=self.rng.randint(-3, 3)))

    def scale(self, x: int) -> int | None:
        if not self.fits(x):
            return None
        shapes = [[d if self.rng.random() < 0.5 else 1 for d in self.builder.shapes[x]] for _ in range(2)]
        tails = [tuple(shape[self.rng.randrange(len(shape)) :]) for shape in shapes]
        m, b = (self.builder.constant(self.np.integers(-99, 99, tail)) for tail in tails)
        return self.builder.add(Scale(source=x, multiplier=m, bias=b))

    def maximum(self, x: int) -> int:
        return self.builder.add(Maximum(left=x, right=self.alike(x)))

    def requantise(self, x: int) -> int | None:
        low, high = self.builder.range(x)
        shift = max((high - low).bit_length() - self.rng.randint(3, 12), 0) if self.rng.random() < 0.8 else 0
        rounded = self.builder.rounded(x, shift)
        rows = rounded[1] - rounded[0] + 1
        if rows > MAX_ROWS:
            return None
        entries = np.rint(np.arange(rounded[0], rounded[1] + 1) * self.rng.choice([1.0, 0.3, -2.0]))
        return self.builder.requantise(x, shift, clamped(entries, rounded, (-128, 127), "table"))

    def transpose(self, x: int) -> int:
        axes = list(range(len(self.builder.shapes[x])))
        self.rng.shuffle(axes)
        return self.builder.add(Transpose(source=x, axes=tuple(axes)))

    def reshape(self, x: int) -> int:
        size = int(np.prod(self.builder.shapes[x]))
        divisors = [d for d in range(1, size + 1) if size % d == 0]
        d = self.rng.choice(divisors)
        return self.builder.add(
            Reshape(source=x, shape=self.rng.choice([(size,), (d, size // d), (1, d, size // d), (d, 1, 1, size // d)]))
        )

    def concat(self, x: int) -> int:
        tensors = (x, self.alike(x)) if self.fits(x) else (x,)
        return self.builder.add(Concat(sources=tensors, axis=self.rng.randrange(len(self.builder.shapes[x]))))

    def slice(self, x: int) -> int:
        shape = self.builder.shapes[x]
        starts = [self.rng.randrange(d) for d in shape]
        steps = [self.rng.randint(1, 3) for _ in shape]
        sizes = [self.rng.randint(1, (d - s - 1) // k + 1) for d, s, k in zip(shape, starts, steps, strict=True)]
        return self.builder.add(Slice(source=x, starts=tuple(starts), steps=tuple(steps), sizes=tuple(sizes)))

    def pad(self, x: int) -> int:
        widths = [tuple(self.rng.choice([0, 0, 1]) for _ in self.builder.shapes[x]) for _ in range(2)]
        return self.builder.add(Pad(source=x, before=widths[0], after=widths[1], value=self.rng.choice([0, -128, 5])))
