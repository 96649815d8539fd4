# SPDX-License-Identifier: Apache-2.0
"""The part of a setup that a verifier needs: G1, s·G1, G2 and s·G2, as the smallest file of the same setup (516 bytes).

A KZG opening is checked by one pairing equation over G1, G2 and s·G2 (Kate, Zaverucha, Goldberg 2010); the higher powers are for
provers. s·G1 is there so that the fingerprint can be computed again: a circuit that names a ceremony is held to that
ceremony's points, not to the name.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from verifiable.errors import BindingError, MalformedError
from verifiable.zk.circuit import Setup
from verifiable.zk.srs import ceremonies
from verifiable.zk.srs import format as srs_format
from verifiable.zk.srs.format import Srs

MEDIA_TYPE = "application/vnd.verifiable.ezkl.verifier-srs.v1"
_LOGROWS = 1


def cut(path: Path) -> bytes:
    """The verifier's part of the setup file at ``path``. Raises MalformedError, VerificationError."""
    with Srs.open(path) as srs:
        return srs_format.cut(srs, _LOGROWS)


def check(data: bytes, setup: Setup) -> None:
    """``data`` is the verifier's part of exactly the setup that the circuit names.

    Raises MalformedError (not such a part), BindingError (another setup's, or one that does not bear this ceremony's name).
    """
    fingerprint = _fingerprint(data)
    if fingerprint != setup.fingerprint.value:
        raise BindingError("the verifier's part of the setup has another fingerprint than the setup that circuit.json names")
    known = ceremonies.ceremony_of(setup.fingerprint)
    if known != setup.ceremony and (known is not None or setup.ceremony not in {ceremonies.UNKNOWN, ceremonies.DEV_INSECURE}):
        raise BindingError(
            f"circuit.json names the setup {setup.ceremony[:40]!r}, its points are those of {known or 'no known ceremony'}",
            hint="do not use this circuit: whoever made it may hold the setup's secret",
        )


@lru_cache(maxsize=64)
def _fingerprint(data: bytes) -> bytes:
    srs = Srs.parse(data)
    if srs.logrows != _LOGROWS or srs_format.cut(srs, _LOGROWS) != data:
        raise MalformedError("verifier's setup: not the smallest file of a setup, in canonical form")
    return srs_format.fingerprint(srs).value
