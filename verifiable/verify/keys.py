# SPDX-License-Identifier: Apache-2.0
"""Who may sign, and from which place in a log to which: key events, and the judgement of a key by them (check 2).

Places are what a log gave, in order, and cosigners vouch that it never takes one back. So what was signed before a key was
revoked stays true, and a thief, who can only append, comes after. A receipt that is in no log comes after everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from verifiable.encoding.record import format_time
from verifiable.errors import BindingError, MalformedError, SignatureError, StaleError, TrustError
from verifiable.keys.public import fingerprint
from verifiable.ledger.sigstore import Bundle
from verifiable.ledger.statements import KeyEvent
from verifiable.trust import TrustedLog, TrustRoot
from verifiable.verify.ledger import settled
from verifiable.verify.verified import Settled

MAX_EVENTS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A verified key event and the place where it stands."""

    event: KeyEvent
    index: int

    @property
    def acts_from(self) -> int:
        return self.index if self.event.position is None else self.event.position


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHistory:
    """The key events that a verifier was given, all verified. It knows nothing of events that it was not given."""

    events: tuple[Placed, ...] = ()

    @classmethod
    def read(cls, files: Sequence[bytes], trust: TrustRoot, *, now: datetime) -> KeyHistory:
        """Verify settled key events, each a Sigstore bundle: by the log's administrator, and in that log.

        Raises MalformedError, TrustError (no such log, or nobody there may say so), SignatureError, BindingError, and
        what :func:`verifiable.verify.ledger.settled` raises.
        """
        if len(files) > MAX_EVENTS:
            raise MalformedError(f"key events: more than {MAX_EVENTS}")
        return cls(events=tuple(_placed(Bundle.parse(data), trust, now) for data in files))

    def added(self, key: bytes) -> KeyEvent | None:
        """The event that added this key, if any did."""
        return next((p.event for p in self.events if p.event.action == "add" and p.event.public_key == key), None)

    def _added_at(self, key: bytes, log: str) -> int:
        """The first place in that log where the key was added."""
        adds = (p for p in self.events if p.event.action == "add" and (p.event.public_key, p.event.log) == (key, log))
        return min(placed.index for placed in adds)

    @property
    def names_keys(self) -> bool:
        """Whether any event added a key, so that who may sign is said."""
        return any(placed.event.action == "add" for placed in self.events)

    def judge(self, key: bytes, places: Iterable[Settled], *, anchored: bool) -> None:
        """Return when no event speaks against this key at these places. ``anchored``: it is trusted without having been added.

        A key is judged in each log that has events about it; a log that does not hold the entry counts as if it stood at the
        end, after all of them. Raises StaleError.
        """
        at = {place.origin: place.index for place in places}
        for placed in self.events:
            event = placed.event
            if event.public_key != key:
                continue
            place, where = at.get(event.log), f"{event.name!r} ({fingerprint(key)}), whose key"
            if event.action == "add":
                if not anchored and place is not None and place < self._added_at(key, event.log):
                    raise StaleError(f"signed by {where} was added to {event.log} after entry {place}, which this is")
            elif place is None or place >= placed.acts_from:
                done = "revoked" if event.action == "revoke" else "retired"
                this = "this is in no place before" if place is None else f"this is entry {place}"
                raise StaleError(f"signed by {where} is {done} from {placed.acts_from} of {event.log} on; {this}")


def signatory(
    key: bytes, trust: TrustRoot, history: KeyHistory, places: Sequence[Settled], *, now: datetime
) -> str | None:  # fmt: skip
    """The name of whoever holds ``key``, judged at its places; None when nobody says who may sign.

    Windows of the trust root are judged at the time by which a log's cosigners had the entry, the earliest where there are
    several logs, and at ``now`` without. Raises SignatureError for a key that nobody named, StaleError.
    """
    entries = [entry for entry in trust.keys if entry.public_key == key]
    added = history.added(key)
    history.judge(key, places, anchored=bool(entries))
    if not trust.keys and not history.names_keys:
        return None
    when = min((place.time for place in places if place.time is not None), default=now)
    current = next((entry for entry in entries if entry.validity.holds(min(when, now))), None)
    if current is not None:
        return current.name
    if entries:
        raise StaleError(f"signed by {entries[0].name!r}, whose key is not valid at {format_time(min(when, now))}")
    if added is None:
        raise SignatureError(f"signed by a key that is not in the trust root: {fingerprint(key)}")
    return added.name


def _placed(bundle: Bundle, trust: TrustRoot, now: datetime) -> Placed:
    event = KeyEvent.parse(bundle.payload)
    log = _administered(event, trust)
    assert log.administrator is not None
    bundle.verify(log.administrator)
    places = settled(bundle.entry(log.administrator), bundle.log_entries, (log,), now=now)
    if not places:
        raise TrustError(f"key event about {event.name!r}: not settled in {event.log}", hint="`verifiable log append` settles it")
    (place,) = places
    if event.position is not None and event.position > place.index:
        raise BindingError(f"key event about {event.name!r}: revokes from {event.position} on, and is itself entry {place.index}")
    return Placed(event=event, index=place.index)


def _administered(event: KeyEvent, trust: TrustRoot) -> TrustedLog:
    log = next((log for log in trust.logs if log.origin == event.log), None)
    if log is None or log.administrator is None:
        raise TrustError(
            f"key event about {event.name!r}: nobody is trusted to say so in {event.log}",
            hint="name the log in the trust root with its administrator: [[logs]] administrator = ...",
        )
    return log
