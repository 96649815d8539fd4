# SPDX-License-Identifier: Apache-2.0
"""ezkl as its own calibration sets it up: what the benchmark compares with. No circuit of ours is made this way.

Runs in the calling process, where ezkl prints and may abort: only for a process that exists for nothing else, so that its peak
memory is ezkl's own. The steps leave their files in one folder, so each may have its own process.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verifiable.errors import UnsupportedError
from verifiable.zk.ezkl.process import check_installed

#: Not calibrated by ezkl; the randomised product is off in both because it is not bound to the next layer.
_ARGUMENTS = {"disable_freivalds": True, "input_visibility": "public", "output_visibility": "public", "param_visibility": "fixed"}
#: What ezkl's documentation recommends for small circuits; its other target, accuracy, makes larger ones.
_TARGET = "resources"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """``folder`` holds every file of one circuit. Each step raises UnsupportedError where ezkl says no."""

    folder: Path

    def calibrate(self, model: Path, samples: Sequence[Sequence[Any]]) -> int:
        """Settings for normalised ONNX from samples (per sample, one array per input); log2 of the rows that they take."""
        ezkl = _ezkl()
        arguments = ezkl.PyRunArgs()
        for name, value in _ARGUMENTS.items():
            setattr(arguments, name, value)
        _asked(ezkl.gen_settings, str(model), self._path("settings"), py_run_args=arguments)
        columns = [[float(v) for sample in samples for v in sample[i].ravel()] for i in range(len(samples[0]))]
        Path(self._path("calibration")).write_text(json.dumps({"input_data": columns}))
        _asked(ezkl.calibrate_settings, self._path("calibration"), str(model), self._path("settings"), _TARGET)
        _asked(ezkl.compile_circuit, str(model), self._path("compiled"), self._path("settings"))
        return int(json.loads(Path(self._path("settings")).read_text())["run_args"]["logrows"])

    def set_up(self, srs: Path) -> None:
        """Both keys."""
        _asked(_ezkl().setup, self._path("compiled"), self._path("vk"), self._path("pk"), str(srs))

    def witness(self, sample: Sequence[Any]) -> None:
        """Run the circuit on one array per input."""
        data = {"input_data": [[float(v) for v in array.ravel()] for array in sample]}
        Path(self._path("input")).write_text(json.dumps(data))
        _asked(_ezkl().gen_witness, self._path("input"), self._path("compiled"), self._path("witness"))

    def prove(self, srs: Path) -> None:
        """Prove the last witness."""
        paths = (self._path(name) for name in ("witness", "compiled", "pk", "proof"))
        _asked(_ezkl().prove, *paths, str(srs))

    def verify(self, srs: Path) -> None:
        """Verify the last proof."""
        if _asked(_ezkl().verify, self._path("proof"), self._path("settings"), self._path("vk"), str(srs)) is not True:
            raise UnsupportedError("ezkl's stock calibration made a proof that does not verify")

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of what is there: ``proving-key``, ``verifying-key``, ``proof``."""
        named = {"proving-key": "pk", "verifying-key": "vk"}
        found = {key: Path(self._path(name)).stat().st_size for key, name in named.items() if Path(self._path(name)).exists()}
        if (proof := Path(self._path("proof"))).exists():
            found["proof"] = len(json.loads(proof.read_text())["proof"])
        return found

    def _path(self, name: str) -> str:
        return str(self.folder / f"stock-{name}")


def _ezkl() -> Any:
    check_installed()
    return importlib.import_module("ezkl")


def _asked(call: Any, *arguments: Any, **options: Any) -> Any:
    try:
        return call(*arguments, **options)
    except MemoryError:
        raise
    except Exception as error:
        raise UnsupportedError(f"ezkl's stock calibration cannot do this: {error}") from error


__all__ = ["Stock"]
