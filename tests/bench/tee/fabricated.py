# SPDX-License-Identifier: Apache-2.0
"""Results of evidence made up for tests of what is done with results, and cases of fake vendors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.x509 import load_der_x509_certificate

from tests.bench.prove.fabricated import MACHINE
from tests.fakes.pki.authority import NOW, pem
from verifiable.bench.tee.results import Measurement, Results
from verifiable.bench.tee.subjects import Case
from verifiable.tee.roots import Roots


def measured(name: str, kind: str, *cpu: float, memory: int = 4 * 10**7, collateral: int = 0) -> Measurement:
    times = {"first": (0.08,), "parse": cpu, "verify": cpu, "total": tuple(2 * each for each in cpu), "cpu": cpu}
    sizes = {"evidence": 5000, "collateral": collateral, "memory-verify": memory}
    return Measurement(name=name, kind=kind, seconds=times, bytes=sizes)


def results(*measurements: Measurement) -> Results:
    return Results(machine=MACHINE, measurements=measurements)


def case(folder: Path, minted: tuple[bytes, tuple[bytes, ...], Roots], **fields: Any) -> Case:
    """What a fake vendor minted, as files in ``folder``."""
    evidence, collateral, roots = minted

    def put(name: str, data: bytes) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    def certificates(kind: str) -> tuple[Path, ...]:
        found = [root.certificate.der for root in roots.roots if kind in root.kinds]
        return tuple(put(f"{kind}-{number}.pem", pem(load_der_x509_certificate(der))) for number, der in enumerate(found))

    kind = next(kind for root in roots.roots for kind in root.kinds)
    wanted = {
        "name": "fake", "evidence": put("evidence", evidence), "kind": None, "at": NOW,
        "collateral": tuple(put(f"piece-{number}", piece) for number, piece in enumerate(collateral)),
        "roots": certificates(kind), "rim_roots": certificates("nvidia-rim") if kind == "nvidia" else (),
    }  # fmt: skip
    return Case(**(wanted | fields))
