# SPDX-License-Identifier: Apache-2.0
"""A report as evidence: eight numbered checks, the same here, in docs/formats/attestation/snp.md and in the output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from verifiable.checklist import Checklist, Step
from verifiable.encoding.record import format_time
from verifiable.errors import AttestationError, MalformedError, TrustError
from verifiable.tee.crl import RevocationList
from verifiable.tee.evidence import VerifiedEvidence
from verifiable.tee.roots import Root, Roots
from verifiable.tee.snp import tcb
from verifiable.tee.snp.certs import SERVICE, Collateral, shipped_authorities
from verifiable.tee.snp.endorsement import Endorsement
from verifiable.tee.snp.report import FROM_HOST, MIGRATION_AGENT, NO_AGENT, Report
from verifiable.tee.x509 import Certificate, common_name, follow, verify

NAMES = ("collateral", "chain", "revocation", "key", "chip", "tcb", "signature", "guest")
#: A key's certificate, AMD's authority, AMD's root.
_CHAIN = 3
_ECDSA_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpEvidence:
    """A parsed report that can be verified."""

    report: Report

    @property
    def kind(self) -> str:
        return "snp"

    @property
    def report_data(self) -> bytes:
        """64 bytes."""
        return self.report.report_data

    def encode(self) -> bytes:
        """The report's 1,184 bytes."""
        return self.report.encode()

    def verify(self, *, at: datetime, roots: Roots, collateral: Sequence[bytes] = ()) -> VerifiedEvidence:
        """What the report establishes at ``at`` (aware) under ``roots``.

        ``collateral``: the certificate of the VCEK or VLEK, DER or PEM; where wanted its issuer's and the root's, and AMD's
        revocation lists, DER. Raises MalformedError, TrustError, SignatureError, AttestationError, StaleError, UnsupportedError.

        1. collateral: one certificate of a key that signs reports
        2. chain: from it through AMD's signing key to a root of ``roots``, all valid at ``at``
        3. revocation: each list given is the root's, current at ``at``, and names none of the chain; skipped without a list
        4. key: of the kind that the report says signed it, on P-384, certified for this generation of processors
        5. chip: the report's is the certificate's; for a VLEK, which has none, the provider is noted
        6. tcb: the reported versions are the certificate's, and none is above the current ones
        7. signature: over the report
        8. guest: it asked for the report itself, and no migration agent stands beside it
        """
        report = self.report
        steps = Checklist(NAMES)
        with steps.step(1) as step:
            given = Collateral.sort(collateral, report)
            step.note(f"a certificate of {given.leaf.name}, {len(given.authorities)} of authorities")
        with steps.step(2) as step:
            chain, anchor = _chain(given, roots, at)
            step.note(f"{' <- '.join(c.name for c in chain)}, valid at {format_time(at)}")
        with steps.step(3) as step:
            _revocation(given.lists, chain, at, step)
        with steps.step(4) as step:
            endorsement = Endorsement.of(given.leaf)
            _key(report, endorsement, chain)
            step.note(f"{endorsement.kind} for {endorsement.product}")
        with steps.step(5) as step:
            step.note(_chip(report, endorsement))
        with steps.step(6) as step:
            reported = _tcb(report, endorsement)
            step.note(", ".join(f"{name} {version}" for name, version in reported.items()))
        with steps.step(7) as step:
            _signature(report, endorsement)
            step.note("ECDSA P-384 with SHA-384")
        with steps.step(8) as step:
            step.note(_guest(report))
        return VerifiedEvidence(
            kind=self.kind,
            at=at,
            report_data=report.report_data,
            measurements=_measurements(report),
            anchor=anchor,
            checks=steps.checks,
            debug=report.debug,
            tcb=reported,
            identity=_identity(report, endorsement),
        )


def _chain(given: Collateral, roots: Roots, at: datetime) -> tuple[tuple[Certificate, ...], Root]:
    known = roots.of("snp")
    if not known:
        raise TrustError("snp: no root is trusted for it", hint="AMD's come with this package")
    pool = (*given.authorities, *(each for each in shipped_authorities() if each not in given.authorities))
    if not any(each.subject == given.leaf.issuer for each in (*pool, *(root.certificate for root in known))):
        raise TrustError(
            f"snp: the certificate of {common_name(given.leaf.issuer)}, which signed that of {given.leaf.name}, is not here",
            hint=f"give AMD's chain: --collateral FILE; it is at {SERVICE}/vcek/v1/PRODUCT/cert_chain, a VLEK's below /vlek",
        )
    chain = follow(given.leaf, pool, [root.certificate for root in known], at=at, what="snp", longest=_CHAIN)
    given.require_needed(chain)
    return chain, next(root for root in known if root.certificate == chain[-1])


def _revocation(lists: tuple[RevocationList, ...], chain: tuple[Certificate, ...], at: datetime, step: Step) -> None:
    for each in lists:
        if each.issuer != chain[-1].subject:
            raise MalformedError(f"snp: the revocation list of {each.name} given is not one of {chain[-1].name}")
        each.verify(chain[-1], at=at)
        for certificate in chain:
            if certificate.issuer == each.issuer:
                each.require_unrevoked(certificate)
        step.note(f"not on the list of {each.name} of {format_time(each.this_update)}")
    if not lists:
        step.skip("no revocation list was given")


def _key(report: Report, endorsement: Endorsement, chain: tuple[Certificate, ...]) -> None:
    if report.signing_key == "none" or (report.mask_chip_key and report.signing_key == "vcek"):
        raise AttestationError("snp: the report says itself that it is not signed")
    if report.signing_key != endorsement.kind:
        raise AttestationError(f"snp: signed with a {report.signing_key}, and the certificate is of a {endorsement.kind}")
    endorsement.require_issued(chain)
    endorsement.require_curve()
    generation = endorsement.generation
    if report.cpuid is not None and not generation.includes(*report.cpuid[:2]):
        family, model, _ = report.cpuid
        raise AttestationError(f"snp: processor family {family:#x} model {model:#x} is none of {generation.name}")


def _chip(report: Report, endorsement: Endorsement) -> str:
    if endorsement.kind == "vlek":
        return f"not named by a vlek; the provider is {endorsement.provider}"
    if not any(report.chip_id):
        raise AttestationError(
            "snp: the report hides which chip it is from", hint="the machine's owner can allow it: MASK_CHIP_ID=0"
        )
    if len(endorsement.hardware_id) != endorsement.generation.chip_id_size:
        raise AttestationError(f"snp: a chip's number of {len(endorsement.hardware_id)} bytes in the certificate")
    if report.chip_id != endorsement.hardware_id.ljust(len(report.chip_id), b"\0"):
        raise AttestationError("snp: the report is of another chip than the certificate")
    return f"{endorsement.hardware_id.hex()[:16]}..."


def _tcb(report: Report, endorsement: Endorsement) -> dict[str, int]:
    """The reported versions by component, and those at the guest's launch behind ``launch-``."""
    components = endorsement.generation.components
    reported, current, launch = map(components, (report.reported_tcb, report.current_tcb, report.launch_tcb))
    for name, version in reported.items():
        if version != endorsement.tcb[name]:
            raise AttestationError(f"snp: {name} is at {version} in the report, at {endorsement.tcb[name]} in the certificate")
    for what, versions in (("reported", reported), ("launch", launch), ("committed", components(report.committed_tcb))):
        for name, version in versions.items():
            if version > current[name]:
                raise AttestationError(f"snp: {what} {name} is at {version}, above the current {current[name]}")
    return tcb.named(reported) | {f"launch-{name}": version for name, version in tcb.named(launch).items()}


def _signature(report: Report, endorsement: Endorsement) -> None:
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    certificate = endorsement.certificate
    verify(certificate.public_key, _ECDSA_SHA384, encode_dss_signature(report.r, report.s), report.signed, what="snp report")


def _guest(report: Report) -> str:
    if report.vmpl == FROM_HOST:
        raise AttestationError("snp: the hypervisor asked for the report, not the guest")
    if report.policy & MIGRATION_AGENT and report.report_id_ma != NO_AGENT:
        raise AttestationError("snp: a migration agent, of which nothing is known here, may take the guest's memory elsewhere")
    return f"asked at privilege level {report.vmpl}"


def _measurements(report: Report) -> dict[str, str]:
    found = {
        "measurement": report.measurement.hex(),
        "host-data": report.host_data.hex(),
        "id-key-digest": report.id_key_digest.hex(),
        "author-key-digest": report.author_key_digest.hex(),
        "family-id": report.family_id.hex(),
        "image-id": report.image_id.hex(),
        "guest-svn": str(report.guest_svn),
        "policy": f"{report.policy:016x}",
        "platform-info": f"{report.platform_info:016x}",
        "vmpl": str(report.vmpl),
    }
    if report.launch_mitigations is not None and report.current_mitigations is not None:
        found["launch-mitigations"] = f"{report.launch_mitigations:016x}"
        found["current-mitigations"] = f"{report.current_mitigations:016x}"
    return found


def _identity(report: Report, endorsement: Endorsement) -> dict[str, str]:
    found = {
        "product": endorsement.product,
        "signing-key": endorsement.kind,
        "chip-id": report.chip_id.hex(),
        "provider": endorsement.provider,
        "report-id": report.report_id.hex(),
        "firmware": ".".join(map(str, report.firmware)),
        "committed-firmware": ".".join(map(str, report.committed_firmware)),
        "current-tcb": report.current_tcb.hex(),
        "committed-tcb": report.committed_tcb.hex(),
    }
    return {name: value for name, value in found.items() if value.strip("0")}


__all__ = ["NAMES", "SnpEvidence"]
