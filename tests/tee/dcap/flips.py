"""Single-bit changes of a quote and of its collateral: which of them go through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from verifiable.errors import Error
from verifiable.tee import registry
from verifiable.tee.roots import Roots


@dataclass(frozen=True)
class Subject:
    """Evidence that holds at ``at``, with its one file of collateral."""

    kind: str
    evidence: bytes
    collateral: bytes
    roots: Roots
    at: datetime

    def survivors(self, piece: str, bits: Iterable[int]) -> Iterator[int]:
        """Those of ``bits`` (numbers, eight a byte) of the ``evidence`` or the ``collateral`` whose change is not refused."""
        original = getattr(self, piece)
        parsed = registry.parse(self.kind, self.evidence)
        for bit in bits:
            changed = bytearray(original)
            changed[bit // 8] ^= 1 << bit % 8
            try:
                quote = registry.parse(self.kind, bytes(changed)) if piece == "evidence" else parsed
                file = self.collateral if piece == "evidence" else bytes(changed)
                quote.verify(at=self.at, roots=self.roots, collateral=(file,))
            except Error:
                continue
            yield bit
