# SPDX-License-Identifier: Apache-2.0
"""Runs without a proof: what the circuit computes of calibration samples, and how large its values get doing so."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from verifiable.encoding.tensor import Tensor
from verifiable.errors import MalformedError, UnsupportedError
from verifiable.zk.circuit import TensorSpec
from verifiable.zk.ezkl import steps
from verifiable.zk.ezkl.process import Child
from verifiable.zk.ezkl.settings import EzklSettings
from verifiable.zk.quantise import quantise

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sample = Mapping[str, NDArray[np.generic]]

#: A quarter of the calibrated span is added at both ends: unseen data reach a little further than the samples.
MARGIN = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """An input's name, dtype and shape, with the range in its own unit that a circuit is to take."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    low: float
    high: float

    def spec(self, bits: int, bound: int) -> TensorSpec:
        """In integers at ``bits`` after the binary point, rounded outwards, never beyond ``bound``."""
        low, high = math.floor(self.low * 2.0**bits), math.ceil(self.high * 2.0**bits)
        return TensorSpec(
            name=self.name, dtype=self.dtype, shape=self.shape, scale=2.0**-bits, low=max(low, -bound), high=min(high, bound)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one circuit computed: integers per sample and output, and the outputs' scales in bits."""

    integers: tuple[Mapping[str, NDArray[np.int64]], ...]
    scales: Mapping[str, int]

    def values(self) -> tuple[Mapping[str, NDArray[np.float64]], ...]:
        """Integers times scale, in double precision."""
        return tuple(
            {name: array.astype("f8") * 2.0 ** -self.scales[name] for name, array in sample.items()} for sample in self.integers
        )


def ends(samples: Sequence[Sample], *, margin: float = MARGIN) -> tuple[Ends, ...]:
    """The calibrated range of each input, widened for floats by ``margin`` of it at both ends.

    Raises MalformedError for data that calibrate nothing.
    """
    import numpy as np

    if not samples:
        raise MalformedError("calibration: no samples", hint="give at least one, better some hundred")
    found = []
    for name, first in samples[0].items():
        arrays: list[Any] = []
        for index, sample in enumerate(samples):
            if set(sample) != set(samples[0]):
                raise MalformedError(f"calibration: sample {index} has other inputs than sample 0")
            if sample[name].shape != first.shape or sample[name].dtype != first.dtype:
                raise MalformedError(f"calibration: sample {index}, input {name!r}: shape or dtype differs from sample 0")
            if not np.isfinite(sample[name].astype(np.float64)).all():
                raise MalformedError(f"calibration: sample {index}, input {name!r} holds a value that is not finite")
            arrays.append(sample[name].astype(np.float64))
        low, high = float(min(a.min() for a in arrays)), float(max(a.max() for a in arrays))
        more = margin * (high - low) if first.dtype.kind == "f" else 0.0
        found.append(Ends(name=name, dtype=first.dtype.name, shape=first.shape, low=low - more, high=high + more))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A program to be run in a child: its inputs in the model's order, its outputs' shapes by name in theirs."""

    child: Child
    program: bytes
    inputs: tuple[Ends, ...]
    outputs: Mapping[str, tuple[int, ...]]

    def specs(self, settings: EzklSettings) -> list[TensorSpec]:
        """The inputs in integers under these settings."""
        pairs = zip(self.inputs, settings.input_scales, strict=True)
        return [end.spec(bits, settings.parameters.bound) for end, bits in pairs]

    def run(self, settings: EzklSettings, samples: Sequence[Sample]) -> Run:
        """Compile, and run every sample. Raises UnsupportedError where a value is beyond what the circuit can hold."""
        import numpy as np

        bound, specs = settings.parameters.bound, self.specs(settings)
        results = [
            TensorSpec(name=name, dtype="float64", shape=shape, scale=2.0**-bits, low=-bound, high=bound)
            for (name, shape), bits in zip(self.outputs.items(), settings.output_scales, strict=True)
        ]
        steps.compile_circuit(self.child, self.program, settings)
        integers = []
        for sample in samples:
            given = {spec.name: quantise(Tensor.from_array(sample[spec.name]), spec) for spec in specs}
            witness = steps.witness(self.child, specs, results, given)
            integers.append({name: tensor.array().astype(np.int64) for name, tensor in witness.outputs.items()})
        scales = dict(zip(self.outputs, settings.output_scales, strict=True))
        return Run(integers=tuple(integers), scales=scales)

    def succeeds(self, settings: EzklSettings, samples: Sequence[Sample]) -> bool:
        """Whether every sample can be run with these digits; MalformedError: they cannot even hold an input."""
        try:
            self.run(settings, samples)
        except (UnsupportedError, MalformedError):
            return False
        return True
