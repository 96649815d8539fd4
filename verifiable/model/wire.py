# SPDX-License-Identifier: Apache-2.0
"""A look at a protobuf's skeleton before it is parsed.

A parsed message takes some fifty times the two bytes that an empty one takes in a file, so the size of a file does not bound
the memory of its parser. What is bounded here: everything but the contents of weights, and the number of fields.
"""

from __future__ import annotations

from collections.abc import Iterator

from verifiable.errors import MalformedError

#: Bytes of a model that are not the contents of weights (names, attributes, nodes, doc strings).
MAX_STRUCTURE = 1 << 24
_MAX_FIELDS = 1 << 20

# Field numbers of onnx.proto3. Only the ways that lead to weights are walked; all else is counted as it stands.
_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _TENSOR = "model", "graph", "node", "attribute", "tensor"
_CHILDREN = {
    _MODEL: {7: _GRAPH},
    _GRAPH: {1: _NODE, 5: _TENSOR},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR},
    _TENSOR: {},
}  # fmt: skip
# float_data, raw_data, double_data: as large parsed as they are in the file. Packed varints are not (1 byte -> 8).
_CONTENTS = {4, 9, 10}


def check_skeleton(data: bytes, *, what: str) -> None:
    """Raises MalformedError unless ``data`` has a protobuf's shape and a skeleton of bounded size."""
    if not data:
        raise MalformedError(f"{what}: the file is empty", hint="expected an ONNX model")
    structure = fields = 0
    pending = [(_MODEL, 0, len(data))]
    while pending:
        kind, start, end = pending.pop()
        for number, wire_type, low, high in _fields(data, start, end, what):
            fields += 1
            inside = _CHILDREN[kind].get(number) if wire_type == 2 else None
            if inside:
                pending.append((inside, low, high))
            elif not (kind == _TENSOR and number in _CONTENTS and wire_type == 2):
                structure += high - low
            if fields > _MAX_FIELDS or structure > MAX_STRUCTURE:
                raise MalformedError(
                    f"{what}: more than {MAX_STRUCTURE:,} bytes or {_MAX_FIELDS:,} fields besides the weights",
                    hint="store weights as raw_data, and strip doc strings and metadata",
                )


def _fields(data: bytes, start: int, end: int, what: str) -> Iterator[tuple[int, int, int, int]]:
    """Each field of the message in ``data[start:end]``: number, wire type, and where its contents begin and end."""
    at = start
    while at < end:
        key, at = _varint(data, at, end, what)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            _, stop = _varint(data, at, end, what)
        elif wire_type == 2:
            size, at = _varint(data, at, end, what)
            stop = at + size
        elif wire_type in (1, 5):
            stop = at + (8 if wire_type == 1 else 4)
        else:
            raise _not_onnx(what, at)
        if number == 0:
            raise _not_onnx(what, at)
        if stop > end:
            raise MalformedError(
                f"{what}: cut short, or not an ONNX file: byte {at:,} announces {stop - at:,} more, {end - at:,} are left",
                hint="compare the file's size or checksum with its source",
            )
        yield number, wire_type, at, stop
        at = stop


def _varint(data: bytes, at: int, end: int, what: str) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise MalformedError(f"{what}: cut short, or not an ONNX file: it ends within a number at byte {at:,}")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _not_onnx(what, at)


def _not_onnx(what: str, at: int) -> MalformedError:
    return MalformedError(f"{what}: not an ONNX file (no protobuf field at byte {at:,})", hint="expected a .onnx file")
