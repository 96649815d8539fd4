# SPDX-License-Identifier: Apache-2.0
"""``verifiable bench tee``."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verifiable import files
from verifiable.bench.tee import DEFAULT_RUNS, MAX_RUNS
from verifiable_cli import benching, judging, options
from verifiable_cli.commands.verify import moment

if TYPE_CHECKING:
    from verifiable.bench.tee.measure import Options
    from verifiable.bench.tee.results import Measurement, Results
    from verifiable.bench.tee.subjects import Case, Software

#: Whose versions matter: what does the signatures, and what reads vendors' formats.
_PACKAGES = ("cryptography", "dcap-qvl", "cbor2", "lxml", "signxml")


@click.command("tee")
@click.argument("evidence", nargs=-1, type=options.PATH, metavar="[EVIDENCE]...")
@judging.kind_option
@judging.judging_options
@click.option(
    "--cases", "listed", type=options.PATH, metavar="FILE",
    help="A list (TOML) of evidence of several kinds, each with its own collateral and time.",
)  # fmt: skip
@click.option("--runs", type=click.IntRange(1, MAX_RUNS), default=DEFAULT_RUNS, show_default=True, help="Of each, when warm.")
@benching.memory_option
@click.option("--timeout", type=click.FloatRange(min=0.1), default=300.0, show_default=True, help="Seconds for one of them.")
@benching.out_option
@click.option("--from", "source", type=options.PATH, help="Show the results in this tee.json again; measure nothing.")
@benching.markdown_option
@options.json_option
def command(
    evidence: tuple[Path, ...], listed: Path | None, runs: int, memory: int | None, timeout: float, target: Path,
    source: Path | None, as_markdown: bool, as_json: bool, at: str | None, **given: Any,
) -> None:  # fmt: skip
    """Measure what verifying evidence costs on this machine: parsing it, and every check up to its vendor's root.

    EVIDENCE is as `verifiable attest verify` takes it, each with the same --kind, --collateral, --root and --at. Software
    evidence, which is made here, is always measured too. tee.json goes to the folder of --out.

    A list is of such tables; all but evidence may be left out, and paths are relative to the list:

    \b
      [[cases]]
      evidence = "quote.bin"
      kind = "tdx"
      collateral = ["collateral.json"]
      at = "2026-01-02T03:04:05Z"

    \b
    Example:
      verifiable bench tee
      verifiable bench tee quote.bin --collateral collateral.json --at 2026-01-02T03:04:05Z
      verifiable bench tee --cases cases.toml --markdown
    """
    from verifiable.bench.tee import report
    from verifiable.bench.tee.measure import Options
    from verifiable.bench.tee.results import MAX_SIZE, Results

    if source is not None:
        results = Results.parse(files.read(source, what="benchmark", max_size=MAX_SIZE))
    else:
        chosen = Options(runs=runs, limits=benching.limits(memory, timeout))
        results = _measured(_cases(evidence, listed, at, given), chosen, benching.Files(folder=target, stem="tee", plotted=False))
    benching.show(results, report, as_markdown=as_markdown, as_json=as_json)
    if source is None and results.failed:
        raise click.exceptions.Exit(1)


def _cases(
    evidence: tuple[Path, ...], listed: Path | None, at: str | None, given: dict[str, Any]
) -> tuple[Case | Software, ...]:  # fmt: skip
    from verifiable.bench.tee.subjects import Case, Software, read_cases

    now = moment(None)
    if not evidence and (at or any(given.values())):
        raise click.UsageError("--kind, --collateral, --root, --rim-root and --at are about EVIDENCE, and none is named")
    cases = tuple(Case(name=path.name, evidence=path, at=moment(at), **given) for path in evidence)
    return (*cases, *(() if listed is None else read_cases(listed, at=now)), Software(at=now))


def _measured(cases: tuple[Case | Software, ...], chosen: Options, target: benching.Files) -> Results:
    from verifiable.bench import machine
    from verifiable.bench.tee.measure import measure
    from verifiable.bench.tee.results import Results

    target.require_writable()
    results = Results(machine=machine.this_machine(datetime.now(UTC).date(), _PACKAGES))

    def add(measurement: Measurement) -> None:
        nonlocal results
        results = replace(results, measurements=(*results.measurements, measurement))
        target.write(results)

    benching.gather(lambda progress: measure(cases, chosen, progress=progress), add, target)
    return results
