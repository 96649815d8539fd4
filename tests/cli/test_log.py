# SPDX-License-Identifier: Apache-2.0
"""`verifiable log` as typed by a user: a log's life, and the exit code of each way it can go wrong."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from verifiable.ledger.checkpoint import SignedCheckpoint
from verifiable.ledger.directory import LogDirectory

ORIGIN = "log.example/cli"


@pytest.fixture
def log(tmp_path: Path) -> LogDirectory:
    log = LogDirectory.at(tmp_path / "ledger")
    log.initialise(ORIGIN)
    with log.open() as writing:
        writing.append_many([b"one", b"two"])
    return log


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_the_life_of_a_log(run: Run, tmp_path: Path) -> None:
    made = run("log", "init", tmp_path / "ledger", "--origin", ORIGIN)
    assert made.code == 0, made.err
    ed25519, ml_dsa = made.out.splitlines()
    assert ed25519.startswith(f"{ORIGIN}+")
    one, two = _write(tmp_path / "one", b"one"), _write(tmp_path / "two", b"two")
    done = run("log", "append", tmp_path / "ledger", one, two, one, "--json")
    assert [row["index"] for row in done.json] == [0, 1, 0]
    proof = tmp_path / "one.tlog-proof"
    done = run("log", "append", tmp_path / "ledger", one, "-o", proof)
    assert (done.code, done.out) == (0, f"0  {one}  (was there)\n")
    done = run("log", "verify", proof, one, "--vkey", ed25519, "--vkey", ml_dsa)
    assert (done.code, done.out) == (0, f"verified: entry 0 of 2 in {ORIGIN}\n")
    done = run("log", "verify", proof, two, "--vkey", ed25519)
    assert (done.code, done.out) == (1, "")
    assert "another root" in done.err
    done = run("log", "prove", tmp_path / "ledger", 1, "-o", tmp_path / "two.tlog-proof", "--vkey", ed25519)
    assert done.code == 0, done.err
    assert run("log", "verify", tmp_path / "two.tlog-proof", two, "--vkey", ed25519, "--json").json["index"] == 1
    done = run("log", "fsck", tmp_path / "ledger")
    assert (done.code, done.out) == (0, "sound: 2 entries\n")


def test_nothing_to_judge_by_and_wrong_keys(run: Run, log: LogDirectory, tmp_path: Path) -> None:
    published = tmp_path / "published"
    shutil.copytree(log.public, published)
    done = run("log", "fsck", published)
    assert (done.code, "--vkey" in done.err) == (66, True)
    other = LogDirectory.at(tmp_path / "other").initialise(ORIGIN)[0].encode()
    assert run("log", "prove", published, 0, "-o", tmp_path / "p", "--vkey", other).code == 66
    assert run("log", "prove", published, 0, "-o", tmp_path / "p", "--vkey", other[:-9]).code == 65
    assert not (tmp_path / "p").exists()


def test_entries_that_cannot_be_proved_or_logged(run: Run, log: LogDirectory, tmp_path: Path) -> None:
    done = run("log", "prove", log.public, 2, "-o", tmp_path / "p")
    assert (done.code, "no entry 2" in done.err) == (1, True)
    big = _write(tmp_path / "big", bytes(65_536))
    assert run("log", "append", log.public, big).code == 65
    assert run("log", "append", tmp_path / "nothing", _write(tmp_path / "x", b"x")).code == 65
    assert run("log", "append", log.public, big, big, "-o", tmp_path / "p").code == 2


@pytest.mark.parametrize("text", ['{\n  "bundle": {}\n}\n', ' {"dsseEnvelope" : {}}', '\ufeff{"bundle":{}}'])
def test_a_receipt_that_was_reformatted_is_not_logged_as_bytes(text: str, run: Run, log: LogDirectory, tmp_path: Path) -> None:
    """It would stand there for nothing: the leaf of the receipt is another, and nobody can settle by this one."""
    done = run("log", "append", log.public, _write(tmp_path / "x", text.encode()), "-o", tmp_path / "settled.json")
    assert (done.code, (tmp_path / "settled.json").exists()) == (65, False)
    assert run("log", "append", log.public, _write(tmp_path / "x", b'{"my own": "bundle"}')).code == 0


def test_a_second_writer_fails_clearly(run: Run, log: LogDirectory, tmp_path: Path) -> None:
    with log.open():
        done = run("log", "append", log.public, _write(tmp_path / "x", b"x"), "--wait", "0")
    assert (done.code, "held by process" in done.err) == (75, True)


def test_fsck_names_the_damage(run: Run, log: LogDirectory) -> None:
    bundle = log.public / "tile" / "entries" / "000.p" / "2"
    bundle.write_bytes(bundle.read_bytes().replace(b"two", b"tvo"))
    done = run("log", "fsck", log.public)
    assert done.code == 70
    assert done.out.startswith("tile/entries/000.p/2: ")
    assert run("log", "fsck", log.public, "--json").json["damage"][0]["path"] == "tile/entries/000.p/2"


@pytest.mark.parametrize("line", [0, 1])
def test_fsck_looks_at_every_signature_of_the_log(line: int, run: Run, log: LogDirectory) -> None:
    """Readers that were given both keys refuse a checkpoint of which either is damaged."""
    path = log.public / "checkpoint"
    signed = SignedCheckpoint.parse(path.read_bytes())
    lines = list(signed.note.signatures)
    lines[line] = replace(lines[line], signature=lines[line].signature[:-9] + bytes(9))
    path.write_bytes(replace(signed, note=replace(signed.note, signatures=tuple(lines))).encode())
    done = run("log", "fsck", log.public)
    assert (done.code, done.out.split(":")[0]) == (70, "checkpoint")


def test_a_rolled_back_log_is_not_written(run: Run, log: LogDirectory, tmp_path: Path) -> None:
    shutil.copytree(log.public, tmp_path / "backup")
    for name in (b"three", b"four"):
        assert run("log", "append", log.public, _write(tmp_path / "x", name)).code == 0
    shutil.rmtree(log.public)
    shutil.copytree(tmp_path / "backup", log.public)
    done = run("log", "append", log.public, tmp_path / "x")
    assert (done.code, "rolled back" in done.err) == (70, True)


def test_watch_ends_loudly_on_a_split_view(run: Run, log: LogDirectory, tmp_path: Path) -> None:
    fork = LogDirectory.at(tmp_path / "fork")
    shutil.copytree(log.public, fork.public)
    shutil.copytree(log.private, fork.private)
    for each in (log, fork):
        with each.open() as writing:
            writing.append(each.public.name.encode())
    state = tmp_path / "seen"
    vkeys = [part for key in log.identity().keys for part in ("--vkey", key.encode())]
    note = (log.public / "checkpoint").read_bytes()
    (log.public / "checkpoint").write_bytes(b"<html>try again</html>")
    done = run("log", "watch", log.public, "--state", state, "--looks", 2, "--interval", "0.1")
    assert (done.code, done.out, done.err.count("error:")) == (65, "", 2), "what passes by itself is reported and tried again"
    (log.public / "checkpoint").write_bytes(note)
    done = run("log", "watch", log.public, "--state", state, "--looks", 1)
    assert (done.code, done.out.split(",")[0]) == (0, f"{ORIGIN}: 3 entries")
    for strange in (note.replace(b"\n3\n", b"\n4\n"), note.replace(ORIGIN.encode(), b"log.example/another")):
        (log.public / "checkpoint").write_bytes(strange)
        done = run("log", "watch", log.public, "--state", state, "--looks", 2, "--interval", "0.1", *vkeys)
        assert (done.code, done.err.count("error:")) == (1, 2), "what the log has not signed says nothing about the log"
        done = run("log", "watch", log.public, "--state", tmp_path / "fresh", "--looks", 2, *vkeys)
        assert (done.code, done.err.count("error:")) == (1, 1), "but from the start it is the wrong key or the wrong address"
    (log.public / "checkpoint").write_bytes(note)
    done = run("log", "watch", fork.public, "--state", state, "--interval", "0.1")
    assert done.code == 1
    assert "split view" in done.err
    for end in ("old", "new"):
        assert (tmp_path / f"seen.split-{end}").read_bytes().startswith(ORIGIN.encode() + b"\n3\n")
        assert f"seen.split-{end}" in done.err
