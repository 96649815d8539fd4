# SPDX-License-Identifier: Apache-2.0
"""A quantised model's Program holds onnxruntime's integers: with power-of-two scales all, else all but its float32 slips."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.lower.models import Quantised, static
from tests.model.quantise.cases import Sample, compare, normalised, quantised, samples
from tests.model.quantise.networks import FAMILIES, Net, mobilenet
from verifiable.encoding.tensor import Tensor
from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.lower.lowering import is_quantised
from verifiable.model.lower.places import centred
from verifiable.model.lower.standard import standard
from verifiable.model.lower.states import Quantised as QuantisedState
from verifiable.model.lower.walk import Walk
from verifiable.model.normalise import normalise
from verifiable.model.onnx_file import Model
from verifiable.model.program.bounds import bounds
from verifiable.model.program.execute import Execution, Executor, execute
from verifiable.model.program.ir import Output, Program
from verifiable.model.program.ops import Requantise, sources
from verifiable.model.program.values import quantise_inputs
from verifiable.model.quantise import slips
from verifiable.model.quantise.normalised import analysed
from verifiable.model.runtime import FloatModel
from verifiable.zk.circuit import TensorSpec
from verifiable.zk.quantise import quantise


def lowered(data: bytes) -> tuple[Program, bytes]:
    onnx_bytes = normalise(standard(Model.parse(data)))
    assert is_quantised(analysed(onnx_bytes))
    return quantised(onnx_bytes, []), onnx_bytes


def steps_apart(data: bytes, given: list[Sample]) -> np.ndarray:
    """How many steps of its grid each output is from onnxruntime's."""
    program, onnx_bytes = lowered(data)
    assert Program.parse(program.encode()) == program
    found = []
    for name, compared in compare(program, onnx_bytes, given).items():
        scale = next(output.scale for output in program.outputs if output.name == name)
        found.append(np.abs(compared.found - compared.expected).ravel() / scale)
    return np.concatenate(found)


@pytest.mark.parametrize(
    ("family", "operator_form", "signed", "per_channel"),
    [
        ("mlp", False, False, False), ("mlp", True, False, True), ("mlp, batch of 4", True, True, False),
        ("vgg", False, True, True), ("vgg", True, False, False), ("resnet", True, True, True),
    ],
)  # fmt: skip
def test_static_quantisation_is_followed(
    family: str, operator_form: bool, signed: bool, per_channel: bool, tmp_path: Path
) -> None:
    """s8 weights that use 7 bits: onnxruntime's u8·s8 kernels saturate on processors without VNNI otherwise."""
    data = FAMILIES[family]()
    seen = samples(data, 40)
    made = static(
        data, seen[:20], tmp_path, operator_form=operator_form, signed=signed, per_channel=per_channel, reduce_range=True
    )  # fmt: skip
    apart = steps_apart(made, seen)
    assert apart.max() < 1.01
    assert (apart > 0.01).mean() <= 0.02
    counted = slips(normalise(standard(Model.parse(made))), lowered(made)[0], seen)
    assert (counted.differing, counted.values) == (int((apart > 0.01).sum()), apart.size)


@pytest.mark.parametrize(("family", "per_channel"), [("vgg", True), ("resnet", False)])
def test_every_difference_begins_at_a_tie_that_float32_missed(family: str, per_channel: bool, tmp_path: Path) -> None:
    """In the first tensor of a sample that differs at all, each differing value is within float32's error of half-way."""
    data = FAMILIES[family]()
    seen = samples(data, 40)
    made = static(data, seen[:20], tmp_path, per_channel=per_channel, reduce_range=True)
    program, exposed = every_quantised_tensor(normalise(Model.parse(made)))
    integers, _ = quantise_inputs(program, {"x": np.stack([sample["x"] for sample in seen])})
    ran = Executor(program).run_many(integers)
    model = FloatModel(exposed)
    differing = total = 0
    for k, sample in enumerate(seen):
        theirs, clean = model.run(sample), True
        for output in program.outputs:
            wrong = ran.outputs[output.name][k] != theirs[output.name].astype(np.int64)
            total += wrong.size
            differing += int(wrong.sum())
            if clean and wrong.any():
                assert (distance_from_tie(program, ran, output.tensor, k)[wrong] < 2**-12).all()
                clean = False
    assert differing / total < 1e-3


def every_quantised_tensor(onnx_bytes: bytes) -> tuple[Program, bytes]:
    """A Program, and a model, that show the result of every QuantizeLinear."""
    analysis = analysed(onnx_bytes)
    walk = Walk(analysis=analysis)
    walk.run()
    proto = onnx.ModelProto.FromString(onnx_bytes)
    del proto.graph.output[:]
    outputs = []
    for node in analysis.nodes[1:]:
        state = walk.states[node.output[0]]
        if node.op_type == "QuantizeLinear" and isinstance(state, QuantisedState):
            value = analysis.values[node.output[0]]
            tensor = centred(walk.builder, state, 0)
            outputs.append(Output(name=node.output[0], dtype=value.dtype, shape=value.shape, tensor=tensor, scale=1.0))
            code = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
            proto.graph.output.append(onnx.helper.make_tensor_value_info(node.output[0], code, value.shape))
    return walk.builder.finish(outputs), proto.SerializeToString()


def distance_from_tie(program: Program, ran: Execution, tensor: int, sample: int) -> np.ndarray:
    """Of what was rounded to make ``tensor``, in steps."""
    first = len(program.inputs)
    while not isinstance(op := program.ops[tensor - first], Requantise):
        (tensor,) = sources(op)
    t = ran.tensors[op.source][sample]
    return np.abs((t & ((1 << op.shift) - 1)) / 2.0**op.shift - 0.5)


@pytest.mark.parametrize("operator_form", [False, True])
def test_a_mobile_network_with_its_softmax_left_alone(operator_form: bool, tmp_path: Path) -> None:
    data = mobilenet()
    seen = samples(data, 30)
    last = next(node.name for node in onnx.ModelProto.FromString(normalised(data)).graph.node if node.op_type == "Softmax")
    made = static(data, seen[:20], tmp_path, operator_form=operator_form, reduce_range=True, nodes_to_exclude=[last])
    program, onnx_bytes = lowered(made)
    (compared,) = compare(program, onnx_bytes, seen).values()
    assert program.outputs[0].post == "softmax"
    assert compared.worst < 0.02
    assert (np.abs(compared.found - compared.expected) < 1e-6).mean() > 0.9


def power_of_two(activation: str, kind: str, zero: int) -> bytes:
    """Every scale a power of two: float32 is exact here, so are its ties."""
    net, rng = Quantised(), np.random.default_rng(1)
    x = net.qdq("x", 2**-4, np.uint8(zero))
    w = net.dq(
        net.constant(rng.integers(-20, 20, (4, 2, 3, 3)).astype(np.int8)), 2**-5 * np.ones(4), np.zeros(4, np.int8), axis=0
    )
    b = net.dq(net.constant(rng.integers(-200, 200, 4).astype(np.int32)), 2**-9, np.int32(0))
    y = net.op("Conv", x, w, b, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1], dilations=[1, 1], group=1)
    if activation == "Clip":
        y = net.op("Clip", y, net.constant(np.float32(-1)), net.constant(np.float32(6)))
    elif activation:
        y = net.op(activation, y)
    y = net.qdq(y, 2**-4, np.uint8(zero))
    if kind == "Add":
        y = net.qdq(net.op("Add", y, net.qdq(net.op("Relu", y), 2**-3, np.int8(-5))), 2**-3, np.uint8(100))
    elif kind == "AveragePool":
        y = net.qdq(net.op("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2]), 2**-4, np.uint8(zero))
    elif kind == "GlobalAveragePool":
        y = net.qdq(net.op("GlobalAveragePool", y), 2**-6, np.int8(3))
    elif kind == "MaxPool":
        y = net.op("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    elif kind == "Concat":
        y = net.qdq(net.op("Concat", y, net.qdq(y, 2**-2, np.int8(1)), axis=1), 2**-3, np.uint8(7))
    elif kind == "Pad":
        y = net.qdq(net.op("Pad", y, net.constant(np.int64([0, 0, 1, 1, 0, 0, 1, 1]))), 2**-4, np.uint8(zero))
    elif kind == "Sub":
        y = net.qdq(net.op("Sub", y, net.qdq(y, 2**-3, np.uint8(9))), 2**-5, np.uint8(128))
    return net.model([1, 2, 4, 4], y)


@pytest.mark.parametrize("activation", ["", "Relu", "Clip"])
@pytest.mark.parametrize("kind", ["", "Add", "Sub", "AveragePool", "GlobalAveragePool", "MaxPool", "Concat", "Pad"])
def test_power_of_two_scales_give_the_very_same_integers(activation: str, kind: str) -> None:
    given = [{"x": sample["x"] * 4} for sample in samples(power_of_two(activation, kind, 120), 60)]
    assert steps_apart(power_of_two(activation, kind, 120), given).max() == 0


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_a_layer_equals_exact_fractions(seed: int) -> None:
    """A dense layer with random float32 scales, against the definition in exact fractions."""
    rng = np.random.default_rng(seed)
    sx, sy = (float(np.float32(s)) for s in rng.uniform(0.01, 0.1, 2))
    sw = rng.uniform(0.001, 0.02, 3).astype(np.float32)
    zx, zy = int(rng.integers(0, 256)), int(rng.integers(-100, 100))
    w, b = rng.integers(-127, 128, (3, 4)).astype(np.int8), rng.integers(-5000, 5000, 3).astype(np.int32)
    net = Quantised()
    weight = net.dq(net.constant(w), sw, np.zeros(3, np.int8), axis=0)
    bias = net.dq(net.constant(b), np.float32(sx) * sw, np.zeros(3, np.int32), axis=0)
    y = net.q(net.op("Gemm", net.qdq("x", sx, np.uint8(zx)), weight, bias, transB=1), sy, np.int8(zy))
    program, _ = lowered(net.model([1, 4], y, out=onnx.TensorProto.INT8))
    for _ in range(20):
        q = rng.integers(0, 256, 4)
        found = execute(program, {"x": (q - zx)[None]}).outputs[y][0].tolist()
        for o in range(3):
            s = sum(int(w[o, k]) * int(q[k] - zx) for k in range(4)) + int(b[o])
            real = Fraction(sx) * Fraction(float(sw[o])) * s / Fraction(sy)
            assert found[o] == min(max(round(real) + zy, -128), 127)


@pytest.mark.parametrize("kind", ["Sigmoid", "Tanh", "LeakyRelu", "HardSwish", "Exp"])
def test_functions_between_grids_are_tables(kind: str) -> None:
    net = Quantised()
    y = net.qdq(net.op(kind, net.qdq("x", 0.031, np.uint8(128))), 0.0117, np.uint8(11))
    data = net.model([1, 300], y)
    apart = steps_apart(data, samples(data, 20))
    assert apart.max() < 1.01
    assert (apart > 0.01).mean() < 0.001


def test_integer_inputs_and_outputs() -> None:
    net, rng = Quantised(), np.random.default_rng(4)
    w = net.dq(net.constant(rng.integers(0, 255, (5, 3)).astype(np.uint8)), 2**-6, np.uint8(128))
    y = net.q(net.op("MatMul", net.dq("x", 2**-3, np.uint8(7)), w), 2**-2, np.uint8(99))
    data = net.model([2, 5], y, kind=onnx.TensorProto.UINT8, out=onnx.TensorProto.UINT8)
    program, onnx_bytes = lowered(data)
    given = [{"x": rng.integers(0, 256, (2, 5)).astype(np.uint8)} for _ in range(50)]
    (compared,) = compare(program, onnx_bytes, given).values()
    assert (compared.found == compared.expected).all()
    assert (program.inputs[0].low, program.inputs[0].high, program.inputs[0].scale) == (0, 255, 1.0)


def test_moves_of_quantised_integers() -> None:
    """QOperator form moves uint8 tensors about without a word on their scale."""
    net = Quantised()
    q = net.q("x", 2**-4, np.uint8(30))
    a = net.op("Transpose", net.op("MaxPool", q, kernel_shape=[2, 2], strides=[1, 1]), perm=[0, 2, 1, 3])
    b = net.op("Reshape", a, net.constant(np.int64([1, -1])))
    y = net.dq(net.op("Concat", b, b, axis=1), 2**-4, np.uint8(30))
    data = net.model([1, 2, 4, 4], y)
    assert steps_apart(data, samples(data, 20)).max() == 0


def relu_of(scale: float, zero: int) -> bytes:
    net = Quantised()
    return net.model([1, 4], net.qdq(net.op("Relu", net.qdq("x", scale, np.uint8(zero))), scale, np.uint8(0)))


def test_inputs_saturate_as_quantize_linear_does() -> None:
    program, onnx_bytes = lowered(relu_of(0.5, 10))
    values = np.float32([[-1e9, 1e9, 0.3, 0.75]])
    (compared,) = compare(program, onnx_bytes, [{"x": values}]).values()
    assert (compared.found == compared.expected).all()
    assert quantise_inputs(program, {"x": values})[1] == 2


def test_an_input_is_rounded_as_a_circuit_rounds_it() -> None:
    """Halves away from zero, which QuantizeLinear rounds to even: one step apart, there only."""
    program, onnx_bytes = lowered(relu_of(0.5, 100))
    halves = np.float32([[0.25, 0.75, 1.25, 1.75]])
    (compared,) = compare(program, onnx_bytes, [{"x": halves}]).values()
    assert (compared.found / 0.5).tolist() == [[[1, 2, 3, 4]]]
    assert (compared.expected / 0.5).tolist() == [[[0, 2, 2, 4]]]


def test_what_differs_from_onnxruntime_is_counted() -> None:
    """Two of four values at halves, where an input is rounded otherwise; and each value behind a table that is off."""
    program, onnx_bytes = lowered(relu_of(0.5, 100))
    halves = [{"x": np.float32([[0.25, 0.75, 1.25, 1.75]])}, {"x": np.float32([[0.3, 0.9, 1.2, -1.7]])}]
    counted = slips(onnx_bytes, program, halves)
    assert (counted.differing, counted.values, counted.farthest) == (2, 8, 1)
    doubled = replace(program, outputs=(replace(program.outputs[0], scale=0.25),))
    counted = slips(onnx_bytes, doubled, halves[1:])
    assert (counted.differing, counted.values, counted.farthest) == (3, 4, 2)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 255), st.floats(2.0**-20, 2.0**20, width=32))
def test_the_boundary_is_that_of_circuits(seed: int, zero: int, scale: float) -> None:
    """No zero point at an input or an output: each is a TensorSpec, and gives the integers that the Program is run on."""
    program, _ = lowered(relu_of(scale, zero))
    entry, end = program.inputs[0], program.outputs[0]
    assert (entry.scale, entry.low, entry.high) == (scale, -zero, 255 - zero)
    assert (end.scale, bounds(program).values[end.tensor]) == (scale, (0, 255 - zero))
    spec = TensorSpec(
        name=entry.name, dtype=entry.dtype, shape=entry.shape, scale=entry.scale, low=entry.low, high=entry.high
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    steps = rng.integers(2 * entry.low, 2 * entry.high + 1, (1, 4)) / 2  # every other one half-way
    values = np.clip(steps, entry.low, entry.high).astype(np.float32) * np.float32(scale)
    ours, clamped = quantise_inputs(program, {"x": values})
    assert clamped == 0
    assert (quantise(Tensor.from_array(values), spec).array() == ours["x"]).all()
    with pytest.raises(MalformedError, match="outside the calibrated range"):
        quantise(Tensor.from_array(np.full((1, 4), np.float32(scale * 300))), spec)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("op", ["MatMulInteger", "ConvInteger"])
def test_integer_products_are_exact(op: str, signed: bool) -> None:
    net, rng = Quantised(), np.random.default_rng(5)
    kind, zero = (np.int8, -7) if signed else (np.uint8, 201)
    shape, weight = ((2, 3, 5, 5), (4, 3, 3, 3)) if op == "ConvInteger" else ((3, 6), (6, 4))
    w = net.constant(rng.integers(0, 255, weight).astype(np.uint8))
    zeros = net.constant(kind(zero)), net.constant(np.uint8(130))
    y = net.op(op, "x", w, *zeros, **({"strides": [2, 2]} if op == "ConvInteger" else {}))
    code = onnx.TensorProto.INT8 if signed else onnx.TensorProto.UINT8
    program, onnx_bytes = lowered(net.model(shape, y, kind=code, out=onnx.TensorProto.INT32))
    info = np.iinfo(kind)
    given = [{"x": rng.integers(info.min, info.max + 1, shape).astype(kind)} for _ in range(20)]
    (compared,) = compare(program, onnx_bytes, given).values()
    assert (compared.found == compared.expected).all()
    assert (program.outputs[0].dtype, program.outputs[0].scale) == ("int32", 1.0)


def test_integer_products_that_would_wrap_are_refused() -> None:
    net = Quantised()
    w = net.constant(np.full((40_000, 1), 255, np.uint8))
    data = net.model([1, 40_000], net.op("MatMulInteger", "x", w), kind=onnx.TensorProto.UINT8, out=onnx.TensorProto.INT32)
    with pytest.raises(UnsupportedError, match=r"MatMulInteger\): its sums can leave int32"):
        lowered(data)


def ones(net: Quantised, *shape: int) -> str:
    return net.dq(net.constant(np.ones(shape, np.int8)), 1.0, np.int8(0))


def dense(net: Quantised, x: str) -> str:
    w = net.dq(net.constant(np.ones((3, 4), np.int8)), 0.01, np.int8(0))
    return net.op("Gemm", x, w, transB=1)


def refused() -> dict[str, tuple[bytes, str]]:
    cases = {}

    def case(name: str, told: str, build) -> None:
        net = Quantised()
        cases[name] = net.model([1, 4], build(net)), told

    x = lambda net: net.qdq("x", 0.05, np.uint8(9))  # noqa: E731
    case("input in floating point", "input 'x' is used by Gemm", lambda n: n.qdq(dense(n, "x"), 0.1))
    case("two grids", "quantised in two ways", lambda n: n.qdq(n.op("Add", x(n), n.qdq("x", 0.06)), 0.1))
    case("float weights", "Gemm", lambda n: n.qdq(n.op("Gemm", x(n), n.constant(np.ones((4, 3), np.float32))), 0.1))
    case("not requantised", "MatMul", lambda n: n.qdq(n.op("MatMul", dense(n, x(n)), ones(n, 3, 2)), 1.0))
    case("softmax within", "Softmax", lambda n: n.qdq(n.op("Softmax", x(n), axis=1), 0.004))
    case("product", "Mul", lambda n: n.qdq(n.op("Mul", x(n), x(n)), 0.1))
    case("function of a sum", "Sigmoid", lambda n: n.qdq(n.op("Sigmoid", dense(n, x(n))), 0.004))
    case("float output", "output 'v.*' is not quantised", lambda n: n.op("Relu", dense(n, x(n))))
    case("impossible scales", "rounds exactly", lambda n: n.qdq(n.op("MatMul", n.qdq("x", 1.0), ones(n, 4, 3)), 6.0))
    return cases


@pytest.mark.parametrize("name", refused())
def test_what_cannot_be_exact_is_refused_by_name(name: str) -> None:
    data, told = refused()[name]
    with pytest.raises(UnsupportedError, match=told):
        lowered(data)


def test_a_scale_that_is_not_positive_is_refused() -> None:
    net = Quantised()
    data = net.model(
        [1, 4], net.op("DequantizeLinear", net.q("x", 0.5), net.constant(np.float32(0.0)), net.constant(np.uint8(0)))
    )
    with pytest.raises(UnsupportedError, match="not positive"):
        quantised(normalised(data), [])


def test_dynamic_quantisation_is_refused(tmp_path: Path) -> None:
    from onnxruntime.quantization import quantize_dynamic

    source, target = tmp_path / "float.onnx", tmp_path / "dynamic.onnx"
    source.write_bytes(normalised(FAMILIES["mlp"]()))
    quantize_dynamic(str(source), str(target))
    with pytest.raises(UnsupportedError, match=r"DynamicQuantizeLinear|input"):
        lowered(target.read_bytes())


def test_operators_of_onnxruntime_without_a_standard_form_are_named() -> None:
    net = Net()
    net.nodes.append(onnx.helper.make_node("QLinearSoftmax", ["x"], ["v0"], name="last", domain="com.microsoft"))
    graph = onnx.helper.make_graph(
        net.nodes, "g", [onnx.helper.make_tensor_value_info("x", 1, [1, 4])],
        [onnx.helper.make_tensor_value_info("v0", 1, [1, 4])],
    )  # fmt: skip
    imports = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("com.microsoft", 1)]
    data = onnx.helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    with pytest.raises(UnsupportedError, match="QLinearSoftmax"):
        standard(Model.parse(data))


def test_a_float_model_is_not_quantised() -> None:
    assert not is_quantised(analysed(normalised(FAMILIES["mlp"]())))
