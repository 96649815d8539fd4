# SPDX-License-Identifier: Apache-2.0
"""Make the settled fixtures of the present version: ``python -m tests.compat.make_settled tests/compat/vX.Y/settled``.

The log is thrown away with every key: nobody can sign these files again. Its two cosigners are real ones, one plain and one that
verifies each entry before it signs. The story is in the README that is written beside the files.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import verifiable
from verifiable import catalogue, settling
from verifiable.errors import BindingError
from verifiable.keys.public import public_key_pem
from verifiable.keys.signer import Signer, generate
from verifiable.ledger import keyfile
from verifiable.ledger.checkpoint import SignedCheckpoint
from verifiable.ledger.client import LogClient
from verifiable.ledger.cosigner import Cosigner, VerifyingCosigner
from verifiable.ledger.directory import LogDirectory
from verifiable.ledger.log import Log
from verifiable.ledger.note import NoteKey, NoteSigner
from verifiable.ledger.sigstore import Bundle, trusted_root
from verifiable.ledger.statements import KeyEvent
from verifiable.ledger.tiles import CHECKPOINT, MAX_CHECKPOINT
from verifiable.ledger.tree import TileReader
from verifiable.ledger.witnessing import AddCheckpoint
from verifiable.merkle.proofs import consistency_proof
from verifiable.receipt import Receipt, bundle_of
from verifiable.verify import verdicts
from verifiable.verify.verifier import Verifier

ORIGIN = "log.example/compat"
MODEL = "linear-diabetes"
TRUST = '''\
[[circuits]]
name = "{model}"
id = "{circuit}"

[[logs]]
name = "the compat log"
vkey = "{vkey}"
policy = """
witness plain {plain}
witness verifying {verifying}
group both all plain verifying
quorum both
"""
administrator = """
{administrator}"""

[[verifiers]]
name = "a full node"
public-key = """
{full}"""
'''
README = """\
# Settled statements of version {version}

Made on {day} by `python -m tests.compat.make_settled`; the keys of everybody were thrown away with the log. `tests/test_compat.py` judges the
files by `trust.toml` alone, at a fixed time.

| entry | file | what it is |
|---|---|---|
| 0 | `added.json` | the administrator adds the key of "node one" |
| 1 | `receipt.json` | a receipt for {model}, proved by sumcheck, signed with that key; also as `receipt.tlog-proof`, `receipt.sigstore.json` (with `trusted_root.json` and the signer's `node.pub`) and `receipt.cose` |
| 2 | `stolen.json` | another one, signed with the same key after it was stolen: it must be refused for ever |
| 3 | `revoked.json` | the administrator revokes the key from entry 2 on |
| 4 | `verdict.json` | a full node's verdict on `receipt.json` |

Each is settled by a checkpoint that two cosigners have signed, a plain one (Ed25519) and a verifying one (ML-DSA-44); `trust.toml` asks for both.
"""  # noqa: E501 - a table


@dataclass
class Ledger:
    """The log with what was put into it, by name."""

    log: Log
    reader: TileReader
    statements: dict[str, Receipt | Bundle] = field(default_factory=dict)
    signers: dict[str, bytes] = field(default_factory=dict)
    entries: list[bytes] = field(default_factory=list)

    def append(self, name: str, statement: Receipt | Bundle, key: bytes) -> None:
        leaf = settling.leaf_of(statement, key)
        settling.require_effect(statement, ORIGIN, self.log.size)
        assert self.log.append(leaf).index == len(self.entries)
        self.entries.append(leaf)
        self.statements[name], self.signers[name] = statement, key

    def cosign(self, cosigners: tuple[Cosigner, ...]) -> SignedCheckpoint:
        """Have the checkpoint cosigned by all and published so."""
        signed = SignedCheckpoint.parse(self.log.checkpoint())
        size = signed.checkpoint.size
        for cosigner in cosigners:
            old = cosigner.state(ORIGIN).size
            proof = consistency_proof(old, size, partial(self.reader.node, size)) if 0 < old < size else ()
            signed = signed.with_signatures(cosigner.add_checkpoint(AddCheckpoint(old=old, proof=proof, checkpoint=signed)))
        self.log.publish(signed.encode())
        return signed


def make(target: Path) -> None:
    """Write the fixtures into the new folder ``target``."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, now = Path(name), partial(datetime.now, UTC)
        directory = LogDirectory.at(folder / "log")
        keys = directory.initialise(ORIGIN)
        ledger = Ledger(stack.enter_context(directory.open()), TileReader(directory.published))
        node, admin, full = (generate(folder / f"{each}.pem") for each in ("node", "admin", "full"))
        compiled = verifiable.compile(catalogue.find(MODEL).model, calibration=catalogue.find(MODEL).calibration)
        compiled.save(folder / "circuit")
        trusted = _verifier(compiled.circuit.id)
        both = cosigners(folder, ledger, keys, lambda receipt: trusted.verify(receipt.encode(), now=now()))
        both = tuple(stack.enter_context(closing(each)) for each in both)
        ledger.append("added", _event("add", node, admin), admin.public_key)
        receipt, stolen = (_receipt(folder, node, nonce) for nonce in (b"asked by us", b"asked by nobody"))
        ledger.append("receipt", receipt, node.public_key)
        ledger.append("stolen", stolen, node.public_key)
        ledger.cosign(both)
        ledger.append("revoked", _event("revoke", node, admin, position=2), admin.public_key)
        issued = verdicts.issue(trusted, receipt.encode(), full, now=now(), name="https://full.example/")
        ledger.append("verdict", issued.bundle, full.public_key)
        ledger.cosign(both)
        trust = TRUST.format(
            model=MODEL, circuit=compiled.circuit.id, vkey=keys[0].encode(), plain=both[0].keys[0].encode(),
            verifying=both[1].keys[1].encode(), administrator=public_key_pem(admin.public_key),
            full=public_key_pem(full.public_key),
        )  # fmt: skip
        (folder / "out").mkdir()
        readme = README.format(version=verifiable.__version__, day=now().date(), model=MODEL)
        files = {"trust.toml": trust.encode(), "node.pub": public_key_pem(node.public_key).encode(), "README.md": readme.encode()}
        for file, data in {**files, **_exported(directory, ledger, keys)}.items():
            (folder / "out" / file).write_bytes(data)
        shutil.copytree(folder / "out", target)


def cosigners(
    folder: Path, ledger: Ledger, keys: tuple[NoteKey, ...], check: Callable[[Receipt], object]
) -> tuple[Cosigner, ...]:  # fmt: skip
    """A plain one, and one that holds each receipt to ``check`` before it signs."""

    def source(_origin: str, start: int, end: int) -> list[bytes]:
        return ledger.entries[start:end]

    def judge(_origin: str, index: int, entry: bytes) -> None:
        """The entry is of a statement whose signature holds; a receipt holds whole, also one by a thief: it is true so far."""
        name, statement = [*ledger.statements.items()][index]
        if settling.leaf_of(statement, ledger.signers[name]) != entry:
            raise BindingError(f"entry {index} is not of {name}")
        if isinstance(statement, Receipt):
            check(statement)

    made = []
    for name, kind in (("plain.example", Cosigner), ("full.example/verifying", VerifyingCosigner)):
        state = folder / kind.__name__
        signers = keyfile.cosigners(keyfile.make(folder / f"{kind.__name__}.key", name, keyfile.COSIGNER_TYPES))
        kind.create(state, signers)
        arguments = (state, signers, partial(datetime.now, UTC))
        made.append(VerifyingCosigner(*arguments, source, judge) if kind is VerifyingCosigner else Cosigner(*arguments))
        made[-1].register(*keys)
    return tuple(made)


def _verifier(circuit: object) -> Verifier:
    return Verifier(verifiable.TrustRoot.pin(str(circuit)))


def _event(action: str, node: Signer, admin: Signer, *, position: int | None = None) -> Bundle:
    event = KeyEvent(
        action=action, log=ORIGIN, name="node one", public_key=node.public_key, issued_on=datetime.now(UTC), position=position
    )
    return settling.sign_event(event, admin)


def _receipt(folder: Path, node: Signer, nonce: bytes) -> Receipt:
    return verifiable.prove(folder / "circuit", catalogue.find(MODEL).sample, signer=node, nonce=nonce).receipt


def _exported(directory: LogDirectory, ledger: Ledger, keys: tuple[NoteKey, ...]) -> Mapping[str, bytes]:
    assert directory.published.read(CHECKPOINT, max_size=MAX_CHECKPOINT) == ledger.log.checkpoint()
    client, found = LogClient(directory.published, keys), {"trusted_root.json": trusted_root(keys[:1])}
    for index, (name, statement) in enumerate(ledger.statements.items()):
        place = settling.place_of(statement, client, keys[0], index)
        found[f"{name}.json"] = settling.settled(statement, place).encode()
        if name == "receipt":
            signer = directory.identity().signers[0]
            assert isinstance(signer, NoteSigner)
            found["receipt.tlog-proof"] = settling.tlog_proof(place)
            found["receipt.cose"] = settling.cose_receipt(place, signer)
            found["receipt.sigstore.json"] = bundle_of(settling.settled(statement, place)).encode()
    return found


if __name__ == "__main__":
    make(Path(sys.argv[1]))
