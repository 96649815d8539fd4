# SPDX-License-Identifier: Apache-2.0
"""The ONNX package's own backend node tests, for every operator that is supported."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.model.quantise.cases import quantised
from verifiable.errors import Error, UnsupportedError
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
EXACT = {"QLinearConv", "QLinearMatMul", "QuantizeLinear", "DequantizeLinear"}
SEVERAL = {"Concat", "Sum"}
# A step of the input can be a step of the whole output: no bound holds near the jumps of these.
JUMPS = {
    "test_floor_example",
    "test_round",
    "test_thresholdedrelu_example",
    "test_thresholdedrelu_default",
    "test_thresholdedrelu",
}
# Their last window lies outside of the input; operator set 22 drops it, the older ones that we read count it.
REDEFINED = {"test_averagepool_2d_ceil_last_window_starts_on_pad", "test_maxpool_2d_ceil_output_size_reduce_by_one"}
# By beginning of the name, what the refusal says. Everything else must come out right.
REFUSED = {
    "test_averagepool_1d": "of 1 dimensions", "test_averagepool_3d": "dimensions",
    "test_averagepool_2d_dilations": "with dilations", "test_maxpool_1d": "of 1 dimensions",
    "test_maxpool_3d": "of 3 dimensions", "test_maxpool_with_argmax": "more than one",
    "test_batchnorm_epsilon_training": "training mode", "test_batchnorm_example_training": "training mode",
    "test_gemm_default_matrix_bias": "row to row", "test_reciprocal": "not finite at 0", "test_matmul_1d": "no matrix",
    "test_matmul_3d": "no matrix", "test_matmul_4d": "no matrix", "test_matmul_bcast": "no matrix",
    "test_qlinearmatmul_3D": "no matrix", "test_max_example": "two values", "test_max_two": "constant tensor",
    "test_max_float32": "constant tensor", "test_min_example": "two values", "test_min_two": "constant tensor",
    "test_min_float32": "constant tensor", "test_pow_bcast_array": "constant tensor", "test_pow_example": "constant tensor",
    "test_pow_types_float32_int": "constant tensor", "test_pow_types_float32_uint": "onnxruntime cannot load it",
    "test_prelu": "slope for each channel", "test_reduce_mean": "over axes", "test_slice_neg_steps": "negative step",
    "test_slice_start_out_of_bounds": "cannot be computed", "test_split_zero_size": "no fixed size",
    "test_reshape_allowzero": "no fixed size", "test_quantizelinear_axis": "2 scales|3 scales",
    "test_quantizelinear_blocked": "blocks|scales", "test_dequantizelinear_blocked": "blocks",
    "test_dequantizelinear_axis": "one scale",
}  # fmt: skip
REFUSED_ALONE = {"test_pow": "constant tensor", "test_log": "not finite at 0", "test_log_example": "not finite at 0"}


def cases() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        found = load_model_tests(kind="node")
    for case in found:
        nodes = case.model.graph.node
        if len(nodes) == 1 and nodes[0].op_type in FLOAT | EXACT and case.name not in JUMPS | REDEFINED:
            inputs, outputs = case.data_sets[0]
            plain = all(isinstance(array, np.ndarray | np.generic) for array in (*inputs, *outputs))
            if plain and inputs and (nodes[0].op_type in EXACT or inputs[0].dtype == np.float32):
                yield case


CASES = {case.name: case for case in cases()}


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
    free = list(arrays) if proto.graph.node[0].op_type in SEVERAL else list(arrays)[:1]
    proto.graph.initializer.extend(numpy_helper.from_array(np.asarray(a), name) for name, a in arrays.items() if name not in free)
    inputs = [value for value in proto.graph.input if value.name in free]
    del proto.graph.input[:]
    proto.graph.input.extend(inputs)
    outputs = dict(zip([value.name for value in proto.graph.output], case.data_sets[0][1], strict=True))
    return proto.SerializeToString(), {name: arrays[name] for name in free}, outputs


def computed(case: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    data, inputs, expected = bound(case)
    onnx_bytes = normalise(Model.parse(data))
    program = quantised(onnx_bytes, [inputs])
    integers, _ = quantise_inputs(program, inputs)
    return output_values(program, execute(program, integers).outputs), expected


@pytest.mark.parametrize("name", CASES)
def test_node(name: str) -> None:
    reasons = [told for start, told in REFUSED.items() if name.startswith(start)]
    reasons += [REFUSED_ALONE[name]] if name in REFUSED_ALONE else []
    reasons += ["select_last_index"] if "select_last_index" in name else []
    if reasons:
        with pytest.raises(Error, match=reasons[0]):
            computed(CASES[name])
        return
    found, expected = computed(CASES[name])
    exact = CASES[name].model.graph.node[0].op_type in EXACT
    for output, value in expected.items():
        assert found[output].shape == value.shape
        assert found[output].dtype == value.dtype
        off = np.abs(found[output].astype(np.float64) - value.astype(np.float64))
        span = max(float(np.ptp(value.astype(np.float64))), float(np.abs(value.astype(np.float64)).max()), 1e-12)
        assert off.max(initial=0) <= (1e-6 if exact else 0.02) * span


def test_enough_of_them_ran_and_came_out_right() -> None:
    assert len(CASES) > 200
    operators = {case.model.graph.node[0].op_type for case in CASES.values()}
    assert operators >= (FLOAT | EXACT) - {"Round", "ThresholdedRelu"}
    with pytest.raises(UnsupportedError):
        computed(CASES["test_prelu_example"])
