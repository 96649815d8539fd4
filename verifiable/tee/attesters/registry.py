# SPDX-License-Identifier: Apache-2.0
"""Which attester asks for which kind of evidence. Each module is loaded when its kind is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from verifiable.errors import UnsupportedError

if TYPE_CHECKING:
    from verifiable.tee.attesters import Attester

#: Kinds whose evidence this machine can be asked for; the others come as files from their vendors' tools.
KINDS = ("tdx", "snp", "nitro", "software")


def find(kind: str) -> Attester:
    """The attester for ``kind``, whether or not the hardware is here: ``attest`` finds out. Raises UnsupportedError."""
    if kind in {"tdx", "snp"}:
        from verifiable.tee.attesters.configfs_tsm import ConfigfsTsm

        return ConfigfsTsm(kind=kind)
    if kind == "nitro":
        from verifiable.tee.attesters.nsm import Nsm

        return Nsm()
    if kind == "software":
        from verifiable.tee.attesters.software import Software

        return Software()
    raise UnsupportedError(
        f"evidence of kind {kind[:40]!r} cannot be asked for from here",
        hint=f"can be: {', '.join(KINDS)}; for the others, collect it with the vendor's tool",
    )


__all__ = ["KINDS", "find"]
