# SPDX-License-Identifier: Apache-2.0
"""Software evidence: our own signed document, for machines without trusted hardware (docs/formats/attestation/software.md).

Whoever has it has somebody's word and no more: it says ``simulated`` in itself, ends in no root, and is refused unless a caller
allows simulated evidence by name.
"""

from __future__ import annotations

from verifiable.tee.software.evidence import MEDIA_TYPE, NAMES, SoftwareEvidence, parse

__all__ = ["MEDIA_TYPE", "NAMES", "SoftwareEvidence", "parse"]
