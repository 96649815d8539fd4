# SPDX-License-Identifier: Apache-2.0
"""One rule per operator: the bounds, the scale and the drift of its result, as ezkl lays it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from verifiable.zk.ezkl.ranges import SLACK, Outside, Range, Unknown, Walk, quantised
from verifiable.zk.ezkl.tables import TABLES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: ``rule(walk, node, attributes)``: the range of the node's result. Raises Unknown, Outside.
Rule = Callable[[Walk, Any, Mapping[str, Any]], Range]
_STRUCTURAL = ("Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity")
#: Exponentials beyond this are beyond any digits; the walk goes no further.
_MOST = 2.0**62


def _gemm(walk: Walk, node: Any, attributes: Mapping[str, Any]) -> Range:
    if attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0 or attributes.get("transA", 0):
        raise Unknown("Gemm with alpha, beta or transA")
    x, weights = walk.operand(node.input[0]), walk.operand(node.input[1])
    if x.constant or not weights.constant:
        raise Unknown("Gemm of two computed values")
    matrix = weights.low.T if attributes.get("transB", 0) else weights.low
    product = walk.rebase(_affine(x, matrix, weights.scale, lambda a, w: a @ w))
    return _plus(walk, product, node.input[2]) if len(node.input) > 2 and node.input[2] else product


def _matmul(walk: Walk, node: Any, _attributes: Mapping[str, Any]) -> Range:
    a, b = (walk.operand(name) for name in node.input)
    if a.constant == b.constant:
        raise Unknown("MatMul of two computed values")
    if b.constant:
        return walk.rebase(_affine(a, b.low, b.scale, lambda x, w: x @ w))
    return walk.rebase(_affine(b, a.low, a.scale, lambda x, w: w @ x))


def _conv(walk: Walk, node: Any, attributes: Mapping[str, Any]) -> Range:
    x, weights = walk.operand(node.input[0]), walk.operand(node.input[1])
    if x.constant or not weights.constant or weights.low.ndim != 4 or set(attributes["dilations"]) != {1}:
        raise Unknown("Conv other than plain, of two dimensions")
    result = _affine(x, weights.low, weights.scale, lambda a, w: _convolve(a, w, attributes))
    if len(node.input) > 2 and node.input[2]:
        bias = walk.raw(node.input[2], result.scale)[None, :, None, None]
        result = replace(result, low=result.low + bias, high=result.high + bias)
    return walk.rebase(result)


def _relu(walk: Walk, node: Any, _attributes: Mapping[str, Any]) -> Range:
    import numpy as np

    x = walk.digits(walk.operand(node.input[0]))
    return replace(x, low=np.maximum(x.low, 0), high=np.maximum(x.high, 0))


def _leaky_relu(walk: Walk, node: Any, attributes: Mapping[str, Any]) -> Range:
    import numpy as np

    x = walk.digits(walk.operand(node.input[0]))
    slope = float(quantised(np.float64(attributes.get("alpha", 0.01)), walk.param_scale))
    if not 0 <= slope <= 1:
        raise Unknown("LeakyRelu with a slope outside [0, 1]")
    low, high = (np.where(side > 0, side, slope * side) for side in (x.low, x.high))
    return walk.rebase(replace(x, low=low, high=high, scale=x.scale + walk.param_scale))


def _table(walk: Walk, node: Any, _attributes: Mapping[str, Any]) -> Range:
    return look_up(walk, node.op_type, walk.computed(node.input[0]))


def look_up(walk: Walk, kind: str, x: Range) -> Range:
    """A table is exact on integers and rounds its values: moved by s, at most slope * s and a unit."""
    import numpy as np

    table = TABLES[kind]
    low, high = walk.looked_up(x)
    least, most = float(np.min(low)), float(np.max(high))
    if not table.defined(least, most, x.unit):
        raise Outside(f"{walk.node}: its argument can be anything in [{least:.4g}, {most:.4g}], {kind} is not defined there")
    bottom, top = table.image(low, high)
    if not max(abs(float(np.min(bottom))), abs(float(np.max(top)))) < _MOST:
        raise Unknown(f"{walk.node} of {most:.4g}")
    drift: Any = 0.0
    if x.drifts:
        steep = np.minimum(table.slope(low, high) * np.maximum(x.moved, x.unit), top - bottom)
        drift = np.where(x.moved > 0, steep * SLACK + x.unit, 0.0)
    return walk.seen(replace(x, low=bottom - x.unit, high=top + x.unit, drift=drift))


def _softplus(walk: Walk, node: Any, _attributes: Mapping[str, Any]) -> Range:
    import numpy as np

    grown = look_up(walk, "Exp", walk.computed(node.input[0]))
    one = float(quantised(1.0, grown.scale))
    least = np.maximum(grown.low, 0) + one  # a table of exponentials holds nothing below 0
    return look_up(walk, "Log", walk.seen(replace(grown, low=np.maximum(least, one + grown.drift), high=grown.high + one)))


def _softmax(walk: Walk, node: Any, attributes: Mapping[str, Any]) -> Range:
    """exp(x - max) by a table, times the reciprocal of its sum: at most 1, and what the reciprocal's rounding adds.

    The derivatives of one share sum up to 2 p (1 - p) <= 1/2 in magnitude. Computed, a share is off by half a unit of the
    reciprocal and, since the sum is at least 1, by half a unit of the table for itself and for each term of the sum.
    """
    import numpy as np

    x = walk.digits(walk.computed(node.input[0]), factor=2.0)
    walk.unsure = walk.unsure or node.op_type
    axis = attributes.get("axis", -1)
    top = np.max(x.high, axis=axis, keepdims=True)
    walk.looked_up(replace(x, low=np.minimum(x.low - top, 0.0), high=np.zeros(x.low.shape)))
    scale, count = max(x.scale, walk.full), x.low.shape[axis]
    unit, most = 2.0**-scale, 1 + count * 2.0**-scale
    moved = np.broadcast_to(np.max(x.moved, axis=axis, keepdims=True), x.low.shape)
    drift = np.minimum(moved / 2 * SLACK + (count + 1) * x.unit + unit, most)
    zeros = np.zeros(x.low.shape)
    result = Range(low=zeros, high=zeros + most, scale=x.scale + scale, drift=np.where(moved > 0, drift, zeros))
    return walk.rebase(result)


def _reciprocal(walk: Walk, node: Any, _attributes: Mapping[str, Any]) -> Range:
    """ezkl gives 1/0 a value of its own, which is not ONNX's."""
    import numpy as np

    x = walk.computed(node.input[0])
    walk.unsure = walk.unsure or node.op_type
    low, high = x.reachable()
    least = np.where(low > 0, low, -high)
    if not np.all(least >= x.unit):
        raise Outside(f"{walk.node}: its argument can be 0, or either side of it")
    scale = max(x.scale, walk.full)
    unit = 2.0**-scale
    drift = np.where(x.moved > 0, x.moved / least**2 * SLACK + unit, 0.0)
    return walk.seen(Range(low=1 / high - unit, high=1 / low + unit, scale=scale, drift=drift))


def _add(walk: Walk, node: Any, _attributes: Mapping[str, Any]) -> Range:
    a, b = (walk.operand(name) for name in node.input)
    if a.constant:
        return _plus(walk, b, node.input[0])
    if b.constant:
        return _plus(walk, a, node.input[1])
    scale = max(a.scale, b.scale)
    return walk.seen(Range(low=a.low + b.low, high=a.high + b.high, scale=scale, drift=a.moved + b.moved))


def _sub(walk: Walk, node: Any, _attributes: Mapping[str, Any]) -> Range:
    a, b = (walk.operand(name) for name in node.input)
    scale = max(a.scale, b.scale)
    a, b = _again(walk, node.input[0], a, scale), _again(walk, node.input[1], b, scale)
    return walk.seen(Range(low=a.low - b.high, high=a.high - b.low, scale=scale, drift=a.moved + b.moved))


def _mul(walk: Walk, node: Any, _attributes: Mapping[str, Any]) -> Range:
    import numpy as np

    a, b = (walk.operand(name) for name in node.input)
    if a.constant and b.constant:
        raise Unknown("Mul of two weights")
    corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    sizes = [np.maximum(np.abs(side.low), np.abs(side.high)) for side in (a, b)]
    drift = sizes[0] * b.moved + sizes[1] * a.moved + a.moved * b.moved
    low, high = np.minimum.reduce(corners), np.maximum.reduce(corners)
    return walk.rebase(Range(low=low, high=high, scale=a.scale + b.scale, drift=drift * SLACK))


def _neg(walk: Walk, node: Any, _attributes: Mapping[str, Any]) -> Range:
    x = walk.computed(node.input[0])
    return replace(x, low=-x.high, high=-x.low)


def _abs(walk: Walk, node: Any, _attributes: Mapping[str, Any]) -> Range:
    import numpy as np

    x = walk.digits(walk.computed(node.input[0]))
    low = np.maximum(np.maximum(x.low, -x.high), 0.0)
    return replace(x, low=low, high=np.maximum(np.abs(x.low), np.abs(x.high)))


def _extreme(walk: Walk, node: Any, _attributes: Mapping[str, Any]) -> Range:
    """Max and Min of two: by the sign of their difference."""
    if len(node.input) != 2:
        raise Unknown(f"{node.op_type} of {len(node.input)} values")
    a, b = (walk.operand(name) for name in node.input)
    scale = max(a.scale, b.scale)
    return _larger(walk, node.op_type, _again(walk, node.input[0], a, scale), _again(walk, node.input[1], b, scale), scale)


def _larger(walk: Walk, kind: str, a: Range, b: Range, scale: int) -> Range:
    import numpy as np

    choose = np.maximum if kind == "Max" else np.minimum
    walk.digits(Range(low=a.low - b.high, high=a.high - b.low, scale=scale))
    drift = np.maximum(a.moved, b.moved)
    return walk.seen(Range(low=choose(a.low, b.low), high=choose(a.high, b.high), scale=scale, drift=drift))


def _clip(walk: Walk, node: Any, _attributes: Mapping[str, Any]) -> Range:
    x = walk.computed(node.input[0])
    for kind, name in zip(("Max", "Min"), node.input[1:], strict=False):
        if name:
            scale = max(x.scale, walk.param_scale)
            end = walk.raw(name, scale)
            x = _larger(walk, kind, replace(x, scale=scale), Range(low=end, high=end, scale=scale, constant=True), scale)
    return x


def _power(walk: Walk, node: Any, _attributes: Mapping[str, Any]) -> Range:
    import numpy as np

    x, value = walk.computed(node.input[0]), walk.analysis.values[node.input[1]].constant
    if value is None or value.size != 1 or not 1 <= (exponent := float(value.ravel()[0])) <= 64 or exponent % 1:
        raise Unknown("Pow other than by a whole number")
    ends = (x.low**exponent, x.high**exponent)
    size = np.maximum(np.abs(x.low), np.abs(x.high))
    low, high = np.minimum(*ends), np.maximum(*ends)
    if exponent % 2 == 0:
        low = np.where((x.low < 0) & (x.high > 0), 0.0, low)
    drift = ((size + x.moved) ** exponent - size**exponent) * SLACK
    return walk.rebase(Range(low=low, high=high, scale=x.scale * int(exponent), drift=np.where(x.moved > 0, drift, 0.0)))


def _division(walk: Walk, node: Any, _attributes: Mapping[str, Any]) -> Range:
    """The optimiser multiplies by the reciprocal as a weight; by a power of two it moves the point, which is not mirrored."""
    import numpy as np

    x, value = walk.computed(node.input[0]), walk.analysis.values[node.input[1]].constant
    if value is None or value.size != 1 or not (divisor := float(value.ravel()[0])) > 0 or np.frexp(divisor)[0] == 0.5:
        raise Unknown("Div other than by a positive constant that is no power of two")
    share = float(quantised(np.float64(np.float32(1) / np.float32(divisor)), walk.param_scale))
    return walk.rebase(
        replace(x, low=x.low * share, high=x.high * share, drift=x.moved * share, scale=x.scale + walk.param_scale)
    )


def _reduced(walk: Walk, node: Any, attributes: Mapping[str, Any]) -> Range:
    """ReduceSum; ReduceMean multiplies the sum by 1/n as a weight."""
    x, axes = walk.computed(node.input[0]), attributes.get("axes")
    if len(node.input) > 1 and node.input[1]:
        given = walk.analysis.values[node.input[1]].constant
        if given is None:
            raise Unknown(f"{node.op_type} over computed axes")
        axes = given.ravel().tolist()
    if not axes and attributes.get("noop_with_empty_axes", 0):
        raise Unknown(f"{node.op_type} over no axes")
    over = {"axis": tuple(int(a) for a in axes) if axes else None, "keepdims": bool(attributes.get("keepdims", 1))}
    total = walk.seen(replace(x, low=x.low.sum(**over), high=x.high.sum(**over), drift=x.moved.sum(**over)))
    if node.op_type == "ReduceSum":
        return total
    share = float(quantised(total.low.size / x.low.size, walk.param_scale))
    return walk.rebase(
        replace(
            total, low=total.low * share, high=total.high * share, drift=total.drift * share, scale=x.scale + walk.param_scale
        )
    )


def _concat(walk: Walk, node: Any, attributes: Mapping[str, Any]) -> Range:
    import numpy as np

    parts = [walk.computed(name) for name in node.input]
    if len({part.scale for part in parts}) != 1:
        raise Unknown("Concat of values of several scales")
    low, high, drift = (np.concatenate([getattr(part, side) for part in parts], attributes["axis"]) for side in _SIDES)
    return Range(low=low, high=high, drift=drift, scale=parts[0].scale)


_SIDES = ("low", "high", "moved")


def _average_pool(walk: Walk, node: Any, attributes: Mapping[str, Any]) -> Range:
    x = walk.operand(node.input[0])
    low, high, drift = (_windows(getattr(x, side), attributes).mean(axis=(-2, -1)) for side in _SIDES)
    count = float(attributes["kernel_shape"][0] * attributes["kernel_shape"][1])
    walk.largest = max(walk.largest, count * x.magnitude)
    return walk.quotient(replace(x, low=low, high=high, drift=drift), count)


def _max_pool(walk: Walk, node: Any, attributes: Mapping[str, Any]) -> Range:
    x = walk.operand(node.input[0])
    low, high, drift = (_windows(getattr(x, side), attributes).max(axis=(-2, -1)) for side in _SIDES)
    walk.digits(x, factor=2.0)
    return replace(x, low=low, high=high, drift=drift)


def _structural(walk: Walk, node: Any, _attributes: Mapping[str, Any]) -> Range:
    x, shape = walk.operand(node.input[0]), walk.analysis.values[node.output[0]].shape
    return replace(x, low=x.low.reshape(shape), high=x.high.reshape(shape), drift=x.moved.reshape(shape))


def _transpose(walk: Walk, node: Any, attributes: Mapping[str, Any]) -> Range:
    x, order = walk.operand(node.input[0]), attributes.get("perm")
    return replace(x, low=x.low.transpose(order), high=x.high.transpose(order), drift=x.moved.transpose(order))


RULES: Mapping[str, Rule] = {
    "Gemm": _gemm, "MatMul": _matmul, "Conv": _conv, "Relu": _relu, "LeakyRelu": _leaky_relu, "Add": _add, "Sub": _sub,
    "Mul": _mul, "Neg": _neg, "Abs": _abs, "Max": _extreme, "Min": _extreme, "Clip": _clip, "Pow": _power, "Div": _division,
    "ReduceSum": _reduced, "ReduceMean": _reduced, "Concat": _concat, "Softmax": _softmax, "Softplus": _softplus,
    "Reciprocal": _reciprocal, "AveragePool": _average_pool, "MaxPool": _max_pool, "Transpose": _transpose,
    **dict.fromkeys(TABLES, _table), **dict.fromkeys(_STRUCTURAL, _structural),
}  # fmt: skip


def _plus(walk: Walk, x: Range, name: str) -> Range:
    """Add a weight; used once, it is quantised at the scale of what it is added to."""
    scale = max(x.scale, walk.param_scale)
    bias = walk.raw(name, scale)
    return walk.seen(replace(x, low=x.low + bias, high=x.high + bias, scale=scale))


def _again(walk: Walk, name: str, x: Range, scale: int) -> Range:
    if not x.constant:
        return x
    value = walk.raw(name, scale)
    return Range(low=value, high=value, scale=scale, constant=True)


def _affine(x: Range, weights: Array, scale: int, apply: Callable[[Any, Any], Any]) -> Range:
    """Centre and radius: the image of a box under a linear map is exactly centre ± |weights| radius, elementwise."""
    import numpy as np

    centre, radius = (x.low + x.high) / 2, (x.high - x.low) / 2
    middle, spread = apply(centre, weights), apply(radius, np.abs(weights)) * SLACK
    drift = apply(x.moved, np.abs(weights)) * SLACK if x.drifts else 0.0
    return Range(low=middle - spread, high=middle + spread, scale=x.scale + scale, drift=drift)


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
