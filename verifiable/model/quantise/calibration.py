# SPDX-License-Identifier: Apache-2.0
"""What a float model's values were on the calibration samples: extremes, and a fixed part of them for choosing scales."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from verifiable.errors import MalformedError
from verifiable.model.guard import shown
from verifiable.model.runtime import FloatModel
from verifiable.model.shapes import Analysis
from verifiable.model.tensors import CODES

Sample = Mapping[str, NDArray[np.generic]]
# Values kept per tensor, over all samples.
_KEPT = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """``kept``: a part of the values, always the same for the same samples."""

    low: float
    high: float
    kept: NDArray[np.float64]

    @classmethod
    def of(cls, arrays: Iterable[NDArray[Any]]) -> Stats:
        parts = [np.asarray(array, np.float64).ravel() for array in arrays]
        return cls(low=min(p.min() for p in parts), high=max(p.max() for p in parts), kept=np.concatenate(parts))

    @classmethod
    def union(cls, stats: Sequence[Stats]) -> Stats:
        return cls(
            low=min(s.low for s in stats), high=max(s.high for s in stats), kept=np.concatenate([s.kept for s in stats])
        )  # fmt: skip


def observe(data: bytes, analysis: Analysis, samples: Sequence[Sample]) -> dict[str, Stats]:
    """Statistics of every computed value and input. Raises MalformedError for no samples, or values that are not finite."""
    if not samples:
        raise MalformedError("calibration data: no samples", hint="give at least one, better a hundred")
    names = [name for name in dict.fromkeys(name for node in analysis.nodes for name in node.output) if name in analysis.values]
    model = FloatModel(_exposed(data, analysis, names))
    per_sample = max(_KEPT // len(samples), 16)
    found: dict[str, list[Stats]] = {}
    for i, sample in enumerate(samples):
        for name, value in {**sample, **model.run(sample)}.items():
            found.setdefault(name, []).append(_reduced(name, np.asarray(value, np.float64).ravel(), per_sample, i))
    return {name: Stats.union(stats) for name, stats in found.items()}


def _reduced(name: str, values: NDArray[np.float64], count: int, turn: int) -> Stats:
    if not np.isfinite(values).all():
        raise MalformedError(f"calibration data: {shown(name)} is not finite on sample {turn}")
    stride = -(-len(values) // count)
    return Stats(low=float(values.min()), high=float(values.max()), kept=values[turn % stride :: stride])


def _exposed(data: bytes, analysis: Analysis, names: Sequence[str]) -> bytes:
    """The model with every value as an output."""
    proto = onnx.ModelProto.FromString(data)
    del proto.graph.output[:]
    for name in names:
        value = analysis.values[name]
        proto.graph.output.append(helper.make_tensor_value_info(name, CODES[value.dtype], value.shape))
    exposed: bytes = proto.SerializeToString()
    return exposed
