# SPDX-License-Identifier: Apache-2.0
"""Which entries a log already has: an index on disk from leaf hash to position, so that the same envelope gets the same place.

It is derived from the log and may be lost: it knows how far it got, and :class:`verifiable.ledger.log.Log` catches it up. What
it finds is a hint; the log compares the entry itself before it believes it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from verifiable.errors import FatalStateError

_KEY = 16  # bytes of the leaf hash; a collision costs one comparison
_FLUSH = 1 << 14
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, last BLOB NOT NULL);
INSERT OR IGNORE INTO progress VALUES (1, 0, x'');
"""


class _DamagedError(Exception):
    """A database that opens, and does not hold what this one holds."""


class DedupIndex:
    """SQLite at ``path``, or in memory for None. Used by one thread at a time. Raises FatalStateError.

    It holds the first ``size`` entries; ``last``, the leaf hash of the last of them, tells whether they are this log's.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._pending: dict[bytes, int] = {}
        with self._failing():
            try:
                self._open()
            except (sqlite3.DatabaseError, _DamagedError):
                if path is None:
                    raise
                for each in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
                    each.unlink(missing_ok=True)
                self._open()

    def _open(self) -> None:
        self._database = sqlite3.connect(self._path or ":memory:", check_same_thread=False, isolation_level=None)
        # In WAL mode, NORMAL loses the last transactions with the power but never damages the file: enough for a derived index.
        # Hashes fall on pages at random, so what a batch writes is its number of pages: small ones cost a quarter.
        self._database.executescript(
            "PRAGMA page_size=1024; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-32000;" + _SCHEMA
        )
        size, last = self._database.execute("SELECT size, last FROM progress").fetchone() or (None, None)
        if not isinstance(size, int) or size < 0 or not isinstance(last, bytes):
            raise _DamagedError
        self.size, self.last = size, last

    def find(self, leaves: Iterable[bytes]) -> dict[bytes, int]:
        """The positions of those leaf hashes that are known. Damage can make them anything but a number below 0."""
        found = {}
        with self._failing():
            for leaf in leaves:
                key = leaf[:_KEY]
                place = self._pending.get(key)
                if place is None:
                    row = self._database.execute("SELECT position FROM entries WHERE key = ?", (key,)).fetchone()
                    place = row[0] if row else None
                if isinstance(place, int) and place >= 0:
                    found[leaf] = place
        return found

    def add(self, leaves: Sequence[bytes]) -> None:
        """The next entries' leaf hashes. Written from time to time; what a crash loses is caught up."""
        for place, leaf in enumerate(leaves, self.size):
            self._pending.setdefault(leaf[:_KEY], place)
        self.size, self.last = self.size + len(leaves), leaves[-1] if leaves else self.last
        if len(self._pending) >= _FLUSH:
            self.flush()

    def reset(self) -> None:
        """Forget everything: the index belongs to another log, or to a longer one."""
        with self._failing():
            self._database.executescript("DELETE FROM entries; UPDATE progress SET size = 0, last = x'';")
        self._pending, self.size, self.last = {}, 0, b""

    def flush(self) -> None:
        with self._failing():
            self._database.execute("BEGIN")
            try:
                # Sorted, so that neighbours in the B-tree are written together.
                self._database.executemany("INSERT OR IGNORE INTO entries VALUES (?, ?)", sorted(self._pending.items()))
                self._database.execute("UPDATE progress SET size = ?, last = ?", (self.size, self.last))
                self._database.execute("COMMIT")
            except sqlite3.Error:
                with contextlib.suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise
        self._pending = {}

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._database.close()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise FatalStateError(
                f"log index: {self._path or 'in memory'}: {error}",
                hint="check free space; the file may be deleted, it is made again",
            ) from error
