# SPDX-License-Identifier: Apache-2.0
"""Inputs from files: ``.json``, ``.npz``, ``.npy``, ``.safetensors``, in the model's own dtypes, exact or refused.

JSON is ``{name: nested list}``, or a bare nested list where there is one input; the same goes for ``.npy``, which has no names.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verifiable import files
from verifiable.encoding import json
from verifiable.encoding.tensor import Tensor
from verifiable.errors import MalformedError
from verifiable.model import arrays, conversion, nested
from verifiable.model.guard import guarded, shown
from verifiable.model.onnx_file import TensorInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sample = dict[str, Tensor]

FORMATS = (".json", ".npz", ".npy", ".safetensors")
MAX_SIZE = 1 << 30
MAX_JSON_SIZE = 1 << 26
MAX_SAMPLES = 100_000
# What a file of the expected tensors can take at the very most, so that a hostile one costs no more than an honest one; and
# what any file may take, so that an honest mistake is told its shape. JSON: bytes of a number or list on a line of its own,
# deeply indented; commas, quotes and brackets. Arrays: bytes of an element, zip directory or header besides.
_JSON_VALUE, _JSON_LEAST, _MAX_MARKS = 256, 1 << 20, 1 << 24
_ARRAY_ELEMENT, _ARRAY_LEAST = 8, 1 << 22
#: Arrays of an .npz of samples that are the answers to them, where the model has no input of that name.
ANSWERS = ("label", "labels", "target", "targets")


def read_tensors(path: Path, infos: Sequence[TensorInfo], *, what: str = "input") -> dict[str, Tensor]:
    """One sample: a tensor for each of ``infos``, of its dtype and exactly its shape. Raises MalformedError."""
    return parse_tensors(_read(path, infos, what, samples=1), path.suffix, infos, what=f"{what} {path}")


def read_samples(path: Path, infos: Sequence[TensorInfo], *, what: str = "calibration data") -> list[dict[str, Tensor]]:
    """Samples for calibration: arrays with one more leading axis, or a JSON list of samples; one sample alone will do.
    For a model of batch 1 the leading axis may be that of the samples. In an .npz, :data:`ANSWERS` are left aside.

    Raises MalformedError.
    """
    return parse_samples(_read(path, infos, what, samples=MAX_SAMPLES), path.suffix, infos, what=f"{what} {path}")


def conform(
    given: Mapping[str, Tensor] | Mapping[str, NDArray[np.generic]], infos: Sequence[TensorInfo], *, what: str = "input"
) -> Sample:
    """One sample from tensors or arrays by name, under the rules for files. Raises MalformedError."""
    import numpy as np

    arrays.check_names(given, [info.name for info in infos], what)
    found = {name: value.array() if isinstance(value, Tensor) else np.asarray(value) for name, value in given.items()}
    return {info.name: _tensor(found[info.name], info, _where(what, info)) for info in infos}


def parse_tensors(data: bytes, suffix: str, infos: Sequence[TensorInfo], *, what: str = "input") -> dict[str, Tensor]:
    """:func:`read_tensors` on bytes; ``suffix`` is one of :data:`FORMATS`."""
    with guarded(what):
        if suffix == ".json":
            return _from_json(_document(data, infos, what, samples=1), infos, what)
        found = _arrays(data, suffix, infos, what, samples=1)
        return {info.name: _tensor(found[info.name], info, _where(what, info)) for info in infos}


def parse_samples(
    data: bytes, suffix: str, infos: Sequence[TensorInfo], *, what: str = "calibration data"
) -> list[dict[str, Tensor]]:
    """:func:`read_samples` on bytes; ``suffix`` is one of :data:`FORMATS`."""
    with guarded(what):
        if suffix == ".json":
            samples = _json_samples(_document(data, infos, what, samples=MAX_SAMPLES), infos, what)
        else:
            samples = _stacked(data, suffix, infos, what)
    if not 1 <= len(samples) <= MAX_SAMPLES:
        raise MalformedError(f"{what}: {len(samples):,} samples, expected 1 to {MAX_SAMPLES:,}")
    return samples


def _read(path: Path, infos: Sequence[TensorInfo], what: str, *, samples: int) -> bytes:
    if path.suffix not in FORMATS:
        raise MalformedError(f"{what}: {path} is none of {', '.join(FORMATS)}", hint="the ending of the name tells the format")
    if path.suffix == ".json":
        size = min(_JSON_LEAST + _JSON_VALUE * samples * sum(map(_values, infos)), MAX_JSON_SIZE)
    else:
        size = min(sum(_array_size(info, samples) for info in infos), MAX_SIZE)
    return files.read(path, what=what, max_size=size)


def _document(data: bytes, infos: Sequence[TensorInfo], what: str, *, samples: int) -> Any:
    marks = min(json.MAX_MARKS + 2 * samples * sum(map(_values, infos)), _MAX_MARKS)
    return json.parse(data, what=what, max_size=MAX_JSON_SIZE, max_marks=marks)


def _array_size(info: TensorInfo, samples: int) -> int:
    """Bytes of so many of this tensor in an array file."""
    return _ARRAY_LEAST + _ARRAY_ELEMENT * samples * math.prod(_sizes(info))


def _values(info: TensorInfo) -> int:
    """Numbers and lists of a tensor as nested lists."""
    sizes = _sizes(info)
    return sum(math.prod(sizes[:axes]) for axes in range(len(sizes) + 1))


def _sizes(info: TensorInfo) -> list[int]:
    """Its axes; a free one is larger than any file."""
    return [axis if isinstance(axis, int) else MAX_SIZE for axis in info.shape]


def _from_json(value: Any, infos: Sequence[TensorInfo], what: str) -> Sample:
    named = value if isinstance(value, dict) else {_only(infos, what).name: value}
    arrays.check_names(named, [info.name for info in infos], what)
    return {info.name: nested.to_tensor(named[info.name], info.dtype, info.shape, _where(what, info)) for info in infos}


def _json_samples(value: Any, infos: Sequence[TensorInfo], what: str) -> list[Sample]:
    """A list of samples; or one sample, bare or by name; or names with one more axis around each tensor."""
    if isinstance(value, list):
        one = len(infos) == 1 and not any(isinstance(item, dict) for item in value) and nested.depth(value) <= len(infos[0].shape)
        return [_from_json(item, infos, f"{what}, sample {i}") for i, item in enumerate([value] if one else value)]
    named = value if isinstance(value, dict) else {_only(infos, what).name: value}
    arrays.check_names(named, [info.name for info in infos], what)
    if all(nested.depth(named[info.name]) <= len(info.shape) for info in infos):
        return [_from_json(named, infos, what)]
    counts = {len(v) if isinstance(v, list) else -1 for v in named.values()}
    if len(counts) != 1:
        raise MalformedError(f"{what}: its inputs have different numbers of samples")
    rows = [{name: column[i] for name, column in named.items()} for i in range(counts.pop())]
    return [_from_json(row, infos, f"{what}, sample {i}") for i, row in enumerate(rows)]


def _stacked(data: bytes, suffix: str, infos: Sequence[TensorInfo], what: str) -> list[Sample]:
    found = _arrays(data, suffix, infos, what, samples=MAX_SAMPLES, aside=ANSWERS)
    if all(found[info.name].ndim == len(info.shape) for info in infos):
        # One sample; or many, as data sets hold them, for a model that takes one at a time.
        many = all(info.shape[:1] == (1,) and len(found[info.name]) != 1 for info in infos)
        found = {name: array[:, None] if many else array[None] for name, array in found.items()}
    counts = {len(array) if array.ndim else -1 for array in found.values()}
    if len(counts) != 1 or -1 in counts:
        raise MalformedError(f"{what}: its inputs have different numbers of samples")
    if (count := counts.pop()) > MAX_SAMPLES:
        raise MalformedError(f"{what}: {count:,} samples, expected 1 to {MAX_SAMPLES:,}")
    wheres = [f"{what}, sample {i}" for i in range(count)]
    return [{info.name: _tensor(found[info.name][i], info, _where(wheres[i], info)) for info in infos} for i in range(count)]


def _arrays(
    data: bytes, suffix: str, infos: Sequence[TensorInfo], what: str, *, samples: int, aside: Collection[str] = ()
) -> dict[str, NDArray[np.generic]]:
    names = [info.name for info in infos]
    if suffix == ".npy":
        return {_only(infos, what).name: arrays.parse_npy(data, what)}
    if suffix == ".npz":
        sizes = {info.name: _array_size(info, samples) for info in infos}
        return arrays.parse_npz(data, sizes, what, max_size=MAX_SIZE, aside=aside)
    if suffix == ".safetensors":
        return arrays.parse_safetensors(data, names, what)
    raise MalformedError(f"{what}: format {shown(suffix)} is none of {', '.join(FORMATS)}")


def _tensor(array: NDArray[np.generic], info: TensorInfo, where: str) -> Tensor:
    conversion.check_shape(array.shape, info.shape, where)
    return conversion.exact(array, info.dtype, where)


def _where(what: str, info: TensorInfo) -> str:
    return f"{what} {shown(info.name)}"


def _only(infos: Sequence[TensorInfo], what: str) -> TensorInfo:
    """The single input, which needs no name."""
    if len(infos) != 1:
        names = ", ".join(shown(info.name) for info in infos)
        raise MalformedError(f"{what}: the model takes {len(infos)} tensors; say which is which", hint=f"name them: {names}")
    return infos[0]
