# SPDX-License-Identifier: Apache-2.0
"""Intel's quote: what a processor reported, signed by a quoting enclave, certified by the processor's own key.

Versions 3 (SGX), 4 and 5 (TDX), with ECDSA P-256 and the processor's certificate chain inside, which is what Intel's quote
generation writes today. Layout: docs/formats/attestation/dcap.md.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from verifiable.errors import MalformedError, UnsupportedError
from verifiable.tee.dcap import pem
from verifiable.tee.dcap.reports import SGX_SIZE, TD10_SIZE, TD15_SIZE, EnclaveReport, TdReport
from verifiable.tee.dcap.verifying import verify
from verifiable.tee.evidence import VerifiedEvidence
from verifiable.tee.roots import Roots
from verifiable.tee.x509 import Certificate

MAX_SIZE = 1 << 16
#: Zeros behind a quote, which TDX guests leave there: their buffer is four pages at most.
MAX_PADDING = 1 << 14
_HEADER = struct.Struct("<HHIHH16s20s")
_BODY = struct.Struct("<HI")
_CERTIFICATION = struct.Struct("<HI")
_TEES = {"sgx": 0, "tdx": 0x81}
_ECDSA_P256 = 2
_INTEL = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
_PCK_CHAIN, _QE_REPORT = 5, 6
#: Version 5 states the type of its body.
_BODIES = {2: TD10_SIZE, 3: TD15_SIZE}
_VERSIONS = {"sgx": (3,), "tdx": (4, 5)}
_CHAIN_LENGTH = 3
_SIGNATURE, _KEY = 64, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """``qe_svn``, ``pce_svn``: zero since version 4. ``user_data``: the quoting enclave's identity on this platform."""

    version: int
    tee_type: int
    qe_svn: int
    pce_svn: int
    user_data: bytes

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """Raises MalformedError, UnsupportedError for quotes that are signed in another way or by others' enclaves."""
        if len(data) != _HEADER.size:
            raise MalformedError("quote: cut off in its header")
        version, key_type, tee_type, qe_svn, pce_svn, vendor, user_data = _HEADER.unpack(data)
        if key_type != _ECDSA_P256:
            raise UnsupportedError(f"quote: attestation key type {key_type}", hint="ECDSA with P-256 (type 2) is supported")
        if vendor != _INTEL:
            raise UnsupportedError(f"quote: of the quoting enclave of vendor {vendor.hex()}, which is not Intel")
        return cls(version=version, tee_type=tee_type, qe_svn=qe_svn, pce_svn=pce_svn, user_data=user_data)

    def encode(self) -> bytes:
        return _HEADER.pack(
            self.version, _ECDSA_P256, self.tee_type, self.qe_svn, self.pce_svn, _INTEL, self.user_data
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A parsed quote, unverified. ``signature``: r and s of the attestation key's, over header and body; ``attestation_key``: x
    and y; ``qe_report_signature``: the processor's key's (PCK) over ``qe_report``; ``qe_auth_data``: hashed with the attestation
    key into the report data of ``qe_report``; ``chain``: PCK certificate, its authority, root; ``terminated``: a NUL stands
    behind the chain; ``padding``: zeros behind the quote.
    """

    kind: str
    header: Header
    report: EnclaveReport | TdReport
    signature: bytes
    attestation_key: bytes
    qe_report: EnclaveReport
    qe_report_signature: bytes
    qe_auth_data: bytes
    chain: tuple[Certificate, ...]
    terminated: bool
    padding: int

    @classmethod
    def parse(cls, data: bytes, *, kind: str) -> Quote:
        """Read a quote of ``kind``, ``tdx`` or ``sgx``. Raises MalformedError, UnsupportedError."""
        if len(data) > MAX_SIZE:
            raise MalformedError(f"{kind} quote: {len(data):,} bytes is more than the {MAX_SIZE:,} allowed")
        cut = _Cutter(data)
        header = Header.parse(cut.take(_HEADER.size))
        if header.tee_type != _TEES[kind]:
            found = next((name for name, number in _TEES.items() if number == header.tee_type), f"{header.tee_type:#x}")
            raise MalformedError(f"quote: of type {found}, not {kind}")
        if header.version not in _VERSIONS[kind]:
            raise UnsupportedError(f"{kind} quote: version {header.version} is not known here")
        report = _read_body(cut, header)
        auth = _Cutter(cut.take(cut.number(4)))
        padding = cut.rest()
        if len(padding) > MAX_PADDING or any(padding):
            raise MalformedError(f"{kind} quote: {len(padding):,} bytes behind it; up to {MAX_PADDING:,} zeros are allowed there")
        signature, attestation_key = auth.take(_SIGNATURE), auth.take(_KEY)
        if header.version > 3:
            auth = auth.certification(_QE_REPORT)
        qe_report = EnclaveReport.parse(auth.take(SGX_SIZE), what=f"{kind} quote: report of its quoting enclave")
        qe_report_signature, qe_auth_data = auth.take(_SIGNATURE), auth.take(auth.number(2))
        text = auth.certification(_PCK_CHAIN).rest().decode("latin-1")
        return cls(
            kind=kind, header=header, report=report, signature=signature, attestation_key=attestation_key, qe_report=qe_report,
            qe_report_signature=qe_report_signature, qe_auth_data=qe_auth_data, padding=len(padding),
            chain=pem.parse_chain(text.removesuffix("\0"), length=_CHAIN_LENGTH, what=f"{kind} quote: PCK certificate"),
            terminated=text.endswith("\0"),
        )  # fmt: skip

    @property
    def signed(self) -> bytes:
        """The bytes that ``signature`` is over: header and body."""
        body = self.report.encode()
        number = next((number for number, size in _BODIES.items() if size == len(body)), 0)
        return self.header.encode() + (_BODY.pack(number, len(body)) if self.header.version > 4 else b"") + body

    @property
    def certification_data(self) -> str:
        """The certificate chain as it stands in the quote."""
        return pem.encode_chain(self.chain) + "\0" * self.terminated

    @property
    def report_data(self) -> bytes:
        """64 bytes."""
        return self.report.report_data

    def encode(self) -> bytes:
        """``Quote.parse(q.encode(), kind=q.kind) == q``."""
        return self.encode_unpadded() + bytes(self.padding)

    def encode_unpadded(self) -> bytes:
        certified = b"".join((
            self.qe_report.encode(), self.qe_report_signature, len(self.qe_auth_data).to_bytes(2, "little"), self.qe_auth_data,
            _certification(_PCK_CHAIN, self.certification_data.encode()),
        ))  # fmt: skip
        auth = self.signature + self.attestation_key
        auth += certified if self.header.version == 3 else _certification(_QE_REPORT, certified)
        return self.signed + len(auth).to_bytes(4, "little") + auth

    def verify(self, *, at: datetime, roots: Roots, collateral: Sequence[bytes] = ()) -> VerifiedEvidence:
        """The numbered checks of :mod:`.verifying`."""
        return verify(self, at=at, roots=roots, collateral=collateral)


def _read_body(cut: _Cutter, header: Header) -> EnclaveReport | TdReport:
    if header.version == 3:
        return EnclaveReport.parse(cut.take(SGX_SIZE), what="sgx quote: report")
    size = TD10_SIZE
    if header.version > 4:
        number, size = _BODY.unpack(cut.take(_BODY.size))
        if number not in _BODIES:
            raise UnsupportedError(f"tdx quote: a body of type {number}", hint="reports of TDX 1.0 and 1.5 are supported")
        if size != _BODIES[number]:
            raise MalformedError(f"tdx quote: a body of type {number} with {size} bytes, {_BODIES[number]} are wanted")
    return TdReport.parse(cut.take(size), what="tdx quote: report")


def _certification(number: int, data: bytes) -> bytes:
    return _CERTIFICATION.pack(number, len(data)) + data


class _Cutter:
    """Takes bytes off the front."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise MalformedError(f"quote: cut off: {size:,} bytes are wanted where {len(self._data) - self._at:,} are left")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def certification(self, wanted: int) -> _Cutter:
        """Certification data of that type, the last thing here."""
        number, size = _CERTIFICATION.unpack(self.take(_CERTIFICATION.size))
        if number != wanted:
            raise UnsupportedError(
                f"quote: certification data of type {number}", hint="a PCK certificate chain (type 5) is supported"
            )
        inner = _Cutter(self.take(size))
        if left := len(self.rest()):
            raise MalformedError(f"quote: {left:,} bytes too many behind its certification data")
        return inner


__all__ = ["MAX_PADDING", "MAX_SIZE", "Header", "Quote"]
