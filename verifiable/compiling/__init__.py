# SPDX-License-Identifier: Apache-2.0
"""``check``, ``compile`` and ``audit``: from an ONNX file to a circuit, and back to the question whether it is the right one.

Orchestration only: each step lives below (``model``, ``zk``), what differs between proof systems in :mod:`.sumcheck` and
:mod:`.ezkl`. Nothing is written here; :meth:`Compiled.save` writes the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from verifiable.compiling import ezkl, sumcheck
from verifiable.compiling.auditing import Audited, compare_circuits, compare_fidelity, measure_again
from verifiable.compiling.common import Checked, Compiled, Request, path_of
from verifiable.errors import BindingError, UnsupportedError
from verifiable.zk import directory
from verifiable.zk.circuit import VerifierCircuit, Visibility
from verifiable.zk.registry import DEFAULT_SYSTEM, SYSTEMS, Stores
from verifiable.zk.system import Limits, ModelProgram, Progress, no_progress

if TYPE_CHECKING:
    from verifiable.compiling.common import Calibration
    from verifiable.model.onnx_file import Model


class _Compiler(Protocol):
    def prepare(self, path: Path, dims: Mapping[str, int]) -> tuple[Model, Model]: ...

    def program_of(self, claimed: VerifierCircuit, loaded: Model, shaped: Model) -> ModelProgram: ...


_COMPILERS: Mapping[str, _Compiler] = {sumcheck.SYSTEM: sumcheck, ezkl.SYSTEM: ezkl}


def check(
    model: str | Path,
    *,
    system: str = DEFAULT_SYSTEM,
    visibility: Visibility | None = None,
    dims: Mapping[str, int] | None = None,
    limits: Limits | None = None,
    progress: Progress = no_progress,
) -> Checked:
    """Can it be proved, at what cost, what to change: every node and every defect in one report, before any work.

    ``limits``: what the check itself may cost; its seconds are for all of it. Raises MalformedError when the file is no ONNX
    model at all, FatalStateError beyond the limits; defects of a readable model are in the report.
    """
    _known(system)
    path, visibility = path_of(model), visibility or default_visibility(system)
    if system == sumcheck.SYSTEM:
        return sumcheck.check(path, dims or {}, visibility, limits or Limits())
    return ezkl.check(path, dims or {}, visibility, limits or Limits(), progress)


def compile(  # noqa: A001 - the verb of the public API
    model: str | Path,
    *,
    system: str = DEFAULT_SYSTEM,
    calibration: Calibration | None = None,
    max_error: float | None = None,
    visibility: Visibility | None = None,
    dims: Mapping[str, int] | None = None,
    bits: int | None = None,
    srs: str | Path | None = None,
    max_logrows: int | None = None,
    stores: Stores | None = None,
    limits: Limits | None = None,
    progress: Progress = no_progress,
) -> Compiled:
    """Turn an ONNX model into a circuit.

    ``calibration``: samples as a file (see ``verifiable.model.data``) or as mappings from input name to array in the model's
    shapes; without it, synthetic inputs uniform in [-1, 1] are used and the circuit takes only that range. ``max_error``:
    largest absolute output error accepted over the calibration set (None: arg-max agreement and 1 % of the output range).

    Of sumcheck alone: ``bits`` of activations, 8, 10, 12 or 16 (None: the fewest that are accurate enough). Of ezkl alone:
    ``srs``, ``ceremony`` (None: the smallest known one in the store that fits), ``dev-insecure`` or a file to import;
    ``max_logrows``, the largest circuit (None: 22).

    Raises MalformedError, UnsupportedError (cannot be proved, or not within ``max_error``), TrustError (no setup that fits).
    """
    _known(system)
    request = Request(
        model=path_of(model), calibration=calibration, max_error=max_error,
        visibility=visibility or default_visibility(system), dims=dims or {}, limits=limits or Limits(),
        stores=stores or Stores.default(), progress=progress,
    )  # fmt: skip
    if system == sumcheck.SYSTEM:
        _not_of(system, srs=srs, max_logrows=max_logrows)
        return sumcheck.compile(request, bits=bits)
    _not_of(system, bits=bits)
    return ezkl.compile(request, srs=srs or "ceremony", max_logrows=max_logrows or 22)


def audit(
    circuit: str | Path,
    model: str | Path,
    *,
    calibration: Calibration | None = None,
    dims: Mapping[str, int] | None = None,
    stores: Stores | None = None,
    limits: Limits | None = None,
    progress: Progress = no_progress,
) -> Audited:
    """Re-derive the circuit in folder ``circuit`` from the ONNX file and compare ids: is it what its maker says it is?

    Scales and input ranges are taken from the circuit (they are its maker's to choose), everything else is made again. With
    ``calibration`` fidelity is measured on these samples, and must be no worse than the report says; on what are evidently the
    report's own samples (as many, with the same range of outputs) it must be what the report says. Raises BindingError naming
    what differs, TrustError when a setup is not on this machine.
    """
    from verifiable.model.fidelity import Fidelity

    claimed = directory.load_verifier(path_of(circuit))
    named = claimed.circuit
    _known(named.system)
    loaded, shaped = _COMPILERS[named.system].prepare(path_of(model), dims or {})
    _COMPILERS[named.system].program_of(claimed, loaded, shaped).open(claimed)
    if named.system == sumcheck.SYSTEM:
        rebuilt = sumcheck.rebuild(claimed, loaded, shaped)
    else:
        rebuilt = ezkl.rebuild(
            claimed, loaded, shaped, stores=stores or Stores.default(), limits=limits or Limits(), progress=progress
        )
    compare_circuits(rebuilt.circuit, named)
    reported = Fidelity.parse(claimed.parts["fidelity"])
    if [output.name for output in reported.outputs] != [spec.name for spec in named.outputs]:
        raise BindingError("audit: the fidelity report is not of this circuit's outputs, in its order")
    if calibration is None:
        return Audited(circuit=named, reported=reported)
    measured, outside = measure_again(rebuilt, loaded, shaped, calibration)
    compare_fidelity(measured, reported)
    return Audited(circuit=named, reported=reported, measured=measured, outside=outside)


def program_of(model: str | Path, *, circuit: VerifierCircuit, dims: Mapping[str, int] | None = None) -> ModelProgram:
    """What ``model`` is proved as in ``circuit``, for a verifier who has the model and runs it again.

    The verifier holds the circuit to what this returns. Raises MalformedError and UnsupportedError as :func:`compile`,
    BindingError where nothing can be derived because the circuit is of another model.
    """
    system = circuit.circuit.system
    _known(system)
    compiler = _COMPILERS[system]
    return compiler.program_of(circuit, *compiler.prepare(path_of(model), dims or {}))


def default_visibility(system: str) -> Visibility:
    """Everything public, and the weights bound in the way that the proof system has."""
    return Visibility(weights="committed" if system == sumcheck.SYSTEM else "fixed")


def _known(system: str) -> None:
    if system not in SYSTEMS:
        raise UnsupportedError(f"proof system {system[:40]!r} is not known to this version", hint=f"known: {', '.join(SYSTEMS)}")


def _not_of(system: str, **options: object) -> None:
    """What only the other proof system has may not be asked for: it would go unheard."""
    for name, value in options.items():
        if value is not None:
            option = name.replace("_", "-")
            raise UnsupportedError(f"{system} has no option {option!r}", hint="leave it out, or choose another --system")


__all__ = ["Audited", "Checked", "Compiled", "audit", "check", "compile", "default_visibility", "program_of"]
