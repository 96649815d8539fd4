# SPDX-License-Identifier: Apache-2.0
"""What every benchmark command does with what it measures: written after each measurement, kept when cancelled, shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import click

from verifiable import files
from verifiable.zk.system import Limits, Progress
from verifiable_cli import options, output

#: Of the memory that is free: what a measurement may take where no limit is given.
_SHARE = 0.9
out_option = click.option(
    "-o", "--out", "target", type=options.PATH, default=Path("bench"), show_default=True, help="Folder to write to."
)
markdown_option = click.option("--markdown", "as_markdown", is_flag=True, help="Print the table as Markdown.")
memory_option = click.option(
    "--memory", type=options.Size(), help="Limit of every process, e.g. 8GB.  [default: 90% of what is free]"
)


class Measured(Protocol):
    """One measurement, of whatever."""

    @property
    def name(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def reason(self) -> str: ...


class Results(Protocol):
    """All of a run so far."""

    @property
    def measurements(self) -> Sequence[Any]: ...
    def encode(self) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where a run's results go: ``stem``.json and, where they are ``plotted``, ``stem``.svg in ``folder``."""

    folder: Path
    stem: str
    plotted: bool = True

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(self.folder / f"{self.stem}.{kind}" for kind in ("json", "svg")[: 1 + self.plotted])

    def require_writable(self) -> None:
        """Raises FatalStateError before anything is measured."""
        for path in self.paths:
            files.require_writable(path if self.folder.exists() else self.folder.parent / path.name, what="benchmark")

    def write(self, results: Results, *plot: bytes) -> None:
        """Whole files each time."""
        self.folder.mkdir(exist_ok=True)
        for path, data in zip(self.paths, (results.encode(), *plot), strict=True):
            files.write(path, data, what="benchmark")


def limits(memory: int | None, seconds: float) -> Limits:
    """As given, else most of the memory that is free now."""
    from verifiable.bench import machine

    return Limits(memory=int(_SHARE * machine.free_memory()) if memory is None else memory, seconds=seconds)


def gather(measuring: Callable[[Progress], Iterator[Measured]], add: Callable[[Any], None], target: Files) -> None:
    """``add`` each measurement as it comes; it keeps and writes it, since the next one may take an hour."""
    count = 0
    try:
        with output.progress() as progress:
            for measurement in measuring(progress):
                add(measurement)
                count += 1
                if measurement.reason:
                    output.say(f"{measurement.name}: {measurement.status}: {measurement.reason}")
    except KeyboardInterrupt:
        if not count:
            raise
        output.say(f"verifiable: cancelled; what was measured so far is in {target.folder}")
        raise click.exceptions.Exit(130) from None
    output.say(f"wrote {' and '.join(map(str, target.paths))}")


def show(results: Results, report: ModuleType, *, as_markdown: bool, as_json: bool) -> None:
    """As JSON, as Markdown, or as a table; ``report`` has ``lines`` and ``markdown``."""
    if as_json:
        output.result_json(json.loads(results.encode()))
    elif as_markdown:
        output.result(report.markdown(results).rstrip("\n"))
    else:
        for line in report.lines(results):
            output.result(output.one_line(line))
