# SPDX-License-Identifier: Apache-2.0
"""The attestation report: 1,184 bytes as AMD's firmware writes them (AMD publication 56860, table ATTESTATION_REPORT), read
strictly.

Numbers are little-endian. Every byte is a field, or reserved and zero; flags that nobody here knows are refused, for they may
mean that somebody else can look inside.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from verifiable.errors import MalformedError, UnsupportedError

SIZE = 0x4A0
SIGNED_SIZE = 0x2A0
VERSIONS = (2, 3, 4, 5)
#: The kinds of key that sign, by their number in the flags at 0x48.
SIGNING_KEYS = {0: "vcek", 1: "vlek", 7: "none"}
#: What stands for the level where the hypervisor asked, not the guest.
FROM_HOST = 0xFFFFFFFF
#: What stands for the report of a migration agent where there is none.
NO_AGENT = b"\xff" * 32
DEBUG, MIGRATION_AGENT = 1 << 19, 1 << 18
_ONE = 1 << 17  # of the policy: reserved, and set
_KNOWN_POLICY = (1 << 26) - 1
_KNOWN_PLATFORM = 0xBF  # bit 6 is reserved
_KNOWN_FLAGS = 0x1F
_ECDSA_P384_SHA384 = 1
_CURVE_BYTES = 48
_LAYOUT = struct.Struct("<IIQ16s16sII8sQI4s64s48s32s48s48s32s32s8s3s21s64s8s4s4s8s16s152s72s72s368s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A parsed report. TCB versions are eight bytes, whose meaning depends on the processor (:mod:`.tcb`).

    ``vmpl``: the privilege level that asked, 0 the highest, :data:`FROM_HOST` for the hypervisor. ``signing_key``: one of
    :data:`SIGNING_KEYS`. ``cpuid``: family, model and stepping, None before version 3. ``firmware``, ``committed_firmware``:
    major, minor, build. The two ``mitigations``: bit vectors, None before version 5. ``r``, ``s``: of the ECDSA signature.
    """

    version: int
    guest_svn: int
    policy: int
    family_id: bytes
    image_id: bytes
    vmpl: int
    current_tcb: bytes
    platform_info: int
    author_key_enabled: bool
    mask_chip_key: bool
    signing_key: str
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    report_id_ma: bytes
    reported_tcb: bytes
    cpuid: tuple[int, int, int] | None
    chip_id: bytes
    committed_tcb: bytes
    firmware: tuple[int, int, int]
    committed_firmware: tuple[int, int, int]
    launch_tcb: bytes
    launch_mitigations: int | None
    current_mitigations: int | None
    r: int
    s: int

    @classmethod
    def parse(cls, data: bytes) -> Report:
        """Read it. Raises MalformedError; UnsupportedError for a version, an algorithm or a flag that is not known here."""
        if len(data) != SIZE:
            raise MalformedError(f"snp report: {len(data):,} bytes, {SIZE:,} are wanted")
        (
            version, guest_svn, policy, family_id, image_id, vmpl, algorithm, current_tcb, platform_info, flags, reserved_4c,
            report_data, measurement, host_data, id_key_digest, author_key_digest, report_id, report_id_ma, reported_tcb, cpuid,
            reserved_18b, chip_id, committed_tcb, current, committed, launch_tcb, mitigations, reserved_208, r, s, reserved_330,
        ) = _LAYOUT.unpack(data)  # fmt: skip
        if version not in VERSIONS:
            raise UnsupportedError(f"snp report: version {version}; known are {', '.join(map(str, VERSIONS))}")
        if algorithm != _ECDSA_P384_SHA384:
            raise UnsupportedError(f"snp report: signature algorithm {algorithm}; only 1 is known, ECDSA P-384 with SHA-384")
        zero = [reserved_4c, reserved_18b, current[3:], committed[3:], reserved_208, r[_CURVE_BYTES:], s[_CURVE_BYTES:]]
        zero += [reserved_330, cpuid if version < 3 else b"", mitigations if version < 5 else b""]
        if any(map(any, zero)):
            raise MalformedError("snp report: reserved bytes are not zero")
        if not policy & _ONE:
            raise MalformedError("snp report: bit 17 of the guest's policy is not set")
        for name, value, known in (
            ("the guest's policy", policy, _KNOWN_POLICY), ("the platform's flags", platform_info, _KNOWN_PLATFORM),
            ("the signing key's flags", flags, _KNOWN_FLAGS),
        ):  # fmt: skip
            if value & ~known:
                raise UnsupportedError(f"snp report: {name} {value:#x} has bits that are not known here")
        if flags >> 2 not in SIGNING_KEYS:
            raise MalformedError(f"snp report: signing key {flags >> 2} is reserved")
        if vmpl > 3 and vmpl != FROM_HOST:
            raise MalformedError(f"snp report: {vmpl} is no privilege level")
        return cls(
            version=version,
            guest_svn=guest_svn,
            policy=policy,
            family_id=family_id,
            image_id=image_id,
            vmpl=vmpl,
            current_tcb=current_tcb,
            platform_info=platform_info,
            author_key_enabled=bool(flags & 1),
            mask_chip_key=bool(flags & 2),
            signing_key=SIGNING_KEYS[flags >> 2],
            report_data=report_data,
            measurement=measurement,
            host_data=host_data,
            id_key_digest=id_key_digest,
            author_key_digest=author_key_digest,
            report_id=report_id,
            report_id_ma=report_id_ma,
            reported_tcb=reported_tcb,
            cpuid=tuple(cpuid) if version >= 3 else None,
            chip_id=chip_id,
            committed_tcb=committed_tcb,
            firmware=(current[2], current[1], current[0]),
            committed_firmware=(committed[2], committed[1], committed[0]),
            launch_tcb=launch_tcb,
            launch_mitigations=int.from_bytes(mitigations[:8], "little") if version >= 5 else None,
            current_mitigations=int.from_bytes(mitigations[8:], "little") if version >= 5 else None,
            r=int.from_bytes(r, "little"),
            s=int.from_bytes(s, "little"),
        )

    def encode(self) -> bytes:
        """``Report.parse(r.encode()) == r``."""
        number = next(number for number, name in SIGNING_KEYS.items() if name == self.signing_key)
        flags = self.author_key_enabled | self.mask_chip_key << 1 | number << 2
        mitigations = (self.launch_mitigations or 0) | (self.current_mitigations or 0) << 64
        return _LAYOUT.pack(
            self.version, self.guest_svn, self.policy, self.family_id, self.image_id, self.vmpl, _ECDSA_P384_SHA384,
            self.current_tcb, self.platform_info, flags, b"", self.report_data, self.measurement, self.host_data,
            self.id_key_digest, self.author_key_digest, self.report_id, self.report_id_ma, self.reported_tcb,
            bytes(self.cpuid or ()), b"", self.chip_id, self.committed_tcb, bytes(reversed(self.firmware)),
            bytes(reversed(self.committed_firmware)), self.launch_tcb, mitigations.to_bytes(16, "little"), b"",
            self.r.to_bytes(_CURVE_BYTES, "little"), self.s.to_bytes(_CURVE_BYTES, "little"), b"",
        )  # fmt: skip

    @property
    def debug(self) -> bool:
        """The hypervisor may read and write the guest's memory."""
        return bool(self.policy & DEBUG)

    @property
    def signed(self) -> bytes:
        """What the signature is over."""
        return self.encode()[:SIGNED_SIZE]


__all__ = ["DEBUG", "FROM_HOST", "MIGRATION_AGENT", "NO_AGENT", "SIGNED_SIZE", "SIGNING_KEYS", "SIZE", "VERSIONS", "Report"]
