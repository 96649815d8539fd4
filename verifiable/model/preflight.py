# SPDX-License-Identifier: Apache-2.0
"""Can this model be proved? Every node, with its reason and its remedy, and all defects in one report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A node as an operator rule sees it: defaulted attributes filled in, shapes fixed.

    ``attributes`` holds Python values (int, float, str, lists of them, NumPy arrays for tensors). ``constants`` maps the index of
    each input that is an initializer to its value, so ``1 in node.constants`` asks whether input 1 is one. An omitted
    optional input has an empty shape in ``input_shapes`` and is False in ``present``.
    """

    op: str
    name: str
    attributes: Mapping[str, Any]
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    constants: Mapping[int, NDArray[np.generic]]
    input_dtypes: tuple[str, ...] = ()
    present: tuple[bool, ...] = field(default=())


#: None when the node can be proved, else the reason why not, with the fix.
OperatorRule = Callable[[NodeView], str | None]
