# SPDX-License-Identifier: Apache-2.0
"""Attacks on reports, each with the check that must refuse it, the error, and words of its message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from tests.fakes.pki.amd import ARC, CHIP, PROVIDER, FakeAmd
from tests.fakes.pki.authority import DAY, NOW, Authority, pem, shared_key
from verifiable.errors import (
    AttestationError,
    Error,
    MalformedError,
    SignatureError,
    StaleError,
    TrustError,
    UnsupportedError,
)
from verifiable.tee import registry
from verifiable.tee.evidence import VerifiedEvidence
from verifiable.tee.roots import Roots, shipped
from verifiable.tee.snp.report import FROM_HOST

MILAN, GENOA, TURIN = FakeAmd(), FakeAmd(generation="Genoa"), FakeAmd(generation="Turin")
VLEK = FakeAmd(kind="vlek")
CURVE_ORDER = int("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16)

Make = Callable[[FakeAmd], tuple[bytes, ...]]


def good(amd: FakeAmd) -> tuple[bytes, ...]:
    return amd.certificate(), amd.chain


@dataclass(frozen=True, kw_only=True)
class Case:
    """Evidence, collateral and roots; by default those of ``amd``, all good."""

    amd: FakeAmd = MILAN
    report: dict[str, Any] = field(default_factory=dict)
    collateral: Make = good
    roots: Callable[[FakeAmd], Roots] = lambda amd: amd.roots
    at: timedelta = timedelta()

    def verify(self) -> VerifiedEvidence:
        evidence = registry.parse("snp", self.amd.report(**self.report))
        return evidence.verify(at=NOW + self.at, roots=self.roots(self.amd), collateral=self.collateral(self.amd))


@dataclass(frozen=True)
class Attack:
    check: int
    error: type[Error]
    match: str
    case: Case


def given(check: int, error: type[Error], match: str, collateral: Make, **fields: Any) -> Attack:
    """The collateral is wrong."""
    return Attack(check, error, match, Case(collateral=collateral, **fields))


def report(check: int, error: type[Error], match: str, amd: FakeAmd = MILAN, **fields: Any) -> Attack:
    """The report is wrong, and signed."""
    return Attack(check, error, match, Case(amd=amd, report=fields))


def trust(error: type[Error], match: str, roots: Callable[[FakeAmd], Roots]) -> Attack:
    """The roots are others."""
    return Attack(2, error, match, Case(roots=roots))


def leaf(**fields: Any) -> Make:
    """A key's certificate that is different."""
    return lambda amd: (amd.certificate(**fields), amd.chain)


def extended(changes: dict[str, bytes | None]) -> Make:
    """A key's certificate with other extensions; None: without that one."""
    return lambda amd: leaf(extensions={k: v for k, v in (amd.extensions() | changes).items() if v is not None})(amd)


def ask(amd: FakeAmd, **fields: Any) -> Authority:
    chosen = {"key": shared_key("rsa", f"ask {amd.kind}"), "path_length": 0, "usage": ("key_cert_sign",)} | fields
    return amd.ark.authority(f"SEV-{amd.generation}", **chosen)


def under(**fields: Any) -> Make:
    """Another certificate of AMD's for the authority that signs keys."""
    return lambda amd: (amd.certificate(), ask(amd, **fields).der)


def beside(*lists: Callable[[FakeAmd], bytes]) -> Make:
    return lambda amd: (*good(amd), *(each(amd) for each in lists))


def of(other: FakeAmd) -> Make:
    return lambda _: good(other)


def mallory() -> Any:
    return shared_key("rsa", "mallory")


def too_deep(amd: FakeAmd) -> tuple[bytes, ...]:
    middle = amd.ark.authority("middle", key=shared_key("rsa", "middle"), path_length=0)
    below = middle.authority(f"SEV-{amd.generation}", key=shared_key("rsa", f"ask {amd.kind}"))
    return amd.certificate(by=below), pem(below.certificate, middle.certificate)


def critical(amd: FakeAmd) -> tuple[bytes, ...]:
    extensions = [*((oid, value, False) for oid, value in amd.extensions().items()), ("1.2.3.4", b"\x05\x00", True)]
    certificate = amd.ask.issue("SEV-VCEK", amd.key.public_key(), extensions=extensions)
    return certificate.public_bytes(Encoding.DER), amd.chain


def text(content: str) -> bytes:
    return bytes([22, len(content)]) + content.encode()


def imitation(amd: FakeAmd) -> Authority:
    return Authority.root(f"ARK-{amd.generation}", key=mallory())


def revoking(serial: Callable[[FakeAmd], Authority]) -> Callable[[FakeAmd], bytes]:
    return lambda amd: amd.ark.crl([serial(amd).certificate.serial_number])


ATTACKS: dict[str, Attack] = {
    # 1 collateral
    "no certificate of a key": given(1, TrustError, "is not here", lambda amd: (amd.chain,)),
    "two certificates of keys": given(1, MalformedError, "2 certificates", beside(lambda _: VLEK.certificate())),
    "a piece that is none": given(1, MalformedError, "collateral 3", beside(lambda _: b"{}")),
    # 2 chain
    "no roots": trust(TrustError, "no root", lambda _: Roots()),
    "roots of another vendor": trust(TrustError, "no root", lambda amd: amd.ark.roots("nitro")),
    "AMD's real roots": trust(TrustError, "no root that is trusted here", lambda _: shipped()),
    "a root of the same name": trust(SignatureError, "SEV-Milan", lambda amd: imitation(amd).roots("snp")),
    "no authority between": given(2, TrustError, "SEV-Milan, which signed", lambda amd: (amd.certificate(),)),
    "an authority of the same name": given(2, SignatureError, "SEV-VCEK", under(key=mallory())),
    "a certificate that mallory signed": given(2, SignatureError, "SEV-VCEK", leaf(by=ask(MILAN, key=mallory()))),
    "an expired key": given(2, StaleError, "SEV-VCEK", leaf(until=NOW - DAY)),
    "a key not valid yet": given(2, StaleError, "SEV-VCEK", leaf(since=NOW + DAY)),
    "an expired authority": given(2, StaleError, "SEV-Milan", under(until=NOW - DAY)),
    "an expired root": given(2, StaleError, "valid from", good, at=5000 * DAY),
    "an authority that is none": given(2, AttestationError, "no authority", under(ca=False, path_length=None)),
    "an authority that may not sign": given(2, AttestationError, "signing certificates", under(usage=("crl_sign",))),
    "an authority below the path length": given(2, AttestationError, "no authority", too_deep),
    "a critical extension of unknown meaning": given(2, AttestationError, "critical extension", critical),
    "an authority without a place": given(2, MalformedError, "no place", beside(lambda _: GENOA.ask.der)),
    "a root of mallory's beside": given(
        2, MalformedError, "no place", lambda amd: (amd.certificate(), amd.ask.der, imitation(amd).der)
    ),
    # 3 revocation
    "a revoked authority": given(3, AttestationError, "SEV-Milan is revoked", beside(revoking(lambda amd: amd.ask))),
    "a revoked root": given(3, AttestationError, "ARK-Milan is revoked", beside(revoking(lambda amd: amd.ark))),
    "an old list": given(3, StaleError, "list", beside(lambda amd: amd.ark.crl(days=0)), at=timedelta(seconds=1)),
    "a list from the future": given(3, StaleError, "list", beside(lambda amd: amd.ark.crl(at=NOW + 2 * DAY))),
    "a list that mallory signed": given(3, SignatureError, "list", beside(lambda amd: amd.ark.crl(signing_key=mallory()))),
    "a list that the authority signed": given(3, MalformedError, "not one of", beside(lambda amd: amd.ask.crl())),
    "a list of another root": given(3, MalformedError, "not one of", beside(lambda _: GENOA.ark.crl())),
    "a good list and a revoking one": given(
        3, AttestationError, "is revoked", beside(lambda amd: amd.ark.crl(), revoking(lambda amd: amd.ask))
    ),
    # 4 key
    "a report that is not signed": report(4, AttestationError, "not signed", flags=7 << 2),
    "a masked key of the chip": report(4, AttestationError, "not signed", flags=2),
    "a report of a vlek under a vcek": report(4, AttestationError, "signed with a vlek", flags=1 << 2),
    "a report of a vcek under a vlek": report(4, AttestationError, "signed with a vcek", VLEK, flags=0),
    "a vcek by the authority of vleks": given(
        4, AttestationError, "SEV-VCEK <- SEV-VLEK-Milan", lambda amd: (amd.certificate(by=VLEK.ask), VLEK.chain)
    ),
    "a vlek by the authority of vceks": given(
        4, AttestationError, "SEV-VLEK <- SEV-Milan", lambda amd: (amd.certificate(by=MILAN.ask), MILAN.chain), amd=VLEK
    ),
    "a key by the root itself": given(4, AttestationError, "SEV-VCEK <- ARK-Milan", lambda amd: (amd.certificate(by=amd.ark),)),
    "a certificate of another name": given(4, AttestationError, "SEV-VLEK <- SEV-Milan", leaf(name="SEV-VLEK")),
    "another generation's product": given(
        4, AttestationError, "not SEV-VCEK <- SEV-Genoa", extended({f"{ARC}.2": text("Genoa-B1")})
    ),
    "a product that is not known": given(4, UnsupportedError, "'Venice'", extended({f"{ARC}.2": text("Venice")})),
    "a product that is no text": given(4, MalformedError, f"{ARC}.2", extended({f"{ARC}.2": b"\x16\x01\x07"})),
    "extensions of another version": given(4, UnsupportedError, "version 2", extended({f"{ARC}.1": b"\x02\x01\x02"})),
    "a chip and a provider": given(4, AttestationError, "both", extended({f"{ARC}.5": text(PROVIDER)})),
    "neither chip nor provider": given(4, AttestationError, "neither", extended({f"{ARC}.4": None})),
    "a version that is missing": given(4, MalformedError, f"{ARC}.3.8 is missing", extended({f"{ARC}.3.8": None})),
    "a version of thousands of digits": given(
        4, MalformedError, "an integer of 3000 bytes", extended({f"{ARC}.3.8": b"\x02\x82\x0b\xb8" + b"\1" * 3000})
    ),
    "a version that is no number": given(4, MalformedError, f"{ARC}.3.8", extended({f"{ARC}.3.8": b"\x04\x01\x01"})),
    "a key for something else": given(4, AttestationError, "signing reports", leaf(usage=("key_agreement",))),
    "a key on another curve": Attack(4, AttestationError, "P-384", Case(amd=FakeAmd(key=shared_key("p256", "endorsement")))),
    "a key of another kind": given(4, AttestationError, "P-384", of(FakeAmd(key=shared_key("rsa", "other")))),
    "a processor of another generation": report(4, AttestationError, "none of Milan", cpuid=b"\x19\x11\x01"),
    "a processor that is not known": report(4, AttestationError, "none of Turin", TURIN, cpuid=b"\x1a\x50\x01"),
    "a processor that is not named": report(4, AttestationError, "none of Milan", cpuid=b""),
    # 5 chip
    "another chip": report(5, AttestationError, "another chip", chip_id=b"\x09" * 64),
    "another chip of Turin": report(5, AttestationError, "another chip", TURIN, chip_id=b"\x01" * 8),
    "more behind the number of a Turin chip": report(5, AttestationError, "another chip", TURIN, chip_id=CHIP[:9]),
    "a hidden chip": report(5, AttestationError, "hides", chip_id=b""),
    "a short number of a chip": given(
        5, AttestationError, "4 bytes", extended({f"{ARC}.4": CHIP[:4]}), report={"chip_id": CHIP[:4]}
    ),
    # 6 tcb
    "an older version": report(6, AttestationError, "microcode is at 218 in the report", reported_tcb=MILAN.tcb(microcode=218)),
    "a newer version": report(6, AttestationError, "snp is at 25 in the report", reported_tcb=MILAN.tcb(snp=25)),
    "a certificate of an older version": given(
        6, AttestationError, "at 3 in the certificate", leaf(extensions=MILAN.extensions(bootloader=3))
    ),
    "a reserved byte that differs": report(
        6, AttestationError, "spl5 is at 1", reported_tcb=MILAN.tcb(spl5=1), current_tcb=MILAN.tcb(spl5=1)
    ),
    "fmc that differs": report(6, AttestationError, "fmc is at 1", TURIN, reported_tcb=TURIN.tcb(fmc=1)),
    "reported above current": report(6, AttestationError, "reported tee is at 1, above", current_tcb=MILAN.tcb(tee=0)),
    "launched above current": report(6, AttestationError, "launch tee is at 2, above", launch_tcb=MILAN.tcb(tee=2)),
    "committed above current": report(6, AttestationError, "committed tee is at 2, above", committed_tcb=MILAN.tcb(tee=2)),
    # 7 signature
    "another signature": report(7, SignatureError, "snp report", r=5),
    "no signature": report(7, SignatureError, "snp report", r=0, s=0),
    "a number beyond the curve": report(7, SignatureError, "snp report", r=CURVE_ORDER),
    "a report of another key": given(7, SignatureError, "snp report", of(FakeAmd(key=shared_key("p384", "other")))),
    # 8 guest
    "a report that the hypervisor asked for": report(8, AttestationError, "hypervisor", vmpl=FROM_HOST),
    "a migration agent": report(8, AttestationError, "migration agent", policy=0x70000, report_id_ma=b"a" * 32),
}
