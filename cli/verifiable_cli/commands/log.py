# SPDX-License-Identifier: Apache-2.0
"""``verifiable log``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verifiable_cli import options, output
from verifiable_cli.commands import log_cosign, log_export, log_key_event, log_verdict

if TYPE_CHECKING:
    from verifiable.errors import Error
    from verifiable.ledger.client import Seen
    from verifiable.ledger.note import NoteKey
    from verifiable.ledger.sigstore import Bundle
    from verifiable.ledger.storage import Source
    from verifiable.receipt import Receipt

private_option = click.option(
    "--private", type=options.PATH, help="The log's private folder.  [default: DIR.private, beside the log]"
)
vkey_option = click.option(
    "--vkey",
    "vkeys",
    multiple=True,
    metavar="VKEY",
    help="The log's public key, as `log init` printed it. Repeatable: each must have signed.  [default: those in DIR.private]",
)


@click.group("log")
def command() -> None:
    """A Merkle log in C2SP formats: append to one, prove what is in it, check it, follow it.

    A log is a folder that any web server publishes as it is. Where LOG is asked for, give the folder or its URL.
    """


command.add_command(log_cosign.command)
command.add_command(log_export.command)
command.add_command(log_key_event.command)
command.add_command(log_verdict.command)
command.add_command(log_verdict.verify_verdict)


@command.command("init")
@click.argument("directory", metavar="DIR", type=options.PATH)
@click.option("--origin", required=True, help="The log's name for ever, e.g. log.example.org/receipts, the URL it will be at.")
@private_option
@options.json_option
def init(directory: Path, origin: str, private: Path | None, as_json: bool) -> None:
    """Make a new log in DIR, with its keys in DIR.private, and print its public keys (vkeys).

    Never publish DIR.private, and never restore it from an old backup: it knows what the log has signed.

    \b
    Example:
      verifiable log init ledger --origin log.example.org/receipts
    """
    from verifiable.ledger.directory import LogDirectory

    log = LogDirectory.at(directory, private)
    keys = [key.encode() for key in log.initialise(origin)]
    if as_json:
        output.result_json({"directory": str(log.public), "private": str(log.private), "origin": origin, "vkeys": keys})
        return
    output.say(f"{log.public}: the log {origin}; its keys are in {log.private}")
    for key in keys:
        output.result(key)


@command.command("append")
@click.argument("directory", metavar="DIR", type=options.PATH)
@click.argument("entries", metavar="ENTRY...", type=options.PATH, nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    "out",
    type=options.PATH,
    help="For a single ENTRY: write the settled receipt here, or for bytes of your own the proof of logging (.tlog-proof).",
)
@click.option(
    "--public-key", type=options.PATH, help="PEM of the key that signed ENTRY, where it is another statement than a receipt."
)
@click.option("--wait", type=click.FloatRange(min=0), default=10.0, show_default=True, help="Seconds to wait for another writer.")
@private_option
@options.json_option
def append(
    directory: Path,
    entries: tuple[Path, ...],
    out: Path | None,
    public_key: Path | None,
    wait: float,
    private: Path | None,
    as_json: bool,
) -> None:
    """Append each file ENTRY to the log in DIR; on return they are durable and published.

    A receipt, or the bundle of another signed statement, is appended as its leaf, once its signature holds; any other file as
    it is. The same ENTRY again keeps its place. A key event that would count for nothing here is refused.

    \b
    Example:
      verifiable log append ledger receipt.json -o settled.json
      verifiable log append ledger entry.json -o entry.tlog-proof
    """
    from verifiable import files, settling
    from verifiable.ledger.directory import LogDirectory
    from verifiable.ledger.sigstore import LogEntry

    if out is not None:
        if len(entries) > 1:
            raise click.UsageError("-o takes a single ENTRY; `log prove` writes the proof of any")
        files.require_writable(out, what="proof")
    statements, contents = zip(*(_content(path, public_key) for path in entries), strict=True)
    log = LogDirectory.at(directory, private)
    with log.open(wait=wait) as writing:
        for statement in filter(None, statements):
            settling.require_effect(statement, log.identity().origin, writing.size)
        places = writing.append_many(contents)
        note = writing.checkpoint()
        hashes = writing.inclusion(places[0].index) if out else ()
    if out is not None and statements[0] is not None:
        key = log.identity().keys[0]
        place = LogEntry.of(key, index=places[0].index, hashes=hashes, checkpoint=note, body=contents[0])
        files.write(out, settling.settled(statements[0], place).encode(), what="settled receipt")
    elif out is not None:
        files.write(out, _tlog_proof(places[0].index, hashes, note), what="proof")
    rows = [{"entry": str(path), "index": place.index, "known": place.known} for path, place in zip(entries, places, strict=True)]
    if as_json:
        output.result_json(rows)
        return
    for row in rows:
        output.result(f"{row['index']}  {output.one_line(str(row['entry']))}{'  (was there)' if row['known'] else ''}")


@command.command("prove")
@click.argument("log")
@click.argument("index", type=click.IntRange(min=0))
@click.option("-o", "--output", "out", type=options.PATH, required=True, help="The file to write (.tlog-proof).")
@vkey_option
@private_option
@options.json_option
def prove(log: str, index: int, out: Path, vkeys: tuple[str, ...], private: Path | None, as_json: bool) -> None:
    """Write the proof that entry INDEX is in LOG, with the checkpoint it leads to; verified before it is written.

    \b
    Example:
      verifiable log prove ledger 17 -o entry.tlog-proof
      verifiable log prove https://log.example.org/receipts 17 --vkey VKEY -o entry.tlog-proof
    """
    from verifiable import files
    from verifiable.ledger.client import LogClient

    files.require_writable(out, what="proof")
    client = LogClient(source_of(log), _keys(log, vkeys, private))
    seen = client.checkpoint()
    files.write(out, _tlog_proof(index, client.inclusion(index, seen), seen.note), what="proof")
    if as_json:
        output.result_json({"proof": str(out), "index": index, "size": seen.checkpoint.size, "origin": seen.checkpoint.origin})
        return
    output.result(f"{out}: entry {index} of {seen.checkpoint.size} in {output.one_line(seen.checkpoint.origin)}")


@command.command("verify")
@click.argument("proof", type=options.PATH)
@click.argument("entry", type=options.PATH)
@click.option("--vkey", "vkeys", multiple=True, required=True, metavar="VKEY", help="The log's public key. Repeatable.")
@options.json_option
def verify(proof: Path, entry: Path, vkeys: tuple[str, ...], as_json: bool) -> None:
    """Check offline that the file ENTRY is in the log: by PROOF (.tlog-proof) and the log's public key, nothing else.

    \b
    Example:
      verifiable log verify entry.tlog-proof entry.json --vkey VKEY
    """
    from verifiable import files
    from verifiable.ledger.checkpoint import SignedCheckpoint
    from verifiable.ledger.tiles import MAX_ENTRY
    from verifiable.ledger.tlogproof import MAX_PROOF, TlogProof
    from verifiable.merkle.hashing import leaf_hash
    from verifiable.merkle.verify import verify_inclusion

    leaf = leaf_hash(files.read(entry, what="log entry", max_size=MAX_ENTRY))
    found = TlogProof.parse(files.read(proof, what="proof", max_size=MAX_PROOF))
    head = SignedCheckpoint.open(found.checkpoint.encode(), *_parse(vkeys))
    verify_inclusion(leaf, found.index, head.size, found.hashes, head.root)
    if as_json:
        output.result_json({"verdict": "verified", "index": found.index, "size": head.size, "origin": head.origin})
        return
    output.result(f"verified: entry {found.index} of {head.size} in {output.one_line(head.origin)}")


@command.command("fsck")
@click.argument("log")
@vkey_option
@private_option
@options.json_option
def fsck(log: str, vkeys: tuple[str, ...], private: Path | None, as_json: bool) -> None:
    """Re-derive the whole LOG from its entries and name every damaged or missing file.

    \b
    Example:
      verifiable log fsck ledger
    """
    from verifiable.ledger.checkpoint import SignedCheckpoint
    from verifiable.ledger.directory import LogDirectory
    from verifiable.ledger.fsck import fsck as check

    keys = _keys(log, vkeys, private)
    directory = None if _is_url(log) else LogDirectory.at(Path(log), private)
    head = directory.head() if directory and directory.private.is_dir() else None
    with output.progress() as progress:
        report = check(source_of(log), lambda note: SignedCheckpoint.open(note, *keys), head=head, progress=progress)
    size = report.checkpoint.size if report.checkpoint else None
    if as_json:
        damage = [{"path": each.path, "reason": each.reason} for each in report.damage]
        output.result_json({"sound": not report.damage, "size": size, "damage": damage})
    else:
        for each in report.damage:
            output.result(f"{each.path}: {output.one_line(each.reason)}")
    report.require_sound()
    if not as_json:
        output.result(f"sound: {size} entries")


@command.command("watch")
@click.argument("log")
@vkey_option
@private_option
@click.option(
    "--state",
    type=options.PATH,
    required=True,
    help="The file that keeps the last checkpoint seen; evidence of a split view goes beside it.",
)
@click.option("--interval", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="Seconds between looks.")
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=3600.0,
    show_default=True,
    help="Seconds for which a smaller checkpoint passes for a stale cache, and missing tiles for a disturbance.",
)
@click.option(
    "--looks", type=click.IntRange(min=1), help="Stop after so many looks, with the exit code of the last.  [default: never]"
)
@options.json_option
def watch(
    log: str,
    vkeys: tuple[str, ...],
    private: Path | None,
    state: Path,
    interval: float,
    patience: float,
    looks: int | None,
    as_json: bool,
) -> None:
    """Follow LOG: each checkpoint must extend the last one, for ever. Ends, with exit code 1, on a split view.

    Then the two signed checkpoints that contradict each other are in STATE.split-old and STATE.split-new, and the proof that they
    do in STATE.split-proof: evidence that anybody can check. What passes by itself (an unreachable server, an error page, a
    damaged download, a stale cache) is reported and tried again.

    \b
    Example:
      verifiable log watch https://log.example.org/receipts --vkey VKEY --state log.seen
    """
    from verifiable.errors import BindingError, MalformedError, NetworkError, SignatureError, StaleError, TrustError
    from verifiable.ledger.client import LogClient, SplitViewError
    from verifiable.ledger.watch import Watch

    following = Watch(LogClient(source_of(log), _keys(log, vkeys, private)), state, patience=patience)
    count, last = 0, None
    while True:
        failure: Error | None = None
        try:
            seen = following.look()
        except SplitViewError:
            for path in filter(Path.exists, following.evidence()):
                output.say(f"evidence: {path}")
            raise
        except (SignatureError, TrustError, BindingError) as error:
            if following.last is None:  # the keys that were given are not this log's
                raise
            failure = error
        except (NetworkError, StaleError, MalformedError) as error:
            failure = error
        else:
            _seen(seen, last, as_json=as_json)
            last = seen
        count += 1
        if looks is not None and count >= looks:
            if failure is not None:
                raise failure
            return
        if failure is not None:
            output.fail(failure)
        time.sleep(interval)


def _seen(seen: Seen, last: Seen | None, *, as_json: bool) -> None:
    if last is not None and last.checkpoint == seen.checkpoint:
        return
    head = seen.checkpoint
    if as_json:
        output.result_json({"origin": head.origin, "size": head.size, "root": head.root.hex()})
    else:
        output.result(f"{output.one_line(head.origin)}: {head.size} entries, root {head.root.hex()}")


def _tlog_proof(index: int, hashes: tuple[bytes, ...], note: bytes) -> bytes:
    from verifiable.ledger.checkpoint import SignedCheckpoint
    from verifiable.ledger.tlogproof import TlogProof

    return TlogProof(index=index, hashes=hashes, checkpoint=SignedCheckpoint.parse(note)).encode()


def _content(path: Path, public_key: Path | None) -> tuple[Receipt | Bundle | None, bytes]:
    """What to append for the file ``path``, and the statement that it is of, if it is one's."""
    from verifiable import files, settling
    from verifiable import receipt as _receipt
    from verifiable.keys.public import MAX_KEY_SIZE, parse_public_key_pem
    from verifiable.receipt import read_statement

    data = files.read(path, what="log entry", max_size=_receipt.MAX_SIZE)
    if not settling.is_statement(data):
        return None, data
    key = None
    if public_key is not None:
        key = parse_public_key_pem(files.read(public_key, what="public key", max_size=MAX_KEY_SIZE))
    statement = read_statement(data)
    return statement, settling.leaf_of(statement, key)


def _is_url(log: str) -> bool:
    return log.startswith(("http://", "https://"))


def source_of(log: str) -> Source:
    """The published log at a URL or in a folder."""
    from verifiable.ledger.http import HttpSource
    from verifiable.ledger.storage import DirectoryStorage

    return HttpSource(log) if _is_url(log) else DirectoryStorage(Path(log))


def _keys(log: str, vkeys: tuple[str, ...], private: Path | None) -> tuple[NoteKey, ...]:
    from verifiable.errors import TrustError
    from verifiable.ledger.directory import LogDirectory

    if vkeys:
        return _parse(vkeys)
    if not _is_url(log) and (directory := LogDirectory.at(Path(log), private)).private.is_dir():
        return directory.identity().keys
    raise TrustError(f"log: no key to verify {output.one_line(log)} with", hint="give the log's vkey with --vkey")


def _parse(vkeys: tuple[str, ...]) -> tuple[NoteKey, ...]:
    from verifiable.ledger.note import NoteKey

    return tuple(map(NoteKey.parse, vkeys))
