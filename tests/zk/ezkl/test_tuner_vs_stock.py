# SPDX-License-Identifier: Apache-2.0
"""The tuner against ezkl's own ``calibrate_settings`` (target ``resources``): one run, one model, the same samples, one machine.

``pytest -m slow -s tests/zk/ezkl/test_tuner_vs_stock.py`` prints the table. Sizes are asserted; times only with much slack,
since the machine may be busy. VERIFIABLE_BENCH_SRS names a folder to keep development setups in (2^19 takes minutes to make).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.zk.ezkl import small
from verifiable.model.normalise import normalise
from verifiable.model.onnx_file import Model
from verifiable.model.runtime import FloatModel
from verifiable.zk.circuit import Visibility
from verifiable.zk.ezkl.tuner import tune

_WORKER = Path(__file__).with_name("stock_worker.py")
_SHOWN = ("logrows", "rows", "setup", "witness", "prove", "verify", "memory", "pk", "vk", "proof")


def compare_with_stock(
    program: bytes, samples: Sequence[Mapping[str, Any]], *, folder: Path, proofs: int = 3, stock: bool = True
) -> dict[str, dict[str, Any]]:
    """``{"tuned": {...}, "stock": {...}}``: seconds (the least of ``proofs``), bytes, rows; the table goes to standard output."""
    model = FloatModel(program)
    tuning = tune(
        program=program, visibility=Visibility(), calibration=samples, float_outputs=[model.run(sample) for sample in samples]
    )
    flat = [[np.asarray(array, np.float64).ravel().tolist() for array in sample.values()] for sample in samples]
    assert all(len(sample) == 1 for sample in flat)
    (folder / "model.onnx").write_bytes(program)
    kept = os.environ.get("VERIFIABLE_BENCH_SRS")
    job = {
        "model": str(folder / "model.onnx"), "srs": kept or str(folder), "sample": flat[0][0], "proofs": proofs,
        "calibration": [[value for sample in flat for value in sample[0]]],
    }  # fmt: skip
    found = {"tuned": _measure(job | {"run_args": tuning.parameters.run_args(Visibility())}, folder)}
    found["tuned"]["predicted"] = dict(tuning.predicted.to_json())
    if stock:
        found["stock"] = _measure(job | {"run_args": None}, folder)
    print("\n" + "\n".join(tuning.explanation))
    _show(found)
    return found


def _measure(job: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=folder) as work:
        request = {**job, "folder": work, "result": str(Path(work) / "result.json")}
        environment = {**os.environ, "HOME": work, "RUST_LOG": "error"}
        done = subprocess.run(
            [sys.executable, str(_WORKER)],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return dict(json.loads((Path(work) / "result.json").read_text()))


def _show(found: Mapping[str, Mapping[str, Any]]) -> None:
    print(f"{'':10}" + "".join(f"{name:>16}" for name in found) + f"{'ratio':>10}")
    for name in _SHOWN:
        values = [float(measured[name]) for measured in found.values()]
        ratio = f"{values[1] / values[0]:10.2f}" if len(values) > 1 else ""
        print(f"{name:10}" + "".join(f"{value:16,.3f}" if value < 1000 else f"{value:16,.0f}" for value in values) + ratio)


@pytest.mark.slow
def test_small_mlp(tmp_path: Path) -> None:
    net = small.mlp()
    found = compare_with_stock(net.program, net.samples, folder=tmp_path)
    tuned, stock = found["tuned"], found["stock"]
    assert stock["pk"] >= 15 * tuned["pk"]
    assert stock["prove"] >= 4 * tuned["prove"], "the goal is 8; half of it is left to a busy machine"
    assert tuned["verify"] < 0.3, "the goal is 30 ms; ten times that is left to a busy machine"
    assert abs(tuned["pk"] - tuned["predicted"]["proving_key"]) < 0.01 * tuned["pk"]


@pytest.mark.bench
@pytest.mark.slow
def test_lenet(tmp_path: Path, checkout: Path) -> None:
    """Minutes, and gigabytes; VERIFIABLE_BENCH_STOCK=0 leaves out the stock half, VERIFIABLE_BENCH_SAMPLES bounds the samples."""
    folder = checkout / "models" / "lenet5-mnist"
    program = normalise(Model.load(folder / "model.onnx"))
    images = np.load(folder / "calibration.npz")["image"]
    count = int(os.environ.get("VERIFIABLE_BENCH_SAMPLES", "20"))
    samples = [{"image": image.reshape(1, 1, 28, 28).astype(np.float32)} for image in images[:count]]
    stock = os.environ.get("VERIFIABLE_BENCH_STOCK", "1") != "0"
    found = compare_with_stock(program, samples, folder=tmp_path, proofs=1, stock=stock)
    assert abs(found["tuned"]["pk"] - found["tuned"]["predicted"]["proving_key"]) < 0.01 * found["tuned"]["pk"]
    if stock:
        assert found["tuned"]["pk"] < found["stock"]["pk"]
        assert found["tuned"]["prove"] < 1.5 * found["stock"]["prove"], "the goal is 1; the rest is left to a busy machine"
