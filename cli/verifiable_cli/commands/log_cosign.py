# SPDX-License-Identifier: Apache-2.0
"""``verifiable log cosign``: to have a log cosigned, and to be a cosigner."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verifiable_cli import options, output

if TYPE_CHECKING:
    from verifiable.ledger.cosigner import Cosigner, EntryJudge, EntrySource

key_option = click.option(
    "--key", type=options.PATH, help="The file with the cosigner's keys.  [default: STATE.key, beside the folder]"
)


@click.group("cosign")
def command() -> None:
    """Cosigners (witnesses) see to it that a log shows everybody one history; a policy says how many of them it takes.

    A log asks with `ask`. A cosigner is made with `init`, told of logs with `trust`, and run with `serve`.
    """


@command.command("ask")
@click.argument("directory", metavar="DIR", type=options.PATH)
@click.option(
    "--policy", "policy_file", type=options.PATH, required=True, help="The policy (c2sp.org/tlog-policy), witnesses with URLs."
)
@click.option("--private", type=options.PATH, help="The log's private folder.  [default: DIR.private, beside the log]")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=30.0, show_default=True, help="Seconds for each request.")
@options.json_option
def ask(directory: Path, policy_file: Path, private: Path | None, timeout: float, as_json: bool) -> None:
    """Ask the policy's cosigners to sign the checkpoint of the log in DIR; publish it with their signatures if they suffice.

    \b
    Example:
      verifiable log cosign ask ledger --policy ledger.policy
    """
    from verifiable import files
    from verifiable.errors import MalformedError
    from verifiable.ledger.checkpoint import SignedCheckpoint
    from verifiable.ledger.directory import LogDirectory
    from verifiable.ledger.policy import MAX_POLICY, Policy
    from verifiable.ledger.tiles import CHECKPOINT, MAX_CHECKPOINT
    from verifiable.ledger.tree import TileReader
    from verifiable.ledger.witness_client import cosign_quorum
    from verifiable.merkle.proofs import consistency_proof

    policy = Policy.parse(files.read(policy_file, what="policy", max_size=MAX_POLICY))
    log = LogDirectory.at(directory, private)
    note = log.published.read(CHECKPOINT, max_size=MAX_CHECKPOINT)
    if note is None:
        raise MalformedError(f"log: no checkpoint in {directory}", hint="make a log with `verifiable log init`")
    reader = TileReader(log.published)
    signed, failures = cosign_quorum(
        SignedCheckpoint.parse(note),
        policy,
        lambda old, new: consistency_proof(old, new, partial(reader.node, new)),
        timeout=timeout,
    )
    # The log is locked only now: others may append while the cosigners take their time, and then this publishes nothing.
    with log.open() as writing:
        writing.publish(signed.encode())
    for failure in failures:
        output.say(f"not cosigned: {output.one_line(failure.message)}")
    head, names = signed.checkpoint, policy.check(signed)
    if as_json:
        output.result_json(
            {"origin": head.origin, "size": head.size, "cosigned": list(names), "failures": [f.message for f in failures]}
        )
        return
    output.result(f"{output.one_line(head.origin)}: size {head.size} cosigned by {output.one_line(', '.join(names)) or 'nobody'}")


@command.command("init")
@click.argument("state", type=options.PATH)
@click.option("--name", required=True, help="The cosigner's name for ever, e.g. witness.example.org/w1.")
@click.option("--verifying", is_flag=True, help="One that re-verifies every entry before it signs; its name ends in /verifying.")
@key_option
@options.json_option
def init(state: Path, name: str, verifying: bool, key: Path | None, as_json: bool) -> None:
    """Make a cosigner: its folder STATE, its keys beside it; prints its public keys (vkeys), Ed25519 and ML-DSA-44.

    Never restore STATE from an older copy: it would forget what it has signed, and could sign a second history.

    \b
    Example:
      verifiable log cosign init w1 --name witness.example.org/w1
      verifiable log cosign init full --name node.example.org/verifying --verifying
    """
    from verifiable import files
    from verifiable.ledger import keyfile
    from verifiable.ledger.cosigner import Cosigner, VerifyingCosigner
    from verifiable.ledger.cosigner_state import require_kind

    require_kind(name, verifying=verifying)
    files.require_new_directory(state, what="cosigner")
    signers = keyfile.cosigners(keyfile.make(key or _beside(state), name, keyfile.COSIGNER_TYPES))
    (VerifyingCosigner if verifying else Cosigner).create(state, signers)
    vkeys = [signer.key.encode() for signer in signers]
    if as_json:
        output.result_json({"state": str(state), "key": str(key or _beside(state)), "name": name, "vkeys": vkeys})
        return
    output.say(f"{state}: the cosigner {name}; its keys are in {key or _beside(state)}")
    for vkey in vkeys:
        output.result(vkey)


@command.command("trust")
@click.argument("state", type=options.PATH)
@click.argument("vkeys", metavar="VKEY...", nargs=-1, required=True)
@key_option
def trust(state: Path, vkeys: tuple[str, ...], key: Path | None) -> None:
    """Have the cosigner in STATE cosign one more log: the one with these public keys, as `log init` printed them.

    \b
    Example:
      verifiable log cosign trust w1 VKEY VKEY
    """
    from contextlib import closing

    from verifiable.ledger.note import NoteKey

    keys = [NoteKey.parse(vkey) for vkey in vkeys]
    with closing(_cosigner(state, key, _never, _never)) as cosigner:
        cosigner.register(*keys)
    output.say(f"{state}: cosigns {output.one_line(keys[0].name)} from now on")


@command.command("serve")
@click.argument("state", type=options.PATH)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8480, show_default=True, help="The port; 0 takes any that is free."
)
@key_option
@click.option(
    "--statements",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="For one that verifies: the folder with the receipts and bundles that the log's entries are of; files may be added.",
)
@click.option(
    "--trust",
    "trust_file",
    type=options.PATH,
    help="For one that verifies: the trust root (TOML) to judge by; its log's administrator, its verifiers.",
)
@click.option("--policy", "policy_file", type=options.PATH, help="For one that verifies: a policy (TOML) instead of the default.")
@click.option(
    "--log", "logs", multiple=True, metavar="ORIGIN=URL|DIR",
    help="For one that verifies: where a log's entries are. Repeatable.  [default: https://ORIGIN]",
)  # fmt: skip
@click.option("--allow-dev-srs", is_flag=True, help="For one that verifies: accept receipts on a development setup.")
@click.option("--allow-simulated-tee", is_flag=True, help="For one that verifies: let simulated TEE evidence count.")
def serve(state: Path, host: str, port: int, key: Path | None, **asked: Any) -> None:
    """Run the cosigner in STATE (c2sp.org/tlog-witness over plain HTTP) until it is stopped; prints its URL once it listens.

    One that verifies reads every new entry, finds the statement that it is of, and signs only if that holds. Put a reverse
    proxy with TLS and rate limits in front of one that the world can reach.

    \b
    Example:
      verifiable log cosign serve w1 --port 8480
      verifiable log cosign serve full --statements inbox --trust trust.toml
    """
    from contextlib import closing

    from verifiable.ledger.service import CosignerServer

    source, judge = _examiners(**asked) if any(asked.values()) else (None, None)
    with (
        closing(_cosigner(state, key, source, judge)) as cosigner,
        CosignerServer(cosigner, host, port, tell=output.fail) as server,
    ):
        output.result(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            output.say("stopped")


def _cosigner(state: Path, key: Path | None, source: EntrySource | None, judge: EntryJudge | None) -> Cosigner:
    """The one in the folder, of the kind that its name tells; ``source``, ``judge``: for one that verifies, and for no other."""
    from verifiable.ledger import keyfile
    from verifiable.ledger.cosigner import Cosigner, VerifyingCosigner
    from verifiable.ledger.cosigner_state import is_verifying

    signers = keyfile.cosigners(keyfile.load(key or _beside(state)))
    if not is_verifying(signers[0].name):
        if judge not in {None, _never}:
            raise click.UsageError(f"{signers[0].name} is a plain cosigner: it verifies no entries, and takes no option for it")
        return Cosigner(state, signers, _now)
    if source is None or judge is None:
        raise click.UsageError(f"{signers[0].name} verifies every entry: --statements and --trust are wanted")
    return VerifyingCosigner(state, signers, _now, source, judge)


def _never(*_: object) -> Any:
    """In place of what reads and judges entries, where none is looked at."""
    raise AssertionError("no entry is looked at here")


def _examiners(
    *, statements: Path | None, trust_file: Path | None, policy_file: Path | None, logs: tuple[str, ...], allow_dev_srs: bool,
    allow_simulated_tee: bool,
) -> tuple[EntrySource, EntryJudge]:  # fmt: skip
    """Where entries come from, and who judges them. Raises Error."""
    from verifiable import files
    from verifiable.encoding import toml
    from verifiable.errors import NetworkError
    from verifiable.ledger.tree import entries_between
    from verifiable.trust import TrustRoot
    from verifiable.verify.entries import EntryVerifier, Statements
    from verifiable.verify.policy import parse_policy
    from verifiable.verify.verifier import Verifier
    from verifiable_cli.commands.log import source_of

    if statements is None or trust_file is None:
        raise click.UsageError("--statements and --trust are wanted together, by a cosigner that verifies")
    places = dict(pair.split("=", 1) for pair in logs if "=" in pair)
    if len(places) != len(logs):
        raise click.BadParameter("write ORIGIN=URL or ORIGIN=DIR, each origin once", param_hint="--log")
    policy = None if policy_file is None else parse_policy(files.read(policy_file, what="policy", max_size=toml.MAX_SIZE))
    trust = TrustRoot.parse(files.read(trust_file, what="trust root", max_size=toml.MAX_SIZE))
    judge = EntryVerifier(
        statements=Statements(statements, lambda reason: output.say(output.one_line(reason))),
        verifier=Verifier(trust),
        trust=trust,
        now=_now,
        policy=policy,
        options={"allow_dev_srs": allow_dev_srs, "allow_simulated_tee": allow_simulated_tee},
    )

    def entries(origin: str, start: int, end: int) -> Iterable[bytes]:
        return entries_between(source_of(places.get(origin, f"https://{origin}")), start, end, blame=NetworkError)

    return entries, judge.judge


def _beside(state: Path) -> Path:
    return state.absolute().with_name(f"{state.absolute().name}.key")


def _now() -> datetime:
    return datetime.now(UTC)
