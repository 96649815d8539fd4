# SPDX-License-Identifier: Apache-2.0
"""A model as it comes from a stranger: read, never trusted.

Sizes are capped before reading, the skeleton before parsing, every tensor before it is looked at; what is left
is checked by ``onnx.checker`` and by rules of ours that it lacks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from verifiable import files
from verifiable.digest import Digest
from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.external import embed
from verifiable.model.guard import guarded, shown
from verifiable.model.tensors import check_tensor, dtype_name, has_sparse, node_name, tensors_in
from verifiable.model.wire import check_skeleton

if TYPE_CHECKING:
    import onnx

#: The largest message that protobuf can carry.
MAX_SIZE = (1 << 31) - 1
MAX_NODES = 50_000
#: Versions of the default operator set that we read; below 13 a model is converted upwards when it is normalised.
MIN_OPSET, MAX_OPSET = 7, 21
_EXPORT_HINT = "export the model again with opset_version=17"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """An input or output as the model declares it: an axis is its size, the name of a free size, or None when it has neither."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """An ONNX model: ``data`` is self-contained ONNX, ``dir`` the folder that it came from.

    ``digest`` names every byte that the model is made of. Without external data it is the plain SHA-256 of the file, as
    ``sha256sum`` prints it. With external data it is ``tagged("verifiable/model/external/v1", d, l1, d1, l2, d2, ...)`` of
    :func:`verifiable.digest.tagged`: ``d`` the 32-byte SHA-256 of the ``.onnx`` file, then for each external file, in byte order
    of its location, the location as UTF-8 and the 32-byte SHA-256 of that whole file.
    """

    data: bytes = field(repr=False)
    digest: Digest
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    dir: Path | None = None

    @classmethod
    def load(cls, path: Path) -> Model:
        """The model in the file at ``path``, with its external data. Raises MalformedError, UnsupportedError."""
        data = files.read(path, what="model", max_size=MAX_SIZE)
        return cls._read(data, path.absolute().parent, f"model {path}")

    @classmethod
    def parse(cls, data: bytes) -> Model:
        """The model in ``data``; external data is refused, for there is no folder to find it in. Raises as :meth:`load`."""
        if len(data) > MAX_SIZE:
            raise MalformedError(f"model: {len(data):,} bytes is more than the {MAX_SIZE:,} allowed")
        return cls._read(data, None, "model")

    @classmethod
    def _read(cls, data: bytes, folder: Path | None, what: str) -> Model:
        proto = parse_proto(data, what=what)
        _check_header(proto, what)
        _check_names(proto.graph, what)
        digest = embed(proto, Digest.of(data), folder, max_size=MAX_SIZE // 2)
        for where, tensor in tensors_in(proto.graph):
            check_tensor(tensor, f"{what}: {where}")
        _run_checker(proto, what)
        weights = {tensor.name for tensor in proto.graph.initializer}
        embedded = digest != Digest.of(data)
        return cls(
            data=proto.SerializeToString(deterministic=True) if embedded else data,
            digest=digest,
            inputs=tuple(_info(value, what) for value in proto.graph.input if value.name not in weights),
            outputs=tuple(_info(value, what) for value in proto.graph.output),
            dir=folder,
        )


def parse_proto(data: bytes, *, what: str = "model") -> onnx.ModelProto:
    """The protobuf message in ``data``, in bounded memory. Raises MalformedError."""
    check_skeleton(data, what=what)
    import onnx

    with guarded(f"{what}: not an ONNX file", hint="expected a .onnx file"):
        proto: onnx.ModelProto = onnx.ModelProto.FromString(data)
    return proto


def _check_header(proto: onnx.ModelProto, what: str) -> None:
    import onnx

    if not proto.HasField("graph") or not proto.ir_version:
        raise MalformedError(f"{what}: not an ONNX file: it has no graph or no IR version", hint="expected a .onnx file")
    if proto.ir_version > onnx.IR_VERSION:
        raise UnsupportedError(f"{what}: IR version {proto.ir_version}, newer than {onnx.IR_VERSION}", hint=_EXPORT_HINT)
    domains = ["" if entry.domain == "ai.onnx" else entry.domain for entry in proto.opset_import]
    versions = dict(zip(domains, (entry.version for entry in proto.opset_import), strict=True))
    if len(versions) != len(domains):
        raise MalformedError(f"{what}: an operator set is imported twice")
    if not MIN_OPSET <= versions.get("", 0) <= MAX_OPSET:
        found = f"operator set {versions['']}" if "" in versions else "no version of the default operator set"
        raise UnsupportedError(f"{what}: {found}, expected {MIN_OPSET} to {MAX_OPSET}", hint=_EXPORT_HINT)
    if proto.functions:
        raise UnsupportedError(
            f"{what}: defines functions of its own ({shown(proto.functions[0].name)})",
            hint="inline them with onnx.inliner.inline_local_functions",
        )
    if proto.training_info:
        raise UnsupportedError(f"{what}: carries training information", hint="export the model for inference")
    if has_sparse(proto.graph) or len(proto.graph.node) > MAX_NODES:
        raise UnsupportedError(f"{what}: sparse weights or more than {MAX_NODES:,} nodes", hint="use dense weights")


def _check_names(graph: onnx.GraphProto, what: str) -> None:
    """Every value is made once, before it is used, and something comes out. Raises MalformedError."""
    if not graph.output:
        raise MalformedError(f"{what}: the graph has no outputs", hint="export it with at least one output")
    weights = [tensor.name for tensor in graph.initializer]
    inputs = [value.name for value in graph.input]
    _check_distinct(weights, "weight", what)
    _check_distinct(inputs, "input", what)
    _check_distinct([value.name for value in graph.output], "output", what)
    made = [name for node in graph.node for name in node.output if name]
    _check_distinct([*made, *{*weights, *inputs}], "value", what)
    known, later = {*weights, *inputs}, set(made)
    for node in graph.node:
        for name in node.input:
            if name and name not in known:
                told = "before it is made: the graph has a cycle or is out of order" if name in later else "that nothing makes"
                raise MalformedError(f"{what}: node {shown(node_name(node))} uses {shown(name)} {told}")
        known.update(node.output)
    if missing := [value.name for value in graph.output if value.name not in known]:
        raise MalformedError(f"{what}: nothing makes output {shown(missing[0])}")


def _check_distinct(names: list[str], kind: str, what: str) -> None:
    if "" in names:
        raise MalformedError(f"{what}: an {kind} without a name" if kind[0] in "io" else f"{what}: a {kind} without a name")
    if len(set(names)) != len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise MalformedError(f"{what}: two {kind}s have the name {shown(twice)}")


def _run_checker(proto: onnx.ModelProto, what: str) -> None:
    import onnx.checker

    with guarded(f"{what}: onnx.checker refuses it"):
        onnx.checker.check_model(proto)


def _info(value: onnx.ValueInfoProto, what: str) -> TensorInfo:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type" or not value.type.tensor_type.HasField("shape"):
        raise UnsupportedError(f"{what}: {shown(value.name)} is not a tensor of known rank", hint="use plain tensors")
    tensor = value.type.tensor_type
    axes = tuple(dim.dim_value if dim.dim_value > 0 else dim.dim_param or None for dim in tensor.shape.dim)
    return TensorInfo(name=value.name, dtype=dtype_name(tensor.elem_type), shape=axes)
