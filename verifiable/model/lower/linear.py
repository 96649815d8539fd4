# SPDX-License-Identifier: Apache-2.0
"""Convolutions and products with quantised weights, as accumulators of exact scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifiable.errors import UnsupportedError
from verifiable.model.lower.states import Accumulator, Channel, Constant, Integers, Narrow
from verifiable.model.program.bounds import Interval, reach
from verifiable.model.program.builder import Builder
from verifiable.model.program.ops import Conv, Dense
from verifiable.model.quantise.steps import Geometry
from verifiable.model.quantise.windows import convolution

# Frameworks store the scale of a bias as a float32, rounded from the product that the standard defines it to be.
_NEAR = Fraction(1, 1 << 22)


def accumulator(  # noqa: PLR0917 - what an ONNX node has
    builder: Builder, op: str, x: Narrow, weight: Constant, bias: Any, attributes: Mapping[str, Any]
) -> Accumulator:
    """``op``: Conv, Gemm or MatMul. ``bias``: a Constant, a plain array or None. Raises UnsupportedError."""
    values, geometry, outer = _layout(op, weight.values, attributes)
    if weight.axis not in (None, outer % weight.values.ndim):
        raise UnsupportedError("its weights have scales along another axis than its output channels")
    alpha, beta = (Fraction(float(attributes.get(name, 1.0))) if op == "Gemm" else Fraction(1) for name in ("alpha", "beta"))
    count = values.shape[0]
    factors = [alpha * x.scale * scale for scale in _each(weight.scales, count)]
    if alpha <= 0:
        raise UnsupportedError("with an alpha that is not positive")
    shifts = [beta * shift for shift in _shifts(bias, factors, count)]
    low, high = builder.range(x.tensor)
    if geometry is not None and any(geometry.pads):
        low, high = min(low, 0), max(high, 0)
    channels = tuple(
        Channel(low=s[0], high=s[1], factor=factor, shift=shift)
        for s, factor, shift in zip(reach(values, (low, high)), factors, shifts, strict=True)
    )
    return Accumulator(channels=channels, emit=_emitter(builder, x.tensor, values, geometry))


def with_bias(state: Accumulator, bias: Any, sign: int, shape: tuple[int, ...]) -> Accumulator:
    """An accumulator plus a constant along its channels, as exporters write MatMul and Add."""
    count = len(state.channels)
    size = bias.values.shape if isinstance(bias, Constant) else np.shape(bias)
    if any(d != 1 for d in size[:-1]) or (size and size[-1] not in (1, count)) or shape[-1] != count:
        raise UnsupportedError("its constant is not one number for each column")
    factors = [channel.factor for channel in state.channels]
    shifts = _shifts(bias, factors, count)
    channels = (replace(c, shift=c.shift + sign * shift) for c, shift in zip(state.channels, shifts, strict=True))
    return replace(state, channels=tuple(channels))


def _layout(op: str, values: Integers, attributes: Mapping[str, Any]) -> tuple[Integers, Geometry | None, int]:
    """Weights with output channels first, and the axis where those were."""
    if op == "Conv":
        step = convolution("", [None, values.astype(np.float64)], attributes)
        return step.weight.astype(np.int64), step.geometry, 0
    if values.ndim != 2 or attributes.get("transA"):
        raise UnsupportedError("its weights are no matrix, or its input is transposed")
    return (values, None, 0) if attributes.get("transB") else (values.T, None, 1)


def _shifts(bias: Any, factors: list[Fraction], count: int) -> list[Fraction]:
    """The bias of each channel as a real number."""
    if bias is None:
        return [Fraction(0)] * count
    if isinstance(bias, Constant):
        numbers = np.broadcast_to(bias.values.reshape(-1), count).tolist()
        scales = _each(bias.scales, count)
        near = all(abs(scale / factor - 1) <= _NEAR for scale, factor in zip(scales, factors, strict=True))
        return [number * scale for number, scale in zip(numbers, factors if near else scales, strict=True)]
    return [Fraction(float(value)) for value in np.broadcast_to(np.ravel(bias), count)]


def _each(scales: tuple[Fraction, ...], count: int) -> tuple[Fraction, ...]:
    if len(scales) not in (1, count):
        raise UnsupportedError(f"{len(scales)} scales for {count} output channels")
    return scales * count if len(scales) == 1 else scales


def _emitter(builder: Builder, source: int, values: Integers, geometry: Geometry | None) -> Any:
    weight = values.astype(_narrowest((int(values.min()), int(values.max()))))

    def emit(multipliers: tuple[int, ...], biases: tuple[int, ...]) -> int:
        numbers = [np.array(n, np.int64) for n in (multipliers, biases)]
        held, multiplier, bias = (builder.constant(array) for array in (_generic(weight), *numbers))
        if geometry is None:
            return builder.add(Dense(source=source, weight=held, multiplier=multiplier, bias=bias))
        conv = Conv(
            source=source, weight=held, multiplier=multiplier, bias=bias, kernel=(weight.shape[2], weight.shape[3]),
            strides=geometry.strides, pads=geometry.pads, groups=geometry.groups,
        )  # fmt: skip
        return builder.add(conv)

    return emit


def _generic(array: Any) -> NDArray[np.generic]:
    return np.asarray(array)


def _narrowest(values: Interval) -> type[np.signedinteger[Any]]:
    for kind in (np.int8, np.int16):
        if np.iinfo(kind).min <= values[0] and values[1] <= np.iinfo(kind).max:
            return kind
    return np.int32
