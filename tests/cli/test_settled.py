# SPDX-License-Identifier: Apache-2.0
"""A settled receipt on the command line: where it is, and a key that was revoked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.conftest import Made, Run
from tests.fakes.log import ORIGIN, FakeLog, settle, settle_bundle
from tests.fakes.receipts import attacker_key
from verifiable.keys.public import public_key_pem
from verifiable.ledger.sigstore import Bundle
from verifiable.ledger.statements import KeyEvent
from verifiable.receipt import Receipt

ADMIN = attacker_key()


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
def settled(made: Made, log: FakeLog, tmp_path: Path) -> Path:
    """The maker's receipt, entry 3 of the log."""
    path = tmp_path / "settled.json"
    receipt = settle(Receipt.parse(made.receipt.read_bytes()), log)
    checkpoint = log.checkpoint(time=datetime.now(UTC))
    path.write_bytes(replace(receipt, log_entries=(log.place(3, checkpoint),)).encode())
    return path


@pytest.fixture
def trust(made: Made, log: FakeLog, tmp_path: Path) -> Path:
    path = tmp_path / "trust.toml"
    key = Receipt.parse(made.receipt.read_bytes()).claim.public_key
    witnesses = "".join(f"witness {each.name} {each.key.encode()}\n" for each in log.cosigners)
    path.write_text(f'''
[[keys]]
name = "the maker"
public-key = """
{public_key_pem(key)}"""
[[circuits]]
name = "the circuit"
id = "{made.id}"
[[logs]]
name = "our ledger"
vkey = "{log.signer.key.encode()}"
policy = """
{witnesses}group most 2 {" ".join(each.name for each in log.cosigners)}
quorum most
"""
administrator = """
{public_key_pem(ADMIN.public_key)}"""
''')
    return path


def test_verify_says_where_it_is(run: Run, settled: Path, trust: Path) -> None:
    done = run("verify", settled, "--trust", trust, "--allow-dev-srs", "--json")
    assert done.code == 0, done.err
    (place,) = done.json["settled"]
    assert (place["log"], place["origin"], place["index"], place["size"]) == ("our ledger", ORIGIN, 3, 6)
    assert place["cosigners"] == ["w0.example", "w1.example", "w2.example"]
    assert done.json["checks"][6]["status"] == "pass"
    shown = run("inspect", settled, "--json").json["content"]["signature"]["logEntries"]
    assert shown == [{"origin": ORIGIN, "index": 3, "size": 6}]
    assert run("inspect", trust, "--json").json["content"]["logs"][0]["quorum"] == "most"


def test_a_revoked_key_is_rejected_from_its_position_on(
    run: Run, made: Made, settled: Path, trust: Path, log: FakeLog, tmp_path: Path
) -> None:
    key = Receipt.parse(made.receipt.read_bytes()).claim.public_key
    for position, code in ((4, 0), (3, 1)):
        event = KeyEvent(
            action="revoke", log=ORIGIN, name="the maker", public_key=key, issued_on=datetime.now(UTC), position=position
        )
        path = tmp_path / f"revoked-{position}.json"
        path.write_bytes(settle_bundle(Bundle.sign(event.encode(), ADMIN), ADMIN.public_key, log))
        done = run("verify", settled, "--trust", trust, "--allow-dev-srs", "--key-event", path)
        assert done.code == code, done.err
    assert "revoked from 3 of ledger.example/one on; this is entry 3" in done.err
    shown = run("inspect", path)
    assert shown.out.startswith("UNVERIFIED key event")
