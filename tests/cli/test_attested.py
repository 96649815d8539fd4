# SPDX-License-Identifier: Apache-2.0
"""Receipts with TEE evidence as a user types them: proved or not, simulated or of a fake vendor whom the trust root names."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.cli.conftest import Made
from tests.fakes.pki.amd import FakeAmd
from verifiable.digest import Digest
from verifiable.keys.signer import generate
from verifiable.receipt import Evidence, Receipt, make_receipt
from verifiable.tee import binding
from verifiable.tee.attesting import Attached
from verifiable.tee.document import Attestation

MEASUREMENT = b"m" * 48


@pytest.fixture(scope="module")
def ours(made: Made) -> Made:
    """The same model by the default proof system, which needs no setup."""
    circuit, receipt = made.home / "sumcheck", made.home / "sumcheck.json"
    told = made.run("compile", made.model, "--calibration", made.calibration, "-o", circuit)
    assert told.code == 0, told.err
    proved = made.run("prove", circuit, made.sample, "-o", receipt, "--nonce", "c0ffee", "--json")
    return replace(made, circuit=circuit, receipt=receipt, id=told.out.strip(), prove_json=proved.json)


BOTH = "all-of = [ { proved = true }, { attested = true } ]"


def test_a_receipt_for_which_simulated_hardware_vouches(ours: Made, tmp_path: Path) -> None:
    """From a run without a proof to a verdict, with each refusal on the way."""
    receipt, reference = tmp_path / "attested.json", tmp_path / "reference.toml"
    told = ours.run(
        "prove", ours.circuit, ours.sample, "-o", receipt, "--evidence", "none", "--attest", "software", "--nonce", "c0ffee"
    )
    assert told.code == 0, told.err
    assert "no proof, attested" in told.err

    told = ours.run("verify", receipt, "--circuit", ours.id)
    assert (told.code, told.out.splitlines()[-1]) == (1, "rejected")
    assert "its TEE evidence included: no reference values to appraise it by" in told.err
    assert "hint: say what the evidence should be: --reference FILE" in told.err

    told = ours.run("attest", "reference", "--from", receipt, "-o", reference, "--name", "our build")
    assert told.code == 0, told.err
    assert "simulated    no hardware stands behind this evidence" in reference.read_text()

    judged = ("verify", receipt, "--circuit", ours.id, "--reference", reference, "--nonce", "c0ffee")
    told = ours.run(*judged)
    assert told.code == 1
    assert "simulated: no hardware stands behind it" in told.err
    assert "--allow-simulated-tee" in told.err

    told = ours.run(*judged, "--allow-simulated-tee")
    assert (told.code, told.out.splitlines()[-1]) == (0, "verified")
    assert "software  bound to the receipt" in told.out
    assert "vouched for by nobody" in told.out
    assert "as 'our build': measurements: pass" in told.out
    assert "its TEE evidence is simulated" in told.out

    document = ours.run(*judged, "--allow-simulated-tee", "--json").json
    assert (document["evidence"], document["signatureOnly"]) == (["tee"], False)
    (attested,) = document["attested"]
    assert (attested["kind"], attested["counts"], attested["simulated"]) == ("software", True, True)
    assert (attested["scope"], attested["nonce"], attested["references"]) == ("receipt", "c0ffee", ["our build"])
    assert attested["checks"]

    told = ours.run(*judged, "--allow-simulated-tee", "--at", "2040-01-01T00:00:00Z")
    assert told.code == 1
    assert "1d is the most allowed by 'our build'" in told.err
    assert "hint: ask the node for evidence as the reference values want it; what has aged is judged as of" in told.err


def test_a_policy_of_proof_and_hardware(ours: Made, tmp_path: Path) -> None:
    receipt, reference, policy = tmp_path / "both.json", tmp_path / "reference.toml", tmp_path / "policy.toml"
    policy.write_text(BOTH)
    told = ours.run("prove", ours.circuit, ours.sample, "-o", receipt, "--attest", "software", "--attest-scope", "key")
    assert told.code == 0, told.err
    assert ours.run("attest", "reference", "--from", receipt, "-o", reference).code == 0
    judged = ("--circuit", ours.id, "--policy", policy, "--reference", reference, "--allow-simulated-tee")
    told = ours.run("verify", receipt, *judged)
    assert told.code == 0, told.err
    assert "proved, attested by software" in told.out

    told = ours.run("verify", ours.receipt, *judged)
    assert told.code == 1
    assert "asks for TEE evidence, and the receipt has none" in told.err
    told = ours.run("verify", receipt, *judged[:-1])
    assert told.code == 1
    assert "asks for TEE evidence: simulated" in told.err


def test_the_evidence_in_a_receipt_is_shown_and_verified_by_itself(ours: Made, tmp_path: Path) -> None:
    receipt = tmp_path / "attested.json"
    assert ours.run("prove", ours.circuit, ours.sample, "-o", receipt, "--evidence", "none", "--attest", "software").code == 0
    told = ours.run("attest", "show", receipt)
    assert told.out.startswith("UNVERIFIED software evidence")
    told = ours.run("attest", "verify", receipt, "--allow-simulated-tee")
    assert (told.code, told.out.splitlines()[-1]) == (0, "simulated: authentic, not appraised")
    assert "and this claim" in told.out
    assert "the receipt's own signature, proof and values were not looked at" in told.out
    generate(tmp_path / "other.pem")
    public = ours.run("keys", "show", tmp_path / "other.pem", "--json").json["publicKey"]
    (tmp_path / "other.pub").write_text(public)
    told = ours.run("attest", "verify", receipt, "--allow-simulated-tee", "--public-key", tmp_path / "other.pub")
    assert told.code == 1
    assert "not by the one given" in told.err
    told = ours.run("attest", "verify", receipt, "--kind", "tdx")
    assert told.code == 66
    assert "one piece of tdx evidence is wanted, it has software" in told.err
    told = ours.run("attest", "show", ours.receipt)
    assert told.code == 66
    assert "it has none" in told.err


def test_evidence_in_a_receipt_of_another_claim_is_refused_by_itself_too(ours: Made, tmp_path: Path) -> None:
    path, forged = tmp_path / "attested.json", tmp_path / "forged.json"
    assert ours.run("prove", ours.circuit, ours.sample, "-o", path, "--evidence", "none", "--attest", "software").code == 0
    receipt, signer = Receipt.parse(path.read_bytes()), generate(tmp_path / "forger.pem")
    assert receipt.circuit is not None
    claim = replace(receipt.claim, public_key=signer.public_key)
    forged.write_bytes(make_receipt(claim, receipt.evidence, signer, receipt.circuit.open()).encode())
    told = ours.run("attest", "verify", forged, "--allow-simulated-tee")
    assert (told.code, told.out.splitlines()[-1]) == (1, "rejected")
    assert "was not made for this key, nonce and claim" in told.err


@pytest.mark.parametrize("kind", ["tdx", "snp", "nitro"])
def test_hardware_that_is_not_here_is_one_clear_line(ours: Made, tmp_path: Path, kind: str) -> None:
    receipt = tmp_path / "attested.json"
    told = ours.run("prove", ours.circuit, ours.sample, "-o", receipt, "--evidence", "none", "--attest", kind)
    assert told.code == 1
    assert len([line for line in told.err.splitlines() if line.startswith("verifiable: error: ")]) == 1
    assert "hint: " in told.err
    assert not receipt.exists()


def test_a_receipt_without_any_evidence_is_not_made(ours: Made, tmp_path: Path) -> None:
    told = ours.run("prove", ours.circuit, ours.sample, "-o", tmp_path / "nothing.json", "--evidence", "none")
    assert told.code == 1
    assert "--attest KIND" in told.err


@pytest.mark.parametrize("given", ["snp", "abacus=x", "snp="])
def test_collateral_without_its_kind_is_a_usage_error(ours: Made, tmp_path: Path, given: str) -> None:
    told = ours.run(
        "prove", ours.circuit, ours.sample, "-o", tmp_path / "x.json", "--attest", "software", "--attest-collateral", given
    )
    assert told.code == 2
    assert "is not KIND=FILE" in told.err


def test_a_vendor_and_reference_values_in_the_trust_root(ours: Made, tmp_path: Path) -> None:
    """A fake AMD vouches for the key that signed; collateral in the receipt, and then kept beside it."""
    signer, amd, now = generate(tmp_path / "node.pem"), FakeAmd(), datetime.now(UTC).replace(microsecond=0)
    evidence, collateral, _ = amd.mint(
        report_data=binding.report_data(key=signer.fingerprint), measurement=MEASUREMENT
    )  # fmt: skip
    attestation = Attestation(
        kind="snp", evidence=evidence, scope="key", verified_at=now, collateral=tuple(map(Digest.of, collateral))
    )
    proved = Receipt.parse(ours.receipt.read_bytes())
    pieces = Evidence.attested(Attached(attestation=attestation, collateral=collateral))
    claim = replace(proved.claim, public_key=signer.public_key, evidence=tuple(each.descriptor for each in pieces))
    assert proved.circuit is not None
    receipt = make_receipt(claim, pieces, signer, proved.circuit.open())
    path, trust = tmp_path / "snp.json", tmp_path / "trust.toml"
    path.write_bytes(receipt.encode())
    root = amd.ark.certificate.public_bytes(Encoding.PEM).decode()
    trust.write_text(
        f'[[circuits]]\nname = "c"\nid = "{ours.id}"\n'
        f'[[vendors]]\nname = "a fake AMD"\nkinds = ["snp"]\ncertificate = """\n{root}"""\n'
        '[[references]]\nname = "ours"\nkind = "snp"\nmax-age = "1h"\n'
        f'[references.measurements]\nmeasurement = ["{MEASUREMENT.hex()}"]\n'
    )
    told = ours.run("verify", path, "--trust", trust)
    assert told.code == 0, told.err
    assert "under a fake AMD (sha256:" in told.out
    told = ours.run("verify", path, "--circuit", ours.id)
    assert told.code == 1
    assert "no root that is trusted here" in told.err
    assert "hint: give what is missing: --collateral FILE, or the root of its vendor" in told.err

    later = (now + timedelta(hours=2)).isoformat().replace("+00:00", "Z")
    assert ours.run("verify", path, "--trust", trust, "--at", later).code == 1

    bare = tuple(replace(each, data=None) if each.descriptor.kind == "collateral" else each for each in receipt.evidence)
    path.write_bytes(replace(receipt, evidence=bare).encode())
    assert ours.run("verify", path, "--trust", trust).code == 1
    kept = []
    for number, data in enumerate(collateral):
        (tmp_path / f"collateral{number}").write_bytes(data)
        kept += ["--collateral", tmp_path / f"collateral{number}"]
    told = ours.run("verify", path, "--trust", trust, *kept)
    assert told.code == 0, told.err
