# SPDX-License-Identifier: Apache-2.0
"""The integers that stand for a tensor's real values. On its own, so that a plan can be read without the ONNX packages."""

from __future__ import annotations

from dataclasses import dataclass

from verifiable.model.program.bounds import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The integers in [low, high], each standing for ``scale`` times itself."""

    scale: float
    low: int
    high: int

    @property
    def clamp(self) -> Interval:
        return self.low, self.high
