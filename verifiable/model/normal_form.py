# SPDX-License-Identifier: Apache-2.0
"""How the normal form is reached. Runs in the child process of :mod:`.isolation`; everybody else calls :mod:`.normalise`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from verifiable.errors import UnsupportedError
from verifiable.model.defects import Defect, refusal
from verifiable.model.guard import guarded, shown
from verifiable.model.onnx_file import Model, parse_proto
from verifiable.model.shapes import bind

if TYPE_CHECKING:
    import onnx

    from verifiable.model.shapes import Analysis

#: Older operator sets are brought up to this one; between it and MAX_OPSET a model keeps its own.
BASE_OPSET = 13
_MAX_ROUNDS = 8


def normal_form(model: Model, dims: Mapping[str, int]) -> bytes:
    """See :func:`verifiable.model.normalise.normalise`. Raises MalformedError, UnsupportedError."""
    from verifiable.model.agreement import check_agreement
    from verifiable.model.analysis import analyse

    shapes, defects = bind(model.inputs, dims)
    if defects:
        raise refusal(defects)
    proto, opset = upgraded(model, shapes)
    first = analyse(proto.graph, opset, shapes)
    _require(first)
    result = _serialise(_reduced(first), opset)
    check_agreement(_serialise(_fixed(proto.graph, first), opset), result, first)
    Model.parse(result)  # e.g. a negative variance makes weights that are NaN
    return result


def upgraded(model: Model, shapes: Mapping[str, tuple[int, ...]]) -> tuple[onnx.ModelProto, int]:
    """The model's proto with fixed input shapes, at a supported operator set, and that set's version."""
    import onnx.version_converter

    proto = parse_proto(model.data)
    opset = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    for value in proto.graph.input:
        if value.name in shapes:
            for dim, size in zip(value.type.tensor_type.shape.dim, shapes[value.name], strict=True):
                dim.dim_value = size
    del proto.graph.value_info[:]  # what a file says of its inner shapes is not needed, so it cannot mislead
    for value in proto.graph.output:
        value.type.tensor_type.ClearField("shape")
    if opset >= BASE_OPSET:
        return proto, opset
    hint = "export the model again with opset_version=17"
    with guarded(f"model: cannot be brought from operator set {opset} to {BASE_OPSET}", kind=UnsupportedError, hint=hint):
        return onnx.version_converter.convert_version(proto, BASE_OPSET), BASE_OPSET


def _require(analysis: Analysis) -> None:
    if analysis.defects:
        raise refusal(analysis.defects)


def _reduced(first: Analysis) -> onnx.GraphProto:
    """Simplify until nothing changes, under neutral names; then the file's own names again."""
    from verifiable.model.rewrite import lower_batchnorm, lower_gemm, renamed, simplify, to_graph, unusual_gemm

    graph = to_graph(first)
    order = [*first.inputs, *first.outputs, *(n for node in graph.node for n in [*node.input, *node.output] if n)]
    neutral = {name: f"v{i}" for i, name in enumerate(dict.fromkeys(order))}
    labels = {(neutral[node.output[0]], node.op_type): node.name or node.output[0] for node in graph.node}
    graph = renamed(graph, neutral, {})
    if any(unusual_gemm(node, first) for node in first.nodes):
        graph = to_graph(_again(lower_gemm(_again(graph, first, neutral)), first, neutral))
    for step in [simplify] * _MAX_ROUNDS:
        before = graph
        graph = to_graph(_again(step(before, first.opset), first, neutral))
        if graph == before:
            break
    graph = to_graph(_again(lower_batchnorm(_again(graph, first, neutral)), first, neutral))
    _refuse_copies(graph, {short: name for name, short in neutral.items()})
    names = _restored(graph, {short: name for name, short in neutral.items()})
    return renamed(graph, names, labels)


def _refuse_copies(graph: onnx.GraphProto, original: Mapping[str, str]) -> None:
    """What simplifying could not remove of Identity copies an output; of an input, there would be nothing to prove."""
    inputs = {value.name for value in graph.input}
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in inputs:
            reason = f"this output is input {shown(original[node.input[0]])}, unchanged"
            raise refusal([Defect(where=original[node.output[0]], reason=reason, fix="remove it from the model")])


def _again(graph: onnx.GraphProto, first: Analysis, neutral: Mapping[str, str]) -> Analysis:
    """Analyse a rewritten graph; it must still have the inputs, outputs and shapes that it had."""
    from verifiable.model.analysis import analyse

    shapes = {neutral[name]: first.values[name].shape for name in first.inputs}
    analysis = analyse(graph, first.opset, shapes)
    _require(analysis)
    for before, after in ((first.inputs, analysis.inputs), (first.outputs, analysis.outputs)):
        wanted = [(neutral[name], first.values[name].dtype, first.values[name].shape) for name in before]
        if wanted != [(name, analysis.values[name].dtype, analysis.values[name].shape) for name in after]:
            raise UnsupportedError("model: simplifying it changed its inputs or outputs")
    return analysis


def _restored(graph: onnx.GraphProto, original: Mapping[str, str]) -> dict[str, str]:
    """Neutral name -> the file's name; names that the optimiser made are built from the nearest one and kept distinct."""
    names: dict[str, str] = {}
    taken = set(original.values())
    for node in graph.node:
        for name in [*node.output, *node.input]:
            if not name or name in names:
                continue
            stem, _, rest = name.partition("_")
            wanted = original[name] if name in original else f"{original.get(stem, stem)}_{rest}"
            while name not in original and wanted in taken:
                wanted += "_"
            taken.add(wanted)
            names[name] = wanted
    return names


def _fixed(graph: onnx.GraphProto, analysis: Analysis) -> onnx.GraphProto:
    """The graph before any rewriting, with outputs typed, for comparison."""
    import onnx

    from verifiable.model.rewrite import to_graph

    result = onnx.GraphProto()
    result.CopyFrom(graph)
    del result.output[:]
    result.output.extend(to_graph(analysis).output)
    return result


def _serialise(graph: onnx.GraphProto, opset: int) -> bytes:
    """Deterministic bytes; IR version 8 is the oldest that every supported operator set may be written in by exporters."""
    from onnx import helper

    del graph.value_info[:]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    with guarded("model: cannot be written"):
        data: bytes = model.SerializeToString(deterministic=True)
    return data
