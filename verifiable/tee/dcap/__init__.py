# SPDX-License-Identifier: Apache-2.0
"""Intel TDX and SGX: quotes, and the collateral that they are judged by (docs/formats/attestation/dcap.md).

Chains, signatures, revocation and windows are checked here; which patch level Intel calls what is left to the package
``dcap_qvl``, which no other package may import.
"""

from __future__ import annotations

from verifiable.tee.dcap.quote import Quote


def parse(data: bytes, *, kind: str) -> Quote:
    """A quote of ``kind``, ``tdx`` or ``sgx``. Raises MalformedError, UnsupportedError."""
    return Quote.parse(data, kind=kind)


__all__ = ["Quote", "parse"]
