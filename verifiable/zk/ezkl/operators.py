# SPDX-License-Identifier: Apache-2.0
"""Which ONNX operators can be proved with ezkl 23.0.5, and under which conditions; one rule per operator.

Each refusal is one of three kinds. *Unsound*: the constraints, as read, let a prover choose the result. *Another function*: ezkl
computes something else than ONNX defines, or reads the node as an identity. *Not there*: no constraints exist, or none that we
have checked. What passes is proved over every operator by the tests: the result is onnxruntime's, and two circuits that
differ by a permutation of it have different verifying keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from verifiable.model.preflight import NodeView, OperatorRule

_FLOATS = {"float16", "float32", "float64"}
_INTEGERS = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"}
_WIDTHS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64, "uint8": 9, "uint16": 17, "uint32": 33}
_QUANTISED = (
    "ezkl reads it as an identity, so the quantisation would silently be left out;"
    " use the float model, it is quantised when it is compiled"
)
_LOOPS = "loops and recurrent layers are not supported; unroll the model when it is exported"
_SQUARE_ROOT = "unsound: the proof holds for either sign of a square root; leave it out, or compute its reciprocal as a constant"
_TREES = "ai.onnx.ml has no circuit; convert the model to tensor operators first (Hummingbird does)"


def _yes(_node: NodeView) -> str | None:
    return None


def _never(reason: str) -> OperatorRule:
    return lambda _node: reason


def _all(*rules: OperatorRule) -> OperatorRule:
    def rule(node: NodeView) -> str | None:
        return next((reason for check in rules if (reason := check(node)) is not None), None)

    return rule


def _integers(node: NodeView, name: str, default: Sequence[int] = ()) -> list[int]:
    value = node.attributes.get(name, default)
    return [int(v) for v in value] if isinstance(value, Sequence) and not isinstance(value, str) else [int(value)]


def _constant(node: NodeView, position: int) -> list[float] | None:
    """The values of an input that is an initializer, else None."""
    value = node.constants.get(position)
    return None if value is None else [float(v) for v in value.ravel()]


def _given(node: NodeView, position: int) -> bool:
    if position >= len(node.input_shapes):
        return False
    return not node.input_dtypes or node.input_dtypes[position] != ""  # an omitted optional input has no dtype


def _at_most(count: int) -> OperatorRule:
    def rule(node: NodeView) -> str | None:
        if len(node.input_shapes) > count:
            return f"it takes at most {count} inputs here, not {len(node.input_shapes)}; chain several of them"
        return None

    return rule


def _undilated(node: NodeView) -> str | None:
    if any(d != 1 for d in _integers(node, "dilations", [1])):
        return "dilated kernels have no circuit; use dilations of 1 with a larger kernel that has zeros in between"
    return None


def _explicit_padding(node: NodeView) -> str | None:
    if str(node.attributes.get("auto_pad", "NOTSET")) not in {"NOTSET", "VALID"}:
        return "automatic padding is not supported; write it as explicit pads"
    if any(p < 0 for p in _integers(node, "pads", [0])):
        return "negative padding is not supported; use Slice"
    return None


def _constant_weights(node: NodeView) -> str | None:
    if any(_given(node, position) and position not in node.constants for position in (1, 2)):
        return "its kernel and bias must be constants; use MatMul for computed ones"
    return None


def _ungrouped(node: NodeView) -> str | None:
    if _integers(node, "group", [1]) != [1]:
        return "grouped transposed convolutions are not supported; split it into one per group"
    return None


def _unpadded_maximum(node: NodeView) -> str | None:
    if any(_integers(node, "pads", [0])):
        return (
            "another function: ezkl pads with zeros, not with the smallest value;"
            " pad explicitly with zeros (after a ReLU the result is the same)"
        )
    if _integers(node, "ceil_mode", [0]) != [0]:
        return "ceil_mode is not supported; pad the input so that the windows fit"
    if len(node.output_shapes) > 1 and node.output_shapes[1]:
        return "its second output, the positions, has no circuit"
    return None


def _average(node: NodeView) -> str | None:
    if any(_integers(node, "pads", [0])) and _integers(node, "count_include_pad", [0]) != [1]:
        return "another function: ezkl counts padding in the mean; set count_include_pad=1 or remove the padding"
    if _integers(node, "ceil_mode", [0]) != [0]:
        return "ceil_mode is not supported; pad the input so that the windows fit"
    return None


def _power(node: NodeView) -> str | None:
    exponent = _constant(node, 1)
    if exponent is None or len(exponent) != 1:
        return "only a constant scalar exponent has a circuit"
    if exponent[0] != int(exponent[0]) or not 1 <= exponent[0] <= 64:
        return (
            "only whole exponents from 1 to 64: ezkl computes x for x^0 and for negative ones, and square roots are unsound;"
            " write 1/x as Reciprocal"
        )
    return None


def _division(node: NodeView) -> str | None:
    divisor = _constant(node, 1)
    if divisor is None:
        return "the divisor must be a constant; write a / b as a * Reciprocal(b)"
    if any(d == 0 or not math.isfinite(d) for d in divisor):
        return "division by zero"
    if node.input_dtypes and node.input_dtypes[0] in _INTEGERS:
        return "another function: integer division is rounded to the nearest here and truncated in ONNX; cast to float first"
    return None


def _float_arithmetic(node: NodeView) -> str | None:
    if node.input_dtypes and node.input_dtypes[0] not in _FLOATS:
        return f"it is proved for floats only, not {node.input_dtypes[0]}; cast its input"
    return None


def _indices(position: int) -> OperatorRule:
    def rule(node: NodeView) -> str | None:
        values = _constant(node, position)
        if values is None:
            return "its indices must be constants"
        if any(v < 0 for v in values):
            return "another function: ezkl reads negative indices as 0; count from the start"
        return None

    return rule


def _gather(node: NodeView) -> str | None:
    values = _constant(node, 1)
    if values is not None and any(v < 0 for v in values):
        return "another function: ezkl reads negative indices as 0; count from the start"
    if values is None and node.input_dtypes and node.input_dtypes[1] not in _INTEGERS:
        return "its indices must be integers"
    return None


def _zero_padding(node: NodeView) -> str | None:
    if str(node.attributes.get("mode", "constant")) != "constant":
        return "only padding with a constant has a circuit"
    pads = _constant(node, 1) if 1 in node.constants else [float(p) for p in _integers(node, "pads")]
    if not pads or any(p < 0 for p in pads):
        return "its widths must be constants that are not negative; use Slice to cut"
    value = _constant(node, 2) if _given(node, 2) else [float(v) for v in [node.attributes.get("value", 0.0)]]
    if value is None or any(v != 0 for v in value):
        return "only padding with zeros has a circuit"
    return None


def _resize(node: NodeView) -> str | None:
    way = (
        node.attributes.get("coordinate_transformation_mode", "half_pixel"),
        node.attributes.get("nearest_mode", "round_prefer_floor"),
    )
    if node.attributes.get("mode", "nearest") != "nearest" or way not in {
        ("asymmetric", "floor"),
        ("half_pixel", "round_prefer_floor"),
    }:
        return (
            "another function: ezkl repeats elements whatever the mode says; use nearest with asymmetric/floor, or its defaults"
        )
    scales = _constant(node, 2)
    if _given(node, 3) or not scales or any(s != int(s) or s < 1 for s in scales):
        return "another function: ezkl needs constant whole scales of at least 1 and ignores sizes; give scales"
    return None


def _cast(node: NodeView) -> str | None:
    source, target = (node.input_dtypes[0] if node.input_dtypes else ""), str(node.attributes.get("to", ""))
    target = _ONNX_TYPES.get(target, target)
    if target in _FLOATS or source in {"", target} or (source == "bool" and target in _INTEGERS):
        return None
    if source in _INTEGERS and target.startswith("int") and _WIDTHS[source] <= _WIDTHS.get(target, 0):
        return None
    return f"another function: ezkl rounds {source} down to {target} where ONNX cuts it off; use Floor, or leave the cast out"


_ONNX_TYPES = {
    "1": "float32", "2": "uint8", "3": "int8", "4": "uint16", "5": "int16", "6": "int32", "7": "int64", "9": "bool",
    "10": "float16", "11": "float64", "12": "uint32",
}  # fmt: skip


def _top(node: NodeView) -> str | None:
    if _constant(node, 1) is None:
        return "k must be a constant"
    if _integers(node, "sorted", [1]) != [1]:
        return "only sorted results have a circuit"
    return None


def _batch_norm(node: NodeView) -> str | None:
    if _integers(node, "training_mode", [0]) != [0]:
        return "training mode has no circuit; export the model for inference"
    if any(position not in node.constants for position in (1, 2, 3, 4)):
        return "its statistics must be constants; export the model for inference"
    return None


def _comparison(node: NodeView) -> str | None:
    if node.input_dtypes and node.input_dtypes[0] == "bool":
        return "booleans are compared with Xor and Not"
    return None


_KERNEL = (_undilated, _explicit_padding)
_ACCEPTED: dict[str, Callable[[NodeView], str | None]] = {
    **dict.fromkeys(
        (
            "Abs", "Neg", "Sign", "Relu", "LeakyRelu", "Sigmoid", "Tanh", "Erf", "Exp", "Log", "HardSwish", "Sin", "Cos", "Tan",
            "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Reciprocal", "Round", "Floor", "Ceil", "Softplus",
            "Elu", "Selu", "HardSigmoid", "Softsign", "PRelu", "Clip", "Softmax",
        ),
        _float_arithmetic,
    ),
    **dict.fromkeys(
        (
            "Add", "Sub", "Mul", "MatMul", "Gemm", "Einsum", "And", "Or", "Xor", "Not", "Where", "ReduceSum", "ReduceMean",
            "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceL1", "GlobalAveragePool", "GlobalMaxPool",
            "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Expand", "Tile", "Slice", "Concat", "Split",
            "SpaceToDepth", "DepthToSpace", "Identity", "Dropout", "Constant", "Shape",
        ),
        _yes,
    ),
    **dict.fromkeys(("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"), _comparison),
    "Max": _at_most(2),
    "Min": _at_most(2),
    "Pow": _all(_power, _float_arithmetic),
    "Div": _division,
    "Conv": _all(*_KERNEL, _constant_weights),
    "ConvTranspose": _all(*_KERNEL, _constant_weights, _ungrouped),
    "MaxPool": _all(*_KERNEL, _unpadded_maximum),
    "AveragePool": _all(*_KERNEL, _average),
    "BatchNormalization": _batch_norm,
    "Pad": _zero_padding,
    "Gather": _gather,
    "GatherElements": _indices(1),
    "GatherND": _indices(1),
    "Resize": _resize,
    "TopK": _top,
    "Cast": _cast,
}  # fmt: skip

_REFUSED: dict[str, str] = {
    **dict.fromkeys(
        (
            "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "MatMulInteger",
            "ConvInteger",
        ),
        _QUANTISED,
    ),
    **dict.fromkeys(("Loop", "If", "Scan", "RNN", "LSTM", "GRU", "CumSum", "SequenceMap"), _LOOPS),
    **dict.fromkeys(("Sqrt", "ReduceL2", "LpNormalization", "LayerNormalization", "InstanceNormalization"), _SQUARE_ROOT),
    **dict.fromkeys(
        ("ArgMax", "ArgMin"),
        "unsound: among equal values the prover may choose which one it names;"
        " output the scores and take the position outside the proof",
    ),
    "OneHot": "unsound: its elements are not tied to 0 and 1; use an Equal with a constant range and a Where",
    "Trilu": "another function: ezkl keeps other elements than ONNX does; multiply by a constant mask",
    **dict.fromkeys(
        ("ScatterElements", "ScatterND", "Scatter"), "its constraints were not checked; use Concat and Slice, or a mask and Where"
    ),
    **dict.fromkeys(("NonMaxSuppression", "NonZero", "Unique", "Compress"), "the shape of its result depends on the data"),
    **dict.fromkeys(("RandomNormal", "RandomUniform", "Bernoulli", "Multinomial"), "random numbers have no circuit"),
    **dict.fromkeys(("StringNormalizer", "StringConcat", "StringSplit", "RegexFullMatch"), "strings have no circuit"),
    **dict.fromkeys(
        (
            "TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", "LinearClassifier", "LinearRegressor",
            "SVMClassifier", "SVMRegressor", "Scaler", "Normalizer", "ZipMap",
        ),
        _TREES,
    ),
    "Upsample": "deprecated; export with Resize",
}  # fmt: skip

#: operator -> rule; what is not here has no circuit that was checked.
OPERATORS: Mapping[str, OperatorRule] = {**_ACCEPTED, **{name: _never(reason) for name, reason in _REFUSED.items()}}
