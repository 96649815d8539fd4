# SPDX-License-Identifier: Apache-2.0
"""A log on a local disk: the folder that is published, and the private folder beside it.

The private folder holds the keys, the record of what was signed last, the staged batch, the lock and the index of entries. It
must not be published and must never be restored from a backup that is older than the published folder.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from verifiable import files
from verifiable.errors import FatalStateError, MalformedError
from verifiable.ledger import keyfile, writer
from verifiable.ledger.dedup import DedupIndex
from verifiable.ledger.identity import Identity
from verifiable.ledger.lock import Lock
from verifiable.ledger.log import BATCH, Log
from verifiable.ledger.note import NoteKey
from verifiable.ledger.storage import DirectoryStorage
from verifiable.ledger.tiles import MAX_CHECKPOINT

_KEYS, _LOCK, _INDEX = "keys", "lock", "entries.sqlite"


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDirectory:
    """``public``: what a web server publishes; ``private``: what nobody else may read."""

    public: Path
    private: Path

    @classmethod
    def at(cls, public: Path, private: Path | None = None) -> LogDirectory:
        """The log in ``public``, with its private folder at ``public`` + ``.private`` unless it is elsewhere.

        Raises MalformedError.
        """
        public = public.absolute()
        if not public.name or public.name == "..":
            raise MalformedError(f"log: {public} is not a folder's name", hint="name the folder itself")
        return cls(public=public, private=(private or public.with_name(f"{public.name}.private")).absolute())

    def initialise(self, origin: str, *, now: Callable[[], datetime] = _utc_now) -> tuple[NoteKey, ...]:
        """Make both folders, the keys and the checkpoint of the empty log; returns the public keys, Ed25519 first.

        Raises MalformedError (no origin), FatalStateError (something is there already, or the disk fails).
        """
        files.require_new_directory(self.public, what="log")
        files.require_new_directory(self.private, what="log")
        with self._failing():
            self.private.mkdir(mode=0o700, exist_ok=True)
            self.private.chmod(0o700)
            self.public.mkdir(mode=0o755, exist_ok=True)
            files.sync_directory(self.public.parent)
            files.sync_directory(self.private.parent)
        identity = Identity(origin=origin, signers=keyfile.make(self.private / _KEYS, origin, keyfile.LOG_TYPES), now=now)
        writer.initialise(self.published, self._state, identity)
        return identity.keys

    def identity(self, *, now: Callable[[], datetime] = _utc_now) -> Identity:
        """Raises MalformedError (no log's keys), FatalStateError (others may read them)."""
        signers = keyfile.load(self.private / _KEYS)
        return Identity(origin=signers[0].name, signers=signers, now=now)

    def open(self, *, wait: float = 0.0, batch: int = BATCH, now: Callable[[], datetime] = _utc_now) -> Log:
        """Open the log for writing, waiting up to ``wait`` seconds for another writer to finish.

        Raises ConflictError (another process writes), MalformedError (no log here), and what :class:`.writer.Writer` raises.
        """
        identity = self.identity(now=now)
        with ExitStack() as stack:
            lock = stack.enter_context(Lock.acquire(self.private / _LOCK, wait=wait))
            index = DedupIndex(self.private / _INDEX)
            stack.callback(index.close)
            log = Log(self.published, self._state, identity, lock=lock, index=index, batch=batch)
            stack.pop_all()
        return log

    @property
    def published(self) -> DirectoryStorage:
        """What readers see."""
        return DirectoryStorage(self.public)

    def head(self) -> bytes | None:
        """The log's own record of the last checkpoint that it signed."""
        return self._state.read(writer.HEAD, max_size=MAX_CHECKPOINT)

    @property
    def _state(self) -> DirectoryStorage:
        return DirectoryStorage(self.private, mode=0o600)

    def _failing(self) -> ExitStack:
        stack = ExitStack()

        def translate(_kind: object, error: BaseException | None, _trace: object) -> bool:
            if isinstance(error, OSError):
                raise FatalStateError(f"log: cannot create {self.public}: {error.strerror}") from error
            return False

        stack.push(translate)
        return stack
