# SPDX-License-Identifier: Apache-2.0
"""The bodies of Intel's quotes: what the processor reports about an SGX enclave or a TDX trust domain.

Layouts: ``sgx_report_body_t`` of Intel's SGX SDK; ``sgx_report2_body_t`` and ``sgx_report2_body_v1_5_t`` of its DCAP
(``sgx_quote_4.h``, ``sgx_quote_5.h``). docs/formats/attestation/dcap.md lists the offsets.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields

from verifiable.errors import MalformedError

SGX_SIZE, TD10_SIZE, TD15_SIZE = 384, 584, 648
_SGX = struct.Struct("<16s I 12s 16s 16s 32s 32s 32s 32s 64s H H H 42s 16s 64s")
_SGX_DEBUG = 0x02
_TD = struct.Struct("<16s 48s 48s 8s 8s 8s 48s 48s 48s 48s 48s 48s 48s 48s 64s")
_TD15 = struct.Struct("<16s 48s")
_TD_DEBUG = 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveReport:
    """What a processor reports about an SGX enclave: the one attested, or the quoting enclave. Bytes are as they stand in it;
    reserved ones are zero.
    """

    cpu_svn: bytes
    misc_select: int
    isv_ext_prod_id: bytes
    attributes: bytes
    mr_enclave: bytes
    mr_signer: bytes
    config_id: bytes
    isv_prod_id: int
    isv_svn: int
    config_svn: int
    isv_family_id: bytes
    report_data: bytes

    @classmethod
    def parse(cls, data: bytes, *, what: str) -> EnclaveReport:
        """Read 384 bytes. Raises MalformedError."""
        if len(data) != SGX_SIZE:
            raise MalformedError(f"{what}: {len(data)} bytes, {SGX_SIZE} are wanted")
        cpu, misc, r1, ext, attributes, enclave, r2, signer, r3, config, prod, svn, config_svn, r4, family, report = _SGX.unpack(
            data
        )
        if any(r1 + r2 + r3 + r4):
            raise MalformedError(f"{what}: a reserved byte is not zero")
        return cls(
            cpu_svn=cpu, misc_select=misc, isv_ext_prod_id=ext, attributes=attributes, mr_enclave=enclave, mr_signer=signer,
            config_id=config, isv_prod_id=prod, isv_svn=svn, config_svn=config_svn, isv_family_id=family, report_data=report,
        )  # fmt: skip

    def encode(self) -> bytes:
        return _SGX.pack(
            self.cpu_svn, self.misc_select, b"", self.isv_ext_prod_id, self.attributes, self.mr_enclave, b"", self.mr_signer, b"",
            self.config_id, self.isv_prod_id, self.isv_svn, self.config_svn, b"", self.isv_family_id, self.report_data,
        )  # fmt: skip

    @property
    def debug(self) -> bool:
        """The enclave's memory is open to the machine's owner (attribute DEBUG)."""
        return bool(self.attributes[0] & _SGX_DEBUG)

    def measurements(self) -> dict[str, str]:
        """Registers by name: hex, numbers in decimal; ``attributes`` and ``miscselect`` as they stand, little-endian."""
        return {
            "mrenclave": self.mr_enclave.hex(),
            "mrsigner": self.mr_signer.hex(),
            "isvprodid": str(self.isv_prod_id),
            "attributes": self.attributes.hex(),
            "miscselect": self.misc_select.to_bytes(4, "little").hex(),
            "configid": self.config_id.hex(),
            "configsvn": str(self.config_svn),
            "isvextprodid": self.isv_ext_prod_id.hex(),
            "isvfamilyid": self.isv_family_id.hex(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TdReport:
    """What a TDX module reports about a trust domain. ``tee_tcb_svn``: as it was when the domain was launched.
    ``tee_tcb_svn_current``, ``mr_service_td``: empty in version 1.0, there in 1.5.
    """

    tee_tcb_svn: bytes
    mr_seam: bytes
    mr_signer_seam: bytes
    seam_attributes: bytes
    td_attributes: bytes
    xfam: bytes
    mr_td: bytes
    mr_config_id: bytes
    mr_owner: bytes
    mr_owner_config: bytes
    rtmr0: bytes
    rtmr1: bytes
    rtmr2: bytes
    rtmr3: bytes
    report_data: bytes
    tee_tcb_svn_current: bytes = b""
    mr_service_td: bytes = b""

    @classmethod
    def parse(cls, data: bytes, *, what: str) -> TdReport:
        """Read 584 bytes (version 1.0) or 648 (1.5). Raises MalformedError."""
        if len(data) not in {TD10_SIZE, TD15_SIZE}:
            raise MalformedError(f"{what}: {len(data)} bytes, {TD10_SIZE} or {TD15_SIZE} are wanted")
        values = _TD.unpack_from(data) + (_TD15.unpack_from(data, TD10_SIZE) if len(data) == TD15_SIZE else (b"", b""))
        return cls(**dict(zip((f.name for f in fields(cls)), values, strict=True)))

    def encode(self) -> bytes:
        return b"".join(getattr(self, field.name) for field in fields(self))

    @property
    def debug(self) -> bool:
        """The domain's memory and state are open to the machine's owner (attribute TUD.DEBUG)."""
        return bool(self.td_attributes[0] & _TD_DEBUG)

    def measurements(self) -> dict[str, str]:
        """Registers by name, in hex as they stand."""
        found = {
            "mrtd": self.mr_td,
            "rtmr0": self.rtmr0,
            "rtmr1": self.rtmr1,
            "rtmr2": self.rtmr2,
            "rtmr3": self.rtmr3,
            "mrconfigid": self.mr_config_id,
            "mrowner": self.mr_owner,
            "mrownerconfig": self.mr_owner_config,
            "mrseam": self.mr_seam,
            "mrsignerseam": self.mr_signer_seam,
            "seamattributes": self.seam_attributes,
            "tdattributes": self.td_attributes,
            "xfam": self.xfam,
            "mrservicetd": self.mr_service_td,
        }
        return {name: value.hex() for name, value in found.items() if value}


__all__ = ["SGX_SIZE", "TD10_SIZE", "TD15_SIZE", "EnclaveReport", "TdReport"]
