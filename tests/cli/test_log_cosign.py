# SPDX-License-Identifier: Apache-2.0
"""A log and two cosigners, each in a process of its own, as typed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cli.conftest import Made, Run, serving


def test_a_log_is_cosigned_and_a_forked_copy_is_not(run: Run, tmp_path: Path) -> None:
    log, policy, entry = tmp_path / "log", tmp_path / "policy", tmp_path / "entry"
    log_keys = run("log", "init", log, "--origin", "log.example/one").out.split()
    lines, states = [f"log {log_keys[0]}\n"], []
    for number in (1, 2):
        states.append(tmp_path / f"w{number}")
        made = run("log", "cosign", "init", states[-1], "--name", f"w{number}.example")
        assert made.code == 0, made.err
        trusted = run("log", "cosign", "trust", states[-1], *log_keys)
        assert trusted.code == 0, trusted.err
        lines.append(f"witness w{number} {made.out.split()[1]} {{{number - 1}}}\n")
    lines.append("group both all w1 w2\nquorum both\n")
    entry.write_text("one")
    assert run("log", "append", log, entry).code == 0
    with serving(states[0]) as one, serving(states[1]) as two:
        policy.write_text("".join(lines).format(one, two))
        asked = run("log", "cosign", "ask", log, "--policy", policy)
        assert (asked.code, asked.out) == (0, "log.example/one: size 1 cosigned by w1, w2, both\n"), asked.err
        assert (log / "checkpoint").read_text().count("— w") == 2
        copy = tmp_path / "copy"
        for name in ("log", "log.private"):
            subprocess.run(["cp", "-r", tmp_path / name, tmp_path / name.replace("log", "copy")], check=True)
        for folder, text in ((log, "two"), (copy, "another two")):
            entry.write_text(text)
            assert run("log", "append", folder, entry).code == 0
        assert run("log", "cosign", "ask", log, "--policy", policy, "--json").json["size"] == 2
        forked = run("log", "cosign", "ask", copy, "--policy", policy)
        assert forked.code == 1
        assert "does not extend what it has cosigned" in forked.err
        assert (copy / "checkpoint").read_text().count("— w") == 0
    assert run("log", "append", log, policy).code == 0
    alone = run("log", "cosign", "ask", log, "--policy", policy)
    assert alone.code == 1
    assert "the quorum 'both' is not reached; cosigned by nobody known; cosigner: http://" in alone.err


def test_the_names_of_the_two_kinds_are_kept_apart(run: Run, tmp_path: Path) -> None:
    refused = run("log", "cosign", "init", tmp_path / "w", "--name", "w.example/verifying")
    assert refused.code == 1
    assert "verifying cosigner" in refused.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_cosigners(run: Run, tmp_path: Path) -> None:
    assert run("log", "init", tmp_path / "log", "--origin", "log.example/one").code == 0
    key = next((tmp_path / "log.private").glob("*key*"))
    refused = run("log", "cosign", "serve", tmp_path / "log", "--key", key)
    assert refused.code == 1
    assert "a log's key" in refused.err
    assert run("log", "cosign", "serve", tmp_path / "nowhere").code == 65


def test_a_quorum_of_a_plain_cosigner_and_one_that_verifies_every_entry(made: Made, tmp_path: Path) -> None:
    """A receipt is settled once the one has seen the log and the other has verified the receipt; the false stays unsigned."""
    run, log, inbox, trust, policy = made.run, tmp_path / "log", tmp_path / "inbox", tmp_path / "trust.toml", tmp_path / "policy"
    log_keys = run("log", "init", log, "--origin", "log.example/one").out.split()
    vkeys = {}
    for name, more in (("plain", ()), ("full", ("--verifying",))):
        called = "plain.example" if name == "plain" else "full.example/verifying"
        told = run("log", "cosign", "init", tmp_path / name, "--name", called, *more)
        assert told.code == 0, told.err
        vkeys[name] = told.out.split()[0]
        assert run("log", "cosign", "trust", tmp_path / name, *log_keys).code == 0
    inbox.mkdir()
    trust.write_text(f'[[circuits]]\nname = "ours"\nid = "{made.id}"\n')
    judged = ("--statements", inbox, "--trust", trust, "--log", f"log.example/one={log}", "--allow-dev-srs")
    assert run("log", "append", log, made.receipt).code == 0
    with serving(tmp_path / "plain") as plain, serving(tmp_path / "full", *judged) as full:
        witnesses = f"witness plain {vkeys['plain']} {plain}\nwitness full {vkeys['full']} {full}\n"
        policy.write_text(f"log {log_keys[0]}\n{witnesses}group both all plain full\nquorum both\n")
        early = run("log", "cosign", "ask", log, "--policy", policy)
        assert early.code == 1
        assert "HTTP 503: an entry cannot be read or judged yet" in early.err
        (inbox / "receipt.json").write_bytes(made.receipt.read_bytes())
        asked = run("log", "cosign", "ask", log, "--policy", policy)
        assert (asked.code, asked.out) == (0, "log.example/one: size 1 cosigned by plain, full, both\n"), asked.err
        settled = tmp_path / "settled.json"
        assert run("log", "export", log, made.receipt, "--index", "0", "-o", settled).code == 0
        (tmp_path / "entry").write_text("of no statement")
        assert run("log", "append", log, tmp_path / "entry").code == 0
        refused = run("log", "cosign", "ask", log, "--policy", policy)
        assert refused.code == 1
        assert "HTTP 403: entry 1: log entry: not JSON" in refused.err
    believed = f"{witnesses}group both all plain full\nquorum both\n"
    trust.write_text(f'{trust.read_text()}[[logs]]\nname = "it"\nvkey = "{log_keys[0]}"\npolicy = """\n{believed}"""\n')
    told = run("verify", settled, "--trust", trust, "--allow-dev-srs")
    assert told.code == 0, told.err
    assert "cosigned by plain, full" in told.out


def test_options_of_the_other_kind_of_cosigner_are_refused(run: Run, tmp_path: Path) -> None:
    trust = tmp_path / "trust.toml"
    trust.write_text("")
    assert run("log", "cosign", "init", tmp_path / "w", "--name", "w.example").code == 0
    assert run("log", "cosign", "init", tmp_path / "f", "--name", "f.example/verifying", "--verifying").code == 0
    plain = run("log", "cosign", "serve", tmp_path / "w", "--statements", tmp_path, "--trust", trust)
    assert (plain.code, "is a plain cosigner" in plain.err) == (2, True)
    both = ("--statements", tmp_path, "--trust", trust)
    for given in ((), both[:2], both[2:], (*both, "--log", "x"), ("--statements", tmp_path / "nowhere", *both[2:])):
        full = run("log", "cosign", "serve", tmp_path / "f", *given)
        assert full.code == 2, full.err
    wrong = run("log", "cosign", "init", tmp_path / "x", "--name", "x.example", "--verifying")
    assert (wrong.code, "plain cosigner" in wrong.err) == (1, True)
