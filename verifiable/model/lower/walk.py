# SPDX-License-Identifier: Apache-2.0
"""One walk over the nodes of a quantised model, each value's state from those before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import onnx

from verifiable.errors import Error, UnsupportedError
from verifiable.model.defaults import attributes_of, with_defaults
from verifiable.model.guard import shown
from verifiable.model.lower import linear, parameters, places
from verifiable.model.lower.requantise import quantised
from verifiable.model.lower.states import (
    HINT,
    Accumulator,
    Applied,
    Clip,
    Constant,
    FloatInput,
    Grid,
    Narrow,
    Posted,
    Quantised,
    State,
    Sum,
)  # fmt: skip
from verifiable.model.program.builder import Builder
from verifiable.model.program.ir import Input, Output
from verifiable.model.quantise import functions, movement, windows
from verifiable.model.quantise.pooling import largest
from verifiable.model.quantise.steps import Affine, Average, Largest, Move
from verifiable.model.shapes import Analysis

_POST = {"Softmax": "softmax", "LogSoftmax": "logsoftmax", "ArgMax": "argmax"}


@dataclass(slots=True, kw_only=True)
class Walk:
    """The state of one lowering."""

    analysis: Analysis
    builder: Builder = field(default_factory=Builder)
    states: dict[str, State] = field(default_factory=dict)

    def run(self) -> tuple[Output, ...]:
        """Raises UnsupportedError naming the node that cannot be lowered exactly."""
        self._inputs()
        for node in self.analysis.nodes:
            try:
                self._visit(node, attributes_of(node))
            except Error as error:
                raise type(error)(f"node {shown(node.name)} ({node.op_type}): {error.message}", hint=error.hint) from error
        return tuple(self._output(name) for name in self.analysis.outputs)

    def _inputs(self) -> None:
        """Integer inputs come in as they are; a float input by its one QuantizeLinear."""
        grids = self._input_grids()
        for name in self.analysis.inputs:
            value = self.analysis.values[name]
            if name in grids:
                low, high = grids[name].clamp
                entry = Input(
                    name=name, dtype=value.dtype, shape=value.shape, scale=float(grids[name].scale), low=low, high=high
                )  # fmt: skip
                self.states[f"{name}\0q"] = Quantised(
                    tensor=self.builder.input(entry), zero=grids[name].zero, dtype=grids[name].dtype
                )  # fmt: skip
                self.states[name] = FloatInput(name=name)
            elif value.dtype in ("int8", "uint8", "int16", "uint16"):
                info = np.iinfo(np.dtype(value.dtype))
                entry = Input(
                    name=name, dtype=value.dtype, shape=value.shape, scale=1.0, low=int(info.min), high=int(info.max)
                )  # fmt: skip
                self.states[name] = Quantised(tensor=self.builder.input(entry), zero=0, dtype=value.dtype)
            else:
                raise UnsupportedError(f"input {shown(name)} is {value.dtype} and is not quantised at once", hint=HINT)

    def _input_grids(self) -> dict[str, Grid]:
        found: dict[str, set[Grid]] = {}
        for node in self.analysis.nodes:
            for name in node.input:
                if name in self.analysis.inputs and self.analysis.values[name].dtype.startswith("float"):
                    if node.op_type != "QuantizeLinear":
                        raise UnsupportedError(f"input {shown(name)} is used by {node.op_type} in floating point", hint=HINT)
                    found.setdefault(name, set()).add(parameters.grid(self.analysis, node))
        if many := [name for name, grids in found.items() if len(grids) > 1]:
            raise UnsupportedError(f"input {shown(many[0])} is quantised in two ways", hint="quantise it once")
        return {name: grids.pop() for name, grids in found.items()}

    def _visit(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        op, out = node.op_type, node.output[0]
        if op == "QuantizeLinear":
            self.states[out] = self._quantise(self._state(node.input[0]), parameters.grid(self.analysis, node))
        elif op == "DequantizeLinear":
            self.states[out] = self._dequantise(node.input[0], self._scales(node.input[1]), self._zeros(node, 2), attributes)
        elif op in ("QLinearConv", "QLinearMatMul"):
            self.states[out] = self._qlinear(node, attributes)
        elif op in ("ConvInteger", "MatMulInteger"):
            self.states[out] = self._integer(node)
        elif op in ("Conv", "Gemm", "MatMul"):
            bias = self._number(node.input[2]) if len(node.input) > 2 and node.input[2] else None
            states = self._real(node.input[0]), self._state(node.input[1])
            self.states[out] = self._linear(op, states, bias, attributes)
        elif op in ("Relu", "Clip"):
            self.states[out] = self._clip(self._state(node.input[0]), parameters.limits(self.analysis, node))
        elif op in windows.STEPS:
            self._window(node, attributes)
        elif op in movement.OPS:
            self._move(node, attributes)
        elif op in ("Add", "Sub"):
            self.states[out] = self._add(node, -1 if op == "Sub" else 1)
        elif op in _POST:
            self._post(node, attributes)
        else:
            self.states[out] = self._elementwise(node, attributes)

    def _state(self, name: str) -> State:
        if name not in self.states:
            raise UnsupportedError(f"{shown(name)} is a floating-point constant", hint=HINT)
        return self.states[name]

    def _real(self, name: str) -> Narrow:
        """A dequantised tensor, not clipped. Raises UnsupportedError for anything else."""
        state = self._state(name)
        if not isinstance(state, Narrow) or state.clip != Clip():
            raise UnsupportedError(f"{shown(name)} is not a dequantised tensor", hint=HINT)
        return state

    def _number(self, name: str) -> Any:
        """A constant: dequantised, or a plain array."""
        state = self.states.get(name)
        return state if isinstance(state, Constant) else parameters.number(self.analysis, name)

    def _scales(self, name: str) -> tuple[Fraction, ...]:
        return parameters.scales(self.analysis, name)

    def _zeros(self, node: onnx.NodeProto, at: int) -> Any:
        return parameters.zeros(self.analysis, node, at)

    def _quantise(self, state: State, grid: Grid) -> State:
        if isinstance(state, FloatInput):
            return self.states[f"{state.name}\0q"]
        return Quantised(tensor=quantised(self.builder, state, grid), zero=grid.zero, dtype=grid.dtype)

    def _dequantise(self, name: str, scales: tuple[Fraction, ...], zero: Any, attributes: Mapping[str, Any]) -> State:
        if attributes.get("block_size"):
            raise UnsupportedError("with blocks of scales")
        zeros = np.zeros(1, np.int64) if zero is None else np.ravel(zero).astype(np.int64)
        if name not in self.states:
            return parameters.constant(self._number(name), scales, zeros, attributes.get("axis", 1))
        state = self.states[name]
        if not isinstance(state, Quantised) or len(scales) != 1:
            raise UnsupportedError("of something other than a quantised tensor with one scale", hint=HINT)
        return Narrow(tensor=places.centred(self.builder, state, int(zeros[0])), scale=scales[0])

    def _qlinear(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> State:
        """QLinearConv and QLinearMatMul: the same as dequantising, computing and quantising."""
        x = self._dequantise(node.input[0], self._scales(node.input[1]), self._zeros(node, 2), {})
        scales = self._scales(node.input[4])
        axis = 0 if node.op_type == "QLinearConv" else -1
        weight = self._dequantise(node.input[3], scales, self._zeros(node, 5), {"axis": axis})
        grid = parameters.grid_of(self.analysis, node.input[6], self._zeros(node, 7))
        bias = None
        if len(node.input) > 8 and node.input[8] and isinstance(x, Narrow):
            values = np.asarray(self._number(node.input[8])).astype(np.int64)
            bias = Constant(
                values=values, scales=tuple(x.scale * scale for scale in scales), axis=None if len(scales) == 1 else 0
            )
        if not isinstance(x, Narrow):
            raise UnsupportedError("its first input is constant")
        op = node.op_type.removeprefix("QLinear")
        if op == "Conv":
            attributes = self._geometry(node)
        return self._quantise(self._linear(op, (x, weight), bias, attributes), grid)

    def _integer(self, node: onnx.NodeProto) -> State:
        """ConvInteger and MatMulInteger: products of integers less their zero points, as int32."""
        op, one = node.op_type.removesuffix("Integer"), (Fraction(1),)
        x = self._dequantise(node.input[0], one, self._zeros(node, 2), {})
        zeros = self._zeros(node, 3)
        axis = 0 if op == "Conv" else -1
        weight = self._dequantise(node.input[1], one if zeros is None else one * zeros.size, zeros, {"axis": axis})
        if not isinstance(x, Narrow):
            raise UnsupportedError("its first input is constant")
        attributes = self._geometry(node, 1) if op == "Conv" else {}
        made = self._linear(op, (x, weight), None, attributes)
        if any(max(-channel.low - 1, channel.high) >= 1 << 31 for channel in made.channels):
            raise UnsupportedError("its sums can leave int32, where they wrap")
        return made

    def _geometry(self, node: onnx.NodeProto, weight: int = 3) -> dict[str, Any]:
        """Attributes of a QLinearConv or ConvInteger with defaults filled in, which are those of a Conv."""
        conv = onnx.NodeProto(op_type="Conv", name=node.name, attribute=node.attribute)
        shapes = [self.analysis.values[name].shape for name in (node.input[0], node.input[weight], node.output[0])]
        schema = onnx.defs.get_schema("Conv", self.analysis.opset, "")
        return attributes_of(with_defaults(conv, schema, shapes[:2], shapes[2:]))

    def _linear(self, op: str, states: tuple[Narrow, State], bias: Any, attributes: Mapping[str, Any]) -> Accumulator:
        x, weight = states
        if not isinstance(weight, Constant):
            raise UnsupportedError("its weights are not quantised constants", hint="quantise its weights too")
        return linear.accumulator(self.builder, op, x, weight, bias, attributes)

    def _clip(self, state: State, clip: Clip) -> State:
        if isinstance(state, Narrow | Accumulator | Sum):
            return replace(state, clip=state.clip.then(clip))
        raise UnsupportedError("of a value that is neither dequantised nor a sum of products", hint=HINT)

    def _window(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        source, out = node.input[0], node.output[0]
        if node.op_type == "ReduceMean" and len(node.input) > 1:
            attributes["axes"] = np.ravel(self._number(node.input[1])).tolist()
        shapes = self.analysis.values[source].shape, self.analysis.values[out].shape
        for name, step in windows.STEPS[node.op_type](out, source, attributes, shapes).items():
            if isinstance(step, Largest):
                self.states[name] = places.moved(self._state(source), partial(largest, self.builder, step))
            elif isinstance(step, Average):
                self.states[name] = places.average(self.builder, step, self._real(source))
            elif isinstance(step, Move):
                self.states[name] = places.reshaped(self.builder, self.states[step.sources[0]], shapes[1])
            else:
                assert isinstance(step, Affine)
                self.states[name] = places.weighted(self.builder, self.states[step.source], step.factor)

    def _move(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        names, outs = movement.sources(node), [name for name in node.output if name]
        shapes = [self.analysis.values[name].shape for name in names]
        numbers = [v.constant if (v := self.analysis.values.get(name)) else None for name in node.input]
        moves = movement.OPS[node.op_type](attributes, numbers, shapes, [self.analysis.values[out].shape for out in outs])
        states = [self._state(name) for name in names]
        for out, move in zip(outs, moves, strict=True):
            self.states[out] = places.placed(self.builder, states, move, attributes)

    def _add(self, node: onnx.NodeProto, sign: int) -> State:
        states = [self.states.get(name) for name in node.input]
        if all(isinstance(state, Narrow) for state in states):
            left, right = (self._real(name) for name in node.input)
            if self.builder.shapes[left.tensor] != self.builder.shapes[right.tensor]:
                raise UnsupportedError("its operands differ in shape", hint="expand them to one shape before adding")
            return Sum(tensors=(left.tensor, right.tensor), factors=(left.scale, sign * right.scale))
        if isinstance(states[0], Accumulator) and states[0].clip == Clip():
            return linear.with_bias(states[0], self._number(node.input[1]), sign, self.analysis.values[node.output[0]].shape)
        if isinstance(states[1], Accumulator) and sign == 1 and states[1].clip == Clip():
            return linear.with_bias(states[1], self._number(node.input[0]), 1, self.analysis.values[node.output[0]].shape)
        return self._elementwise(node, attributes_of(node))

    def _elementwise(self, node: onnx.NodeProto, attributes: Mapping[str, Any]) -> State:
        op = node.op_type
        computed = [name for name in node.input if name in self.states and not isinstance(self.states[name], Constant)]
        if op in functions.UNARY and len(computed) == 1:
            return self._applied(computed[0], functions.unary(op, attributes))
        if op in functions.BINARY and len(computed) == 1 and len(node.input) == 2:
            parts = [functions.identity if name == computed[0] else functions.constant(self._scalar(name)) for name in node.input]
            return self._applied(computed[0], functions.both(op, *parts))
        raise UnsupportedError("cannot be lowered exactly", hint=HINT)

    def _scalar(self, name: str) -> float:
        number = self._number(name)
        values = np.ravel(number.values * float(number.scales[0]) if isinstance(number, Constant) else number)
        if values.size != 1:
            raise UnsupportedError("with a constant tensor", hint="use a constant number")
        return float(values[0])

    def _applied(self, name: str, function: functions.Function) -> Applied:
        state = self._state(name)
        if isinstance(state, Applied):
            return replace(state, function=functions.after(function, state.function))
        x = self._real(name)
        return Applied(tensor=x.tensor, scale=x.scale, function=function)

    def _post(self, node: onnx.NodeProto, attributes: Mapping[str, Any]) -> None:
        out, source = node.output[0], self._state(node.input[0])
        if out not in self.analysis.outputs or any(out in other.input for other in self.analysis.nodes):
            raise UnsupportedError("within the model", hint="only as its last step, and not quantised itself")
        if attributes.get("select_last_index"):
            raise UnsupportedError("with select_last_index")
        axis = attributes["axis"] % len(self.analysis.values[node.input[0]].shape)
        self.states[out] = Posted(value=source, post=_POST[node.op_type], axis=axis)

    def _output(self, name: str) -> Output:
        state, post, axis = self.states[name], "none", 0
        if isinstance(state, Posted):
            state, post, axis = state.value, state.post, state.axis
        tensor, scale = self._exact(name, state)
        value = self.analysis.values[name]
        return Output(name=name, dtype=value.dtype, shape=value.shape, tensor=tensor, scale=scale, post=post, axis=axis)

    def _exact(self, name: str, state: State) -> tuple[int, float]:
        """The tensor of an output, and its scale: exact, or refused."""
        if isinstance(state, Quantised):
            return places.centred(self.builder, state, 0), 1.0
        if isinstance(state, Narrow) and state.clip == Clip():
            return state.tensor, float(state.scale)
        if isinstance(state, Accumulator) and state.clip == Clip() and len({c.factor for c in state.channels}) == 1:
            unit = state.channels[0].factor
            biases = [channel.shift / unit for channel in state.channels]
            if all(bias.denominator == 1 for bias in biases) and Fraction(float(unit)) == unit:
                return state.emit((1,) * len(biases), tuple(int(bias) for bias in biases)), float(unit)
        raise UnsupportedError(f"output {shown(name)} is not quantised, and has no one exact scale", hint="quantise the output")
