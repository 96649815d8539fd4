# SPDX-License-Identifier: Apache-2.0
"""What a log costs: one log, grown through the library itself to ever larger sizes and measured at each of them.

:mod:`.measure` takes it from size to size, :mod:`.steps` is what each process does there, :mod:`.report` and :mod:`.plot` show
what was found. Its entries are made up, in the form and size of a receipt's (:mod:`.entries`); all else is the log as it is used.
"""

from __future__ import annotations

#: What is done at each size, each in a process of its own; the first grows the log.
STEPS = ("append", "open", "read", "fsck")
#: The size of the largest log where none is asked for.
DEFAULT_ENTRIES = 1_000_000
MIN_ENTRIES, MAX_ENTRIES = 1_000, 100_000_000

__all__ = ["DEFAULT_ENTRIES", "MAX_ENTRIES", "MIN_ENTRIES", "STEPS"]
