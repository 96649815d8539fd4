# SPDX-License-Identifier: Apache-2.0
"""A float model as the quantiser sees it: each value is made by one of a few kinds of steps.

Whatever is a function of one tensor alone, element by element, is composed into a single function of it: it becomes one table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from verifiable.model.program.ops import Op, Shape
from verifiable.model.quantise.functions import Function

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An input of the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elementwise:
    """``function(root)``, element by element; ``root`` is no Elementwise itself."""

    root: str
    function: Function


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Of a two-dimensional convolution."""

    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    groups: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """``weight · source + bias``: a convolution (weight [O, C/groups, kv, kh]) with a geometry, dense (weight [O, K]) without."""

    source: str
    weight: Floats = field(repr=False)
    bias: Floats = field(repr=False)
    geometry: Geometry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Affine:
    """``factor ⊙ source + shift``, both arrays that broadcast to the source."""

    source: str
    factor: Floats = field(repr=False)
    shift: Floats = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """``Σ signs[i] · sources[i]`` of tensors of one shape."""

    sources: tuple[str, ...]
    signs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """``factor · (sum over windows)``, zeros outside."""

    source: str
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Largest:
    """The maximum over windows; what lies outside is never the largest. ``dilations`` between a window's elements."""

    source: str
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Elements of the sources elsewhere: ``op(tensors, scale)`` gives the operation."""

    sources: tuple[str, ...]
    op: Callable[[tuple[int, ...], float], Op]
    constant: float | None = None


Step = Source | Elementwise | Linear | Affine | Sum | Average | Largest | Move


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """An output of the model: ``post`` along ``axis`` of ``value``."""

    name: str
    value: str
    post: str = "none"
    axis: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """``steps`` in the order they run, by the value each makes; ``shapes`` and ``dtypes`` of values, outputs included."""

    steps: Mapping[str, Step]
    ends: tuple[End, ...]
    shapes: Mapping[str, Shape]
    dtypes: Mapping[str, str]

    def root(self, value: str) -> tuple[str, Function | None]:
        """The tensor that ``value`` is a function of, and the function; None for the tensor itself."""
        step = self.steps[value]
        return (step.root, step.function) if isinstance(step, Elementwise) else (value, None)


def reads(step: Step) -> tuple[str, ...]:
    """The values that a step needs as tensors."""
    if isinstance(step, Source):
        return ()
    if isinstance(step, Elementwise):
        return (step.root,)
    return step.sources if isinstance(step, Sum | Move) else (step.source,)


def users(outline: Outline) -> dict[str, list[str | End]]:
    """By value: the names of the steps that read it, and the ends that show it."""
    found: dict[str, list[str | End]] = {name: [] for name in outline.steps}
    for name, step in outline.steps.items():
        for source in reads(step):
            found[source].append(name)
    for end in outline.ends:
        found[end.value].append(end)
    return found
