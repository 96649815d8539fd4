# SPDX-License-Identifier: Apache-2.0
"""The numbered verification of a quote, the same here, in docs/formats/attestation/dcap.md and in the output."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from verifiable.checklist import Checklist, Step
from verifiable.encoding.record import Record, format_time
from verifiable.errors import AttestationError, MalformedError, SignatureError, TrustError, UnsupportedError
from verifiable.tee import x509
from verifiable.tee.dcap import collateral as _collateral
from verifiable.tee.dcap import qvl
from verifiable.tee.dcap.collateral import Statement, Validity
from verifiable.tee.dcap.pck import EXTENSION, Platform
from verifiable.tee.dcap.reports import EnclaveReport, TdReport
from verifiable.tee.evidence import VerifiedEvidence
from verifiable.tee.roots import Root, Roots
from verifiable.tee.x509 import OTHER_ROOTS, Certificate

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

    from verifiable.tee.crl import RevocationList
    from verifiable.tee.dcap.quote import Quote

#: The numbered checks of docs/formats/attestation/dcap.md.
NAMES = (
    "collateral", "platform certificate", "revocation", "tcb info", "quoting enclave identity", "quoting enclave", "quote",
    "modes", "tcb level",
)  # fmt: skip
_PCK, _SIGNER = "Intel SGX PCK Certificate", "Intel SGX TCB Signing"
_AUTHORITIES = {"Intel SGX PCK Platform CA": "platform", "Intel SGX PCK Processor CA": "processor"}
_SGX_TYPES = ("standard", "scalable", "scalable with integrity")
#: kind -> what the statements about it are called.
_TCB_INFO = {"tdx": "TDX", "sgx": "SGX"}
_QE_IDENTITY = {"tdx": "TD_QE", "sgx": "QE"}
_TCB_INFO_VERSION, _QE_IDENTITY_VERSION = 3, 2
_OWN = "give the collateral that was got for this very quote"


def verify(quote: Quote, *, at: datetime, roots: Roots, collateral: Sequence[bytes]) -> VerifiedEvidence:
    """See :meth:`verifiable.tee.evidence.Evidence.verify`.

    1. collateral: one file; all chains in it and in the quote end in one trusted root; its PCK authority is the quote's
    2. platform certificate: the PCK certificate in the quote leads to that root, is an Intel PCK certificate, and current
    3. revocation: both lists are signed and current, and neither the root, the authority nor the platform is on them
    4. tcb info: signed by Intel's TCB signing certificate, current, for this kind, this model of processor and this PCE
    5. quoting enclave identity: likewise signed, current, and for this kind
    6. quoting enclave: its report is signed by the platform's key and names the attestation key
    7. quote: signed by the attestation key
    8. modes: not debug
    9. tcb level: the whole again by dcap_qvl, with the identity of the quoting enclave, the modes of a trust domain and Intel's
       word for the platform's patch level, which is not that it is revoked
    """
    steps, kind = Checklist(NAMES), quote.kind
    with steps.step(1) as step:
        found = _collateral.find(collateral, kind=kind)
        anchor = _anchor(quote, roots)
        for chain in (found.pck_crl_chain, found.tcb_info.chain, found.qe_identity.chain):
            if chain[-1] != anchor.certificate:
                raise TrustError(
                    f"{kind} collateral: the root of {chain[0].name} is not that of the quote, {anchor.name}", hint=_OWN
                )
        if found.pck_crl_chain != quote.chain[1:] or found.pck_chain not in {None, quote.certification_data}:
            raise AttestationError(
                f"{kind} collateral: of {found.pck_crl_chain[0].name}, not of the quote's own PCK authority", hint=_OWN
            )
        step.note(f"under {anchor.name} ({anchor.fingerprint})")
    with steps.step(2) as step:
        platform = _platform(quote, anchor, at)
        step.note(f"model {platform.fmspc.hex()}, by {quote.chain[1].name}")
    with steps.step(3) as step:
        root_list, pck_list = found.revocation_lists()
        root_list.verify(anchor.certificate, at=at)
        pck_list.verify(quote.chain[1], at=at)
        for revocations, certificate in (
            (root_list, anchor.certificate),
            (root_list, quote.chain[1]),
            (pck_list, quote.chain[0]),
        ):
            revocations.require_unrevoked(certificate)
        step.note(f"none of these among {len(root_list.revoked)} and {len(pck_list.revoked)} revoked")
    signed = _Signed(anchor=anchor.certificate, revocations=root_list, at=at)
    with steps.step(4) as step:
        tcb = _tcb_info(signed.open(found.tcb_info, what=f"{kind} TCB info"), kind, platform, at, step)
    with steps.step(5) as step:
        qe = _qe_identity(signed.open(found.qe_identity, what=f"{kind} QE identity"), kind, at, step)
    with steps.step(6) as step:
        _quoting_enclave(quote)
        step.note(f"mrsigner {quote.qe_report.mr_signer.hex()}, version {quote.qe_report.isv_svn}")
    with steps.step(7) as step:
        _require_signature(_attestation_key(quote), quote.signature, quote.signed, what=f"{kind} quote")
        step.note(f"version {quote.header.version}, by the attestation key")
    with steps.step(8) as step:
        if quote.report.debug:
            raise AttestationError(f"{kind}: in debug mode, where the machine's owner can look inside and change things")
        step.note("debug off")
    with steps.step(9) as step:
        seconds = int(at.timestamp())
        verdict = qvl.judge(quote.encode_unpadded(), found, root=anchor.certificate.der, seconds=seconds, kind=kind)
        step.note(", ".join((verdict.status, *verdict.advisories)))
    return VerifiedEvidence(
        kind=kind,
        at=at,
        report_data=quote.report_data,
        measurements=quote.report.measurements(),
        anchor=anchor,
        checks=steps.checks,
        debug=quote.report.debug,
        tcb=_versions(quote.report) | {"pcesvn": platform.pce_svn, "qesvn": quote.qe_report.isv_svn, "evaluation": min(tcb, qe)},
        tcb_status=verdict.status,
        advisories=verdict.advisories,
        identity=_identity(quote, platform),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    """What it takes to believe a statement of Intel's."""

    anchor: Certificate
    revocations: RevocationList
    at: datetime

    def open(self, statement: Statement, *, what: str) -> dict[str, Any]:
        """The fields of a statement whose signature holds, under a TCB signing certificate that the root itself issued: a
        platform's key may sign no statement about platforms.
        """
        signer = statement.chain[0]
        x509.follow(signer, (), [self.anchor], at=self.at, what=what)
        _require_signer(signer, _SIGNER)
        self.revocations.require_unrevoked(signer)
        _require_signature(_p256(signer), statement.signature, statement.text.encode(), what=what)
        return statement.fields(what=what)


def _anchor(quote: Quote, roots: Roots) -> Root:
    last = quote.chain[-1]
    for root in roots.of(quote.kind):
        if root.certificate == last:
            return root
    raise TrustError(
        f"{quote.kind} quote: its certificates lead to {last.name!r}, which is no root that is trusted here", hint=OTHER_ROOTS
    )


def _platform(quote: Quote, anchor: Root, at: datetime) -> Platform:
    leaf, authority, _ = quote.chain
    x509.follow(leaf, (authority,), [anchor.certificate], at=at, what=f"{quote.kind} quote")
    if leaf.issuer != authority.subject or authority.name not in _AUTHORITIES:
        raise AttestationError(f"the certificate of {leaf.name} is not by an authority for PCK certificates")
    _require_signer(leaf, _PCK)
    return Platform.of(leaf)


def _require_signer(certificate: Certificate, name: str) -> None:
    """That it is what ``name`` says, signs, and is no authority; only a PCK certificate speaks of a processor."""
    if certificate.name != name or (EXTENSION in certificate.extensions) != (name == _PCK):
        raise AttestationError(f"the certificate of {certificate.name} is not one for {name}")
    if certificate.path_length != -1:
        raise AttestationError(f"the certificate of {certificate.name} is an authority's")
    certificate.require_usage(x509.DIGITAL_SIGNATURE, what="signing statements")


def _tcb_info(fields: dict[str, Any], kind: str, platform: Platform, at: datetime, step: Step) -> int:
    what = f"{kind} TCB info"
    validity = Validity.of(fields, what=what)
    validity.require_current(at, what=what)
    if (validity.id, validity.version) != (_TCB_INFO[kind], _TCB_INFO_VERSION):
        raise AttestationError(f"{what}: it is {validity.id} version {validity.version}, not {_TCB_INFO[kind]} version 3")
    record = Record(fields, what)
    if (number := record.integer("tcbType")) != 0:
        raise UnsupportedError(f"{what}: levels are compared in a way (tcbType {number}) that is not known here")
    for name, wanted in (("fmspc", platform.fmspc), ("pceId", platform.pce_id)):
        stated = record.text(name, max_length=16)
        if stated.lower() != wanted.hex():
            raise AttestationError(f"{what}: for {name} {stated}, the platform's is {wanted.hex()}", hint=_OWN)
    step.note(f"number {validity.evaluation}, until {format_time(validity.next_update)}")
    return validity.evaluation


def _qe_identity(fields: dict[str, Any], kind: str, at: datetime, step: Step) -> int:
    what = f"{kind} QE identity"
    validity = Validity.of(fields, what=what)
    validity.require_current(at, what=what)
    if (validity.id, validity.version) != (_QE_IDENTITY[kind], _QE_IDENTITY_VERSION):
        raise AttestationError(f"{what}: it is {validity.id} version {validity.version}, not {_QE_IDENTITY[kind]} version 2")
    step.note(f"number {validity.evaluation}, until {format_time(validity.next_update)}")
    return validity.evaluation


def _quoting_enclave(quote: Quote) -> None:
    what = f"{quote.kind} quote: report of its quoting enclave"
    _require_signature(_p256(quote.chain[0]), quote.qe_report_signature, quote.qe_report.encode(), what=what)
    named = hashlib.sha256(quote.attestation_key + quote.qe_auth_data).digest()
    if quote.qe_report.report_data != named + bytes(32):
        raise AttestationError(f"{what}: it vouches for another attestation key")


def _attestation_key(quote: Quote) -> ec.EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + quote.attestation_key)
    except ValueError as error:
        raise MalformedError(f"{quote.kind} quote: its attestation key is no point of P-256") from error


def _p256(certificate: Certificate) -> ec.EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    key = certificate.key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UnsupportedError(f"the certificate of {certificate.name} has a key that is not of P-256")
    return key


def _require_signature(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes, *, what: str) -> None:
    """``signature``: r and s, big-endian."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    half = len(signature) // 2
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    try:
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise SignatureError(f"{what}: its signature does not hold") from error


def _versions(report: EnclaveReport | TdReport) -> dict[str, int]:
    if isinstance(report, EnclaveReport):
        return {"isvsvn": report.isv_svn}
    found = {
        "tdx-module": report.tee_tcb_svn[0],
        "tdx-module-version": report.tee_tcb_svn[1],
        "tdx-microcode": report.tee_tcb_svn[2],
    }
    if now := report.tee_tcb_svn_current:
        found |= {"tdx-module-current": now[0], "tdx-module-version-current": now[1], "tdx-microcode-current": now[2]}
    return found


def _identity(quote: Quote, platform: Platform) -> dict[str, str]:
    found = {
        "fmspc": platform.fmspc.hex(),
        "ppid": platform.ppid.hex(),
        "pceid": platform.pce_id.hex(),
        "cpusvn": platform.cpu_svn.hex(),
        "platform-instance": platform.instance.hex(),
        "authority": _AUTHORITIES[quote.chain[1].name],
        "sgx-type": _SGX_TYPES[platform.sgx_type] if platform.sgx_type < len(_SGX_TYPES) else str(platform.sgx_type),
        "qe-id": quote.header.user_data[:16].hex(),
        **{name: "yes" if value else "no" for name, value in platform.flags},
    }
    return {name: value for name, value in found.items() if value}


__all__ = ["NAMES", "verify"]
