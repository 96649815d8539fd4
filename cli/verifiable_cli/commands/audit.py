# SPDX-License-Identifier: Apache-2.0
"""``verifiable audit``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import verifiable
from verifiable_cli import options, output

if TYPE_CHECKING:
    from verifiable.compiling import Audited


@click.command()
@click.argument("circuit", type=options.PATH)
@click.option("--model", type=options.PATH, required=True, help="The ONNX file that the circuit claims to be made from.")
@click.option("--calibration", type=options.PATH, help="Measure fidelity on these inputs, beside the report.")
@options.dim_option
@options.limit_options
@options.json_option
def command(
    circuit: Path,
    model: Path,
    calibration: Path | None,
    dims: tuple[str, ...],
    memory: int | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Re-derive the circuit in folder CIRCUIT from the ONNX file and compare the circuit ids.

    It answers whether the circuit is what its maker says it is; do it once, before you pin an id. The setup must
    be on this machine (see `verifiable srs`).

    The circuit's fidelity report is its maker's word. With --calibration the same is measured on inputs of yours (arrays
    called label or target are left aside), shown beside it, and must be no worse.

    \b
    Example:
      verifiable audit circuit --model model.onnx
    """
    with output.progress() as progress:
        audited = verifiable.audit(
            circuit,
            model,
            calibration=calibration,
            dims=options.dims(dims),
            limits=options.limits(memory, timeout),
            progress=progress,
        )
    if as_json:
        output.result_json(_json(audited))
        return
    output.say(f"model {audited.circuit.model.hex} gives this circuit")
    for line in _fidelity(audited):
        output.say(line)
    output.result(audited.circuit.id.hex)


def _json(audited: Audited) -> dict[str, Any]:
    reports = {"reported": audited.reported, "measured": audited.measured}
    return {
        "circuit": audited.circuit.id.hex, "model": audited.circuit.model.hex, "outside": audited.outside,
        "fidelity": {name: None if report is None else json.loads(report.encode()) for name, report in reports.items()},
    }  # fmt: skip


def _fidelity(audited: Audited) -> list[str]:
    """The report, and what was measured, line by line: the maker's samples and the auditor's may differ, a reader must see it."""
    rows = [("fidelity", "output", "samples", "max error", "mean error", "range", "arg-max")]
    for name, report in (("reported", audited.reported), ("measured", audited.measured)):
        for each in report.outputs if report else ():
            low, high = each.range
            agreement = "-" if each.argmax_agreement is None else f"{each.argmax_agreement:.2%}"
            figures = (f"{each.max_abs_error:.3g}", f"{each.mean_abs_error:.3g}", f"{low:.4g} to {high:.4g}", agreement)
            rows.append((name, each.name, str(report.samples if report else 0), *figures))
    lines = output.table(rows)
    if audited.measured is None:
        return [*lines, "the report is taken as written; give --calibration to measure on inputs of yours"]
    return [*lines, f"samples outside the circuit's range, not measured: {audited.outside}"] if audited.outside else lines
