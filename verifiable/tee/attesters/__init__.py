# SPDX-License-Identifier: Apache-2.0
"""Attesters: what asks this machine's hardware to sign 64 bytes for us, one module per way to ask
(docs/formats/attestation/attesters.md).

The only place below :mod:`verifiable.tee` that touches devices. What comes back is bytes like any other: an attester believes
nothing of it, judges nothing, and reaches no network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from verifiable.errors import MalformedError
from verifiable.tee import binding


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """Evidence as the hardware made it, and what the machine had of the collateral to judge it with."""

    evidence: bytes
    collateral: tuple[bytes, ...] = ()


class Attester(Protocol):
    """Hardware of one kind, here and now."""

    @property
    def kind(self) -> str:
        """One of :data:`verifiable.tee.evidence.KINDS`."""
        ...

    def attest(self, report_data: bytes) -> Attested:
        """Have the hardware sign these 64 bytes (:func:`.binding.report_data`) along with what it measured.

        Raises UnsupportedError (no such hardware here, or it cannot do that), ConflictError (it is busy, or another program came
        in between: try again), FatalStateError (it failed), MalformedError (not 64 bytes; an answer that cannot be read).
        """
        ...


def require_report_data(report_data: bytes) -> None:
    """Hardware takes fewer bytes too, and pads them: two spellings of one thing. Raises MalformedError unless there are 64."""
    if len(report_data) != binding.SIZE:
        raise MalformedError(f"report data: {len(report_data)} bytes, {binding.SIZE} are wanted")


__all__ = ["Attested", "Attester", "require_report_data"]
