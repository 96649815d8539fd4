# SPDX-License-Identifier: Apache-2.0
"""Following a log: each checkpoint must extend the last one seen, for ever, across restarts.

What was seen is kept in a file, durably, before the next look. Two checkpoints that contradict each other are kept as they
were signed, with the proof that they do, for anybody to verify with the log's key alone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from verifiable import files
from verifiable.encoding.record import encode_base64
from verifiable.errors import MalformedError, NetworkError, StaleError
from verifiable.ledger.client import LogClient, Seen, SplitViewError
from verifiable.ledger.tiles import MAX_CHECKPOINT


class Watch:
    """Follows the log of ``client``; the last checkpoint seen is in the file ``state``, the evidence will be beside it.

    ``patience``: seconds for which a smaller checkpoint than the last one passes for a stale cache, and tiles that are missing or
    lead elsewhere for a disturbance. After that the log is rolled back, or hides a fork; which of them, it alone could show.
    """

    def __init__(
        self, client: LogClient, state: Path, *, patience: float = 3600.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises MalformedError, TrustError or SignatureError when ``state`` is not a checkpoint of this log."""
        self._client, self._state, self._patience, self._clock = client, state, patience, clock
        self._unshown_since: float | None = None
        self.last: Seen | None = None
        if state.exists():
            self.last = client.seen(files.read(state, what="watch state", max_size=MAX_CHECKPOINT))

    def look(self) -> Seen:
        """Fetch the checkpoint, check that it extends the last one, and remember it.

        Raises SplitViewError, after writing the files of :meth:`evidence`; StaleError while the log shows a smaller checkpoint
        that does not contradict the last one; NetworkError, and what :meth:`.client.LogClient.checkpoint` raises.
        """
        new = self._client.checkpoint()
        if self.last is not None:
            try:
                self._require_consistent(self.last, new)
            except SplitViewError as split:
                self._keep(split)
                raise
        if self.last is None or self.last.note != new.note:
            files.write(self._state, new.note, what="watch state")
        self.last, self._unshown_since = new, None
        return new

    def _require_consistent(self, last: Seen, new: Seen) -> None:
        try:
            self._client.consistency(last, new)
        except (StaleError, NetworkError, MalformedError) as error:
            now = self._clock()
            since = self._unshown_since = now if self._unshown_since is None else self._unshown_since
            if now - since <= self._patience:
                raise
            what = "rolled back, or a fork" if isinstance(error, StaleError) else "it signs what it does not show"
            raise SplitViewError(f"{error}, for {now - since:,.0f} s: {what}", old=last, new=new, proof=None) from error

    def _keep(self, split: SplitViewError) -> None:
        old, new, proof = self.evidence()
        files.write(old, split.old.note, what="evidence")
        files.write(new, split.new.note, what="evidence")
        if split.proof:
            files.write(proof, "".join(f"{encode_base64(each)}\n" for each in split.proof).encode(), what="evidence")
        else:
            with contextlib.suppress(OSError):  # that of an earlier split view
                proof.unlink()

    def evidence(self) -> tuple[Path, Path, Path]:
        """Where the older and the newer of two contradicting checkpoints are kept, and the proof that they contradict each other.

        The proof: each hash of :attr:`.client.SplitViewError.proof` in base64 on a line; no file where it is empty or None.
        """
        old, new, proof = (self._state.with_name(f"{self._state.name}.split-{end}") for end in ("old", "new", "proof"))
        return old, new, proof
