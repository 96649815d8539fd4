# SPDX-License-Identifier: Apache-2.0
"""What is timed: one piece of evidence, parsed from its bytes and verified up to its root, again and again in one process.

The first call also loads what reads this kind, and the roots; the others are what it costs a verifier that runs already. Evidence
that does not verify is an error and no figure.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verifiable.bench.timing import repeat

if TYPE_CHECKING:
    from verifiable.bench.tee.subjects import Subject
    from verifiable.tee.roots import Roots

STEP = "verify"
_FIGURES = ("parse", "verify", "total", "cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of evidence of ``kind``, judged at ``at`` (RFC 3339). ``folder`` has its bytes in ``evidence`` and those of its
    collateral in ``collateral-0`` and so on; ``roots``, where they are not the vendors': (name, kinds, DER in hex).
    """

    step: str
    folder: Path
    kind: str
    at: str
    pieces: int
    roots: tuple[tuple[str, tuple[str, ...], str], ...] | None
    runs: int

    @classmethod
    def of(cls, subject: Subject, folder: Path, *, runs: int) -> Job:
        """With the files in ``folder``, which is empty."""
        from verifiable.encoding.record import format_time

        (folder / "evidence").write_bytes(subject.evidence)
        for number, piece in enumerate(subject.collateral):
            (folder / f"collateral-{number}").write_bytes(piece)
        trusted = subject.roots
        return cls(
            step=STEP, folder=folder, kind=subject.kind, at=format_time(subject.at), pieces=len(subject.collateral),
            roots=None if trusted is None else tuple((r.name, r.kinds, r.certificate.der.hex()) for r in trusted.roots),
            runs=runs,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "folder": str(self.folder)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Job:
        given = document["roots"]
        roots = None if given is None else tuple((name, tuple(kinds), der) for name, kinds, der in given)
        return cls(**{**document, "folder": Path(document["folder"]), "roots": roots})


@dataclass(slots=True)
class Found:
    """Seconds per run and bytes, as in ``results``."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)


def run(job: Job) -> Found:
    """Do it. Raises Error where the evidence does not verify."""
    data = (job.folder / "evidence").read_bytes()
    collateral = [(job.folder / f"collateral-{number}").read_bytes() for number in range(job.pieces)]
    started = time.perf_counter()
    once = _Once(job, data, collateral)
    once()
    first = time.perf_counter() - started
    runs = repeat(once, job.runs)
    seconds = {"first": [first]} | {name: [each[i] for each in runs] for i, name in enumerate(_FIGURES)}
    return Found(seconds=seconds, bytes={"evidence": len(data), "collateral": sum(map(len, collateral))})


class _Once:
    """Parse and verify, as a verifier does with each piece that comes in; the roots are read before."""

    def __init__(self, job: Job, data: bytes, collateral: list[bytes]) -> None:
        from verifiable.encoding.record import parse_time
        from verifiable.tee import registry

        self._parse, self._kind, self._data, self._collateral = registry.parse, job.kind, data, collateral
        self._at, self._roots = parse_time(job.at, "at"), _roots(job)

    def __call__(self) -> tuple[float, float, float, float]:
        """Seconds of parsing, of verifying, of both, and of both on the processor: what else runs here does not count there."""
        started, cpu = time.perf_counter(), time.process_time()
        evidence = self._parse(self._kind, self._data)
        parsed = time.perf_counter()
        evidence.verify(at=self._at, roots=self._roots, collateral=self._collateral)
        busy, ended = time.process_time() - cpu, time.perf_counter()
        return parsed - started, ended - parsed, ended - started, busy


def _roots(job: Job) -> Roots:
    from verifiable.tee.roots import Root, Roots, shipped
    from verifiable.tee.x509 import Certificate

    if job.roots is None:
        return shipped()
    return Roots(
        roots=tuple(
            Root(name=name, kinds=kinds, certificate=Certificate.parse(bytes.fromhex(der))) for name, kinds, der in job.roots
        )
    )


__all__ = ["STEP", "Found", "Job", "run"]
