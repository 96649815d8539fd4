# SPDX-License-Identifier: Apache-2.0
"""The functions of one variable that become tables, in double precision, as the ONNX operator specification defines them.

Only in terms of :mod:`.elementary`: what NumPy computes by a C library is not the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifiable.errors import UnsupportedError
from verifiable.model.quantise.elementary import arctan, cos, erf, exp, expm1, log, power, sigmoid, sin, softplus, tanh

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]
Attributes = Mapping[str, Any]
#: Of one function. Each is computed for every row of a table, within the ones around it.
MAX_STEPS = 256


def identity(x: Floats) -> Floats:
    """x."""
    return x


def _gelu(x: Floats, attributes: Attributes) -> Floats:
    if attributes.get("approximate", "none") == "tanh":
        return np.asarray(0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x)))), np.float64)
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def _elu(x: Floats, attributes: Attributes) -> Floats:
    alpha, gamma = attributes.get("alpha", 1.0), attributes.get("gamma", 1.0)
    return np.asarray(gamma * np.where(x > 0, x, alpha * expm1(np.minimum(x, 0))), np.float64)


def _celu(x: Floats, attributes: Attributes) -> Floats:
    alpha = attributes.get("alpha", 1.0)
    return np.asarray(np.maximum(x, 0) + np.minimum(0, alpha * expm1(np.minimum(x, 0) / alpha)), np.float64)


def _hard_sigmoid(x: Floats, attributes: Attributes) -> Floats:
    return np.asarray(np.clip(attributes.get("alpha", 0.2) * x + attributes.get("beta", 0.5), 0, 1), np.float64)


#: operator -> function of the values and the node's attributes
UNARY: Mapping[str, Callable[[Floats, Attributes], Floats]] = {
    "Identity": lambda x, _: x,
    "Relu": lambda x, _: np.maximum(x, 0),
    "LeakyRelu": lambda x, a: np.where(x < 0, a.get("alpha", 0.01) * x, x),
    "ThresholdedRelu": lambda x, a: np.where(x > a.get("alpha", 1.0), x, 0),
    "Elu": _elu,
    "Selu": lambda x, a: _elu(x, {"alpha": a.get("alpha", 1.6732632), "gamma": a.get("gamma", 1.0507010)}),
    "Celu": _celu,
    "Sigmoid": lambda x, _: sigmoid(x),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda x, _: x * np.clip(x / 6 + 0.5, 0, 1),
    "Tanh": lambda x, _: tanh(x),
    "Erf": lambda x, _: erf(x),
    "Gelu": _gelu,
    "Mish": lambda x, _: x * tanh(softplus(x)),
    "Softplus": lambda x, _: softplus(x),
    "Softsign": lambda x, _: x / (1 + np.abs(x)),
    "Exp": lambda x, _: exp(x),
    "Log": lambda x, _: log(x),
    "Sqrt": lambda x, _: np.sqrt(x),
    "Reciprocal": lambda x, _: 1 / x,
    "Abs": lambda x, _: np.abs(x),
    "Neg": lambda x, _: -x,
    "Sign": lambda x, _: np.sign(x),
    "Floor": lambda x, _: np.floor(x),
    "Ceil": lambda x, _: np.ceil(x),
    "Round": lambda x, _: np.rint(x),
    "Sin": lambda x, _: sin(x),
    "Cos": lambda x, _: cos(x),
    "Atan": lambda x, _: arctan(x),
}

#: operators of two values, of which each is a number or a function of one and the same tensor
BINARY: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": lambda a, b: a / b,
    "Pow": power,
    "Max": np.maximum,
    "Min": np.minimum,
    "PRelu": lambda a, b: np.where(a < 0, a * b, a),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A function and how many steps it takes. Raises UnsupportedError beyond MAX_STEPS.

    A value that two branches read is computed in both, so that a few nodes can make a function of any length.
    """

    call: Function
    steps: int

    def __post_init__(self) -> None:
        if self.steps > MAX_STEPS:
            raise UnsupportedError(f"it makes a function of one value in more than {MAX_STEPS:,} steps")

    def __call__(self, x: Floats) -> Floats:
        return self.call(x)


def _steps(function: Function) -> int:
    return function.steps if isinstance(function, Composed) else 1


def unary(op: str, attributes: Attributes) -> Function:
    """The function of an operator of :data:`UNARY`."""
    known = UNARY[op]
    return Composed(call=lambda x: known(x, attributes), steps=1)


def clip(low: float, high: float) -> Function:
    """The nearest number in [low, high]."""
    return Composed(call=lambda x: np.minimum(np.maximum(x, low), high), steps=1)


def after(outer: Function, inner: Function) -> Function:
    """``outer ∘ inner``."""
    return Composed(call=lambda x: outer(inner(x)), steps=_steps(outer) + _steps(inner))


def both(op: str, left: Function, right: Function) -> Function:
    """``left(x) op right(x)``."""
    known = BINARY[op]
    return Composed(call=lambda x: known(left(x), right(x)), steps=_steps(left) + _steps(right) + 1)


def constant(value: float) -> Function:
    """Always ``value``. Raises UnsupportedError if that is not finite."""
    if not math.isfinite(value):
        raise UnsupportedError(f"constant {value} is not finite")
    return lambda x: np.full_like(x, value)
