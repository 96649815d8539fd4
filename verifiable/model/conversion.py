# SPDX-License-Identifier: Apache-2.0
"""From the numbers that somebody gave to the model's own dtype: the same values, or an error that names the first that is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from verifiable.encoding.tensor import DTYPES, Tensor
from verifiable.errors import MalformedError
from verifiable.model.guard import shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

# Bits of the significand, the leading one included (IEEE 754-2019, table 3.5).
_PRECISION = {"float16": 11, "float32": 24, "float64": 53}


def exact(array: Array, dtype: str, where: str) -> Tensor:
    """``array`` as a tensor of ``dtype``, value for value. Raises MalformedError naming the first element that does not fit.

    Floats become wider floats, integers other integers or floats, and floats narrower floats only without loss; booleans
    stay booleans, and floats never become integers.
    """
    import numpy as np

    source, target = array.dtype, np.dtype(dtype)
    if source.name not in DTYPES:
        raise MalformedError(f"{where}: dtype {shown(source.name)} given, the model takes {dtype}", hint=_cast(dtype))
    if source.kind == "f" and (at := first(~np.isfinite(array))) is not None:
        value = array[tuple(at)]
        raise MalformedError(f"{where}: element {at} is {value}", hint="a model's inputs are finite numbers; clean the data")
    numbers = source.kind in "iuf" and target.kind in "iuf" and not (source.kind == "f" and target.kind != "f")
    if source.name != dtype and not numbers:
        raise MalformedError(f"{where}: dtype {source.name} given, the model takes {dtype}", hint=_cast(dtype))
    if (at := first(_lossy(array, target))) is not None:
        value = array[tuple(at)]
        raise MalformedError(f"{where}: element {at} is {value}, which {dtype} cannot hold exactly", hint=_cast(dtype))
    return Tensor.from_array(array.astype(target))


def first(bad: Any) -> list[int] | None:
    """The index of the first True, None if there is none."""
    import numpy as np

    return [int(i) for i in np.argwhere(bad)[0]] if bad.any() else None


def check_shape(shape: Sequence[int], expected: Sequence[int | str | None], where: str) -> None:
    """Exactly the expected shape; a free axis takes any size from 1. Raises MalformedError."""
    fits = len(shape) == len(expected) and all(
        size == axis if isinstance(axis, int) else size > 0 for size, axis in zip(shape, expected, strict=True)
    )
    if not fits:
        wanted = "[" + ", ".join("any" if axis is None else str(axis) for axis in expected) + "]"
        raise MalformedError(f"{where}: shape {list(shape)} given, the model takes {wanted}", hint=f"reshape it to {wanted}")


def _lossy(array: Any, target: np.dtype[Any]) -> Any:
    """Where ``target`` has no such value."""
    import numpy as np

    if array.dtype == target or array.dtype.kind == "b":
        return np.zeros(array.shape, bool)
    if array.dtype.kind == "f":
        with np.errstate(over="ignore", under="ignore"):  # both make an unequal value
            return (
                array.astype(target).astype(array.dtype) != array
                if target.itemsize < array.itemsize
                else np.zeros(array.shape, bool)
            )
    if target.kind in "iu":
        limits: Any = np.iinfo(target)
        return (array < max(limits.min, np.iinfo(array.dtype).min)) | (array > min(limits.max, np.iinfo(array.dtype).max))
    # An integer is exact if, without its trailing zeros, it fits the significand; only float16 can overflow besides.
    magnitude = np.where(array < 0, np.uint64(0) - array.astype(np.uint64), array.astype(np.uint64))
    lowest = np.maximum(magnitude & (np.uint64(0) - magnitude), np.uint64(1))
    return (magnitude // lowest >= 2 ** _PRECISION[target.name]) | ((target.name == "float16") & (magnitude > np.uint64(65504)))


def _cast(dtype: str) -> str:
    return f"if the change is meant, make it explicit: .astype(numpy.{'bool_' if dtype == 'bool' else dtype})"
