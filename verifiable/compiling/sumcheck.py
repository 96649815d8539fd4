# SPDX-License-Identifier: Apache-2.0
"""Compiling with ``sumcheck``: the model becomes an integer Program, whose weights are committed to. No setup, no keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from verifiable.compiling.common import Checked, Compiled, Request, Stopwatch, countdown, float_outputs, interface, samples_of
from verifiable.errors import BindingError, FatalStateError, MalformedError, UnsupportedError
from verifiable.zk.circuit import VerifierCircuit, Visibility
from verifiable.zk.system import Limits, ModelProgram, ProverCircuit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from verifiable.model.fidelity import Counts, Fidelity
    from verifiable.model.onnx_file import Model
    from verifiable.model.program.ir import Program
    from verifiable.model.quantise.options import Options
    from verifiable.model.quantise.plan import Plan

    Arrays = Mapping[str, NDArray[np.generic]]

SYSTEM = "sumcheck"
#: Bits of weights by bits of activations. The first pair that is accurate enough is taken where none is asked for.
WEIGHT_BITS = {8: 8, 10: 16, 12: 16, 16: 16}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quantised:
    plan: Plan
    program: Program
    fidelity: Fidelity
    explanation: tuple[str, ...]


def compile(request: Request, *, bits: int | None = None) -> Compiled:  # noqa: A001 - one per proof system
    """``bits`` of activations, a key of WEIGHT_BITS; None takes the fewest that keep the error within what is allowed.

    Raises as :func:`verifiable.compiling.compile`.
    """
    from verifiable.zk.sumcheck.build import build, require_visible

    require_visible(request.visibility)
    clock = Stopwatch(request.progress)
    with clock.phase("checking the model"):
        loaded, shaped = prepare(request.model, request.dims)
    with clock.phase("running the float model"):
        samples, note = samples_of(request.calibration, shaped)
        floats = float_outputs(loaded, samples)
    with clock.phase("quantising"):
        found = _chosen(shaped, samples, floats, request.max_error, bits)
    with clock.phase("committing to the weights"):
        prover = build(
            model=loaded.digest, program=found.program, plan=found.plan.encode(), fidelity=found.fidelity.encode(),
            visibility=request.visibility,
        )  # fmt: skip
    return Compiled(
        prover=prover, fidelity=found.fidelity, explanation=(*note, *found.explanation), seconds=clock.seconds
    )  # fmt: skip


def rebuild(claimed: VerifierCircuit, loaded: Model, shaped: Model) -> ProverCircuit:
    """The circuit made again from the model, with the plan and the fidelity report that ``claimed`` carries."""
    from verifiable.zk.sumcheck.build import build

    program, plan = _program(claimed, shaped)
    return build(
        model=loaded.digest, program=program, plan=plan, fidelity=_part(claimed, "fidelity"),
        visibility=claimed.circuit.visibility,
    )  # fmt: skip


def program_of(claimed: VerifierCircuit, loaded: Model, shaped: Model) -> ModelProgram:
    """The integer program that this model is proved as under the circuit's own plan.

    Raises BindingError for another model, of which the plan says nothing.
    """
    if loaded.digest != claimed.circuit.model:
        raise BindingError(f"the circuit is of model {claimed.circuit.model}, the file given is {loaded.digest}")
    program, _ = _program(claimed, shaped)
    return interface(loaded, shaped, program.encode())


def computed(program: Program, samples: Sequence[Arrays]) -> Iterator[dict[str, NDArray[np.generic]]]:
    """The outputs as the Program computes them, in double precision, sample by sample; inputs beyond its range are clamped."""
    import numpy as np

    from verifiable.model.program.execute import Executor, samples_at_once
    from verifiable.model.program.values import quantise_inputs, value_of

    executor = Executor(program)
    count = samples_at_once(program)
    for start in range(0, len(samples), count):
        batch = samples[start : start + count]
        integers, _ = quantise_inputs(program, {e.name: np.stack([s[e.name] for s in batch]) for e in program.inputs})
        found = executor.run_many(integers).outputs
        for i in range(len(batch)):
            yield {
                o.name: value_of(found[o.name][i], scale=o.scale, post=o.post, axis=o.axis, shape=o.shape)
                for o in program.outputs
            }


def prepare(path: Path, dims: Mapping[str, int]) -> tuple[Model, Model]:
    """The model as given, and as normalised; every defect of it is one error."""
    from verifiable.model.lower.standard import standard
    from verifiable.model.normalise import normalise
    from verifiable.model.onnx_file import Model
    from verifiable.model.preflight import preflight
    from verifiable.zk.sumcheck.operators import OPERATORS

    loaded = Model.load(path)
    plain = standard(loaded)
    preflight(plain, operators=OPERATORS, dims=dims).require()
    return loaded, Model.parse(normalise(plain, dims=dims))


def check(path: Path, dims: Mapping[str, int], visibility: Visibility, limits: Limits) -> Checked:
    """Every node by its operator, then the whole by making a Program of it with stand-in samples."""
    from verifiable.model.defects import Defect
    from verifiable.model.lower.standard import standard
    from verifiable.model.normalise import normalise
    from verifiable.model.onnx_file import Model
    from verifiable.model.preflight import preflight
    from verifiable.model.quantise import plan_of, program
    from verifiable.zk.sumcheck.build import require_visible
    from verifiable.zk.sumcheck.cost import require_bounded
    from verifiable.zk.sumcheck.estimate import estimate
    from verifiable.zk.sumcheck.operators import OPERATORS
    from verifiable.zk.sumcheck.structure import Structure

    loaded = Model.load(path)
    plain = standard(loaded)
    left = countdown(limits.seconds)
    report = replace(preflight(plain, operators=OPERATORS, dims=dims, seconds=left()), model=loaded.digest)
    if report.defects:
        return Checked(report=report, cost=None)
    shaped = Model.parse(normalise(plain, dims=dims, seconds=left()))
    samples, _ = samples_of(None, shaped)
    try:
        require_visible(visibility)
        structure = Structure.of(program(shaped.data, plan_of(shaped.data, samples)))
        require_bounded(structure)
    except UnsupportedError as error:
        defect = Defect(where="model", op="", reason=error.message, fix=error.hint)
        return Checked(report=replace(report, defects=(defect,)), cost=None)
    return Checked(report=report, cost=estimate(structure))


def _chosen(
    shaped: Model, samples: Sequence[Arrays], floats: Sequence[Arrays], max_error: float | None, bits: int | None
) -> _Quantised:
    """With the fewest bits within the error that is allowed. Raises the widest ones' UnsupportedError when none are."""
    from verifiable.model.quantise.options import Options

    if bits is not None and bits not in WEIGHT_BITS:
        raise UnsupportedError(f"activations of {bits} bits", hint=f"known: {', '.join(map(str, WEIGHT_BITS))}")
    tried: list[str] = []
    for width in WEIGHT_BITS if bits is None else (bits,):
        found = _quantised(shaped, samples, floats, Options(weight_bits=WEIGHT_BITS[width], activation_bits=width))
        try:
            found.fidelity.require(max_error)
        except UnsupportedError as error:
            tried.append(f"{width} bits are too few: {error.message}")
            if width in (bits, max(WEIGHT_BITS)) or found.plan.options is None:
                raise
            continue
        return replace(found, explanation=(*tried, *found.explanation))
    raise FatalStateError("no number of bits was tried")


def _quantised(shaped: Model, samples: Sequence[Arrays], floats: Sequence[Arrays], options: Options) -> _Quantised:
    from verifiable.model.fidelity import measure
    from verifiable.model.quantise import plan_of, program
    from verifiable.zk.sumcheck.cost import require_bounded
    from verifiable.zk.sumcheck.structure import Structure

    plan = plan_of(shaped.data, samples, options)
    made = program(shaped.data, plan)
    require_bounded(Structure.of(made))  # before it is run on anything
    found = counts(shaped, made, samples)
    form = (
        "quantised already: its own integers are proved"
        if plan.options is None
        else f"weights of {options.weight_bits} bits per output channel, activations of {options.activation_bits} bits"
    )
    told = [form]
    if found.differing is None:
        told.append(f"{found.saturated:,} of {found.values:,} values saturate on these samples")
    else:
        told.append(f"{found.saturated:,} of {found.values:,} values are clamped by the model itself, as a fused ReLU does")
        told.append(f"{found.differing:,} integers of the outputs are not onnxruntime's, whose float32 misses a tie")
    fidelity = replace(measure(floats, list(computed(made, samples))), integers=found)
    return _Quantised(plan=plan, program=made, fidelity=fidelity, explanation=tuple(told))


def counts(shaped: Model, made: Program, samples: Sequence[Arrays]) -> Counts:
    """What the fidelity report counts besides the errors of the outputs."""
    from verifiable.model.fidelity import Counts
    from verifiable.model.quantise import is_quantised, saturation, slips

    clamped = saturation(made, samples)
    differing = slips(shaped.data, made, samples).differing if is_quantised(shaped.data) else None
    return Counts(values=clamped.values, saturated=clamped.clamped, differing=differing)


def _program(claimed: VerifierCircuit, shaped: Model) -> tuple[Program, bytes]:
    from verifiable.model.quantise import program
    from verifiable.model.quantise.plan import Plan

    plan = _part(claimed, "plan")
    return program(shaped.data, Plan.parse(plan)), plan


def _part(claimed: VerifierCircuit, role: str) -> bytes:
    if role not in claimed.parts:
        raise MalformedError(f"circuit: it has no part {role!r}, so it is none of sumcheck's")
    return claimed.parts[role]
