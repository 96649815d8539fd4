# SPDX-License-Identifier: Apache-2.0
"""What preflight has to know of a model, gathered in the child process and carried to the parent.

The graph travels as ONNX: weights and folded constants as initializers, known shapes as value infos. Only protobuf reads it on
the other side; neither shape inference nor onnxruntime sees the model there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from verifiable.errors import Error, MalformedError
from verifiable.model.defects import Defect
from verifiable.model.onnx_file import Model
from verifiable.model.shapes import Analysis, Value, bind, free_axes

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """``analysis`` of the normal form if ``normalised``, else of the model as it stands; None if not even that can be had."""

    analysis: Analysis | None
    defects: tuple[Defect, ...]
    normalised: bool


def survey(model: Model, dims: Mapping[str, int]) -> Survey:
    """Everything that is wrong with the model itself. Raises MalformedError only for ``dims`` that fit no axis."""
    from verifiable.model.analysis import analyse
    from verifiable.model.normal_form import normal_form, upgraded

    _, defects = bind(model.inputs, dims)
    sizes = {**dict.fromkeys(free_axes(model.inputs), 1), **dims}  # so that an unbound axis hides no other defect
    try:
        proved = Model.parse(normal_form(model, sizes))
        shapes, _ = bind(proved.inputs, {})
        proto, opset = upgraded(proved, shapes)
        return Survey(analysis=analyse(proto.graph, opset, shapes), defects=tuple(defects), normalised=True)
    except Error as error:
        failure = error
    try:
        shapes, _ = bind(model.inputs, sizes)
        proto, opset = upgraded(model, shapes)
        analysis = analyse(proto.graph, opset, shapes)
    except Error as error:
        return Survey(analysis=None, defects=(*defects, _as_defect(error)), normalised=False)
    # With a guessed size, what fails may be the guess; with none, a failure that no node explains is one of its own.
    unexplained = [] if analysis.defects or defects else [_as_defect(failure)]
    return Survey(analysis=analysis, defects=(*defects, *analysis.defects, *unexplained), normalised=False)


def pack(found: Survey) -> tuple[dict[str, Any], bytes]:
    """A JSON header and the graph."""
    defects = [{**defect.to_json(), "malformed": defect.malformed} for defect in found.defects]
    header: dict[str, Any] = {"normalised": found.normalised, "defects": defects, "graph": found.analysis is not None}
    if found.analysis is None:
        return header, b""
    header |= {"opset": found.analysis.opset, "inputs": found.analysis.inputs, "outputs": found.analysis.outputs}
    return header, _graph(found.analysis).SerializeToString()


def unpack(header: Mapping[str, Any], data: bytes) -> Survey:
    """The inverse of :func:`pack`."""
    defects = tuple(Defect(**defect) for defect in header["defects"])
    analysis = None
    if header["graph"]:
        analysis = _analysis(data, header["opset"], tuple(header["inputs"]), tuple(header["outputs"]))
    return Survey(analysis=analysis, defects=defects, normalised=header["normalised"])


def _graph(analysis: Analysis) -> onnx.GraphProto:
    import onnx
    from onnx import helper

    from verifiable.model.tensors import CODES, from_array

    used = dict.fromkeys(
        [*analysis.inputs, *analysis.outputs, *(n for node in analysis.nodes for n in [*node.input, *node.output])]
    )
    graph = onnx.GraphProto(node=analysis.nodes)
    for name in used:
        if (value := analysis.values.get(name)) is None:
            continue
        if value.constant is not None:
            graph.initializer.append(from_array(value.constant, name))
        else:
            graph.value_info.append(helper.make_tensor_value_info(name, CODES[value.dtype], value.shape))
    return graph


def _analysis(data: bytes, opset: int, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Analysis:
    import onnx

    from verifiable.model.tensors import dtype_name, to_array

    graph = onnx.GraphProto.FromString(data)
    values: dict[str, Value] = {}
    for tensor in graph.initializer:
        array = to_array(tensor, "constant")
        values[tensor.name] = Value(dtype=array.dtype.name, shape=array.shape, constant=array)
    for info in graph.value_info:
        kind = info.type.tensor_type
        values[info.name] = Value(dtype=dtype_name(kind.elem_type), shape=tuple(d.dim_value for d in kind.shape.dim))
    return Analysis(opset=opset, inputs=inputs, outputs=outputs, nodes=tuple(graph.node), values=values, defects=())


def _as_defect(error: Error) -> Defect:
    reason = error.message.removeprefix("model: ")
    return Defect(where="", reason=reason, fix=error.hint, malformed=isinstance(error, MalformedError))
