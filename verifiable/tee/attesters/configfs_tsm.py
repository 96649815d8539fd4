# SPDX-License-Identifier: Apache-2.0
"""Intel TDX quotes and AMD SEV-SNP reports through Linux's one interface for both, configfs-tsm (Linux 6.7 and later;
Documentation/ABI/testing/configfs-tsm-report in its sources).

Making a folder makes a request; writing ``inblob`` fills it in; reading ``outblob`` has the hardware sign. Whoever may write
there may write into our folder too, and the kernel takes ``inblob`` only when the file is closed, where no error can be reported:
so nothing is believed that ``generation``, the kernel's count of writes, does not agree with.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from verifiable.errors import ConflictError, FatalStateError, MalformedError, UnsupportedError
from verifiable.tee.attesters import Attested, require_report_data
from verifiable.tee.evidence import MAX_SIZE

ROOT = Path("/sys/kernel/config/tsm/report")
#: What the attribute ``provider`` says -> kind of evidence.
PROVIDERS = {"tdx_guest": "tdx", "sev_guest": "snp"}
_ATTEMPTS = 5
_FIRST_PAUSE = 0.05
# The hypervisor throttles (SNP), the quoting service is at work (TDX), a signal came in.
_TRANSIENT = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EBUSY, errno.EINTR})
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_MAX_TEXT = 4096  # of a configfs text attribute


class Requests(Protocol):
    """The folder of requests. Every method raises OSError as the kernel does."""

    def make(self, name: str) -> None:
        """A new request; its attributes appear by themselves. Fails where ``name`` is taken."""
        ...

    def write(self, name: str, attribute: str, data: bytes) -> None: ...

    def read(self, name: str, attribute: str, *, max_size: int) -> bytes:
        """At most ``max_size + 1`` bytes."""
        ...

    def remove(self, name: str) -> None:
        """The request with its attributes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Configfs:
    """:class:`Requests` below ``root`` in the file system."""

    root: Path = ROOT

    def make(self, name: str) -> None:
        (self.root / name).mkdir(mode=0o700)

    def write(self, name: str, attribute: str, data: bytes) -> None:
        # Text attributes take what comes in one write as the whole, so nothing may split it.
        descriptor = os.open(self.root / name / attribute, os.O_WRONLY | os.O_CLOEXEC)
        try:
            written = os.write(descriptor, data)
        finally:
            os.close(descriptor)
        if written != len(data):
            raise OSError(errno.EIO, "cut short")

    def read(self, name: str, attribute: str, *, max_size: int) -> bytes:
        descriptor = os.open(self.root / name / attribute, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = bytearray()
            # Not a file object's read(): that one gives nothing where the kernel says EAGAIN.
            while len(found) <= max_size and (block := os.read(descriptor, max_size + 1 - len(found))):
                found += block
        finally:
            os.close(descriptor)
        return bytes(found)

    def remove(self, name: str) -> None:
        (self.root / name).rmdir()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigfsTsm:
    """An :class:`.Attester`. ``kind``: ``tdx`` or ``snp``; where the machine is the other, it refuses."""

    kind: str
    requests: Requests = field(default_factory=Configfs)
    pause: Callable[[float], None] = time.sleep

    def attest(self, report_data: bytes) -> Attested:
        """See :meth:`.Attester.attest`. The request is removed again, however it ends."""
        require_report_data(report_data)
        name = f"verifiable-{secrets.token_hex(8)}"
        with _failures(self.kind, made=False):
            self.requests.make(name)
        try:
            with _failures(self.kind, made=True):
                return self._ask(name, report_data)
        finally:
            with contextlib.suppress(OSError):  # an empty request that stays behind is harmless, and hides no better error
                self.requests.remove(name)

    def _ask(self, name: str, report_data: bytes) -> Attested:
        provider = self._read(name, "provider", _MAX_TEXT).rstrip(b"\n").decode("utf-8", "replace")
        if PROVIDERS.get(provider) != self.kind:
            raise UnsupportedError(f"the hardware of this machine is {provider[:40]!r}, which gives no {self.kind} evidence")
        expected = self._generation(name)
        self.requests.write(name, "inblob", report_data)
        expected += 1
        expected += self._lower_privilege(name)
        evidence = self._blob(name, "outblob")
        table = self._blob(name, "auxblob") if self.kind == "snp" else b""
        if (found := self._generation(name)) != expected:
            raise ConflictError(
                f"{self.kind}: another program wrote into the request ({found} writes, {expected} are ours), or ours was dropped",
                hint="try again; if it happens again, look who may write to /sys/kernel/config/tsm",
            )
        if not evidence:
            raise FatalStateError(f"{self.kind}: the kernel gave an empty report")
        return Attested(evidence=evidence, collateral=_certificates(table))

    def _lower_privilege(self, name: str) -> int:
        """Ask at the highest privilege that is ours where that is not level 0 (VMPL, under a paravisor); gives the number of
        writes.
        """
        try:
            floor = self._number(name, "privlevel_floor")
        except OSError as error:
            if error.errno == errno.ENOENT:  # not every provider has levels
                return 0
            raise
        if floor == 0:
            return 0
        self.requests.write(name, "privlevel", b"%d" % floor)
        return 1

    def _blob(self, name: str, attribute: str) -> bytes:
        """A binary attribute; reading ``outblob`` is what has the hardware sign, so that may have to wait."""
        for attempt in range(_ATTEMPTS):
            try:
                return self._read(name, attribute, MAX_SIZE)
            except OSError as error:
                if attribute == "auxblob" and error.errno == errno.ENOENT:
                    return b""
                if error.errno not in _TRANSIENT or attempt == _ATTEMPTS - 1:
                    raise
            self.pause(_FIRST_PAUSE * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def _generation(self, name: str) -> int:
        return self._number(name, "generation")

    def _number(self, name: str, attribute: str) -> int:
        text = self._read(name, attribute, _MAX_TEXT).removesuffix(b"\n")
        if not text.isdigit() or len(text) > 20:
            raise FatalStateError(f"{self.kind}: {attribute} of the kernel's request is no number: {text[:40]!r}")
        return int(text)

    def _read(self, name: str, attribute: str, max_size: int) -> bytes:
        data = self.requests.read(name, attribute, max_size=max_size)
        if len(data) > max_size:
            raise MalformedError(f"{self.kind}: {attribute} has more than the {max_size:,} bytes allowed")
        return data


def _certificates(table: bytes) -> tuple[bytes, ...]:
    """What the host put beside an SNP report: often nothing, and then the certificate comes from AMD."""
    if not table:
        return ()
    from verifiable.tee.snp.certs import parse_certificate_table

    return parse_certificate_table(table)


@contextlib.contextmanager
def _failures(kind: str, *, made: bool) -> Iterator[None]:
    """The kernel's words as ours (drivers/virt/coco/guest/report.c in its sources). ``made``: the request is there already."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        where = error.filename or ROOT
        if made and error.errno == errno.ENOENT:
            raise ConflictError(f"{kind}: another program removed the request ({where})", hint="try again") from error
        if error.errno in _ABSENT:
            raise UnsupportedError(
                f"no {kind} hardware here that Linux can ask: {where}: {reason}",
                hint="needs a confidential guest, Linux 6.7 or later, configfs mounted, and the module tdx_guest or sev_guest",
            ) from error
        if error.errno in _FORBIDDEN:
            raise UnsupportedError(
                f"{kind}: requests may not be made here: {where}: {reason}", hint="run as a user who may write there: root"
            ) from error
        if error.errno in _TRANSIENT or error.errno in {errno.EEXIST, errno.ETIMEDOUT}:
            raise ConflictError(f"{kind}: the hardware or its host is busy: {where}: {reason}", hint="try again") from error
        raise FatalStateError(
            f"{kind}: no report was made: {where}: {reason}", hint="the kernel's log says more: dmesg"
        ) from error


__all__ = ["PROVIDERS", "ROOT", "Configfs", "ConfigfsTsm", "Requests"]
