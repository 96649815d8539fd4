# SPDX-License-Identifier: Apache-2.0
"""The float model, run by onnxruntime: one thread, one provider, no graph rewriting, so that a run can be repeated."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.guard import guarded, shown
from verifiable.model.isolation import QUIET

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NO_KERNEL = re.compile(r"Could not find an implementation for (\w+)")
_FATAL = 4  # onnxruntime's own log goes to stderr, which belongs to the command line


class FloatModel:
    """``onnx`` as onnxruntime computes it. Meant for normalised models, whose memory and time are bounded.

    Raises UnsupportedError when onnxruntime cannot load the model.
    """

    def __init__(self, onnx: bytes) -> None:
        self._session = open_session(onnx)
        self._inputs = {value.name: value for value in self._session.get_inputs()}
        self._outputs = [value.name for value in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """Outputs by name, in the model's dtypes. Raises MalformedError for inputs that do not fit, or a run that fails."""
        import numpy as np

        if different := sorted(set(inputs) ^ set(self._inputs)):
            told = "is missing" if different[0] in self._inputs else "is not an input of the model"
            raise MalformedError(f"input {shown(different[0])} {told}")
        with guarded("model: onnxruntime cannot run it", hint="the input's shapes or values do not fit the model"):
            results = self._session.run(self._outputs, {name: np.asarray(value) for name, value in inputs.items()})
        return {name: np.asarray(result) for name, result in zip(self._outputs, results, strict=True)}


def open_session(onnx: bytes) -> Any:
    """An onnxruntime session over ``onnx`` with everything switched off that differs between machines or talks."""
    os.environ.update(QUIET)  # before the import, which would start an uploader
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.use_deterministic_compute = True
    options.log_severity_level = _FATAL
    onnxruntime.set_default_logger_severity(_FATAL)
    with guarded("model: onnxruntime cannot load it", kind=UnsupportedError):
        try:
            # Its fallback to another provider prints to stdout, and there is none to fall back to.
            return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"], enable_fallback=0)
        except Exception as error:
            if missing := _NO_KERNEL.search(str(error)):
                raise UnsupportedError(
                    f"model: onnxruntime has no implementation of {missing[1]} in this dtype", hint="export the model in float32"
                ) from error
            raise
