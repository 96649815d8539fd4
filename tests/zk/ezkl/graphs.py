# SPDX-License-Identifier: Apache-2.0
"""Small ONNX graphs, one per operator that can be proved, each also with its outputs permuted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
_RNG = np.random.default_rng(7)
_TYPES = {"float32": TensorProto.FLOAT, "bool": TensorProto.BOOL, "int64": TensorProto.INT64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """``nodes`` read ``x`` (and ``x2``) and the constants, and write ``y`` of shape ``out``."""

    name: str
    nodes: tuple[onnx.NodeProto, ...]
    inputs: dict[str, tuple[int, ...]]
    out: tuple[int, ...]
    constants: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    in_type: str = "float32"
    out_type: str = "float32"
    low: float = -1.0
    high: float = 1.0
    tolerance: float = 0.1

    def model(self, *, permuted: bool = False) -> bytes:
        nodes, constants = list(self.nodes), dict(self.constants)
        size = int(np.prod(self.out))
        if permuted:
            constants |= {"flat": np.array([size], np.int64), "order": np.arange(size, dtype=np.int64)[::-1].copy()}
            nodes += [helper.make_node("Reshape", ["y", "flat"], ["yf"]), helper.make_node("Gather", ["yf", "order"], ["z"])]
        else:
            constants |= {"flat": np.array([size], np.int64)}
            nodes += [helper.make_node("Reshape", ["y", "flat"], ["z"])]
        graph = helper.make_graph(
            nodes, "case",
            [helper.make_tensor_value_info(n, _TYPES[self.in_type], s) for n, s in self.inputs.items()],
            [helper.make_tensor_value_info("z", _TYPES[self.out_type], [size])],
            [numpy_helper.from_array(a, n) for n, a in constants.items()],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()


def f32(*shape: int) -> np.ndarray[Any, Any]:
    return (_RNG.uniform(-1, 1, shape)).astype(np.float32)


def i64(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int64)


def _n(op: str, inputs: list[str] | None = None, outputs: list[str] | None = None, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs or ["x"], outputs or ["y"], **attributes)


def _unary(op: str, **options: Any) -> Case:
    attributes = options.pop("attributes", {})
    return Case(name=op, nodes=(_n(op, **attributes),), inputs={"x": (1, 3)}, out=(1, 3), **options)


def _binary(op: str, **options: Any) -> Case:
    return Case(name=op, nodes=(_n(op, ["x", "x2"]),), inputs={"x": (1, 3), "x2": (1, 3)}, out=(1, 3), **options)


def _with(
    op: str, shape: tuple[int, ...], out: tuple[int, ...], name: str = "", extra: dict[str, Any] | None = None, **attributes: Any
) -> Case:
    constants = extra or {}
    return Case(
        name=name or op, nodes=(_n(op, ["x", *constants], **attributes),), inputs={"x": shape}, out=out, constants=dict(constants)
    )


_UNARY: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Abs", {}), ("Neg", {}), ("Sign", {}), ("Relu", {}), ("LeakyRelu", {"attributes": {"alpha": 0.1}}),
    ("Sigmoid", {}), ("Tanh", {}), ("Erf", {}), ("Exp", {}), ("Log", {"low": 0.5, "high": 2.0}), ("HardSwish", {}),
    ("Sin", {}), ("Cos", {}), ("Tan", {}), ("Asin", {"low": -0.9, "high": 0.9}), ("Acos", {"low": -0.9, "high": 0.9}),
    ("Atan", {}),
    ("Sinh", {}), ("Cosh", {}), ("Asinh", {}), ("Acosh", {"low": 1.5, "high": 2.5}), ("Atanh", {"low": -0.8, "high": 0.8}),
    ("Reciprocal", {"low": 0.5, "high": 2.0}), ("Round", {"low": -3, "high": 3}), ("Floor", {"low": -3, "high": 3}),
    ("Ceil", {"low": -3, "high": 3}), ("Softplus", {}), ("Elu", {}), ("Selu", {}), ("HardSigmoid", {}), ("Softsign", {}),
)  # fmt: skip


def _reduce(op: str, tolerance: float = 0.1) -> Case:
    attributes: dict[str, Any] = {"keepdims": 1}
    inputs, constants = ["x"], {}
    if op == "ReduceSum":
        constants["axes"] = i64(1)
        inputs.append("axes")
    else:
        attributes["axes"] = [1]
    return Case(
        name=op, nodes=(_n(op, inputs, **attributes),), inputs={"x": (2, 3)}, out=(2, 1), constants=constants, tolerance=tolerance
    )


def _cases() -> list[Case]:
    image = (1, 2, 4, 4)
    cases = [_unary(op, **options) for op, options in _UNARY]
    cases += [_binary(op) for op in ("Add", "Sub", "Mul", "Max", "Min")]
    cases += [_binary(op, out_type="bool") for op in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal")]
    cases += [_binary(op, in_type="bool", out_type="bool", low=0, high=1) for op in ("And", "Or", "Xor")]
    cases += [_unary("Not", in_type="bool", out_type="bool", low=0, high=1)]
    cases += [
        _reduce(op) for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceL1")
    ]
    cases += [
        _with("Gemm", (1, 4), (1, 3), extra={"w": f32(3, 4), "b": f32(3)}, transB=1),
        _with("MatMul", (2, 4), (2, 3), extra={"w": f32(4, 3)}),
        Case(name="MatMul-dynamic", nodes=(_n("MatMul", ["x", "x2"]),), inputs={"x": (2, 2, 3), "x2": (2, 3, 2)}, out=(2, 2, 2)),
        Case(
            name="Einsum",
            nodes=(_n("Einsum", ["x", "x2"], equation="bij,bjk->bik"),),
            inputs={"x": (2, 2, 3), "x2": (2, 3, 2)},
            out=(2, 2, 2),
        ),
        _with("Conv", image, (1, 3, 2, 2), extra={"w": f32(3, 2, 3, 3), "b": f32(3)}, strides=[1, 1], kernel_shape=[3, 3]),
        _with(
            "Conv",
            image,
            (1, 2, 2, 2),
            name="Conv-group-pad",
            extra={"w": f32(2, 1, 3, 3)},
            group=2,
            strides=[2, 2],
            pads=[1, 1, 1, 1],
            kernel_shape=[3, 3],
        ),
        _with("Conv", (1, 2, 5), (1, 2, 3), name="Conv-1d", extra={"w": f32(2, 2, 3)}, strides=[1], kernel_shape=[3]),
        _with("ConvTranspose", (1, 2, 2, 2), (1, 3, 4, 4), extra={"w": f32(2, 3, 2, 2)}, strides=[2, 2], kernel_shape=[2, 2]),
        _with("MaxPool", image, (1, 2, 2, 2), kernel_shape=[2, 2], strides=[2, 2]),
        _with("AveragePool", image, (1, 2, 2, 2), kernel_shape=[2, 2], strides=[2, 2]),
        _with(
            "AveragePool",
            (1, 1, 3, 3),
            (1, 1, 2, 2),
            name="AveragePool-pad",
            kernel_shape=[2, 2],
            strides=[2, 2],
            pads=[1, 1, 0, 0],
            count_include_pad=1,
        ),
        _with("GlobalAveragePool", image, (1, 2, 1, 1)),
        _with("GlobalMaxPool", image, (1, 2, 1, 1)),
        _with("BatchNormalization", image, image, extra={"s": f32(2) + 2, "b": f32(2), "m": f32(2), "v": abs(f32(2)) + 1}),
        _with("Softmax", (2, 3), (2, 3), axis=1),
        _with("Pow", (1, 3), (1, 3), extra={"e": np.array(3, np.float32)}),
        _with("Div", (1, 3), (1, 3), extra={"d": np.array(2.0, np.float32)}),
        _with("Div", (1, 3), (1, 3), name="Div-fraction", extra={"d": np.array(2.5, np.float32)}),
        _with("Mul", (1, 3), (1, 3), name="Mul-const", extra={"d": f32(1, 3)}),
        _with("Add", (2, 3), (2, 3), name="Add-broadcast", extra={"d": f32(3)}),
        _with("Max", (1, 3), (1, 3), name="Max-const", extra={"d": np.array(0.25, np.float32)}),
        _with("Clip", (1, 3), (1, 3), extra={"lo": np.array(-0.5, np.float32), "hi": np.array(0.5, np.float32)}),
        _with("PRelu", (1, 3), (1, 3), extra={"slope": np.array([0.25], np.float32)}),
        _with("Flatten", (1, 2, 2), (1, 4)),
        _with("Reshape", (1, 2, 2), (4,), extra={"s": i64(4)}),
        _with("Transpose", (2, 3), (3, 2), perm=[1, 0]),
        _with("Squeeze", (1, 3), (3,), extra={"a": i64(0)}),
        _with("Unsqueeze", (3,), (1, 3), extra={"a": i64(0)}),
        _with("Expand", (1, 3), (2, 3), extra={"s": i64(2, 3)}),
        _with("Tile", (1, 3), (2, 3), extra={"r": i64(2, 1)}),
        _with("Slice", (1, 4), (1, 2), extra={"s": i64(1), "e": i64(3), "a": i64(1)}),
        _with("Slice", (1, 5), (1, 2), name="Slice-step", extra={"s": i64(0), "e": i64(4), "a": i64(1), "t": i64(2)}),
        _with("Pad", (1, 3), (1, 5), extra={"p": i64(0, 1, 0, 1)}),
        _with("Gather", (4, 2), (2, 2), extra={"i": i64(2, 0)}, axis=0),
        _with("GatherElements", (2, 2), (2, 2), extra={"i": np.array([[1, 0], [0, 1]], np.int64)}, axis=0),
        _with("GatherND", (2, 2), (2,), extra={"i": np.array([[0, 1], [1, 0]], np.int64)}),
        _with(
            "Resize",
            (1, 1, 2, 2),
            (1, 1, 4, 4),
            extra={"r": np.zeros(0, np.float32), "s": np.array([1, 1, 2, 2], np.float32)},
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        _with(
            "Resize",
            (1, 1, 2, 2),
            (1, 1, 4, 4),
            name="Resize-half-pixel",
            extra={"r": np.zeros(0, np.float32), "s": np.array([1, 1, 2, 2], np.float32)},
            mode="nearest",
        ),
        _with("SpaceToDepth", (1, 1, 2, 2), (1, 4, 1, 1), blocksize=2),
        _with("DepthToSpace", (1, 4, 1, 1), (1, 1, 2, 2), blocksize=2),
        Case(name="Concat", nodes=(_n("Concat", ["x", "x2"], axis=1),), inputs={"x": (1, 2), "x2": (1, 2)}, out=(1, 4)),
        Case(
            name="Split", nodes=(_n("Split", ["x"], ["a", "b"], axis=1), _n("Sub", ["a", "b"])), inputs={"x": (1, 4)}, out=(1, 2)
        ),
        Case(
            name="Where",
            nodes=(_n("Greater", ["x", "x2"], ["c"]), _n("Where", ["c", "x", "x2"])),
            inputs={"x": (1, 3), "x2": (1, 3)},
            out=(1, 3),
        ),
        Case(
            name="TopK",
            nodes=(_n("TopK", ["x", "k"], ["y", "unused"], axis=1),),
            inputs={"x": (1, 4)},
            out=(1, 2),
            constants={"k": i64(2)},
        ),
        Case(
            name="Cast",
            nodes=(_n("Cast", ["x"], ["c"], to=TensorProto.DOUBLE), _n("Cast", ["c"], to=TensorProto.FLOAT)),
            inputs={"x": (1, 3)},
            out=(1, 3),
        ),
        Case(name="Identity", nodes=(_n("Identity"),), inputs={"x": (1, 3)}, out=(1, 3)),
        Case(
            name="Gelu-erf",
            nodes=(_n("Mul", ["x", "h"], ["g"]), _n("Erf", ["g"], ["e"]), _n("Add", ["e", "o"], ["f"]), _n("Mul", ["x", "f"])),
            inputs={"x": (1, 3)},
            out=(1, 3),
            constants={"h": np.array(0.70710677, np.float32), "o": np.array(1.0, np.float32)},
        ),
    ]
    return cases


CASES: dict[str, Case] = {case.name: case for case in _cases()}
