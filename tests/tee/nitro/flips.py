"""Single-bit changes of a document: which are not refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tests.tee import every_bit
from tests.tee.every_bit import flipped
from verifiable.errors import Error
from verifiable.tee.nitro import parse
from verifiable.tee.roots import shipped


@dataclass(frozen=True)
class Document:
    """One that holds at ``at`` under the shipped root."""

    data: bytes
    at: datetime

    def survivors(self, bits: Iterable[int]) -> list[int]:
        """Those of ``bits`` (numbers, eight a byte) whose change is not refused."""
        assert self._accepted(self.data)
        return [bit for bit in bits if self._accepted(flipped(self.data, bit))]

    def every_survivor(self) -> list[int]:
        """Those of all bits."""
        return every_bit.survivors(self.survivors, len(self.data))

    def _accepted(self, data: bytes) -> bool:
        try:
            parse(data).verify(at=self.at, roots=shipped())
        except Error:
            return False
        return True
