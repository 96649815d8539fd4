# SPDX-License-Identifier: Apache-2.0
"""``verifiable check``."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

import verifiable
from verifiable_cli import options, output

if TYPE_CHECKING:
    from verifiable.compiling import Checked
    from verifiable.model.preflight import NodeReport


@click.command()
@click.argument("model", type=options.PATH)
@options.system_option
@options.visibility_options
@options.dim_option
@click.option("--timeout", type=click.FloatRange(min=0.1), help="Give up after this many seconds.")
@options.json_option
@click.pass_context
def command(
    ctx: click.Context,
    model: Path,
    system: str,
    input_visibility: str,
    output_visibility: str,
    weights_visibility: str | None,
    dims: tuple[str, ...],
    timeout: float | None,
    as_json: bool,
) -> None:
    """Say whether the ONNX file MODEL can be proved, at what cost, and what to change.

    Every node is listed with its shapes, and every defect at once. Exits 1 when something must change first. The
    predicted memory is held against this machine's.

    \b
    Example:
      verifiable check model.onnx
      verifiable check model.onnx --dim batch=1 --json
    """
    with output.progress() as progress:
        checked = verifiable.check(
            model, system=system, dims=options.dims(dims), progress=progress,
            limits=options.limits(None, timeout),
            visibility=options.visibility(system, input_visibility, output_visibility, weights_visibility),
        )  # fmt: skip
    if as_json:
        cost = None if checked.cost is None else dict(checked.cost.to_json())
        output.result_json({**checked.report.to_json(), "predicted": cost, "machineMemory": _machine_memory()})
    else:
        for line in _lines(checked):
            output.result(line)
    if checked.report.defects or checked.cost is None:
        ctx.exit(1)


def _lines(checked: Checked) -> list[str]:
    report = checked.report
    rows = [("node", "operator", "inputs", "outputs", "multiply-adds", ""), *map(_row, report.nodes)]
    sizes = f"{report.parameters:,} parameters, {report.multiply_adds:,} multiply-adds, {report.activations:,} activations"
    lines = [f"model {report.model.hex}: {sizes}", *(output.table(rows) if report.nodes else [])]
    for defect in report.defects:
        lines.append(f"defect: {output.one_line(str(defect))}")
        if defect.fix:
            lines.append(f"  fix: {output.one_line(defect.fix)}")
    if report.defects:
        return [*lines, f"cannot be proved as it is: {len(report.defects)} to change"]
    if checked.cost is None:
        return [*lines, "too large for any circuit of up to 2^26 rows"]
    cost = checked.cost
    memory = output.size(cost.memory)
    predicted = f"{cost.seconds:.2g} s per proof, {memory} of memory, {cost.summary()}"
    lines.append(f"can be proved; predicted: {predicted}")
    if (here := _machine_memory()) is not None and cost.memory > here:
        lines.append(f"warning: proving needs {memory} of memory, this machine has {output.size(here)}")
    return lines


def _machine_memory() -> int | None:
    """Bytes of memory that processes here may use: the machine's, or the container's where that is less; None if unknown."""
    try:
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None
    with contextlib.suppress(OSError, ValueError):  # no such limit: no file, or "max"
        found = min(found, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return found


def _row(node: NodeReport) -> tuple[str, ...]:
    def shapes(dims: tuple[tuple[int, ...] | None, ...]) -> str:
        return " ".join("?" if d is None else str(list(d)) for d in dims)

    verdict = "ok" if node.provable else "cannot be proved"
    return node.name, node.op, shapes(node.input_shapes), shapes(node.output_shapes), f"{node.multiply_adds:,}", verdict
