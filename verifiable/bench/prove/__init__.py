# SPDX-License-Identifier: Apache-2.0
"""What proving costs: models by name, each measured with each proof system in processes of its own.

:mod:`.measure` runs them one after the other, :mod:`.steps` is what such a process does, :mod:`.report` and :mod:`.plot` show
what was found. Beside our systems stands ``ezkl-stock``: ezkl as its own calibration sets it up, what ratios refer to.
"""

from __future__ import annotations

#: What can be measured, in the order of the table; the last is what the others are compared with.
SYSTEMS = ("sumcheck", "ezkl", "ezkl-stock")
STOCK = SYSTEMS[-1]

__all__ = ["STOCK", "SYSTEMS"]
