# SPDX-License-Identifier: Apache-2.0
"""``audit``: is a circuit what its maker says it is? It is made again from the model, and compared to the last byte."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from verifiable.compiling import sumcheck
from verifiable.compiling.common import float_outputs, samples_of
from verifiable.errors import BindingError, MalformedError
from verifiable.zk import registry
from verifiable.zk.circuit import Circuit
from verifiable.zk.quantise import quantise, values

if TYPE_CHECKING:
    from verifiable.compiling.common import Calibration
    from verifiable.model.fidelity import Fidelity
    from verifiable.model.onnx_file import Model
    from verifiable.zk.system import ProverCircuit


#: The part of an output's range by which the same float model may differ between two machines.
LAST_DIGITS = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What ``audit`` established: the circuit id re-derived from the model, and how far the circuit is from it.

    ``reported``: the circuit's fidelity report, its maker's word. ``measured``: the same on the auditor's samples, None without
    any. ``outside``: how many of these samples the circuit's input range leaves out, so that they could not be measured.
    """

    circuit: Circuit
    reported: Fidelity
    measured: Fidelity | None = None
    outside: int = 0


def compare_circuits(rebuilt: Circuit, named: Circuit) -> None:
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


def measure_again(rebuilt: ProverCircuit, loaded: Model, shaped: Model, calibration: Calibration) -> tuple[Fidelity, int]:
    """Fidelity on the auditor's samples, and how many of them are outside the circuit's input range."""
    from verifiable.model.data import conform
    from verifiable.model.fidelity import measure
    from verifiable.model.program.ir import Program

    samples, _ = samples_of(calibration, shaped)
    system = registry.executor(registry.find(registry.default_systems(), rebuilt.circuit.system))
    inside, computed = [], []
    for sample in samples:
        tensors = conform(sample, shaped.inputs)
        try:
            integers = {spec.name: quantise(tensors[spec.name], spec) for spec in rebuilt.circuit.inputs}
        except MalformedError:
            continue
        found = system.execute(rebuilt, integers)
        inside.append(sample)
        computed.append({spec.name: values(found[spec.name], spec.scale, spec.post) for spec in rebuilt.circuit.outputs})
    if not inside:
        raise MalformedError("audit: all of these samples are outside the circuit's input range", hint="check their scaling")
    again = measure(float_outputs(loaded, inside), computed)
    if rebuilt.circuit.system == sumcheck.SYSTEM:
        again = replace(again, integers=sumcheck.counts(shaped, Program.parse(rebuilt.program), inside))
    return again, len(samples) - len(inside)


def compare_fidelity(measured: Fidelity, reported: Fidelity) -> None:
    """Raises BindingError where the report flatters. Float models differ in their last digits between machines: not a lie yet."""
    pairs = list(zip(measured.outputs, reported.outputs, strict=True))
    slack = {now.name: LAST_DIGITS * (now.range[1] - now.range[0]) for now, _ in pairs}
    same = measured.samples == reported.samples and all(
        abs(a - b) <= slack[now.name] for now, then in pairs for a, b in zip(now.range, then.range, strict=True)
    )
    for now, then in pairs:
        worse = now.argmax_agreement is not None and (
            then.argmax_agreement is None or now.argmax_agreement < then.argmax_agreement
        )
        if now.max_abs_error > then.max_abs_error + slack[now.name] or worse:
            raise BindingError(
                f"audit: on these samples output {now.name!r} is off by {now.max_abs_error:.3g}, the circuit's report says"
                f" {then.max_abs_error:.3g}" + (f"; arg-max agreement {now.argmax_agreement:.2%}" if worse else ""),
                hint="the report was measured on other samples; decide whether the difference matters to you",
            )
        if same and measured.integers != reported.integers:
            raise BindingError("audit: other counts of saturated values than the circuit's report says, of as many samples")
        if same and abs(now.mean_abs_error - then.mean_abs_error) > slack[now.name]:
            raise BindingError(
                f"audit: output {now.name!r} is off by {now.mean_abs_error:.3g} on average, and the circuit's report says"
                f" {then.mean_abs_error:.3g} of as many samples with the same outputs"
            )
