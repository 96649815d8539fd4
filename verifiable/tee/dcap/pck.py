# SPDX-License-Identifier: Apache-2.0
"""What Intel says about a processor in its certificate (PCK): an extension with its model, its patch level and its settings.

"Intel SGX PCK Certificate and Certificate Revocation List Profile Specification", 1.2.840.113741.1.13.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from verifiable.errors import AttestationError, MalformedError
from verifiable.tee import der
from verifiable.tee.x509 import Certificate

EXTENSION = "1.2.840.113741.1.13.1"
_ENUMERATED = 10
_COMPONENTS = 16
_MAX_SVN = 0xFFFF
_FLAGS = ("dynamic-platform", "cached-keys", "smt-enabled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """``ppid``: which processor package, 16 bytes; ``fmspc``: its model, 6 bytes; ``pce_id``, 2 bytes, ``pce_svn``: the enclave
    that certified it; ``cpu_svn``: its patch level, 16 components of a byte; ``sgx_type``: 0 standard, 1 scalable, 2 scalable
    with integrity; ``instance``: which platform, 16 bytes, and ``flags``, both empty for a processor by itself.
    """

    ppid: bytes
    fmspc: bytes
    pce_id: bytes
    pce_svn: int
    cpu_svn: bytes
    sgx_type: int
    instance: bytes = b""
    flags: tuple[tuple[str, bool], ...] = ()

    @classmethod
    def of(cls, certificate: Certificate) -> Platform:
        """Read it from a PCK certificate. Raises AttestationError when that has none, MalformedError."""
        if EXTENSION not in certificate.extensions:
            raise AttestationError(
                f"the certificate of {certificate.name} says nothing about a processor: it is no PCK certificate"
            )
        what = "PCK certificate: SGX extension"
        found = _read(der.parse(certificate.extensions[EXTENSION].value, what=what), EXTENSION)
        tcb = _read(found.take("2"), f"{EXTENSION}.2")
        components = bytes(_byte(tcb.take(str(i))) for i in range(1, _COMPONENTS + 1))
        pce_svn, cpu_svn = tcb.take("17").integer(), _octets(tcb.take("18"), 16)
        tcb.done()
        if cpu_svn != components:
            raise MalformedError(f"{what}: the patch level and its components differ")
        if not 0 <= pce_svn <= _MAX_SVN:
            raise MalformedError(f"{what}: no such PCESVN: {pce_svn}")
        platform = cls(
            ppid=_octets(found.take("1"), 16),
            pce_id=_octets(found.take("3"), 2),
            fmspc=_octets(found.take("4"), 6),
            sgx_type=_enumerated(found.take("5")),
            pce_svn=pce_svn,
            cpu_svn=cpu_svn,
            instance=_octets(found.take("6"), 16) if found.has("6") else b"",
            flags=_flags(found.take("7")) if found.has("7") else (),
        )
        found.done()
        return platform


class _Fields:
    """Values by the last number of their object identifier; each is taken once."""

    def __init__(self, values: dict[str, der.Element], where: str) -> None:
        self._values, self._where = values, where

    def has(self, number: str) -> bool:
        return number in self._values

    def take(self, number: str) -> der.Element:
        if number not in self._values:
            raise MalformedError(f"{self._where}.{number} is missing in the PCK certificate")
        return self._values.pop(number)

    def done(self) -> None:
        if self._values:
            raise MalformedError(f"{self._where}.{min(self._values)} in the PCK certificate is not known")


def _read(element: der.Element, prefix: str) -> _Fields:
    values: dict[str, der.Element] = {}
    reader = element.children()
    while reader.more:
        fields = reader.take().children()
        parent, _, number = fields.take().oid().rpartition(".")
        if parent != prefix or number in values:
            element.fail(f"{parent}.{number} has no place in it, or two")
        values[number] = fields.take()
        fields.done()
    return _Fields(values, prefix)


def _octets(element: der.Element, size: int) -> bytes:
    if len(element.expect(der.OCTET_STRING).body) != size:
        element.fail(f"{len(element.body)} bytes where {size} are wanted")
    return element.body


def _byte(element: der.Element) -> int:
    value = element.integer()
    if not 0 <= value <= 0xFF:
        element.fail(f"{value} is not a component of a patch level")
    return value


def _enumerated(element: der.Element) -> int:
    if len(element.expect(_ENUMERATED).body) != 1:
        element.fail("not a type of SGX")
    return element.body[0]


def _flags(element: der.Element) -> tuple[tuple[str, bool], ...]:
    fields = _read(element, f"{EXTENSION}.7")
    found = tuple((name, fields.take(str(i)).boolean()) for i, name in enumerate(_FLAGS, 1) if fields.has(str(i)))
    fields.done()
    return found


__all__ = ["EXTENSION", "Platform"]
