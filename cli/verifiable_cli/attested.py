# SPDX-License-Identifier: Apache-2.0
"""TEE evidence of a receipt, as lines and as JSON: whose word it is, and every check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from verifiable.encoding.record import format_time

if TYPE_CHECKING:
    from verifiable.checklist import Check
    from verifiable.verify.verified import Attested


def lines(attested: Attested) -> list[str]:
    """One piece of TEE evidence: whose word it is, and each check that its vendor's format and each reference asked for."""
    head = f"{attested.kind:<7}  bound to the {attested.scope}, judged at {format_time(attested.at)}"
    if attested.evidence is None:
        return [f"{head}: {attested.problem}"]
    told = [f"{head}, {attested.evidence.anchored}"]
    told += [f"         {c.number} {c.name}: {c.status}: {c.detail}" for c in attested.evidence.checks]
    for each in attested.appraisals:
        told += [f"         as {each.reference.name!r}: {c.name}: {c.status}: {c.detail}" for c in each.checks]
    return told


def to_json(attested: Attested, checks_json: Callable[[Iterable[Check]], list[dict[str, Any]]]) -> dict[str, Any]:
    """One of ``attested`` in ``verify --json``."""
    evidence = attested.evidence
    return {
        "kind": attested.kind, "scope": attested.scope, "nonce": attested.nonce.hex() or None, "at": format_time(attested.at),
        "standsFor": format_time(attested.stands_for), "counts": attested.counts, "problem": attested.problem,
        "notNow": attested.later, "simulated": attested.simulated,
        "references": [each.reference.name for each in attested.appraisals],
        "anchor": None if evidence is None else evidence.anchored,
        "measurements": {} if evidence is None else dict(evidence.measurements),
        "checks": [] if evidence is None else checks_json(evidence.checks),
    }  # fmt: skip


__all__ = ["lines", "to_json"]
