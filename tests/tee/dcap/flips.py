"""Single-bit changes of a quote and of its collateral: which of them are not refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from tests.tee import every_bit
from tests.tee.every_bit import flipped
from verifiable.errors import Error
from verifiable.tee import registry
from verifiable.tee.roots import Roots


@dataclass(frozen=True)
class Subject:
    """Evidence that holds at ``at``, with its one file of collateral; or, with ``within``, that fails no earlier than at the
    check of that number.
    """

    kind: str
    evidence: bytes
    collateral: bytes
    roots: Roots
    at: datetime
    within: int = 0

    def survivors(self, piece: str, bits: Iterable[int]) -> list[int]:
        """Those of ``bits`` (numbers, eight a byte) of the ``evidence`` or the ``collateral`` whose change is not refused."""
        assert self._accepted(self.evidence, self.collateral)
        if piece == "evidence":
            return [bit for bit in bits if self._accepted(flipped(self.evidence, bit), self.collateral)]
        return [bit for bit in bits if self._accepted(self.evidence, flipped(self.collateral, bit))]

    def every_survivor(self, piece: str) -> list[int]:
        """Those of all bits."""
        return every_bit.survivors(partial(self.survivors, piece), len(getattr(self, piece)))

    def _accepted(self, evidence: bytes, collateral: bytes) -> bool:
        try:
            registry.parse(self.kind, evidence).verify(at=self.at, roots=self.roots, collateral=(collateral,))
        except Error as error:
            return bool(self.within) and len(getattr(error, "checks", ())) >= self.within
        return True
