# SPDX-License-Identifier: Apache-2.0
"""What verifying evidence is meant to cost at most: time of the processor, for a verifier of receipts does it for each of them.

A goal that is missed is shown, and fails nothing: times depend on the machine.
"""

from __future__ import annotations

from dataclasses import dataclass

from verifiable.bench.tee.results import Measurement

#: Seconds of one piece of evidence, by its kind where it is not the first: a GPU's comes with two signed XML files.
LIMIT, LIMITS = 0.005, {"nvidia": 0.05}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The goal in seconds, and what was ``found``."""

    limit: float
    found: float

    @property
    def met(self) -> bool:
        return self.found <= self.limit


def judge(measurement: Measurement) -> Judged | None:
    """By the median; None where nothing was measured."""
    found = measurement.figure("cpu")
    return None if found is None else Judged(limit=LIMITS.get(measurement.kind, LIMIT), found=found)


__all__ = ["LIMIT", "LIMITS", "Judged", "judge"]
