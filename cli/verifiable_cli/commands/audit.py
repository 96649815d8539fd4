# SPDX-License-Identifier: Apache-2.0
"""``verifiable audit``."""

from __future__ import annotations

from pathlib import Path

import click

import verifiable
from verifiable_cli import options, output


@click.command()
@click.argument("circuit", type=options.PATH)
@click.option("--model", type=options.PATH, required=True, help="The ONNX file that the circuit claims to be made from.")
@click.option("--calibration", type=options.PATH, help="Measure the fidelity report again on these inputs.")
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
        output.result_json(
            {"circuit": audited.circuit.id.hex, "model": audited.circuit.model.hex, "fidelityMeasured": audited.fidelity_measured}
        )
        return
    output.say(f"model {audited.circuit.model.hex} gives this circuit")
    output.say(
        "fidelity report: on these samples no worse than it says"
        if audited.fidelity_measured
        else "fidelity report: taken as written (give --calibration to measure it)"
    )
    output.result(audited.circuit.id.hex)
