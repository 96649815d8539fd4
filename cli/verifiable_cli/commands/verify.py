# SPDX-License-Identifier: Apache-2.0
"""``verifiable verify``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from verifiable.errors import Error, MalformedError
from verifiable_cli import options, output


@click.command()
@click.argument("receipt", type=options.PATH)
@click.option(
    "--circuit", "circuits", multiple=True, metavar="DIR|ID", help="The circuit you expect: its id or its folder. Repeatable."
)
@click.option(
    "--trust", type=options.PATH, help="A trust root (TOML): keys, circuits, setups and logs that you trust, with their validity."
)
@click.option("--policy", type=options.PATH, help="A policy (TOML) to hold instead of the default one.")
@click.option(
    "--input", "input_file", type=options.PATH, help="The inputs you expect; needed when the receipt has only their digests."
)
@click.option("--output", "output_file", type=options.PATH, help="The outputs you expect: exact integers.")
@click.option("--model", type=options.PATH, help="The ONNX file: re-derive the circuit and run it again, besides the proof.")
@options.dim_option
@click.option("--nonce", type=options.HexBytes(), help="The challenge that the claim must carry.")
@click.option(
    "--key-event", "key_events", multiple=True, type=options.PATH, metavar="FILE",
    help="A settled key event (add, retire, revoke) to judge keys by. Repeatable.",
)  # fmt: skip
@click.option("--at", metavar="TIME", help="Judge as of this time (2026-01-02T03:04:05Z) instead of now.")
@click.option("--allow-dev-srs", is_flag=True, help="Accept a development setup; whoever made it can forge proofs.")
@click.option("--values", is_flag=True, help="With --json: print large tensors in full, not only their digests.")
@options.json_option
@click.pass_context
def command(
    ctx: click.Context,
    receipt: Path,
    circuits: tuple[str, ...],
    trust: Path | None,
    policy: Path | None,
    input_file: Path | None,
    output_file: Path | None,
    model: Path | None,
    dims: tuple[str, ...],
    nonce: bytes | None,
    key_events: tuple[Path, ...],
    at: str | None,
    allow_dev_srs: bool,
    values: bool,
    as_json: bool,
) -> None:
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
    from verifiable_cli.verifying import rejected_json, render, render_checks, verdict, verified_json, verify_file

    judged_at = moment(at)
    try:
        verified = verify_file(
            receipt, circuits=circuits, trust=trust, policy=policy, input_file=input_file, output_file=output_file, model=model,
            dims=options.dims(dims), nonce=nonce, key_events=key_events, at=judged_at, allow_dev_srs=allow_dev_srs,
        )  # fmt: skip
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
