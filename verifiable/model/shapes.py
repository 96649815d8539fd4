# SPDX-License-Identifier: Apache-2.0
"""What is known of a graph's values, which of its nodes matter, and how free axes get their sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from verifiable.errors import MalformedError
from verifiable.model.defects import Defect
from verifiable.model.guard import shown
from verifiable.model.onnx_file import TensorInfo
from verifiable.model.tensors import graphs_in

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

#: Elements of one value; a proof system gives up long before.
MAX_ELEMENTS = 1 << 27


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What is known of a value: dtype, fixed shape, and its contents where they do not depend on the inputs."""

    dtype: str
    shape: tuple[int, ...]
    constant: NDArray[np.generic] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """``nodes``: those that are left to compute, attributes spelled out; ``values``: everything whose shape is known."""

    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[onnx.NodeProto, ...]
    values: Mapping[str, Value]
    defects: tuple[Defect, ...]


def live(nodes: Sequence[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that the outputs depend on, in their order; a subgraph's uses count as its node's."""
    needed = set(outputs)
    kept = []
    for node in reversed(nodes):
        if needed.intersection(filter(None, node.output)):
            kept.append(node)
            needed.update(node.input)
            inner = [g for a in node.attribute for g in [*a.graphs, *([a.g] if a.HasField("g") else [])]]
            needed.update(name for top in inner for graph in graphs_in(top) for n in graph.node for name in n.input)
    return kept[::-1]


def bind(infos: Sequence[TensorInfo], dims: Mapping[str, int]) -> tuple[dict[str, tuple[int, ...]], list[Defect]]:
    """Fixed shapes for the inputs, and a defect for each axis that ``dims`` leaves free.

    A key of ``dims`` is the name of a free axis, or ``input[axis]`` for one that has none. Raises MalformedError for a key that
    matches nothing, and for a size that is no positive number.
    """
    for name, size in dims.items():
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MAX_ELEMENTS:
            raise MalformedError(f"axis {shown(name)}: {size!r} is not a size between 1 and {MAX_ELEMENTS:,}")
    shapes: dict[str, tuple[int, ...]] = {}
    defects = []
    for info in infos:
        keys = _axis_keys(info)
        free = [key for key, axis in zip(keys, info.shape, strict=True) if not isinstance(axis, int) and key not in dims]
        if free:
            fix = " ".join(f"--dim '{key}=1'" if "[" in key else f"--dim {key}=1" for key in dict.fromkeys(free))
            reason = f"axis {', '.join(map(shown, free))} has no fixed size"
            defects.append(Defect(where=info.name, reason=reason, fix=f"fix it with {fix} (or another size)"))
        else:
            axes = zip(keys, info.shape, strict=True)
            shapes[info.name] = tuple(axis if isinstance(axis, int) else dims[key] for key, axis in axes)
    free_ones = free_axes(infos)
    if unknown := sorted(set(dims) - set(free_ones)):
        hint = f"it has: {', '.join(free_ones) or 'none'}"
        raise MalformedError(f"axis {shown(unknown[0])}: the model has no free axis of that name", hint=hint)
    return shapes, defects


def free_axes(infos: Sequence[TensorInfo]) -> list[str]:
    """The axes without a fixed size, as :func:`bind` wants them called, each once."""
    keys = [key for info in infos for key, axis in zip(_axis_keys(info), info.shape, strict=True) if not isinstance(axis, int)]
    return list(dict.fromkeys(keys))


def _axis_keys(info: TensorInfo) -> list[str]:
    return [axis if isinstance(axis, str) else f"{info.name}[{i}]" for i, axis in enumerate(info.shape)]
