# SPDX-License-Identifier: Apache-2.0
"""Tensors as nested lists of JSON numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from verifiable.encoding.tensor import MAX_RANK, Tensor
from verifiable.errors import MalformedError
from verifiable.model.conversion import check_shape, exact, first

if TYPE_CHECKING:
    from collections.abc import Sequence


def depth(value: Any) -> int:
    """How many lists are around the first element."""
    levels = 0
    while isinstance(value, list) and levels <= MAX_RANK + 1:
        levels += 1
        value = value[0] if value else None
    return levels


def to_tensor(value: Any, dtype: str, shape: Sequence[int | str | None], where: str) -> Tensor:
    """A nested list of this shape as a tensor of ``dtype``. Raises MalformedError naming the first element that is wrong.

    A number with a fraction or an exponent becomes the nearest value of a float dtype (JSON readers know it as a double); an
    integer must be exact in whatever dtype, since who writes one means that one.
    """
    import numpy as np

    found: list[int] = []
    level: list[Any] = [value]
    for axis in range(MAX_RANK + 1):
        lists = [isinstance(item, list) for item in level]
        if not any(lists):
            break
        sizes = {len(item) if isinstance(item, list) else -1 for item in level}
        if len(sizes) > 1:
            raise MalformedError(
                f"{where}: its lists differ in length or depth at level {axis}", hint="every row needs one length"
            )
        found.append(sizes.pop())
        level = [element for item in level for element in item]
    check_shape(found, shape, where)
    kinds = (bool,) if dtype == "bool" else (int,) if not dtype.startswith("float") else (int, float)
    for i, element in enumerate(level):
        if type(element) not in kinds:
            at = [int(k) for k in np.unravel_index(i, found)] if found else []
            words = "true or false" if dtype == "bool" else "a number" if len(kinds) > 1 else "an integer"
            raise MalformedError(f"{where}: element {at} is {_kind(element)}, the model takes {words} ({dtype})")
    return _from_flat(level, found, dtype, where)


def _from_flat(flat: list[Any], shape: list[int], dtype: str, where: str) -> Tensor:
    import numpy as np

    if not dtype.startswith("float"):
        kind = np.bool_ if dtype == "bool" else np.int64  # JSON integers stay below 2^53
        return exact(np.array(flat, kind).reshape(shape), dtype, where)
    integers = np.array([isinstance(element, int) for element in flat], bool).reshape(shape)
    doubles = np.array(flat, np.float64).reshape(shape)
    exact(np.where(integers, doubles, 0.0), dtype, where)
    with np.errstate(over="ignore", under="ignore"):
        nearest = doubles.astype(dtype)
    if (at := first(~np.isfinite(nearest))) is not None:
        raise MalformedError(f"{where}: element {at} is {doubles[tuple(at)]}, beyond the range of {dtype}")
    return Tensor.from_array(nearest)


def _kind(element: Any) -> str:
    if element is None:
        return "null"
    names = {
        str: "a string",
        dict: "an object",
        bool: "a boolean",
        int: "an integer",
        float: f"the number {element}",
        list: "a list",
    }
    return names[type(element)]
