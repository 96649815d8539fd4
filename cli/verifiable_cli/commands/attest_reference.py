# SPDX-License-Identifier: Apache-2.0
"""``verifiable attest reference``; part of the group in ``attest.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from verifiable import files
from verifiable_cli import judging, options, output
from verifiable_cli.commands.verify import moment


@click.command("reference")
@click.option("--from", "evidence", type=options.PATH, metavar="EVIDENCE", required=True, help="The evidence to draft from.")
@judging.kind_option
@judging.judging_options
@click.option("--name", help="What policies are to call it.  [default: the kind of evidence]")
@click.option("--allow-debug", is_flag=True, help="Also from evidence in debug mode, whose measurements say nothing.")
@click.option("-o", "--output", "out", type=options.PATH, help="The file to write.  [default: standard output]")
def command(
    evidence: Path, kind: str | None, at: str | None, name: str | None, allow_debug: bool, out: Path | None, **given: Any
) -> None:
    """Verify EVIDENCE, and write a first draft of reference values that evidence like it meets: for you to review.

    The draft says what one machine was. What it should be, nobody but you can say: compare the measurements with those of a
    build that you made, and remove what you do not want to accept.

    \b
    Example:
      verifiable attest reference --from document.cose --at 2026-01-02T03:04:05Z -o reference.toml
      verifiable attest reference --from receipt.json -o reference.toml
    """
    from verifiable.tee import drafting

    if out is not None:
        files.require_writable(out, what="reference values")
    verified = judging.verify(judging.read(evidence, kind), at=moment(at), **given)
    reference = drafting.draft(verified, name=name or verified.kind, allow_debug=allow_debug)
    text = drafting.to_toml(reference, verified, source=evidence.name)
    if out is None:
        output.result(text.rstrip("\n"))
        return
    files.write(out, text.encode(), what="reference values")
    output.say("a draft: review it before you rely on it")
    output.result(str(out))
