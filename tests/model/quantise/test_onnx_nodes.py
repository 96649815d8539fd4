# SPDX-License-Identifier: Apache-2.0
"""The ONNX package's own backend node tests: each comes out right, or is refused for the reason given here.

Float operators are calibrated on the test's own input and held to 2 % of the output's range; quantised ones are exact.
"""

from __future__ import annotations

import warnings
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.model.quantise.cases import quantised
from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.normalise import normalise
from verifiable.model.onnx_file import Model
from verifiable.model.program.execute import execute
from verifiable.model.program.values import output_values, quantise_inputs

FLOAT = {
    "Abs", "Add", "ArgMax", "Atan", "AveragePool", "BatchNormalization", "Ceil", "Celu", "Clip", "Concat", "Conv", "Cos",
    "Div", "Elu", "Erf", "Exp", "Flatten", "Floor", "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid",
    "HardSwish", "LeakyRelu", "Log", "LogSoftmax", "MatMul", "Max", "MaxPool", "Min", "Mish", "Mul", "Neg", "PRelu", "Pad",
    "Pow", "Reciprocal", "ReduceMean", "Relu", "Reshape", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Slice", "Softmax",
    "Softplus", "Softsign", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "ThresholdedRelu", "Transpose", "Unsqueeze",
}  # fmt: skip
EXACT = {"QLinearConv", "QLinearMatMul", "QuantizeLinear", "DequantizeLinear", "ConvInteger", "MatMulInteger"}
SEVERAL = {"Concat", "Sum"}
# A step of the input can be a step of the whole output: no bound holds near the jumps of these, and their inputs lie on them.
JUMPS = {
    "test_floor_example", "test_round", "test_thresholdedrelu_example", "test_thresholdedrelu_default", "test_thresholdedrelu",
}  # fmt: skip
# By beginning of the name, what the refusal says; the longest beginning counts. Everything else must come out right.
REFUSED = {
    "test_averagepool_1d": "of 1 dimensions", "test_averagepool_3d": "of 3 dimensions",
    "test_averagepool_2d_dilations": "with dilations", "test_maxpool_1d": "of 1 dimensions",
    "test_maxpool_3d": "of 3 dimensions", "test_maxpool_with_argmax": "more than one",
    "test_averagepool_2d_ceil_last_window_starts_on_pad": "last window lies outside",
    "test_maxpool_2d_ceil_output_size_reduce_by_one": "last window lies outside",
    "test_batchnorm_epsilon_training": "training mode", "test_batchnorm_example_training": "training mode",
    "test_gemm_default_matrix_bias": "row to row", "test_reciprocal": "not finite at 0", "test_matmul_1d": "no matrix",
    "test_matmul_3d": "no matrix", "test_matmul_4d": "no matrix", "test_matmul_bcast": "no matrix",
    "test_qlinearmatmul_3D": "no matrix", "test_max_example": "two values", "test_max_two": "constant tensor",
    "test_max_float": "constant tensor", "test_min_example": "two values", "test_min_two": "constant tensor",
    "test_min_float": "constant tensor", "test_pow_bcast_array": "constant tensor", "test_pow_example": "constant tensor",
    "test_pow_types_float32_int": "constant tensor", "test_pow_types_float32_uint": "onnxruntime has no implementation",
    "test_pow": "constant tensor", "test_pow_bcast_scalar": "", "test_pow_types_int": "it computes int",
    "test_prelu": "slope for each channel", "test_reduce_mean": r"over axes \[\d?\] of 3",
    "test_slice_neg_steps": "negative step", "test_maxpool_2d_uint8": "it computes uint8",
    "test_slice_neg": "", "test_slice_start_out_of_bounds": "cannot be computed", "test_split_zero_size": "no fixed size",
    "test_reshape_allowzero": "no fixed size", "test_quantizelinear_axis": "3 scales",
    "test_quantizelinear_blocked": "blocks", "test_dequantizelinear_blocked": "blocks",
    "test_dequantizelinear_axis": "one scale", "test_log": "not finite at 0", "test_logsoftmax": "",
    "test_celu_float16": "unsupported type: .*float16", "test_celu_bfloat16": "an input of bfloat16",
    "test_convinteger_with_padding": "onnxruntime cannot run it", "test_edge_pad": "it computes int32",
    "test_reflect_pad": "it computes int32", "test_wrap_pad": "it computes int32", "test_div_int32_trunc": "integer division",
}  # fmt: skip
# Integers computed as such, and types of which onnxruntime or the tensor format has none.
INTEGERS = r"it computes u?int|onnxruntime (cannot load it|has no implementation)|integer division"
SMALL = r"float8|float4|int4|int2|refuses it|unsupported type"


def reason(name: str) -> str:
    """What the refusal of a case says; empty for one that must come out right."""
    operator = name.removeprefix("test_").partition("_")[0]
    if operator in {"add", "sub", "mul", "div", "max", "min", "clip"} and any(
        k in name for k in ("int8", "int16", "int32", "int64")
    ):
        return INTEGERS
    if operator in {"quantizelinear", "dequantizelinear"} and any(k in name for k in ("e4m3", "e5m2", "int4", "int2", "float4")):
        return SMALL
    if "select_last_index" in name:
        return "select_last_index"
    found = max((start for start in REFUSED if name.startswith(start)), key=len, default=None)
    return "" if found is None else REFUSED[found]


@cache
def every() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        found = load_model_tests(kind="node")
    return {case.name: case for case in found}


def operators(case: Any) -> set[str]:
    return {node.op_type for node in case.model.graph.node}


CASES = [name for name, case in every().items() if operators(case) <= FLOAT | EXACT]


def named(array: Any, name: str) -> onnx.TensorProto:
    if not isinstance(array, onnx.TensorProto):
        return numpy_helper.from_array(np.asarray(array), name)
    tensor = onnx.TensorProto()
    tensor.CopyFrom(array)
    tensor.name = name
    return tensor


def bound(case: Any) -> tuple[bytes, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The model with all but its first input constant (but for operators of equal inputs), the inputs left, and the outputs.

    Operator sets beyond 21 only added types to these operators.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(case.model)
    for entry in proto.opset_import:
        entry.version = min(entry.version, 21)
    proto.ir_version = min(proto.ir_version, 10)
    arrays = dict(zip([value.name for value in proto.graph.input], case.data_sets[0][0], strict=False))
    free = list(arrays) if operators(case) <= SEVERAL else list(arrays)[:1]
    proto.graph.initializer.extend(named(a, name) for name, a in arrays.items() if name not in free)
    inputs = [value for value in proto.graph.input if value.name in free]
    del proto.graph.input[:]
    proto.graph.input.extend(inputs)
    outputs = dict(zip([value.name for value in proto.graph.output], case.data_sets[0][1], strict=True))
    return proto.SerializeToString(), {name: arrays[name] for name in free}, outputs


def computed(case: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    data, inputs, expected = bound(case)
    program = quantised(normalise(Model.parse(data)), [inputs])
    integers, _ = quantise_inputs(program, inputs)
    return output_values(program, execute(program, integers).outputs), expected


def check(case: Any) -> None:
    found, expected = computed(case)
    assert set(found) == set(expected)
    for output, value in expected.items():
        assert found[output].shape == value.shape
        assert found[output].dtype == value.dtype
        if operators(case) <= EXACT and value.dtype.kind in "iu":
            assert (found[output] == value).all()
            continue
        off = np.abs(found[output].astype(np.float64) - value.astype(np.float64))
        span = max(float(np.ptp(value.astype(np.float64))), float(np.abs(value.astype(np.float64)).max()), 1e-12)
        assert off.max(initial=0) <= (1e-6 if operators(case) <= EXACT else 0.02) * span


@pytest.mark.parametrize("name", [name for name in CASES if name not in JUMPS])
def test_node(name: str) -> None:
    if told := reason(name):
        with pytest.raises((UnsupportedError, MalformedError), match=told):
            computed(every()[name])
        return
    check(every()[name])


def test_this_many_come_out_right() -> None:
    """Exact numbers, for the release of ONNX that is pinned: a case that vanishes, or is refused in silence, changes them."""
    sorts = Counter("jump" if name in JUMPS else "refused" if reason(name) else "right" for name in CASES)
    assert sorts == {"right": 222, "refused": 150, "jump": 5}
    right = {op for name in CASES if not reason(name) and name not in JUMPS for op in operators(every()[name])}
    assert (FLOAT | EXACT) - right == {"Log", "PRelu", "Reciprocal", "ReduceMean", "Round", "ThresholdedRelu"}


@pytest.mark.slow
def test_every_other_node_test_is_right_or_refused() -> None:
    sorts: Counter[str] = Counter()
    for name in sorted(set(every()) - set(CASES)):
        case = every()[name]
        if not case.data_sets or not all(isinstance(v, np.ndarray) for v in case.data_sets[0][1]):
            continue
        try:
            check(case)
        except (UnsupportedError, MalformedError):
            sorts["refused"] += 1
        else:
            sorts["right"] += 1
    assert sorts["refused"] > 500
