# SPDX-License-Identifier: Apache-2.0
"""The README's three commands, and what a stranger can do with their result."""

from __future__ import annotations

import dataclasses
import json
import shutil
import stat
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.cli.conftest import Made, Run
from verifiable.digest import Digest
from verifiable.keys.signer import generate
from verifiable.model.fidelity import Fidelity
from verifiable.receipt import Receipt, make_receipt
from verifiable.zk import directory
from verifiable.zk.circuit import Circuit


def test_compile_prints_the_id_and_nothing_else_on_stdout(made: Made) -> None:
    assert len(made.id) == 64
    assert json.loads((made.circuit / "circuit.json").read_text())["system"]["id"] == "ezkl"


def test_prove_reports_its_result_as_json(made: Made) -> None:
    report = made.prove_json
    assert report["circuit"] == made.id
    assert report["receipt"] == str(made.receipt)
    assert report["proofBytes"] > 1000
    assert report["seconds"]


def test_the_default_key_is_made_once_and_is_private(made: Made) -> None:
    key = made.home / "data" / "keys" / "default.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    shown = made.run("keys", "show", "--json")
    assert shown.json["publicKey"].startswith("-----BEGIN PUBLIC KEY-----")
    assert "PRIVATE" not in shown.out


def test_a_stranger_verifies_with_the_receipt_and_the_id_alone(made: Made, run: Run, tmp_path: Path) -> None:
    receipt = tmp_path / "received.json"
    shutil.copy(made.receipt, receipt)
    result = run("verify", receipt, "--circuit", made.id, "--allow-dev-srs", "--nonce", "c0ffee")
    assert result.code == 0, result.err
    assert result.out.rstrip().endswith("verified")
    assert "(before rounding)" in result.out
    assert "'features' is bound to steps of" in result.out
    assert "ACCEPTED ON REQUEST" in result.out
    lines = [line.split()[:3] for line in result.out.splitlines() if line.startswith("  ")]
    assert [line[0] for line in lines] == [str(i) for i in range(1, 10)]
    assert ["6", "evidence", "pass"] in lines


def test_verify_json_has_the_designed_shape(made: Made, run: Run) -> None:
    document = run("verify", made.receipt, "--circuit", made.id, "--allow-dev-srs", "--json").json
    assert document["verdict"] == "verified"
    assert [check["name"] for check in document["checks"]] == [
        "parse", "signature", "circuit", "inputs", "outputs", "evidence", "ledger", "freshness", "policy",
    ]  # fmt: skip
    claim = document["claim"]
    assert claim["circuit"] == made.id
    (output,) = claim["outputs"].values()
    assert output["dtype"] == "int64"
    assert output["rounded"] is False
    assert next(iter(claim["inputs"].values()))["rounded"] is True
    assert document["nonce"] == {"claimed": "c0ffee", "compared": False}
    assert np.allclose(np.array(output["integers"]) * output["scale"], output["values"])
    assert list(np.shape(output["integers"])) == output["shape"]


def test_the_development_setup_is_refused_by_default_and_why_is_said(made: Made, run: Run) -> None:
    result = run("verify", made.receipt, "--circuit", made.id)
    assert result.code == 1
    assert "can forge proofs" in result.err
    assert "--allow-dev-srs" in result.err


def test_nothing_to_judge_by_is_66(made: Made, run: Run) -> None:
    result = run("verify", made.receipt)
    assert result.code == 66
    assert "--circuit" in result.err


def test_another_circuit_is_66_and_named(made: Made, run: Run) -> None:
    result = run("verify", made.receipt, "--circuit", "ab" * 32, "--allow-dev-srs")
    assert result.code == 66
    assert made.id in result.err
    assert result.out.splitlines()[-1] == "undecided"
    assert run("verify", made.receipt, "--circuit", "ab" * 32, "--json").json["verdict"] == "undecided"


def test_naming_a_circuit_narrows_a_trust_root_and_revives_nothing(made: Made, run: Run, tmp_path: Path) -> None:
    """The attack: a receipt of another circuit of the trust root, or of one that it has retired, passes for the one named."""
    trust = tmp_path / "trust.toml"
    entry = f'[[circuits]]\nname = "c"\nid = "{made.id}"\n'
    trust.write_text(entry)
    base = ("verify", made.receipt, "--trust", trust, "--allow-dev-srs")
    assert run(*base).code == 0
    assert run(*base, "--circuit", made.id).code == 0
    other = run(*base, "--circuit", "ab" * 32)
    assert other.code == 66
    assert "not one that you trust" in other.err
    trust.write_text(entry + "valid-until = 2020-01-01T00:00:00Z\n")
    retired = run(*base, "--circuit", made.circuit)
    assert retired.code == 1
    assert "not for this time" in retired.err


@pytest.mark.parametrize(("at", "code"), [("9999-12-31T23:59:59Z", 0), ("0001-01-01T00:00:00Z", 1)])
def test_the_ends_of_the_calendar(made: Made, run: Run, at: str, code: int) -> None:
    result = run("verify", made.receipt, "--circuit", made.id, "--allow-dev-srs", "--at", at)
    assert result.code == code, result.err
    assert ("not come yet" in result.err) == (code == 1)


def test_an_id_may_be_typed_in_either_case(made: Made, run: Run) -> None:
    assert run("verify", made.receipt, "--circuit", made.id.upper(), "--allow-dev-srs").code == 0


def test_a_signature_alone_is_worded_as_one(made: Made, run: Run, tmp_path: Path) -> None:
    bare, policy = tmp_path / "bare.json", tmp_path / "policy.toml"
    receipt, signer = Receipt.parse(made.receipt.read_bytes()), generate(tmp_path / "key.pem")
    claim = dataclasses.replace(receipt.claim, evidence=(), public_key=signer.public_key)
    bare.write_bytes(make_receipt(claim, [], signer, directory.load_verifier(made.circuit)).encode())
    base = ("verify", bare, "--circuit", made.id, "--allow-dev-srs", "--policy", policy)
    policy.write_text('fresher-than = "9d"')
    refused = run(*base)
    assert refused.code == 65
    assert "nothing would stand for the values" in refused.err
    policy.write_text(f'signed-by = "{signer.fingerprint.hex}"')
    signed = run(*base)
    assert signed.code == 0, signed.err
    assert signed.out.splitlines()[-1] == "signed, not proved"
    document = run(*base, "--json").json
    assert document["signatureOnly"] is True
    assert run("verify", made.receipt, "--circuit", made.id, "--allow-dev-srs", "--json").json["signatureOnly"] is False


def test_a_wrong_nonce_is_1(made: Made, run: Run) -> None:
    result = run("verify", made.receipt, "--circuit", made.id, "--allow-dev-srs", "--nonce", "00", "--json")
    assert result.code == 1
    assert result.json["verdict"] == "rejected"
    assert result.json["checks"][-1]["status"] == "fail"
    assert result.json["checks"][-1]["name"] == "freshness"


def test_expected_input_and_output_are_compared(made: Made, run: Run, tmp_path: Path) -> None:
    base = ("verify", made.receipt, "--circuit", made.id, "--allow-dev-srs")
    integers = run(*base, "--json").json["claim"]["outputs"]
    name, output = next(iter(integers.items()))
    right, wrong = tmp_path / "right.json", tmp_path / "wrong.json"
    right.write_text(json.dumps({name: output["integers"]}))
    wrong.write_text(json.dumps({name: (np.array(output["integers"]) + 1).tolist()}))
    assert run(*base, "--input", made.sample, "--output", right).code == 0
    assert run(*base, "--output", wrong).code == 1
    other = json.loads(made.sample.read_text())
    key = next(iter(other))
    other[key][0][0] += 0.5
    (tmp_path / "other.json").write_text(json.dumps(other))
    rejected = run(*base, "--input", tmp_path / "other.json")
    assert rejected.code == 1
    assert "not the one that was given" in rejected.err


def test_a_verifier_with_the_model_runs_it_again(made: Made, run: Run, checkout: Path) -> None:
    base = ("verify", made.receipt, "--circuit", made.id, "--allow-dev-srs")
    again = run(*base, "--model", made.model)
    assert again.code == 0, again.err
    assert "run again" in again.out
    other = run(*base, "--model", checkout / "models" / "linear-diabetes" / "model.onnx")
    assert other.code == 1


def test_a_trust_root_names_the_signer(made: Made, tmp_path: Path) -> None:
    pem = made.run("keys", "show").out
    trust = tmp_path / "trust.toml"
    trust.write_text(f'[[keys]]\nname = "node one"\npublic-key = """{pem}"""\n\n[[circuits]]\nname = "c"\nid = "{made.id}"\n')
    result = made.run("verify", made.receipt, "--trust", trust, "--allow-dev-srs", "--json")
    assert result.code == 0, result.err
    assert result.json["claim"]["signer"]["name"] == "node one"
    made.run("keys", "generate", tmp_path / "other.pem")
    other = made.run("keys", "show", tmp_path / "other.pem").out
    trust.write_text(f'[[keys]]\nname = "x"\npublic-key = """{other}"""\n\n[[circuits]]\nname = "c"\nid = "{made.id}"\n')
    assert made.run("verify", made.receipt, "--trust", trust, "--allow-dev-srs").code == 1


def test_audit_rederives_the_id(made: Made, checkout: Path) -> None:
    right = made.run("audit", made.circuit, "--model", made.model, "--calibration", made.calibration)
    assert right.code == 0, right.err
    assert right.out.strip() == made.id
    document = made.run("audit", made.circuit, "--model", made.model, "--calibration", made.calibration, "--json").json
    assert document["fidelity"]["measured"] == document["fidelity"]["reported"]
    held_out = made.run("audit", made.circuit, "--model", made.model, "--calibration", made.calibration.with_name("heldout.npz"))
    assert held_out.code == 0, held_out.err
    lines = [line.split() for line in held_out.err.splitlines() if line.startswith("  ")]
    assert [line[:3] for line in lines[1:]] == [["reported", "logits", "64"], ["measured", "logits", "113"]]
    wrong = made.run("audit", made.circuit, "--model", checkout / "models" / "linear-diabetes" / "model.onnx")
    assert wrong.code == 1
    assert "model" in wrong.err


def test_a_circuit_of_other_weights_under_this_models_name_fails_the_audit(made: Made, tmp_path: Path) -> None:
    """The maker compiles a model with one weight changed, and writes the honest model's digest into the circuit."""
    other, forged = tmp_path / "other.onnx", tmp_path / "forged"
    proto = onnx.load(made.model)
    weights = onnx.numpy_helper.to_array(proto.graph.initializer[0]).copy()
    weights.ravel()[0] += 0.25
    proto.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weights, proto.graph.initializer[0].name))
    onnx.save(proto, other)
    compiled = made.run(
        "compile",
        other,
        "--calibration",
        made.calibration,
        "--system",
        "ezkl",
        "--srs",
        "dev-insecure",
        "--max-error",
        "9",
        "-o",
        forged,
    )
    assert compiled.code == 0, compiled.err
    circuit = Circuit.parse((forged / "circuit.json").read_bytes())
    honest = Circuit.parse((made.circuit / "circuit.json").read_bytes()).model
    (forged / "circuit.json").write_bytes(dataclasses.replace(circuit, model=honest).encode())
    result = made.run("audit", forged, "--model", made.model)
    assert result.code == 1
    assert "another program" in result.err


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "accuracy"}, "not of this circuit's outputs"),
        ({"max_abs_error": 0.011, "mean_abs_error": 0.01}, "is off by"),
        ({"mean_abs_error": 1e-9}, "on average"),
        ({"max_abs_error": 9.0}, None),
    ],
)
def test_a_fidelity_report_that_flatters_fails_the_audit(
    made: Made, tmp_path: Path, change: dict[str, Any], reason: str | None
) -> None:
    """The attack: the honest circuit with a report of its maker's invention, under an id of its own."""
    forged = tmp_path / "forged"
    shutil.copytree(made.circuit, forged)
    circuit = Circuit.parse((made.circuit / "circuit.json").read_bytes())
    honest = Fidelity.parse((made.circuit / "parts" / "fidelity").read_bytes())
    lie = dataclasses.replace(honest, outputs=(dataclasses.replace(honest.outputs[0], **change),)).encode()
    part = dataclasses.replace(circuit.parts["fidelity"], digest=Digest.of(lie), size=len(lie))
    (forged / "parts" / "fidelity").write_bytes(lie)
    (forged / "circuit.json").write_bytes(dataclasses.replace(circuit, parts={**circuit.parts, "fidelity": part}).encode())
    result = made.run("audit", forged, "--model", made.model, "--calibration", made.calibration)
    assert result.code == (0 if reason is None else 1), result.err
    assert reason is None or reason in result.err


def test_samples_that_the_circuit_cannot_take_are_counted(made: Made, tmp_path: Path) -> None:
    samples = np.load(made.calibration)["features"][:3] * np.array([1, 1000, 1], np.float32)[:, None, None]
    np.savez(tmp_path / "some.npz", features=samples)
    result = made.run("audit", made.circuit, "--model", made.model, "--calibration", tmp_path / "some.npz")
    assert result.code == 0, result.err
    assert "samples outside the circuit's range, not measured: 1" in result.err
    np.savez(tmp_path / "none.npz", features=samples * 1000)
    assert made.run("audit", made.circuit, "--model", made.model, "--calibration", tmp_path / "none.npz").code == 65


def test_run_shows_integers_beside_floats(made: Made) -> None:
    document = made.run("run", made.circuit, made.sample, "--json").json
    (output,) = document.values()
    assert np.abs(np.array(output["values"]) - np.array(output["float"])).max() == pytest.approx(output["maxError"])
    assert made.run("run", made.circuit, made.sample).code == 0


@pytest.mark.parametrize("what", ["receipt", "circuit folder", "circuit", "trust root", "setup"])
def test_inspect_says_unverified(made: Made, tmp_path: Path, what: str) -> None:
    trust = tmp_path / "t.toml"
    trust.write_text(f'[[circuits]]\nname = "c"\nid = "{made.id}"\n')
    path = {
        "receipt": made.receipt, "circuit folder": made.circuit, "circuit": made.circuit / "circuit.json", "trust root": trust,
        "setup": made.circuit / "parts" / "srs",
    }[what]  # fmt: skip
    result = made.run("inspect", path)
    assert result.out.startswith(f"UNVERIFIED {what}: "), result.out + result.err
    assert made.run("inspect", path, "--json").json["verified"] is False


def test_hashed_input_verifies_by_commitment_and_by_value(made: Made, run: Run, tmp_path: Path) -> None:
    circuit, receipt = tmp_path / "hashed", tmp_path / "hashed.json"
    compiled = made.run(
        "compile",
        made.model,
        "--calibration",
        made.calibration,
        "--system",
        "ezkl",
        "--srs",
        "dev-insecure",
        "--input",
        "hashed",
        "-o",
        circuit,
    )
    assert compiled.code == 0, compiled.err
    assert made.run("prove", circuit, made.sample, "-o", receipt).code == 0
    base = ("verify", receipt, "--circuit", compiled.out.strip(), "--allow-dev-srs")
    alone = run(*base)
    assert alone.code == 0, alone.err
    assert "commitment alone" in alone.out
    given = run(*base, "--input", made.sample)
    assert "the integers of the value given are the committed ones" in given.out
    assert made.sample.read_text().split()[0] not in receipt.read_text()


def test_options_come_from_the_environment_too(made: Made, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setenv("VERIFIABLE_VERIFY_CIRCUIT", made.id)
    monkeypatch.setenv("VERIFIABLE_VERIFY_ALLOW_DEV_SRS", "1")
    assert run("verify", made.receipt).code == 0


def test_shells_can_complete_commands(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("COMP_WORDS", "verifiable pro"), ("COMP_CWORD", "1"), ("_VERIFIABLE_COMPLETE", "bash_complete")):
        monkeypatch.setenv(name, value)
    assert "prove" in run().out


def test_renamed_or_retyped_tensors_fail_the_audit_and_the_rerun(made: Made, tmp_path: Path) -> None:
    """The attack: the honest program under other names, so that the same proof says something else."""
    forged, receipt = tmp_path / "forged", tmp_path / "forged.json"
    shutil.copytree(made.circuit, forged)
    circuit = Circuit.parse((made.circuit / "circuit.json").read_bytes())
    renamed = dataclasses.replace(circuit, inputs=(dataclasses.replace(circuit.inputs[0], name="granted"),))
    (forged / "circuit.json").write_bytes(renamed.encode())
    audited = made.run("audit", forged, "--model", made.model)
    assert audited.code == 1
    assert "not the model's" in audited.err
    sample = tmp_path / "s.json"
    sample.write_text(json.dumps({"granted": next(iter(json.loads(made.sample.read_text()).values()))}))
    assert made.run("prove", forged, sample, "-o", receipt).code == 0
    again = made.run("verify", receipt, "--circuit", renamed.id.hex, "--allow-dev-srs", "--model", made.model)
    assert again.code == 1
    assert "not the model's" in again.err
