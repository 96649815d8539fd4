# SPDX-License-Identifier: Apache-2.0
"""The functions that ezkl proves by a table: their values over an interval, how steep they are there, and where they are defined.

A table holds 0 or the largest integer where a function has no value, so an argument outside the domain would be proved to have
one. Results are for the interval's ends as arrays, elementwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

#: Where ``Tan`` still has moderate values: its poles are at ±pi/2.
_TAN_END = 1.57
_MOST = math.inf
_ERF_SLOPE = 2 / math.sqrt(math.pi)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """``image(low, high)``: the least and largest value between; ``slope(low, high)``: the steepest derivative.

    ``domain``: where it is defined, ends included; ``open_ends``: those ends are not.
    """

    image: Callable[[Any, Any], tuple[Any, Any]]
    slope: Callable[[Any, Any], Any]
    domain: tuple[float, float] = (-_MOST, _MOST)
    open_ends: bool = False

    def defined(self, low: float, high: float, unit: float) -> bool:
        """Whether every multiple of ``unit`` from ``low`` to ``high`` has a value."""
        inset = unit if self.open_ends else 0.0
        return self.domain[0] + inset <= low and high <= self.domain[1] - inset


def _rising(function: Callable[[Any], Any]) -> Callable[[Any, Any], tuple[Any, Any]]:
    return lambda low, high: (function(low), function(high))


def _between(low: float, high: float) -> Callable[[Any, Any], tuple[Any, Any]]:
    def image(first: Any, _last: Any) -> tuple[Any, Any]:
        import numpy as np

        return np.full(np.shape(first), low), np.full(np.shape(first), high)

    return image


def _constant(slope: float) -> Callable[[Any, Any], Any]:
    return lambda _low, _high: slope


def _farthest(low: Any, high: Any) -> Any:
    import numpy as np

    return np.maximum(np.abs(low), np.abs(high))


def _numpy(name: str) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        import numpy as np

        return getattr(np, name)(x)

    return function


def _sigmoid(x: Any) -> Any:
    import numpy as np

    return 1 / (1 + np.exp(-x))


def _erf(x: Any) -> Any:
    import numpy as np

    return np.vectorize(math.erf, otypes=[float])(x)


def _hard_swish(low: Any, high: Any) -> tuple[Any, Any]:
    import numpy as np

    return np.full(np.shape(low), -0.375), np.maximum(high, 0.0)


def _arc_cosine(low: Any, high: Any) -> tuple[Any, Any]:
    import numpy as np

    return np.arccos(high), np.arccos(low)


def _hyperbolic_cosine(low: Any, high: Any) -> tuple[Any, Any]:
    import numpy as np

    return np.ones(np.shape(low)), np.cosh(_farthest(low, high))


TABLES: Mapping[str, Table] = {
    "Sigmoid": Table(image=_rising(_sigmoid), slope=_constant(0.25)),
    "Tanh": Table(image=_rising(_numpy("tanh")), slope=_constant(1.0)),
    "Erf": Table(image=_rising(_erf), slope=_constant(_ERF_SLOPE)),
    "Exp": Table(image=_rising(_numpy("exp")), slope=lambda _low, high: _numpy("exp")(high)),
    "Log": Table(image=_rising(_numpy("log")), slope=lambda low, _high: 1 / low, domain=(0.0, _MOST), open_ends=True),
    "Atan": Table(image=_rising(_numpy("arctan")), slope=_constant(1.0)),
    "Asinh": Table(image=_rising(_numpy("arcsinh")), slope=_constant(1.0)),
    "Sinh": Table(image=_rising(_numpy("sinh")), slope=lambda low, high: _numpy("cosh")(_farthest(low, high))),
    "Cosh": Table(image=_hyperbolic_cosine, slope=lambda low, high: _numpy("sinh")(_farthest(low, high))),
    "Sin": Table(image=_between(-1.0, 1.0), slope=_constant(1.0)),
    "Cos": Table(image=_between(-1.0, 1.0), slope=_constant(1.0)),
    "Tan": Table(
        image=_rising(_numpy("tan")), slope=lambda low, high: 1 + _numpy("tan")(_farthest(low, high)) ** 2,
        domain=(-_TAN_END, _TAN_END),
    ),
    "Asin": Table(image=_rising(_numpy("arcsin")), slope=_constant(_MOST), domain=(-1.0, 1.0)),
    "Acos": Table(image=_arc_cosine, slope=_constant(_MOST), domain=(-1.0, 1.0)),
    "Acosh": Table(image=_rising(_numpy("arccosh")), slope=_constant(_MOST), domain=(1.0, _MOST)),
    "Atanh": Table(
        image=_rising(_numpy("arctanh")), slope=lambda low, high: 1 / (1 - _farthest(low, high) ** 2), domain=(-1.0, 1.0),
        open_ends=True,
    ),
    "HardSwish": Table(image=_hard_swish, slope=_constant(1.5)),
}  # fmt: skip
