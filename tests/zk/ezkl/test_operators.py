# SPDX-License-Identifier: Apache-2.0
"""Each operator that is accepted is proved, computes what ONNX says, and binds the order of its results; others are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.zk.ezkl.graphs import CASES, OPSET, Case
from tests.zk.ezkl.workshop import Workshop, onnx_model
from verifiable.encoding.tensor import Tensor
from verifiable.errors import UnsupportedError
from verifiable.model.bounding import bound_inputs
from verifiable.model.onnx_file import Model
from verifiable.model.preflight import NodeView, preflight
from verifiable.zk.circuit import TensorSpec, Visibility
from verifiable.zk.ezkl import dev_srs, instances, plan, steps, verifier_srs
from verifiable.zk.ezkl.operators import OPERATORS
from verifiable.zk.ezkl.parameters import EzklParameters
from verifiable.zk.ezkl.process import Child, job
from verifiable.zk.srs.store import SrsInfo
from verifiable.zk.system import Limits, no_progress

PARAMETERS = EzklParameters(decomp_base=128, decomp_legs=4, logrows=12, lookup_low=-1024, lookup_high=1024)
SMALL = dataclasses.replace(PARAMETERS, logrows=10)  # enough where no table of a function is needed
SAMPLED = ["Relu", "MatMul-dynamic", "Gemm"]


@pytest.fixture(scope="module")
def srs(workshop: Workshop) -> SrsInfo:
    return workshop.store.dev_insecure(PARAMETERS.logrows, dev_srs.generate)


# --- proved


def laid_out(
    child: Child, case: Case, parameters: EzklParameters, srs: SrsInfo, *, permuted: bool
) -> tuple[steps.EzklSettings, bytes, Path]:
    program = case.model(permuted=permuted)
    settings, _ = steps.make_settings(child, program, parameters, Visibility())
    steps.compile_circuit(child, program, settings)
    key = child.folder / "pk"
    return settings, steps.set_up(child, settings, srs.path, key), key


def specs(case: Case, settings: steps.EzklSettings) -> tuple[list[TensorSpec], list[TensorSpec]]:
    size = int(np.prod(case.out))
    inputs = [
        TensorSpec(name=name, dtype=case.in_type, shape=shape, scale=2.0**-bits, low=-(2**40), high=2**40)
        for (name, shape), bits in zip(case.inputs.items(), settings.input_scales, strict=True)
    ]
    (bits,) = settings.output_scales
    return inputs, [TensorSpec(name="z", dtype=case.out_type, shape=(size,), scale=2.0**-bits, low=-(2**62), high=2**62)]


def check(case: Case, parameters: EzklParameters, srs: SrsInfo) -> None:
    import onnxruntime

    rng, program = np.random.default_rng(1), case.model()
    with job(limits=Limits(), progress=no_progress) as child:
        settings, vk, key = laid_out(child, case, parameters, srs, permuted=False)
        inputs, outputs = specs(case, settings)
        real = {
            n: rng.integers(0, 2, s).astype(float) if case.in_type == "bool" else rng.uniform(case.low, case.high, s)
            for n, s in case.inputs.items()
        }
        integers = {spec.name: np.round(real[spec.name] / spec.scale).astype(np.int64) for spec in inputs}
        run = steps.witness(child, inputs, outputs, {name: Tensor.from_array(array) for name, array in integers.items()})
        dtype: Any = np.bool_ if case.in_type == "bool" else np.float32
        exact = {spec.name: (integers[spec.name] * spec.scale).astype(dtype) for spec in inputs}
        expected = onnxruntime.InferenceSession(program).run(None, exact)[0].astype(float)
        error = np.abs(run.outputs["z"].array() * outputs[0].scale - expected).max()
        assert error <= case.tolerance, f"{case.name}: off by {error}"

        found, proof = steps.prove(child, srs.path, key)
        part = verifier_srs.cut(srs.path)
        assert len(proof) == steps.proof_size(child, settings, vk, part)
        steps.verify(
            child, proof=child.write("p", instances.proof_document(found, proof)), settings=child.write("s", settings.data),
            vk=child.write("v", vk), srs=child.write("r", part), seconds=60,
        )  # fmt: skip
    with job(limits=Limits(), progress=no_progress) as child:
        _, other, _ = laid_out(child, case, parameters, srs, permuted=True)
    assert other != vk, "a permutation of the outputs leaves the verifying key as it is: the order is not bound"


@pytest.mark.parametrize("name", SAMPLED)
def test_permuted_outputs_have_another_verifying_key(name: str, workshop: Workshop) -> None:
    """Trap 1: with the randomised matrix product, two models that differ by a permutation had one verifying key."""
    check(CASES[name], SMALL, workshop.srs)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_permuted_outputs_have_another_verifying_key_for_every_operator(name: str, srs: SrsInfo) -> None:
    check(CASES[name], PARAMETERS, srs)


def test_every_accepted_operator_has_a_case() -> None:
    covered = {node.op_type for case in CASES.values() for node in case.nodes}
    accepted = {name for name, rule in OPERATORS.items() if rule(_bare(name)) is None or name in covered}
    # Gone after normalisation, or folded into constants.
    assert accepted - covered <= {"Dropout", "Constant", "Shape"}


def _bare(op: str) -> NodeView:
    return NodeView(op=op, name="n", attributes={}, input_shapes=((1,),), output_shapes=((1,),), constants={})


@pytest.mark.parametrize("name", CASES)
def test_every_proved_case_passes_preflight(name: str) -> None:
    report = preflight(Model.parse(CASES[name].model()), operators=OPERATORS)
    assert [defect.reason for defect in report.defects] == []


# --- refused


def refused(*nodes: onnx.NodeProto, shape: tuple[int, ...] = (1, 4), out: tuple[int, ...] = (1, 4), **constants: Any) -> str:
    """The first reason that preflight gives for this graph."""
    kind = numpy_helper.from_array
    graph = helper.make_graph(
        list(nodes), "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", constants.pop("kind", TensorProto.FLOAT), out)],
        [kind(array, name) for name, array in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    report = preflight(Model.parse(model.SerializeToString()), operators=OPERATORS)
    assert report.defects, "it was accepted"
    with pytest.raises(UnsupportedError):
        report.require()
    return str(report.defects[0].reason) + " " + str(report.defects[0].fix)


def f(*values: float) -> np.ndarray[Any, Any]:
    return np.array(values if len(values) != 1 else values[0], np.float32)


def i(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int64)


N = helper.make_node
IMAGE = {"shape": (1, 1, 4, 4)}


@pytest.mark.parametrize(
    ("nodes", "options", "words"),
    [
        (
            [N("QuantizeLinear", ["x", "s", "z"], ["q"]), N("DequantizeLinear", ["q", "s", "z"], ["y"])],
            {"s": f(0.1), "z": np.array(0, np.uint8)},
            "identity|quantis",
        ),
        ([N("Sqrt", ["x"], ["y"])], {}, "unsound"),
        ([N("ArgMax", ["x"], ["y"], axis=1)], {"out": (1, 1), "kind": TensorProto.INT64}, "unsound"),
        ([N("ArgMin", ["x"], ["y"], axis=1)], {"out": (1, 1), "kind": TensorProto.INT64}, "unsound"),
        ([N("Pow", ["x", "e"], ["y"])], {"e": f(0.5)}, "whole exponents"),
        ([N("Pow", ["x", "e"], ["y"])], {"e": f(-1)}, "whole exponents"),
        ([N("Pow", ["x", "e"], ["y"])], {"e": f(0)}, "whole exponents"),
        ([N("Pow", ["x", "x"], ["y"])], {}, "constant scalar"),
        ([N("Div", ["x", "x"], ["y"])], {}, "Reciprocal"),
        ([N("Trilu", ["x"], ["y"])], {"shape": (2, 2), "out": (2, 2)}, "another function"),
        ([N("Cast", ["x"], ["y"], to=TensorProto.INT64)], {"kind": TensorProto.INT64}, "cuts it off"),
        ([N("Gather", ["x", "i"], ["y"], axis=1)], {"i": i(-2), "out": (1, 1)}, "negative indices"),
        (
            [N("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1])],
            {**IMAGE, "out": (1, 1, 3, 3)},
            "pads with zeros",
        ),
        (
            [N("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[1, 1], dilations=[2, 2])],
            {**IMAGE, "out": (1, 1, 2, 2)},
            "dilat",
        ),
        (
            [N("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1])],
            {**IMAGE, "out": (1, 1, 3, 3)},
            "counts padding",
        ),
        (
            [N("Conv", ["x", "w"], ["y"], kernel_shape=[2, 2], strides=[1, 1], dilations=[2, 2])],
            {**IMAGE, "w": np.ones((1, 1, 2, 2), np.float32), "out": (1, 1, 2, 2)},
            "dilat",
        ),
        ([N("Pad", ["x", "p", "v"], ["y"])], {"p": i(0, 1, 0, 1), "v": f(1), "out": (1, 6)}, "zeros"),
        ([N("Pad", ["x", "p"], ["y"], mode="reflect")], {"p": i(0, 1, 0, 1), "out": (1, 6)}, "constant"),
        (
            [N("Resize", ["x", "", "s"], ["y"], mode="linear")],
            {**IMAGE, "s": f(1, 1, 2, 2), "out": (1, 1, 8, 8)},
            "another function",
        ),
        (
            [
                N(
                    "Resize",
                    ["x", "", "s"],
                    ["y"],
                    mode="nearest",
                    coordinate_transformation_mode="asymmetric",
                    nearest_mode="ceil",
                )
            ],
            {**IMAGE, "s": f(1, 1, 2, 2), "out": (1, 1, 8, 8)},
            "another function",
        ),
        (
            [N("Resize", ["x", "", "", "z"], ["y"], mode="nearest")],
            {**IMAGE, "z": i(1, 1, 8, 8), "out": (1, 1, 8, 8)},
            "ignores sizes",
        ),
        (
            [N("ScatterElements", ["x", "i", "u"], ["y"], axis=1)],
            {"i": np.array([[0]], np.int64), "u": np.ones((1, 1), np.float32)},
            "not checked",
        ),
        ([N("Max", ["x", "x", "a"], ["y"])], {"a": f(1, 2, 3, 4)}, "at most 2"),
        ([N("TopK", ["x", "k"], ["y", "j"], sorted=0)], {"k": i(2), "out": (1, 2)}, "sorted"),
        ([N("CumSum", ["x", "a"], ["y"])], {"a": np.array(1, np.int64)}, "loops"),
        ([N("Mod", ["x", "a"], ["y"], fmod=1)], {"a": f(2)}, "no operator"),
    ],
    ids=lambda value: value[0].op_type if isinstance(value, list) else "",
)
def test_what_is_unsound_or_another_function_is_refused(nodes: list[onnx.NodeProto], options: dict[str, Any], words: str) -> None:
    """Traps 5 and 13, and what reading the constraints showed; each reason says what to do instead."""
    import re

    assert re.search(words, refused(*nodes, **options)), refused(*nodes, **options)


def test_one_hot_is_refused() -> None:
    """ezkl checks that a copy of its elements is 0 or 1, and computes with another copy."""
    assert str(OPERATORS["OneHot"](_bare("OneHot"))).startswith("unsound")


def test_a_missing_stride_is_filled_in_before_ezkl_sees_it() -> None:
    """Trap 6: a Conv without strides is valid ONNX, and ezkl refuses it."""
    from verifiable.model.normalise import normalise

    program = onnx_model(
        [N("Conv", ["x", "w"], ["y"])], {"x": (1, 1, 4, 4)}, {"y": (1, 1, 3, 3)}, w=np.ones((1, 1, 2, 2), np.float32)
    )
    with job(limits=Limits(), progress=no_progress) as child:
        with pytest.raises(UnsupportedError):
            steps.make_settings(child, program, PARAMETERS, Visibility())
        settings, _ = steps.make_settings(child, normalise(Model.parse(program)), PARAMETERS, Visibility())
    assert settings.instance_sizes == (16, 9)


# --- what ezkl really lays out


def test_a_square_root_by_another_name_is_caught_in_the_layout(workshop: Workshop) -> None:
    """Preflight sees Pow; the optimiser in between makes it a square root, whose sign the prover could choose."""
    program = onnx_model([N("Pow", ["x", "e"], ["y"])], {"x": (1, 4)}, {"y": (1, 4)}, e=np.array(0.5, np.float32))
    with pytest.raises(UnsupportedError, match="SQRT node: a square root may be proved with either sign"):
        workshop.build(program)


@pytest.mark.parametrize(
    ("nodes", "constants", "kind"),
    [
        ([N("ArgMax", ["x"], ["a"], axis=1, keepdims=1), N("Cast", ["a"], ["y"], to=TensorProto.FLOAT)], {}, "REDUCEARGMAX"),
        ([N("ReduceL2", ["x"], ["y"], axes=[1], keepdims=1)], {}, "SQRT"),
    ],
    ids=["argmax", "l2"],
)  # fmt: skip
def test_unsound_nodes_are_caught_in_the_layout(
    workshop: Workshop, nodes: list[onnx.NodeProto], constants: dict[str, Any], kind: str
) -> None:
    program = onnx_model(nodes, {"x": (1, 4)}, {"y": (1, 1)}, **constants)
    with job(limits=Limits(), progress=no_progress) as child, pytest.raises(UnsupportedError, match=f"a {kind}"):
        steps.make_settings(child, program, PARAMETERS, Visibility())


def layout(program: bytes, parameters: EzklParameters = PARAMETERS, visibility: Visibility | None = None) -> plan.Plan:
    with job(limits=Limits(), progress=no_progress) as child:
        return steps.make_settings(child, program, parameters, visibility or Visibility())[1]


def test_divisions_are_counted() -> None:
    """Each may be rounded either way: |x - d q| < d has two solutions where d does not divide x."""
    gemm = CASES["Gemm"].model()
    assert layout(gemm).divisions == 3
    assert layout(gemm, dataclasses.replace(PARAMETERS, scale_rebase_multiplier=2)).divisions == 0
    assert layout(CASES["AveragePool"].model()).divisions == 8
    assert layout(CASES["Relu"].model()).divisions == 0


def test_the_table_is_read_whole() -> None:
    nodes = layout(CASES["Gemm"].model()).nodes
    assert [node.kind for node in nodes] == ["Input", "CONST", "EINSUM", "CONST", "ADD"]
    assert nodes[2].inputs == (0, 1)
    assert nodes[2].divides
    assert nodes[2].size == 3


@pytest.mark.parametrize(
    "table",
    ["", "no table", "│ idx │ opkind │", "│ 0 │ Input │ 7 │", "SUBGRAPH AT IDX 3", "│ x │ Input │ 7 │ │ [1] │"],
)
def test_a_table_that_cannot_be_read_is_refused(table: str) -> None:
    with pytest.raises(UnsupportedError):
        plan.parse(table)


def test_an_unknown_kind_is_refused() -> None:
    read = plan.parse("│ 0 │ Input │ 7 │ │ [1] │\n│ 1 │ WARP (x=1) │ 7 │ [(0, 0)] │ [1] │")
    with pytest.raises(UnsupportedError, match="WARP node: its constraints are not among those that were checked"):
        read.check()


# --- the bound on hashed inputs


def test_the_bound_leaves_the_function_as_it_is() -> None:
    import onnxruntime

    case = CASES["Where"]
    given = {"x": np.array([[1, -2, 0.5]], np.float32), "x2": np.array([[0, 3, 0.5]], np.float32)}
    plain, bounded = case.model(), bound_inputs(case.model())
    assert bounded != plain
    assert bound_inputs(plain) == bounded
    onnx.checker.check_model(onnx.load_from_string(bounded), full_check=True)
    results = [onnxruntime.InferenceSession(p).run(None, given)[0] for p in (plain, bounded)]
    assert np.array_equal(*results)


def test_every_use_of_every_input_is_bounded() -> None:
    for name in ("Where", "Gemm", "Concat", "Identity", "Transpose"):
        found = layout(CASES[name].model(), visibility=Visibility(inputs="hashed"))  # refuses what is not bounded
        assert sum(node.kind == "ABS" for node in found.nodes) == len(CASES[name].inputs)
        with pytest.raises(UnsupportedError, match="hashed input"):
            layout(CASES[name].model()).check_bounded()


def test_names_that_are_taken_are_not_used_again() -> None:
    program = onnx_model([N("Relu", ["x"], ["bounded0"]), N("Neg", ["bounded0"], ["y"])], {"x": (1, 2)}, {"y": (1, 2)})
    bounded = onnx.load_from_string(bound_inputs(program))
    onnx.checker.check_model(bounded, full_check=True)
    written = [name for node in bounded.graph.node for name in node.output]
    assert len(set(written)) == len(written)


def test_booleans_have_no_bound() -> None:
    with pytest.raises(UnsupportedError, match="hashed"):
        bound_inputs(CASES["Not"].model())
