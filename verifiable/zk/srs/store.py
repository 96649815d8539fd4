# SPDX-License-Identifier: Apache-2.0
"""The setups on this machine: one folder of files named by size and SHA-256, each with a small record of where it came from.

``kzg-bn254-k14-<sha256>.srs`` was imported or fetched, ``dev-insecure-kzg-bn254-k14-<sha256>.srs`` was made here, and beside
each stands ``<name>.json``. Neither name nor record can make a setup look better than it is: a ceremony is recognised by the
points in the file alone, everything else is ``unknown``, or ``dev-insecure`` when the name or a record says so. A file is
hashed each time it is handed out; one whose bytes are not those of its name counts as absent.

The structure is checked once, on the way in. Whoever can write to the folder can therefore choose what :meth:`SrsStore.find`
offers, but not what a digest means; the folder is made for its owner only.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from verifiable import files
from verifiable.digest import Digest
from verifiable.encoding import json
from verifiable.encoding.record import Record
from verifiable.errors import Error, FatalStateError, MalformedError, UnsupportedError, VerificationError
from verifiable.zk.circuit import Setup
from verifiable.zk.srs import ceremonies, check
from verifiable.zk.srs import format as raw
from verifiable.zk.srs.ceremonies import DEV_INSECURE, UNKNOWN
from verifiable.zk.srs.format import Srs
from verifiable.zk.system import Progress, no_progress

MEDIA_TYPE = "application/vnd.verifiable.srs-record.v1+json"
_IMPORTED = "imported"
_NAME = re.compile(r"(dev-insecure-)?kzg-bn254-k(\d\d)-([0-9a-f]{64})\.srs")
_CHUNK = 1 << 20
_MAX_RECORD_SIZE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class SrsInfo:
    """A setup in the store. ``ceremony`` is a known ceremony's name, ``unknown`` or ``dev-insecure``."""

    path: Path
    digest: Digest
    logrows: int
    ceremony: str
    fingerprint: Digest

    def setup(self) -> Setup:
        """What ``circuit.json`` says of it."""
        return Setup(ceremony=self.ceremony, digest=self.digest, fingerprint=self.fingerprint, logrows=self.logrows)


class SrsStore:
    """Setups under ``root``. Durable on return; a crash leaves at most a stray ``.part`` file that no lookup sees."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def import_file(self, path: Path, *, progress: Progress = no_progress) -> SrsInfo:
        """Copy the file at ``path`` in, after the checks of :mod:`.check` unless its digest is a known ceremony's.

        The copy is what is checked. Raises MalformedError and VerificationError (the file), FatalStateError (the store).
        """
        with Srs.open(path) as source, self.incoming() as aside:
            with self._failures(), aside.open("xb") as target:
                for block in _blocks(source):
                    target.write(block)
            return self.adopt(aside, progress=progress)

    def find(self, logrows: int, *, ceremony: str | None = None) -> SrsInfo | None:
        """The smallest setup of at least ``2**logrows`` rows from ``ceremony``; from any *known* ceremony when that is None.

        ``unknown`` and ``dev-insecure`` ones are found only when asked for by that label.
        """
        for entry in sorted(self._entries(), key=lambda e: (e.logrows, e.digest.value)):
            wanted = entry.ceremony == ceremony if ceremony else entry.ceremony not in {UNKNOWN, DEV_INSECURE}
            if wanted and entry.logrows >= logrows and _intact(entry):
                return entry
        return None

    def by_digest(self, digest: Digest) -> SrsInfo | None:
        """The setup with this SHA-256, re-hashed now, or None."""
        return next((entry for entry in self._entries(digest) if _intact(entry)), None)

    def list(self) -> tuple[SrsInfo, ...]:
        """Every intact setup, by size. Hashes them all."""
        return tuple(sorted(filter(_intact, self._entries()), key=lambda e: (e.logrows, e.digest.value)))

    def dev_insecure(self, logrows: int, generate: Callable[[Path, int], None]) -> SrsInfo:
        """The development setup of exactly this size, made by ``generate(path, logrows)`` if there is none yet.

        Whoever runs ``generate`` could learn the secret, and with it forge proofs: name, record and every circuit over it say
        so. ``generate`` raises only our errors.
        """
        if not raw.MIN_LOGROWS <= logrows <= raw.MAX_LOGROWS:
            raise UnsupportedError(f"SRS: logrows {logrows} is not in {raw.MIN_LOGROWS} to {raw.MAX_LOGROWS}")
        for entry in self._entries():
            if entry.ceremony == DEV_INSECURE and entry.logrows == logrows and _intact(entry):
                return entry
        with self.incoming() as aside:
            generate(aside, logrows)
            with Srs.open(aside) as srs:
                made, fingerprint = srs.logrows, raw.fingerprint(srs)
            if made != logrows:
                raise FatalStateError(f"SRS: the generator made logrows {made} where {logrows} was asked for")
            return self._place(aside, self._hash(aside), logrows, fingerprint, dev=True)

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        """A path for a new file on the store's file system; whatever is left there after the block is removed."""
        aside = self._root / f".{secrets.token_hex(8)}.part"
        with self._failures():
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            yield aside
        finally:
            with contextlib.suppress(OSError):
                aside.unlink()

    def adopt(self, aside: Path, *, expected: Digest | None = None, progress: Progress = no_progress) -> SrsInfo:
        """Check a file from :meth:`incoming` and move it into place; with ``expected``, only if it is that very file.

        Raises MalformedError and VerificationError (the file), FatalStateError (the store).
        """
        digest = self._hash(aside)
        if expected not in {None, digest}:
            raise VerificationError(
                f"SRS: the file is {digest}, not {expected}", hint="the source is damaged or not to be trusted"
            )
        with Srs.open(aside) as srs:
            logrows, fingerprint = srs.logrows, raw.fingerprint(srs)
            published, holds = ceremonies.ceremony_of_file(digest), ceremonies.ceremony_of(fingerprint)
            if published is None:
                check.check(srs, progress)
            elif published != holds:
                raise VerificationError(
                    f"SRS: {digest} is listed as {published}, but holds another secret", hint="please report this"
                )
        recorded = self.by_digest(digest)
        return recorded or self._place(aside, digest, logrows, fingerprint, dev=False)

    def _place(self, aside: Path, digest: Digest, logrows: int, fingerprint: Digest, *, dev: bool) -> SrsInfo:
        name = f"{'dev-insecure-' if dev else ''}kzg-bn254-k{logrows:02d}-{digest.hex}.srs"
        path = self._root / name
        record = {"mediaType": MEDIA_TYPE, "origin": DEV_INSECURE if dev else _IMPORTED, "sha256": digest.hex}
        # The record comes first: a crash in between leaves a record without a file, never a file without its origin.
        files.write(path.with_suffix(".json"), json.canonical(record), what="SRS record", mode=0o600)
        with self._failures():
            with aside.open("rb") as stream:
                os.fsync(stream.fileno())
            aside.chmod(0o600)
            aside.replace(path)
            files.sync_directory(self._root)
        return SrsInfo(path=path, digest=digest, logrows=logrows, ceremony=_label(fingerprint, dev=dev), fingerprint=fingerprint)

    def _entries(self, digest: Digest | None = None) -> Iterator[SrsInfo]:
        """What the names promise and the headers confirm; not hashed yet. ``dev-insecure`` sorts before an unmarked twin."""
        with self._failures():
            names = sorted(path.name for path in self._root.iterdir()) if self._root.exists() else []
        for name in names:
            match = _NAME.fullmatch(name)
            if match is None or (digest is not None and match[3] != digest.hex):
                continue
            with contextlib.suppress(MalformedError):
                yield self._entry(self._root / name, Digest.parse(match[3]), int(match[2]), dev=match[1] is not None)

    def _entry(self, path: Path, digest: Digest, logrows: int, *, dev: bool) -> SrsInfo:
        with Srs.open(path) as srs:
            if srs.logrows != logrows:
                raise MalformedError(f"SRS {path}: holds logrows {srs.logrows}")
            fingerprint = raw.fingerprint(srs)
        label = _label(fingerprint, dev=dev or self._recorded_dev(digest))
        return SrsInfo(path=path, digest=digest, logrows=logrows, ceremony=label, fingerprint=fingerprint)

    def _recorded_dev(self, digest: Digest) -> bool:
        """Whether any record of this digest says dev-insecure. What cannot be read says nothing: the file is ``unknown`` then."""
        for path in self._root.glob(f"*-{digest.hex}.json"):
            with contextlib.suppress(Error):
                data = files.read(path, what="SRS record", max_size=_MAX_RECORD_SIZE)
                record = Record(json.parse_canonical(data, what="SRS record", max_size=_MAX_RECORD_SIZE), "SRS record")
                record.constant("mediaType", MEDIA_TYPE)
                if record.digest("sha256") == digest and record.choice("origin", (_IMPORTED, DEV_INSECURE)) == DEV_INSECURE:
                    return True
        return False

    def _hash(self, path: Path) -> Digest:
        with self._failures(), path.open("rb") as stream:
            return Digest.of_stream(stream)

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise FatalStateError(f"SRS store {self._root}: {reason}", hint="check its permissions and free space") from error


def _label(fingerprint: Digest, *, dev: bool) -> str:
    return ceremonies.ceremony_of(fingerprint) or (DEV_INSECURE if dev else UNKNOWN)


def _intact(entry: SrsInfo) -> bool:
    try:
        with entry.path.open("rb") as stream:
            return Digest.of_stream(stream) == entry.digest
    except OSError:
        return False


def _blocks(source: Srs) -> Iterator[bytes]:
    size = raw.size_of(source.logrows)
    for offset in range(0, size, _CHUNK):
        yield source.read(offset, min(_CHUNK, size - offset))
