# SPDX-License-Identifier: Apache-2.0
"""Float models of every family become Programs that follow them closely, without ties, within their bounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from tests.model.quantise.cases import compare, normalised, quantised, samples
from tests.model.quantise.networks import FAMILIES, Net, mlp, resnet, vgg
from verifiable.errors import Error, MalformedError, UnsupportedError
from verifiable.model.normalise import normalise
from verifiable.model.onnx_file import Model
from verifiable.model.program.bounds import bounds
from verifiable.model.program.ir import Program
from verifiable.model.program.ops import Combine, Dense, Maximum, Requantise, SumPool
from verifiable.model.quantise import plan_of, saturation
from verifiable.model.quantise.options import Options

FOURTEEN = Options(activation_bits=14, max_rows=1 << 20)
WIDEST = Options(activation_bits=16, max_rows=1 << 20, weight_bits=16)


@pytest.mark.parametrize(
    ("family", "options", "allowed"),
    [
        *((family, Options(), 0.05) for family in FAMILIES),
        ("vgg", FOURTEEN, 0.015),
        ("mobilenet", FOURTEEN, 0.01),
        ("resnet", WIDEST, 0.01),
    ],
)
def test_families_follow_the_float_model(family: str, options: Options, allowed: float) -> None:
    onnx = normalised(FAMILIES[family]())
    given = samples(onnx, 60)
    made = quantised(onnx, given[:40], options)
    assert Program.parse(made.encode()) == made
    known = bounds(made)
    assert not known.ties
    assert max(made.table_size(op) for op in made.ops if isinstance(op, Requantise)) <= options.max_rows
    (compared,) = compare(made, onnx, given[40:]).values()
    assert compared.error < allowed
    assert compared.agreement >= 0.9


@pytest.mark.parametrize(
    "activation", ["Sigmoid", "Tanh", "Elu", "Selu", "Softplus", "HardSwish", "LeakyRelu", "Mish", "Erf", "Softsign"]
)
def test_activations_become_tables(activation: str) -> None:
    onnx = normalised(mlp(2, activation))
    given = samples(onnx, 60)
    made = quantised(onnx, given[:40])
    assert [type(op).__name__ for op in made.ops].count("Requantise") == 2
    (compared,) = compare(made, onnx, given[40:]).values()
    assert compared.error < 0.05


@pytest.mark.parametrize(("name", "key"), [("mlp-mnist", "pixels"), ("lenet5-mnist", "image"), ("digits-cnn", "image")])
def test_the_catalogue_agrees_on_held_out_data(checkout: Path, name: str, key: str) -> None:
    folder = checkout / "models" / name
    onnx = normalise(Model.load(folder / "model.onnx"))
    calibration = [{key: sample} for sample in np.load(folder / "calibration.npz")[key]]
    heldout = np.load(folder / "heldout.npz")[key][:600]
    made = quantised(onnx, calibration)
    (compared,) = compare(made, onnx, [{key: sample} for sample in heldout]).values()
    assert compared.agreement >= 0.99
    assert compared.error < 0.02
    assert not bounds(made).ties


def test_the_same_samples_give_the_same_program() -> None:
    onnx = normalised(vgg())
    given = samples(onnx, 10)
    assert quantised(onnx, given).encode() == quantised(onnx, given).encode()


def test_a_residual_stays_an_accumulator() -> None:
    """Of the two sides of each sum, a convolution only used there is added without being rounded first."""
    onnx = normalised(resnet())
    program = quantised(onnx, samples(onnx, 5))
    sums = [op for op in program.ops if isinstance(op, Combine)]
    assert len(sums) == 3
    first = len(program.inputs)
    for op in sums:
        assert 1 in op.coefficients
        assert not all(isinstance(program.ops[s - first], Requantise) for s in op.sources)


def test_average_pools_stay_exact_and_maxima_are_trees() -> None:
    net = Net()
    x = net.op("MaxPool", net.relu(net.conv("x", 2, 4)), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = net.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    onnx = normalised(net.model([1, 2, 8, 8], net.conv(x, 4, 3)))
    program = quantised(onnx, samples(onnx, 10))
    kinds = [type(op) for op in program.ops]
    assert kinds.count(Maximum) == 4
    assert kinds.count(Requantise) == 1
    pool = next(op for op in program.ops if isinstance(op, SumPool))
    assert (pool.multiplier, pool.bias) == (1, 0)


def test_large_averages_and_borders_are_rounded_once() -> None:
    net = Net(seed=9)
    x = net.op("GlobalAveragePool", net.relu(net.conv("x", 1, 4)))
    onnx = normalised(net.model([1, 1, 12, 12], net.dense(net.op("Flatten", x), 4, 3)))
    given = samples(onnx, 40)
    program = quantised(onnx, given[:30])
    assert [type(op) for op in program.ops].count(Requantise) == 2
    (compared,) = compare(program, onnx, given[30:]).values()
    assert compared.error < 0.05


@pytest.mark.parametrize("count_include_pad", [0, 1])
@pytest.mark.parametrize("ceil_mode", [0, 1])
def test_average_pools_count_what_they_should(count_include_pad: int, ceil_mode: int) -> None:
    """Also where a window hangs over the edge, which ceil_mode allows."""
    net = Net()
    y = net.op(
        "AveragePool", "x", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 1, 0, 0], ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
    )  # fmt: skip
    onnx = normalised(net.model([1, 2, 6, 6], y))
    given = samples(onnx, 20)
    (compared,) = compare(quantised(onnx, given), onnx, given).values()
    assert compared.worst < 2e-3


def per_channel(kind: str, tail: str) -> bytes:
    net = Net(seed=6)
    factor = net.constant(np.abs(net.rng.normal(size=(4, 1, 1))).astype(np.float32) + 0.2)
    shift = net.constant(net.rng.normal(size=(1, 4, 1, 1)).astype(np.float32))
    x = "x" if tail == "input" else net.relu(net.conv("x", 4, 4))
    y = net.op("Add", net.op(kind, x, factor), shift)
    return net.model([1, 4, 5, 5], net.conv(net.relu(y), 4, 2, kernel=1))


@pytest.mark.parametrize("kind", ["Mul", "Div", "Sub"])
@pytest.mark.parametrize("tail", ["input", "relu"])
def test_a_constant_for_each_channel(kind: str, tail: str) -> None:
    onnx = normalised(per_channel(kind, tail))
    given = samples(onnx, 40)
    (compared,) = compare(quantised(onnx, given[:30]), onnx, given[30:]).values()
    assert compared.error < 0.05


def test_functions_of_one_tensor_become_one_table() -> None:
    """x · sigmoid(1.5 x) + 0.1, written as four nodes."""
    net = Net()
    a = net.dense("x", 6, 8)
    s = net.op("Sigmoid", net.op("Mul", a, net.constant(np.float32(1.5))))
    y = net.op("Add", net.op("Mul", a, s), net.constant(np.float32(0.1)))
    onnx = normalised(net.model([1, 6], net.dense(y, 8, 3)))
    given = samples(onnx, 50)
    program = quantised(onnx, given[:40])
    assert [type(op).__name__ for op in program.ops] == ["Dense", "Requantise", "Dense"]
    (compared,) = compare(program, onnx, given[40:]).values()
    assert compared.error < 0.03


def test_one_accumulator_read_by_two_functions() -> None:
    net = Net(seed=8)
    a = net.dense("x", 6, 8)
    both = net.op("Concat", net.relu(a), net.op("Tanh", a), a, axis=1)
    onnx = normalised(net.model([1, 6], net.dense(both, 24, 3)))
    given = samples(onnx, 50)
    program = quantised(onnx, given[:40])
    assert [type(op).__name__ for op in program.ops].count("Requantise") == 3
    (compared,) = compare(program, onnx, given[40:]).values()
    assert compared.error < 0.05


def test_a_sum_of_its_own_source_and_a_difference() -> None:
    net = Net(seed=8)
    a = net.relu(net.dense("x", 6, 6))
    b = net.dense(a, 6, 6)
    y = net.op("Sum", net.op("Sub", a, b), net.op("Add", a, "x"), b)
    onnx = normalised(net.model([1, 6], net.dense(net.op("Tanh", y), 6, 3)))
    given = samples(onnx, 50)
    (compared,) = compare(quantised(onnx, given[:40]), onnx, given[40:]).values()
    assert compared.error < 0.05


def test_outputs_of_every_kind() -> None:
    net = Net(seed=3)
    a = net.dense("x", 6, 5)
    moved = net.op("Reshape", a, net.constant(np.int64([5, 1])))
    outputs = [a, net.op("Sigmoid", a), moved, net.op("Softmax", net.dense(a, 5, 4), axis=1), net.relu(a)]
    onnx = normalised(net.model([1, 6], *outputs))
    given = samples(onnx, 50)
    program = quantised(onnx, given[:40])
    for name, compared in compare(program, onnx, given[40:]).items():
        assert compared.error < 0.03, name
    wide = {o.name: program.ops[o.tensor - 1] for o in program.outputs}
    assert isinstance(wide[a], Dense)


def test_arg_max_is_of_the_exact_integers() -> None:
    net = Net(seed=3)
    y = net.op("ArgMax", net.dense("x", 6, 5), axis=1, keepdims=0)
    onnx = normalised(net.model([3, 6], y, dtype=TensorProto.INT64))
    given = samples(onnx, 50)
    made = quantised(onnx, given[:40])
    (compared,) = compare(made, onnx, given[40:]).values()
    assert (compared.expected == compared.found).mean() > 0.95
    assert made.outputs[0].post == "argmax"


def test_what_calibration_does_not_cover_is_clamped_and_counted() -> None:
    onnx = normalised(mlp())
    given = samples(onnx, 30)
    made = quantised(onnx, given)
    count = saturation(made, given)
    assert count.clamped <= count.values * 0.01
    (inside,) = compare(made, onnx, given).values()
    (outside,) = compare(made, onnx, [{"x": sample["x"] * 20} for sample in given]).values()
    assert inside.clamped_inputs == 0
    assert outside.clamped_inputs > 0
    narrow = quantised(onnx, [{"x": sample["x"] * 0.1} for sample in given])
    (clipped,) = compare(narrow, onnx, given).values()
    assert clipped.clamped_inputs > 0


@pytest.mark.parametrize(
    ("scale", "seen", "expected"),
    [
        (1.0, [0, 3, 17], (1.0, 0, 31)), (1.0, [-3, 0, 255], (1.0, -4, 255)), (1.0, [0, 0, 1], (1.0, 0, 1)),
        (1.0, [0, 0, 0], (1.0, 0, 0)), (1.0, [-128, 0, 0], (1.0, -128, 0)), (1 / 255, [0, 254, 255], (1 / 255, 0, 255)),
    ],
)  # fmt: skip
def test_inputs_on_a_grid_are_exact_and_whole_ones_have_all_their_bits(scale: float, seen: list, expected: tuple) -> None:
    net = Net()
    onnx = normalised(net.model([1, 3], net.dense("x", 3, 2)))
    (entry,) = quantised(onnx, [{"x": np.array([seen], np.float64).astype(np.float32) * np.float32(scale)}]).inputs
    assert (pytest.approx(entry.scale, rel=1e-6), entry.low, entry.high) == expected


def test_an_input_has_headroom_since_a_circuit_refuses_what_is_outside() -> None:
    onnx = normalised(mlp())
    given = samples(onnx, 10)
    (entry,) = quantised(onnx, given).inputs
    highest = max(float(sample["x"].max()) for sample in given)
    assert highest * 1.09 < entry.high * entry.scale < highest * 1.11


def test_saturated_activations_are_counted() -> None:
    net = Net()
    ones = net.constant(np.ones((1, 4), np.float32))
    y = net.op("Gemm", net.relu(net.op("Gemm", "x", ones, transB=1)), net.constant(np.ones((1, 1), np.float32)), transB=1)
    onnx = normalised(net.model([1, 4], y))
    # Each feature alone spans the input's range; all four together leave the range of the sum.
    given = [{"x": np.eye(4, dtype=np.float32)[None, i]} for i in range(4)]
    program = quantised(onnx, given)
    (compared,) = compare(program, onnx, [{"x": np.ones((1, 4), np.float32)}]).values()
    assert (compared.saturated, compared.clamped_inputs) == (1, 0)
    assert 1.0 <= compared.found[0] <= 1.2 < compared.expected[0]


def test_a_narrower_table_is_coarser_not_wrong() -> None:
    onnx = normalised(mlp())
    given = samples(onnx, 40)
    small = quantised(onnx, given[:30], Options(activation_bits=14, max_rows=1 << 12))
    assert all(small.table_size(op) <= 1 << 12 for op in small.ops if isinstance(op, Requantise))
    (compared,) = compare(small, onnx, given[30:]).values()
    assert compared.error < 0.1


def test_images_of_bytes_are_taken_as_they_are() -> None:
    net = Net(seed=7)
    x = net.op("Mul", net.op("Cast", "x", to=TensorProto.FLOAT), net.constant(np.float32(1 / 255)))
    x = net.op("Flatten", net.relu(net.conv(x, 1, 3)))
    onnx = normalised(net.model([2, 1, 6, 6], net.dense(x, 108, 4), given=TensorProto.UINT8))
    rng = np.random.default_rng(1)
    given = [{"x": rng.integers(0, 256, (2, 1, 6, 6)).astype(np.uint8)} for _ in range(30)]
    program = quantised(onnx, given[:20])
    assert [(i.dtype, i.scale, i.low, i.high) for i in program.inputs] == [("uint8", 1.0, 0, 255)]
    (compared,) = compare(program, onnx, given[20:]).values()
    assert compared.error < 0.03


def test_whole_numbers_that_a_model_computes_are_refused() -> None:
    """They would wrap, or be exact; a rounded grid is neither."""
    net = Net()
    onnx = normalised(net.model([1, 4], net.op("Add", "x", "x"), given=TensorProto.INT32, dtype=TensorProto.INT32))
    with pytest.raises(UnsupportedError, match=r"\(\w+\): it computes int32"):
        quantised(onnx, [{"x": np.arange(4, dtype=np.int32)[None]}])


def lone(kind: str, **attributes: object) -> bytes:
    net = Net()
    return net.model([1, 2, 4, 4], net.op(kind, "x", **attributes))


def unsupported() -> dict[str, bytes]:
    net, other, third = Net(), Net(), Net()
    a = net.dense("x", 6, 6)
    product = net.model([1, 6], net.op("Mul", a, net.dense("x", 6, 6)))
    softmax = other.model([1, 6], other.dense(other.op("Softmax", "x", axis=1), 6, 2))
    inverse = third.model([1, 6], third.op("Reciprocal", third.dense("x", 6, 2)))
    pool = Net()
    outside = pool.op("MaxPool", "x", kernel_shape=[1, 2], strides=[1, 2], pads=[0, 0, 0, 1], ceil_mode=1)
    return {
        "Mul": product, "Softmax": softmax, "finite": inverse, "outside of its input": pool.model([1, 2, 4, 4], outside),
        "LpNormalization": lone("LpNormalization", axis=1, p=2), "Hardmax": lone("Hardmax"), "Pad": padded(),
    }  # fmt: skip


def padded() -> bytes:
    net = Net()
    return net.model([1, 2, 4, 4], net.op("Pad", "x", net.constant(np.int64([0, 0, 1, 1, 0, 0, 1, 1])), mode="reflect"))


@pytest.mark.parametrize("name", unsupported())
def test_unsupported_operators_are_named(name: str) -> None:
    onnx = normalised(unsupported()[name])
    with pytest.raises(UnsupportedError, match=name):
        plan_of(onnx, samples(onnx, 3))


@pytest.mark.parametrize(
    "given",
    [
        [], [{}], [{"x": np.zeros((1, 3), np.float32)}], [{"y": np.zeros((1, 20), np.float32)}],
        [{"x": np.full((1, 20), np.nan, np.float32)}], [{"x": np.full((1, 20), np.inf, np.float32)}],
        [{"x": np.full((1, 20), 3e38, np.float32)}],
    ],
)  # fmt: skip
def test_bad_calibration_is_malformed(given: list) -> None:
    with pytest.raises(MalformedError):
        plan_of(normalised(mlp()), given)


def test_constant_calibration_still_gives_a_program() -> None:
    onnx = normalised(mlp())
    program = quantised(onnx, [{"x": np.zeros((1, 20), np.float32)}])
    (compared,) = compare(program, onnx, [{"x": np.zeros((1, 20), np.float32)}]).values()
    assert compared.worst < 0.05


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight_bits": 1},
        {"activation_bits": 17},
        {"shifts": ()},
        {"shifts": (24, 16)},
        {"shifts": (1,)},
        {"max_rows": 1 << 21},
        {"headroom": 0.0},
        {"headroom": float("nan")},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(Error):
        Options(**wrong)
