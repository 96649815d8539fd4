# SPDX-License-Identifier: Apache-2.0
"""The vendors' roots: package data beside this file, by kind of evidence, each with the fingerprint that
docs/formats/attestation.md lists.

A root is whatever a chain must end in. Callers may bring others (a private one, or one that is newer than this package), never
add to these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from verifiable.digest import Digest
from verifiable.tee.x509 import Certificate, parse_pem_chain

#: Of a PEM file of roots that somebody brings.
MAX_SIZE = 1 << 18
#: kind -> files; each is a PEM file of one certificate, named for what it is. NVIDIA's golden values (``nvidia-rim``) have a
#: root of their own, so that no device can sign what it is measured by.
_SHIPPED = {
    "tdx": ("intel-sgx-root",),
    "sgx": ("intel-sgx-root",),
    "nitro": ("aws-nitro-root-g1",),
    "snp": ("amd-ark-milan", "amd-ark-genoa", "amd-ark-turin"),
    "nvidia": ("nvidia-device-root",),
    "nvidia-rim": ("nvidia-rim-root",),
}
#: What a root may stand behind. Software has none: nobody vouches for it.
ROOT_KINDS = tuple(_SHIPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A trust anchor: a vendor's self-signed certificate. ``kinds``: of the evidence that it may stand behind."""

    name: str
    kinds: tuple[str, ...]
    certificate: Certificate

    @property
    def fingerprint(self) -> Digest:
        """SHA-256 of the certificate's DER."""
        return Digest.of(self.certificate.der)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """What chains may end in."""

    roots: tuple[Root, ...] = ()

    def of(self, kind: str) -> tuple[Root, ...]:
        return tuple(root for root in self.roots if kind in root.kinds)

    @classmethod
    def given(cls, name: str, kinds: Iterable[str], pem: bytes) -> Roots:
        """The certificates of a PEM file as roots for evidence of these kinds. Raises MalformedError."""
        chosen = tuple(kinds)
        return cls(roots=tuple(Root(name=name, kinds=chosen, certificate=c) for c in parse_pem_chain(pem, what=f"root {name!r}")))

    def replacing(self, kind: str, given: Iterable[tuple[str, bytes]]) -> Roots:
        """These, but for evidence of ``kind`` those in the PEM files ``given``, by name; unchanged where there are none.

        Raises MalformedError.
        """
        others = Roots(roots=tuple(root for root in self.roots if kind not in root.kinds))
        found = [Roots.given(name, (kind,), pem) for name, pem in given]
        return sum(found, others) if found else self

    def __add__(self, other: Roots) -> Roots:
        return Roots(roots=(*self.roots, *other.roots))


@cache
def shipped() -> Roots:
    """The vendors' roots that come with this package."""
    names = dict.fromkeys(name for files in _SHIPPED.values() for name in files)
    found = Roots()
    for name in names:
        kinds = [kind for kind, files in _SHIPPED.items() if name in files]
        found += Roots.given(name, kinds, read_shipped(name))
    return found


def read_shipped(name: str) -> bytes:
    """A PEM file beside this module."""
    return resources.files(__name__).joinpath(f"{name}.pem").read_bytes()


__all__ = ["MAX_SIZE", "ROOT_KINDS", "Root", "Roots", "read_shipped", "shipped"]
