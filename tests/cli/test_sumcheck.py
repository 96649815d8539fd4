# SPDX-License-Identifier: Apache-2.0
"""The three commands with the default proof system, and what a stranger, an auditor and a liar can do with their result."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.cli.conftest import Result, Run, _environment, _run
from tests.model import zoo
from verifiable.claim import ClaimedTensor
from verifiable.compiling.sumcheck import prepare
from verifiable.encoding.json import canonical
from verifiable.encoding.tensor import Tensor
from verifiable.keys.signer import generate
from verifiable.model.quantise import program
from verifiable.model.quantise.plan import Plan
from verifiable.receipt import Receipt, make_receipt
from verifiable.zk import directory
from verifiable.zk.sumcheck.build import build


@dataclass(frozen=True)
class Shop:
    """digits-cnn, compiled and proved by somebody with a home of their own."""

    home: Path
    model: Path
    sample: Path
    calibration: Path
    circuit: Path
    receipt: Path
    id: str

    def run(self, *arguments: object) -> Result:
        return _run(_environment(self.home), *arguments)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Shop:
    home = tmp_path_factory.mktemp("maker")
    folder = checkout / "models" / "digits-cnn"
    model, sample, calibration = folder / "model.onnx", folder / "sample.npy", folder / "calibration.npz"
    compiled = _run(_environment(home), "compile", model, "--calibration", calibration, "-o", home / "circuit")
    assert compiled.code == 0, compiled.err
    assert "0 of" in compiled.err or "saturate" in compiled.err
    proved = _run(_environment(home), "prove", home / "circuit", sample, "-o", home / "receipt.json", "--nonce", "c0ffee")
    assert proved.code == 0, proved.err
    return Shop(home, model, sample, calibration, home / "circuit", home / "receipt.json", compiled.out.strip())


def resigned(shop: Shop, change: Callable[[Receipt], Receipt], folder: Path) -> Path:
    """The receipt after ``change``, signed again by a forger."""
    changed = change(Receipt.parse(shop.receipt.read_bytes()))
    forger = generate(folder / "forger.pem")
    claim = dataclasses.replace(changed.claim, public_key=forger.public_key)
    receipt = make_receipt(claim, changed.evidence, forger, directory.load_verifier(shop.circuit))
    (folder / "forged.json").write_bytes(receipt.encode())
    return folder / "forged.json"


def test_a_stranger_needs_the_receipt_and_the_id_and_no_flag(shop: Shop, run: Run) -> None:
    told = run("verify", shop.receipt, "--circuit", shop.id, "--nonce", "c0ffee")
    assert told.code == 0, told.err
    assert told.out.rstrip().endswith("verified")
    assert "no trusted setup" in told.out
    assert "zk proof by sumcheck" in told.out
    assert "audited" in told.out


def test_another_output_under_a_new_signature_is_not_proved(shop: Shop, run: Run, tmp_path: Path) -> None:
    def change(receipt: Receipt) -> Receipt:
        (output,) = receipt.claim.outputs
        assert output.value is not None
        integers = output.value.array().copy()
        integers.ravel()[0] += 1
        forged = ClaimedTensor.public(output.name, Tensor.from_array(integers), scale=output.scale)
        return dataclasses.replace(receipt, claim=dataclasses.replace(receipt.claim, outputs=(forged,)))

    told = run("verify", resigned(shop, change, tmp_path), "--circuit", shop.id, "--json")
    assert (told.code, told.json["verdict"], told.json["error"]["kind"]) == (1, "rejected", "ProofError")


def test_the_auditor_derives_the_same_id_without_the_calibration_data(shop: Shop, run: Run) -> None:
    told = run("audit", shop.circuit, "--model", shop.model, "--json")
    assert told.code == 0, told.err
    assert told.json["circuit"] == shop.id
    with_data = run("audit", shop.circuit, "--model", shop.model, "--calibration", shop.calibration, "--json")
    assert with_data.code == 0, with_data.err
    assert with_data.json["fidelity"]["measured"] == with_data.json["fidelity"]["reported"]


def test_other_weights_under_this_models_name_fail_the_audit(shop: Shop, run: Run, tmp_path: Path) -> None:
    model = onnx.load(shop.model)
    first = model.graph.initializer[0]
    first.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(first)[::-1].copy(), first.name))
    changed = tmp_path / "other.onnx"
    onnx.save(model, changed)
    made = run("compile", changed, "--calibration", shop.calibration, "--max-error", "9", "-o", tmp_path / "other")
    assert made.code == 0, made.err
    document = json.loads((tmp_path / "other" / "circuit.json").read_text())
    document["model"]["sha256"] = json.loads((shop.circuit / "circuit.json").read_text())["model"]["sha256"]
    (tmp_path / "other" / "circuit.json").write_bytes(canonical(document))
    told = run("audit", tmp_path / "other", "--model", shop.model)
    assert told.code == 1
    assert "another program" in told.err


def test_run_shows_the_float_model_where_it_is_given(shop: Shop) -> None:
    alone = shop.run("run", shop.circuit, shop.sample, "--json").json["logits"]
    beside = shop.run("run", shop.circuit, shop.sample, "--model", shop.model, "--json").json["logits"]
    assert "float" not in alone
    assert alone["integers"] == beside["integers"]
    assert np.allclose(beside["values"], beside["float"], atol=beside["maxError"] * 1.01)
    other = shop.run("run", shop.circuit, shop.sample, "--model", shop.model.parents[1] / "mlp-mnist" / "model.onnx")
    assert (other.code, "the circuit is of model" in other.err) == (1, True)


def test_a_receipt_that_offers_a_re_run_stands_once_it_was_made(shop: Shop, run: Run, tmp_path: Path) -> None:
    target = tmp_path / "offered.json"
    made = shop.run("prove", shop.circuit, shop.sample, "-o", target, "--evidence", "rerun")
    assert made.code == 0, made.err
    assert "no proof" in made.err
    alone = run("verify", target, "--circuit", shop.id)
    assert alone.code == 1
    assert "--model" in alone.err
    told = run("verify", target, "--circuit", shop.id, "--model", shop.model, "--json")
    assert told.code == 0, told.err
    assert told.json["evidence"] == ["rerun"]
    assert 0 < told.json["floatErrors"]["logits"] < 0.1
    assert any("of the float model's, for these inputs" in caveat for caveat in told.json["caveats"])


def test_a_re_run_with_another_output_or_of_another_program(shop: Shop, run: Run, tmp_path: Path) -> None:
    target = tmp_path / "offered.json"
    assert shop.run("prove", shop.circuit, shop.sample, "-o", target, "--evidence", "rerun").code == 0
    offered = dataclasses.replace(shop, receipt=target)

    def lie(receipt: Receipt) -> Receipt:
        (output,) = receipt.claim.outputs
        assert output.value is not None
        forged = ClaimedTensor.public(output.name, Tensor.from_array(output.value.array() + 1), scale=output.scale)
        return dataclasses.replace(receipt, claim=dataclasses.replace(receipt.claim, outputs=(forged,)))

    told = run("verify", resigned(offered, lie, tmp_path), "--circuit", shop.id, "--model", shop.model, "--json")
    assert (told.code, told.json["error"]["kind"]) == (1, "BindingError")

    (tmp_path / "other").mkdir()

    def other(receipt: Receipt) -> Receipt:
        descriptor = dataclasses.replace(receipt.evidence[0].descriptor, digest=receipt.claim.model)
        evidence = (dataclasses.replace(receipt.evidence[0], descriptor=descriptor),)
        return dataclasses.replace(
            receipt, evidence=evidence, claim=dataclasses.replace(receipt.claim, evidence=(descriptor,))
        )  # fmt: skip

    told = run("verify", resigned(offered, other, tmp_path / "other"), "--circuit", shop.id, "--model", shop.model)
    assert told.code == 1
    assert "not of the circuit's program" in told.err


HIDING = [("--input", "hashed"), ("--output", "private"), ("--weights", "private"), ("--weights", "fixed")]


@pytest.mark.parametrize("options", HIDING)
def test_what_would_need_hiding_is_refused_and_ezkl_named(shop: Shop, run: Run, tmp_path: Path, options: tuple[str, str]) -> None:
    told = run("compile", shop.model, "--calibration", shop.calibration, *options, "-o", tmp_path / "circuit")
    assert told.code == 1
    assert "--system ezkl" in told.err
    assert not (tmp_path / "circuit").exists()


@pytest.mark.parametrize("options", [("--srs", "dev-insecure"), ("--max-logrows", "20"), ("--system", "ezkl", "--bits", "8")])
def test_options_of_the_other_system_are_not_ignored(shop: Shop, run: Run, tmp_path: Path, options: tuple[str, ...]) -> None:
    told = run("compile", shop.model, "--calibration", shop.calibration, *options, "-o", tmp_path / "circuit")
    assert told.code == 1
    assert "has no option" in told.err


def test_more_bits_are_taken_where_the_error_allowed_asks_for_them(shop: Shop, run: Run, tmp_path: Path) -> None:
    asked = ("compile", shop.model, "--calibration", shop.calibration, "--max-error", "0.005")
    told = run(*asked, "-o", tmp_path / "circuit")
    assert told.code == 0, told.err
    assert "8 bits are too few" in told.err
    assert "activations of 12 bits" in told.err
    fixed = run(*asked, "--bits", "8", "-o", tmp_path / "8")
    assert fixed.code == 1
    assert not (tmp_path / "8").exists()


def test_a_proof_beyond_the_memory_allowed_is_not_begun(shop: Shop, tmp_path: Path) -> None:
    told = shop.run("prove", shop.circuit, shop.sample, "-o", tmp_path / "receipt.json", "--memory", "1MB")
    assert told.code == 70
    assert "--memory" in told.err
    assert not (tmp_path / "receipt.json").exists()


def test_check_says_that_it_is_new(shop: Shop, run: Run) -> None:
    told = run("check", shop.model)
    assert told.code == 0, told.err
    assert "new and unaudited" in told.out
    assert run("check", shop.model, "--input", "hashed").code == 1


@pytest.mark.parametrize("last", ["Softmax", "ArgMax"])
def test_a_models_last_step_is_done_after_the_proof(run: Run, tmp_path: Path, last: str) -> None:
    rng = np.random.default_rng(1)
    attributes = {"axis": 1} if last == "Softmax" else {"axis": 1, "keepdims": 0}
    nodes = [zoo.node("MatMul", ["x", "w"], ["t"]), zoo.node(last, ["t"], ["y"], **attributes)]
    shape = [1, 3] if last == "Softmax" else [1]
    model = tmp_path / "model.onnx"
    weights = rng.standard_normal((4, 3)).astype(np.float32)
    kind = zoo.FLOAT if last == "Softmax" else onnx.TensorProto.INT64
    model.write_bytes(zoo.build(nodes, {"x": [1, 4]}, {"y": shape}, {"w": weights}, output_type=kind))
    samples = rng.standard_normal((32, 1, 4)).astype(np.float32)
    np.save(tmp_path / "samples.npy", samples)
    np.save(tmp_path / "sample.npy", samples[0])
    made = run("compile", model, "--calibration", tmp_path / "samples.npy", "-o", tmp_path / "circuit")
    assert made.code == 0, made.err
    assert run("prove", tmp_path / "circuit", tmp_path / "sample.npy", "-o", tmp_path / "receipt.json").code == 0
    told = run("verify", tmp_path / "receipt.json", "--circuit", made.out.strip(), "--model", model, "--json")
    assert told.code == 0, told.err
    output = told.json["claim"]["outputs"]["y"]
    assert output["shape"] == [1, 3]
    logits = samples[0] @ weights
    if last == "ArgMax":
        assert output["values"] == [int(logits.argmax())]
    else:
        assert np.allclose(output["values"], np.exp(logits) / np.exp(logits).sum(), atol=0.01)


def test_the_environment_of_a_prover_needs_no_onnx(shop: Shop, tmp_path: Path) -> None:
    """A node that proves neither imports the ONNX packages nor starts another process."""
    code = (
        "import sys, verifiable; verifiable.prove(sys.argv[1], sys.argv[2]);"
        "print([m for m in ('onnx', 'onnxruntime', 'ezkl', 'numba') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(shop.circuit), str(shop.sample)],
        capture_output=True, text=True, env={**os.environ, "HOME": str(tmp_path)}, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]", done.stdout


def test_a_plan_that_bends_the_model_is_seen_by_who_has_the_model(shop: Shop, run: Run, tmp_path: Path) -> None:
    """Every hidden value is one of two, and the fidelity report says that all is well: the program is still "the model's"."""
    honest = directory.load_prover(shop.circuit)
    plan = Plan.parse(honest.verifier.parts["plan"])
    bent = dataclasses.replace(
        plan, grids={key: dataclasses.replace(grid, high=grid.low + 1) for key, grid in plan.grids.items()}
    )
    loaded, shaped = prepare(shop.model, {})
    evil = build(
        model=loaded.digest, program=program(shaped.data, bent), plan=bent.encode(),
        fidelity=honest.verifier.parts["fidelity"], visibility=honest.circuit.visibility,
    )  # fmt: skip
    directory.save(evil, tmp_path / "evil")
    assert shop.run("prove", tmp_path / "evil", shop.sample, "-o", tmp_path / "receipt.json").code == 0
    told = run("verify", tmp_path / "receipt.json", "--circuit", evil.circuit.id.hex, "--model", shop.model, "--json")
    assert told.code == 0, told.err
    assert any("the circuit's report admits" in caveat for caveat in told.json["caveats"])
    audited = run("audit", tmp_path / "evil", "--model", shop.model, "--calibration", shop.calibration)
    assert audited.code == 1


def test_a_circuit_for_another_model_is_named_as_one(shop: Shop, run: Run) -> None:
    other = shop.model.parents[1] / "lenet5-mnist" / "model.onnx"
    for command in (
        ("audit", shop.circuit, "--model", other),
        ("verify", shop.receipt, "--circuit", shop.circuit, "--model", other),
    ):
        told = run(*command)
        assert told.code == 1
        assert "the circuit is of model" in told.err
