# SPDX-License-Identifier: Apache-2.0
"""What all kinds of TEE evidence share: the interface of a parsed piece, and what verifying one establishes.

Three steps, never mixed (RFC 9334 calls the parties attester, endorser, verifier): ``parse`` reads strict bytes and believes
nothing; ``verify`` follows signatures up to a vendor's root at a given time; ``appraise`` (:mod:`.reference`) asks whether what
was measured is what somebody wants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from verifiable.checklist import Check
from verifiable.tee.roots import Root, Roots

KINDS = ("tdx", "sgx", "nitro", "snp", "nvidia", "software")
#: Of one piece of evidence, and of one piece of collateral.
MAX_SIZE = 1 << 20
MAX_COLLATERAL = 16


class Evidence(Protocol):
    """A parsed piece of evidence: shape only, nothing in it is believed. Parsing ``encode()`` gives an equal one."""

    @property
    def kind(self) -> str:
        """One of :data:`KINDS`."""
        ...

    @property
    def report_data(self) -> bytes:
        """What the caller of the hardware had signed along: 64 bytes; 32 for ``nvidia``; for ``nitro`` the user data."""
        ...

    def encode(self) -> bytes:
        """The vendor's bytes."""
        ...

    def verify(self, *, at: datetime, roots: Roots, collateral: Sequence[bytes] = ()) -> VerifiedEvidence:
        """What the evidence establishes at ``at`` (aware) under ``roots``, with the vendor's ``collateral`` (sorted by looking
        at it).

        Raises SignatureError (a signature does not hold), AttestationError (chain, extensions, revocation, anything else that is
        false), StaleError (outside a validity window at ``at``), TrustError (no such root; collateral is missing),
        MalformedError (collateral that cannot be read, or that does not belong to this kind). The checks done travel on the
        error.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedEvidence:
    """What signatures up to ``anchor`` establish at ``at``. Nothing is said yet about whether it is what anybody wants.

    ``measurements``: register name to what it holds, lower-case hex or a version text. ``tcb``: component to security version,
    where the vendor numbers them. ``tcb_status``, ``advisories``: Intel's word for the platform at ``at``. ``debug``: whoever
    runs the machine can look inside. ``issued_on``: the hardware's own time of signing, where it states one. ``identity``: which
    piece of hardware, and other facts for people. ``checks``: the numbered checks done. ``anchor`` is None for software alone:
    nobody vouches for that.
    """

    kind: str
    at: datetime
    report_data: bytes
    measurements: Mapping[str, str]
    anchor: Root | None
    checks: tuple[Check, ...]
    debug: bool = False
    tcb: Mapping[str, int] = field(default_factory=dict)
    tcb_status: str = ""
    advisories: tuple[str, ...] = ()
    issued_on: datetime | None = None
    identity: Mapping[str, str] = field(default_factory=dict)

    @property
    def anchored(self) -> str:
        """By whom, for people: ``under`` the root with its fingerprint, or by nobody."""
        return "vouched for by nobody" if self.anchor is None else f"under {self.anchor.name} ({self.anchor.fingerprint})"

    @property
    def simulated(self) -> bool:
        """No hardware stands behind it."""
        return self.kind == "software"


__all__ = ["KINDS", "MAX_COLLATERAL", "MAX_SIZE", "Evidence", "VerifiedEvidence"]
