# SPDX-License-Identifier: Apache-2.0
"""Weights in an ONNX file: what they claim is compared with what is there before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from verifiable.encoding.tensor import DTYPES, MAX_RANK
from verifiable.errors import MalformedError
from verifiable.model.guard import shown

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

#: TensorProto.DataType -> our dtype name; other types have a name too, but nothing here computes with them.
NAMES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64",
}  # fmt: skip
CODES = {name: code for code, name in NAMES.items()}
_EXTERNAL = 1
# Which typed field carries a dtype (onnx.proto3, TensorProto); float16 travels as bit patterns.
_FIELDS = {
    "float32": "float_data", "float64": "double_data", "int64": "int64_data", "uint32": "uint64_data", "uint64": "uint64_data",
}  # fmt: skip
_TYPED = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def dtype_name(code: int) -> str:
    """Our name for a TensorProto.DataType, ``type <n>`` for one that this version does not compute with."""
    import onnx

    if code in NAMES:
        return NAMES[code]
    known = dict(onnx.TensorProto.DataType.items())
    return next((name.lower() for name, value in known.items() if value == code), f"type {code}")


def is_external(tensor: onnx.TensorProto) -> bool:
    """Whether the tensor's values are said to be in another file."""
    return bool(tensor.data_location == _EXTERNAL or len(tensor.external_data))


def graphs_in(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and the graphs inside its nodes."""
    pending = [graph]
    while pending:
        current = pending.pop()
        yield current
        for attribute in (a for node in current.node for a in node.attribute):
            pending.extend([attribute.g] if attribute.HasField("g") else [])
            pending.extend(attribute.graphs)


def has_sparse(graph: onnx.GraphProto) -> bool:
    """Whether any tensor is stored sparsely; such tensors are refused rather than walked."""
    return any(
        current.sparse_initializer
        or any(a.HasField("sparse_tensor") or a.sparse_tensors for node in current.node for a in node.attribute)
        for current in graphs_in(graph)
    )


def tensors_in(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Every tensor of the graph and of the graphs inside its nodes, with words that name it."""
    for current in graphs_in(graph):
        for tensor in current.initializer:
            yield f"weight {shown(tensor.name)}", tensor
        for node in current.node:
            for attribute in node.attribute:
                where = f"attribute {shown(attribute.name)} of node {shown(node_name(node))}"
                if attribute.HasField("t"):
                    yield where, attribute.t
                yield from ((where, tensor) for tensor in attribute.tensors)


def node_name(node: onnx.NodeProto) -> str:
    """The node's own name, else that of its first output."""
    return node.name or next((name for name in node.output if name), "")


def check_tensor(tensor: onnx.TensorProto, where: str) -> None:
    """Dims, type and stored bytes must agree, and every value be finite. Raises MalformedError.

    Types outside :data:`NAMES` are not looked into; preflight refuses the nodes that use them.
    """
    name = dtype_name(tensor.data_type)
    if tensor.HasField("segment"):
        raise MalformedError(f"{where}: stored in segments, which no ONNX version defines")
    if len(tensor.dims) > MAX_RANK or any(d < 0 for d in tensor.dims):
        raise MalformedError(f"{where}: {list(tensor.dims)[:12]} is not a shape of at most {MAX_RANK} dimensions")
    if name not in DTYPES or is_external(tensor):
        return
    claimed = math.prod(tensor.dims)
    used = [field for field in _TYPED if len(getattr(tensor, field))]
    if tensor.HasField("raw_data"):
        stored, unit = len(tensor.raw_data), DTYPES[name]
    else:
        stored, unit = len(getattr(tensor, _FIELDS.get(name, "int32_data"))), 1
    if stored != claimed * unit or used not in ([], [] if tensor.HasField("raw_data") else [_FIELDS.get(name, "int32_data")]):
        raise MalformedError(
            f"{where}: {name}{list(tensor.dims)} claims {claimed:,} values, the file holds {stored // unit:,} of them",
            hint="the file is damaged; export the model again",
        )
    check_finite(to_array(tensor, where), where)


def check_finite(array: NDArray[np.generic], where: str) -> None:
    """Raises MalformedError naming the first element that is NaN or infinite."""
    import numpy as np

    if array.dtype.kind != "f":
        return
    finite = np.isfinite(array)
    if not finite.all():
        at = [int(i) for i in np.argwhere(~finite)[0]] if array.ndim else []
        value = array[tuple(at)]
        raise MalformedError(
            f"{where}: element {at} is {value}", hint="integers have no NaN and no infinity; use a large finite number"
        )


def to_array(tensor: onnx.TensorProto, where: str) -> NDArray[np.generic]:
    """The tensor's values as a NumPy array of one of :data:`verifiable.encoding.tensor.DTYPES`; checked beforehand."""
    import numpy as np

    name = dtype_name(tensor.data_type)
    if name not in DTYPES:
        raise MalformedError(f"{where}: values of type {name} cannot be computed with", hint="export the model in float32")
    dtype = np.dtype(name)
    if tensor.HasField("raw_data"):
        if name == "bool" and tensor.raw_data.strip(b"\0\1"):
            raise MalformedError(f"{where}: a boolean that is neither 0 nor 1")
        array: Any = np.frombuffer(tensor.raw_data, dtype.newbyteorder("<")).astype(dtype)
    else:
        array = _from_typed(tensor, dtype, where)
    return np.asarray(array.reshape(tuple(tensor.dims)))


def _from_typed(tensor: onnx.TensorProto, dtype: np.dtype[Any], where: str) -> Any:
    import numpy as np

    values: Any = getattr(tensor, _FIELDS.get(dtype.name, "int32_data"))
    wide = np.array(values, dtype=None if len(values) else dtype)
    if dtype.name == "float16":
        if len(wide) and (wide.min() < 0 or wide.max() > 0xFFFF):
            raise MalformedError(f"{where}: a float16 pattern beyond 16 bits")
        return wide.astype(np.uint16).view(np.float16)
    narrow = wide.astype(dtype)
    if dtype.kind in "iub" and not np.array_equal(narrow.astype(wide.dtype), wide):
        raise MalformedError(f"{where}: a value that {dtype.name} cannot hold")
    return narrow


def from_array(array: NDArray[np.generic], name: str) -> onnx.TensorProto:
    """The one canonical spelling of a tensor: little-endian raw_data and nothing else."""
    import numpy as np
    import onnx

    contiguous = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    tensor = onnx.TensorProto(name=name, data_type=CODES[array.dtype.name], raw_data=contiguous.tobytes())
    tensor.dims.extend(array.shape)
    return tensor
