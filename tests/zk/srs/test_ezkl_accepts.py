# SPDX-License-Identifier: Apache-2.0
"""That ezkl reads and writes the same files as we do: its setups pass our checks, and it verifies with our cuts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.zk.srs.known import make
from verifiable.zk.srs import check
from verifiable.zk.srs import format as raw
from verifiable.zk.srs.format import Srs

LOGROWS = 9

# In a child, because ezkl prints, panics and aborts. argv: the folder, logrows. It leaves k.srs and a proof over it.
PROVE = """
import json, os, sys
import ezkl, onnx
from onnx import TensorProto, helper
os.chdir(sys.argv[1])
weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [0.5, -1.0, 2.0, 0.25])
value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2])
graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [value("x")], [value("y")], [weights])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), "m.onnx")
args = ezkl.PyRunArgs()
args.disable_freivalds = True
args.decomp_base, args.decomp_legs, args.logrows, args.input_scale, args.param_scale = 64, 4, int(sys.argv[2]), 7, 7
args.input_visibility = args.output_visibility = "public"
args.param_visibility = "fixed"
ezkl.gen_settings("m.onnx", "s.json", py_run_args=args)
ezkl.compile_circuit("m.onnx", "c.ezkl", "s.json")
ezkl.gen_srs("k.srs", int(sys.argv[2]))
ezkl.setup("c.ezkl", "vk", "pk", "k.srs", disable_selector_compression=True)
json.dump({"input_data": [[0.5, -0.25]]}, open("i.json", "w"))
ezkl.gen_witness("i.json", "c.ezkl", "w.json")
ezkl.prove("w.json", "c.ezkl", "pk", "p.json", "k.srs")
"""
VERIFY = """
import json, os, sys
import ezkl
os.chdir(sys.argv[1])
found = {}
for name in sys.argv[2:]:
    for reduced in (False, True):
        try:
            found[f"{name} {reduced}"] = ezkl.verify("p.json", "s.json", "vk", name, reduced_srs=reduced)
        except BaseException as error:
            found[f"{name} {reduced}"] = type(error).__name__
json.dump(found, open("found.json", "w"))
"""


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ezkl")
    run(PROVE, folder, str(LOGROWS))
    return folder


def run(code: str, folder: Path, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-c", code, str(folder), *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def test_ezkls_own_setup_passes_our_checks(proved: Path) -> None:
    found = check.check_structure(proved / "k.srs")
    assert (found.logrows, found.complete) == (LOGROWS, True)


def test_ezkl_verifies_with_cuts_down_to_two_rows_and_not_with_anothers(proved: Path) -> None:
    with Srs.open(proved / "k.srs") as srs:
        for logrows in (1, 4):
            (proved / f"cut{logrows}.srs").write_bytes(raw.cut(srs, logrows))
    (proved / "other.srs").write_bytes(make(1).data())
    run(VERIFY, proved, "cut1.srs", "cut4.srs", "other.srs")
    found = json.loads((proved / "found.json").read_text())
    assert {name: verdict for name, verdict in found.items() if verdict is True} == {
        f"cut{logrows}.srs {reduced}": True for logrows in (1, 4) for reduced in (False, True)
    }
