# SPDX-License-Identifier: Apache-2.0
"""``verifiable bench``."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verifiable import files
from verifiable.bench.prove import SYSTEMS
from verifiable.zk.system import Limits
from verifiable_cli import options, output

if TYPE_CHECKING:
    from verifiable.bench.prove.measure import Options
    from verifiable.bench.prove.results import Results

_FILES = ("bench.json", "bench.svg")
#: Of the memory that is free: what a measurement may take where no limit is given.
_SHARE = 0.9


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--system", "systems", multiple=True, type=click.Choice(SYSTEMS), help="Measure only this one. Repeatable.")
@click.option("--all", "everything", is_flag=True, help="Also what takes ezkl minutes and gigabytes.")
@click.option("--runs", type=click.IntRange(1, 100), default=3, show_default=True, help="Of each time, after a warm-up.")
@click.option("--memory", type=options.Size(), help="Limit of every process, e.g. 8GB.  [default: 90% of what is free]")
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), default=3600.0, show_default=True, help="Seconds for one model with one system."
)
@click.option("-o", "--out", "target", type=options.PATH, default=Path("bench"), show_default=True, help="Folder to write to.")
@click.option("--from", "source", type=options.PATH, help="Show the results in this bench.json again; measure nothing.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the table as Markdown.")
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
    from verifiable.bench import machine
    from verifiable.bench.prove.measure import Options
    from verifiable.bench.prove.results import MAX_SIZE, Results

    if source is not None:
        results = Results.parse(files.read(source, what="benchmark", max_size=MAX_SIZE))
    else:
        limit = int(_SHARE * machine.free_memory()) if memory is None else memory
        chosen = Options(
            systems=systems, everything=everything, runs=runs, limits=Limits(memory=limit, seconds=timeout),
            command=(sys.executable, "-P", "-m", "verifiable_cli.main"),
        )  # fmt: skip
        results = _measured(names, chosen, target)
    _show(results, as_markdown=as_markdown, as_json=as_json)
    if source is None and results.failed:
        raise click.exceptions.Exit(1)


def _measured(names: tuple[str, ...], chosen: Options, target: Path) -> Results:
    from verifiable.bench import machine
    from verifiable.bench.prove import subjects
    from verifiable.bench.prove.measure import measure
    from verifiable.bench.prove.results import Results

    subjects.require_known(names)
    for name in _FILES:
        files.require_writable(target.parent / name if not target.exists() else target / name, what="benchmark")
    results = Results(machine=machine.this_machine(datetime.now(UTC).date()), measurements=())
    try:
        with output.progress() as progress:
            for measurement in measure(names or subjects.DEFAULT, chosen, progress=progress):
                results = replace(results, measurements=(*results.measurements, measurement))
                _write(results, target)
                if measurement.reason:
                    output.say(f"{measurement.model}, {measurement.system}: {measurement.status}: {measurement.reason}")
    except KeyboardInterrupt:
        if not results.measurements:
            raise
        output.say(f"verifiable: cancelled; what was measured so far is in {target}")
        raise click.exceptions.Exit(130) from None
    output.say(f"wrote {' and '.join(str(target / name) for name in _FILES)}")
    return results


def _write(results: Results, target: Path) -> None:
    """After every measurement, since the next one may take an hour: each time two whole files."""
    from verifiable.bench.prove.plot import plot

    target.mkdir(exist_ok=True)
    for name, data in zip(_FILES, (results.encode(), plot(results)), strict=True):
        files.write(target / name, data, what="benchmark")


def _show(results: Results, *, as_markdown: bool, as_json: bool) -> None:
    from verifiable.bench.prove import report

    if as_json:
        output.result_json(json.loads(results.encode()))
    elif as_markdown:
        output.result(report.markdown(results).rstrip("\n"))
    else:
        for line in report.lines(results):
            output.result(output.one_line(line))
