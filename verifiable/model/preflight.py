# SPDX-License-Identifier: Apache-2.0
"""Can this model be proved? Every node, with its reason and its remedy, and all defects in one report.

A sound model is judged in its normalised form, which is what would be proved. A model with defects is judged as it stands, as
far as its shapes can be told, so that one report names everything there is to change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from verifiable.digest import Digest
from verifiable.model import isolation
from verifiable.model.costs import multiply_adds
from verifiable.model.defects import Defect, refusal
from verifiable.model.onnx_file import Model, TensorInfo
from verifiable.model.shapes import bind

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from verifiable.model.shapes import Analysis

Shape = tuple[int, ...]
_REMOVABLE = {"Identity", "Dropout", "BatchNormalization", "Constant", "ConstantOfShape", "Shape", "Size", "Range"}
_NO_DIMS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A node as an operator rule sees it: defaulted attributes filled in, shapes fixed.

    ``attributes`` holds Python values (int, float, str, lists of them). ``constants`` maps the index of each input that is an
    initializer to its value, so ``1 in node.constants`` asks whether input 1 is one. An omitted optional input has an empty
    shape and an empty dtype.
    """

    op: str
    name: str
    attributes: Mapping[str, Any]
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    constants: Mapping[int, NDArray[np.generic]]
    input_dtypes: tuple[str, ...] = ()


#: None when the node can be proved, else the reason why not, with the fix.
OperatorRule = Callable[[NodeView], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """One node: ``provable``, or ``reason`` why not and ``fix``; shapes are None where they cannot be told."""

    name: str
    op: str
    input_shapes: tuple[Shape | None, ...]
    output_shapes: tuple[Shape | None, ...]
    multiply_adds: int = 0
    reason: str = ""
    fix: str = ""

    @property
    def provable(self) -> bool:
        return not self.reason

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "op": self.op, "inputs": [_listed(s) for s in self.input_shapes],
            "outputs": [_listed(s) for s in self.output_shapes], "multiplyAdds": self.multiply_adds,
            "provable": self.provable, "reason": self.reason, "fix": self.fix,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What preflight found. ``normalised`` says whether ``nodes`` are those that would be proved or those of the file.

    ``parameters``: elements of the weights. ``multiply_adds``: of one run. ``activations``: elements of all node outputs.
    """

    model: Digest
    nodes: tuple[NodeReport, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    parameters: int
    multiply_adds: int
    activations: int
    defects: tuple[Defect, ...]
    normalised: bool

    def require(self) -> None:
        """Raises UnsupportedError, or MalformedError for a model that is wrong in itself, if there is any defect."""
        if self.defects:
            raise refusal(self.defects)

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model.hex, "provable": not self.defects, "normalised": self.normalised,
            "parameters": self.parameters, "multiplyAdds": self.multiply_adds, "activations": self.activations,
            "inputs": [_info_json(info) for info in self.inputs], "outputs": [_info_json(info) for info in self.outputs],
            "nodes": [node.to_json() for node in self.nodes], "defects": [defect.to_json() for defect in self.defects],
        }  # fmt: skip


def preflight(
    model: Model, *, operators: Mapping[str, OperatorRule], dims: Mapping[str, int] = _NO_DIMS, seconds: float | None = None
) -> Report:
    """Judge every node of ``model`` by the proof system's rules. Defects are reported, not raised.

    Raises MalformedError only for ``dims`` that name no free axis or give it no size, and for a model that crashes the libraries;
    FatalStateError when it takes more than ``seconds``.
    """
    from verifiable.model.survey import unpack

    bind(model.inputs, dims)
    found = unpack(*isolation.ask("survey", model.data, dims, seconds=seconds))
    if found.analysis is None:
        return _empty(model, found.defects)
    return _judged(model, found.analysis, operators, found.defects, normalised=found.normalised)


def _judged(
    model: Model, analysis: Analysis, operators: Mapping[str, OperatorRule], defects: Sequence[Defect], *, normalised: bool
) -> Report:
    by_node = {(defect.where, defect.op): defect for defect in defects if defect.op}
    nodes = tuple(_node_report(node, analysis, operators, by_node) for node in analysis.nodes)
    found = [
        Defect(where=n.name, op=n.op, reason=n.reason, fix=n.fix) for n in nodes if n.reason and (n.name, n.op) not in by_node
    ]
    weights = {name for node in analysis.nodes for name in node.input if name in analysis.values}
    constants = [analysis.values[name].constant for name in sorted(weights)]
    return Report(
        model=model.digest,
        nodes=nodes,
        inputs=_infos(analysis, analysis.inputs) if normalised else model.inputs,
        outputs=_infos(analysis, analysis.outputs) if normalised else model.outputs,
        parameters=sum(array.size for array in constants if array is not None),
        multiply_adds=sum(node.multiply_adds for node in nodes),
        activations=sum(math.prod(shape) for node in nodes for shape in node.output_shapes if shape is not None),
        defects=(*defects, *found),
        normalised=normalised,
    )


def _node_report(
    node: onnx.NodeProto, analysis: Analysis, operators: Mapping[str, OperatorRule], defects: Mapping[tuple[str, str], Defect]
) -> NodeReport:
    from verifiable.model.tensors import node_name

    values, name = analysis.values, node_name(node)
    known = all(n in values for n in [*node.input, *node.output] if n)
    told, macs = defects.get((name, node.op_type)), 0
    reason, fix = (told.reason, told.fix) if told else ("", "")
    if known and not told:
        view = _view(node, analysis)
        macs = multiply_adds(view.op, view.attributes, view.input_shapes, view.output_shapes)
        reason = _judgement(view, view.op, operators)
    elif not told:
        reason = _judgement(None, node.op_type, operators)
    return NodeReport(
        name=name,
        op=node.op_type,
        input_shapes=tuple(values[n].shape if n in values else None for n in node.input if n),
        output_shapes=tuple(values[n].shape if n in values else None for n in node.output if n),
        multiply_adds=macs,
        reason=reason,
        fix=fix,
    )


def _judgement(view: NodeView | None, op: str, operators: Mapping[str, OperatorRule]) -> str:
    """The rule's reason; without a view (unknown shapes) only whether there is a rule."""
    if op in operators:
        return (operators[op](view) or "") if view is not None else ""
    # In a model that could not be normalised these would be gone, or folded, once its other defects are.
    if op in _REMOVABLE:
        return ""
    return f"the proof system has no operator {op}; express it with others, or remove it"


def _view(node: onnx.NodeProto, analysis: Analysis) -> NodeView:
    from verifiable.model.defaults import attributes_of
    from verifiable.model.tensors import node_name

    inputs = [analysis.values.get(name) for name in node.input]
    return NodeView(
        op=node.op_type,
        name=node_name(node),
        attributes=MappingProxyType(attributes_of(node)),
        input_shapes=tuple(value.shape if value else () for value in inputs),
        output_shapes=tuple(analysis.values[name].shape for name in node.output if name),
        constants=MappingProxyType({i: v.constant for i, v in enumerate(inputs) if v is not None and v.constant is not None}),
        input_dtypes=tuple(value.dtype if value else "" for value in inputs),
    )


def _empty(model: Model, defects: Sequence[Defect]) -> Report:
    return Report(
        model=model.digest, nodes=(), inputs=model.inputs, outputs=model.outputs, parameters=0, multiply_adds=0, activations=0,
        defects=tuple(defects), normalised=False,
    )  # fmt: skip


def _infos(analysis: Analysis, names: Sequence[str]) -> tuple[TensorInfo, ...]:
    values = [(name, analysis.values[name]) for name in names]
    return tuple(TensorInfo(name=name, dtype=value.dtype, shape=value.shape) for name, value in values)


def _listed(shape: Shape | None) -> list[int] | None:
    return None if shape is None else list(shape)


def _info_json(info: TensorInfo) -> dict[str, Any]:
    return {"name": info.name, "dtype": info.dtype, "shape": list(info.shape)}
