# SPDX-License-Identifier: Apache-2.0
"""One report names every node and every defect."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.model import zoo
from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.onnx_file import Model, TensorInfo
from verifiable.model.preflight import NodeView, OperatorRule, Report, preflight


def fine(node: NodeView) -> str | None:
    return None


def check(data: bytes, operators: Mapping[str, OperatorRule], **dims: int) -> Report:
    return preflight(Model.parse(data), operators=operators, dims=dims)


EVERYTHING = dict.fromkeys(
    ["Conv", "Relu", "MatMul", "Add", "Gemm", "Softmax", "ReduceSum", "Squeeze", "Reshape", "Mul", "Neg", "Cast", "Sub"], fine
)


def test_a_sound_model_is_counted_in_its_normal_form() -> None:
    report = check(zoo.conv_batchnorm(), EVERYTHING)
    report.require()
    assert report.normalised
    assert [(node.op, node.input_shapes, node.output_shapes) for node in report.nodes] == [
        ("Conv", ((1, 2, 6, 6), (3, 2, 3, 3), (3,)), ((1, 3, 4, 4),)),
        ("Relu", ((1, 3, 4, 4),), ((1, 3, 4, 4),)),
    ]
    assert report.parameters == 3 * 2 * 3 * 3 + 3
    assert report.multiply_adds == (3 * 4 * 4) * (2 * 3 * 3)
    assert report.activations == 2 * 3 * 4 * 4
    assert report.inputs == (TensorInfo(name="x", dtype="float32", shape=(1, 2, 6, 6)),)
    assert report.model == Model.parse(zoo.conv_batchnorm()).digest


def test_a_rule_sees_filled_attributes_constants_and_shapes() -> None:
    seen: list[NodeView] = []

    def look(node: NodeView) -> str | None:
        seen.append(node)
        return None

    check(zoo.conv_without_strides(), {"Conv": look}).require()
    (view,) = seen
    assert view.attributes["strides"] == [1, 1]
    assert view.attributes["pads"] == [0, 0, 0, 0]
    assert set(view.constants) == {1}
    np.testing.assert_array_equal(view.constants[1], zoo.weight(3, 2, 3, 3))
    assert view.input_shapes == ((1, 2, 6, 6), (3, 2, 3, 3))
    assert view.output_shapes == ((1, 3, 4, 4),)
    assert view.input_dtypes == ("float32", "float32")


def test_all_defects_are_in_one_report() -> None:
    """A free axis, a rule's refusal, an operator without a rule: each named, none hiding another."""
    report = check(zoo.old_opset(), {"Conv": lambda node: "too wide; make it narrower", "Squeeze": fine, "ReduceSum": fine})
    reasons = {(defect.where, defect.op): defect for defect in report.defects}
    assert len(reasons) == 3
    assert "--dim N=1" in reasons["x", ""].fix
    assert "too wide" in next(d.reason for (_, op), d in reasons.items() if op == "Conv")
    assert "no operator Softmax" in next(d.reason for (_, op), d in reasons.items() if op == "Softmax")
    with pytest.raises(UnsupportedError, match=r"'x': axis 'N' has no fixed size \(and 2 more\)") as caught:
        report.require()
    assert "--dim N=1" in caught.value.hint


def test_defects_of_kinds_that_cannot_be_normalised() -> None:
    """Control flow, random numbers, a foreign domain, ai.onnx.ml, strings, NaN: every one of them is listed."""
    branch = helper.make_graph([zoo.node("Relu", ["x"], ["r"])], "b", [], [helper.make_tensor_value_info("r", 1, [3])])
    nodes = [
        zoo.node("If", ["c"], ["a"], then_branch=branch, else_branch=branch),
        zoo.node("RandomNormalLike", ["x"], ["n"]),
        helper.make_node("Fused", ["x"], ["f"], name="fused", domain="com.example"),
        helper.make_node("Normalizer", ["x"], ["l"], name="ml", domain="ai.onnx.ml", norm="MAX"),
        zoo.node("Cast", ["x"], ["s"], to=TensorProto.STRING),
        zoo.node("LeakyRelu", ["x"], ["k"], alpha=float("nan")),
        zoo.node("Sum", ["a", "n", "f", "l", "k"], ["y"]),
        zoo.node("Tanh", ["x"], ["t"]),
    ]
    proto = onnx.load_from_string(
        zoo.build(nodes, {"x": [3]}, {"y": [3], "s": [3], "t": [3]}, {"c": np.bool_(True)})
    )  # fmt: skip
    proto.graph.output[1].type.tensor_type.elem_type = TensorProto.STRING
    proto.opset_import.extend([helper.make_opsetid("com.example", 1), helper.make_opsetid("ai.onnx.ml", 3)])
    report = check(proto.SerializeToString(), EVERYTHING)
    assert not report.normalised
    found = {defect.op: defect.reason for defect in report.defects}
    assert set(found) == {"If", "RandomNormalLike", "Fused", "Normalizer", "Cast", "LeakyRelu", "Sum", "Tanh"}
    for op, words in {
        "If": "control flow", "RandomNormalLike": "random", "Fused": "'com.example'", "Normalizer": "ai.onnx.ml",
        "Cast": "string", "LeakyRelu": "NaN", "Sum": "no operator Sum", "Tanh": "no operator Tanh",
    }.items():  # fmt: skip
        assert words in found[op]
    assert [node.op for node in report.nodes if node.provable] == []
    assert all(defect.fix or "no operator" in defect.reason for defect in report.defects)


def test_what_normalising_removes_is_not_held_against_a_model_with_other_defects() -> None:
    nodes = [
        zoo.node("Conv", ["x", "w"], ["a"]), zoo.node("BatchNormalization", ["a", "g", "bb", "m", "v"], ["n"]),
        zoo.node("Dropout", ["n"], ["d"]), zoo.node("RandomNormalLike", ["d"], ["r"]), zoo.node("Add", ["d", "r"], ["y"]),
    ]  # fmt: skip
    weights = {"w": zoo.weight(3, 2, 3, 3), **zoo.batchnorm(3)}
    report = check(zoo.build(nodes, {"x": [1, 2, 6, 6]}, {"y": [1, 3, 4, 4]}, weights), EVERYTHING)
    assert [defect.op for defect in report.defects] == ["RandomNormalLike"]


def test_malformed_defects_come_first_and_decide_the_exit_code() -> None:
    nodes = [
        zoo.node("RandomNormalLike", ["x"], ["n"]),
        zoo.node("MatMul", ["x", "w"], ["m"]),
        zoo.node("Add", ["n", "m"], ["y"]),
    ]
    report = check(zoo.build(nodes, {"x": [1, 5]}, {"y": [1, 3]}, {"w": zoo.weight(4, 3)}), EVERYTHING)
    assert len(report.defects) == 2
    with pytest.raises(MalformedError, match=r"matmul_m.*\(and 1 more\)"):
        report.require()


def test_quantised_operators_are_what_the_table_says() -> None:
    """Never read as identity: without a rule they are refused, and folding does not make them disappear."""
    nodes = [
        zoo.node("QuantizeLinear", ["x", "s", "z"], ["q"]), zoo.node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]  # fmt: skip
    report = check(zoo.build(nodes, {"x": [1, 5]}, {"y": [1, 5]}, {"s": np.float32(0.1), "z": np.int8(0)}), EVERYTHING)
    assert [defect.op for defect in report.defects] == ["QuantizeLinear", "DequantizeLinear"]
    weights = [zoo.node("DequantizeLinear", ["q", "s", "z"], ["w"]), zoo.node("Add", ["x", "w"], ["y"])]
    constants = {"q": np.int8([1, 2]), "s": np.float32(0.1), "z": np.int8(0)}
    report = check(zoo.build(weights, {"x": [2]}, {"y": [2]}, constants), EVERYTHING)
    assert [defect.op for defect in report.defects] == ["DequantizeLinear"]


def test_dims_that_name_nothing_are_an_error_not_a_defect() -> None:
    with pytest.raises(MalformedError, match="'M': the model has no free axis"):
        check(zoo.shape_arithmetic(), EVERYTHING, N=1, M=3)


def test_the_report_as_json() -> None:
    for operators in (EVERYTHING, {}):
        report = check(zoo.conv_batchnorm(), operators)
        document = json.loads(json.dumps(report.to_json()))
        assert document["provable"] is bool(operators)
        assert document["multiplyAdds"] == report.multiply_adds
        assert document["nodes"][0]["op"] == "Conv"
        assert document["nodes"][0]["outputs"] == [[1, 3, 4, 4]]
        assert len(document["defects"]) == (0 if operators else 2)


@pytest.mark.parametrize(
    ("nodes", "shapes", "weights", "count"),
    [
        ([zoo.node("MatMul", ["x", "w"], ["y"])], [2, 3, 4], {"w": zoo.weight(4, 5)}, 2 * 3 * 5 * 4),
        ([zoo.node("Gemm", ["x", "w"], ["y"], transA=1)], [4, 3], {"w": zoo.weight(4, 5)}, 3 * 5 * 4),
        ([zoo.node("Conv", ["x", "w"], ["y"], group=2)], [1, 4, 5, 5], {"w": zoo.weight(6, 2, 3, 3)}, 6 * 3 * 3 * 2 * 9),
        ([zoo.node("ConvTranspose", ["x", "w"], ["y"])], [1, 4, 5, 5], {"w": zoo.weight(4, 2, 3, 3)}, 4 * 25 * 2 * 9),
        ([zoo.node("Einsum", ["x", "w"], ["y"], equation="bij,jk->bik")], [2, 3, 4], {"w": zoo.weight(4, 5)}, 2 * 3 * 4 * 5),
        ([zoo.node("Einsum", ["x", "w"], ["y"], equation="...j,jk->...k")], [2, 3, 4], {"w": zoo.weight(4, 5)}, 2 * 3 * 4 * 5),
        ([zoo.node("Mul", ["x", "w"], ["y"])], [3, 4], {"w": zoo.weight(4)}, 0),
    ],
)
def test_multiply_adds(nodes: list, shapes: list[int], weights: dict, count: int) -> None:
    output = [None] * {"Gemm": 2, "Mul": 2, "Conv": 4, "ConvTranspose": 4}.get(nodes[0].op_type, 3)
    assert check(zoo.build(nodes, {"x": shapes}, {"y": output}, weights), {nodes[0].op_type: fine}).multiply_adds == count
