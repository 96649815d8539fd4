# SPDX-License-Identifier: Apache-2.0
"""Scales, zero points and other constants of a quantised model, as exact numbers."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import onnx

from verifiable.errors import UnsupportedError
from verifiable.model.defaults import attributes_of
from verifiable.model.guard import shown
from verifiable.model.lower.states import HINT, Clip, Constant, Grid
from verifiable.model.shapes import Analysis

_DTYPES = ("int8", "uint8", "int16", "uint16")
# Codes of TensorProto.DataType.
_CODES = {2: "uint8", 3: "int8", 4: "uint16", 5: "int16"}
# What a float32 model writes for "no limit".
_NO_LIMIT = 1e30


def number(analysis: Analysis, name: str) -> Any:
    """The constant of this name. Raises UnsupportedError if there is none."""
    value = analysis.values.get(name)
    if value is None or value.constant is None:
        raise UnsupportedError(f"{shown(name)} is not constant", hint=HINT)
    return value.constant


def scales(analysis: Analysis, name: str) -> tuple[Fraction, ...]:
    """Positive and finite, as the fractions that the floats are."""
    values = np.ravel(number(analysis, name)).astype(np.float64)
    if not (np.isfinite(values) & (values > 0)).all():
        raise UnsupportedError(f"scale {shown(name)} is not positive and finite")
    return tuple(Fraction(float(value)) for value in values)


def zeros(analysis: Analysis, node: onnx.NodeProto, at: int) -> Any:
    """The zero points at an optional input, or None."""
    return number(analysis, node.input[at]) if len(node.input) > at and node.input[at] else None


def grid(analysis: Analysis, node: onnx.NodeProto) -> Grid:
    """What a QuantizeLinear rounds to."""
    attributes = attributes_of(node)
    if attributes.get("block_size"):
        raise UnsupportedError("with blocks of scales")
    default = _CODES.get(attributes.get("output_dtype", 0) or 2, "")
    return grid_of(analysis, node.input[1], zeros(analysis, node, 2), default)


def grid_of(analysis: Analysis, scale: str, zero: Any, default: str = "uint8") -> Grid:
    """One scale and an optional zero point, whose dtype is the grid's."""
    found = scales(analysis, scale)
    dtype = default if zero is None else np.asarray(zero).dtype.name
    if len(found) != 1 or dtype not in _DTYPES:
        raise UnsupportedError(f"activations of {dtype} with {len(found)} scales", hint="use one scale, and 8 or 16 bits")
    return Grid(scale=found[0], zero=0 if zero is None else int(np.ravel(zero)[0]), dtype=dtype)


def constant(values: Any, found: tuple[Fraction, ...], zero: Any, axis: int) -> Constant:
    """A dequantised constant; ``axis`` counts where there are several scales."""
    array = np.asarray(values).astype(np.int64)
    if len(found) == 1:
        return Constant(values=array - zero[0], scales=found, axis=None)
    axis %= array.ndim
    shape = tuple(-1 if i == axis else 1 for i in range(array.ndim))
    return Constant(values=array - np.broadcast_to(zero, len(found)).reshape(shape), scales=found, axis=axis)


def limits(analysis: Analysis, node: onnx.NodeProto) -> Clip:
    """Of a Relu or a Clip."""
    if node.op_type == "Relu":
        return Clip(low=Fraction(0))
    given = [float(np.ravel(number(analysis, name))[0]) if name else math.nan for name in [*node.input[1:3], "", ""][:2]]
    return Clip(low=_finite(given[0]), high=_finite(given[1]))


def _finite(limit: float) -> Fraction | None:
    return Fraction(limit) if math.isfinite(limit) and abs(limit) < _NO_LIMIT else None
