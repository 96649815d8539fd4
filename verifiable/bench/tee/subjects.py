# SPDX-License-Identifier: Apache-2.0
"""What is measured: evidence in files, alone or listed in a TOML file, and software evidence made here.

A list is of ``[[cases]]``, each with ``evidence``, and where wanted ``name``, ``kind``, ``collateral``, ``roots``, ``rim-roots``
and ``at``, which are what the options of the same names are. Its paths are relative to its folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from verifiable import files
from verifiable.digest import Digest
from verifiable.encoding.record import Record
from verifiable.encoding.toml import MAX_SIZE, read_toml
from verifiable.errors import MalformedError
from verifiable.tee import binding, document, registry
from verifiable.tee.attesters import software as attester
from verifiable.tee.evidence import KINDS, MAX_COLLATERAL
from verifiable.tee.evidence import MAX_SIZE as MAX_PIECE
from verifiable.tee.roots import MAX_SIZE as MAX_ROOT
from verifiable.tee.roots import Roots, shipped

_MAX_CASES = 1000
_RIM = "nvidia-rim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Files to measure. ``kind``: None where it is to be told by the form; ``roots``, ``rim_roots``: in place of the vendors';
    ``at``: when to judge.
    """

    name: str
    evidence: Path
    kind: str | None
    collateral: tuple[Path, ...]
    roots: tuple[Path, ...]
    rim_roots: tuple[Path, ...]
    at: datetime

    def read(self) -> Subject:
        """Raises MalformedError, UnsupportedError, TrustError (collateral that an attestation names is not here)."""
        data = files.read(self.evidence, what="evidence", max_size=document.MAX_SIZE)
        if len(self.collateral) > MAX_COLLATERAL:
            raise MalformedError(f"{len(self.collateral)} pieces of collateral, at most {MAX_COLLATERAL} are read")
        given = tuple(files.read(path, what="collateral", max_size=MAX_PIECE) for path in self.collateral)
        at, kind = self.at, self.kind
        if document.is_attestation(data):
            attestation = document.Attestation.parse(data)
            if kind not in {None, attestation.kind}:
                raise MalformedError(f"{self.evidence}: an attestation of kind {attestation.kind}, not {kind}")
            given = attestation.find_collateral({Digest.of(each): each for each in given})
            data, at, kind = attestation.evidence, attestation.verified_at, attestation.kind
        kind = registry.guess(data) if kind is None else kind
        return Subject(kind=kind, evidence=data, collateral=given, roots=self._trusted(kind), at=at)

    def _trusted(self, kind: str) -> Roots | None:
        if not self.roots and not self.rim_roots:
            return None
        found = shipped()
        for target, paths in ((kind, self.roots), (_RIM, self.rim_roots)):
            given = [(str(path), files.read(path, what="root", max_size=MAX_ROOT)) for path in paths]
            found = found.replacing(target, given)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Evidence to measure, as a verifier has it. ``roots``: None for the vendors' that come with this package."""

    kind: str
    evidence: bytes
    collateral: tuple[bytes, ...]
    roots: Roots | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """Evidence of this library made and judged at ``at``, signed by a key that is gone afterwards: a case without files."""

    at: datetime
    name: str = "software"
    kind: str = "software"

    def read(self) -> Subject:
        """Made each time."""
        made = attester.Software(clock=lambda: self.at).attest(bytes(binding.SIZE)).evidence
        return Subject(kind=self.kind, evidence=made, collateral=(), roots=None, at=self.at)


def parse_cases(data: bytes, *, folder: Path, at: datetime, what: str) -> tuple[Case, ...]:
    """A list of cases; ``at`` is for those that name no time. Raises MalformedError."""
    root = Record(read_toml(data, what=what), what)
    cases = tuple(_case(record, folder, at) for record in root.records("cases", maximum=_MAX_CASES))
    root.done()
    return cases


def read_cases(path: Path, *, at: datetime) -> tuple[Case, ...]:
    """:func:`parse_cases` of a file. Raises MalformedError."""
    return parse_cases(
        files.read(path, what="cases", max_size=MAX_SIZE), folder=path.parent, at=at, what=f"cases {path.name}"
    )  # fmt: skip


def _case(record: Record, folder: Path, at: datetime) -> Case:
    evidence = record.text("evidence")
    case = Case(
        name=record.text("name", max_length=100) if record.has("name") else Path(evidence).name,
        evidence=folder / evidence,
        kind=record.choice("kind", KINDS) if record.has("kind") else None,
        collateral=_paths(record, "collateral", folder),
        roots=_paths(record, "roots", folder),
        rim_roots=_paths(record, "rim-roots", folder),
        at=record.time("at") if record.has("at") else at,
    )
    record.done()
    return case


def _paths(record: Record, name: str, folder: Path) -> tuple[Path, ...]:
    values = record.items(name, maximum=MAX_COLLATERAL) if record.has(name) else []
    return tuple(folder / Record({"path": value}, f"{record.where}.{name}").text("path") for value in values)


__all__ = ["Case", "Software", "Subject", "parse_cases", "read_cases"]
