# SPDX-License-Identifier: Apache-2.0
"""Software evidence of this very library, where there is no hardware to ask: real measurements, and nobody to vouch for them.

What is measured is the source of the installed package as it lies on the disk: SHA-384 over the tag, then each ``.py`` file in
order of its path, path and contents each behind its length (u64, little-endian). Folders whose names begin with an underscore are
not source: caches, and the catalogue, which a checkout keeps elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import verifiable
from verifiable import files
from verifiable.errors import FatalStateError
from verifiable.keys.signer import Signer, temporary
from verifiable.tee.attesters import Attested, require_report_data
from verifiable.tee.software import SoftwareEvidence

_TAG = b"verifiable/tee/software/v1\0"
_MAX_SOURCE = 1 << 22
_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """An :class:`.Attester`. ``signer``: by default a key that is gone with this object; ``root``: the folder to measure;
    ``debug``: what the evidence says of itself.
    """

    signer: Signer = field(default_factory=temporary)
    root: Path = Path(verifiable.__file__).parent
    clock: Callable[[], datetime] = _now
    debug: bool = False

    @property
    def kind(self) -> str:
        return "software"

    def attest(self, report_data: bytes) -> Attested:
        """See :meth:`.Attester.attest`; the source is read each time."""
        require_report_data(report_data)
        evidence = SoftwareEvidence.issue(
            self.signer,
            measurement=measure(self.root),
            report_data=report_data,
            tcb={"library": version_number(verifiable.__version__)},
            issued_on=self.clock(),
            debug=self.debug,
        )
        return Attested(evidence=evidence.encode())


def measure(root: Path) -> bytes:
    """48 bytes: of the source below ``root``. Raises FatalStateError where there is none, MalformedError where it cannot be
    read.
    """
    state = hashlib.sha384(_TAG)
    found = sorted((path.relative_to(root).as_posix(), path) for path in root.rglob("*.py"))
    source = [(name, path) for name, path in found if not any(part.startswith("_") for part in name.split("/")[:-1])]
    if not source:
        raise FatalStateError(f"software evidence: no source to measure in {root}")
    for name, path in source:
        for part in (name.encode(), files.read(path, what="source", max_size=_MAX_SOURCE)):
            state.update(len(part).to_bytes(8, "little") + part)
    return state.digest()


def version_number(version: str) -> int:
    """``1.2.3`` -> 1002003, and the same for whatever comes before or after it: a number that grows."""
    match = _VERSION.match(version)
    if match is None:
        return 0
    major, minor, patch = map(int, match.groups())
    return (major * 1000 + minor) * 1000 + patch


__all__ = ["Software", "measure", "version_number"]
