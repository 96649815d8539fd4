# SPDX-License-Identifier: Apache-2.0
"""Every bad input: one clear line that names it, a hint where there is a next step, the right exit code, no partial output."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Made, Run


def assert_clear(err: str) -> None:
    lines = err.strip().splitlines()
    errors = [line for line in lines if line.startswith("verifiable: error: ")]
    assert len(errors) == 1, err
    assert all(line.startswith(("verifiable: error: ", "hint: ")) for line in lines), err


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", 65), (b"not onnx at all", 65), (b"\x08\x07" * 9, 65), (None, 65)],
    ids=["empty", "text", "garbage", "missing"],
)
def test_what_is_no_model(run: Run, tmp_path: Path, content: bytes | None, code: int) -> None:
    model = tmp_path / "broken.onnx"
    if content is not None:
        model.write_bytes(content)
    for command in (("check", model), ("compile", model, "-o", tmp_path / "out")):
        result = run(*command)
        assert result.code == code
        assert_clear(result.err)
        assert "broken.onnx" in result.err
    assert not (tmp_path / "out").exists()


def test_a_truncated_and_a_huge_model(run: Run, tmp_path: Path, made: Made) -> None:
    short, huge = tmp_path / "short.onnx", tmp_path / "huge.onnx"
    short.write_bytes(made.model.read_bytes()[:-100])
    with huge.open("wb") as stream:
        stream.truncate(5 << 30)
    for model in (short, huge):
        result = run("check", model)
        assert result.code == 65
        assert_clear(result.err)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([[0.0] * 29], "shape"),
        ([[0.0] * 29 + ["x"]], "features"),
        ([[0.0] * 29 + [None]], "features"),
        ([[1e9] + [0.0] * 29], "outside the calibrated range"),
        ({"wrong": [[0.0] * 30]}, "'features' is missing"),
        ({"features": [[0.0] * 30], "extra": [1]}, "extra"),
        ({}, "features"),
    ],
    ids=["shape", "string", "null", "range", "name", "extra", "missing"],
)
def test_inputs_that_do_not_fit(made: Made, tmp_path: Path, value: object, reason: str) -> None:
    path, out = tmp_path / "in.json", tmp_path / "r.json"
    path.write_text(json.dumps(value))
    result = made.run("prove", made.circuit, path, "-o", out)
    assert result.code == 65
    assert_clear(result.err)
    assert reason in result.err
    assert names(tmp_path) == {"in.json"}


@pytest.mark.parametrize(
    "text",
    ['{"features": [[NaN]]}', '{"a":1,"a":2}', "[" * 10_000, '{"features": [[9007199254740993]]}', '{"features": [[1e999]]}',
     "", "\xff"],
    ids=["nan", "duplicate", "deep", "2^53", "inf", "empty", "latin1"],
)  # fmt: skip
def test_json_that_two_readers_could_read_differently(made: Made, tmp_path: Path, text: str) -> None:
    path = tmp_path / "in.json"
    path.write_bytes(text.encode("latin-1"))
    result = made.run("prove", made.circuit, path, "-o", tmp_path / "r.json")
    assert result.code == 65
    assert_clear(result.err)


def test_arrays_of_other_types(made: Made, tmp_path: Path) -> None:
    exact = np.zeros((1, 30))
    lossy = np.full((1, 30), 0.1)
    bad = {"nan": np.full((1, 30), np.nan, "f4"), "lossy": lossy, "object": np.array([{}])}
    for name, array in bad.items():
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=True)
        result = made.run("run", made.circuit, tmp_path / f"{name}.npy")
        assert result.code == 65, name
        assert_clear(result.err)
    for dtype in ("f2", "f4", "f8", "i1", "u1", "i8", "?"):
        np.save(tmp_path / "ok.npy", exact.astype(dtype))
        result = made.run("run", made.circuit, tmp_path / "ok.npy")
        assert result.code == (65 if dtype == "?" else 0), (dtype, result.err)


@pytest.mark.parametrize("change", ["truncated", "byte", "space", "empty", "trailing", "not json"])
def test_receipts_that_are_not_receipts(made: Made, run: Run, tmp_path: Path, change: str) -> None:
    data = made.receipt.read_bytes()
    changed = {
        "truncated": data[:-10], "byte": data.replace(b'"mediaType"', b'"mediaTypf"', 1), "space": data.replace(b":", b": ", 1),
        "empty": b"", "trailing": data + b"\n", "not json": b"\x00\x01",
    }[change]  # fmt: skip
    path = tmp_path / "r.json"
    path.write_bytes(changed)
    result = run("verify", path, "--circuit", made.id, "--allow-dev-srs")
    assert result.code == 65
    assert "verifiable: error: " in result.err


def test_outputs_that_cannot_be_written(made: Made, tmp_path: Path) -> None:
    link, victim = tmp_path / "link.json", tmp_path / "victim"
    victim.write_text("precious")
    link.symlink_to(victim)
    for out in (link, tmp_path / "no" / "r.json", tmp_path):
        result = made.run("prove", made.circuit, made.sample, "-o", out)
        assert result.code == 70
        assert_clear(result.err)
        assert "receipt" in result.err
    assert victim.read_text() == "precious"
    assert names(tmp_path) == {"link.json", "victim"}
    taken = made.run("compile", made.model, "-o", made.circuit, "--system", "ezkl", "--srs", "dev-insecure")
    assert taken.code == 70
    assert "already exists" in taken.err


def test_a_full_disk_leaves_nothing(made: Made, tmp_path: Path) -> None:
    """A real file system of 64 kB, where this user may mount one."""
    target = tmp_path / "small"
    target.mkdir()
    if os.geteuid() != 0 or os.system(f"mount -t tmpfs -o size=16k tmpfs {target} 2>/dev/null"):
        pytest.skip("mounting a small file system needs root")
    try:
        result = made.run("prove", made.circuit, made.sample, "-o", target / "r.json")
        assert result.code == 70
        assert_clear(result.err)
        assert "No space left" in result.err
        assert names(target) == set()
    finally:
        os.system(f"umount {target}")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("verify",), 2),
        (("nonsense",), 2),
        (("compile", "x.onnx"), 2),
        (("prove", "nowhere", "x.json", "-o", "r.json"), 65),
        (("verify", "nowhere.json", "--circuit", "ab" * 32), 65),
        (("verify", "nowhere.json", "--circuit", "zz"), 65),
        (("keys", "show", "nowhere.pem"), 65),
        (("inspect", "nowhere"), 65),
        (("srs", "import", "nowhere"), 65),
        (("compile", "x.onnx", "-o", "out", "--dim", "batch"), 2),
        (("prove", "c", "i", "-o", "r", "--nonce", "xyz"), 2),
    ],
)
def test_exit_codes(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.code == code, result.err
    assert "error: " in result.err
    assert names(tmp_path) == set()


def test_dynamic_axes_need_a_binding(run: Run, tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    node = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
    )  # fmt: skip
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "m.onnx")
    refused = run("check", tmp_path / "m.onnx")
    assert refused.code != 0
    assert "--dim batch=" in refused.out + refused.err
    assert run("check", tmp_path / "m.onnx", "--dim", "batch=2").code == 0


def test_an_id_is_an_id_even_where_a_folder_has_its_name(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack: a folder named like the id that the verifier pins, holding another circuit."""
    pinned = "ab" * 32
    shutil.copytree(made.circuit, tmp_path / pinned)
    monkeypatch.chdir(tmp_path)
    result = made.run("verify", made.receipt, "--circuit", pinned, "--allow-dev-srs")
    assert result.code == 66
    assert made.run("verify", made.receipt, "--circuit", "").code == 2


def test_force_replaces_circuits_and_nothing_else(made: Made, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years")
    result = made.run("compile", made.model, "--system", "ezkl", "--srs", "dev-insecure", "-o", precious, "--force")
    assert result.code == 70
    assert (precious / "thesis.txt").read_text() == "years"


def test_a_device_or_a_pipe_is_not_replaced(made: Made, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    result = made.run("prove", made.circuit, made.sample, "-o", tmp_path / "pipe")
    assert result.code == 70
    assert_clear(result.err)
    assert (tmp_path / "pipe").is_fifo()


def test_a_verdict_that_cannot_be_printed_is_no_verdict(made: Made) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "verifiable_cli.main", "verify", str(made.receipt), "--circuit", made.id, "--allow-dev-srs"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 70, done.stderr
    assert "Traceback" not in done.stderr


def test_without_arguments_the_help_is_shown(run: Run) -> None:
    assert run().out.startswith("Usage: verifiable")
    assert run("keys").out.startswith("Usage: verifiable keys")


def test_a_damaged_circuit_and_a_damaged_input_are_named(made: Made, tmp_path: Path) -> None:
    folder, broken = tmp_path / "copy", tmp_path / "broken.json"
    shutil.copytree(made.circuit, folder)
    (folder / "circuit.json").write_text("{}")
    broken.write_text("[1,")
    result = made.run("run", folder, made.sample)
    assert result.code == 65
    assert f"{folder}/circuit.json: " in result.err
    result = made.run("run", made.circuit, broken)
    assert result.code == 65
    assert f"{broken}: not JSON" in result.err
