# SPDX-License-Identifier: Apache-2.0
"""A fake Intel: its certificate authorities, a processor with its quoting enclave, and all that is said about both.

Written from Intel's formats and not with the code under test. Everything can be wrong on purpose: fields of the reports, of the
statements and of the collateral file by name; certificates by giving others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.fakes.pki.authority import DAY, NOW, Authority, new_key, pem
from verifiable.tee.roots import Roots

SGX_OID = "1.2.840.113741.1.13.1"
ROOT, PLATFORM_CA, PROCESSOR_CA = "Intel SGX Root CA", "Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA"
PCK, SIGNER = "Intel SGX PCK Certificate", "Intel SGX TCB Signing"
FMSPC, PCE_ID, PCE_SVN = bytes.fromhex("b0c06f000000"), bytes(2), 11
CPU_SVN = bytes((3, 3, 2, 2, 4, 1, 0, 5, *bytes(8)))
TEE_TCB_SVN = bytes((6, 1, 3, *bytes(13)))
QE_SIGNER, QE_SVN = b"\xdc" * 32, 6
VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
MRTD, MRENCLAVE = bytes(range(48)), bytes(range(32))
SEPT_VE_DISABLE = 1 << 28
_SGX_FIELDS = {
    "cpu_svn": 16, "misc_select": 4, "reserved1": 12, "isv_ext_prod_id": 16, "attributes": 16, "mr_enclave": 32, "reserved2": 32,
    "mr_signer": 32, "reserved3": 32, "config_id": 64, "isv_prod_id": 2, "isv_svn": 2, "config_svn": 2, "reserved4": 42,
    "isv_family_id": 16, "report_data": 64,
}  # fmt: skip
_TD_FIELDS = {
    "tee_tcb_svn": 16, "mr_seam": 48, "mr_signer_seam": 48, "seam_attributes": 8, "td_attributes": 8, "xfam": 8, "mr_td": 48,
    "mr_config_id": 48, "mr_owner": 48, "mr_owner_config": 48, "rtmr0": 48, "rtmr1": 48, "rtmr2": 48, "rtmr3": 48,
    "report_data": 64,
}  # fmt: skip
_TD15_FIELDS = _TD_FIELDS | {"tee_tcb_svn2": 16, "mr_service_td": 48}
_SGX_BASE = {"cpu_svn": CPU_SVN, "attributes": bytes((0x05, *bytes(7), 0xE7, *bytes(7)))}
_TD_BASE = {
    "tee_tcb_svn": TEE_TCB_SVN, "tee_tcb_svn2": TEE_TCB_SVN, "mr_seam": b"\x5b" * 48, "xfam": bytes.fromhex("e702060000000000"),
}  # fmt: skip


@dataclass
class FakeIntel:
    """``version``: of the quotes, 3 for ``sgx``, 4 (TDX 1.0) or 5 (TDX 1.5) for ``tdx``. Its certificates are made once, and any
    can be given: ``root``, ``ca``, ``pck``, ``signer``.
    """

    kind: str = "tdx"
    version: int = 0
    given: dict[str, Authority] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.version = self.version or (3 if self.kind == "sgx" else 4)

    @cached_property
    def root(self) -> Authority:
        return self.given.get("root") or Authority.root(ROOT, kind="p256", path_length=1)

    @cached_property
    def ca(self) -> Authority:
        return self.given.get("ca") or self.root.authority(PLATFORM_CA, kind="p256", path_length=0)

    @cached_property
    def pck(self) -> Authority:
        return self.given.get("pck") or self.processor()

    @cached_property
    def signer(self) -> Authority:
        return self.given.get("signer") or self.root.authority(SIGNER, kind="p256", ca=False)

    @cached_property
    def attestation_key(self) -> Any:
        return new_key("p256")

    @property
    def roots(self) -> Roots:
        return self.root.roots("tdx", "sgx", name="fake-intel-root")

    def processor(
        self, *, platform: bytes | None = None, name: str = PCK, issuer: Authority | None = None, **fields: Any
    ) -> Authority:
        """The certificate of a processor, with its key."""
        extensions = [(SGX_OID, sgx_extension() if platform is None else platform, False)]
        return (issuer or self.ca).authority(name, **({"kind": "p256", "ca": False, "extensions": extensions} | fields))

    def mint(
        self,
        *,
        report_data: bytes = bytes(64),
        measurement: bytes | None = None,
        debug: bool = False,
        at: datetime = NOW,
        padding: int = 0,
        report: Mapping[str, bytes] | None = None,
        header: Mapping[str, bytes] | None = None,
        qe: Mapping[str, bytes] | None = None,
        **collateral: Any,
    ) -> tuple[bytes, tuple[bytes, ...], Roots]:
        """Evidence, its collateral, and the root it holds under. ``report``, ``header``, ``qe``: fields of the report attested,
        of the header and of the quoting enclave's report; the others as for :meth:`collateral`.
        """
        fields = self.report(report_data=report_data, measurement=measurement, debug=debug) | (report or {})
        return self.quote(fields, header=header, qe=qe) + bytes(padding), (self.collateral(at=at, **collateral),), self.roots

    def report(self, *, report_data: bytes, measurement: bytes | None, debug: bool) -> dict[str, bytes]:
        if self.kind == "sgx":
            attributes = bytes((_SGX_BASE["attributes"][0] | 2 * debug, *_SGX_BASE["attributes"][1:]))
            return _SGX_BASE | {"mr_enclave": measurement or MRENCLAVE, "attributes": attributes, "report_data": report_data}
        td_attributes = (SEPT_VE_DISABLE | debug).to_bytes(8, "little")
        return _TD_BASE | {"mr_td": measurement or MRTD, "td_attributes": td_attributes, "report_data": report_data}

    def quote(
        self,
        report: Mapping[str, bytes],
        *,
        header: Mapping[str, bytes] | None = None,
        qe: Mapping[str, bytes] | None = None,
        auth_data: bytes = bytes(range(32)),
        chain: bytes | None = None,
    ) -> bytes:
        """A quote with every signature as it should be; ``chain``: other certification data."""
        tee = 0 if self.kind == "sgx" else 0x81
        head = {
            "version": self.version.to_bytes(2, "little"), "key_type": b"\2\0", "tee": tee.to_bytes(4, "little"),
            "qe_svn": bytes(2), "pce_svn": bytes(2), "vendor": VENDOR, "user_data": b"\x88" * 16 + bytes(4),
        } | dict(header or {})  # fmt: skip
        layout = {3: _SGX_FIELDS, 4: _TD_FIELDS, 5: _TD15_FIELDS}[self.version]
        body = _pack(layout, report)
        prefix = (3).to_bytes(2, "little") + len(body).to_bytes(4, "little") if self.version == 5 else b""
        signed = b"".join(head.values()) + prefix + body
        numbers = self.attestation_key.public_key().public_numbers()
        key = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
        qe_report = _pack(_SGX_FIELDS, {
            "cpu_svn": CPU_SVN, "attributes": bytes((0x15, *bytes(7), 0xE7, *bytes(7))), "mr_enclave": b"\x0e" * 32,
            "mr_signer": QE_SIGNER, "isv_prod_id": self._qe_product.to_bytes(2, "little"),
            "isv_svn": QE_SVN.to_bytes(2, "little"), "report_data": hashlib.sha256(key + auth_data).digest(),
        } | dict(qe or {}))  # fmt: skip
        chain = pem(*self.pck.chain) + b"\0" if chain is None else chain
        certified = qe_report + sign(qe_report, self.pck.key) + len(auth_data).to_bytes(2, "little") + auth_data
        certified += certification(5, chain)
        auth = sign(signed, self.attestation_key) + key + (certified if self.version == 3 else certification(6, certified))
        return signed + len(auth).to_bytes(4, "little") + auth

    def collateral(
        self,
        *,
        at: datetime = NOW,
        status: str = "UpToDate",
        advisories: Sequence[str] = (),
        tcb_info: Mapping[str, Any] | None = None,
        qe_identity: Mapping[str, Any] | None = None,
        revoked_by_root: Iterable[int] = (),
        revoked_by_ca: Iterable[int] = (),
        crl: Mapping[str, Any] | None = None,
        file: Mapping[str, Any] | None = None,
    ) -> bytes:
        """The file. ``status``, ``advisories``: of the platform's TCB level; ``tcb_info``, ``qe_identity``: their fields;
        ``crl``: for both lists; ``file``: fields of the file.
        """
        info = self.sign_statement(self.tcb_info(at=at, status=status, advisories=advisories) | dict(tcb_info or {}))
        identity = self.sign_statement(self.qe_identity(at=at) | dict(qe_identity or {}))
        wanted = {"at": at, "days": 30} | dict(crl or {})
        document = {
            "pck_crl_issuer_chain": pem(*self.ca.chain).decode(),
            "root_ca_crl": self.root.crl(revoked_by_root, **wanted).hex(),
            "pck_crl": self.ca.crl(revoked_by_ca, **wanted).hex(),
            "tcb_info_issuer_chain": pem(*self.signer.chain).decode(),
            "tcb_info": info[0],
            "tcb_info_signature": info[1],
            "qe_identity_issuer_chain": pem(*self.signer.chain).decode(),
            "qe_identity": identity[0],
            "qe_identity_signature": identity[1],
        } | dict(file or {})
        return json.dumps({k: v for k, v in document.items() if v is not None}, indent=2).encode()

    def sign_statement(self, fields: Mapping[str, Any]) -> tuple[str, str]:
        """A statement as it stands in the file, and its signature."""
        text = json.dumps(fields, separators=(",", ":"))
        return text, sign(text.encode(), self.signer.key).hex()

    def tcb_info(self, *, at: datetime = NOW, status: str = "UpToDate", advisories: Sequence[str] = ()) -> dict[str, Any]:
        level = {
            "tcb": {"sgxtcbcomponents": _components(CPU_SVN), "pcesvn": PCE_SVN},
            "tcbDate": "2026-02-11T00:00:00Z",
            "tcbStatus": status,
            "advisoryIDs": list(advisories),
        }
        fields: dict[str, Any] = {
            "id": self.kind.upper(), "version": 3, **_window(at), "fmspc": FMSPC.hex().upper(), "pceId": PCE_ID.hex(),
            "tcbType": 0, "tcbEvaluationDataNumber": 20,
        }  # fmt: skip
        if self.kind == "tdx":
            level["tcb"]["tdxtcbcomponents"] = _components(bytes((5, 0, *TEE_TCB_SVN[2:])))  # type: ignore[index]
            module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
            levels = [module_level(6, "UpToDate"), module_level(4, "OutOfDate")]
            fields |= {"tdxModule": module, "tdxModuleIdentities": [{"id": "TDX_01"} | module | {"tcbLevels": levels}]}
        return fields | {"tcbLevels": [level]}

    def qe_identity(self, *, at: datetime = NOW) -> dict[str, Any]:
        return {
            "id": "QE" if self.kind == "sgx" else "TD_QE", "version": 2, **_window(at), "tcbEvaluationDataNumber": 21,
            "miscselect": "00000000", "miscselectMask": "FFFFFFFF", "attributes": "11" + "00" * 15,
            "attributesMask": "FBFFFFFFFFFFFFFF" + "00" * 8, "mrsigner": QE_SIGNER.hex().upper(), "isvprodid": self._qe_product,
            "tcbLevels": [module_level(QE_SVN, "UpToDate"), module_level(QE_SVN - 2, "OutOfDate")],
        }  # fmt: skip

    @property
    def _qe_product(self) -> int:
        return 1 if self.kind == "sgx" else 2


def sgx_extension(
    *, cpu_svn: bytes = CPU_SVN, pce_svn: int = PCE_SVN, replace: Mapping[str, bytes | None] | None = None, extra: bytes = b""
) -> bytes:
    """DER of what Intel says about a processor; ``replace``: values by the last number of their identifier, None for none;
    ``extra``: behind them.
    """
    tcb = b"".join(_named(f"{SGX_OID}.2.{i}", _integer(svn)) for i, svn in enumerate(cpu_svn, 1))
    tcb += _named(f"{SGX_OID}.2.17", _integer(pce_svn)) + _named(f"{SGX_OID}.2.18", tlv(4, cpu_svn))
    values: dict[str, bytes | None] = {
        "1": tlv(4, b"\x81" * 16), "2": tlv(0x30, tcb), "3": tlv(4, PCE_ID), "4": tlv(4, FMSPC), "5": tlv(10, b"\1"),
        "6": tlv(4, b"\x07" * 16), "7": tlv(0x30, b"".join(_named(f"{SGX_OID}.7.{i}", tlv(1, b"\xff")) for i in (1, 2, 3))),
    }  # fmt: skip
    values |= dict(replace or {})
    return tlv(0x30, b"".join(_named(f"{SGX_OID}.{n}", value) for n, value in values.items() if value is not None) + extra)


def sign(data: bytes, key: Any) -> bytes:
    """r and s, 32 bytes each."""
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def certification(number: int, data: bytes) -> bytes:
    return number.to_bytes(2, "little") + len(data).to_bytes(4, "little") + data


def module_level(svn: int, status: str) -> dict[str, Any]:
    return {"tcb": {"isvsvn": svn}, "tcbDate": "2026-02-11T00:00:00Z", "tcbStatus": status}


def tlv(tag: int, body: bytes) -> bytes:
    size = len(body)
    length = bytes((size,)) if size < 0x80 else bytes((0x82, size >> 8, size & 0xFF)) if size > 0xFF else bytes((0x81, size))
    return bytes((tag,)) + length + body


def _named(oid: str, value: bytes) -> bytes:
    first, second, *rest = map(int, oid.split("."))
    body = bytes((40 * first + second,))
    for number in rest:
        groups = [number >> shift & 0x7F for shift in range(0, 64, 7) if number >> shift or not shift][::-1]
        body += bytes((*(g | 0x80 for g in groups[:-1]), groups[-1]))
    return tlv(0x30, tlv(6, body) + value)


def _integer(value: int) -> bytes:
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _components(svns: bytes) -> list[dict[str, int]]:
    return [{"svn": svn} for svn in svns]


def _window(at: datetime) -> dict[str, str]:
    return {"issueDate": f"{at - DAY:%Y-%m-%dT%H:%M:%SZ}", "nextUpdate": f"{at + 29 * DAY:%Y-%m-%dT%H:%M:%SZ}"}


def _pack(layout: Mapping[str, int], values: Mapping[str, bytes]) -> bytes:
    return b"".join(values.get(name, b"").ljust(size, b"\0") for name, size in layout.items())
