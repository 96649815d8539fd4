# SPDX-License-Identifier: Apache-2.0
"""Maxima over windows as maxima of two: first across, then down, which takes the fewest."""

from __future__ import annotations

from functools import reduce

from verifiable.model.program.builder import Builder
from verifiable.model.program.ops import Maximum, Pad, Slice
from verifiable.model.quantise.steps import Largest


def largest(builder: Builder, step: Largest, tensor: int) -> int:
    """The tensor of the maxima; outside of ``tensor`` lies the smallest value that it can have."""
    if any(step.pads):
        top, left, bottom, right = step.pads
        low = builder.range(tensor)[0]
        tensor = builder.add(Pad(source=tensor, before=(0, 0, top, left), after=(0, 0, bottom, right), value=low))
    for axis in (1, 0):
        tensor = _along(builder, step, tensor, axis)
    return tensor


def _along(builder: Builder, step: Largest, tensor: int, axis: int) -> int:
    shape = builder.shapes[tensor]
    extent = (step.kernel[axis] - 1) * step.dilations[axis] + 1
    sizes = list(shape)
    sizes[2 + axis] = (shape[2 + axis] - extent) // step.strides[axis] + 1
    steps = tuple(step.strides[axis] if i == 2 + axis else 1 for i in range(4))
    shifted = []
    for i in range(step.kernel[axis]):
        starts = tuple(i * step.dilations[axis] if k == 2 + axis else 0 for k in range(4))
        shifted.append(builder.add(Slice(source=tensor, starts=starts, steps=steps, sizes=tuple(sizes))))
    return reduce(lambda a, b: builder.add(Maximum(left=a, right=b)), shifted)
