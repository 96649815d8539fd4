# SPDX-License-Identifier: Apache-2.0
"""From a given tensor to the integers a proof speaks of, and back; one rule, shared by prover and verifier.

``integer = round(value / scale)``, halves away from zero, computed in double precision. Values must be finite and the
integer within the circuit's range; nothing saturates silently.
"""

from __future__ import annotations

from typing import Any

from verifiable.encoding.tensor import Tensor
from verifiable.errors import MalformedError
from verifiable.zk.circuit import Post, TensorSpec


def quantise(value: Tensor, spec: TensorSpec) -> Tensor:
    """The int64 tensor that ``value`` stands for under ``spec``. Raises MalformedError naming input, element and range."""
    import numpy as np

    if value.shape != spec.shape:
        raise MalformedError(f"input {spec.name!r}: shape {list(value.shape)} given, the circuit takes {list(spec.shape)}")
    if value.dtype != spec.dtype:
        raise MalformedError(f"input {spec.name!r}: dtype {value.dtype} given, the circuit takes {spec.dtype}")
    array: Any = value.array()
    if array.dtype.kind in "iu" and array.size and int(abs(array.astype(object)).max()) > 2**53:
        raise MalformedError(f"input {spec.name!r}: integers beyond 2^53 cannot be scaled exactly")
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows here becomes infinite, hence outside every range
        scaled = array.astype(np.float64) / spec.scale
        whole = np.trunc(scaled)
        # Adding a half first would round 0.49999999999999994 up; this difference is exact.
        rounded = whole + np.copysign(np.abs(scaled - whole) >= 0.5, scaled)
    # 2^63 - 1 is no double: comparing with ``high`` alone would let 2^63 through to a cast that is undefined.
    outside = (rounded < spec.low) | (rounded > spec.high) | (np.abs(rounded) >= 2.0**63)
    if outside.any():
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        raise MalformedError(
            f"input {spec.name!r}: element {list(at)} is {array[at]}, outside the calibrated range"
            f" [{spec.low * spec.scale:g}, {spec.high * spec.scale:g}]",
            hint="scale the input as the calibration data was, or compile again with data that covers it",
        )
    return Tensor.from_array(rounded.astype(np.int64))


def values(integers: Tensor, scale: float, post: Post | None = None) -> Any:
    """What integers say: float64 array ``integers x scale``, or what ``post`` makes of it (arg-max: int64)."""
    from verifiable.model.program.values import value_of

    if post is None:
        return integers.array().astype("float64") * scale
    return value_of(integers.array(), scale=scale, post=post.kind, axis=post.axis, shape=post.shape)
