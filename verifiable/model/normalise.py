# SPDX-License-Identifier: Apache-2.0
"""One canonical form of a model: what is proved, and what anybody else derives from the same file, byte for byte.

The same function as the file's, on fixed shapes: constants and BatchNorm folded, every attribute spelled out, nodes that do
nothing gone, doc strings, metadata and the exporter's name stripped. Input and output names stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from verifiable.model import isolation
from verifiable.model.onnx_file import Model
from verifiable.model.shapes import bind

_NO_DIMS: Mapping[str, int] = MappingProxyType({})


def normalise(model: Model, *, dims: Mapping[str, int] = _NO_DIMS, seconds: float | None = None) -> bytes:
    """The normalised ONNX of ``model``, free axes fixed by ``dims`` (name of the axis, or ``input[axis]``, to size).

    Deterministic, and idempotent: normalising the result gives it back. Both models are run on one sample before it is
    returned, so a mistake of the optimiser is an error here, never a wrong circuit. All of it happens in a child process, since
    a well-formed model can crash onnx's shape inference. Raises MalformedError, UnsupportedError; FatalStateError when it takes
    more than ``seconds``.
    """
    bind(model.inputs, dims)  # sizes that are no integers would not survive the journey
    return isolation.ask("normalise", model.data, dims, seconds=seconds)[1]
