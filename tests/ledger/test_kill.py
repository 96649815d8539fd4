# SPDX-License-Identifier: Apache-2.0
"""The real process, killed at a random moment, again and again: what it had acknowledged is there, and the log goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from verifiable.ledger.checkpoint import SignedCheckpoint
from verifiable.ledger.directory import LogDirectory
from verifiable.ledger.fsck import fsck
from verifiable.ledger.tree import TileReader
from verifiable.merkle import proofs

# Prints what is acknowledged, and every checkpoint it sees, unbuffered; ends only by being killed.
_APPENDER = """
import os, sys
from pathlib import Path
from verifiable.ledger.directory import LogDirectory
with LogDirectory.at(Path(sys.argv[1])).open(batch=64) as log:
    for number in range(10**9):
        entries = [b"%s %d %d" % (sys.argv[2].encode(), number, i) for i in range(1 + number * 37 % 150)]
        for entry, done in zip(entries, log.append_many(entries)):
            os.write(1, b"%d %s\\n" % (done.index, entry))
        os.write(1, b"checkpoint " + log.checkpoint().hex().encode() + b"\\n")
"""


def _kill_after(log: Path, name: str, lines: int, extra: float) -> list[bytes]:
    """Start an appender and kill it some moments after it has printed ``lines`` lines."""
    process = subprocess.Popen([sys.executable, "-c", _APPENDER, str(log), name], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        got = [process.stdout.readline() for _ in range(lines)]
        try:
            process.wait(timeout=extra)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        got += process.stdout.readlines()
        assert process.wait() == -signal.SIGKILL
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    if got and not got[-1].endswith(b"\n"):
        got.pop()
    return got


def _rounds(tmp_path: Path, count: int) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    chance = random.Random(seed)
    directory = LogDirectory.at(tmp_path / "log")
    directory.initialise("log.example/kill")
    identity = directory.identity()
    acknowledged: dict[int, bytes] = {}
    signed: dict[int, bytes] = {}
    for number in range(count):
        for line in _kill_after(directory.public, str(number), chance.randrange(3), chance.random() * 0.15):
            first, rest = line.rstrip(b"\n").split(b" ", 1)
            if first == b"checkpoint":
                checkpoint = identity.open(bytes.fromhex(rest.decode()))
                assert signed.setdefault(checkpoint.size, checkpoint.root) == checkpoint.root
            else:
                assert acknowledged.setdefault(int(first), rest) == rest, "one place was given to two entries"
        head = identity.open(directory.head() or b"")
        assert signed.setdefault(head.size, head.root) == head.root, "two trees of one size were signed"
        with directory.open() as log:
            assert log.size >= max(acknowledged, default=-1) + 1
            for index in chance.sample(sorted(acknowledged), min(20, len(acknowledged))):
                assert log.entry(index) == acknowledged[index]
    fsck(directory.published, identity.open, head=directory.head()).require_sound()
    size = SignedCheckpoint.parse((directory.public / "checkpoint").read_bytes()).checkpoint.size
    with directory.open() as log:
        assert all(log.entry(index) == entry for index, entry in acknowledged.items())
    reader = TileReader(directory.published)
    for old, root in signed.items():
        assert proofs.root(old, lambda level, index: reader.node(size, level, index)) == root
    assert len(acknowledged) > count
    assert len(signed) > count // 2


def test_killed_a_few_times(tmp_path: Path) -> None:
    _rounds(tmp_path, 6)


@pytest.mark.slow
def test_killed_two_hundred_times(tmp_path: Path) -> None:
    _rounds(tmp_path, 200)


def test_two_processes_on_one_directory(tmp_path: Path) -> None:
    """Each opens, appends and closes in turn, waiting for the other: nothing of either is lost."""
    directory = LogDirectory.at(tmp_path / "log")
    directory.initialise("log.example/two")
    program = """
import sys
from pathlib import Path
from verifiable.ledger.directory import LogDirectory
for number in range(15):
    with LogDirectory.at(Path(sys.argv[1])).open(wait=60) as log:
        log.append_many([b"%s %d %d" % (sys.argv[2].encode(), number, i) for i in range(20)])
"""
    both = [subprocess.Popen([sys.executable, "-c", program, str(directory.public), name]) for name in ("a", "b")]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    with directory.open() as log:
        assert log.size == 600
        assert {log.entry(i) for i in range(600)} == {
            b"%s %d %d" % (n, r, i) for n in (b"a", b"b") for r in range(15) for i in range(20)
        }
    fsck(directory.published, directory.identity().open, head=directory.head()).require_sound()
