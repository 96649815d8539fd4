# SPDX-License-Identifier: Apache-2.0
"""``verifiable log export``; part of the group in ``log.py``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from verifiable_cli import options, output

if TYPE_CHECKING:
    from verifiable.ledger.directory import LogDirectory
    from verifiable.ledger.sigstore import LogEntry

FORMATS = ("receipt", "tlog-proof", "sigstore", "cose", "trusted-root")


@click.command("export")
@click.argument("directory", metavar="DIR", type=options.PATH)
@click.argument("statement", metavar="[RECEIPT]", type=options.PATH, required=False)
@click.option(
    "--format", "kind", type=click.Choice(FORMATS), default="receipt", show_default=True, help="What to write."
)  # fmt: skip
@click.option("-o", "--output", "out", type=options.PATH, required=True, help="The file to write.")
@click.option(
    "--index", type=click.IntRange(min=0), help="Where RECEIPT is in the log, as `log append` printed; a settled one says it."
)
@click.option("--private", type=options.PATH, help="The log's private folder.  [default: DIR.private, beside the log]")
@options.json_option
def command(
    directory: Path, statement: Path | None, kind: str, out: Path, index: int | None, private: Path | None, as_json: bool
) -> None:
    """Write what proves to others that the log in DIR holds RECEIPT, by its present checkpoint and the cosignatures on it.

    RECEIPT is a receipt or the bundle of another signed statement. Each format can be verified offline:

    \b
      receipt       RECEIPT itself, settled: `verifiable verify` checks it
      tlog-proof    C2SP's text format, for any tool of theirs
      sigstore      a Sigstore bundle v0.3, for Sigstore's verifiers with the trusted root
      cose          a COSE receipt (RFC 9942); the log's key signs it, so DIR.private is needed
      trusted-root  the log's key as Sigstore's trusted_root.json; without RECEIPT

    \b
    Example:
      verifiable log export ledger receipt.json --index 17 -o settled.json
      verifiable log export ledger settled.json --format sigstore -o bundle.json
      verifiable log export ledger --format trusted-root -o trusted_root.json
    """
    from verifiable import files
    from verifiable.ledger.directory import LogDirectory
    from verifiable.ledger.sigstore import trusted_root

    if (statement is None) != (kind == "trusted-root"):
        raise click.UsageError("RECEIPT is wanted with every format but trusted-root, and not with that one")
    files.require_writable(out, what="export")
    log = LogDirectory.at(directory, private)
    document: dict[str, object] = {"output": str(out), "format": kind}
    if statement is None:
        data = trusted_root(log.identity().keys[:1])
    else:
        data, place = _exported(log, statement, kind, index)
        document |= {"index": place.index, "size": place.tree.size, "origin": place.tree.origin}
    files.write(out, data, what="export")
    if as_json:
        output.result_json(document)
        return
    output.result(f"{out}: {kind}")


def _exported(log: LogDirectory, path: Path, kind: str, index: int | None) -> tuple[bytes, LogEntry]:
    """The file's bytes, and the place that it proves."""
    from verifiable import files, settling
    from verifiable import receipt as _receipt
    from verifiable.errors import FatalStateError
    from verifiable.ledger.client import LogClient
    from verifiable.ledger.note import NoteSigner
    from verifiable.receipt import bundle_of, read_statement

    statement = read_statement(files.read(path, what="receipt", max_size=_receipt.MAX_SIZE))
    identity = log.identity()
    key, signer = identity.keys[0], identity.signers[0]
    client = LogClient(log.published, identity.keys)
    place = settling.place_of(statement, client, key, settling.index_of(statement, key) if index is None else index)
    if kind == "tlog-proof":
        return settling.tlog_proof(place), place
    if kind == "cose":
        if not isinstance(signer, NoteSigner):
            raise FatalStateError(f"log {key.name}: its first key is not one that signs COSE receipts")
        return settling.cose_receipt(place, signer), place
    settled = settling.settled(statement, place)
    return (bundle_of(settled) if kind == "sigstore" else settled).encode(), place
