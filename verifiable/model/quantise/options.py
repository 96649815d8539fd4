# SPDX-License-Identifier: Apache-2.0
"""What can be chosen about a quantisation."""

from __future__ import annotations

from dataclasses import dataclass

from verifiable.errors import MalformedError
from verifiable.model.program.ir import MAX_ROWS

_MOST_HEADROOM = 1 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Bits of weights, activations and inputs, and the shifts a requantisation may have, smallest first.

    ``input_bits`` is for images that do not lie on a grid of 2^8 levels in the calibration samples; those are exact. Inputs
    of fewer than four axes have 16: their features share one scale however unlike they are. Layers of at most ``small_layer``
    weights have 16 bits: what is proved of a weight costs the same at any width, and only large layers weigh in a file.
    ``headroom``: factor on the observed ranges of inputs and activations, for values beyond the samples. ``max_rows``: of one
    table. ``max_pool_area``: an average over at most so many elements is kept as their exact sum.
    """

    weight_bits: int = 8
    activation_bits: int = 8
    input_bits: int = 12
    output_bits: int = 16
    small_layer: int = 1 << 14
    headroom: float = 1.1
    shifts: tuple[int, ...] = (16, 24, 32)
    max_rows: int = MAX_ROWS
    max_pool_area: int = 64

    def __post_init__(self) -> None:
        widths = (self.weight_bits, self.activation_bits, self.input_bits, self.output_bits)
        if not all(2 <= bits <= 16 for bits in widths):
            raise MalformedError(f"quantisation: {widths} bits, expected 2 to 16 each")
        if not self.shifts or any(not 2 <= shift <= 48 for shift in self.shifts) or list(self.shifts) != sorted(self.shifts):
            raise MalformedError(f"quantisation: shifts {self.shifts}, expected 2 to 48 in ascending order")
        if not 0 < self.headroom <= _MOST_HEADROOM:
            raise MalformedError(f"quantisation: headroom {self.headroom:g}, expected a factor of up to {_MOST_HEADROOM}")
        if not 2 <= self.max_rows <= MAX_ROWS or self.max_pool_area < 1:
            raise MalformedError(f"quantisation: tables of at most {self.max_rows:,} rows, expected 2 to {MAX_ROWS:,}")
