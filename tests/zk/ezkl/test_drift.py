# SPDX-License-Identifier: Apache-2.0
"""What a cheating prover can do with the rounding of quotients: bounded, told, and refused where it is too much."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.zk.ezkl import small
from tests.zk.ezkl.graphs import CASES
from tests.zk.ezkl.workshop import Output, Workshop, onnx_model
from verifiable.encoding.tensor import Tensor
from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.averaging import lower_averages
from verifiable.model.normalise import normalise
from verifiable.model.onnx_file import Model
from verifiable.zk.circuit import TensorSpec, Visibility
from verifiable.zk.ezkl import candidates, drift, search, steps
from verifiable.zk.ezkl.instances import ProofFormat
from verifiable.zk.ezkl.intervals import Bounds, Unbounded
from verifiable.zk.ezkl.parameters import EzklParameters
from verifiable.zk.ezkl.process import job
from verifiable.zk.ezkl.tuner import tune
from verifiable.zk.system import Limits, no_progress

PUBLIC = Visibility()
SCALE = 7
N = helper.make_node


def rounded(x: Any) -> Any:
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def two_layers(large: float) -> tuple[bytes, Any, Any]:
    """A convolution, an average, and a Gemm with large weights: (program, kernel, weights) in integers."""
    rng = np.random.default_rng(2)
    w = rng.integers(-60, 60, (4, 1, 2, 2))
    v = rng.choice([-1, 1], (16, 2)) * int(large * 2**SCALE)
    nodes = [
        N("Conv", ["x", "w"], ["c"], kernel_shape=[2, 2], strides=[1, 1], pads=[0, 0, 0, 0]),
        N("AveragePool", ["c"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        N("Flatten", ["p"], ["f"], axis=1),
        N("Gemm", ["f", "v"], ["y"]),
    ]
    weights = {"w": (w / 2**SCALE).astype(np.float32), "v": (v / 2**SCALE).astype(np.float32)}
    program = normalise(Model.parse(onnx_model(nodes, {"x": (1, 1, 5, 5)}, {"y": (1, 2)}, **weights)))
    return program, w, v


def evaluated(x: Any, w: Any, v: Any, choose: Any) -> Any:
    """The circuit with products rescaled once, in integers. ``choose(exact, weights after it)``: the quotient taken."""
    patches = np.lib.stride_tricks.sliding_window_view(x, (2, 2))
    c = choose(np.einsum("hwij,oij->ohw", patches, w[:, 0]) / 2**SCALE, "conv")
    quarter = rounded(2**SCALE / 4)
    sums = c.reshape(4, 2, 2, 2, 2).transpose(0, 1, 3, 2, 4).sum((-2, -1))
    p = choose(sums * quarter / 2**SCALE, "pool")
    return choose(p.reshape(1, 16) @ v / 2**SCALE, "gemm")


def test_the_bound_covers_a_cheat_that_a_division_gate_accepts(workshop: Workshop) -> None:
    """|x - d q| < d holds for both neighbours of x/d. Chosen by the sign of the weights that follow, they add up."""
    program, w, v = two_layers(8.0)
    parameters = EzklParameters(decomp_base=1 << 9, decomp_legs=3, logrows=10, scale_rebase_multiplier=1)
    spec = TensorSpec(name="x", dtype="float32", shape=(1, 1, 5, 5), scale=2.0**-SCALE, low=-200, high=200)
    circuit = workshop.build(program, parameters=parameters, inputs=(spec,), outputs=(Output("y", "float32", (1, 2)),))
    known = ProofFormat.parse(circuit.verifier.parts["proof-format"])
    assert known.divisions == 4 * 16 + 16 + 2
    x = np.random.default_rng(3).integers(-200, 200, (5, 5))
    honest = evaluated(x, w, v, lambda exact, _: rounded(exact))
    computed = workshop.system.execute(circuit, {"x": Tensor.from_array(x.reshape(1, 1, 5, 5).astype(np.int64))})
    assert (computed["y"].array() == honest).all()

    up = (v[:, 0] > 0).reshape(4, 2, 2)
    wanted = {"pool": up, "conv": np.kron(up, np.ones((2, 2), bool)), "gemm": np.array([[True, True]])}
    cheated = evaluated(x, w, v, lambda exact, place: np.where(wanted[place], np.ceil(exact), np.floor(exact)))
    moved = int((cheated - honest)[0, 0])
    assert 16 < moved <= known.drift[0] < 16 * moved
    (told,) = workshop.system.caveats(circuit.verifier)
    assert f"output 'y' by up to {known.drift[0]:,} units ({known.drift[0] * 2.0**-SCALE:.3g})" in told


def cancelling() -> Any:
    """Two equal channels whose difference is taken thousands of times: 0 in every honest run, what a prover likes in another."""
    rng = np.random.Generator(np.random.PCG64(5))
    kernel, weights = rng.standard_normal((1, 1, 3, 3)) / 3, np.repeat([[4096.0, -4096.0]], 9, axis=1)
    weights[0, :9] += 1.0
    nodes = [
        N("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]),
        N("AveragePool", ["c"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        N("Flatten", ["p"], ["f"], axis=1),
        N("Gemm", ["f", "v"], ["y"], transB=1),
    ]
    return small.net(nodes, {"w": np.concatenate([kernel, kernel]), "v": weights}, [1, 1, 6, 6], [1, 1])


def tuned(net: Any, **options: Any) -> Any:
    return tune(program=net.program, visibility=PUBLIC, calibration=net.samples, float_outputs=net.floats, **options)


def test_what_would_move_an_output_too_far_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "REBASE_MULTIPLIERS", (1,))
    with pytest.raises(UnsupportedError, match=r"moved output 'y' by up to [\d,]+ units .* the results of Conv") as caught:
        tuned(cancelling())
    assert "--max-error" in caught.value.hint


def test_a_layout_without_quotients_is_taken_where_others_are_refused() -> None:
    found = tuned(cancelling())
    assert found.parameters.scale_rebase_multiplier > 1
    assert "no quotient is left to the prover's rounding" in found.explanation
    assert any("not possible: rebase 1: " in line and "cheating prover" in line for line in found.explanation)


def test_what_is_allowed_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "REBASE_MULTIPLIERS", (1,))
    found = tuned(small.cnn())
    told = next(line for line in found.explanation if "either way by one unit; that moves output 'y'" in line)
    moved = float(told.rsplit("(", 1)[1].rstrip(")"))
    every = np.concatenate([floats["y"] for floats in small.cnn().floats])
    assert 0 < moved <= 0.01 * (every.max() - every.min())


def laid_out(program: bytes, **parameters: int) -> Any:
    given = dataclasses.replace(search.wide(scale=SCALE, multiplier=1, lookups=(-1024, 1024)), **parameters)
    with job(limits=Limits(), progress=no_progress) as child:
        return steps.make_settings(child, program, given, PUBLIC)


def test_quotients_in_other_places_than_ezkls_give_no_bound() -> None:
    program, _, _ = two_layers(1.0)
    settings, plan = laid_out(program)
    inputs = {"x": (-200, 200)}
    assert isinstance(drift.drift(drift.analyse(program), settings, plan, inputs), tuple)
    nodes = tuple(dataclasses.replace(node, divides=False) if node.kind == "CONV" else node for node in plan.nodes)
    other = dataclasses.replace(plan, nodes=nodes)
    found = drift.drift(drift.analyse(program), settings, other, inputs)
    assert isinstance(found, Unbounded)
    assert "places otherwise" in found.reason


def test_without_a_bound_there_is_no_circuit(workshop: Workshop) -> None:
    program = onnx_model(
        [N("Mul", ["x", "w"], ["a"]), N("ReduceProd", ["a"], ["y"], axes=[1], keepdims=1)], {"x": (1, 3)}, {"y": (1, 1)},
        w=np.array([0.3], np.float32),
    )  # fmt: skip
    spec = TensorSpec(name="x", dtype="float32", shape=(1, 3), scale=2.0**-7, low=-100, high=100)
    with pytest.raises(UnsupportedError, match="how far that moves the outputs is not known: ReduceProd"):
        workshop.build(program, inputs=(spec,), outputs=(Output("y", "float32", (1, 1)),))


def test_quotients_are_found_where_ezkl_lays_them_out() -> None:
    """Over all operators: either the walk understands the graph, and then it found exactly ezkl's quotients, or it says no."""
    understood = set()
    with job(limits=Limits(), progress=no_progress) as child:
        for name, case in CASES.items():
            if case.in_type != "float32":
                continue
            program = normalise(Model.parse(case.model()))
            parameters = search.wide(scale=SCALE, multiplier=1, lookups=(-1024, 1024))
            settings, plan = steps.make_settings(child, program, parameters, PUBLIC)
            inputs = {name: (int(case.low * 2**SCALE), int(case.high * 2**SCALE)) for name in case.inputs}
            found = drift.bounds(drift.analyse(program), settings, inputs)
            if isinstance(found, Bounds):
                understood.add(name)
                assert found.divided == plan.quotients, name
    assert understood >= {
        "Gemm", "MatMul", "Conv", "Conv-group-pad", "AveragePool", "AveragePool-pad", "GlobalAveragePool", "MaxPool", "Relu",
        "LeakyRelu", "Sigmoid", "Tanh", "Erf", "Exp", "Softmax", "Softplus", "Add", "Sub", "Mul", "Mul-const", "Neg", "Abs",
        "Max",
        "Min", "Clip", "Pow", "Div-fraction", "ReduceSum", "ReduceMean", "Concat", "Reciprocal", "Gelu-erf",
        "BatchNormalization", "HardSwish",
    }  # fmt: skip


def test_averages_are_convolutions_without_quotients() -> None:
    import onnxruntime

    for name in ("AveragePool", "AveragePool-pad", "GlobalAveragePool"):
        program = normalise(Model.parse(CASES[name].model()))
        lowered = lower_averages(program)
        assert lowered != program
        assert lower_averages(program) == lowered
        assert b"AveragePool" not in lowered
        rng = np.random.default_rng(0)
        given = {n: rng.uniform(-1, 1, shape).astype(np.float32) for n, shape in CASES[name].inputs.items()}
        options = {"providers": ["CPUExecutionProvider"]}
        plain, ours = (onnxruntime.InferenceSession(p, **options).run(None, given)[0] for p in (program, lowered))
        assert np.allclose(plain, ours, atol=1e-6)
        _, plan = laid_out(program, scale_rebase_multiplier=10)
        assert plan.quotients == Counter()


def test_a_model_without_averages_is_left_as_it_is() -> None:
    program = small.mlp().program
    assert lower_averages(program) is program
    with pytest.raises(MalformedError):
        lower_averages(b"AveragePool")
