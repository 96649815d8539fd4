# SPDX-License-Identifier: Apache-2.0
"""Convolutions and pooling: one axis is treated as two, dilated kernels are spread, averages are sums times a factor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from verifiable.errors import UnsupportedError
from verifiable.model.program.ops import Reshape, Shape
from verifiable.model.quantise.steps import Affine, Average, Floats, Geometry, Largest, Linear, Move, Step

Shapes = tuple[Shape, Shape]
Pair = tuple[int, int]
Maker = Callable[[str, str, Mapping[str, Any], Shapes], dict[str, Step]]


def convolution(source: str, arrays: list[Any], attributes: Mapping[str, Any]) -> Linear:
    """Two axes only; a dilated kernel becomes a larger one with zeros between."""
    weight = arrays[1]
    if weight.ndim != 4:
        raise UnsupportedError(f"of {weight.ndim - 2} dimensions", hint="use two, of size 1 where needed")
    top, left, bottom, right = attributes["pads"]
    bias = np.zeros(weight.shape[0]) if len(arrays) < 3 or arrays[2] is None else arrays[2]
    geometry = Geometry(strides=_two(attributes["strides"]), pads=(top, left, bottom, right), groups=attributes["group"])
    return Linear(source=source, weight=_spread(weight, attributes["dilations"]), bias=bias, geometry=geometry)


def _spread(weight: Floats, dilations: list[int]) -> Floats:
    if list(dilations) == [1, 1]:
        return weight
    sizes = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    result = np.zeros((*weight.shape[:2], *sizes))
    result[:, :, :: dilations[0], :: dilations[1]] = weight
    return result


def _average(out: str, source: str, attributes: Mapping[str, Any], shapes: Shapes) -> dict[str, Step]:
    kernel, strides, pads = _geometry(attributes, shapes)
    if any(d != 1 for d in attributes.get("dilations", [1])):
        raise UnsupportedError("with dilations")
    area = kernel[0] * kernel[1]
    divisors = _divisors(attributes, kernel, strides, pads, shapes)
    if bool((divisors == area).all()):
        return {out: Average(source=source, kernel=kernel, strides=strides, pads=pads, factor=1 / area)}
    inner = f"{out}\0sum"
    return {
        inner: Average(source=source, kernel=kernel, strides=strides, pads=pads, factor=1.0),
        out: Affine(source=inner, factor=1 / divisors, shift=np.zeros(1)),
    }


def _divisors(attributes: Mapping[str, Any], kernel: Shape, strides: Shape, pads: Shape, shapes: Shapes) -> Floats:
    """[oh, ow]: how many elements each window counts (AveragePool: count_include_pad, ceil_mode)."""
    given = attributes["pads"]
    counts = []
    for axis in (0, 1):
        size = shapes[0][2 + axis]
        inside = np.zeros(pads[axis] + size + pads[2 + axis])
        padded = attributes.get("count_include_pad", 0)
        inside[(pads[axis] - given[axis] if padded else pads[axis]) : pads[axis] + size + (given[2 + axis] if padded else 0)] = 1
        starts = range(0, shapes[1][2 + axis] * strides[axis], strides[axis])
        counts.append(np.array([inside[start : start + kernel[axis]].sum() for start in starts]))
    return np.outer(counts[0], counts[1])


def _global_average(out: str, source: str, _: Mapping[str, Any], shapes: Shapes) -> dict[str, Step]:
    kernel = _two(shapes[0][2:])
    return {out: Average(source=source, kernel=kernel, strides=(1, 1), pads=(0, 0, 0, 0), factor=1 / math.prod(kernel))}


def _mean(out: str, source: str, attributes: Mapping[str, Any], shapes: Shapes) -> dict[str, Step]:
    """ReduceMean over the last two of four axes, as frameworks export global pooling."""
    rank = len(shapes[0])
    axes = sorted(a % rank for a in attributes.get("axes", []))
    if rank != 4 or axes != [2, 3]:
        raise UnsupportedError(f"over axes {axes} of {rank}", hint="only over the last two of four axes")
    pooled = f"{out}\0mean"
    average = _global_average(pooled, source, attributes, shapes)[pooled]
    return {pooled: average, out: Move(sources=(pooled,), op=lambda t, _: Reshape(source=t[0], shape=shapes[1]))}


def _largest(out: str, source: str, attributes: Mapping[str, Any], shapes: Shapes) -> dict[str, Step]:
    kernel, strides, pads = _geometry(attributes, shapes)
    dilations = _two(attributes.get("dilations", [1, 1]))
    return {out: Largest(source=source, kernel=kernel, strides=strides, dilations=dilations, pads=pads)}


def _global_largest(out: str, source: str, _: Mapping[str, Any], shapes: Shapes) -> dict[str, Step]:
    kernel = _two(shapes[0][2:])
    return {out: Largest(source=source, kernel=kernel, strides=(1, 1), dilations=(1, 1), pads=(0, 0, 0, 0))}


def _geometry(
    attributes: Mapping[str, Any], shapes: Shapes
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
    """Kernel, strides and pads; the pads at the end such that exactly the windows of the result fit (ceil_mode)."""
    kernel, strides = _two(attributes["kernel_shape"]), _two(attributes["strides"])
    dilations, begins = attributes.get("dilations", [1, 1]), attributes["pads"][:2]
    ends = []
    for i in (0, 1):
        if (shapes[1][2 + i] - 1) * strides[i] >= shapes[0][2 + i] + begins[i]:
            raise UnsupportedError("its last window lies outside of its input", hint="export it with ceil_mode=0")
        extent = (shapes[1][2 + i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1
        ends.append(max(extent - shapes[0][2 + i] - begins[i], 0))
    return kernel, strides, (begins[0], begins[1], ends[0], ends[1])


def _two(values: Any) -> Pair:
    if len(values) != 2:
        raise UnsupportedError(f"of {len(values)} dimensions", hint="use two, of size 1 where needed")
    return int(values[0]), int(values[1])


#: operator -> the steps it becomes
STEPS: Mapping[str, Maker] = {
    "AveragePool": _average, "GlobalAveragePool": _global_average, "ReduceMean": _mean, "MaxPool": _largest,
    "GlobalMaxPool": _global_largest,
}  # fmt: skip
