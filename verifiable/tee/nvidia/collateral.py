# SPDX-License-Identifier: Apache-2.0
"""What a GPU's report is judged with, sorted by looking at it: the device's certificates, two manifests, revocation lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from verifiable.errors import MalformedError
from verifiable.tee import crl, x509
from verifiable.tee.crl import RevocationList
from verifiable.tee.evidence import MAX_COLLATERAL
from verifiable.tee.nvidia.manifest import Manifest
from verifiable.tee.nvidia.opaque import Opaque
from verifiable.tee.x509 import Certificate

_PEM, _XML = b"-----BEGIN CERTIFICATE-----", b"<"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """``certificates``: the device's, the signing one first; empty where they were not given. All unverified."""

    certificates: tuple[Certificate, ...] = ()
    driver: Manifest | None = None
    vbios: Manifest | None = None
    lists: tuple[RevocationList, ...] = ()

    @classmethod
    def sort(cls, pieces: Sequence[bytes], opaque: Opaque) -> Collateral:
        """For a report that says ``opaque`` of itself. Raises MalformedError for a piece that cannot be read, that stands there
        twice, or that is not needed.
        """
        if len(pieces) > MAX_COLLATERAL:
            raise MalformedError(f"nvidia: {len(pieces)} pieces of collateral, at most {MAX_COLLATERAL} are allowed")
        found = cls()
        for number, piece in enumerate(pieces, 1):
            found = found._with(piece, opaque, f"nvidia: collateral {number}")
        return found

    def _with(self, piece: bytes, opaque: Opaque, what: str) -> Collateral:
        if piece.startswith(_XML):
            return self._with_manifest(Manifest.parse(piece), opaque, what)
        if piece.startswith(_PEM):
            if self.certificates:
                raise MalformedError(f"{what} is a second chain of certificates; a report has one")
            return replace(self, certificates=x509.parse_pem_chain(piece, what=what))
        if crl.is_revocation_list(piece):
            revoked = RevocationList.parse(piece, what=what)
            if any(revoked.issuer == other.issuer for other in self.lists):
                raise MalformedError(f"{what} is a second revocation list of {revoked.name}")
            return replace(self, lists=(*self.lists, revoked))
        raise MalformedError(
            f"{what} is nothing that a GPU's report is judged with",
            hint="its certificates in PEM, a driver's and a VBIOS's golden values (RIM, XML), revocation lists in DER",
        )

    def _with_manifest(self, manifest: Manifest, opaque: Opaque, what: str) -> Collateral:
        version = manifest.claimed.version.upper()
        if version == opaque.driver.upper() and self.driver is None:
            return replace(self, driver=manifest)
        if version == opaque.vbios.upper() and self.vbios is None:
            return replace(self, vbios=manifest)
        raise MalformedError(
            f"{what} is golden values for version {manifest.claimed.version}: not needed, or given twice",
            hint=f"the report is of driver {opaque.driver} and VBIOS {opaque.vbios}",
        )


__all__ = ["Collateral"]
