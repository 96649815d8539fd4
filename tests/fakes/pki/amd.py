# SPDX-License-Identifier: Apache-2.0
"""A fake AMD: roots, signing keys, chips' and cloud providers' keys, revocation lists, and reports signed with them.

Written from the tables of AMD's publications 56860 and 57230, apart from the code that reads them. Everything can be wrong on
purpose: any field of the report, any extension, name, date and key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from tests.fakes.pki.authority import Authority, pem, shared_key
from verifiable.tee import der
from verifiable.tee.roots import Roots

CHIP = bytes(range(1, 65))
TURIN_CHIP = bytes(range(1, 9))
ARC = "1.3.6.1.4.1.3704.1"
PROVIDER = "CN=somewhere.cloud.example"
COMPONENTS = {"bootloader": 1, "tee": 2, "snp": 3, "spl4": 4, "spl5": 5, "spl6": 6, "spl7": 7, "microcode": 8, "fmc": 9}
LAYOUTS = {
    "Milan": ("bootloader", "tee", "spl4", "spl5", "spl6", "spl7", "snp", "microcode"),
    "Genoa": ("bootloader", "tee", "spl4", "spl5", "spl6", "spl7", "snp", "microcode"),
    "Turin": ("fmc", "bootloader", "tee", "snp", "spl5", "spl6", "spl7", "microcode"),
}
CPUID = {"Milan": b"\x19\x01\x01", "Genoa": b"\x19\x11\x01", "Turin": b"\x1a\x02\x00"}
TCB = {"bootloader": 4, "tee": 1, "snp": 24, "microcode": 219}
#: name -> offset and size in the report.
FIELDS = {
    "version": (0x00, 4), "guest_svn": (0x04, 4), "policy": (0x08, 8), "family_id": (0x10, 16), "image_id": (0x20, 16),
    "vmpl": (0x30, 4), "signature_algo": (0x34, 4), "current_tcb": (0x38, 8), "platform_info": (0x40, 8), "flags": (0x48, 4),
    "reserved_4c": (0x4C, 4), "report_data": (0x50, 64), "measurement": (0x90, 48), "host_data": (0xC0, 32),
    "id_key_digest": (0xE0, 48), "author_key_digest": (0x110, 48), "report_id": (0x140, 32), "report_id_ma": (0x160, 32),
    "reported_tcb": (0x180, 8), "cpuid": (0x188, 3), "reserved_18b": (0x18B, 21), "chip_id": (0x1A0, 64),
    "committed_tcb": (0x1E0, 8), "current_version": (0x1E8, 3), "reserved_1eb": (0x1EB, 1), "committed_version": (0x1EC, 3),
    "reserved_1ef": (0x1EF, 1), "launch_tcb": (0x1F0, 8), "launch_mit_vector": (0x1F8, 8), "current_mit_vector": (0x200, 8),
    "reserved_208": (0x208, 152), "r": (0x2A0, 72), "s": (0x2E8, 72), "reserved_330": (0x330, 368),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FakeAmd:
    """Of one generation. ``kind``: ``vcek`` or ``vlek``. ``key``: the one that signs reports."""

    generation: str = "Milan"
    kind: str = "vcek"
    key: Any = field(default_factory=lambda: shared_key("p384", "endorsement"))

    @property
    def ark(self) -> Authority:
        return _root(self.generation)

    @property
    def ask(self) -> Authority:
        """The ASK; for a VLEK the ASVK."""
        return _signing(self.generation, self.kind)

    @property
    def roots(self) -> Roots:
        return self.ark.roots("snp", name="fake amd")

    @property
    def chain(self) -> bytes:
        """As the key distribution service has it: PEM, the root last."""
        return pem(*self.ask.chain)

    @property
    def chip_id(self) -> bytes:
        return TURIN_CHIP.ljust(64, b"\0") if self.generation == "Turin" else CHIP

    def tcb(self, **components: int) -> bytes:
        """The eight bytes: :data:`TCB` but for ``components``."""
        chosen = TCB | components
        return bytes(chosen.get(name, 0) for name in LAYOUTS[self.generation])

    def extensions(self, **components: int) -> dict[str, bytes]:
        """Of the key's certificate, for that TCB version."""
        chosen = TCB | components
        found = {
            f"{ARC}.1": _integer(int(self.generation == "Turin")),
            f"{ARC}.2": _ia5(self.generation if self.kind == "vlek" else f"{self.generation}-B1"),
        }
        found |= {f"{ARC}.3.{COMPONENTS[name]}": _integer(chosen.get(name, 0)) for name in LAYOUTS[self.generation]}
        if self.kind == "vlek":
            return found | {f"{ARC}.5": _ia5(PROVIDER)}
        return found | {f"{ARC}.4": TURIN_CHIP if self.generation == "Turin" else CHIP}

    def certificate(
        self, *, by: Authority | None = None, name: str = "", extensions: Mapping[str, bytes] | None = None, **fields: Any
    ) -> bytes:
        """DER of the key's certificate, with serial number 0 as AMD writes it. ``fields``: as for :func:`.authority.issue`."""
        given = self.extensions() if extensions is None else extensions
        issuer = by or self.ask
        certificate: x509.Certificate = issuer.issue(
            name or f"SEV-{self.kind.upper()}", self.key.public_key(), constraints=fields.pop("constraints", False),
            extensions=[(oid, value, False) for oid, value in given.items()], **fields,
        )  # fmt: skip
        return with_serial(certificate.public_bytes(Encoding.DER), 0, issuer.key)

    def report(self, *, debug: bool = False, **fields: int | bytes) -> bytes:
        """A signed report; ``fields`` by the names of :data:`FIELDS` stand before the signature is made, but for r and s."""
        version = fields.get("version", 3)
        assert isinstance(version, int)
        chosen: dict[str, int | bytes] = {
            "version": version, "policy": 0x30000 | debug << 19, "signature_algo": 1, "platform_info": 0x27,
            "flags": (self.kind == "vlek") << 2, "measurement": b"m" * 48, "report_id": b"i" * 32, "report_id_ma": b"\xff" * 32,
            "cpuid": CPUID[self.generation] if version >= 3 else b"", "chip_id": self.chip_id if self.kind == "vcek" else b"",
            "current_version": b"\x1d\x37\x01", "committed_version": b"\x1d\x37\x01",
        }  # fmt: skip
        chosen |= dict.fromkeys(("current_tcb", "reported_tcb", "committed_tcb", "launch_tcb"), self.tcb())
        return self.sign(assemble(**(chosen | fields)), **{name: fields[name] for name in ("r", "s") if name in fields})

    def sign(self, report: bytes, **over: int | bytes) -> bytes:
        """The same report with a signature of this key; ``over``: r or s instead of what they should be."""
        r, s = decode_dss_signature(self.key.sign(report[:0x2A0], ec.ECDSA(hashes.SHA384())))
        return report[:0x2A0] + assemble(**({"r": r, "s": s, "reserved_330": report[0x330:]} | over))[0x2A0:]

    def mint(
        self, *, report_data: bytes = bytes(64), measurement: bytes = b"m" * 48, debug: bool = False, chain: bool = True,
        crl: bool = False, **fields: int | bytes,
    ) -> tuple[bytes, tuple[bytes, ...], Roots]:  # fmt: skip
        """A report, what it is verified with, and the root that stands behind it."""
        report = self.report(report_data=report_data, measurement=measurement, debug=debug, **fields)
        collateral = (self.certificate(), *([self.chain] if chain else ()), *([self.ark.crl()] if crl else ()))
        return report, collateral, self.roots


def assemble(**fields: int | bytes) -> bytes:
    """1,184 bytes with these fields, zero elsewhere."""
    data = bytearray(0x4A0)
    for name, value in fields.items():
        offset, size = FIELDS[name]
        encoded = value.to_bytes(size, "little") if isinstance(value, int) else value.ljust(size, b"\0")
        assert len(encoded) == size, name
        data[offset : offset + size] = encoded
    return bytes(data)


def certificate_table(*entries: tuple[str, bytes]) -> bytes:
    """A hypervisor's table of (GUID, content)."""
    offset = 24 * (len(entries) + 1)
    header, contents = b"", b""
    for guid, content in entries:
        header += bytes.fromhex(guid.replace("-", "")) + (offset + len(contents)).to_bytes(4, "little")
        header += len(content).to_bytes(4, "little")
        contents += content
    return header + bytes(24) + contents


def with_serial(certificate: bytes, serial: int, signing_key: Any) -> bytes:
    """The same certificate with that serial number, signed again with an RSA key: builders refuse 0."""
    outer = der.parse(certificate, what="certificate").children()
    signed, algorithm = outer.take(), outer.take()
    inner = signed.children()
    version, _, rest = inner.take().encoded, inner.take(), []
    while inner.more:
        rest.append(inner.take().encoded)
    body = _wrap(0x30, version + _integer(serial) + b"".join(rest))
    pss = padding.PSS(padding.MGF1(hashes.SHA384()), salt_length=48)
    signature = signing_key.sign(body, pss, hashes.SHA384())
    return _wrap(0x30, body + algorithm.encoded + _wrap(der.BIT_STRING, b"\0" + signature))


@cache
def _root(generation: str) -> Authority:
    return Authority.root(f"ARK-{generation}", key=shared_key("rsa", "ark"))


@cache
def _signing(generation: str, kind: str) -> Authority:
    name = f"SEV-{generation}" if kind == "vcek" else f"SEV-VLEK-{generation}"
    return _root(generation).authority(name, key=shared_key("rsa", f"ask {kind}"), path_length=0, usage=("key_cert_sign",))


def _wrap(tag: int, body: bytes) -> bytes:
    size = len(body)
    length = bytes([size]) if size < 0x80 else bytes([0x80 | (n := (size.bit_length() + 7) // 8)]) + size.to_bytes(n, "big")
    return bytes([tag]) + length + body


def _integer(value: int) -> bytes:
    return _wrap(der.INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _ia5(text: str) -> bytes:
    return _wrap(22, text.encode())


__all__ = [
    "ARC", "CHIP", "FIELDS", "PROVIDER", "TCB", "TURIN_CHIP", "FakeAmd", "assemble", "certificate_table", "with_serial",
]  # fmt: skip
