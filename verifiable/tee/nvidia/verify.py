# SPDX-License-Identifier: Apache-2.0
"""The numbered verification of a GPU's report, the same here, in docs/formats/attestation/nvidia.md and in the output."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from verifiable.checklist import Checklist, Step
from verifiable.errors import AttestationError, MalformedError, TrustError
from verifiable.tee import x509
from verifiable.tee.evidence import VerifiedEvidence
from verifiable.tee.nvidia.collateral import Collateral
from verifiable.tee.nvidia.dice import Device
from verifiable.tee.nvidia.manifest import GoldenValues, Manifest, require_whole
from verifiable.tee.nvidia.opaque import Opaque
from verifiable.tee.nvidia.report import SIGNATURE_SIZE, GpuReport
from verifiable.tee.roots import Root, Roots
from verifiable.tee.x509 import Certificate

NAMES = ("collateral", "certificates", "device", "signature", "driver", "vbios", "measurements", "revocation")
#: Kinds of roots: of devices, and of whoever signs golden values.
DEVICES, MANIFESTS = "nvidia", "nvidia-rim"
#: DER AlgorithmIdentifier of ecdsa-with-SHA384 (RFC 5758 §3.2).
_ECDSA_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")
#: The measurement of the video decoder NVDEC0, which NVIDIA's own verifiers leave out where that decoder is off.
_NVDEC0_INDEX = 35
_HOPPER = "GH100"


def verify(report: GpuReport, *, at: datetime, roots: Roots, collateral: Sequence[bytes] = ()) -> VerifiedEvidence:
    """See :meth:`verifiable.tee.evidence.Evidence.verify`.

    1. collateral: the device's certificates, one manifest of golden values for its driver, one for its VBIOS, revocation lists
    2. certificates: one chain in order, from a key that may sign, each current at ``at``, to a trusted root for devices
    3. device: the certificate names an NVIDIA chip and its firmware, and the report the same
    4. signature: ECDSA P-384 with SHA-384, by that key, over request and response
    5. driver: its golden values are signed by a chain to a trusted root for golden values, and are for this chip and driver
    6. vbios: likewise, for this chip and VBIOS
    7. measurements: each active golden value is met
    8. revocation: where lists are given, they are current, and no certificate of the three chains is on one
    """
    steps, said = Checklist(NAMES), report.opaque
    with steps.step(1) as step:
        given = Collateral.sort(collateral, said)
        step.note(f"{len(collateral)} pieces, nothing else")
    with steps.step(2) as step:
        chain, anchor = _chain(given.certificates, roots, at)
        leaf = chain[0]
        step.note(f"{len(chain)} to {anchor.name} ({anchor.fingerprint})")
    with steps.step(3) as step:
        device = _device(leaf, report, step)
    with steps.step(4) as step:
        _signature(report, leaf)
        step.note(f"by {leaf.name}")
    with steps.step(5) as step:
        driver, driver_chain = _golden_values(given.driver, _driver_name(device, said), device, roots=roots, at=at, step=step)
    with steps.step(6) as step:
        vbios, vbios_chain = _golden_values(given.vbios, _vbios_name(said), device, roots=roots, at=at, step=step)
    with steps.step(7) as step:
        _measurements(report, {"driver": driver, "vbios": vbios}, step)
    with steps.step(8) as step:
        _revocation(given, (chain, driver_chain, vbios_chain), at, step)
    return _verified(report, device, anchor, at, steps)


def _chain(certificates: tuple[Certificate, ...], roots: Roots, at: datetime) -> tuple[tuple[Certificate, ...], Root]:
    if not certificates:
        raise TrustError(
            "nvidia report: the certificates of the GPU that signed it are not here",
            hint="give them: --collateral FILE, the chain in PEM that NVML hands out beside the report",
        )
    anchors, leaf = roots.of(DEVICES), certificates[0]
    chain = x509.follow(leaf, certificates[1:], [root.certificate for root in anchors], at=at, what="nvidia report")
    require_whole(certificates, chain, what="nvidia report")
    if leaf.path_length != -1 or x509.KEY_USAGE not in leaf.extensions:
        raise AttestationError(f"the certificate of {leaf.name} is an authority's, or does not say what it is for")
    leaf.require_usage(x509.DIGITAL_SIGNATURE, what="signing measurements")
    return chain, next(root for root in anchors if root.certificate == chain[-1])


def _device(leaf: Certificate, report: GpuReport, step: Step) -> Device:
    device, said = Device.of(leaf), report.opaque
    if said.chip and said.chip != device.chip:
        raise AttestationError(f"nvidia report: of a {said.chip}, signed by a {device.chip}")
    if said.fwid and said.fwid != device.fwid:
        raise AttestationError("nvidia report: the firmware that made it is not the one in its certificate")
    step.note(f"{device.chip} {device.serial}")
    step.note(f"firmware {device.fwid.hex()[:16]}{'' if said.fwid else ', by its certificate alone'}")
    return device


def _signature(report: GpuReport, leaf: Certificate) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    key = leaf.key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise AttestationError("nvidia report: its certificate's key is not on P-384")
    half = SIGNATURE_SIZE // 2
    r, s = (int.from_bytes(part, "big") for part in (report.signature[:half], report.signature[half:]))
    x509.verify(leaf.public_key, _ECDSA_SHA384, encode_dss_signature(r, s), report.signed, what="nvidia report")


def _golden_values(
    manifest: Manifest | None, name: str, device: Device, *, roots: Roots, at: datetime, step: Step
) -> tuple[GoldenValues, tuple[Certificate, ...]]:
    if manifest is None:
        raise TrustError(
            f"nvidia report: the golden values {name} are not here",
            hint=f"give the file: --collateral FILE; NVIDIA's RIM service has it (field `rim`, in base64): "
            f"https://rim.attestation.nvidia.com/v1/rim/{name}",
        )
    anchors = [root.certificate for root in roots.of(MANIFESTS)]
    values, chain = manifest.verify(anchors, at=at, what=f"golden values {name}")
    if values.product != device.chip:
        raise AttestationError(f"golden values for version {values.version} are for a {values.product}, not a {device.chip}")
    if not values.active:
        raise AttestationError(f"golden values {name}: none of them is active, so anything would meet them")
    step.note(f"{len(values.active)} active, for {values.product} {values.version}")
    step.note(f"by {chain[0].name}, to {chain[-1].name}")
    return values, chain


def _driver_name(device: Device, said: Opaque) -> str:
    """By which NVIDIA's RIM service knows them; so :func:`_vbios_name`."""
    return f"{'NV_GPU_DRIVER' if device.chip == _HOPPER else 'NV_GPU_CC_DRIVER'}_{device.chip}_{said.driver}"


def _vbios_name(said: Opaque) -> str:
    parts = (said.project, said.project_sku, said.chip_sku, said.vbios.replace(".", ""))
    return f"NV_GPU_VBIOS_{'_'.join(parts)}".upper()


def _measurements(report: GpuReport, golden: Mapping[str, GoldenValues], step: Step) -> None:
    """Golden values count from 0, SPDM's measurements from 1."""
    measured = {measurement.index - 1: measurement.value for measurement in report.measurements}
    wanted: dict[int, str] = {}
    wrong: list[str] = []
    for source, values in golden.items():
        met = 0
        for each in values.active:
            if each.index in wanted:
                raise AttestationError(f"golden values of {wanted[each.index]} and {source} both rule measurement {each.index}")
            wanted[each.index] = source
            if measured.get(each.index) in each.values:
                met += 1
            elif each.index == _NVDEC0_INDEX and report.opaque.nvdec0 is False:
                step.note(f"measurement {each.index} not compared: the decoder that it is of is off")
            else:
                wrong.append(f"{each.index} ({source})")
        step.note(f"{met} of {len(values.active)} by {source}")
    if wrong:
        raise AttestationError(f"nvidia report: not as NVIDIA made it: measurements {', '.join(wrong)}")
    step.note(f"{len(measured.keys() - wanted.keys())} that nothing rules")


def _revocation(given: Collateral, chains: Iterable[tuple[Certificate, ...]], at: datetime, step: Step) -> None:
    if not given.lists:
        step.skip("no list was given; NVIDIA answers for single certificates (OCSP), which takes a network")
        return
    issued = {subject.der: (subject, issuer) for chain in chains for subject, issuer in itertools.pairwise(chain)}
    for revoked in given.lists:
        covered = [(subject, issuer) for subject, issuer in issued.values() if issuer.subject == revoked.issuer]
        if not covered:
            raise MalformedError(f"the revocation list of {revoked.name} is of no authority that stands behind this report")
        for subject, issuer in covered:
            revoked.verify(issuer, at=at)
            revoked.require_unrevoked(subject)
        step.note(f"{len(covered)} not revoked by {revoked.name}")


def _verified(report: GpuReport, device: Device, anchor: Root, at: datetime, steps: Checklist) -> VerifiedEvidence:
    said = report.opaque
    board = "_".join(part for part in (said.project, said.project_sku, said.chip_sku) if part)
    versions = {"driver": said.driver, "vbios": said.vbios, "gpu": device.chip, "board": board, "mode": said.mode}
    return VerifiedEvidence(
        kind=report.kind,
        at=at,
        report_data=report.report_data,
        measurements={
            **{name: value for name, value in versions.items() if value},
            "fwid": device.fwid.hex(),
            **{f"msr-{each.index - 1:02}": each.value.hex() for each in report.measurements},
        },
        anchor=anchor,
        checks=steps.checks,
        debug=device.debug,
        tcb={} if device.svn is None else {"svn": device.svn},
        identity={"chip": device.chip, "serial": device.serial},
    )


__all__ = ["DEVICES", "MANIFESTS", "NAMES", "verify"]
