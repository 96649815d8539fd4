# SPDX-License-Identifier: Apache-2.0
"""``verifiable attest verify``; part of the group in ``attest.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from verifiable.errors import Error, StaleError
from verifiable_cli import findings, judging, options, output
from verifiable_cli.commands.verify import moment


@click.command("verify")
@click.argument("evidence", type=options.PATH)
@judging.kind_option
@judging.judging_options
@click.option("--reference", type=options.PATH, metavar="FILE", help="Reference values (TOML): what the evidence should say.")
@click.option(
    "--nonce", type=options.HexBytes(),
    help="The challenge that it must answer: with --public-key the one bound together with the key, else the vendor's own "
    "(Nitro's nonce; elsewhere the report data).",
)  # fmt: skip
@click.option(
    "--public-key", type=options.PATH, metavar="PEM", help="The key that signs receipts: the evidence must have been made for it."
)
@click.option("--allow-simulated-tee", is_flag=True, help="Accept software evidence, which no hardware stands behind.")
@options.json_option
@click.pass_context
def command(
    ctx: click.Context, /, evidence: Path, kind: str | None, at: str | None, reference: Path | None, nonce: bytes | None,
    public_key: Path | None, allow_simulated_tee: bool, as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Check EVIDENCE offline up to its vendor's root, and print what was established, check by check.

    With --reference it is then appraised: is this what you want? Without, the verdict is "authentic, not appraised": some
    genuine hardware says something, and nobody has said what it should be. An attestation as receipts carry it is verified
    as of the time at which its maker did that, and its age is then judged as of --at.

    The last line is the verdict: "verified" or "authentic, not appraised" (exit 0), "rejected" when something is false (1),
    "malformed" when a file cannot be read (65), "undecided" when there is nothing to judge it by (66).

    \b
    Example:
      verifiable attest verify quote.bin --collateral collateral.json --reference reference.toml
      verifiable attest verify document.cose --at 2026-01-02T03:04:05Z --nonce c0ffee
    """
    from verifiable_cli import verifying

    judged_at, found = moment(at), findings.Findings()
    try:
        judging.judge(
            found,
            judging.read(evidence, kind),
            at=judged_at,
            references=judging.read_references(reference),
            key=judging.read_key(public_key),
            nonce=nonce,
            allow_simulated=allow_simulated_tee,
            **given,
        )
    except Error as error:
        if isinstance(error, StaleError) and at is None and not error.hint:
            error.hint = "judge it as of a time at which it was fresh: --at TIME"
        found.failed = {found.stage: checks} if (checks := getattr(error, "checks", ())) else {}
        word = verifying.verdict(error)
        if as_json:
            output.result_json(findings.to_json(found, word) | {"error": verifying.rejected_json(error)["error"]})
        else:
            for line in (*findings.render(found), word):
                output.result(line)
        output.fail(error)
        ctx.exit(error.exit_code)
    word = findings.verdict(found)
    if as_json:
        output.result_json(findings.to_json(found, word))
        return
    for line in (*findings.render(found), word):
        output.result(line)
