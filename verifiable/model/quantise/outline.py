# SPDX-License-Identifier: Apache-2.0
"""From the nodes of a normalised model to an Outline; what has no step is refused by name."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx

from verifiable.errors import Error, UnsupportedError
from verifiable.model.defaults import attributes_of
from verifiable.model.guard import shown
from verifiable.model.program.ops import Shape, Transpose
from verifiable.model.quantise import functions, movement, windows
from verifiable.model.quantise.functions import Function, identity
from verifiable.model.quantise.steps import Affine, Elementwise, End, Floats, Linear, Move, Outline, Source, Step, Sum, reads
from verifiable.model.shapes import Analysis

_FLOATS = {"float16", "float32", "float64"}
_POST = {"Softmax": "softmax", "LogSoftmax": "logsoftmax", "ArgMax": "argmax"}
_LINEAR = ("Gemm", "MatMul", "Conv")
#: Operators that have a step, at least in some of their uses.
OPERATORS = frozenset(
    (*functions.UNARY, "Clip", "Cast", *functions.BINARY, "Sum", *_POST, *_LINEAR, *windows.STEPS, *movement.OPS)
)


def outline_of(analysis: Analysis) -> Outline:
    """Raises UnsupportedError naming the first node that no step can stand for."""
    reader = _Reader(analysis=analysis, uses=Counter(name for node in analysis.nodes for name in node.input if name))
    reader.uses.update(analysis.outputs)
    for name in analysis.inputs:
        reader.steps[name] = Source()
    for node in analysis.nodes:
        try:
            reader.visit(node)
        except Error as error:
            raise UnsupportedError(f"node {shown(node.name)} ({node.op_type}): {error.message}", hint=error.hint) from error
    return reader.outline()


@dataclass(slots=True, kw_only=True)
class _Reader:
    analysis: Analysis
    uses: Counter[str]
    steps: dict[str, Step] = field(default_factory=dict)
    ends: dict[str, End] = field(default_factory=dict)

    def visit(self, node: onnx.NodeProto) -> None:
        attributes = attributes_of(node)
        op, out = node.op_type, node.output[0]
        if len([name for name in node.output if name and self.uses[name]]) > 1 and op != "Split":
            raise UnsupportedError("more than one of its outputs is used")
        if any(name in self.ends for name in node.input):
            raise UnsupportedError("it follows a softmax or arg-max, which are computed after the proof")
        self._check_dtype(node)
        if op == "Gemm" and attributes.get("transA"):
            self._transposed(node)
        if op in functions.UNARY:
            self._elementwise(out, node.input[0], functions.unary(op, attributes))
        elif op in ("Clip", "Cast"):
            self._elementwise(out, node.input[0], self._clip(node) if op == "Clip" else identity)
        elif op in functions.BINARY or op == "Sum":
            self._binary(node)
        elif op in _POST:
            self._post(node, attributes)
        elif op in _LINEAR:
            self.steps[out] = self._linear(node, attributes)
        elif op in windows.STEPS:
            if op == "ReduceMean" and len(node.input) > 1:
                attributes["axes"] = np.ravel(self.number(node.input[1])).tolist()
            self.steps.update(windows.STEPS[op](out, self._activation(node.input[0]), attributes, self._shapes(node)))
        elif op in movement.OPS:
            self._move(node, attributes)
        else:
            raise UnsupportedError(
                "no integer program for this operator yet", hint="replace it by supported operators, or use ezkl"
            )

    def _check_dtype(self, node: onnx.NodeProto) -> None:
        """Integers that a model computes are exact, or wrap; a grid of their values would be neither."""
        computed = {self.analysis.values[name].dtype for name in node.output if name and self.uses[name]}
        if node.op_type != "ArgMax" and (other := sorted(computed - _FLOATS)):
            raise UnsupportedError(f"it computes {other[0]}", hint="compute in float32, or give the model in QDQ format")

    def outline(self) -> Outline:
        values = self.analysis.values
        ends = tuple(self.ends.get(name, End(name=name, value=name)) for name in self.analysis.outputs)
        shapes = {name: value.shape for name, value in values.items()}
        return Outline(
            steps=_live(self.steps, ends), ends=ends, shapes=shapes, dtypes={name: v.dtype for name, v in values.items()}
        )  # fmt: skip

    def number(self, name: str) -> Any:
        """The constant of this name, or None."""
        value = self.analysis.values.get(name)
        return None if value is None else value.constant

    def shape(self, name: str) -> Shape:
        return self.analysis.values[name].shape

    def _shapes(self, node: onnx.NodeProto) -> tuple[Shape, Shape]:
        return self.shape(node.input[0]), self.shape(node.output[0])

    def _activation(self, name: str) -> str:
        if name not in self.steps:
            raise UnsupportedError(f"{shown(name)} is a constant where a computed value is expected")
        return name

    def _elementwise(self, out: str, source: str, function: Function) -> None:
        root, inner = self._function(self._activation(source))
        self.steps[out] = Elementwise(root=root, function=functions.after(function, inner))

    def _function(self, name: str) -> tuple[str, Function]:
        step = self.steps[name]
        return (step.root, step.function) if isinstance(step, Elementwise) else (name, identity)

    def _clip(self, node: onnx.NodeProto) -> Function:
        limits = [-math.inf, math.inf]
        for i, name in enumerate(node.input[1:3]):
            if name and (value := self.number(name)) is None:
                raise UnsupportedError("its limits depend on the inputs")
            if name:
                limits[i] = float(value.reshape(()))
        return functions.clip(*limits)

    def _binary(self, node: onnx.NodeProto) -> None:
        out, op = node.output[0], "Add" if node.op_type == "Sum" else node.op_type
        if len(node.input) == 1:
            return self._elementwise(out, node.input[0], identity)
        if len(node.input) > 2:
            if op != "Add" or any(name not in self.steps for name in node.input):
                raise UnsupportedError("of more than two values")
            self._sum(out, list(node.input), [1] * len(node.input))
            return None
        scalars = [self._scalar(name, out) for name in node.input]
        roots = {self._function(name)[0] for name, f in zip(node.input, scalars, strict=True) if f is None and name in self.steps}
        constant = [name for name, f in zip(node.input, scalars, strict=True) if f is None and name not in self.steps]
        if len(roots) == 1 and not constant and self.shape(root := roots.pop()) == self.shape(out):
            parts = [f or self._function(name)[1] for name, f in zip(node.input, scalars, strict=True)]
            self.steps[out] = Elementwise(root=root, function=functions.both(op, *parts))
        elif constant:
            self._affine(op, node, 0 if constant[0] == node.input[0] else 1)
        elif op in ("Add", "Sub"):
            self._sum(out, list(node.input), [1, 1 if op == "Add" else -1])
        else:
            raise UnsupportedError(
                "of two computed tensors", hint="only sums and differences of two computed tensors are supported"
            )
        return None

    def _scalar(self, name: str, out: str) -> Function | None:
        """A constant function for a constant that is one number and does not enlarge its partner."""
        value = self.number(name)
        if value is None or not value.size or value.ndim > len(self.shape(out)):
            return None
        first = value.reshape(-1)[0]
        return functions.constant(float(first)) if bool((value == first).all()) else None

    def _sum(self, out: str, names: list[str], signs: list[int]) -> None:
        if any(self.shape(name) != self.shape(out) for name in names):
            raise UnsupportedError("its operands differ in shape", hint="expand them to one shape before adding")
        self.steps[out] = Sum(sources=tuple(names), signs=tuple(signs))

    def _affine(self, op: str, node: onnx.NodeProto, at: int) -> None:
        """A constant tensor times or plus a computed one; into the weights before it where there are any."""
        value = np.asarray(self.number(node.input[at]), np.float64)
        source, out = self._activation(node.input[1 - at]), node.output[0]
        if self.shape(source) != self.shape(out):
            raise UnsupportedError("its constant enlarges the tensor", hint="expand the tensor before")
        if op == "PRelu":
            raise UnsupportedError("with a slope for each channel", hint="use one slope")
        if op not in ("Add", "Sub", "Mul", "Div") or (op == "Div" and at == 0):
            raise UnsupportedError("with a constant tensor", hint="use a constant number")
        factor = np.ones(1) if op in ("Add", "Sub") else value if op == "Mul" else 1 / value
        shift = np.zeros(1) if op in ("Mul", "Div") else value if op == "Add" or at == 0 else -value
        if op == "Sub" and at == 0:
            factor = -factor
        step = self.steps[source]
        only = self.uses[source] == 1
        if isinstance(step, Linear) and only and (folded := _folded(step, factor, shift, self.shape(out))) is not None:
            self.steps[out] = folded
        elif isinstance(step, Affine) and only:
            self.steps[out] = replace(step, factor=step.factor * factor, shift=step.shift * factor + shift)
        else:
            self.steps[out] = Affine(source=source, factor=factor, shift=shift)

    def _linear(self, node: onnx.NodeProto, attributes: Mapping[str, Any]) -> Linear:
        arrays = [None if not name else self.number(name) for name in node.input]
        if node.input[0] not in self.steps or len(arrays) < 2 or arrays[1] is None:
            raise UnsupportedError("its weights are no constant, or stand on the left", hint="transpose the product")
        if len(node.input) > 2 and node.input[2] and arrays[2] is None:
            raise UnsupportedError("its bias is no constant")
        floats = [None if a is None else np.asarray(a, np.float64) for a in arrays]
        make = {"Gemm": _gemm, "MatMul": _matmul, "Conv": windows.convolution}[node.op_type]
        return make(node.input[0], floats, attributes)

    def _transposed(self, node: onnx.NodeProto) -> None:
        """The transposed input of a Gemm, as a step of its own."""
        name, source = f"{node.output[0]}\0input", self._activation(node.input[0])
        self.steps[name] = Move(sources=(source,), op=lambda t, _: Transpose(source=t[0], axes=(1, 0)))
        node.input[0] = name

    def _post(self, node: onnx.NodeProto, attributes: Mapping[str, Any]) -> None:
        shape, out = self.shape(node.input[0]), node.output[0]
        if out not in self.analysis.outputs or self.uses[out] > 1:
            raise UnsupportedError("within the model", hint="only as its last step: it is computed from the exact integers")
        if node.op_type == "ArgMax" and attributes.get("select_last_index"):
            raise UnsupportedError("with select_last_index")
        axis = attributes["axis"] % len(shape)
        if node.op_type != "ArgMax" and self.analysis.opset < 13:
            raise UnsupportedError("of an old operator set")
        self.ends[out] = End(name=out, value=self._activation(node.input[0]), post=_POST[node.op_type], axis=axis)

    def _move(self, node: onnx.NodeProto, attributes: Mapping[str, Any]) -> None:
        constants = [self.number(name) if name else None for name in node.input]
        sources = movement.sources(node)
        shapes = [self.shape(self._activation(name)) for name in sources]
        outs = [name for name in node.output if name]
        moves = movement.OPS[node.op_type](attributes, constants, shapes, [self.shape(name) for name in outs])
        for out, move in zip(outs, moves, strict=True):
            self.steps[out] = replace(move, sources=sources)


def _folded(step: Linear, factor: Floats, shift: Floats, shape: Shape) -> Linear | None:
    """The step with ``factor`` and ``shift`` in its weights and bias, where they are one number for each output channel."""
    channel = len(shape) - 1 if step.geometry is None else 1
    rows = []
    for array in (factor, shift):
        full = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
        if any(d != 1 for i, d in enumerate(full.shape) if i != channel):
            return None
        rows.append(np.broadcast_to(full.reshape(-1), step.bias.shape))
    scaled = step.weight * rows[0].reshape(-1, *(1,) * (step.weight.ndim - 1))
    return replace(step, weight=scaled, bias=step.bias * rows[0] + rows[1])


def _gemm(source: str, arrays: list[Any], attributes: Mapping[str, Any]) -> Linear:
    weight = arrays[1] if attributes.get("transB") else arrays[1].T
    bias = np.zeros(weight.shape[0]) if len(arrays) < 3 or arrays[2] is None else arrays[2]
    if bias.ndim > 1 and any(d != 1 for d in bias.shape[:-1]):
        raise UnsupportedError("its bias differs from row to row")
    flat = np.broadcast_to(bias.reshape(-1), weight.shape[:1]) * float(attributes.get("beta", 1.0))
    return Linear(source=source, weight=weight * float(attributes.get("alpha", 1.0)), bias=flat)


def _matmul(source: str, arrays: list[Any], _: Mapping[str, Any]) -> Linear:
    if arrays[1].ndim != 2:
        raise UnsupportedError("its weights are no matrix", hint="use a matrix, and a Reshape where needed")
    return Linear(source=source, weight=arrays[1].T, bias=np.zeros(arrays[1].shape[1]))


def _live(steps: Mapping[str, Step], ends: tuple[End, ...]) -> dict[str, Step]:
    needed = {end.value for end in ends}
    for name in reversed(list(steps)):
        if name in needed or isinstance(steps[name], Source):
            needed.add(name)
            needed.update(reads(steps[name]))
    return {name: step for name, step in steps.items() if name in needed}
