# SPDX-License-Identifier: Apache-2.0
"""The catalogue is what it says: every file by digest, every figure measured again, every sample real and rightly labelled."""

from __future__ import annotations

import hashlib
import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from verifiable import catalogue
from verifiable.digest import Digest
from verifiable.errors import BindingError, FatalStateError, UnsupportedError

MODELS = Path(__file__).resolve().parents[1] / "models"
CIRCUITS = MODELS.parent / "circuits"
NAMES = sorted(path.parent.name for path in MODELS.glob("*/model.toml"))
MIB = 1 << 20


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((MODELS / name / "model.toml").read_text())


def _heldout(name: str) -> tuple[Any, Any]:
    toml = _toml(name)
    with np.load(MODELS / name / toml["files"]["heldout"], allow_pickle=False) as file:
        x = toml["inputs"][0]["name"]
        (target,) = set(file.files) - {x}
        return file[x], file[target]


def _run(name: str, x: Any) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession((MODELS / name / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    key = session.get_inputs()[0].name
    return np.stack([session.run(None, {key: sample})[0] for sample in x])


def _copy(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / "models" / name
    shutil.copytree(MODELS / name, folder)
    return folder


def test_the_promised_models_are_there() -> None:
    assert set(NAMES) >= {"linear-diabetes", "mlp-breast-cancer", "digits-cnn", "lenet5-mnist", "mlp-mnist"}
    assert [entry.name for entry in catalogue.entries()] == NAMES == list(catalogue.names())


@pytest.mark.parametrize(
    "folder", sorted(p for p in MODELS.iterdir() if p.is_dir() and p.name != "__pycache__"), ids=lambda p: p.name
)
def test_every_file_is_listed_with_its_digest(folder: Path) -> None:
    listed = tomllib.loads((folder / "model.toml").read_text())["sha256"]
    found = {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file() and p.name != "model.toml" and "__pycache__" not in p.parts
    }
    assert found == listed


def test_every_circuit_is_the_pinned_one_of_the_model_beside_it() -> None:
    from verifiable.zk.directory import load_verifier

    pinned = {f"{system}/{name}": text for name in NAMES for system, text in _toml(name)["circuits"].items()}
    folders = {path.relative_to(CIRCUITS).as_posix() for path in CIRCUITS.glob("*/*")}
    assert folders == set(pinned)
    assert {f"sumcheck/{name}" for name in NAMES} <= folders
    for place, circuit_id in pinned.items():
        name = place.split("/")[1]
        loaded = load_verifier(CIRCUITS / place)  # recomputes the digest of every part
        assert loaded.circuit.system == place.split("/", maxsplit=1)[0]
        files = {p.relative_to(CIRCUITS / place).as_posix() for p in (CIRCUITS / place).rglob("*") if p.is_file()}
        assert files == {"circuit.json"} | {f"parts/{role}" for role in loaded.parts}
        assert loaded.circuit.id == Digest.parse(circuit_id)
        assert loaded.circuit.model == Digest.of((MODELS / name / "model.onnx").read_bytes())


def test_the_catalogue_stays_small() -> None:
    sizes = {p: p.stat().st_size for root in (MODELS, CIRCUITS) for p in root.rglob("*") if p.is_file()}
    assert max(sizes.values()) < MIB
    assert sum(sizes.values()) < 4 * MIB


@pytest.mark.parametrize("name", NAMES)
def test_the_model_is_valid_static_and_bare(name: str) -> None:
    import onnx

    data = (MODELS / name / "model.onnx").read_bytes()
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == 8
    assert [13 <= opset.version <= 17 and opset.domain == "" for opset in model.opset_import] == [True]
    assert [model.producer_name, model.producer_version, model.doc_string, *model.metadata_props] == ["", "", ""]
    toml = _toml(name)
    for infos, described in ((model.graph.input, toml["inputs"]), (model.graph.output, toml["outputs"])):
        shapes = [(info.name, [d.dim_value for d in info.type.tensor_type.shape.dim]) for info in infos]
        assert shapes == [(d["name"], d["shape"]) for d in described]
        assert all(shape[0] == 1 for _, shape in shapes)
    assert sum(int(np.prod(w.dims)) for w in model.graph.initializer) == toml["measured"]["parameters"]


@pytest.mark.parametrize("name", NAMES)
def test_the_measured_accuracy_is_what_onnxruntime_gives(name: str) -> None:
    toml, (x, target) = _toml(name), _heldout(name)
    measured, outputs = toml["measured"], _run(name, x)
    assert len(x) == len(target) == measured["heldout_samples"]
    if toml["task"] == "classification":
        assert (outputs.reshape(len(x), -1).argmax(1) == target).mean() == measured["accuracy"]
        cited = [f"{measured['accuracy']:.4f}"]
    else:
        error = outputs.ravel() - target
        assert 1 - (error**2).sum() / ((target - target.mean()) ** 2).sum() == pytest.approx(measured["r2"], abs=1e-4)
        assert np.abs(error).mean() == pytest.approx(measured["mean_absolute_error"], abs=1e-3)
        cited = [str(measured["r2"]), str(measured["mean_absolute_error"])]
    card = (MODELS / name / "CARD.md").read_text()
    assert all(figure in card for figure in cited)


def test_accuracies_are_worth_having() -> None:
    assert _toml("lenet5-mnist")["measured"]["accuracy"] >= 0.98
    assert _toml("mlp-mnist")["measured"]["accuracy"] >= 0.97
    assert _toml("mlp-breast-cancer")["measured"]["accuracy"] >= 0.97
    assert _toml("digits-cnn")["measured"]["accuracy"] >= 0.95
    assert _toml("linear-diabetes")["measured"]["r2"] >= 0.4


@pytest.mark.parametrize("name", NAMES)
def test_the_sample_is_held_out_in_range_and_rightly_labelled(name: str) -> None:
    entry, toml, (x, target) = catalogue.find(name), _toml(name), _heldout(name)
    key = toml["inputs"][0]["name"]
    exact = json.loads(entry.sample.read_text())[key] if entry.sample.suffix == ".json" else np.load(entry.sample)
    sample = np.asarray(exact, np.float32)
    assert (sample == np.asarray(exact)).all()  # no reader has to round
    middle = len(x) // 2
    assert (sample == x[middle]).all()
    assert entry.expected == target[middle]
    output = _run(name, sample[None])[0]
    assert output.ravel() == pytest.approx(toml["expected"]["output"], rel=1e-4, abs=1e-4)
    if entry.classes:
        assert output.argmax() == target[middle]
        assert len(entry.classes) == output.size
        assert entry.expected_text == entry.classes[target[middle]]
    calibration = np.load(entry.calibration)[key]
    assert calibration.min() <= sample.min()
    assert sample.max() <= calibration.max()


@pytest.mark.parametrize("name", NAMES)
def test_calibration_is_small_typed_and_disjoint_from_the_held_out_set(name: str) -> None:
    toml, (x, _) = _toml(name), _heldout(name)
    path = MODELS / name / toml["files"]["calibration"]
    with np.load(path, allow_pickle=False) as file:
        assert file.files == [toml["inputs"][0]["name"]]
        calibration = file[file.files[0]]
    assert calibration.dtype == x.dtype == np.float32
    assert list(calibration.shape[1:]) == list(x.shape[1:]) == toml["inputs"][0]["shape"]
    assert 32 <= len(calibration) <= 128
    assert path.stat().st_size < 300_000
    assert not {row.tobytes() for row in calibration} & {row.tobytes() for row in x}


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnsupportedError, match="no model 'resnet'") as caught:
        catalogue.find("resnet")
    assert all(name in caught.value.hint for name in NAMES)


@pytest.mark.parametrize("name", ["../models/linear-diabetes", "", ".", "linear-diabetes/"])
def test_a_name_is_never_a_path(name: str) -> None:
    with pytest.raises(UnsupportedError):
        catalogue.find(name)


@pytest.mark.parametrize("file", ["model.onnx", "sample.json", "calibration.npz", "heldout.npz"])
def test_an_exchanged_file_is_refused(tmp_path: Path, file: str) -> None:
    path = _copy(tmp_path, "linear-diabetes") / file
    catalogue.find("linear-diabetes", tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(BindingError, match=file):
        catalogue.find("linear-diabetes", tmp_path)


def test_a_missing_file_is_refused_but_a_held_out_set_need_not_ship(tmp_path: Path) -> None:
    folder = _copy(tmp_path, "linear-diabetes")
    (folder / "heldout.npz").unlink()
    assert catalogue.find("linear-diabetes", tmp_path).heldout is None
    (folder / "model.onnx").unlink()
    with pytest.raises(BindingError, match=r"model\.onnx is missing"):
        catalogue.find("linear-diabetes", tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('model = "model.onnx"', 'model = "../linear-diabetes/model.onnx"'),
        ('heldout = "heldout.npz"', 'heldout = "/etc/passwd"'),
        ("title =", "titel ="),
        ("[files]", "files ="),
        ("max_error = 1.0", 'max_error = "a"'),
        ("[[outputs]]", "[outputs]"),
        ("target = ", "target = []#"),
    ],
)
def test_a_damaged_description_is_an_error_of_ours(tmp_path: Path, old: str, new: str) -> None:
    path = _copy(tmp_path, "linear-diabetes") / "model.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(FatalStateError):
        catalogue.find("linear-diabetes", tmp_path)


def test_an_exchanged_circuit_is_refused(tmp_path: Path) -> None:
    toml = _copy(tmp_path, "linear-diabetes") / "model.toml"
    circuit = tmp_path / "circuits" / "ezkl" / "linear-diabetes"
    circuit.mkdir(parents=True)
    (circuit / "circuit.json").write_bytes(b"{}")
    pinned = _toml("linear-diabetes")["circuits"]["ezkl"]
    toml.write_text(toml.read_text().replace(pinned, Digest.of(b"{}").hex))
    assert catalogue.find("linear-diabetes", tmp_path).circuits["ezkl"].folder == circuit
    (circuit / "circuit.json").write_bytes(b"{ }")
    with pytest.raises(BindingError, match=r"circuit\.json"):
        catalogue.find("linear-diabetes", tmp_path)


def test_an_installation_without_models_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "__file__", str(tmp_path / "site" / "verifiable" / "catalogue.py"))
    with pytest.raises(UnsupportedError, match="no catalogue"):
        catalogue.entries()
    wheel = tmp_path / "site" / "verifiable" / "_catalogue" / "models"
    shutil.copytree(MODELS / "linear-diabetes", wheel / "linear-diabetes")
    assert [entry.folder for entry in catalogue.entries()] == [wheel / "linear-diabetes"]


@pytest.mark.parametrize("name", NAMES)
def test_the_card_says_what_the_published_sumcheck_circuit_reaches(name: str) -> None:
    """On the whole held-out set, by the Program that the published plan makes of the model."""
    from verifiable.compiling.sumcheck import computed, prepare
    from verifiable.model.quantise import program
    from verifiable.model.quantise.plan import Plan

    entry = catalogue.find(name)
    assert entry.heldout is not None
    _, shaped = prepare(entry.model, {})
    plan = Plan.parse((entry.circuits["sumcheck"].folder / "parts" / "plan").read_bytes())
    held = np.load(entry.heldout)
    source = shaped.inputs[0].name
    found = computed(program(shaped.data, plan), [{source: value} for value in held[source]])
    values = np.stack([next(iter(outputs.values())).ravel() for outputs in found])
    rows = [line.split("|") for line in (MODELS / name / "CARD.md").read_text().splitlines() if line.startswith("| ")]
    told = {row[1].strip(): row[3].strip() for row in rows}
    if not entry.classes:
        error = values[:, 0] - held["target"].ravel()
        spread = held["target"].ravel() - held["target"].mean()
        assert told["R²"] == f"{1 - (error**2).sum() / (spread**2).sum():.4f}"
        assert told["mean absolute error"] == f"{np.abs(error).mean():.4f}"
        return
    right = int((values.argmax(axis=1) == held["label"]).sum())
    assert told["accuracy"] == f"{right / len(values):.4f} ({right:,} of {len(values):,})"
