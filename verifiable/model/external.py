# SPDX-License-Identifier: Apache-2.0
"""Weights outside the ``.onnx`` file: from the model's own folder, or not at all.

A model is somebody else's file; a location in it that could reach /etc or a device would make loading it an attack. So a
location is a relative path of plain names, walked one by one from the folder's descriptor, and no step may be a symbolic link.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from verifiable.digest import Digest, tagged
from verifiable.encoding.tensor import DTYPES
from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.guard import shown
from verifiable.model.tensors import dtype_name, is_external, tensors_in

if TYPE_CHECKING:
    import onnx

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,15}")
_MAX_FILES = 4096
_KNOWN_KEYS = {"location", "offset", "length", "checksum"}
_HINT = "external data must be plain files in the model's own folder; copy them there"


def embed(proto: onnx.ModelProto, file_digest: Digest, folder: Path | None, *, max_size: int) -> Digest:
    """Read every external tensor into ``proto``; the model's digest, as :class:`verifiable.model.onnx_file.Model` defines it.

    ``max_size`` bounds the external files together and the embedded tensors together. Raises MalformedError, UnsupportedError.
    """
    outside = [(where, tensor) for where, tensor in tensors_in(proto.graph) if is_external(tensor)]
    if not outside:
        return file_digest
    if folder is None:
        raise UnsupportedError(f"model: {outside[0][0]} is stored in another file", hint="load the model from its file")
    contents: dict[str, bytes] = {}
    left = max_size
    for where, tensor in outside:
        location, offset, length = _entry(tensor, where)
        if location not in contents:
            if len(contents) == _MAX_FILES:
                raise MalformedError(f"model: weights in more than {_MAX_FILES} external files")
            contents[location] = _read(folder, location, where, max_size - sum(map(len, contents.values())))
        left -= length
        if left < 0:
            raise MalformedError(f"model: external weights of more than {max_size:,} bytes", hint=f"at {where}")
        _fill(tensor, contents[location], offset, length, f"{where}: external file {shown(location)}")
    parts = [part for name in sorted(contents) for part in (name.encode(), Digest.of(contents[name]).value)]
    return tagged("verifiable/model/external/v1", file_digest.value, *parts)


def _entry(tensor: onnx.TensorProto, where: str) -> tuple[str, int, int]:
    """Location, offset and length in bytes; the length is the one that type and shape ask for."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if len(entries) != len(tensor.external_data) or not set(entries) <= _KNOWN_KEYS or tensor.HasField("raw_data"):
        raise MalformedError(f"{where}: unclear where its data is ({', '.join(map(shown, sorted(entries)))})")
    name = dtype_name(tensor.data_type)
    if name not in DTYPES:
        raise UnsupportedError(f"{where}: external data of type {name}", hint="export the model in float32")
    needed = DTYPES[name]
    for dim in tensor.dims:
        needed *= max(dim, 0)
    offset, length = entries.get("offset", "0"), entries.get("length", str(needed))
    if not _DECIMAL.fullmatch(offset) or length != str(needed):
        raise MalformedError(
            f"{where}: external data at offset {shown(offset)} of length {shown(length)}, but its shape needs {needed:,} bytes"
        )
    return entries.get("location", ""), int(offset), needed


def _fill(tensor: onnx.TensorProto, data: bytes, offset: int, length: int, what: str) -> None:
    if offset + length > len(data):
        raise MalformedError(f"{what} has {len(data):,} bytes, the weight is at {offset:,} to {offset + length:,}")
    tensor.raw_data = data[offset : offset + length]
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")


def _read(folder: Path, location: str, where: str, max_size: int) -> bytes:
    """The file's bytes; every step is opened relative to the one before, so nothing can be swapped in between."""
    what = f"{where}: external file {shown(location)}"
    steps = location.split("/")
    if any(step in ("", ".", "..") or not step.isprintable() or "\\" in step for step in steps):
        raise MalformedError(f"{what} is not a plain path inside the model's folder", hint=_HINT)
    current = -1
    try:
        current = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for i, step in enumerate(steps):
            kind = os.O_NONBLOCK if i == len(steps) - 1 else os.O_DIRECTORY
            following = os.open(step, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind, dir_fd=current)
            os.close(current)
            current = following
        return _contents(current, what, max_size)
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else str(error)
        raise MalformedError(f"{what} cannot be read: {words}", hint=_HINT) from error
    finally:
        if current >= 0:
            os.close(current)


def _contents(descriptor: int, what: str, max_size: int) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise MalformedError(f"{what} is not a regular file", hint=_HINT)
    if status.st_size > max_size:
        raise MalformedError(f"{what} has {status.st_size:,} bytes, more than the {max_size:,} that are left")
    with open(os.dup(descriptor), "rb") as stream:
        return stream.read(max_size)
