# SPDX-License-Identifier: Apache-2.0
"""How large the integers of a circuit can get, for every input that it admits: interval arithmetic over the graph.

ezkl proves that certain values are within ±(base^legs - 1) by writing them out in digits: inputs and outputs, the input of each
ReLU, every difference that is compared, every quotient. This module mirrors where it does so and at which scale, for networks of
affine layers, pooling and the common activations; for any other operator it knows nothing and says so. A bound that is too small
would cost completeness (an admissible input without a proof), never soundness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from verifiable.model.defaults import attributes_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from verifiable.model.shapes import Analysis

    Array = NDArray[np.float64]

#: Each operation is done in double precision; this covers what its roundings can hide.
_SLACK = 1 + 2.0**-30
_STRUCTURAL = {"Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity"}


class Unknown(Exception):  # noqa: N818 - never leaves this module
    """An operator whose values are not bounded here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """``decomposed``: the largest magnitude that is written in digits; ``largest``: of any value, in integers.

    ``inexact``: operators that end in quotients, which the prover may round either way. ``scales``: of the outputs, to hold
    against ezkl's own. ``lookup``: the extremes that enter a table function, in integers.
    """

    decomposed: int
    largest: int
    inexact: int
    scales: tuple[int, ...]
    lookup: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Range:
    """Elementwise bounds in the value's own unit; ``scale`` in bits. A weight has equal bounds and ``constant`` True."""

    low: Any
    high: Any
    scale: int
    constant: bool = False


@dataclass(slots=True, kw_only=True)
class _Walk:
    analysis: Analysis
    param_scale: int
    limit: int
    clamp: float | None
    decomposed: float = 1.0
    largest: float = 1.0
    inexact: int = 0
    lookup: tuple[int, int] = (0, 0)
    ranges: dict[str, _Range] = field(default_factory=dict)

    def operand(self, name: str) -> _Range:
        if name in self.ranges:
            return self.ranges[name]
        value = self.analysis.values[name]
        if value.constant is None or not value.dtype.startswith("float"):
            raise Unknown(name)
        quantised = _quantised(value.constant, self.param_scale)
        return _Range(quantised, quantised, self.param_scale, constant=True)

    def raw(self, name: str, scale: int) -> Any:
        """A constant that ezkl quantises at another scale than the weights': a bias."""
        value = self.analysis.values[name]
        if value.constant is None:
            raise Unknown(name)
        return _quantised(value.constant, scale)

    def seen(self, value: _Range) -> _Range:
        self.largest = max(self.largest, _magnitude(value))
        return value

    def digits(self, value: _Range, *, factor: float = 1.0) -> _Range:
        """``value`` is written in digits, or a difference of at most ``factor`` times its magnitude is."""
        import numpy as np

        self.seen(value)
        self.decomposed = max(self.decomposed, factor * _magnitude(value))
        if self.clamp is None:
            return value
        edge = self.clamp * 2.0**-value.scale
        return _Range(np.clip(value.low, -edge, edge), np.clip(value.high, -edge, edge), value.scale)

    def rebase(self, value: _Range) -> _Range:
        """Divide down to the limit, as ezkl does once a product's scale is beyond it; the quotient is off by less than one."""
        self.seen(value)
        if value.scale <= self.limit:
            return value
        divisor = 2.0 ** (value.scale - self.limit)
        return self.quotient(_Range(value.low, value.high, self.limit), divisor)

    def quotient(self, value: _Range, divisor: float) -> _Range:
        self.decomposed = max(self.decomposed, divisor)
        self.inexact += 1
        unit = 2.0**-value.scale
        return self.digits(_Range(value.low - unit, value.high + unit, value.scale))

    def visit(self, node: Any) -> None:
        handler = _HANDLERS.get(node.op_type)
        if handler is None or len(node.output) != 1:
            raise Unknown(node.op_type)
        self.ranges[node.output[0]] = handler(self, node, attributes_of(node))


def bound(
    analysis: Analysis,
    *,
    inputs: Mapping[str, tuple[int, int]],
    input_scales: Mapping[str, int],
    param_scale: int,
    rebase_multiplier: int,
    global_scale: int,
    clamp: int | None = None,
) -> Bounds | str:
    """Bounds for inputs within these integer ranges; or the name of the operator that is not understood.

    With ``clamp``, every value that the circuit writes in digits is taken to be within ±clamp, as the circuit proves.
    """
    import numpy as np

    limit = global_scale * rebase_multiplier
    walk = _Walk(analysis=analysis, param_scale=param_scale, limit=limit, clamp=clamp)
    for name, (low, high) in inputs.items():
        shape, unit = analysis.values[name].shape, 2.0 ** -input_scales[name]
        ends = (np.full(shape, low * unit), np.full(shape, high * unit))
        walk.ranges[name] = walk.digits(_Range(*ends, input_scales[name]))
    try:
        for node in analysis.nodes:
            walk.visit(node)
        for name in analysis.outputs:
            walk.digits(walk.ranges[name])
    except Unknown as unknown:
        return str(unknown)
    if not np.isfinite(walk.largest):
        return "a value beyond all bounds"
    return Bounds(
        decomposed=_ceil(walk.decomposed), largest=_ceil(walk.largest), inexact=walk.inexact,
        scales=tuple(walk.ranges[name].scale for name in analysis.outputs),
        lookup=walk.lookup,
    )  # fmt: skip


def _gemm(walk: _Walk, node: Any, attributes: Mapping[str, Any]) -> _Range:
    if attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0 or attributes.get("transA", 0):
        raise Unknown("Gemm with alpha, beta or transA")
    x, weights = walk.operand(node.input[0]), walk.operand(node.input[1])
    if x.constant or not weights.constant:
        raise Unknown("Gemm of two computed values")
    matrix = weights.low.T if attributes.get("transB", 0) else weights.low
    product = walk.rebase(_affine(x, matrix, weights.scale, lambda a, w: a @ w))
    return _plus(walk, product, node.input[2]) if len(node.input) > 2 and node.input[2] else product


def _matmul(walk: _Walk, node: Any, _attributes: Mapping[str, Any]) -> _Range:
    a, b = (walk.operand(name) for name in node.input)
    if a.constant == b.constant:
        raise Unknown("MatMul of two computed values")
    if b.constant:
        return walk.rebase(_affine(a, b.low, b.scale, lambda x, w: x @ w))
    return walk.rebase(_affine(b, a.low, a.scale, lambda x, w: w @ x))


def _conv(walk: _Walk, node: Any, attributes: Mapping[str, Any]) -> _Range:
    x, weights = walk.operand(node.input[0]), walk.operand(node.input[1])
    if x.constant or not weights.constant or weights.low.ndim != 4 or set(attributes["dilations"]) != {1}:
        raise Unknown("Conv other than plain, of two dimensions")
    result = _affine(x, weights.low, weights.scale, lambda a, w: _convolve(a, w, attributes))
    if len(node.input) > 2 and node.input[2]:
        bias = walk.raw(node.input[2], result.scale)[None, :, None, None]
        result = _Range(result.low + bias, result.high + bias, result.scale)
    return walk.rebase(result)


def _relu(walk: _Walk, node: Any, _attributes: Mapping[str, Any]) -> _Range:
    import numpy as np

    x = walk.digits(walk.operand(node.input[0]))
    return _Range(np.maximum(x.low, 0), np.maximum(x.high, 0), x.scale)


def _leaky_relu(walk: _Walk, node: Any, attributes: Mapping[str, Any]) -> _Range:
    import numpy as np

    x = walk.digits(walk.operand(node.input[0]))
    slope = float(_quantised(np.float64(attributes.get("alpha", 0.01)), walk.param_scale))
    if not 0 <= slope <= 1:
        raise Unknown("LeakyRelu with a slope outside [0, 1]")
    low, high = (np.where(side > 0, side, slope * side) for side in (x.low, x.high))
    return walk.rebase(_Range(low, high, x.scale + walk.param_scale))


def _squash(walk: _Walk, node: Any, _attributes: Mapping[str, Any]) -> _Range:
    """A table function with values within [-1, 1]."""
    import numpy as np

    x = walk.seen(walk.operand(node.input[0]))
    low, high = (float(side) * 2.0**x.scale for side in (x.low.min(), x.high.max()))
    if not np.isfinite(low) or not np.isfinite(high):
        raise Unknown(node.op_type)
    walk.lookup = (min(walk.lookup[0], -_ceil(-low)), max(walk.lookup[1], _ceil(high)))
    return _Range(np.full(x.low.shape, -1.0), np.full(x.low.shape, 1.0), x.scale)


def _add(walk: _Walk, node: Any, _attributes: Mapping[str, Any]) -> _Range:
    a, b = (walk.operand(name) for name in node.input)
    if a.constant:
        return _plus(walk, b, node.input[0])
    if b.constant:
        return _plus(walk, a, node.input[1])
    return walk.seen(_Range(a.low + b.low, a.high + b.high, max(a.scale, b.scale)))


def _sub(walk: _Walk, node: Any, _attributes: Mapping[str, Any]) -> _Range:
    a, b = (walk.operand(name) for name in node.input)
    scale = max(a.scale, b.scale)
    a = _again(walk, node.input[0], a, scale)
    b = _again(walk, node.input[1], b, scale)
    return walk.seen(_Range(a.low - b.high, a.high - b.low, scale))


def _mul(walk: _Walk, node: Any, _attributes: Mapping[str, Any]) -> _Range:
    import numpy as np

    a, b = (walk.operand(name) for name in node.input)
    if a.constant and b.constant:
        raise Unknown("Mul of two weights")
    corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    product = _Range(np.minimum.reduce(corners), np.maximum.reduce(corners), a.scale + b.scale)
    return walk.rebase(product)


def _neg(walk: _Walk, node: Any, _attributes: Mapping[str, Any]) -> _Range:
    x = walk.operand(node.input[0])
    return _Range(-x.high, -x.low, x.scale)


def _average_pool(walk: _Walk, node: Any, attributes: Mapping[str, Any]) -> _Range:
    x = walk.operand(node.input[0])
    low, high = (_windows(side, attributes).mean(axis=(-2, -1)) for side in (x.low, x.high))
    count = float(attributes["kernel_shape"][0] * attributes["kernel_shape"][1])
    walk.largest = max(walk.largest, count * _magnitude(x))
    return walk.quotient(_Range(low, high, x.scale), count)


def _max_pool(walk: _Walk, node: Any, attributes: Mapping[str, Any]) -> _Range:
    x = walk.operand(node.input[0])
    low, high = (_windows(side, attributes).max(axis=(-2, -1)) for side in (x.low, x.high))
    walk.digits(x, factor=2.0)
    return _Range(low, high, x.scale)


def _structural(walk: _Walk, node: Any, _attributes: Mapping[str, Any]) -> _Range:
    x, shape = walk.operand(node.input[0]), walk.analysis.values[node.output[0]].shape
    return _Range(x.low.reshape(shape), x.high.reshape(shape), x.scale, x.constant)


def _transpose(walk: _Walk, node: Any, attributes: Mapping[str, Any]) -> _Range:
    x, order = walk.operand(node.input[0]), attributes.get("perm")
    return _Range(x.low.transpose(order), x.high.transpose(order), x.scale, x.constant)


_HANDLERS: Mapping[str, Callable[[_Walk, Any, Mapping[str, Any]], _Range]] = {
    "Gemm": _gemm, "MatMul": _matmul, "Conv": _conv, "Relu": _relu, "Add": _add, "Sub": _sub, "Mul": _mul, "Neg": _neg,
    "LeakyRelu": _leaky_relu, "Sigmoid": _squash, "Tanh": _squash, "Erf": _squash,
    "AveragePool": _average_pool, "MaxPool": _max_pool, "Transpose": _transpose, **dict.fromkeys(_STRUCTURAL, _structural),
}  # fmt: skip


def _plus(walk: _Walk, x: _Range, name: str) -> _Range:
    """Add a weight; used once, it is quantised at the scale of what it is added to."""
    scale = max(x.scale, walk.param_scale)
    bias = walk.raw(name, scale)
    return walk.seen(_Range(x.low + bias, x.high + bias, scale))


def _again(walk: _Walk, name: str, x: _Range, scale: int) -> _Range:
    if not x.constant:
        return x
    value = walk.raw(name, scale)
    return _Range(value, value, scale)


def _affine(x: _Range, weights: Array, scale: int, apply: Callable[[Any, Any], Any]) -> _Range:
    """Centre and radius: the image of a box under a linear map is exactly centre ± |weights| radius, elementwise."""
    import numpy as np

    centre, radius = (x.low + x.high) / 2, (x.high - x.low) / 2
    middle, spread = apply(centre, weights), apply(radius, np.abs(weights)) * _SLACK
    return _Range(middle - spread, middle + spread, x.scale + scale)


def _convolve(x: Array, weights: Array, attributes: Mapping[str, Any]) -> Any:
    import numpy as np

    top, left, bottom, right = attributes["pads"]
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = _strided(padded, weights.shape[2:], attributes["strides"])
    groups = int(attributes.get("group", 1))
    parts = [
        np.einsum("nchwij,ocij->nohw", part, kernel, optimize=True)
        for part, kernel in zip(np.split(windows, groups, axis=1), np.split(weights, groups, axis=0), strict=True)
    ]
    return np.concatenate(parts, axis=1)


def _windows(x: Array, attributes: Mapping[str, Any]) -> Any:
    kernel = attributes["kernel_shape"]
    plain = x.ndim == 4 and len(kernel) == 2 and not any(attributes.get("pads", ())) and not attributes.get("ceil_mode", 0)
    if not plain or set(attributes.get("dilations", [1])) != {1}:
        raise Unknown("pooling with padding, dilation or other than two dimensions")
    return _strided(x, kernel, attributes["strides"])


def _strided(x: Array, kernel: Any, strides: Any) -> Any:
    import numpy as np

    windows = np.lib.stride_tricks.sliding_window_view(x, tuple(kernel), axis=(2, 3))
    return windows[:, :, :: strides[0], :: strides[1]]


def _quantised(weights: Any, scale: int) -> Any:
    import numpy as np

    scaled = weights.astype(np.float64) * 2.0**scale
    return np.copysign(np.floor(np.abs(scaled) + 0.5), scaled) * 2.0**-scale


def _magnitude(value: _Range) -> float:
    import numpy as np

    return float(max(np.abs(value.low).max(initial=0), np.abs(value.high).max(initial=0))) * 2.0**value.scale


def _ceil(value: float) -> int:
    return int(value * _SLACK) + 2
