# SPDX-License-Identifier: Apache-2.0
"""``verifiable run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import verifiable
from verifiable_cli import options, output

if TYPE_CHECKING:
    from verifiable.proving import RanOutput

#: Elements that are shown, and the table's head.
_MAX_ROWS = 33


@click.command()
@click.argument("circuit", type=options.PATH)
@click.argument("input", type=options.PATH)
@click.option("--model", type=options.PATH, help="The circuit's ONNX file, to compare with.")
@options.json_option
def command(circuit: Path, input: Path, model: Path | None, as_json: bool) -> None:
    """Run the circuit folder CIRCUIT on INPUT without proving; with --model, show its outputs beside the float model's.

    In JSON, a float that is not finite is the string "NaN", "Infinity" or "-Infinity".

    \b
    Example:
      verifiable run circuit input.json --model model.onnx
    """
    with output.progress() as progress:
        progress("running", None)
        ran = verifiable.run(circuit, input, model=model)
    if as_json:
        output.result_json({one.name: _json(one) for one in ran})
        return
    for one in ran:
        error = "" if one.max_error is None else f", largest error {one.max_error:.3g}"
        output.result(f"{output.one_line(one.name)}: {output.shape('int64', one.integers.shape)} x {one.scale:g}{error}")
        for line in output.table(_rows(one)):
            output.result(line)


def _json(one: RanOutput) -> dict[str, Any]:
    found = {"integers": one.integers.tolist(), "scale": one.scale, "values": one.values.tolist()}
    return found if one.reference is None else {**found, "float": one.reference.tolist(), "maxError": one.max_error}


def _rows(one: RanOutput) -> list[tuple[str, ...]]:
    """A row for each of the first elements. Where the last step makes fewer values than integers, those are shown alone."""
    columns = [("value", [f"{v:.6g}" for v in one.values.ravel()])]
    if one.integers.shape == one.values.shape:
        columns.insert(0, ("integer", [str(v) for v in one.integers.ravel()]))
    if one.reference is not None:
        columns.append(("float model", [f"{v:.6g}" for v in one.reference.ravel()]))
    rows = [("element", *(name for name, _ in columns))]
    rows += [(str(i), *cells) for i, cells in enumerate(zip(*(cells for _, cells in columns), strict=True))]
    return rows if len(rows) <= _MAX_ROWS else [*rows[:_MAX_ROWS], ("…", *[""] * len(columns))]
