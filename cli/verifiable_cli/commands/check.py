# SPDX-License-Identifier: Apache-2.0
"""``verifiable check``."""

from __future__ import annotations

from pathlib import Path

import click

import verifiable
from verifiable_cli import options, output


@click.command()
@click.argument("model", type=options.PATH)
@options.system_option
@options.dim_option
@options.json_option
@click.pass_context
def command(ctx: click.Context, model: Path, system: str, dims: tuple[str, ...], as_json: bool) -> None:
    """Say whether the ONNX file MODEL can be proved, at what cost, and what to change.

    Every node is listed with its shapes, and every defect at once. Exits 1 when something must change first.

    \b
    Example:
      verifiable check model.onnx
      verifiable check model.onnx --dim batch=1 --json
    """
    report = verifiable.check(model, system=system, dims=options.dims(dims))
    if as_json:
        output.result_json(report.to_json())
    else:
        for line in render(report):
            output.result(line)
    if report.defects:
        ctx.exit(1)


def render(report: verifiable.compiling.Report) -> list[str]:  # type: ignore[name-defined]
    """The report as lines."""
    return [str(report)]
