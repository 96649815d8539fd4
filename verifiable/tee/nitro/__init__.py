# SPDX-License-Identifier: Apache-2.0
"""AWS Nitro Enclaves: attestation documents, COSE_Sign1 around CBOR (docs/formats/attestation/nitro.md).

All that it takes to judge a document is in it, but for the root. Only this package reads CBOR through ``cbor2``.
"""

from __future__ import annotations

from verifiable.tee.nitro.evidence import NAMES, NitroEvidence
from verifiable.tee.nitro.format import parse

__all__ = ["NAMES", "NitroEvidence", "parse"]
