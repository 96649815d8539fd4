# SPDX-License-Identifier: Apache-2.0
"""What is timed, step by step, at one size of the log: append, open, read, fsck. Each runs in a process of its own.

What is found is also what must be: a log of another size, a proof that does not lead to the root, or damage that fsck sees, is
an error and no figure.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from verifiable.bench.ledger import cold
from verifiable.bench.ledger.entries import entries, entry, parts
from verifiable.bench.timing import repeat, timed
from verifiable.errors import FatalStateError
from verifiable.ledger.checkpoint import SignedCheckpoint
from verifiable.ledger.client import LogClient
from verifiable.ledger.directory import LogDirectory
from verifiable.ledger.fsck import fsck
from verifiable.ledger.log import BATCH
from verifiable.ledger.tlogproof import TlogProof
from verifiable.ledger.tree import TileReader
from verifiable.merkle.hashing import leaf_hash
from verifiable.merkle.proofs import inclusion_proof
from verifiable.merkle.verify import verify_inclusion

ORIGIN = "bench.example/log"
#: Entries that are made, then appended and timed, at a time: 100 batches, 11 MB.
PART = 100 * BATCH
#: Appends that come alone, and files that are synced: after each other, before the rest.
ALONE, SYNCS = 20, 50
#: Entries, drawn at random, whose proofs are made and verified; of a small log a tenth of its entries.
PROOFS, SEED = 1000, 5
_TILE = bytes(8192)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One step. ``log``: the folder of the log, its private one beside it; ``entries``: the size it has or gets."""

    step: str
    log: Path
    entries: int
    runs: int

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "log": str(self.log)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Job:
        return cls(**{**document, "log": Path(document["log"])})

    @property
    def directory(self) -> LogDirectory:
        return LogDirectory.at(self.log)


@dataclass(slots=True)
class Found:
    """Seconds per run, entries per second, bytes and numbers, as in ``results``."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def run(job: Job) -> Found:
    """Do the step. Raises Error."""
    return {"append": _append, "open": _open, "read": _read, "fsck": _fsck}[job.step](job)


def _append(job: Job) -> Found:
    """Grow the log to ``entries``, batch by batch, both keys signing each checkpoint. Making entries is not counted."""
    found = Found(seconds={"sync": _syncs(job.log.parent)})
    if not job.log.exists():
        job.directory.initialise(ORIGIN)
    with job.directory.open() as log:
        first = log.size
        some = entries(first, min(first + ALONE, job.entries))
        found.seconds["alone"] = [timed(partial(log.append, each)) for each in some]
        rest = [*parts(first + len(some), job.entries, PART)]
        times = [timed(partial(log.append_many, entries(*part))) for part in rest]
        _require(job, log.size)
    counts = [last - first for first, last in rest]
    found.rates = {
        "append": sum(counts) / sum(times),
        "append-least": min(count / seconds for count, seconds in zip(counts, times, strict=True)),
    }
    return found


def _syncs(folder: Path) -> list[float]:
    """What the disk takes to make a new file of 8 kB durable: what an append can at best be made of."""
    found = []
    for number in range(SYNCS):
        path = folder / f"sync-{number}"
        with path.open("wb", buffering=0) as stream:
            stream.write(_TILE)
            found.append(timed(partial(os.fsync, stream.fileno())))
        path.unlink()
    return found


def _open(job: Job) -> Found:
    """For writing: keys, edge, state and index; warm, and with the contents of all files forgotten."""
    warm = repeat(partial(_opened, job), job.runs)
    chilled = []
    for _ in range(job.runs):
        cold.forget(_files(job))
        chilled.append(_opened(job))
    sizes, counts = _weighed(job)
    return Found(seconds={"open": warm, "open-cold": chilled}, bytes=sizes, counts=counts)


def _weighed(job: Job) -> tuple[dict[str, int], dict[str, int]]:
    """File by file: a list of them all would show in the memory of this step."""
    sizes, count = {"published": 0, "allocated": 0, "private": 0}, 0
    for path in cold.files_below(job.directory.public):
        status = path.stat()
        sizes["published"] += status.st_size
        sizes["allocated"] += status.st_blocks * 512
        count += 1
    for path in cold.files_below(job.directory.private):
        sizes["private"] += path.stat().st_size
    return sizes, {"files": count}


def _opened(job: Job) -> float:
    started = time.monotonic()
    with job.directory.open() as log:
        seconds = time.monotonic() - started
        _require(job, log.size)
    return seconds


def _files(job: Job) -> Iterator[Path]:
    yield from cold.files_below(job.directory.public)
    yield from cold.files_below(job.directory.private)


def _read(job: Job) -> Found:
    """Inclusion proofs of random entries, each by a reader that remembers no tile, and their verification."""
    keys = job.directory.identity().keys
    source = job.directory.published
    seen = LogClient(source, keys).checkpoint()
    _require(job, seen.checkpoint.size)
    found = Found(seconds={"prove": [], "prove-cold": [], "verify": [], "verify-path": []})
    draw = random.Random(SEED)  # noqa: S311 - which entries are looked at is no secret
    for index in (draw.randrange(job.entries) for _ in range(min(PROOFS, job.entries // 10))):
        recorder = cold.Recorder(source)
        _proof(recorder, index, job.entries)
        found.seconds["prove"].append(timed(partial(_proof, source, index, job.entries)))
        cold.forget(source.root / path for path in recorder.paths)
        started = time.monotonic()
        hashes = _proof(source, index, job.entries)
        found.seconds["prove-cold"].append(time.monotonic() - started)
        proof = TlogProof(index=index, hashes=hashes, checkpoint=SignedCheckpoint.parse(seen.note)).encode()
        body = entry(index)
        found.seconds["verify"].append(timed(partial(_verify, proof, body, keys)))
        head = seen.checkpoint
        path = partial(verify_inclusion, leaf_hash(body), index, head.size, hashes, head.root)
        found.seconds["verify-path"].append(timed(path))
    return found


def _proof(source: Any, index: int, size: int) -> tuple[bytes, ...]:
    return inclusion_proof(index, size, partial(TileReader(source).node, size))


def _verify(proof: bytes, body: bytes, keys: Any) -> None:
    """A proof of logging as a stranger gets it: bytes, with a checkpoint that both of the log's keys must have signed."""
    found = TlogProof.parse(proof)
    head = SignedCheckpoint.open(found.checkpoint.encode(), *keys)
    verify_inclusion(leaf_hash(body), found.index, head.size, found.hashes, head.root)


def _fsck(job: Job) -> Found:
    """The whole log derived again from its entries; warm, then with the contents of all files forgotten."""
    warm = repeat(partial(timed, partial(_checked, job)), job.runs)
    cold.forget(_files(job))
    chilled = timed(partial(_checked, job))
    return Found(rates={"fsck": job.entries / median(warm), "fsck-cold": job.entries / chilled})


def _checked(job: Job) -> None:
    keys = job.directory.identity().keys
    report = fsck(job.directory.published, lambda note: SignedCheckpoint.open(note, *keys), head=job.directory.head())
    report.require_sound()
    _require(job, report.checkpoint.size if report.checkpoint else 0)


def _require(job: Job, size: int) -> None:
    if size != job.entries:
        raise FatalStateError(f"benchmark: the log has {size:,} entries where {job.entries:,} were appended")


__all__ = ["ALONE", "PART", "PROOFS", "Found", "Job", "run"]
