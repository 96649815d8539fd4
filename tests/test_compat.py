# SPDX-License-Identifier: Apache-2.0
"""What was once released verifies for ever: receipts on a public ceremony's setup, judged by the catalogue's circuits; and
settled statements, judged by the trust root beside them.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tests.compat.make_settled import make
from verifiable import catalogue
from verifiable.errors import BindingError, PolicyError, StaleError, TrustError
from verifiable.keys.public import parse_public_key_pem
from verifiable.ledger.checkpoint import SignedCheckpoint
from verifiable.ledger.cose import CoseReceipt
from verifiable.ledger.sigstore import Bundle, trusted_root
from verifiable.ledger.statements import KeyEvent, Verdict
from verifiable.ledger.tlogproof import TlogProof
from verifiable.receipt import Receipt
from verifiable.trust import TrustedLog, TrustRoot
from verifiable.verify import verdicts
from verifiable.verify.policy import AllOf, LoggedIn, ProvedBy
from verifiable.verify.verified import Verified
from verifiable.verify.verifier import Verifier
from verifiable.zk import directory

RECEIPTS = Path(__file__).parent / "compat" / "v0.1"
NAMES = sorted(path.name.removesuffix(".receipt.json") for path in RECEIPTS.glob("*.receipt.json"))


def verify(name: str, data: bytes) -> Verified:
    """With what the catalogue gives a verifier: an id, and the folder of that circuit. No flag relaxes anything."""
    published = catalogue.find(name).circuits["ezkl"]
    verifier = Verifier(TrustRoot.pin(published.id))
    return verifier.verify(data, now=datetime(2026, 12, 1, tzinfo=UTC), circuit=directory.load_verifier(published.folder))


def test_there_are_receipts() -> None:
    assert len(NAMES) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_receipt_verifies_on_the_ceremonys_setup(name: str) -> None:
    verified = verify(name, (RECEIPTS / f"{name}.receipt.json").read_bytes())
    assert verified.setup is not None
    assert (verified.setup.name, verified.setup.insecure) == ("axiom-perpetual-powers-of-tau", False)
    assert verified.evidence == ("zk",)
    values = verified.outputs[0].values()
    assert values is not None
    entry = catalogue.find(name)
    if entry.classes:
        assert int(np.argmax(values)) == int(entry.expected)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_receipt_of_that_circuit_and_no_other(name: str) -> None:
    other = NAMES[NAMES.index(name) - 1]
    data = (RECEIPTS / f"{name}.receipt.json").read_bytes()
    with pytest.raises(TrustError, match="not one that you trust"):
        verify(other, data)


def test_a_ceremonys_name_on_another_setup_is_refused() -> None:
    """The circuit says 'dev-insecure' is the ceremony's: its points say otherwise, and the id changes with it."""
    honest = directory.load_verifier(catalogue.find(NAMES[0]).circuits["ezkl"].folder)
    assert honest.circuit.setup is not None
    forged = dataclasses.replace(
        honest.circuit, setup=dataclasses.replace(honest.circuit.setup, ceremony="perpetual-powers-of-tau")
    )
    data = (RECEIPTS / f"{NAMES[0]}.receipt.json").read_bytes()
    with pytest.raises(BindingError):
        Verifier(TrustRoot.pin(honest.circuit.id)).verify(
            data, now=datetime(2026, 12, 1, tzinfo=UTC), circuit=dataclasses.replace(honest, circuit=forged)
        )


def test_recorded_receipts_are_small_because_the_circuit_is_not_in_them() -> None:
    for name in NAMES:
        assert "circuit" not in json.loads((RECEIPTS / f"{name}.receipt.json").read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_catalogues_circuit_is_what_its_model_compiles_to(name: str, shared: Path) -> None:
    """Audit by anybody who has the ceremony's file: the pinned id follows from the ONNX file and the calibration data."""
    from verifiable.compiling import audit
    from verifiable.zk.registry import Stores

    entry = catalogue.find(name)
    published = entry.circuits["ezkl"]
    Stores.default().srs.import_file(shared / "srs" / "kzg_bn254_14.srs")
    audited = audit(published.folder, entry.model, calibration=entry.calibration)
    assert audited.circuit.id == published.id
    assert audited.measured == audited.reported


# Settled statements, as compat/make_settled.py made them


SETTLED = sorted(RECEIPTS.parent.glob("*/settled"))
LATER = datetime(2027, 6, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Released:
    """One folder of settled statements, and what its reader believes."""

    folder: Path

    def __getitem__(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    @property
    def trust(self) -> TrustRoot:
        return TrustRoot.parse(self["trust.toml"])

    @property
    def log(self) -> TrustedLog:
        (log,) = self.trust.logs
        return log

    def verify(self, name: str, *events: str) -> Verified:
        policy = AllOf((ProvedBy(), LoggedIn(origin=self.log.origin)))
        given = [self[event] for event in events]
        return Verifier(self.trust).verify(self[name], now=LATER, policy=policy, key_events=given)


@pytest.fixture(params=SETTLED, ids=lambda folder: folder.parent.name)
def released(request: pytest.FixtureRequest) -> Released:
    return Released(request.param)


def test_there_are_settled_statements_and_they_are_small() -> None:
    assert SETTLED
    assert sum(path.stat().st_size for folder in SETTLED for path in folder.iterdir()) < 1_000_000


def test_a_settled_receipt_verifies_for_ever(released: Released) -> None:
    verified = released.verify("receipt.json", "added.json", "revoked.json")
    assert (verified.signer.name, verified.evidence) == ("node one", ("zk",))
    (place,) = verified.settled
    assert (place.index, place.cosigners) == (1, ("plain", "verifying"))
    assert [check.status for check in verified.checks] == ["pass"] * 9
    assert released.verify("receipt.json").signer.name is None  # the events say who may sign, and nothing else does


def test_a_stolen_keys_receipt_is_refused_for_ever(released: Released) -> None:
    assert released.verify("stolen.json", "added.json").settled[0].index == 2  # nobody had noticed yet
    with pytest.raises(StaleError, match=r"revoked from 2 .* this is entry 2"):
        released.verify("stolen.json", "added.json", "revoked.json")


def test_without_one_of_the_cosigners_there_is_no_quorum(released: Released) -> None:
    receipt = Receipt.parse(released["receipt.json"])
    (place,) = receipt.log_entries
    for name in ("plain.example", "full.example/verifying"):
        kept = [each for each in place.checkpoint.note.signatures if each.name != name]
        note = dataclasses.replace(place.checkpoint.note, signatures=tuple(kept))
        bare = dataclasses.replace(place, checkpoint=SignedCheckpoint.parse(note.encode()))
        data = dataclasses.replace(receipt, log_entries=(bare,)).encode()
        with pytest.raises(PolicyError, match="quorum"):
            Verifier(released.trust).verify(data, now=LATER)


def test_its_exports_prove_the_same(released: Released) -> None:
    receipt = Receipt.parse(released["receipt.json"])
    proof = TlogProof.parse(released["receipt.tlog-proof"])
    assert proof.index == 1
    proof.verify(receipt.entry.leaf_hash, released.log.policy)
    assert CoseReceipt.parse(released["receipt.cose"]).verify(receipt.entry.leaf_hash, released.log.key) == (
        proof.checkpoint.checkpoint.root
    )
    bundle = Bundle.parse(released["receipt.sigstore.json"])
    bundle.verify(parse_public_key_pem(released["node.pub"]))
    assert bundle == receipt.bundle
    assert released["trusted_root.json"] == trusted_root([released.log.key])


def test_a_settled_verdict_holds_for_ever(released: Released) -> None:
    found = verdicts.read(released["verdict.json"], released["receipt.json"], released.trust, now=LATER)
    assert (found.signer.name, found.settled[0].index) == ("a full node", 4)
    assert {"VERIFIABLE_CIRCUIT", "VERIFIABLE_EVIDENCE_ZK"} <= set(found.verdict.properties)
    with pytest.raises(BindingError, match="is about entry"):
        verdicts.read(released["verdict.json"], released["stolen.json"], released.trust, now=LATER)


def test_every_settled_file_reads_back_to_the_byte(released: Released) -> None:
    for name in ("receipt.json", "stolen.json"):
        assert Receipt.parse(released[name]).encode() == released[name]
    for name, read in (("added.json", KeyEvent), ("revoked.json", KeyEvent), ("verdict.json", Verdict)):
        bundle = Bundle.parse(released[name])
        assert bundle.encode() == released[name]
        assert read.parse(bundle.payload).encode() == bundle.payload
    assert TlogProof.parse(released["receipt.tlog-proof"]).encode() == released["receipt.tlog-proof"]
    assert CoseReceipt.parse(released["receipt.cose"]).encode() == released["receipt.cose"]


def test_fixtures_of_today_can_be_made(tmp_path: Path) -> None:
    """By the script that made the recorded ones, so that the next version's will be there too."""
    make(tmp_path / "settled")
    made = Released(tmp_path / "settled")
    assert made.verify("receipt.json", "added.json", "revoked.json").settled[0].index == 1
    assert {path.name for path in made.folder.iterdir()} == {path.name for path in SETTLED[-1].iterdir()}
