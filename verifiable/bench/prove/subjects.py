# SPDX-License-Identifier: Apache-2.0
"""The models that can be measured: generated networks, entries of the catalogue, and ONNX files.

A file or a generated network comes without data, so seeded noise stands in: cost depends on shapes, not on values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verifiable import catalogue, files
from verifiable.errors import UnsupportedError
from verifiable.model.synthetic import LADDER, NETWORKS, TINY, network

if TYPE_CHECKING:
    from verifiable.model.onnx_file import Model

#: Names of our own for entries of the catalogue.
ALIASES = {"lenet5": "lenet5-mnist"}
#: What is measured when nothing is named; the ladder shows growth.
DEFAULT = (*LADDER, *(name for name in NETWORKS if name not in (*LADDER, TINY)), *ALIASES)
NOISE_SAMPLES, NOISE_SEED = 8, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """``parameters``: elements of the weights; ``activations``: of all node outputs; ``multiply_adds``: of one run."""

    parameters: int
    activations: int
    multiply_adds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One model as files: ``calibration`` holds samples, ``sample`` the input that is proved.

    ``max_error`` is None where the data is noise: then no error in the output matters.
    """

    name: str
    model: Path
    calibration: Path
    sample: Path
    size: Size
    max_error: float | None


def require_known(names: Iterable[str]) -> None:
    """Raises UnsupportedError for the first that is neither a network, nor in the catalogue, nor a file."""
    known = (*NETWORKS, *ALIASES, *catalogue.names())
    for name in names:
        if name not in known and not Path(name).exists():
            raise UnsupportedError(f"benchmark: no model {name[:80]!r}", hint=f"name a file, or one of {', '.join(known)}")


def find(name: str, folder: Path) -> Subject:
    """The subject of that name, its files in ``folder`` where they have to be made.

    Raises UnsupportedError for an unknown name, MalformedError or UnsupportedError for a file that is no usable ONNX.
    """
    if name in NETWORKS:
        model = folder / "model.onnx"
        files.write(model, network(name), what="benchmark")
        return _with_noise(name, model, folder)
    if name.endswith(".onnx"):
        return _with_noise(Path(name).stem, Path(name), folder)
    entry = catalogue.find(ALIASES.get(name, name))
    return Subject(
        name=entry.name, model=entry.model, calibration=entry.calibration, sample=entry.sample, size=_size(_load(entry.model)),
        max_error=entry.max_error,
    )  # fmt: skip


def _with_noise(name: str, path: Path, folder: Path) -> Subject:
    model = _load(path)
    samples = noise(model)
    _write_npz(folder / "calibration.npz", samples)
    _write_npz(folder / "sample.npz", {key: array[0] for key, array in samples.items()})
    return Subject(
        name=name, model=path, calibration=folder / "calibration.npz", sample=folder / "sample.npz", size=_size(model),
        max_error=None,
    )  # fmt: skip


def noise(model: Model) -> dict[str, Any]:
    """Per input, an array [samples, *shape]: uniform in [-1, 1], or 0 and 1 for integers. Free axes count as 1."""
    import numpy as np

    random = np.random.Generator(np.random.PCG64(NOISE_SEED))
    found: dict[str, Any] = {}
    for info in model.inputs:
        shape = (NOISE_SAMPLES, *(d if isinstance(d, int) else 1 for d in info.shape))
        floats = info.dtype.startswith("float")
        drawn = random.uniform(-1, 1, shape) if floats else random.integers(0, 2, shape)
        found[info.name] = drawn.astype(info.dtype)
    return found


def _load(path: Path) -> Model:
    from verifiable.model.onnx_file import Model

    return Model.load(path)


def _size(model: Model) -> Size:
    from verifiable.model.preflight import preflight

    report = preflight(model, operators={})  # only its counts are of interest, whatever can or cannot be proved
    return Size(parameters=report.parameters, activations=report.activations, multiply_adds=report.multiply_adds)


def _write_npz(path: Path, arrays: dict[str, Any]) -> None:
    import io

    import numpy as np

    stream = io.BytesIO()
    np.savez(stream, **arrays)
    files.write(path, stream.getvalue(), what="benchmark")


__all__ = ["ALIASES", "DEFAULT", "TINY", "Size", "Subject", "find", "noise", "require_known"]
