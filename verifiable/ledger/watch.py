# SPDX-License-Identifier: Apache-2.0
"""Following a log: each checkpoint must extend the last one seen, for ever, across restarts.

What was seen is kept in a file, durably, before the next look. Two checkpoints that contradict each other are
kept as two files that anybody can verify with the log's key alone.
"""

from __future__ import annotations

from pathlib import Path

from verifiable import files
from verifiable.ledger.client import LogClient, Seen, SplitViewError
from verifiable.ledger.tiles import MAX_CHECKPOINT


class Watch:
    """Follows the log of ``client``; the last checkpoint seen is in the file ``state``, the evidence will be beside it."""

    def __init__(self, client: LogClient, state: Path) -> None:
        """Raises MalformedError, TrustError or SignatureError when ``state`` is not a checkpoint of this log."""
        self._client, self._state = client, state
        self.last: Seen | None = None
        if state.exists():
            self.last = client.seen(files.read(state, what="watch state", max_size=MAX_CHECKPOINT))

    def look(self) -> Seen:
        """Fetch the checkpoint, check that it extends the last one, and remember it.

        Raises SplitViewError, after writing both checkpoints to the files of :meth:`evidence`; StaleError when the log shows an older
        checkpoint that agrees; NetworkError, and what :meth:`.client.LogClient.checkpoint` raises.
        """
        new = self._client.checkpoint()
        if self.last is not None:
            try:
                self._client.consistency(self.last, new)
            except SplitViewError as split:
                for path, seen in zip(self.evidence(), (split.old, split.new), strict=True):
                    files.write(path, seen.note, what="evidence")
                raise
        if self.last is None or self.last.note != new.note:
            files.write(self._state, new.note, what="watch state")
        self.last = new
        return new

    def evidence(self) -> tuple[Path, Path]:
        """Where the older and the newer of two contradicting checkpoints are kept."""
        return (
            self._state.with_name(f"{self._state.name}.split-old"),
            self._state.with_name(f"{self._state.name}.split-new"),
        )
