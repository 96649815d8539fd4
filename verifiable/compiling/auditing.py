# SPDX-License-Identifier: Apache-2.0
"""``audit``: is a circuit what its maker says it is? It is made again from the model, and compared to the last byte."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from verifiable.compiling.common import float_outputs, samples_of
from verifiable.errors import BindingError
from verifiable.zk import registry
from verifiable.zk.circuit import Circuit
from verifiable.zk.quantise import quantise, values

if TYPE_CHECKING:
    from verifiable.compiling.common import Calibration
    from verifiable.model.onnx_file import Model
    from verifiable.zk.system import ProverCircuit


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What ``audit`` established: the circuit id re-derived from the model, and whether fidelity was measured again."""

    circuit: Circuit
    fidelity_measured: bool


def compare(rebuilt: Circuit, named: Circuit) -> None:
    """Raises BindingError naming what differs."""
    if rebuilt != named:
        raise BindingError(f"audit: re-derived circuit {rebuilt.id} differs in {_difference(rebuilt, named)}")


def _difference(a: Circuit, b: Circuit) -> str:
    """The names of the fields that differ, for an auditor."""
    names = [f.name for f in fields(Circuit) if getattr(a, f.name) != getattr(b, f.name)]
    if "parts" in names:
        names += [f"part {role}" for role in sorted({*a.parts, *b.parts}) if a.parts.get(role) != b.parts.get(role)]
        names.remove("parts")
    return ", ".join(names)


def measure_again(rebuilt: ProverCircuit, shaped: Model, calibration: Calibration, claimed: bytes) -> None:
    """Run the auditor's samples through the circuit; they must be as close to the float model as the report says."""
    from verifiable.model.data import conform
    from verifiable.model.fidelity import Fidelity, measure

    samples, _ = samples_of(calibration, shaped)
    system = registry.executor(registry.find(registry.default_systems(), rebuilt.circuit.system))
    computed = []
    for sample in samples:
        tensors = conform(sample, shaped.inputs)
        found = system.execute(rebuilt, {spec.name: quantise(tensors[spec.name], spec) for spec in rebuilt.circuit.inputs})
        computed.append({spec.name: values(found[spec.name], spec.scale, spec.post) for spec in rebuilt.circuit.outputs})
    measured, reported = measure(float_outputs(shaped, samples), computed), Fidelity.parse(claimed)
    for now, then in zip(measured.outputs, reported.outputs, strict=True):
        if now.max_abs_error > then.max_abs_error or _worse_agreement(now.argmax_agreement, then.argmax_agreement):
            raise BindingError(
                f"audit: on these samples output {now.name!r} is off by {now.max_abs_error:.3g}, the circuit's report says"
                f" {then.max_abs_error:.3g}",
                hint="the report was measured on other samples; decide whether the difference matters to you",
            )


def _worse_agreement(now: float | None, then: float | None) -> bool:
    return now is not None and (then is None or now < then)
