# SPDX-License-Identifier: Apache-2.0
"""The normal form is the same function, the same bytes everywhere, and costs a bounded amount to reach."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.model import zoo
from verifiable.errors import Error, MalformedError, UnsupportedError
from verifiable.model import rewrite
from verifiable.model.normal_form import normal_form
from verifiable.model.normalise import normalise
from verifiable.model.onnx_file import Model
from verifiable.model.runtime import FloatModel

NAMES = sorted(zoo.ZOO)


def normal(name: str) -> onnx.ModelProto:
    make, dims = zoo.ZOO[name]
    return onnx.load_from_string(normalise(Model.parse(make()), dims=dims))


def ops(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def attributes(node: onnx.NodeProto) -> dict:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def refused(data: bytes, *words: str, kind: type[Error] = Error, **dims: int) -> Error:
    with pytest.raises(kind) as caught:
        normal_form(Model.parse(data), dims)
    assert "\n" not in caught.value.message
    for word in words:
        assert word in caught.value.message, caught.value.message
    return caught.value


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    "given",
    [{}, {"transB": 1}, {"transA": 1}, {"transA": 1, "transB": 1, "alpha": 0.5}, {"beta": 2.0}, {"alpha": -1.0, "beta": 0.25}],
    ids=str,
)
@pytest.mark.parametrize("weights", ["b", "bc"])
def test_gemm_beyond_single_precision_is_spelled_out(dtype: str, given: dict, weights: str) -> None:
    """With constant or computed operands, one used twice."""
    rng = np.random.default_rng(4)
    shapes = {"x": (3, 3), "b": (3, 3), "c": (3,)}
    arrays = {name: rng.uniform(-1, 1, shape).astype(dtype) for name, shape in shapes.items()}
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [zoo.node("Gemm", ["x", "b", "c"], ["h"], **given), zoo.node("Gemm", ["h", "b"], ["y"], transB=1)]
    inputs = {name: shapes[name] for name in shapes if name not in weights}
    constants = {name: arrays[name] for name in weights}
    data = zoo.build(nodes, inputs, {"y": (3, 3)}, constants, input_type=kind, output_type=kind)
    result = normalise(Model.parse(data))
    assert normalise(Model.parse(result)) == result
    assert ("Gemm" in ops(onnx.load_from_string(result))) == (dtype == "float32")
    sample = {name: arrays[name] for name in inputs}
    expected, found = FloatModel(data).run(sample)["y"], FloatModel(result).run(sample)["y"]
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-2 if dtype == "float16" else 1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_function(name: str) -> None:
    make, dims = zoo.ZOO[name]
    data = make()
    before, after = FloatModel(data), FloatModel(normalise(Model.parse(data), dims=dims))
    generator = np.random.default_rng(3)
    for _ in range(5):
        sample = {}
        for value in onnx.load_from_string(data).graph.input:
            shape = [d.dim_value or dims[d.dim_param] for d in value.type.tensor_type.shape.dim]
            floats = generator.normal(size=shape).astype(np.float32)
            sample[value.name] = floats if value.type.tensor_type.elem_type == zoo.FLOAT else generator.integers(0, 7, shape)
        expected = before.run(sample)
        for output, found in after.run(sample).items():
            np.testing.assert_allclose(found, expected[output], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_normal_form_is_complete_and_idempotent(name: str) -> None:
    make, dims = zoo.ZOO[name]
    data = normalise(Model.parse(make()), dims=dims)
    assert normalise(Model.parse(data)) == data
    proto = onnx.load_from_string(data)
    assert not {"BatchNormalization", "Dropout", "Constant", "Shape"} & set(ops(proto))
    assert not [s for s in (proto.producer_name, proto.doc_string, proto.graph.doc_string, *proto.metadata_props) if s]
    assert proto.opset_import[0].version >= 13
    for value in [*proto.graph.input, *proto.graph.output]:
        assert all(dim.dim_value > 0 for dim in value.type.tensor_type.shape.dim)
    for node in proto.graph.node:
        assert node.name
        assert [a.name for a in node.attribute] == sorted(a.name for a in node.attribute)
        if node.op_type in ("Conv", "ConvTranspose", "MaxPool"):
            assert {"kernel_shape", "strides", "pads", "dilations"} <= set(attributes(node))
        assert "auto_pad" not in attributes(node)
    onnx.checker.check_model(proto, full_check=True)


def test_input_and_output_names_stay() -> None:
    proto = normal("two outputs")
    assert [v.name for v in proto.graph.input] == ["x"]
    assert [v.name for v in proto.graph.output] == ["y", "z", "u"]


def test_two_processes_make_the_same_bytes(tmp_path: Path) -> None:
    program = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1])\n"
        "from tests.model import zoo\n"
        "from verifiable.model.onnx_file import Model\n"
        "from verifiable.model.normalise import normalise\n"
        "for name in sorted(zoo.ZOO):\n"
        "    make, dims = zoo.ZOO[name]\n"
        "    print(name, hashlib.sha256(normalise(Model.parse(make()), dims=dims)).hexdigest())\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    seeds = ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "ONNXSLIM_THRESHOLD": "1", "ONNXSLIM_MAX_ITER": "1", "LANG": "C"})
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, root], env={**os.environ, **seed}, cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )
        for seed in seeds
    ]
    first, second = (process.communicate(timeout=120)[0] for process in running)
    assert first == second
    assert len(first.splitlines()) == len(zoo.ZOO)
    assert not list(tmp_path.iterdir())


def test_what_does_not_matter_does_not_change_the_bytes() -> None:
    plain = zoo.conv_batchnorm()
    proto = onnx.load_from_string(plain)
    proto.producer_name, proto.doc_string = "exporter", "made on a Tuesday"
    proto.graph.name = "other"
    proto.metadata_props.add(key="author", value="somebody")
    proto.graph.node[0].doc_string = "stack trace"
    proto.graph.node[0].attribute.append(helper.make_attribute("strides", [1, 1]))
    proto.graph.value_info.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 3, 4, 4]))
    weights = list(proto.graph.initializer)
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(reversed(weights))
    assert proto.SerializeToString() != plain
    assert normalise(Model.parse(proto.SerializeToString())) == normalise(Model.parse(plain))


def test_what_matters_changes_the_bytes() -> None:
    proto = onnx.load_from_string(zoo.mlp())
    changed = np.array(numpy_helper.to_array(proto.graph.initializer[0]))
    changed[0, 0] = np.nextafter(changed[0, 0], np.float32(9))
    proto.graph.initializer[0].raw_data = changed.tobytes()
    assert normalise(Model.parse(proto.SerializeToString())) != normalise(Model.parse(zoo.mlp()))


def test_expected_forms() -> None:
    assert ops(normal("conv + batchnorm")) == ["Conv", "Relu"]
    assert ops(normal("identity chain")) == ["Tanh"]
    assert ops(normal("dropout")) == ["Relu", "Neg"]
    assert ops(normal("constants")) == ["Add"]
    assert ops(normal("shape arithmetic")) == ["Reshape", "MatMul"]
    assert ops(normal("pad into conv")) == ["Pad", "Conv"]  # see test_deceptions.py
    conv = normal("conv without strides").graph.node[0]
    assert attributes(conv) == {
        "strides": [1, 1], "dilations": [1, 1], "group": 1, "kernel_shape": [3, 3], "pads": [0, 0, 0, 0],
    }  # fmt: skip
    # 7 wide, kernel 3 x 2, stride 2: 4 out, 2 missing rows (1 before, 1 after), 1 missing column (after for UPPER)
    assert attributes(normal("conv SAME_UPPER").graph.node[0])["pads"] == [1, 0, 1, 1]


# --- free axes ---


def test_free_axes_must_be_fixed_by_name() -> None:
    error = refused(zoo.shape_arithmetic(), "'x'", "'N'", kind=UnsupportedError)
    assert "--dim N=1" in error.hint
    assert "'M'" in refused(zoo.shape_arithmetic(), "no free axis", kind=MalformedError, N=1, M=2).message
    for bad in (0, -1, True, 2**40):
        refused(zoo.shape_arithmetic(), "not a size", kind=MalformedError, N=bad)
    nameless = zoo.build([zoo.node("Relu", ["x"], ["y"])], {"x": [None, 3]}, {"y": [None, 3]})
    assert "--dim 'x[0]=1'" in refused(nameless, "'x[0]'").hint
    fixed = onnx.load_from_string(normalise(Model.parse(nameless), dims={"x[0]": 4}))
    assert [d.dim_value for d in fixed.graph.output[0].type.tensor_type.shape.dim] == [4, 3]


def test_shapes_that_depend_on_values_are_refused() -> None:
    data = zoo.build([zoo.node("NonZero", ["x"], ["y"])], {"x": [3]}, {"y": [1, None]}, output_type=zoo.INT64)
    refused(data, "nonzero_y", "depends on the values")


# --- what may not be proved ---


def test_training_mode_is_refused() -> None:
    training = zoo.build(
        [zoo.node("Dropout", ["x", "r", "t"], ["y"])], {"x": [3]}, {"y": [3]}, {"r": np.float32(0.5), "t": np.bool_(True)}
    )
    refused(training, "training mode", kind=UnsupportedError)
    nodes = [zoo.node("BatchNormalization", ["x", "g", "bb", "m", "v"], ["y"], training_mode=1)]
    with pytest.raises(Error):  # onnx wants three outputs then; either way it is refused
        normalise(Model.parse(zoo.build(nodes, {"x": [1, 3, 2]}, {"y": [1, 3, 2]}, zoo.batchnorm(3))))


def test_random_and_foreign_operators_are_refused() -> None:
    noise = [zoo.node("RandomNormalLike", ["x"], ["n"]), zoo.node("Add", ["x", "n"], ["y"])]
    refused(zoo.build(noise, {"x": [3]}, {"y": [3]}), "random", kind=UnsupportedError)
    proto = onnx.load_from_string(zoo.build([zoo.node("Fused", ["x"], ["y"])], {"x": [3]}, {"y": [3]}))
    proto.graph.node[0].domain = "com.example"
    proto.opset_import.append(helper.make_opsetid("com.example", 1))
    refused(proto.SerializeToString(), "'com.example'", kind=UnsupportedError)


def test_control_flow_is_refused() -> None:
    branch = helper.make_graph([zoo.node("Relu", ["x"], ["r"])], "b", [], [helper.make_tensor_value_info("r", 1, [3])])
    choose = zoo.node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    data = zoo.build([choose], {"x": [3]}, {"y": [3]}, {"c": np.bool_(True)})
    refused(data, "control flow", kind=UnsupportedError)


def test_integer_division_by_zero_cannot_trap() -> None:
    for divisor in ([1, 0], [1, -1]):
        data = zoo.build(
            [zoo.node("Div", ["x", "d"], ["y"])], {"x": [2]}, {"y": [2]}, {"d": np.int64(divisor)}, input_type=7, output_type=7
        )  # fmt: skip
        refused(data, "integer division", kind=UnsupportedError)
    variable = zoo.build([zoo.node("Mod", ["x", "z"], ["y"])], {"x": [2], "z": [2]}, {"y": [2]}, input_type=7, output_type=7)
    refused(variable, "integer division", kind=UnsupportedError)


def test_an_output_must_depend_on_the_input_and_an_input_must_matter() -> None:
    nodes = [zoo.node("Relu", ["x"], ["y"]), zoo.node("Neg", ["k"], ["z"])]
    refused(zoo.build(nodes, {"x": [3]}, {"y": [3], "z": [1]}, {"k": np.float32([1])}), "'z'", "does not depend")
    refused(zoo.build([zoo.node("Relu", ["x"], ["y"])], {"x": [3], "u": [3]}, {"y": [3]}), "'u'", "no output depends")
    multiplied = [zoo.node("Shape", ["u"], ["s"]), zoo.node("Cast", ["s"], ["f"], to=1), zoo.node("Add", ["x", "f"], ["y"])]
    refused(zoo.build(multiplied, {"x": [1], "u": [3]}, {"y": [1]}), "'u'", "no output depends")
    refused(zoo.build([zoo.node("Identity", ["x"], ["y"])], {"x": [3]}, {"y": [3]}), "'y'", "'x', unchanged")


def test_strings_and_unusual_types_are_refused() -> None:
    words = zoo.build(
        [zoo.node("Cast", ["x"], ["y"], to=1)], {"x": [3]}, {"y": [3]}, input_type=TensorProto.STRING
    )  # fmt: skip
    refused(words, "'x'", "string")
    small = [zoo.node("Cast", ["x"], ["b"], to=TensorProto.BFLOAT16), zoo.node("Cast", ["b"], ["y"], to=1)]
    refused(zoo.build(small, {"x": [3]}, {"y": [3]}), "bfloat16")


def test_a_negative_variance_is_refused() -> None:
    nodes = [zoo.node("BatchNormalization", ["x", "g", "bb", "m", "v"], ["y"])]
    weights = {**zoo.batchnorm(3), "v": np.float32([1, -2, 1])}
    refused(zoo.build(nodes, {"x": [1, 3]}, {"y": [1, 3]}, weights), "nan", kind=MalformedError)
    conv = [zoo.node("Conv", ["x", "w"], ["a"]), zoo.node("BatchNormalization", ["a", "g", "bb", "m", "v"], ["y"])]
    data = zoo.build(conv, {"x": [1, 2, 6, 6]}, {"y": [1, 3, 4, 4]}, {"w": zoo.weight(3, 2, 3, 3), **weights})
    refused(data, "nan", kind=MalformedError)


def test_omitted_optional_inputs() -> None:
    data = zoo.build(
        [zoo.node("Resize", ["x", "", "s"], ["y"], mode="nearest")], {"x": [1, 1, 2, 2]}, {"y": [None] * 4},
        {"s": np.float32([1, 1, 2, 2])},
    )  # fmt: skip
    assert ops(onnx.load_from_string(normalise(Model.parse(data)))) == ["Resize"]


def test_wrong_shapes_are_named() -> None:
    data = zoo.build([zoo.node("MatMul", ["x", "w"], ["y"])], {"x": [1, 5]}, {"y": [1, 3]}, {"w": zoo.weight(4, 3)})
    refused(data, "matmul_y", "Incompatible dimensions", kind=MalformedError)


# --- bombs: each is a few hundred bytes ---


def bombs() -> dict[str, bytes]:
    big, many = np.int64([10**6, 10**6]), np.int64([2**20])
    doubling = [zoo.node("Concat", ["k", "k"], ["c0"], axis=0)]
    doubling += [zoo.node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], axis=0) for i in range(60)]
    growth = [zoo.node("Tile", ["k", "two"], ["t0"])] + [zoo.node("Tile", [f"t{i}", "two"], [f"t{i + 1}"]) for i in range(60)]
    wide = [zoo.node("Concat", ["x", "x"], ["v0"], axis=0)] + [
        zoo.node("Concat", [f"v{i}", f"v{i}"], [f"v{i + 1}"], axis=0) for i in range(60)
    ]
    squares = [zoo.node("MatMul", ["x", "x"], ["m0"])] + [
        zoo.node("MatMul", [f"m{i}", f"m{i}"], [f"m{i + 1}"]) for i in range(400)
    ]
    x, y = {"x": [1]}, {"y": [None]}

    ones = zoo.node("ConstantOfShape", ["s"], ["c0"])
    negations = [zoo.node("Neg", [f"c{i}"], [f"c{i + 1}"]) for i in range(400)]

    def used(nodes: list, last: str) -> list:
        return [*nodes, zoo.node("ReduceMax", [last], ["r"], keepdims=0), zoo.node("Add", ["x", "r"], ["y"])]

    k = {"k": np.float32([1]), "two": np.int64([2])}
    return {
        "ConstantOfShape": zoo.build(used([zoo.node("ConstantOfShape", ["s"], ["c"])], "c"), x, y, {"s": big}),
        "Expand": zoo.build(used([zoo.node("Expand", ["k", "s"], ["c"])], "c"), x, y, {**k, "s": big}),
        "Tile": zoo.build(used([zoo.node("Tile", ["k", "s"], ["c"])], "c"), x, y, {**k, "s": np.int64([10**12])}),
        "Pad": zoo.build(used([zoo.node("Pad", ["k", "p"], ["c"])], "c"), x, y, {**k, "p": np.int64([10**12, 0])}),
        "Range": zoo.build(
            [zoo.node("Range", ["a", "b", "d"], ["c"]), zoo.node("Cast", ["c"], ["f"], to=1), *used([], "f")], x, y,
            {"a": np.int64(0), "b": np.int64(10**12), "d": np.int64(1)},
        ),
        "Concat doubling": zoo.build(used(doubling, "c60"), x, y, k),
        "Tile doubling": zoo.build(used(growth, "t60"), x, y, k),
        "activations doubling": zoo.build(used(wide, "v60"), x, y),
        "Expand of the input": zoo.build(used([zoo.node("Expand", ["x", "s"], ["c"])], "c"), x, y, {"s": np.int64([10**10, 1])}),
        "EyeLike": zoo.build(used([ones, zoo.node("EyeLike", ["c0"], ["e"])], "e"), x, y, {"s": big}),
        "many constants": zoo.build(used([ones, *negations], "c400"), x, y, {"s": many}),
        "multiply-adds": zoo.build(
            [*squares, zoo.node("Relu", ["m400"], ["y"])], {"x": [1000, 1000]}, {"y": [1000, 1000]}
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(bombs()))
def test_bombs_are_refused_before_they_are_computed(name: str) -> None:
    data = bombs()[name]
    assert len(data) < 40_000
    started = time.process_time()
    error = refused(data, kind=MalformedError)
    assert "too large" in error.message or "beyond any proof" in error.message, error.message
    assert time.process_time() - started < 8


# --- the optimiser is not trusted ---


def test_a_wrong_optimiser_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = rewrite.simplify

    def wrong(graph: onnx.GraphProto, opset: int) -> onnx.GraphProto:
        result = right(graph, opset)
        for tensor in result.initializer:
            if tensor.data_type == TensorProto.FLOAT:
                tensor.raw_data = (np.frombuffer(tensor.raw_data, "<f4") * np.float32(1.01)).tobytes()
        return result

    monkeypatch.setattr(rewrite, "simplify", wrong)
    refused(zoo.mlp(), "output 'y' changes when the model is simplified", kind=UnsupportedError)


def test_an_optimiser_that_drops_an_output_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = rewrite.simplify

    def dropping(graph: onnx.GraphProto, opset: int) -> onnx.GraphProto:
        result = right(graph, opset)
        del result.output[-1]
        return result

    monkeypatch.setattr(rewrite, "simplify", dropping)
    refused(zoo.two_outputs(), "changed its inputs or outputs", kind=UnsupportedError)


def test_an_optimiser_that_raises_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxslim.core.optimization as passes

    monkeypatch.setattr(passes, "graph_fusion", lambda graph, patterns: patterns["bug"])
    refused(zoo.mlp(), "onnxslim cannot simplify it", kind=UnsupportedError)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(NAMES), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=3))
def test_damaged_models_raise_only_our_errors(name: str, changes: list[tuple[int, int]]) -> None:
    make, dims = zoo.ZOO[name]
    data = bytearray(make())
    for position, value in changes:
        data[position % len(data)] = value
    with contextlib.suppress(Error):
        normalise(Model.parse(bytes(data)), dims=dims)
