# SPDX-License-Identifier: Apache-2.0
"""``verifiable bench ledger``."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verifiable import files
from verifiable.bench.ledger import DEFAULT_ENTRIES, MAX_ENTRIES, MIN_ENTRIES
from verifiable_cli import benching, options

if TYPE_CHECKING:
    from verifiable.bench.ledger.measure import Options
    from verifiable.bench.ledger.results import Measurement, Results


@click.command("ledger")
@click.option(
    "--entries",
    type=click.IntRange(MIN_ENTRIES, MAX_ENTRIES),
    default=DEFAULT_ENTRIES,
    show_default=True,
    help="Of the largest log. It takes 600 bytes of disk for each.",
)
@click.option("--runs", type=click.IntRange(1, 100), default=3, show_default=True, help="Of opening and fsck, after a warm-up.")
@benching.memory_option
@click.option("--timeout", type=click.FloatRange(min=0.1), default=7200.0, show_default=True, help="Seconds for one size.")
@benching.out_option
@click.option("--from", "source", type=options.PATH, help="Show the results in this ledger.json again; measure nothing.")
@benching.markdown_option
@options.json_option
def command(
    entries: int,
    runs: int,
    memory: int | None,
    timeout: float,
    target: Path,
    source: Path | None,
    as_markdown: bool,
    as_json: bool,
) -> None:
    """Measure what a log costs on this machine: appends per second, opening, proofs, fsck and memory, by its size.

    One log of made-up entries grows through the library from 1,000 entries to --entries, with two signatures under each batch of
    256, and is measured on the way; it is removed at the end. ledger.json and ledger.svg go to the folder of --out.

    \b
    Example:
      verifiable bench ledger
      verifiable bench ledger --entries 10000000
      verifiable bench ledger --from bench/ledger.json --markdown
    """
    from verifiable.bench.ledger import report
    from verifiable.bench.ledger.measure import Options
    from verifiable.bench.ledger.results import MAX_SIZE, Results

    if source is not None:
        results = Results.parse(files.read(source, what="benchmark", max_size=MAX_SIZE))
    else:
        chosen = Options(entries=entries, runs=runs, limits=benching.limits(memory, timeout))
        results = _measured(chosen, benching.Files(folder=target, stem="ledger"))
    benching.show(results, report, as_markdown=as_markdown, as_json=as_json)
    if source is None and results.failed:
        raise click.exceptions.Exit(1)


def _measured(chosen: Options, target: benching.Files) -> Results:
    from verifiable.bench import machine
    from verifiable.bench.ledger.entries import entry
    from verifiable.bench.ledger.measure import measure
    from verifiable.bench.ledger.plot import plot
    from verifiable.bench.ledger.results import Results
    from verifiable.ledger.log import BATCH

    target.require_writable()
    here = machine.this_machine(datetime.now(UTC).date(), ("cryptography",))
    results = Results(machine=here, batch=BATCH, entry=len(entry(0)))

    def add(measurement: Measurement) -> None:
        nonlocal results
        results = replace(results, measurements=(*results.measurements, measurement))
        target.write(results, plot(results))

    benching.gather(lambda progress: measure(chosen, progress=progress), add, target)
    return results
