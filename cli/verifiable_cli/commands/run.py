# SPDX-License-Identifier: Apache-2.0
"""``verifiable run``."""

from __future__ import annotations

from pathlib import Path

import click

import verifiable
from verifiable_cli import options, output


@click.command()
@click.argument("circuit", type=options.PATH)
@click.argument("input", type=options.PATH)
@options.json_option
def command(circuit: Path, input: Path, as_json: bool) -> None:
    """Run the circuit folder CIRCUIT on INPUT without proving; show its outputs beside the float model's.

    \b
    Example:
      verifiable run circuit input.json
    """
    with output.progress() as progress:
        progress("running", None)
        ran = verifiable.run(circuit, input)
    if as_json:
        output.result_json(
            {
                one.name: {
                    "integers": one.integers.tolist(), "scale": one.scale, "values": one.values.tolist(),
                    "float": one.reference.tolist(), "maxError": one.max_error,
                }
                for one in ran
            }
        )  # fmt: skip
        return
    for one in ran:
        kind = output.shape("int64", one.integers.shape)
        output.result(f"{output.one_line(one.name)}: {kind} x {one.scale:g}, largest error {one.max_error:.3g}")
        rows = [("element", "integer", "value", "float model")]
        for i, (integer, value, reference) in enumerate(
            zip(one.integers.ravel(), one.values.ravel(), one.reference.ravel(), strict=True)
        ):
            if i == 32:
                rows.append(("…", "", "", ""))
                break
            rows.append((str(i), str(integer), f"{value:.6g}", f"{reference:.6g}"))
        for line in output.table(rows):
            output.result(line)
