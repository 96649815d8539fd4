# SPDX-License-Identifier: Apache-2.0
"""Following a log: each checkpoint must extend the last one seen, for ever, across restarts.

What was seen is kept in a file, durably, before the next look. Two checkpoints that contradict each other are
kept as two files that anybody can verify with the log's key alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from verifiable import files
from verifiable.errors import StaleError
from verifiable.ledger.client import LogClient, Seen, SplitViewError
from verifiable.ledger.tiles import MAX_CHECKPOINT


class Watch:
    """Follows the log of ``client``; the last checkpoint seen is in the file ``state``, the evidence will be beside it.

    ``patience``: seconds for which a smaller checkpoint than the last one passes for a stale cache. After that it is a
    rolled-back log or a shorter fork, and which of the two only the log itself could show.
    """

    def __init__(
        self, client: LogClient, state: Path, *, patience: float = 3600.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises MalformedError, TrustError or SignatureError when ``state`` is not a checkpoint of this log."""
        self._client, self._state, self._patience, self._clock = client, state, patience, clock
        self._stale_since: float | None = None
        self.last: Seen | None = None
        if state.exists():
            self.last = client.seen(files.read(state, what="watch state", max_size=MAX_CHECKPOINT))

    def look(self) -> Seen:
        """Fetch the checkpoint, check that it extends the last one, and remember it.

        Raises SplitViewError, after writing both checkpoints to the files of :meth:`evidence`; StaleError while the log shows a
        smaller checkpoint that does not contradict the last one; NetworkError, and what :meth:`.client.LogClient.checkpoint`
        raises.
        """
        new = self._client.checkpoint()
        if self.last is not None:
            try:
                self._require_consistent(self.last, new)
            except SplitViewError as split:
                for path, seen in zip(self.evidence(), (split.old, split.new), strict=True):
                    files.write(path, seen.note, what="evidence")
                raise
        if self.last is None or self.last.note != new.note:
            files.write(self._state, new.note, what="watch state")
        self.last, self._stale_since = new, None
        return new

    def _require_consistent(self, last: Seen, new: Seen) -> None:
        try:
            self._client.consistency(last, new)
        except StaleError as error:
            now = self._clock()
            since = self._stale_since = now if self._stale_since is None else self._stale_since
            if now - since <= self._patience:
                raise
            raise SplitViewError(f"{error}, for {now - since:,.0f} s: rolled back, or a fork", old=last, new=new) from error

    def evidence(self) -> tuple[Path, Path]:
        """Where the older and the newer of two contradicting checkpoints are kept."""
        return (
            self._state.with_name(f"{self._state.name}.split-old"),
            self._state.with_name(f"{self._state.name}.split-new"),
        )
