# SPDX-License-Identifier: Apache-2.0
"""AMD SEV-SNP: attestation reports of Milan, Genoa and Turin, signed by a chip's key (VCEK) or a cloud provider's (VLEK).

:mod:`.report` reads the 1,184 bytes, :mod:`.endorsement` the certificate of the key that signed them, :mod:`.evidence` checks the
one by the other up to AMD's root (docs/formats/attestation/snp.md). Called through :mod:`verifiable.tee.registry`; reaches for no
network: AMD's key distribution service is asked by whoever collects the certificates.
"""

from __future__ import annotations

from verifiable.tee.snp.certs import parse_certificate_table
from verifiable.tee.snp.evidence import NAMES, SnpEvidence
from verifiable.tee.snp.report import Report


def parse(data: bytes, *, kind: str = "snp") -> SnpEvidence:
    """An attestation report, nothing in it believed. Raises MalformedError, UnsupportedError."""
    assert kind == "snp", kind
    return SnpEvidence(report=Report.parse(data))


__all__ = ["NAMES", "Report", "SnpEvidence", "parse", "parse_certificate_table"]
