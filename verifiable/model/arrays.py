# SPDX-License-Identifier: Apache-2.0
"""Array files: .npy, .npz and .safetensors, parsed from bytes; nothing is unpickled, and claims are checked before allocating."""

from __future__ import annotations

import io
import math
import struct
import warnings
import zipfile
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from verifiable.encoding import json
from verifiable.encoding.record import Record
from verifiable.errors import MalformedError
from verifiable.model.guard import guarded, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

_MAX_HEADER = 1 << 10
_MAX_DIRECTORY = 1 << 20
_END_RECORD = 22
_MAX_RANK = 9  # a tensor's eight, and one for the samples
_SAFETENSORS = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F16": "float16", "F32": "float32", "F64": "float64",
}  # fmt: skip


def parse_npy(data: bytes, what: str) -> Array:
    """The array in a .npy file (NEP 1, versions 1 and 2). Raises MalformedError."""
    import numpy as np
    from numpy.lib import format as npy

    stream = io.BytesIO(data)
    with guarded(f"{what}: not a .npy file"), warnings.catch_warnings():
        warnings.simplefilter("error")  # a header that needs repair is refused
        version = npy.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise MalformedError(f"{what}: .npy version {version[0]}.{version[1]}, expected 1.0 or 2.0")
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(stream, max_header_size=_MAX_HEADER)
    start = stream.tell()
    if dtype.hasobject or dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise MalformedError(f"{what}: holds {shown(str(dtype))}, not numbers", hint="save an array of numbers")
    if len(shape) > _MAX_RANK or any(not 0 <= d < 2**40 for d in shape) or math.prod(shape) * dtype.itemsize != len(data) - start:
        raise MalformedError(
            f"{what}: {len(data) - start:,} bytes do not fill {dtype}{list(shape)[:12]}", hint="the file is damaged"
        )
    array: Any = np.frombuffer(data, dtype, offset=start).reshape(shape, order="F" if fortran else "C")
    return _checked_bool(array.astype(dtype.newbyteorder("=")), what)


def parse_npz(
    data: bytes, sizes: Mapping[str, int], what: str, *, max_size: int, aside: Collection[str] = ()
) -> dict[str, Array]:
    """The arrays in an .npz file, which must have exactly the names of ``sizes`` and unpack to at most so many bytes each; it may
    have those ``aside``, unread.

    Raises MalformedError.

    Sizes are judged as declared, before anything is unpacked; and no more is unpacked than was declared.
    """
    _check_directory(data, what)
    with guarded(f"{what}: not an .npz file"), zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        found = {member.filename.removesuffix(".npy"): member for member in members}
        if len(found) != len(members):
            raise MalformedError(f"{what}: two arrays of one name")
        found = {name: member for name, member in found.items() if name in sizes or name not in aside}
        members = list(found.values())
        check_names(found, sizes, what)
        for name, member in found.items():
            if member.file_size > sizes[name]:
                raise MalformedError(
                    f"{what}: {shown(name)} unpacks to {member.file_size:,} bytes, more than the {sizes[name]:,} allowed"
                )
        if (total := sum(member.file_size for member in members)) > max_size:
            raise MalformedError(f"{what}: unpacks to {total:,} bytes, more than the {max_size:,} allowed")
        if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
            raise MalformedError(f"{what}: compressed in an unusual way", hint="save it with numpy.savez")
        return {name: parse_npy(_unpacked(archive, member), f"{what}, array {shown(name)}") for name, member in found.items()}


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """``ZipFile.read`` would inflate the whole stream, however long, before it cuts off what was not declared."""
    with archive.open(member) as stream:
        return stream.read(member.file_size + 1)


def _check_directory(data: bytes, what: str) -> None:
    """The zip directory's size (APPNOTE 6.3.10, 4.3.16) bounds the memory of whoever lists it."""
    end = data[-_END_RECORD:]
    if len(end) < _END_RECORD or end[:4] != b"PK\x05\x06" or end[-2:] != b"\0\0":
        raise MalformedError(f"{what}: not an .npz file, or cut short", hint="save it with numpy.savez")
    (size,) = struct.unpack("<I", end[12:16])
    if size > _MAX_DIRECTORY or data[-_END_RECORD - 20 : -_END_RECORD - 16] == b"PK\x06\x07":
        raise MalformedError(f"{what}: a zip directory of more than {_MAX_DIRECTORY:,} bytes", hint="save it with numpy.savez")


def parse_safetensors(data: bytes, names: Collection[str], what: str) -> dict[str, Array]:
    """The tensors in a .safetensors file, which must have exactly ``names``. Raises MalformedError.

    The format: u64le length, a JSON header, then the contents, without gaps or overlaps (huggingface/safetensors, README). Read
    here rather than with its library, which takes the last of two equal keys where another reader takes the first.
    """
    import numpy as np

    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= size <= min(_MAX_DIRECTORY, len(data) - 8):
        raise MalformedError(f"{what}: not a .safetensors file, or cut short")
    header = Record(json.parse(data[8 : 8 + size], what=f"{what}, header", max_size=_MAX_DIRECTORY), what)
    if header.has("__metadata__"):
        header.take("__metadata__")
    found = {name: header.record(name) for name in header.names()}
    check_names(found, names, what)
    contents, at, arrays = memoryview(data)[8 + size :], 0, {}
    entries = [(record.items("data_offsets", maximum=2), name, record) for name, record in found.items()]
    if any(len(o) != 2 or any(isinstance(i, bool) or not isinstance(i, int) for i in o) for o, _, _ in entries):
        raise MalformedError(f"{what}: data_offsets are not two integers")
    for (begin, end), name, record in sorted(entries, key=lambda entry: entry[0]):
        code, shape = record.text("dtype"), record.items("shape", maximum=_MAX_RANK)
        record.done()
        if code not in _SAFETENSORS:
            raise MalformedError(
                f"{what}: tensor {shown(name)} has dtype {shown(code)}", hint="save it in a dtype that NumPy has"
            )
        dtype = np.dtype(_SAFETENSORS[code]).newbyteorder("<")
        if any(isinstance(d, bool) or not isinstance(d, int) or not 0 <= d < 2**40 for d in shape) or begin != at:
            raise MalformedError(f"{what}: tensor {shown(name)} has no proper shape, or a gap or overlap before it")
        if end - begin != math.prod(shape) * dtype.itemsize or end > len(contents):
            raise MalformedError(f"{what}: {end - begin:,} bytes do not fill tensor {shown(name)}")
        array: Any = np.frombuffer(contents[begin:end], dtype).reshape(shape)
        arrays[name] = _checked_bool(array.astype(dtype.newbyteorder("=")), f"{what}, tensor {shown(name)}")
        at = end
    if at != len(contents):
        raise MalformedError(f"{what}: {len(contents) - at:,} bytes after the last tensor")
    return arrays


def check_names(found: Collection[str], names: Collection[str], what: str) -> None:
    """Exactly these names. Raises MalformedError naming the first that is missing or too many."""
    expected = ", ".join(shown(name) for name in names)
    if missing := [name for name in names if name not in found]:
        raise MalformedError(f"{what}: {shown(missing[0])} is missing", hint=f"expected: {expected}")
    if extra := sorted(set(found) - set(names)):
        raise MalformedError(f"{what}: {shown(extra[0])} is not known to the model", hint=f"expected: {expected}")


def _checked_bool(array: Array, what: str) -> Array:
    """A byte other than 0 and 1 is True to NumPy and something else to others."""
    import numpy as np

    if array.dtype == np.bool_ and array.size and int(array.view(np.uint8).max()) > 1:
        raise MalformedError(f"{what}: a boolean that is neither 0 nor 1")
    return array
