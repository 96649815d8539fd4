# SPDX-License-Identifier: Apache-2.0
"""What ezkl would have to set up to read a circuit's verifying key: judged before it is asked to.

It lays the columns out from the settings alone, so settings of a few hundred bytes could make it allocate without bound, and what
follows the columns' commitments in a key is not looked at. Both are settled by the column count, which halo2's is held to
when a circuit is built.
"""

from __future__ import annotations

from verifiable.errors import MalformedError, UnsupportedError
from verifiable.zk.ezkl.cost import Cost, Layout, predict
from verifiable.zk.ezkl.parameters import MAX_LOGROWS
from verifiable.zk.ezkl.settings import EzklSettings

#: Columns of advice and lookup arguments that a verifier sets up; the tuner makes no circuit beyond 72 columns.
MAX_COLUMNS, MAX_LOOKUPS = 1024, 2048
#: A verifying key, in bytes: 64 for each column.
MAX_KEY = 1 << 20
_VERSION, _UNCOMPRESSED_SELECTORS = 3, 0


def check(settings: EzklSettings, verifying_key: bytes) -> None:
    """The settings are of moderate size and the key is exactly as long as they make it, with the header that we make.

    Raises UnsupportedError (too large), MalformedError.
    """
    cost = _cost(settings)
    if len(verifying_key) != cost.verifying_key:
        raise MalformedError(
            f"ezkl verifying key: {len(verifying_key):,} bytes, with these settings it has exactly {cost.verifying_key:,}",
            hint="the settings and the key do not belong together, or something was appended; compile the model again",
        )
    if tuple(verifying_key[:3]) != (_VERSION, settings.parameters.logrows, _UNCOMPRESSED_SELECTORS):
        raise MalformedError("ezkl verifying key: not the header of a key with these settings")


def _cost(settings: EzklSettings) -> Cost:
    layout, logrows = Layout.of(settings), settings.parameters.logrows
    if logrows > MAX_LOGROWS or layout.least_logrows() > logrows:
        raise UnsupportedError(f"ezkl settings: tables or public values that 2^{logrows} rows do not hold")
    cost = predict(layout, logrows)
    if cost.columns > MAX_COLUMNS or cost.lookups > MAX_LOOKUPS or cost.verifying_key > MAX_KEY:
        raise UnsupportedError(
            f"ezkl settings: {cost.columns:,} columns and {cost.lookups:,} lookups, a verifier sets up"
            f" {MAX_COLUMNS:,} and {MAX_LOOKUPS:,} at most",
            hint="compile the model again with more rows",
        )
    return cost


__all__ = ["check"]
