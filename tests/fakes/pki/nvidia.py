# SPDX-License-Identifier: Apache-2.0
"""A fake NVIDIA: GPUs that report whatever a test wants, under a root for devices, and golden values under a root of their own.

The chains are the real ones': root, chip, provisioner, the boot ROM of one GPU, and the firmware that signs; root, chip, signers,
one signer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.signer import XMLSigner

from tests.fakes.pki.authority import Authority, pem, public_der
from verifiable.tee.nvidia import Field, Measurement
from verifiable.tee.roots import Roots

DRIVER, VBIOS, SERIAL = "550.90.07", "96.00.9F.00.01", "48B02D0123456789"
FWID = hashlib.sha384(b"firmware").digest()
COUNT = 64
#: As NVIDIA divides them: what its VBIOS and its driver rule of the measurements, which it counts from 0.
VBIOS_INDICES, DRIVER_INDICES = (0, 1, 2, 8), (7, 21, 22, 35)
COMPOSITE, TCB_INFO, ALTERNATIVE_NAME = "2.23.133.5.4.1", "2.23.133.5.4.1.1", "2.5.29.17"
SWID, SHA384 = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd", "http://www.w3.org/2001/04/xmlenc#sha384"
_SHA384_OID = bytes.fromhex("0609608648016503040202")


def measured(index: int) -> bytes:
    """What a sound GPU measures at ``index``, from 0."""
    return hashlib.sha384(b"measurement %d" % index).digest()


def golden(indices: Sequence[int]) -> dict[int, Sequence[bytes]]:
    """What a sound GPU's manifest allows at each."""
    return {index: (measured(index),) for index in indices}


@dataclass
class FakeNvidia:
    """``chip``: ``GH100`` is certified and reports as Hopper does, another as Blackwell. Keys are made once."""

    chip: str = "GH100"
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of certificates, by the names of the properties below: what to issue them with instead."""

    @cached_property
    def device_root(self) -> Authority:
        return Authority.root("Fake Device Identity CA", **self._of("device_root"))

    @cached_property
    def identity(self) -> Authority:
        return self.device_root.authority(f"Fake {self.chip} Identity", **self._of("identity"))

    @cached_property
    def provisioner(self) -> Authority:
        return self.identity.authority(f"Fake {self.chip} Provisioner", **self._of("provisioner"))

    @cached_property
    def boot_rom(self) -> Authority:
        return self.provisioner.authority(f"{self.chip} BROM", **({"usage": ("key_cert_sign",)} | self._of("boot_rom")))

    @cached_property
    def firmware(self) -> Authority:
        """What signs reports."""
        return self.leaf()

    @cached_property
    def rim_root(self) -> Authority:
        return Authority.root("Fake RIM Root CA", **self._of("rim_root"))

    @cached_property
    def rim_chip(self) -> Authority:
        return self.rim_root.authority(f"Fake Reference Value {self.chip} CA", **self._of("rim_chip"))

    @cached_property
    def rim_signers(self) -> Authority:
        return self.rim_chip.authority("Fake Reference Value L3", **({"path_length": 0} | self._of("rim_signers")))

    @cached_property
    def signer(self) -> Authority:
        """What signs manifests."""
        return self.rim_signers.authority("Fake RIM Signer", **({"ca": False} | self._of("signer")))

    @property
    def roots(self) -> Roots:
        return self.device_root.roots("nvidia", name="fake-device") + self.rim_root.roots("nvidia-rim", name="fake-rim")

    def leaf(
        self, *, fwid: bytes = FWID, debug: bool = False, device: str = "", dice: tuple[str, bytes] | None = None, **fields: Any
    ) -> Authority:
        """The firmware of a GPU; ``dice``: another extension for its id, as (OID, DER)."""
        hopper = self.chip == "GH100" and not debug
        own = (COMPOSITE, composite(fwid, self.boot_rom.key)) if hopper else (TCB_INFO, tcb_info(fwid, debug=debug))
        oid, value = dice or own
        extensions = [
            (ALTERNATIVE_NAME, device_info(device or f"NVIDIA:{self.chip}:{SERIAL}"), False),
            (oid, value, False),
        ]  # fmt: skip
        wanted = {"ca": False, "constraints": False, "extensions": extensions}
        return self.boot_rom.authority(f"{self.chip} FMC", **(wanted | self._of("firmware") | fields))

    def manifest(
        self,
        version: str = DRIVER,
        values: Mapping[int, Sequence[bytes]] | None = None,
        *,
        product: str = "",
        signer: Authority | None = None,
        chain: Sequence[x509.Certificate] | None = None,
    ) -> bytes:
        """Golden values: ``values`` by index, all others inactive, as NVIDIA lists them."""
        by = signer or self.signer
        document = tag(version, golden(DRIVER_INDICES) if values is None else values, product=product or self.chip)
        return sign_manifest(etree.fromstring(document), by, chain)

    def report(
        self,
        *,
        report_data: bytes = bytes(64),
        driver: str = DRIVER,
        vbios: str = VBIOS,
        measurements: Mapping[int, bytes] | None = None,
        opaque: Mapping[int, bytes | None] | None = None,
        firmware: Authority | None = None,
        signature: bytes | None = None,
    ) -> bytes:
        """``measurements``: other values by index, from 0; ``opaque``: other fields by number, None to leave one out."""
        values = {index: measured(index) for index in range(COUNT)} | dict(measurements or {})
        blocks = [Measurement(index=index + 1, type=1, value=value) for index, value in values.items()]
        fields = self._opaque(driver, vbios) | dict(opaque or {})
        records = [Field(type=number, value=value) for number, value in fields.items() if value is not None]
        signed = transcript(report_data[:32], blocks, records)
        return signed + (sign(signed, (firmware or self.firmware).key) if signature is None else signature)

    def mint(
        self, *, report_data: bytes = bytes(64), debug: bool = False, driver: str = DRIVER, vbios: str = VBIOS, **fields: Any
    ) -> tuple[bytes, tuple[bytes, ...], Roots]:
        """Evidence, its collateral (certificates, driver, VBIOS), and the roots that it holds under. Of ``report_data`` the GPU
        signs 32 bytes. ``debug``: the certificate says so, which only the newer layout can. ``fields``: as for :meth:`report`.
        """
        firmware = fields.pop("firmware", None) or (self.leaf(debug=True) if debug else self.firmware)
        evidence = self.report(report_data=report_data, driver=driver, vbios=vbios, firmware=firmware, **fields)
        collateral = (
            pem(*firmware.chain),
            self.manifest(driver),
            self.manifest(vbios, golden(VBIOS_INDICES)),
        )  # fmt: skip
        return evidence, collateral, self.roots

    def _opaque(self, driver: str, vbios: str) -> dict[int, bytes | None]:
        a, b, c, d, e = bytes.fromhex(vbios.replace(".", ""))
        fields: dict[int, bytes | None] = {
            6: bytes((d, c, b, a, e, 0, 0, 0)), 14: b"\x01\x03\0\0", 15: b"882".ljust(9, b"\0"), 17: b"1010\0", 18: b"0200\0",
            3: driver.encode() + b"\0", 11: b"\xaa", 20: FWID,
        }  # fmt: skip
        hopper: dict[int, bytes | None] = {21: b"\x55"}
        blackwell: dict[int, bytes | None] = {35: self.chip.encode() + b"\0", 34: b"\x01\0", 36: b"\x01\0"}
        return fields | (hopper if self.chip == "GH100" else blackwell)

    def _of(self, name: str) -> dict[str, Any]:
        return dict(self.fields.get(name, {}))


def transcript(nonce: bytes, blocks: Sequence[Measurement], fields: Sequence[Field], *, slot: int = 0) -> bytes:
    """Request and response without the signature, written out by hand (DSP0274 1.1, GET_MEASUREMENTS)."""
    record = b"".join(bytes((b.index, 1)) + _sized(bytes((b.type,)) + _sized(b.value)) for b in blocks)
    opaque = b"".join(f.type.to_bytes(2, "little") + _sized(f.value) for f in fields)
    request = bytes.fromhex("11e001ff") + nonce + bytes((slot,))
    head = bytes((0x11, 0x60, 0, slot, len(blocks))) + len(record).to_bytes(3, "little")
    return request + head + record + hashlib.sha256(nonce).digest() + _sized(opaque)


def sign(data: bytes, key: Any) -> bytes:
    """r and s, 48 bytes each."""
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA384())))
    return r.to_bytes(48, "big") + s.to_bytes(48, "big")


def tag(version: str, values: Mapping[int, Sequence[bytes]], *, product: str = "GH100") -> bytes:
    """The software identity tag of a manifest, unsigned, as NVIDIA writes it."""
    lines = []
    for index in range(COUNT):
        allowed = values.get(index, (bytes(48),))
        hashed = " ".join(f'ns2:Hash{i}="{value.hex()}"' for i, value in enumerate(allowed))
        lines.append(
            f'        <ns0:Resource type="Measurement" index="{index}" active="{index in values}" alternatives="{len(allowed)}" '
            f'{hashed} name="Measurement_{index}" size="48"/>\n'
        )
    return (
        f'<SoftwareIdentity xmlns="{SWID}" xmlns:ns0="{SWID}" xmlns:ns2="{SHA384}" name="{product}" tagVersion="0">\n'
        f'    <ns0:Entity name="Fake Corporation" role="softwareCreator tagCreator"/>\n'
        f'    <ns0:Meta colloquialVersion="{version}" edition="GPU" product="{product}" revision="r1"/>\n'
        f'    <ns0:Payload xmlns:SHA384="{SHA384}">\n{"".join(lines)}    </ns0:Payload>\n</SoftwareIdentity>'
    ).encode()


def sign_manifest(root: Any, signer: Authority, chain: Sequence[x509.Certificate] | None = None, **algorithms: Any) -> bytes:
    """``root`` with an enveloped signature by ``signer``; ``chain``: other certificates to put beside it."""
    chosen: dict[str, Any] = {
        "signature_algorithm": SignatureMethod.ECDSA_SHA384,
        "digest_algorithm": DigestAlgorithm.SHA384,
        "c14n_algorithm": CanonicalizationMethod.CANONICAL_XML_1_1,
    }
    signed = XMLSigner(**(chosen | algorithms)).sign(root, key=signer.key, cert=list(signer.chain if chain is None else chain))
    return etree.tostring(signed)


def composite(fwid: bytes, key: Any, *, version: int = 1) -> bytes:
    """RIoT's CompositeDeviceID: version, the key of the layer below, FWID."""
    return der(0x30, der(2, bytes((version,))), public_der(key), der(0x30, _SHA384_OID, der(4, fwid)))


def tcb_info(fwid: bytes, *, debug: bool = False, svn: int = 1, flags: bytes | None = None) -> bytes:
    """TCG's DiceTcbInfo with the fields that Blackwell has in it."""
    fwids = (der(0x30, _SHA384_OID, der(4, fwid)), der(0x30, _SHA384_OID, der(4, bytes(48))))
    return der(
        0x30, der(0x80, b"NVIDIA"), der(0x81, b"GB100 A01 GSP"), der(0x82, b"01"), der(0x83, bytes((svn,))), der(0x84, b"\0"),
        der(0x85, b"\0"), der(0xA6, *fwids), der(0x87, flags or (b"\0\x90\0\0\x01" if debug else b"\0\x80\0\0\x01")),
        der(0x88, b"\xc0\x89\x01\0"),
    )  # fmt: skip


def device_info(text: str) -> bytes:
    """SPDM's subjectAltName: an otherName with manufacturer, product and serial number."""
    oid = bytes.fromhex("060a2b06010401831c821201")
    return der(0x30, der(0xA0, oid, der(0xA0, der(12, text.encode()))))


def der(number: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    long = bytes((0x81, size)) if size < 256 else bytes((0x82, size >> 8, size & 255))
    return bytes((number,)) + (bytes((size,)) if size < 128 else long) + body


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "little") + data
