# SPDX-License-Identifier: Apache-2.0
"""Software evidence of whatever a test wants, in the shape of the other fake vendors. Nobody's root stands behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tests.fakes.pki.authority import NOW
from verifiable.keys.signer import Signer, temporary
from verifiable.tee.roots import Roots
from verifiable.tee.software import SoftwareEvidence

MEASUREMENT = bytes(range(48))
TCB = {"library": 1000}


@dataclass
class FakeSoftware:
    signer: Signer = field(default_factory=temporary)

    @property
    def roots(self) -> Roots:
        return Roots()

    def mint(
        self,
        *,
        report_data: bytes = bytes(64),
        measurement: bytes = MEASUREMENT,
        debug: bool = False,
        at: datetime = NOW,
        tcb: Mapping[str, int] = TCB,
    ) -> tuple[bytes, tuple[bytes, ...], Roots]:
        evidence = SoftwareEvidence.issue(
            self.signer, measurement=measurement, report_data=report_data, tcb=tcb, issued_on=at, debug=debug
        )
        return evidence.encode(), (), self.roots
