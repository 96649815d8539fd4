# SPDX-License-Identifier: Apache-2.0
"""``verifiable bench``."""

from __future__ import annotations

import click

from verifiable_cli.commands import bench_ledger, bench_prove, bench_tee

_HELP = ("-h", "--help")


class _Suites(click.Group):
    """What does not begin with the name of a suite is for ``prove``: models are what is measured most."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, *_HELP):
            args = ["prove", *args]
        return super().parse_args(ctx, args)


@click.group("bench", cls=_Suites, options_metavar="[prove|ledger|tee]", subcommand_metavar="[ARGS]...")
def command() -> None:
    """Measure what this library costs on this machine: tables, JSON, plots.

    Without the name of a suite it is `prove`: all that follows is for that one.

    \b
    Example:
      verifiable bench
      verifiable bench mlp-784-128-10 lenet5 --system sumcheck --system ezkl-stock
      verifiable bench ledger --entries 10000000
      verifiable bench tee quote.bin --collateral collateral.json
    """


command.add_command(bench_prove.command)
command.add_command(bench_ledger.command)
command.add_command(bench_tee.command)
