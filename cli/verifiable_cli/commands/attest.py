# SPDX-License-Identifier: Apache-2.0
"""``verifiable attest``."""

from __future__ import annotations

from pathlib import Path

import click

from verifiable_cli import findings, judging, options, output
from verifiable_cli.commands import attest_reference, attest_verify


@click.group("attest")
def command() -> None:
    """Evidence of trusted execution environments: show it, verify it, write down what you want of it.

    EVIDENCE is what the vendor's tools give (a TDX or SGX quote, a Nitro attestation document, an SEV-SNP report, an NVIDIA
    SPDM report), an attestation as receipts carry it, or a receipt with one. Everything is checked offline.
    """


@command.command("show")
@click.argument("evidence", type=options.PATH)
@judging.kind_option
@options.json_option
def show(evidence: Path, kind: str | None, as_json: bool) -> None:
    """Show what EVIDENCE says. Nothing is verified, and the output says so.

    \b
    Example:
      verifiable attest show quote.bin
      verifiable attest show document.cose --kind nitro --json
    """
    opened = judging.read(evidence, kind)
    parts = {"evidence": findings.shown(opened.evidence)}
    if opened.attestation is not None:
        parts = {"attestation": {**output.plain(opened.attestation), "evidence": "below"}, **parts}
    if as_json:
        output.result_json({"kind": opened.evidence.kind, "verified": False, **parts})
        return
    output.result(f"UNVERIFIED {opened.evidence.kind} evidence: {output.one_line(str(evidence))}")
    for line in output.tree(parts):
        output.result(line)


command.add_command(attest_reference.command)
command.add_command(attest_verify.command)
