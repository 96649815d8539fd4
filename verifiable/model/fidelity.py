# SPDX-License-Identifier: Apache-2.0
"""How far the proved function is from the float model: measured over a calibration set, and named in the circuit.

``maxAbsError`` and ``meanAbsError`` are of ``|integer x scale - float|`` over all elements of all samples; ``range`` holds the
smallest and the largest float output; ``argmaxAgreement`` is the share of rows (along the last axis) whose largest element is at
the same place, absent where that axis has fewer than two elements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from verifiable.digest import Digest
from verifiable.encoding import json
from verifiable.encoding.record import Record
from verifiable.errors import MalformedError, UnsupportedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Outputs = Mapping[str, NDArray[np.generic]]

MEDIA_TYPE = "application/vnd.verifiable.fidelity.v1+json"
MAX_SIZE = 1 << 20
_MAX_OUTPUTS = 256
#: What ``require(None)`` allows: this part of the output's range.
DEFAULT_SHARE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFidelity:
    """The errors of one output, in the output's own unit."""

    name: str
    max_abs_error: float
    mean_abs_error: float
    range: tuple[float, float]
    argmax_agreement: float | None

    def __post_init__(self) -> None:
        # RFC 8785 writes a double from 2^53 on as an integer that a JSON reader may not believe; NaN fails here too.
        for value in (self.max_abs_error, self.mean_abs_error, *self.range):
            if not abs(value) <= json.MAX_SAFE_INTEGER:
                raise MalformedError(f"fidelity: output {self.name!r} has values beyond 2^53", hint="scale the model's outputs")

    def to_json(self) -> dict[str, Any]:
        agreement = {} if self.argmax_agreement is None else {"argmaxAgreement": self.argmax_agreement}
        return {
            "name": self.name, "maxAbsError": self.max_abs_error, "meanAbsError": self.mean_abs_error,
            "range": list(self.range), **agreement,
        }  # fmt: skip

    @classmethod
    def from_record(cls, record: Record) -> OutputFidelity:
        low_high = Record({str(i): v for i, v in enumerate(record.items("range", maximum=2))}, f"{record.where}.range")
        agreement = record.number("argmaxAgreement") if record.has("argmaxAgreement") else None
        fidelity = cls(
            name=record.text("name", max_length=256),
            max_abs_error=record.number("maxAbsError"),
            mean_abs_error=record.number("meanAbsError"),
            range=(low_high.number("0"), low_high.number("1")),
            argmax_agreement=agreement,
        )
        record.done()
        if not 0 <= fidelity.mean_abs_error <= fidelity.max_abs_error or fidelity.range[0] > fidelity.range[1]:
            raise MalformedError(f"{record.where}: errors and range contradict each other")
        if agreement is not None and not 0 <= agreement <= 1:
            raise MalformedError(f"{record.where}: argmaxAgreement is not a share")
        return fidelity


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Of all ``values`` that are rounded on the way, how many are ``saturated``: beyond what their integers reach, and clamped.

    ``differing``: for a model that was quantised already, how many integers of its outputs are not those of its own runtime,
    whose float32 rounds a tie otherwise; None for a float model.
    """

    values: int
    saturated: int
    differing: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.saturated <= self.values or (self.differing is not None and self.differing < 0):
            raise MalformedError("fidelity: the counts contradict each other")

    def to_json(self) -> dict[str, Any]:
        differing = {} if self.differing is None else {"differing": self.differing}
        return {"values": self.values, "saturated": self.saturated, **differing}

    @classmethod
    def from_record(cls, record: Record) -> Counts:
        counts = cls(
            values=record.integer("values"),
            saturated=record.integer("saturated"),
            differing=record.integer("differing") if record.has("differing") else None,
        )
        record.done()
        return counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """The fidelity report; its digest is in ``circuit.json``. ``integers``: None for a proof system that never clamps."""

    samples: int
    outputs: tuple[OutputFidelity, ...]
    integers: Counts | None = None

    @property
    def digest(self) -> Digest:
        return Digest.of(self.encode())

    def encode(self) -> bytes:
        outputs = [output.to_json() for output in self.outputs]
        counts = {} if self.integers is None else {"integers": self.integers.to_json()}
        return json.canonical({"mediaType": MEDIA_TYPE, "samples": self.samples, "outputs": outputs, **counts})

    @classmethod
    def parse(cls, data: bytes) -> Fidelity:
        """Raises MalformedError for anything that :meth:`encode` would not have written."""
        root = Record(json.parse_canonical(data, what="fidelity report", max_size=MAX_SIZE), "fidelity")
        root.constant("mediaType", MEDIA_TYPE)
        outputs = tuple(OutputFidelity.from_record(r) for r in root.records("outputs", maximum=_MAX_OUTPUTS))
        counts = Counts.from_record(root.record("integers")) if root.has("integers") else None
        fidelity = cls(samples=root.integer("samples", minimum=1), outputs=outputs, integers=counts)
        root.done()
        if fidelity.encode() != data:
            raise MalformedError("fidelity report: not in canonical form")
        return fidelity

    def require(self, max_error: float | None) -> None:
        """Raises UnsupportedError for an output further off than ``max_error``, in its own unit.

        None asks for the default: full arg-max agreement where there is one, and 1 % of the output's range.
        """
        for output in self.outputs:
            low, high = output.range
            allowed = DEFAULT_SHARE * (high - low or max(abs(low), abs(high))) if max_error is None else max_error
            if not output.max_abs_error <= allowed:
                raise UnsupportedError(
                    f"output {output.name!r}: off by {output.max_abs_error:.3g} from the float model, {allowed:.3g} is allowed",
                    hint="allow more with --max-error, or a finer program: more --bits (sumcheck), a larger --max-logrows (ezkl)",
                )
            if max_error is None and output.argmax_agreement not in (None, 1.0):
                raise UnsupportedError(
                    f"output {output.name!r}: its largest element is elsewhere than in the float model in"
                    f" {1 - (output.argmax_agreement or 0):.2%} of the rows of {self.samples} samples",
                    hint="give --max-error if that is good enough",
                )


def measure(float_outputs: Sequence[Outputs], computed: Sequence[Outputs]) -> Fidelity:
    """Compare per sample: ``float_outputs`` of the float model, ``computed`` the integer outputs times their scale.

    Raises MalformedError when the two differ in samples, names or shapes, or when there is no sample.
    """
    if not float_outputs or len(float_outputs) != len(computed):
        raise MalformedError(f"fidelity: {len(float_outputs)} float and {len(computed)} integer samples")
    names = list(float_outputs[0])
    for expected, found in zip(float_outputs, computed, strict=True):
        if set(expected) != set(names) or set(found) != set(names):
            raise MalformedError("fidelity: samples differ in their outputs")
    outputs = tuple(_measure(name, [s[name] for s in float_outputs], [s[name] for s in computed]) for name in names)
    return Fidelity(samples=len(float_outputs), outputs=outputs)


def _measure(name: str, expected: Sequence[NDArray[np.generic]], found: Sequence[NDArray[np.generic]]) -> OutputFidelity:
    import numpy as np

    if any(a.shape != b.shape or a.shape != expected[0].shape or a.size == 0 for a, b in zip(expected, found, strict=True)):
        raise MalformedError(f"fidelity: output {name!r} differs in shape")
    a, b = np.stack(expected).astype(np.float64), np.stack(found).astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise MalformedError(f"fidelity: output {name!r} is not finite on the calibration set", hint="check the calibration data")
    error = np.abs(a - b)
    agreement = float((a.argmax(-1) == b.argmax(-1)).mean()) if a.ndim > 1 and a.shape[-1] > 1 else None
    mean = min(float(error.mean()), float(error.max()))  # a mean of equal values can round above them
    return OutputFidelity(
        name=name, max_abs_error=float(error.max()), mean_abs_error=mean, range=(float(a.min()), float(a.max())),
        argmax_agreement=agreement,
    )  # fmt: skip
