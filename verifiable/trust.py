# SPDX-License-Identifier: Apache-2.0
"""The trust root: what a verifier believes before it reads a receipt (docs/formats/trust.md).

A TOML file that a person writes: signing keys, circuits and setups, each with a name and the time it is good for. It is strict
the way signed documents are: an unknown or misspelled setting is refused, since one that was silently ignored
could be the one that was meant to forbid something.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from verifiable.digest import Digest
from verifiable.encoding.record import Record
from verifiable.errors import MalformedError
from verifiable.keys.public import fingerprint, parse_public_key_pem

MAX_SIZE = 1 << 18
_MAX_ENTRIES = 4096
_MAX_DOTS = 64
_QUOTED = re.compile(rb"\"[^\"\n]*\"|'[^'\n]*'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """The time in which a judgement may rest on an entry: ``since <= now < until``; None leaves that side open."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        return (self.since is None or self.since <= now) and (self.until is None or now < self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A signing key: DER SubjectPublicKeyInfo."""

    name: str
    public_key: bytes
    validity: Validity = Validity()

    @property
    def digest(self) -> Digest:
        """The key's fingerprint."""
        return fingerprint(self.public_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """A circuit by its id, or a setup by its fingerprint."""

    name: str
    digest: Digest
    validity: Validity = Validity()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRoot:
    """What is believed. ``setups`` are accepted besides the known ceremonies."""

    keys: tuple[TrustedKey, ...] = ()
    circuits: tuple[Trusted, ...] = ()
    setups: tuple[Trusted, ...] = ()

    @classmethod
    def pin(cls, *ids: Digest | str) -> TrustRoot:
        """A trust root of these circuits alone: receipts for them are judged whoever signed. Raises MalformedError."""
        return cls().pinning(*ids)

    def pinning(self, *ids: Digest | str) -> TrustRoot:
        """This trust root for these circuits alone. Those that it names keep their validity; the others are good at any time.

        Raises MalformedError.
        """
        wanted = [Digest.parse(i) if isinstance(i, str) else i for i in ids]
        kept = tuple(entry for entry in self.circuits if entry.digest in wanted)
        named = {entry.digest for entry in kept}
        added = tuple(Trusted(name="pinned by the caller", digest=d) for d in dict.fromkeys(wanted) if d not in named)
        return replace(self, circuits=(*kept, *added))

    @classmethod
    def parse(cls, data: bytes) -> TrustRoot:
        """Read the TOML file. Raises MalformedError, and UnsupportedError for keys that are not on P-256."""
        root = Record(read_toml(data, what="trust root"), "trust root")
        trust = cls(
            keys=_entries(root, "keys", _key),
            circuits=_entries(root, "circuits", lambda r: _trusted(r, "id")),
            setups=_entries(root, "setups", lambda r: _trusted(r, "fingerprint")),
        )
        root.done()
        return trust


_T = TypeVar("_T")


def _entries(root: Record, name: str, read: Callable[[Record], _T]) -> tuple[_T, ...]:
    entries = []
    for record in root.records(name, maximum=_MAX_ENTRIES) if root.has(name) else ():
        entries.append(read(record))
        record.done()
    return tuple(entries)


def _key(record: Record) -> TrustedKey:
    pem = record.text("public-key")
    return TrustedKey(
        name=record.text("name", max_length=256),
        public_key=parse_public_key_pem(pem.encode("utf-8", "replace"), what=f"{record.where}.public-key"),
        validity=_validity(record),
    )


def _trusted(record: Record, field: str) -> Trusted:
    return Trusted(name=record.text("name", max_length=256), digest=Digest.parse(record.text(field)), validity=_validity(record))


def _validity(record: Record) -> Validity:
    since, until = (_moment(record, field) if record.has(field) else None for field in ("valid-from", "valid-until"))
    if since is not None and until is not None and since >= until:
        raise MalformedError(f"{record.where}: valid-from is not before valid-until")
    return Validity(since=since, until=until)


def _moment(record: Record, field: str) -> datetime:
    value = record.take(field)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise MalformedError(
            f"{record.where}.{field}: not a date and time with an offset", hint="write it like 2026-01-02T03:04:05Z, unquoted"
        )
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise MalformedError(f"{record.where}.{field}: out of range") from error


def read_toml(data: bytes, *, what: str) -> dict[str, Any]:
    """A TOML document that a person wrote; ``what`` names it in errors. Raises MalformedError."""
    if len(data) > MAX_SIZE:
        raise MalformedError(f"{what}: {len(data):,} bytes is more than the {MAX_SIZE:,} allowed")
    # tomllib walks a dotted key from the root for each of its parts: 130,000 dots are an hour, and ours have two.
    if any(line.count(b".") > _MAX_DOTS for line in _QUOTED.sub(b"", data).splitlines()):
        raise MalformedError(f"{what}: a line with more than {_MAX_DOTS} dots outside quotes")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MalformedError(f"{what}: not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise MalformedError(f"{what}: nested too deeply") from error
    except (ValueError, OverflowError) as error:
        raise MalformedError(f"{what}: not TOML: {str(error)[:200]}") from error
