# SPDX-License-Identifier: Apache-2.0
"""From an Outline to a Program, step by step in the order of the outline.

A value is held *narrow*, as integers of its grid, or *wide*, as an exact accumulator with a unit. An accumulator is rounded only
where a narrow value is asked for; its unit is chosen such that the rounding is by a power of two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from verifiable.errors import Error
from verifiable.model.guard import shown
from verifiable.model.program.builder import Builder
from verifiable.model.program.ir import Output
from verifiable.model.program.ops import Combine, Conv, Dense, Scale, SumPool
from verifiable.model.program.tables import tabulate
from verifiable.model.quantise import weights
from verifiable.model.quantise.choices import Choices
from verifiable.model.quantise.demand import Demand
from verifiable.model.quantise.functions import Function, identity
from verifiable.model.quantise.grid import Grid
from verifiable.model.quantise.options import Options
from verifiable.model.quantise.pooling import largest
from verifiable.model.quantise.steps import Affine, Average, End, Largest, Linear, Move, Outline, Sum


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A value in the Program: ``tensor`` times ``scale``."""

    tensor: int
    scale: float


@dataclass(slots=True, kw_only=True)
class Emitter:
    """The state of one emission. ``named``: the value behind each operation, for reports."""

    outline: Outline
    demand: Demand
    options: Options
    choices: Choices
    builder: Builder = field(default_factory=Builder)
    narrow: dict[tuple[str, int], Held] = field(default_factory=dict)
    wide: dict[str, Held] = field(default_factory=dict)
    named: dict[int, str] = field(default_factory=dict)

    def emit(self, inputs: Mapping[str, Held]) -> tuple[Output, ...]:
        """Everything that the outline's ends need. Raises UnsupportedError naming the value that cannot be made."""
        bits = self.options.activation_bits
        self.narrow.update({(name, bits): held for name, held in inputs.items()})
        for name in self.outline.steps:
            try:
                if name in self.demand.wide and name not in self.demand.absorbed:
                    self.wide[name] = self._accumulate(name, self._unit(name))
                for value in self.demand.narrow.get(name, ()):
                    self.integers(value)
            except Error as error:
                raise type(error)(f"value {shown(name)}: {error.message}", hint=error.hint) from error
        return tuple(self._output(end) for end in self.outline.ends)

    def integers(self, value: str, bits: int = 0) -> Held:
        """``value`` on its grid; on no grid of its own where it is exact without one."""
        bits = bits or self.options.activation_bits
        if (value, bits) not in self.narrow:
            self.narrow[value, bits] = self._narrowed(value, bits)
        return self.narrow[value, bits]

    def _narrowed(self, value: str, bits: int) -> Held:
        root, function = self.outline.root(value)
        step = self.outline.steps[root]
        if root in self.demand.wide:
            return self._rounded(value, self.wide[root], function or identity, bits)
        if function is not None:
            return self._looked_up(value, self.integers(root), function, self.choices.grid(value, bits))
        if isinstance(step, Average):
            return self._sum_pool(step, self.integers(step.source))
        if isinstance(step, Largest):
            held = self.integers(step.source)
            return Held(tensor=largest(self.builder, step, held.tensor), scale=held.scale)
        assert isinstance(step, Move)
        return self._moved(value, step, [self.integers(source) for source in step.sources])

    def _rounded(self, value: str, held: Held, function: Function, bits: int) -> Held:
        """Round an accumulator, and look the function up."""
        target = self.choices.grid(value, bits)
        shift = self.choices.shift(value, bits, held.scale, lambda by: _rows(self.builder.rounded(held.tensor, by)))
        return self._tabulated(value, held, shift, function, target)

    def _looked_up(self, value: str, held: Held, function: Function, target: Grid) -> Held:
        if function is identity and held.scale == target.scale:
            return held
        return self._tabulated(value, held, 0, function, target)

    def _tabulated(self, value: str, held: Held, shift: int, function: Function, target: Grid) -> Held:
        entries = tabulate(
            function, self.builder.rounded(held.tensor, shift), scale_in=math.ldexp(held.scale, shift), scale_out=target.scale,
            clamp=target.clamp, where=shown(value), max_rows=self.options.max_rows,
        )  # fmt: skip
        tensor = self.builder.requantise(held.tensor, shift, entries)
        self.named[tensor] = value
        return Held(tensor=tensor, scale=target.scale)

    def _sum_pool(self, step: Average, held: Held) -> Held:
        """An average kept as an exact sum."""
        pool = SumPool(
            source=held.tensor, kernel=step.kernel, strides=step.strides, pads=step.pads, multiplier=1, bias=0
        )  # fmt: skip
        return Held(tensor=self.builder.add(pool), scale=held.scale * step.factor)

    def _moved(self, value: str, step: Move, held: list[Held]) -> Held:
        """Elements elsewhere; brought to one scale first where several tensors meet."""
        if len({h.scale for h in held}) > 1:
            target = self.choices.grid(value, self.options.activation_bits)
            pairs = zip(step.sources, held, strict=True)
            held = [self._looked_up(source, h, identity, target) if h.scale != target.scale else h for source, h in pairs]
        tensor = self.builder.add(step.op(tuple(h.tensor for h in held), held[0].scale))
        return Held(tensor=tensor, scale=held[0].scale)

    def _unit(self, name: str) -> float:
        return self.choices.unit(name, lambda unit: self._fineness(name, unit))

    def _fineness(self, name: str, unit: float) -> float:
        step = self.outline.steps[name]
        if isinstance(step, Linear):
            scale = self.integers(step.source).scale
            return weights.integers(step.weight, step.bias, scale=scale, unit=unit, bits=self._bits(step)).fineness
        if isinstance(step, Sum):
            inner = [self._fineness(s, unit) for s in step.sources if s in self.demand.absorbed]
            others = [self.integers(s).scale / unit for s in step.sources if s not in self.demand.absorbed]
            return min([*inner, weights.exactness(np.array(others))])
        assert isinstance(step, Affine | Average)
        return weights.exactness(np.asarray(step.factor) * self.integers(step.source).scale / unit)

    def _bits(self, step: Linear) -> int:
        return 16 if step.weight.size <= self.options.small_layer else self.options.weight_bits

    def _accumulate(self, name: str, unit: float) -> Held:
        step = self.outline.steps[name]
        if isinstance(step, Linear):
            tensor = self._linear(step, unit)
        elif isinstance(step, Sum):
            tensor = self._sum(step, unit)
        elif isinstance(step, Affine):
            held = self.integers(step.source)
            factor = weights.even(np.atleast_1d(step.factor) * (held.scale / unit))
            shift = weights.odd(np.atleast_1d(step.shift) / unit)
            multiplier, bias = self.builder.constant(factor), self.builder.constant(shift)
            tensor = self.builder.add(Scale(source=held.tensor, multiplier=multiplier, bias=bias))
        else:
            assert isinstance(step, Average)
            held = self.integers(step.source)
            multiplier = int(weights.even(np.array(step.factor * held.scale / unit)))
            tensor = self.builder.add(
                SumPool(
                    source=held.tensor, kernel=step.kernel, strides=step.strides, pads=step.pads, multiplier=multiplier, bias=1
                )
            )
        return Held(tensor=tensor, scale=unit)

    def _linear(self, step: Linear, unit: float) -> int:
        held = self.integers(step.source)
        numbers = weights.integers(step.weight, step.bias, scale=held.scale, unit=unit, bits=self._bits(step))
        weight, multiplier, bias = (self.builder.constant(a) for a in (numbers.weight, numbers.multiplier, numbers.bias))
        if step.geometry is None:
            return self.builder.add(Dense(source=held.tensor, weight=weight, multiplier=multiplier, bias=bias))
        kernel, g = step.weight.shape[2:], step.geometry
        conv = Conv(
            source=held.tensor, weight=weight, multiplier=multiplier, bias=bias, kernel=(kernel[0], kernel[1]), strides=g.strides,
            pads=g.pads, groups=g.groups,
        )  # fmt: skip
        return self.builder.add(conv)

    def _sum(self, step: Sum, unit: float) -> int:
        """Absorbed accumulators come in as they are, at this unit; the constant makes the total odd."""
        tensors, coefficients, odd = [], [], 0
        for source, sign in zip(step.sources, step.signs, strict=True):
            if source in self.demand.absorbed:
                tensors.append(self._accumulate(source, unit).tensor)
                coefficients.append(sign)
                odd += 1
            else:
                held = self.integers(source)
                tensors.append(held.tensor)
                coefficients.append(sign * int(weights.even(np.array(held.scale / unit))))
        return self.builder.add(Combine(sources=tuple(tensors), coefficients=tuple(coefficients), constant=1 - odd % 2))

    def _output(self, end: End) -> Output:
        held = self._final(end.value)
        return Output(
            name=end.name, dtype=self.outline.dtypes[end.name], shape=self.outline.shapes[end.name], tensor=held.tensor,
            scale=held.scale, post=end.post, axis=end.axis,
        )  # fmt: skip

    def _final(self, value: str) -> Held:
        """An output's value, as exact as it is held."""
        root, function = self.outline.root(value)
        step = self.outline.steps[root]
        if function is not None:
            return self.integers(value, self.options.output_bits)
        if root in self.demand.wide:
            return self.wide[root]
        if isinstance(step, Move) and root in self.demand.exits:
            held = [self._final(source) for source in step.sources]
            if len({h.scale for h in held}) == 1:
                return Held(tensor=self.builder.add(step.op(tuple(h.tensor for h in held), held[0].scale)), scale=held[0].scale)
            return self._moved(value, step, [self.integers(source) for source in step.sources])
        return self.integers(value)


def _rows(rounded: tuple[int, int]) -> int:
    return rounded[1] - rounded[0] + 1
