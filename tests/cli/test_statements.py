# SPDX-License-Identifier: Apache-2.0
"""Statements in a log, from the command line: who may sign, what happens to a stolen key, and what others found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Result, _environment, _run, serving
from verifiable.encoding.json import canonical
from verifiable.ledger.directory import LogDirectory
from verifiable.ledger.sigstore import Bundle
from verifiable.ledger.statements import KeyEvent, Verdict

ORIGIN = "ledger.example/one"
ENTRY = "linear-diabetes"


@dataclass
class Town:
    """A log with two cosigners that listen, an administrator, a node, a full node, and somebody who trusts the log."""

    folder: Path
    checkout: Path
    id: str = ""
    index: dict[str, int] = field(default_factory=dict)

    def at(self, name: str) -> Path:
        return self.folder / name

    def run(self, *words: object) -> Result:
        return _run(_environment(self.folder), *(self.folder / word[1:] if _is_file(word) else word for word in words))

    def does(self, *words: object) -> Result:
        done = self.run(*words)
        assert done.code == 0, done.err
        return done

    def prove(self, name: str, key: str, nonce: str) -> None:
        sample = self.checkout / "models" / ENTRY / "sample.json"
        self.does("prove", "@circuit", sample, "-o", f"@{name}", "--key", f"@{key}.pem", "--nonce", nonce)

    def event(self, action: str, name: str, *more: object, by: str = "admin") -> None:
        named = ("--name", "node one", "--origin", ORIGIN, "--key", f"@{by}.pem")
        self.does("log", "key-event", action, "@node.pub", *named, *more, "-o", f"@{name}")

    def append(self, name: str, by: str | None = None) -> int:
        signer = ("--public-key", f"@{by}.pub") if by else ()
        (row,) = self.does("log", "append", "@log", f"@{name}", *signer, "--json").json
        self.index[name] = row["index"]
        return self.index[name]

    def settle(self, *names: str) -> None:
        """Each written settled, by a checkpoint that both cosigners have signed."""
        self.does("log", "cosign", "ask", "@log", "--policy", "@asked.policy")
        for name in names:
            self.does("log", "export", "@log", f"@{name}", "--index", self.index[name], "-o", f"@settled-{name}")

    def verify(self, name: str, *events: str, policy: bool = True) -> Result:
        given = [word for event in events for word in ("--key-event", f"@settled-{event}")]
        return self.run("verify", f"@{name}", "--trust", "@trust.toml", *given, *(("--policy", "@logged.toml") if policy else ()))


def _is_file(word: object) -> bool:
    return isinstance(word, str) and word.startswith("@")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Iterator[Town]:
    town = Town(tmp_path_factory.mktemp("town"), checkout)
    model = checkout / "models" / ENTRY
    town.id = town.does(
        "compile", model / "model.onnx", "--calibration", model / "calibration.npz", "-o", "@circuit"
    ).out.strip()  # fmt: skip
    for name in ("admin", "node", "full"):
        town.at(f"{name}.pub").write_text(town.does("keys", "generate", f"@{name}.pem").out)
    vkeys = town.does("log", "init", "@log", "--origin", ORIGIN).out.split()
    witnesses = []
    with ExitStack() as stack:
        for number in (1, 2):
            state = town.at(f"w{number}")
            made = town.does("log", "cosign", "init", f"@w{number}", "--name", f"w{number}.example").out.split()
            town.does("log", "cosign", "trust", f"@w{number}", *vkeys)
            witnesses.append(f"witness w{number} {made[1]} {stack.enter_context(serving(state))}\n")
        policy = f"{''.join(witnesses)}group both all w1 w2\nquorum both\n"
        town.at("asked.policy").write_text(f"log {vkeys[0]}\n{policy}")
        town.at("logged.toml").write_text("all-of = [{proved = true}, {logged = true}]")
        town.at("trust.toml").write_text(_trust(town, vkeys[0], policy))
        yield town


def _trust(town: Town, vkey: str, policy: str) -> str:
    """The log, its administrator, a verifier and a circuit: who may sign receipts is the administrator's to say."""
    return f'''
[[circuits]]
name = "the circuit"
id = "{town.id}"
[[logs]]
name = "our ledger"
vkey = "{vkey}"
policy = """
{policy}"""
administrator = """
{town.at("admin.pub").read_text()}"""
[[verifiers]]
name = "full node one"
public-key = """
{town.at("full.pub").read_text()}"""
'''


def _tell(done: Result, code: int, *words: str) -> None:
    """It went wrong with this code, in one line that says ``words``, and a hint; nothing on stdout but a verdict."""
    assert done.code == code, done.err
    errors = [line for line in done.err.splitlines() if line.startswith(("verifiable: error: ", "hint: "))]
    assert len(errors) == 2, done.err
    assert all(word in done.err for word in words), done.err


def test_a_key_is_added_stolen_and_revoked(town: Town) -> None:
    town.event("add", "added")
    assert town.append("added", by="admin") == 0
    town.prove("receipt", "node", "0a")
    assert town.append("receipt") == 1
    town.settle("added", "receipt")
    told = town.verify("settled-receipt", "added")
    assert told.code == 0, told.err
    assert "signed by 'node one'" in told.out
    assert "entry 1 of 'our ledger' (2 entries), cosigned by w1, w2 at " in told.out

    # Somebody has the node's key, and uses it until it is noticed: what they have signed is entry 2, and the revocation entry 3.
    town.prove("theirs", "node", "0b")
    assert town.append("theirs") == 2
    town.event("revoke", "revoked", "--position", 2)
    assert town.append("revoked", by="admin") == 3
    town.settle("added", "receipt", "theirs", "revoked")
    told = town.verify("settled-receipt", "added", "revoked")
    assert (told.code, told.out.splitlines()[-1]) == (0, "verified"), told.err
    told = town.verify("settled-theirs", "added", "revoked")
    assert (told.code, told.out.splitlines()[-1]) == (1, "rejected")
    assert f"revoked from 2 of {ORIGIN} on; this is entry 2" in told.err

    # The same in no log; with the place of the old receipt pasted in; and in a log of the thief's own that has the same name.
    assert "this is in no place before" in town.verify("theirs", "added", "revoked", policy=False).err
    _paste(town, "theirs", "settled-receipt")
    told = town.verify("pasted", "added", "revoked")
    assert (told.code, "this is in no place before" in told.err) == (1, True)
    town.does("log", "init", "@thiefs", "--origin", ORIGIN)
    town.does("log", "append", "@thiefs", "@theirs", "-o", "@elsewhere")
    told = town.verify("elsewhere", "added", "revoked")
    assert (told.code, "this is in no place before" in told.err) == (1, True)


def _paste(town: Town, name: str, source: str) -> None:
    """The receipt ``name`` with the log entries of another."""
    document, other = (json.loads(town.at(each).read_bytes()) for each in (name, source))
    entries = other["bundle"]["verificationMaterial"]["tlogEntries"]
    document["bundle"]["verificationMaterial"]["tlogEntries"] = entries
    town.at("pasted").write_bytes(canonical(document))


def test_what_is_not_the_administrators_to_say(town: Town) -> None:
    """The node cannot add its own key; an event stays an event of its own log; a revocation does not reach ahead."""
    town.prove("again", "node", "0c")
    town.event("add", "own", by="node")
    _tell(town.run("log", "append", "@log", "@own"), 66, "does not carry the key that signed it", "--public-key")
    done = town.run("log", "append", "@log", "@own", "--public-key", "@admin.pub")
    assert (done.code, "the envelope names another key" in done.err) == (1, True)
    town.append("own", by="node")
    town.settle("own")
    told = town.verify("again", "own", policy=False)
    assert (told.code, "the envelope names another key" in told.err) == (1, True)
    other = ("--name", "n", "--origin", "ledger.example/two", "--key", "@admin.pem")
    town.does("log", "key-event", "retire", "@node.pub", *other, "-o", "@elsewhere")
    done = town.run("log", "append", "@log", "@elsewhere", "--public-key", "@admin.pub")
    _tell(done, 1, "it is about the log 'ledger.example/two', and counts for nothing in 'ledger.example/one'", "--origin")
    with LogDirectory.at(town.at("log")).open() as log:
        end = log.size
    town.event("revoke", "ahead", "--position", end + 1)
    done = town.run("log", "append", "@log", "@ahead", "--public-key", "@admin.pub")
    _tell(done, 1, f"revokes from {end + 1} on, and would itself be entry {end}", "--position")


def test_a_key_event_that_cannot_be_written(town: Town) -> None:
    out = ("-o", "@none")
    named = ("--name", "n", "--origin", ORIGIN)
    _tell(town.run("log", "key-event", "add", "@node.pem", *named, *out), 65, "not a PEM public key")
    _tell(town.run("log", "key-event", "add", "@nothing", *named, *out), 65, "public key")
    long = ("--name", "n" * 300, "--origin", ORIGIN)
    _tell(town.run("log", "key-event", "add", "@node.pub", *long, *out), 65, "name")
    assert town.run("log", "key-event", "revoke", "@node.pub", *named, *out).code == 2
    assert town.run("log", "key-event", "add", "@node.pub", *named, "--position", "3", *out).code == 2
    assert not town.at("none").exists()


def test_inspect_shows_what_nobody_has_verified(town: Town) -> None:
    done = town.run("log", "key-event", "revoke", "@node.pub", "--name", "n", "--origin", ORIGIN, "--key", "@admin.pem",
                    "--position", "7", "-o", "@shown", "--json")  # fmt: skip
    assert done.json["action"] == "revoke"
    shown = town.does("inspect", "@shown").out
    assert shown.startswith("UNVERIFIED key event: ")
    assert "position: 7" in shown
    event = KeyEvent.parse(Bundle.parse(town.at("shown").read_bytes()).payload)
    assert (event.position, event.log) == (7, ORIGIN)


def test_a_full_node_says_what_it_found(town: Town) -> None:
    town.prove("mine", "node", "0d")
    town.append("mine")
    asked = ("--circuit", town.id, "--key", "@full.pem")
    told = town.does("log", "verdict", "@mine", *asked, "--name", "https://full.example/v1", "-o", "@verdict")
    assert told.out == f"{town.at('verdict')}\n"
    assert "6  evidence   pass" in told.err
    assert town.does("inspect", "@verdict").out.startswith("UNVERIFIED verdict: ")
    reading = ("@mine", "--trust", "@trust.toml")
    _tell(town.run("log", "verify-verdict", "@verdict", *reading), 66, "settled in no log that you trust", "log append")
    town.append("verdict", by="full")
    town.settle("mine", "verdict")
    told = town.does("log", "verify-verdict", "@settled-verdict", *reading)
    assert told.out.splitlines()[-1] == "verified"
    assert "of 'full node one'" in told.out
    found: dict[str, Any] = town.does("log", "verify-verdict", "@settled-verdict", *reading, "--json").json
    assert (found["signer"]["name"], found["verifier"]) == ("full node one", "https://full.example/v1")
    assert "VERIFIABLE_EVIDENCE_ZK" in found["properties"]
    assert found["settled"][0]["cosigners"][:2] == ["w1", "w2"]

    town.prove("another", "node", "0e")
    town.does("log", "verdict", "@another", *asked, "-o", "@other-verdict")
    done = town.run("log", "verify-verdict", "@settled-verdict", "@another", "--trust", "@trust.toml", "--json")
    assert (done.code, done.json["verdict"], done.json["checks"][-1]["name"]) == (1, "rejected", "subject")
    more = ("--property", "VERIFIABLE_EVIDENCE_RERUN")
    done = town.run("log", "verify-verdict", "@settled-verdict", *reading, *more)
    assert (done.code, done.out.splitlines()[-1]) == (1, "rejected")
    data = town.at("settled-verdict").read_bytes()
    town.at("tampered").write_bytes(data[:-2] + b"}")
    done = town.run("log", "verify-verdict", "@tampered", *reading)
    assert (done.code, done.out.splitlines()[-1]) == (65, "malformed")
    payload, other = (json.loads(each)["dsseEnvelope"]["payload"] for each in (data, town.at("other-verdict").read_bytes()))
    town.at("tampered").write_bytes(data.replace(payload.encode(), other.encode()))
    done = town.run("log", "verify-verdict", "@tampered", "@another", "--trust", "@trust.toml")
    assert (done.code, "signature does not hold" in done.err) == (1, True)


def test_a_verdict_of_somebody_whom_nobody_named(town: Town) -> None:
    town.prove("theirs-too", "node", "0f")
    town.does("log", "verdict", "@theirs-too", "--circuit", town.id, "--key", "@admin.pem", "-o", "@by-admin")
    town.append("by-admin", by="admin")
    town.settle("by-admin")
    reading = ("@settled-by-admin", "@theirs-too", "--trust", "@trust.toml")
    _tell(town.run("log", "verify-verdict", *reading), 66, "no verifier that you trust", "--verifier")
    assert town.does("log", "verify-verdict", *reading, "--verifier", "@admin.pub").out.endswith("verified\n")


def test_no_verdict_on_what_does_not_hold(town: Town) -> None:
    town.prove("sound", "node", "10")
    document = json.loads(town.at("sound").read_bytes())
    document["evidence"][0]["data"] = document["evidence"][0]["data"][:-8] + "AAAAAAA="
    town.at("forged").write_bytes(canonical(document))
    out = ("-o", "@unwritten", "--key", "@full.pem")
    done = town.run("log", "verdict", "@forged", "--circuit", town.id, *out)
    assert (done.code, done.out) == (1, "")
    assert "6  evidence   fail" in done.err
    _tell(town.run("log", "verdict", "@sound", *out), 66, "no circuit is pinned")
    _tell(town.run("log", "verdict", "@sound", "--circuit", town.id, "-o", "@unwritten", "--key", "@node.pem"), 1, "of their own")
    _tell(town.run("log", "verdict", "@sound", "--circuit", town.id, *out, "--name", "full one"), 65, "no URI")
    assert not town.at("unwritten").exists()
    town.at("policy.toml").write_text("proved = true")
    town.does("log", "verdict", "@sound", "--circuit", town.id, *out, "--policy", "@policy.toml")
    verdict = Verdict.parse(Bundle.parse(town.at("unwritten").read_bytes()).payload)
    assert len(verdict.policies) == 1
