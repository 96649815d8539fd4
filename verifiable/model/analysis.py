# SPDX-License-Identifier: Apache-2.0
"""One walk over a graph: fixed shapes for every value, constants folded, defects collected.

Nothing is computed before its size is known. Shapes come node by node from ``onnx.shape_inference`` and from the constants
found so far; the library's own data propagation is not used, since a chain of ``Concat`` makes it allocate without bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx.shape_inference
from onnx import defs, helper

from verifiable.encoding.tensor import DTYPES, MAX_RANK
from verifiable.errors import Error, MalformedError, UnsupportedError
from verifiable.model.admission import inadmissible
from verifiable.model.costs import multiply_adds
from verifiable.model.defaults import attributes_of, with_defaults
from verifiable.model.defects import Defect
from verifiable.model.folding import MAX_CONSTANT, MAX_CONSTANTS, Array, fold, foldable
from verifiable.model.guard import reason, shown
from verifiable.model.shapes import MAX_ELEMENTS, Analysis, Value, live
from verifiable.model.tensors import CODES, dtype_name, from_array, node_name, to_array

#: Elements of all values together, and products; a proof system gives up long before.
MAX_ALL_ELEMENTS = 1 << 29
MAX_MULTIPLY_ADDS = 1 << 36
# Constants up to this size are shown to shape inference; shapes, axes and scales are short.
_MAX_HINT = 1 << 10


def analyse(graph: onnx.GraphProto, opset: int, shapes: Mapping[str, tuple[int, ...]]) -> Analysis:
    """Walk a checked graph whose inputs have these shapes; what cannot be used becomes a defect, never an exception.

    An input without a shape is unknown, and so is what depends on it.
    """
    outputs = tuple(value.name for value in graph.output)
    nodes = live(graph.node, outputs)
    walk = _Walk(opset=opset, kept_names={name for node in nodes for name in node.input} | set(outputs))
    walk.read_values(graph, shapes)
    for node in nodes:
        walk.visit(node)
    weights = {tensor.name for tensor in graph.initializer}
    inputs = tuple(value.name for value in graph.input if value.name not in weights)
    left = tuple(live(walk.nodes, outputs))
    walk.check_ends(inputs, outputs, left)
    return Analysis(
        opset=opset, inputs=inputs, outputs=outputs, nodes=left, values=walk.values, defects=tuple(walk.defects)
    )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class _Walk:
    """The state of one walk; lives no longer than :func:`analyse`."""

    opset: int
    kept_names: set[str]
    values: dict[str, Value] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    elements: int = 0
    folded: int = 0
    products: int = 0

    def read_values(self, graph: onnx.GraphProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
        for tensor in graph.initializer:
            if tensor.name in self.kept_names:
                try:
                    array = to_array(tensor, "its weight")
                    self.values[tensor.name] = Value(dtype=array.dtype.name, shape=array.shape, constant=array)
                except Error as error:
                    self._defect(tensor.name, "", error)
        for value in graph.input:
            if value.name in self.values or value.name not in shapes:
                continue
            dtype, shape = dtype_name(value.type.tensor_type.elem_type), shapes[value.name]
            if dtype not in DTYPES or math.prod(shape) > MAX_ELEMENTS or len(shape) > MAX_RANK:
                self.defects.append(
                    Defect(where=value.name, reason=f"an input of {dtype}{list(shape)}", fix="use numbers, and fewer of them")
                )
            else:
                self.values[value.name] = Value(dtype=dtype, shape=shape)

    def visit(self, node: onnx.NodeProto) -> None:
        """Find the node's output shapes, compute it if it is constant, else keep it with its attributes spelled out."""
        name = node_name(node)
        try:
            if (defect := inadmissible(node, self.opset, self.values, self.kept_names)) is not None:
                self.defects.append(defect)
                self.nodes.append(node)
            elif any(i and i not in self.values for i in node.input):
                self.nodes.append(node)  # what it depends on has been reported
            else:
                self._infer(node)
        except Error as error:
            self._defect(name, node.op_type, error)
            self.nodes.append(node)
        except Exception as error:  # noqa: BLE001 - onnx documents no exception types; each is a defect of this node
            self.defects.append(Defect(where=name, op=node.op_type, reason=reason(error), malformed=True))
            self.nodes.append(node)

    def check_ends(self, inputs: Sequence[str], outputs: Sequence[str], nodes: Sequence[onnx.NodeProto]) -> None:
        """Every input must matter and every output depend on one; otherwise a proof would speak of nothing."""
        used = {name for node in nodes for name in node.input}
        for name in inputs:
            if name not in used and not self.defects:
                self.defects.append(Defect(where=name, reason="no output depends on this input", fix="remove it from the model"))
        for name in outputs:
            if name in self.values and self.values[name].constant is not None:
                self.defects.append(Defect(where=name, reason="this output does not depend on any input", fix="remove it"))
            elif name in inputs:
                self.defects.append(Defect(where=name, reason="this output is an input, unchanged", fix="remove it"))

    def _infer(self, node: onnx.NodeProto) -> None:
        inputs = {name: self.values[name] for name in node.input if name}
        schema = defs.get_schema(node.op_type, self.opset, "")
        types = {name: helper.make_tensor_type_proto(CODES[v.dtype], v.shape) for name, v in inputs.items()}
        small = {
            n: from_array(v.constant, n) for n, v in inputs.items() if v.constant is not None and v.constant.size <= _MAX_HINT
        }
        imports = [helper.make_opsetid("", self.opset)]
        inferred = onnx.shape_inference.infer_node_outputs(schema, node, types, small, opset_imports=imports)
        dtypes = {name: _element_type(inferred, name) for name in node.output if name}
        shapes = {name: _fixed_shape(inferred, name) for name in dtypes}
        if self._fold(node, inputs, dtypes, shapes):
            return
        if unknown := [name for name, shape in shapes.items() if shape is None]:
            raise MalformedError(
                f"the shape of {shown(unknown[0])} depends on the values of its inputs", hint="export the model with fixed shapes"
            )
        fixed = {name: shape for name, shape in shapes.items() if shape is not None}
        self._spend(fixed, dtypes)
        spelled = with_defaults(node, schema, [v.shape for v in self._slots(node)], list(fixed.values()))
        self._count(spelled, [v.shape for v in self._slots(node)], list(fixed.values()))
        self.values.update({name: Value(dtype=dtypes[name], shape=shape) for name, shape in fixed.items()})
        self.nodes.append(spelled)

    def _slots(self, node: onnx.NodeProto) -> list[Value]:
        nothing = Value(dtype="float32", shape=())
        return [self.values[name] if name else nothing for name in node.input]

    def _fold(
        self,
        node: onnx.NodeProto,
        inputs: Mapping[str, Value],
        dtypes: Mapping[str, str],
        shapes: Mapping[str, tuple[int, ...] | None],
    ) -> bool:
        """Compute the node now, if its result is known already; sizes first."""
        if node.op_type in ("Shape", "Size"):
            folded = _shape_of(node, inputs[node.input[0]].shape)
        else:
            constants = {name: v.constant for name, v in inputs.items() if v.constant is not None}
            if len(constants) != len(inputs) or not foldable(node.op_type, list(constants.values())):
                return False
            sizes = {name: math.prod(s) * DTYPES[dtypes[name]] for name, s in shapes.items() if s is not None}
            if any(size > MAX_CONSTANT for size in sizes.values()) or self.folded + sum(sizes.values()) > MAX_CONSTANTS:
                raise MalformedError(
                    f"its constant result of {sum(sizes.values()):,} bytes is too large to compute", hint="give it as an input"
                )
            if node.op_type != "NonZero" and len(sizes) != len(shapes):
                return False
            folded = fold(node, constants, dtypes, self.opset)
        self.folded += sum(array.nbytes for array in folded.values())
        self.values.update({n: Value(dtype=a.dtype.name, shape=a.shape, constant=a) for n, a in folded.items()})
        return True

    def _spend(self, shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, str]) -> None:
        sizes = {name: math.prod(shape) for name, shape in shapes.items()}
        self.elements += sum(sizes.values())
        for name, size in sizes.items():
            if len(shapes[name]) > MAX_RANK or size == 0:
                raise MalformedError(
                    f"{shown(name)} would be {dtypes[name]}{list(shapes[name])[:12]}, which cannot be computed with"
                )
            if size > MAX_ELEMENTS or self.elements > MAX_ALL_ELEMENTS:
                raise MalformedError(
                    f"{shown(name)} would have {size:,} elements, beyond any proof", hint="make the model smaller"
                )

    def _count(self, node: onnx.NodeProto, inputs: Sequence[tuple[int, ...]], outputs: Sequence[tuple[int, ...]]) -> None:
        self.products += multiply_adds(node.op_type, attributes_of(node), inputs, outputs)
        if self.products > MAX_MULTIPLY_ADDS:
            raise MalformedError(
                f"more than {MAX_MULTIPLY_ADDS:,} multiply-adds, beyond any proof", hint="make the model smaller"
            )

    def _defect(self, where: str, op: str, error: Error) -> None:
        malformed = isinstance(error, MalformedError)
        self.defects.append(Defect(where=where, op=op, reason=error.message, fix=error.hint, malformed=malformed))


def _shape_of(node: onnx.NodeProto, shape: tuple[int, ...]) -> dict[str, Array]:
    """Shape and Size need only the shape of their input, so they fold even when its contents are unknown."""
    attributes = attributes_of(node)
    part = shape[slice(attributes.get("start", 0), attributes.get("end"))]
    return {node.output[0]: np.array(part if node.op_type == "Shape" else math.prod(shape), np.int64)}


def _element_type(inferred: Mapping[str, onnx.TypeProto], name: str) -> str:
    if name not in inferred or inferred[name].WhichOneof("value") != "tensor_type":
        raise MalformedError(f"what {shown(name)} is cannot be told before it is computed", hint="use plain tensor operators")
    if (dtype := dtype_name(inferred[name].tensor_type.elem_type)) not in DTYPES:
        raise UnsupportedError(f"{shown(name)} is of type {dtype}, which cannot be proved", hint="export the model in float32")
    return dtype


def _fixed_shape(inferred: Mapping[str, onnx.TypeProto], name: str) -> tuple[int, ...] | None:
    tensor = inferred[name].tensor_type
    if not tensor.HasField("shape") or any(not dim.HasField("dim_value") or dim.dim_value < 0 for dim in tensor.shape.dim):
        return None
    return tuple(dim.dim_value for dim in tensor.shape.dim)
