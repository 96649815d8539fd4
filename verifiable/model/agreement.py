# SPDX-License-Identifier: Apache-2.0
"""Are two ONNX models the same function? Asked of a few samples of several sizes, to catch an optimiser's mistakes.

The samples are known to everybody, so this is no guard against a model made to deceive: fidelity is measured against the file
itself, on calibration data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifiable.errors import Error, UnsupportedError
from verifiable.model.guard import shown
from verifiable.model.runtime import FloatModel
from verifiable.model.shapes import Analysis

Array = NDArray[np.generic]

# Relative to the largest output: folding BatchNorm reorders roundings, an optimiser's mistake changes leading digits.
_TOLERANCE = 1e-4
# A mistake may only show where an activation is not clipped away.
_SIZES = (1.0, 30.0, 1000.0)


def check_agreement(original: bytes, normalised: bytes, analysis: Analysis) -> None:
    """Run both on deterministic samples. Raises UnsupportedError when they differ, or when either cannot be run."""
    before, after = FloatModel(original), FloatModel(normalised)
    for size in _SIZES:
        sample = _sample(analysis, size, ones=True)
        try:
            expected = before.run(sample)
        except Error:  # random 0s and 1s can be bad indices; 0s are good ones wherever any are
            sample = _sample(analysis, size, ones=False)
            expected = before.run(sample)
        for name, value in after.run(sample).items():
            if not _close(expected[name], value, overflows=size > 1):
                raise UnsupportedError(
                    f"model: output {shown(name)} changes when the model is simplified",
                    hint="this is a defect of the optimiser; please report it with the model",
                )


def _sample(analysis: Analysis, size: float, *, ones: bool) -> Mapping[str, Array]:
    """Floats uniform in [-size, size], integers and booleans 0 or 1 (or all 0), from a fixed seed."""
    generator = np.random.Generator(np.random.PCG64(0))
    sample: dict[str, Array] = {}
    for name in analysis.inputs:
        value = analysis.values[name]
        if value.dtype.startswith("float"):
            sample[name] = generator.uniform(-size, size, value.shape).astype(value.dtype)
        else:
            sample[name] = generator.integers(0, 1 + ones, value.shape).astype(value.dtype)
    return sample


def _close(expected: Array, found: Array, *, overflows: bool) -> bool:
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return False
    if expected.dtype.kind != "f":
        return np.array_equal(expected, found)
    a: Any = expected.astype(np.float64)
    b: Any = found.astype(np.float64)
    finite = np.isfinite(a)
    if overflows:  # where one of the two has left the range of its type, the other may be near its end
        finite &= np.isfinite(b)
        a, b = a[finite], b[finite]
        finite = finite[finite]
    largest = float(np.abs(a[finite]).max(initial=1.0))
    tolerance = _TOLERANCE if expected.dtype != np.float16 else 1e-2
    return bool(np.allclose(a, b, rtol=0, atol=tolerance * largest, equal_nan=True))
