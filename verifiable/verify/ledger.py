# SPDX-License-Identifier: Apache-2.0
"""Where logs hold a statement: inclusion, the log's signature, its cosigners' quorum (check 7 of docs/formats/receipt.md).

What is found here also decides check 2: a key is judged at the place that a log gave to the entry. So the looking is done before
check 2 and what it found is reported at check 7; a place that was not established counts as none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from verifiable.checklist import Step
from verifiable.encoding.record import CLOCK_SKEW, format_time
from verifiable.errors import BindingError, Error, StaleError, TrustError
from verifiable.ledger.checkpoint import SignedCheckpoint
from verifiable.ledger.entry import Entry
from verifiable.ledger.sigstore import LogEntry
from verifiable.merkle.hashing import leaf_hash
from verifiable.merkle.verify import verify_inclusion
from verifiable.trust import TrustedLog
from verifiable.verify.verified import Settled


def settled(entry: Entry, places: Iterable[LogEntry], logs: Iterable[TrustedLog], *, now: datetime) -> tuple[Settled, ...]:
    """Those of ``places`` that are in a log of ``logs``, each verified; one in an unknown log is no place.

    Raises BindingError for the entry of something else, InclusionError, SignatureError, PolicyError, StaleError, and what
    reading the checkpoint raises.
    """
    known = {log.id: log for log in logs}
    found = []
    for place in places:
        if place.body != entry.encode():
            raise BindingError(f"entry {place.index} of {place.tree.origin!r} is of another statement than this one")
        # Needs no trust, so it is not left undone for a log that nobody here knows.
        verify_inclusion(leaf_hash(place.body), place.index, place.tree.size, place.hashes, place.tree.root)
        if place.log_id in known:
            found.append(_signed(place, known[place.log_id], now))
    return tuple(found)


def _signed(place: LogEntry, log: TrustedLog, now: datetime) -> Settled:
    """That the log and enough of its cosigners signed the checkpoint, whose inclusion proof has been verified."""
    if not log.validity.holds(now):
        raise StaleError(f"log {log.name!r} is in the trust root, but not for this time")
    SignedCheckpoint.open(place.checkpoint.encode(), *log.keys)
    log.policy.check(place.checkpoint)
    cosigned = log.policy.cosigned(place.checkpoint)
    # Without a quorum a single cosigner could date an entry as it likes: it is named, and its time is not used.
    reached = log.policy.reached(place.checkpoint)
    if reached is not None and reached - now > CLOCK_SKEW:
        raise StaleError(f"log {log.name!r}: cosigned {format_time(reached)}, which has not come yet", hint="compare the clocks")
    return Settled(
        log=log.name,
        origin=place.tree.origin,
        index=place.index,
        size=place.tree.size,
        cosigners=tuple(name for name, _ in cosigned),
        time=reached,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a look at the places gave: those that are established, or why none is."""

    places: tuple[Settled, ...] = ()
    failure: Error | None = None

    @classmethod
    def of(cls, entry: Entry, places: Iterable[LogEntry], logs: Iterable[TrustedLog], *, now: datetime) -> Finding:
        try:
            return cls(places=settled(entry, places, logs, now=now))
        except Error as error:
            return cls(failure=error)

    def report(self, step: Step, *, claimed: int, logs: int) -> None:
        """Check 7 for ``claimed`` entries and a trust root of ``logs`` logs. Raises the failure; TrustError."""
        if self.failure is not None:
            raise self.failure
        for place in self.places:
            when = f", cosigned by {', '.join(place.cosigners)} at {format_time(place.time)}" if place.time else ""
            entries = f"{place.size:,} {'entry' if place.size == 1 else 'entries'}"
            step.note(f"entry {place.index} of {place.log!r} ({entries}){when}")
        if not claimed:
            step.skip("not settled in a ledger")
        elif not logs:
            step.skip("settled in a ledger by its own word; the trust root names no log to judge it by")
        elif not self.places:
            raise TrustError(
                "settled, but in no log that you trust", hint="add the log to the trust root: [[logs]] with its vkey"
            )  # fmt: skip
