# SPDX-License-Identifier: Apache-2.0
"""What an interval walk keeps of every value: how large it can get, and how far a cheating prover could have moved it.

ezkl's division accepts a quotient rounded down or up. Honest provers round to the nearest, so a quotient of the same value is off
by at most one unit; ``drift`` follows this through everything that is computed from it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verifiable.model.shapes import Analysis

#: Each operation is done in double precision; this covers what its roundings can hide.
SLACK = 1 + 2.0**-30


class Unknown(Exception):  # noqa: N818 - never leaves the walk
    """An operator whose values are not bounded here."""


class Outside(Exception):  # noqa: N818 - never leaves the walk
    """An admissible input takes a function out of its domain, where ezkl's table holds 0 or nonsense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Elementwise bounds in the value's own unit; ``scale`` in bits. A weight has equal bounds and ``constant`` True.

    ``drift``: how far each element can be from an honest run's, 0 or more, in the same unit; broadcast to the shape of ``low``.
    """

    low: Any
    high: Any
    scale: int
    constant: bool = False
    drift: Any = 0.0

    @property
    def unit(self) -> float:
        return float(2.0**-self.scale)

    @property
    def moved(self) -> Any:
        """``drift`` in the value's shape."""
        import numpy as np

        return np.broadcast_to(self.drift, np.shape(self.low))

    @property
    def drifts(self) -> bool:
        import numpy as np

        return bool(np.any(self.drift))

    @property
    def magnitude(self) -> float:
        """Of the largest element, in integers."""
        import numpy as np

        return float(max(np.abs(self.low).max(initial=0), np.abs(self.high).max(initial=0))) * 2.0**self.scale

    def reachable(self) -> tuple[Any, Any]:
        """The bounds that hold for a cheating prover too."""
        return self.low - self.drift, self.high + self.drift


@dataclass(slots=True, kw_only=True)
class Walk:
    """The state of one walk. ``limit``: the scale beyond which ezkl divides; ``full``: the larger of its two scales.

    ``clamp``, ``tables``: what values in digits, and arguments of tables, are proved to be within, where that is to be used.

    ``divided``: the quotients, by number of elements and scale; ``quotients``: the first node that ends in some. ``lookup``: the
    extremes that enter a table function, ``table``: the node with the largest. ``unsure``: an operator within which more may be
    written in digits than is known here.
    """

    analysis: Analysis
    param_scale: int
    full: int
    limit: int
    clamp: float | None
    tables: tuple[int, int] | None = None
    decomposed: float = 1.0
    largest: float = 1.0
    divided: Counter[tuple[int, int]] = field(default_factory=Counter)
    lookup: tuple[int, int] = (0, 0)
    table: str = ""
    quotients: str = ""
    unsure: str = ""
    node: str = ""
    ranges: dict[str, Range] = field(default_factory=dict)

    def operand(self, name: str) -> Range:
        if name in self.ranges:
            return self.ranges[name]
        value = self.analysis.values[name]
        if value.constant is None or not value.dtype.startswith("float"):
            raise Unknown(name)
        rounded = quantised(value.constant, self.param_scale)
        return Range(low=rounded, high=rounded, scale=self.param_scale, constant=True)

    def computed(self, name: str) -> Range:
        """An operand that is no weight."""
        value = self.operand(name)
        if value.constant:
            raise Unknown(f"{self.node} of a constant")
        return value

    def raw(self, name: str, scale: int) -> Any:
        """A constant that ezkl quantises at another scale than the weights': a bias."""
        value = self.analysis.values[name]
        if value.constant is None:
            raise Unknown(name)
        return quantised(value.constant, scale)

    def seen(self, value: Range) -> Range:
        self.largest = max(self.largest, value.magnitude)
        return value

    def digits(self, value: Range, *, factor: float = 1.0) -> Range:
        """``value`` is written in digits, or a difference of at most ``factor`` times its magnitude is."""
        import numpy as np

        self.seen(value)
        self.decomposed = max(self.decomposed, factor * value.magnitude)
        if self.clamp is None:
            return value
        edge = self.clamp * value.unit
        return replace(value, low=np.clip(value.low, -edge, edge), high=np.clip(value.high, -edge, edge))

    def rebase(self, value: Range) -> Range:
        """Divide down to the limit, as ezkl does once a product's scale is beyond it; the quotient is off by less than one."""
        self.seen(value)
        if value.scale <= self.limit:
            return value
        divisor = 2.0 ** (value.scale - self.limit)
        return self.quotient(replace(value, scale=self.limit), divisor)

    def quotient(self, value: Range, divisor: float) -> Range:
        """The gate holds |x - d q| < d, and an honest q is nearest to x/d: for x moved by s, |q' - q| < s/d + 3/2."""
        import numpy as np

        self.decomposed = max(self.decomposed, divisor)
        self.quotients = self.quotients or self.node
        self.divided[np.size(value.low), value.scale] += 1
        units = np.ceil(value.drift * SLACK / value.unit + 1.5) - 1
        low, high = value.low - value.unit, value.high + value.unit
        return self.digits(replace(value, low=low, high=high, drift=units * value.unit))

    def looked_up(self, value: Range) -> tuple[Any, Any]:
        """``value`` enters a table; the bounds that hold for a cheating prover too."""
        import numpy as np

        self.seen(value)
        low, high = (float(side) / value.unit for side in (np.min(value.low), np.max(value.high)))
        if not np.isfinite(low) or not np.isfinite(high):
            raise Unknown(self.node)
        widened = (min(self.lookup[0], -ceil(-low)), max(self.lookup[1], ceil(high)))
        if widened != self.lookup:
            self.lookup, self.table = widened, self.node
        least, most = value.reachable()
        if self.tables is None:
            return least, most
        bottom, top = (end * value.unit for end in self.tables)
        return np.clip(least, bottom, top), np.clip(most, bottom, top)


def quantised(weights: Any, scale: int) -> Any:
    """Rounded half away from zero at ``scale``, in their own unit, as ezkl does."""
    import numpy as np

    scaled = np.asarray(weights).astype(np.float64) * 2.0**scale
    return np.copysign(np.floor(np.abs(scaled) + 0.5), scaled) * 2.0**-scale


def ceil(value: float) -> int:
    """An integer that ``value`` is surely below."""
    return int(value * SLACK) + 2
