# SPDX-License-Identifier: Apache-2.0
"""Certificates as they come: files of AMD's key distribution service, sorted by looking; and the table that a hypervisor hands
to its guest with the report (AMD publication 56421, "SNP Extended Guest Request"; ``auxblob`` of configfs-tsm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from verifiable.errors import MalformedError, TrustError
from verifiable.tee.crl import RevocationList, is_revocation_list
from verifiable.tee.evidence import MAX_COLLATERAL, MAX_SIZE
from verifiable.tee.roots import read_shipped
from verifiable.tee.snp.endorsement import is_endorsement
from verifiable.tee.snp.report import Report
from verifiable.tee.snp.tcb import GENERATIONS, named
from verifiable.tee.x509 import MAX_CHAIN, Certificate, parse_pem_chain

SERVICE = "https://kdsintf.amd.com"
#: Of the table's entries, those that evidence is judged with; a hypervisor may add others.
_WANTED = {
    UUID("63da758d-e664-4564-adc5-f4b93be8accd"): "VCEK",
    UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1"): "VLEK",
    UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782"): "ASK or ASVK",
    UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae"): "ARK",
    UUID("92f81bc3-5811-4d3d-97ff-d19f88dc67ea"): "CRL",
}
_ENTRY = 24
_PARAMETERS = {"fmc": "fmcSPL", "bootloader": "blSPL", "tee": "teeSPL", "snp": "snpSPL", "microcode": "ucodeSPL"}
#: Authorities that come with this package, so that a chip's certificate alone is enough.
_AUTHORITIES = ("amd-ask-milan", "amd-ask-genoa", "amd-ask-turin", "amd-asvk-milan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """What was given, sorted. ``leaf``: the VCEK's or VLEK's certificate; ``authorities``: any others; ``lists``: revocation
    lists.
    """

    leaf: Certificate
    authorities: tuple[Certificate, ...]
    lists: tuple[RevocationList, ...]

    @classmethod
    def sort(cls, pieces: Sequence[bytes], report: Report) -> Collateral:
        """Look at what each piece is. Raises MalformedError (naming the piece), TrustError where no key's certificate is in; its
        hint says where the one for ``report`` comes from.
        """
        leaves: list[Certificate] = []
        others: list[Certificate] = []
        lists: list[RevocationList] = []
        if len(pieces) > MAX_COLLATERAL:
            raise MalformedError(f"snp: {len(pieces)} pieces of collateral, at most {MAX_COLLATERAL} are allowed")
        for number, piece in enumerate(pieces, 1):
            what = f"collateral {number}"
            if is_revocation_list(piece):
                lists.append(RevocationList.parse(piece, what=what))
                continue
            pem = piece.lstrip(b" \t\r\n").startswith(b"-----BEGIN")
            if not pem and piece[:1] != b"\x30":  # a SEQUENCE
                raise MalformedError(
                    f"{what} is nothing that a report is judged with",
                    hint="the certificate of a VCEK or VLEK, AMD's chain (each in DER or PEM), AMD's revocation lists (DER)",
                )
            for each in parse_pem_chain(piece, what=what) if pem else (Certificate.parse(piece, what=what),):
                (leaves if is_endorsement(each) else others).append(each)
            if len(others) > MAX_CHAIN:
                raise MalformedError(f"snp: {len(others)} certificates of authorities, at most {MAX_CHAIN} are allowed")
        if not leaves:
            raise TrustError(
                "snp: the certificate of the key that signed the report is not here",
                hint=f"give it: --collateral FILE; {_source(report)}",
            )
        if len(leaves) > 1:
            raise MalformedError(f"snp: {len(leaves)} certificates of keys that sign reports, where one is wanted")
        return cls(leaf=leaves[0], authorities=tuple(others), lists=tuple(lists))

    def require_needed(self, chain: Sequence[Certificate]) -> None:
        """Raises MalformedError where an authority was given that is not in ``chain``."""
        for each in self.authorities:
            if each not in chain:
                raise MalformedError(f"snp: the certificate of {each.name} given has no place in the chain")


@cache
def shipped_authorities() -> tuple[Certificate, ...]:
    """AMD's intermediate certificates that come with this package; like any others they must lead to a trusted root."""
    return tuple(c for name in _AUTHORITIES for c in parse_pem_chain(read_shipped(name), what=name))


def _source(report: Report) -> str:
    """For people: where the certificate comes from; AMD's address for it (publication 57230) as far as the report tells."""
    if report.signing_key == "vlek":
        return "it is a VLEK's, which the cloud provider's machine hands out"
    generation = next((g for g in GENERATIONS.values() if report.cpuid and g.includes(*report.cpuid[:2])), None)
    if generation is None:
        return f"it is a VCEK's, from {SERVICE}/vcek/v1"
    components = named(generation.components(report.reported_tcb))
    query = "&".join(f"{_PARAMETERS[name]}={components[name]:02}" for name in _PARAMETERS if name in components)
    return f"it is at {SERVICE}/vcek/v1/{generation.name}/{report.chip_id[: generation.chip_id_size].hex()}?{query}"


def parse_certificate_table(data: bytes) -> tuple[bytes, ...]:
    """The certificates and lists in a hypervisor's table, in its order, as collateral to verify with; empty for no table.

    Entries of 24 bytes (GUID, offset, length), the last all zero; what they point to may lie anywhere behind them, and what lies
    between is dropped, as entries of other kinds are. Raises MalformedError.
    """
    if len(data) > MAX_SIZE:
        raise MalformedError(f"certificate table: {len(data):,} bytes is more than the {MAX_SIZE:,} allowed")
    entries: list[tuple[UUID, int, int]] = []
    at = 0
    while data:
        entry = data[at : at + _ENTRY]
        at += _ENTRY
        if len(entry) < _ENTRY:
            raise MalformedError("certificate table: its end is missing")
        if not any(entry):
            break
        if len(entries) == MAX_COLLATERAL:
            raise MalformedError(f"certificate table: more than {MAX_COLLATERAL} entries")
        offset, length = (int.from_bytes(entry[start : start + 4], "little") for start in (16, 20))
        entries.append((UUID(bytes=entry[:16]), offset, length))
    for guid, offset, length in entries:
        if offset < at or offset + length > len(data):
            raise MalformedError(f"certificate table: entry {guid} points outside of it")
    return tuple(data[offset : offset + length] for guid, offset, length in entries if guid in _WANTED)


__all__ = ["SERVICE", "Collateral", "parse_certificate_table", "shipped_authorities"]
