"""Single-bit changes of a report, of the certificates beside it and of a manifest of golden values: which are not refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from tests.tee import every_bit
from tests.tee.every_bit import flipped
from verifiable.errors import Error
from verifiable.tee.nvidia import parse
from verifiable.tee.nvidia.manifest import GoldenValues, Manifest
from verifiable.tee.roots import shipped


@dataclass(frozen=True)
class Signed:
    """A report with the certificates of the GPU that signed it, which hold at ``at`` under the shipped root."""

    report: bytes
    chain: bytes
    at: datetime

    def survivors(self, piece: str, bits: Iterable[int]) -> list[int]:
        """Those of ``bits`` of the ``report`` or the ``chain`` whose change passes the first four checks."""
        assert self._accepted(self.report, self.chain)
        if piece == "report":
            return [bit for bit in bits if self._accepted(flipped(self.report, bit), self.chain)]
        return [bit for bit in bits if self._accepted(self.report, flipped(self.chain, bit))]

    def every_survivor(self, piece: str) -> list[int]:
        return every_bit.survivors(partial(self.survivors, piece), len(getattr(self, piece)))

    def _accepted(self, report: bytes, chain: bytes) -> bool:
        """The fifth check lacks its collateral."""
        try:
            parse(report, kind="nvidia").verify(at=self.at, roots=shipped(), collateral=[chain])
        except Error as error:
            return len(getattr(error, "checks", ())) > 4
        raise AssertionError("golden values were not asked for")


@dataclass(frozen=True)
class Golden:
    """A manifest that holds at ``at`` under the shipped root."""

    manifest: bytes
    at: datetime

    def survivors(self, bits: Iterable[int]) -> list[int]:
        """Those of ``bits`` whose change is refused neither by itself nor for being golden values of something else."""
        right = Manifest.parse(self.manifest).claimed
        assert self._accepted(self.manifest, right)
        return [bit for bit in bits if self._accepted(flipped(self.manifest, bit), right)]

    def every_survivor(self) -> list[int]:
        return every_bit.survivors(self.survivors, len(self.manifest))

    def _accepted(self, data: bytes, right: GoldenValues) -> bool:
        try:
            changed = Manifest.parse(data)
            if (changed.claimed.product, changed.claimed.version) != (right.product, right.version):
                return False
            changed.verify([root.certificate for root in shipped().of("nvidia-rim")], at=self.at, what="golden values")
        except Error:
            return False
        return True
