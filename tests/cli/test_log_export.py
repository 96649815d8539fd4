# SPDX-License-Identifier: Apache-2.0
"""``log export``: every format from one real log, and nothing for a receipt that is not where it says."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.fakes.receipts import NOW, attacker_key, honest, node_key
from verifiable.keys.public import public_key_pem
from verifiable.ledger.cose import CoseReceipt
from verifiable.ledger.directory import LogDirectory
from verifiable.ledger.note import NoteKey
from verifiable.ledger.policy import Policy
from verifiable.ledger.sigstore import Bundle, trusted_root
from verifiable.ledger.statements import KeyEvent
from verifiable.ledger.tlogproof import TlogProof
from verifiable.receipt import Receipt
from verifiable.trust import TrustRoot

ORIGIN = "ledger.example/one"
RUN = honest()
RECEIPT = RUN.receipt
OTHER = honest(x=[[4.0, 5.0, 6.0]], nonce=bytes(16)).receipt


@dataclass(frozen=True)
class Made:
    """A log of 20 entries with the receipt among them."""

    log: Path
    receipt: Path
    index: int
    key: NoteKey


@pytest.fixture
def made(tmp_path: Path) -> Made:
    log = LogDirectory.at(tmp_path / "ledger")
    keys = log.initialise(ORIGIN)
    with log.open() as writing:
        writing.append_many([b"entry %d" % number for number in range(13)])
        index = writing.append(RECEIPT.entry.encode()).index
        writing.append_many([b"more %d" % number for number in range(5)] + [OTHER.entry.encode()])
    receipt = tmp_path / "receipt.json"
    receipt.write_bytes(RECEIPT.encode())
    return Made(tmp_path / "ledger", receipt, index, keys[0])


def _export(run: Run, made: Made, kind: str, *arguments: object) -> bytes:
    out = made.log.parent / kind
    done = run("log", "export", made.log, *arguments, "--format", kind, "-o", out)
    assert done.code == 0, done.err
    assert done.out == f"{out}: {kind}\n"
    return out.read_bytes()


def test_a_settled_receipt_says_where_it_is(run: Run, made: Made) -> None:
    settled = Receipt.parse(_export(run, made, "receipt", made.receipt, "--index", made.index))
    (place,) = settled.log_entries
    assert (place.index, place.tree.size, place.tree.origin) == (13, 20, ORIGIN)
    trust = f"[[logs]]\nname = 'ours'\nvkey = '{made.key.encode()}'\npolicy = \"quorum none\\n\"\n"
    logs = TrustRoot.parse(trust.encode()).logs
    verified = RUN.verify(settled.encode(), trust=replace(RUN.trust, logs=logs))
    assert [(each.log, each.index) for each in verified.settled] == [("ours", 13)]


def test_a_settled_one_needs_no_index(run: Run, made: Made) -> None:
    settled = made.log.parent / "settled.json"
    settled.write_bytes(_export(run, made, "receipt", made.receipt, "--index", made.index))
    proof = TlogProof.parse(_export(run, made, "tlog-proof", settled))
    assert proof.index == 13
    proof.verify(RECEIPT.entry.leaf_hash, Policy.k_of_n([made.key], {}, 0))
    bundle = Bundle.parse(_export(run, made, "sigstore", settled))
    assert bundle == Receipt.parse(settled.read_bytes()).bundle
    receipt = CoseReceipt.parse(_export(run, made, "cose", settled))
    assert receipt.verify(RECEIPT.entry.leaf_hash, made.key) == proof.checkpoint.checkpoint.root
    done = run("log", "export", made.log, settled, "--format", "cose", "-o", made.log.parent / "c", "--json")
    assert json.loads(done.out) == {
        "output": str(made.log.parent / "c"), "format": "cose", "index": 13, "size": 20, "origin": ORIGIN,
    }  # fmt: skip


def test_the_trusted_root_is_the_logs(run: Run, made: Made) -> None:
    assert _export(run, made, "trusted-root") == trusted_root([made.key])


def test_other_statements_are_exported_too(run: Run, made: Made) -> None:
    event = KeyEvent(
        action="add", log=ORIGIN, name="n", public_key=node_key().public_key, issued_on=datetime(2026, 3, 1, tzinfo=NOW.tzinfo)
    )
    bundle = Bundle.sign(event.encode(), attacker_key())
    with LogDirectory.at(made.log).open() as writing:
        index = writing.append(bundle.entry(attacker_key().public_key).encode()).index
    path = made.log.parent / "event.json"
    path.write_bytes(bundle.encode())
    settled = Bundle.parse(_export(run, made, "receipt", path, "--index", index))
    assert settled.log_entries[0].index == index
    assert settled.payload == event.encode()
    shown = run("inspect", made.log.parent / "receipt")
    assert shown.out.startswith("UNVERIFIED key event")
    assert "action" in shown.out


@pytest.mark.parametrize(
    ("kind", "arguments", "code", "message"),
    [
        ("receipt", (), 66, "does not say where it is"),
        ("cose", ("--index", 12), 65, "log entry"),
        ("tlog-proof", ("--index", 19), 1, "entry 19 of ledger.example/one is of another statement"),
        ("sigstore", ("--index", 20), 1, "20"),
    ],
)
def test_what_is_not_there_is_not_exported(
    run: Run, made: Made, kind: str, arguments: tuple[object, ...], code: int, message: str
) -> None:
    out = made.log.parent / "none"
    done = run("log", "export", made.log, made.receipt, *arguments, "--format", kind, "-o", out)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert not out.exists()


def test_a_forged_receipt_is_not_exported(run: Run, made: Made) -> None:
    """An envelope with the same signed bytes, under the name of another key."""
    forged = replace(RECEIPT.bundle, keyid=attacker_key().fingerprint)
    made.receipt.write_bytes(forged.encode())
    done = run("log", "export", made.log, made.receipt, "--index", made.index, "-o", made.log.parent / "none")
    assert (done.code, "another key" in done.err) == (1, True)


def test_the_receipt_is_asked_for_or_not(run: Run, made: Made) -> None:
    out = made.log.parent / "none"
    assert run("log", "export", made.log, "--format", "cose", "-o", out).code == 2
    assert run("log", "export", made.log, made.receipt, "--format", "trusted-root", "-o", out).code == 2


def test_append_settles_a_receipt(run: Run, made: Made, tmp_path: Path) -> None:
    """Known already, it keeps its place; and it is its leaf that the log holds."""
    out = tmp_path / "settled.json"
    done = run("log", "append", made.log, made.receipt, "-o", out)
    assert (done.code, done.out) == (0, f"13  {made.receipt}  (was there)\n")
    (place,) = Receipt.parse(out.read_bytes()).log_entries
    assert (place.index, place.body) == (13, RECEIPT.entry.encode())


def test_append_takes_other_statements_by_their_signer(run: Run, made: Made, tmp_path: Path) -> None:
    path, key, wrong = tmp_path / "statement.json", tmp_path / "key.pem", tmp_path / "wrong.pem"
    path.write_bytes(Bundle.sign(b"{}", attacker_key()).encode())
    key.write_text(public_key_pem(attacker_key().public_key))
    wrong.write_text(public_key_pem(node_key().public_key))
    assert run("log", "append", made.log, path).code == 66
    assert run("log", "append", made.log, path, "--public-key", wrong).code == 1
    out = tmp_path / "settled.json"
    assert run("log", "append", made.log, path, "--public-key", key, "-o", out).code == 0
    assert Bundle.parse(out.read_bytes()).log_entries[0].index == 20


def test_append_takes_no_receipt_whose_signature_does_not_hold(run: Run, made: Made, tmp_path: Path) -> None:
    path = tmp_path / "forged.json"
    path.write_bytes(replace(RECEIPT, signature=OTHER.signature).encode())
    done = run("log", "append", made.log, path)
    assert (done.code, "does not hold" in done.err) == (1, True)
