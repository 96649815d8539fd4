# SPDX-License-Identifier: Apache-2.0
"""``verifiable bench prove``, which is also ``verifiable bench``."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verifiable import files
from verifiable.bench.prove import SYSTEMS
from verifiable_cli import benching, options

if TYPE_CHECKING:
    from verifiable.bench.prove.measure import Options
    from verifiable.bench.prove.results import Measurement, Results


@click.command("prove")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--system", "systems", multiple=True, type=click.Choice(SYSTEMS), help="Measure only this one. Repeatable.")
@click.option("--all", "everything", is_flag=True, help="Also what takes ezkl minutes and gigabytes.")
@click.option("--runs", type=click.IntRange(1, 100), default=3, show_default=True, help="Of each time, after a warm-up.")
@benching.memory_option
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), default=3600.0, show_default=True, help="Seconds for one model with one system."
)
@benching.out_option
@click.option("--from", "source", type=options.PATH, help="Show the results in this bench.json again; measure nothing.")
@benching.markdown_option
@options.json_option
def command(
    names: tuple[str, ...],
    systems: tuple[str, ...],
    everything: bool,
    runs: int,
    memory: int | None,
    timeout: float,
    target: Path,
    source: Path | None,
    as_markdown: bool,
    as_json: bool,
) -> None:
    """Measure what proving costs on this machine: time, memory and sizes, by model and proof system.

    NAME is a generated network, an entry of the catalogue, or an ONNX file; by default all generated networks and LeNet-5.
    Systems: sumcheck, ezkl as tuned here, and ezkl-stock, as ezkl's own calibration sets it up. What takes ezkl minutes is left
    out unless its system is named or --all is given. bench.json and bench.svg go to the folder of --out.

    \b
    Example:
      verifiable bench
      verifiable bench mlp-784-128-10 lenet5 --system sumcheck --system ezkl-stock
      verifiable bench --from bench/bench.json --markdown
    """
    from verifiable.bench.prove import report
    from verifiable.bench.prove.measure import Options
    from verifiable.bench.prove.results import MAX_SIZE, Results

    if source is not None:
        results = Results.parse(files.read(source, what="benchmark", max_size=MAX_SIZE))
    else:
        chosen = Options(
            systems=systems, everything=everything, runs=runs, limits=benching.limits(memory, timeout),
            command=(sys.executable, "-P", "-m", "verifiable_cli.main"),
        )  # fmt: skip
        results = _measured(names, chosen, benching.Files(folder=target, stem="bench"))
    benching.show(results, report, as_markdown=as_markdown, as_json=as_json)
    if source is None and results.failed:
        raise click.exceptions.Exit(1)


def _measured(names: tuple[str, ...], chosen: Options, target: benching.Files) -> Results:
    from verifiable.bench import machine
    from verifiable.bench.prove import subjects
    from verifiable.bench.prove.measure import measure
    from verifiable.bench.prove.plot import plot
    from verifiable.bench.prove.results import Results

    subjects.require_known(names)
    target.require_writable()
    results = Results(machine=machine.this_machine(datetime.now(UTC).date()), measurements=())

    def add(measurement: Measurement) -> None:
        nonlocal results
        results = replace(results, measurements=(*results.measurements, measurement))
        target.write(results, plot(results))

    benching.gather(lambda progress: measure(names or subjects.DEFAULT, chosen, progress=progress), add, target)
    return results
