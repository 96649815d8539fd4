"""Single-bit changes of a report and of its collateral: which are not refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from tests.tee import every_bit
from tests.tee.every_bit import flipped
from verifiable.errors import Error
from verifiable.tee import registry
from verifiable.tee.roots import shipped


@dataclass(frozen=True)
class Pieces:
    """A report and then its collateral, which hold at ``at`` under the shipped roots."""

    pieces: tuple[bytes, ...]
    at: datetime

    def survivors(self, which: int, bits: Iterable[int]) -> list[int]:
        """Those of ``bits`` (numbers, eight a byte) of the piece of that number whose change is not refused."""
        assert self._accepted(self.pieces)
        before, piece, behind = self.pieces[:which], self.pieces[which], self.pieces[which + 1 :]
        return [bit for bit in bits if self._accepted((*before, flipped(piece, bit), *behind))]

    def every_survivor(self, which: int) -> list[int]:
        """Those of all bits."""
        return every_bit.survivors(partial(self.survivors, which), len(self.pieces[which]))

    def _accepted(self, pieces: tuple[bytes, ...]) -> bool:
        report, *collateral = pieces
        try:
            registry.parse("snp", report).verify(at=self.at, roots=shipped(), collateral=collateral)
        except Error:
            return False
        return True
