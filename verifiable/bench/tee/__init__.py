# SPDX-License-Identifier: Apache-2.0
"""What it costs to verify evidence of trusted hardware: files that somebody recorded, and software evidence, which is made here.

:mod:`.subjects` reads what is measured, :mod:`.measure` gives each piece a process, :mod:`.steps` is what that does,
:mod:`.report` shows what was found.
"""

from __future__ import annotations

#: Times each is verified where no number is asked for: it takes milliseconds, and others use the machine too.
DEFAULT_RUNS = 100
MAX_RUNS = 1000

__all__ = ["DEFAULT_RUNS", "MAX_RUNS"]
