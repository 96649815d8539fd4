# SPDX-License-Identifier: Apache-2.0
"""Between a model's values and a Program's integers: inputs on the way in, outputs on the way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifiable.errors import MalformedError
from verifiable.model.guard import shown
from verifiable.model.program.ir import Input, Output, Program

Arrays = Mapping[str, NDArray[np.generic]]


def quantise_inputs(program: Program, values: Arrays) -> tuple[dict[str, NDArray[np.int64]], int]:
    """The integers of each input, clamped to its range, and how many were clamped. One more leading axis is let through.

    ``value / scale`` in double precision, rounded with halves away from zero: a circuit's rule for its inputs, which however
    refuses what this clamps. Raises MalformedError for what is missing or no number.
    """
    integers, clamped = {}, 0
    for entry in program.inputs:
        if entry.name not in values:
            raise MalformedError(f"input {shown(entry.name)} is missing")
        integers[entry.name], outside = _quantised(entry, np.asarray(values[entry.name]))
        clamped += outside
    return integers, clamped


def _quantised(entry: Input, value: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = value.astype(np.float64) / entry.scale
        whole = np.trunc(scaled)
        # Adding a half first would round 0.49999999999999994 up; this difference is exact.
        rounded = whole + np.copysign(np.abs(scaled - whole) >= 0.5, scaled)
    if np.isnan(rounded).any():
        raise MalformedError(f"input {shown(entry.name)}: a value is no number")
    outside = np.count_nonzero((rounded < entry.low) | (rounded > entry.high))
    return np.clip(rounded, entry.low, entry.high).astype(np.int64), int(outside)


def output_values(program: Program, integers: Arrays, *, samples: bool = False) -> dict[str, NDArray[np.generic]]:
    """The model's outputs, in its dtypes: integers times scale, then what is done after the proof.

    ``samples``: the integers have one more leading axis.
    """
    return {output.name: _value(output, np.asarray(integers[output.name]), int(samples)) for output in program.outputs}


def _value(output: Output, integers: NDArray[Any], leading: int) -> NDArray[np.generic]:
    value = value_of(
        integers, scale=output.scale, post=output.post, axis=output.axis + leading,
        shape=(*integers.shape[:leading], *output.shape),
    )  # fmt: skip
    return np.asarray(value, output.dtype)


def value_of(
    integers: NDArray[Any], *, scale: float, post: str, axis: int, shape: tuple[int, ...]
) -> NDArray[np.float64] | NDArray[np.int64]:
    """What exact integers say: scaled, then ``post`` along ``axis``, which gives ``shape``. In double precision."""
    if post == "argmax":  # of the exact integers, so that equal ones are seen to be equal
        return np.asarray(integers.argmax(axis=axis).reshape(shape), np.int64)
    value = integers.astype(np.float64) * scale
    if post in ("softmax", "logsoftmax"):
        shifted = value - value.max(axis=axis, keepdims=True)
        logarithm = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
        value = logarithm if post == "logsoftmax" else np.exp(logarithm)
    return np.asarray(value, np.float64)
