# SPDX-License-Identifier: Apache-2.0
"""A Plan and a model fix a Program to the last byte, on any machine; a stranger's Plan is one or an Error."""

from __future__ import annotations

import json as plain_json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.lower.models import Quantised
from tests.model.quantise.cases import normalised, samples
from tests.model.quantise.networks import FAMILIES, Net, mlp
from verifiable.encoding import json
from verifiable.errors import Error, MalformedError, UnsupportedError
from verifiable.model.program.ir import Program
from verifiable.model.quantise import plan_of, program
from verifiable.model.quantise.options import Options
from verifiable.model.quantise.plan import Plan

# NumPy without its vector loops, the C library without fused multiply-add: as on a machine that has neither.
PLAIN = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(sys.path),
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V3 X86_V4",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX2_Usable,-FMA_Usable,-AVX512F",
    "PYTHONHASHSEED": "77",
}
REBUILD = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from verifiable.model.lower.standard import standard
from verifiable.model.normalise import normalise
from verifiable.model.onnx_file import Model
from verifiable.model.quantise import program
from verifiable.model.quantise.plan import Plan
folder = Path(sys.argv[1])
onnx = normalise(standard(Model.load(folder / "model.onnx")))
made = program(onnx, Plan.parse((folder / "plan.json").read_bytes()))
(folder / "program").write_bytes(made.encode())
"""


def curved() -> bytes:
    """Every kind of function whose values C libraries round differently, and residuals."""
    net = Net(seed=11)
    x = net.dense("x", 12, 16)
    for kind in ("Sigmoid", "Tanh", "Gelu", "Softplus", "Elu", "Erf", "Mish", "Sin", "Atan"):
        x = net.op("Add", x, net.dense(net.op(kind, x), 16, 16))
    return net.model([2, 12], net.dense(net.op("Exp", net.op("Tanh", x)), 16, 4), opset=20)


def elsewhere(folder: Path, model: bytes, plan: bytes) -> bytes:
    """What an auditor makes of the model as it was published, and the Plan."""
    (folder / "model.onnx").write_bytes(model)
    (folder / "plan.json").write_bytes(plan)
    subprocess.run([sys.executable, "-c", REBUILD, str(folder)], env=PLAIN, check=True, timeout=120)
    return (folder / "program").read_bytes()


@pytest.mark.parametrize("build", [curved, FAMILIES["mobilenet"]])
def test_another_machine_makes_the_same_bytes_without_the_samples(build: Any, tmp_path: Path) -> None:
    model = build()
    onnx = normalised(model)
    plan = plan_of(onnx, samples(onnx, 12))
    made = program(onnx, plan).encode()
    assert elsewhere(tmp_path, model, plan.encode()) == made
    assert Program.parse(made).encode() == made


def test_other_samples_are_another_plan() -> None:
    onnx = normalised(mlp())
    first, second = (plan_of(onnx, samples(onnx, 8, seed)) for seed in (1, 2))
    assert first.encode() != second.encode()
    assert program(onnx, first).digest != program(onnx, second).digest


@pytest.mark.parametrize("options", [Options(), Options(activation_bits=12, output_bits=12, shifts=(20, 40), headroom=2.0)])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_plan_is_its_bytes_and_says_no_more_than_is_used(family: str, options: Options) -> None:
    onnx = normalised(FAMILIES[family]())
    plan = plan_of(onnx, samples(onnx, 4), options)
    assert Plan.parse(plan.encode()) == plan
    assert Plan.parse(plan.encode()).encode() == plan.encode()
    program(onnx, plan)
    assert len(plan.encode()) < 20_000


def lowered_model() -> bytes:
    net = Quantised()
    return normalised(net.model([1, 4], net.qdq(net.op("Relu", net.qdq("x", 0.5, np.uint8(10))), 0.5, np.uint8(0))))


def test_a_quantised_model_has_nothing_to_decide() -> None:
    plan = plan_of(lowered_model(), [])
    assert plan.encode() == b'{"form":"lowered","mediaType":"application/vnd.verifiable.plan.v1+json","version":1}'
    assert program(lowered_model(), Plan.parse(plan.encode())).inputs[0].scale == 0.5


MLP = normalised(mlp())
PLAN = plan_of(MLP, samples(MLP, 5))


def edited(change: Any) -> bytes:
    record = plain_json.loads(PLAN.encode())
    change(record)
    return json.canonical(record)


def test_a_plan_of_another_model_is_refused() -> None:
    other = normalised(FAMILIES["vgg"]())
    with pytest.raises(MalformedError, match="no unit for it"):
        program(other, PLAN)
    with pytest.raises(MalformedError, match="of another model"):
        program(lowered_model(), PLAN)
    with pytest.raises(MalformedError, match="of another model"):
        program(MLP, Plan())
    net = Net()
    net.op("Relu", "x")
    with pytest.raises(MalformedError, match=r"not used|no \w+ for it"):
        program(normalised(net.model([1, 20], "v0")), PLAN)


@pytest.mark.parametrize("table", ["grids", "units", "shifts"])
def test_a_plan_says_all_and_only_what_is_used(table: str) -> None:
    less = edited(lambda record: record[table].pop(0))
    with pytest.raises(MalformedError, match="the plan has no"):
        program(MLP, Plan.parse(less))

    def add(record: Any) -> None:
        record[table].append({**record[table][0], "value": "zzz"})

    with pytest.raises(MalformedError, match="'zzz' is not used"):
        program(MLP, Plan.parse(edited(add)))


MALFORMED = {
    "unknown field": lambda r: r.update(more=1),
    "other form": lambda r: r.update(form="lowered"),
    "unknown form": lambda r: r.update(form="float"),
    "media type": lambda r: r.update(mediaType="application/json"),
    "order": lambda r: r["units"].reverse(),
    "twice": lambda r: r["units"].insert(0, r["units"][0]),
    "scale of nought": lambda r: r["units"][0].update(scale=0),
    "negative scale": lambda r: r["grids"][0].update(scale=-1.5),
    "scale that is text": lambda r: r["inputs"][0].update(scale="1"),
    "range upside down": lambda r: r["inputs"][0].update(low=5, high=4),
    "range beyond int32": lambda r: r["grids"][0].update(high=1 << 31),
    "shift": lambda r: r["shifts"][0].update(shift=62),
    "bits": lambda r: r["grids"][0].update(bits=17),
    "option": lambda r: r["options"].update(activation_bits=40),
    "headroom of nought": lambda r: r["options"].update(headroom=0),
    "shifts that are no numbers": lambda r: r["options"].update(shifts=[True, "a"]),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_plan_is_malformed(name: str) -> None:
    with pytest.raises(MalformedError):
        Plan.parse(edited(MALFORMED[name]))


def scaled(table: str, name: str, factor: float) -> bytes:
    """The plan with every entry of a table changed."""

    def change(record: Any) -> None:
        for entry in record[table]:
            entry[name] = entry[name] + factor if name == "shift" else entry[name] * factor

    return edited(change)


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (scaled("units", "scale", 2.0**-40), r"value '\w+': .*(2\^62|62 bits)"),
        (scaled("units", "scale", 2.0**-300), r"value '\w+': .*62 bits"),
        (scaled("shifts", "shift", -12), r"value '\w+': .*table would have [\d,]+ rows"),
    ],
)
def test_wrapping_accumulators_and_endless_tables_are_refused_by_name(plan: bytes, told: str) -> None:
    with pytest.raises(UnsupportedError, match=told):
        program(MLP, Plan.parse(plan))


def test_another_version_is_named() -> None:
    with pytest.raises(UnsupportedError, match="version 2"):
        Plan.parse(edited(lambda record: record.update(version=2)))


numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([5e-324, 1e308, 1e-300, 1e-30, 1e30, 2.0**-60]),
    st.integers(-(2**31), 2**31), st.integers(0, 61), st.just(None),
)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(["inputs", "grids", "units", "shifts", "options"]), st.integers(0, 9), st.data())
def test_a_hostile_plan_is_a_program_or_an_error(table: str, at: int, data: Any) -> None:
    record = plain_json.loads(PLAN.encode())
    entry = record[table] if table == "options" else record[table][at % len(record[table])]
    for name in data.draw(st.lists(st.sampled_from(sorted(set(entry) - {"value"})), min_size=1, max_size=3)):
        entry[name] = data.draw(numbers)
    try:
        made = program(MLP, Plan.parse(json.canonical(record)))
    except Error:
        return
    assert Program.parse(made.encode()) == made


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(PLAN.encode()) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_edited_bytes_are_a_plan_or_an_error(at: int, put: bytes, drop: int) -> None:
    whole = PLAN.encode()
    data = whole[:at] + put + whole[at + drop :]
    try:
        plan = Plan.parse(data)
    except Error:
        return
    assert plan.encode() == data
