# SPDX-License-Identifier: Apache-2.0
"""Running the program again: the cheapest honest evidence, for a verifier who has the model and knows the inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from verifiable.checklist import Step
from verifiable.encoding.tensor import Tensor
from verifiable.errors import BindingError, TrustError
from verifiable.verify.verified import VerifiedTensor
from verifiable.zk.registry import executor
from verifiable.zk.system import ProofSystem, ProverCircuit


def rerun(
    system: ProofSystem,
    circuit: ProverCircuit,
    inputs: tuple[VerifiedTensor, ...],
    outputs: tuple[VerifiedTensor, ...],
    *,
    commit: Callable[[Tensor], bytes],
    step: Step,
) -> None:
    """Execute the circuit's program on the established inputs and compare every output exactly, to the last integer.

    Raises BindingError when an output differs, TrustError when an input is not known or an output shows nothing to compare,
    UnsupportedError when the system only proves.
    """
    found = executor(system).execute(circuit, _integers(inputs))
    for output in outputs:
        if output.visibility == "private":
            raise TrustError(f"output {output.name!r} is private: there is nothing to compare a re-run with")
        result = found[output.name]
        if not (result == output.integers if output.visibility == "public" else commit(result) == output.commitment):
            raise BindingError(f"output {output.name!r} is not what the program gives on these inputs")
    step.note("run again, with exactly these outputs")


def float_errors(onnx: bytes, inputs: tuple[VerifiedTensor, ...], outputs: tuple[VerifiedTensor, ...]) -> Mapping[str, float]:
    """By output, the largest absolute difference between what was established and what the float model says of these inputs.

    ``onnx``: the file itself. A program can be the model's and still be far from it: its maker chose scales and ranges. Infinite
    where a float model's output is not finite. Raises UnsupportedError where onnxruntime cannot run it.
    """
    import numpy as np

    from verifiable.model.runtime import FloatModel

    stated = {tensor.name: tensor.stated.array() for tensor in inputs if tensor.stated is not None}
    reference = FloatModel(onnx).run(stated)
    found = {}
    for output in outputs:
        values = output.values()
        if values is not None:
            with np.errstate(invalid="ignore", over="ignore"):
                error = np.abs(values.astype(np.float64) - reference[output.name].astype(np.float64)).max()
            found[output.name] = float(error) if np.isfinite(error) else float("inf")
    return found


def _integers(inputs: tuple[VerifiedTensor, ...]) -> dict[str, Tensor]:
    known = {}
    for tensor in inputs:
        if tensor.integers is None:
            raise TrustError(f"input {tensor.name!r} is not known, so the run cannot be repeated", hint="pass it: --input FILE")
        known[tensor.name] = tensor.integers
    return known
