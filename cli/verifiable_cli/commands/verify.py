# SPDX-License-Identifier: Apache-2.0
"""``verifiable verify``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from verifiable.errors import Error, MalformedError
from verifiable_cli import options, output


@click.command()
@click.argument("receipt", type=options.PATH)
@options.judging_options
@click.option("--at", metavar="TIME", help="Judge as of this time (2026-01-02T03:04:05Z) instead of now.")
@click.option("--values", is_flag=True, help="With --json: print large tensors in full, not only their digests.")
@options.json_option
@click.pass_context
def command(ctx: click.Context, /, receipt: Path, at: str | None, values: bool, as_json: bool, **asked: Any) -> None:
    """Check RECEIPT offline, and print what was established, check by check.

    Name the circuit that you expect with --circuit (its id is enough: the receipt carries the rest) or with --trust. With
    both, only the circuits named by --circuit count, and only while the trust root says that they are valid.

    The last line is the verdict: "verified" (exit 0; "signed, not proved" where the policy asks for no more), "rejected"
    when something is false (1), "malformed" when a file cannot be read (65), "undecided" when there is nothing to judge
    it by (66), or when this version or this machine cannot (1, 70).

    \b
    Example:
      verifiable verify receipt.json --circuit 5f2c...e1
    """
    from verifiable_cli.verifying import question, rejected_json, render, render_checks, verdict, verified_json

    judged_at = moment(at)
    try:
        verified = question(receipt, **asked).answer(judged_at)
    except Error as error:
        checks = getattr(error, "checks", ())
        if as_json:
            output.result_json(rejected_json(error))
        else:
            for line in render_checks(checks):
                output.result(line)
            output.result(verdict(error))
        output.fail(error)
        ctx.exit(error.exit_code)
    if as_json:
        output.result_json(verified_json(verified, values=values))
        return
    for line in (*render_checks(verified.checks), "", *render(verified)):
        output.result(line)
    output.result("signed, not proved" if verified.signature_only else "verified")


def moment(text: str | None) -> datetime:
    """``--at``, or now."""
    from verifiable.encoding.record import parse_time

    if text is None:
        return datetime.now(UTC)
    try:
        return parse_time(text, "--at")
    except MalformedError as error:
        raise click.BadParameter(error.message, param_hint="--at") from error
