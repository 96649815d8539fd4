# SPDX-License-Identifier: Apache-2.0
"""Which module reads which kind of evidence. Each is loaded when its kind is asked for: some bring native code along."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from verifiable.errors import Error, MalformedError, UnsupportedError

if TYPE_CHECKING:
    from verifiable.tee.evidence import Evidence

#: kind -> module with a function ``parse(data, *, kind) -> Evidence``.
_HOMES = {
    "tdx": "verifiable.tee.dcap",
    "sgx": "verifiable.tee.dcap",
    "nitro": "verifiable.tee.nitro",
    "snp": "verifiable.tee.snp",
    "nvidia": "verifiable.tee.nvidia",
    "software": "verifiable.tee.software",
}


def parse(kind: str, data: bytes) -> Evidence:
    """``data`` as evidence of this kind. Raises MalformedError, UnsupportedError for an unknown kind."""
    if kind not in _HOMES:
        raise UnsupportedError(f"evidence of kind {kind[:40]!r} is not known here", hint=f"known: {', '.join(_HOMES)}")
    evidence: Evidence = importlib.import_module(_HOMES[kind]).parse(data, kind=kind)
    return evidence


def guess(data: bytes) -> str:
    """The kind of evidence that ``data`` can be read as. Raises MalformedError where that is none, or more than one."""
    if not data:
        raise MalformedError("evidence: the file is empty")
    found = []
    for kind in _HOMES:
        try:
            parse(kind, data)
        except Error:
            continue
        found.append(kind)
    if len(found) != 1:
        kinds = f"it may be {' or '.join(found)}" if found else f"it is none of {', '.join(_HOMES)}, or damaged"
        raise MalformedError(
            f"what kind of evidence this is cannot be told: {kinds}",
            hint="name the kind: --kind KIND; certificates, Intel's JSON, RIM files are no evidence, but --collateral",
        )
    return found[0]


__all__ = ["guess", "parse"]
