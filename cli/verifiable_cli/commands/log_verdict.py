# SPDX-License-Identifier: Apache-2.0
"""``verifiable log verdict`` and ``verifiable log verify-verdict``; part of the group in ``log.py``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verifiable.errors import Error
from verifiable_cli import options, output, signing
from verifiable_cli.commands.verify import moment

if TYPE_CHECKING:
    from verifiable.verify.verdicts import VerifiedVerdict


@click.command("verdict")
@click.argument("receipt", type=options.PATH)
@click.option("-o", "--verdict", "out", type=options.PATH, required=True, help="The bundle to write.")
@click.option("--name", metavar="URI", help="What the verifier is called.  [default: made of the key's fingerprint]")
@signing.signer_options
@options.judging_options
@options.json_option
def command(
    receipt: Path, out: Path, name: str | None, key: str | None, public_key: Path | None, as_json: bool, **asked: Any
) -> None:  # fmt: skip
    """Verify RECEIPT as `verifiable verify` does and, if it holds, sign a verdict about its entry in the log.

    The verdict is a Simple Verification Result (svr/v0.2) that says which checks passed. Nothing is written of a receipt that
    does not hold. It counts once it is settled: `log append`, cosigned, `log export`.

    \b
    Example:
      verifiable log verdict receipt.json --circuit 5f2c...e1 --key full.pem -o verdict.json
    """
    from verifiable import files
    from verifiable.verify import verdicts
    from verifiable_cli.verifying import question, render_checks

    files.require_writable(out, what="verdict")
    try:
        ask = question(receipt, **asked)
        signer = signing.signer(key, public_key)
        issued = verdicts.issue(
            ask.verifier, ask.receipt, signer, now=datetime.now(UTC), name=name, policy=ask.policy, **ask.others
        )  # fmt: skip
    except Error as error:
        for line in render_checks(getattr(error, "checks", ())):
            output.say(line)
        raise
    files.write(out, issued.bundle.encode(), what="verdict")
    if as_json:
        output.result_json(
            {
                "output": str(out), "entry": issued.verdict.entry.hex, "verifier": issued.verdict.verifier,
                "properties": list(issued.verdict.properties), "key": signer.fingerprint.hex,
            }
        )  # fmt: skip
        return
    for line in render_checks(issued.verified.checks):
        output.say(line)
    output.say(f"signed by {signer.fingerprint}; it counts once it is settled: `verifiable log append --public-key`")
    output.result(str(out))


@click.command("verify-verdict")
@click.argument("verdict", type=options.PATH)
@click.argument("receipt", type=options.PATH)
@click.option("--trust", type=options.PATH, required=True, help="A trust root (TOML) with the log and, mostly, the verifiers.")
@click.option(
    "--verifier", "verifiers", multiple=True, type=options.PATH, metavar="FILE",
    help="PEM of a verifier's public key that you trust, besides those of the trust root. Repeatable.",
)  # fmt: skip
@click.option(
    "--key-event", "key_events", multiple=True, type=options.PATH, metavar="FILE",
    help="A settled key event to judge the verifier's key by. Repeatable.",
)  # fmt: skip
@click.option(
    "--property", "required", multiple=True, metavar="NAME",
    help="What the verdict must say, e.g. VERIFIABLE_SIGNATURE. Repeatable.  [default: an evidence that stands by itself]",
)  # fmt: skip
@click.option("--at", metavar="TIME", help="Judge as of this time (2026-01-02T03:04:05Z) instead of now.")
@click.option("--allow-dev-srs", is_flag=True, help="Accept what rests on a development setup; its maker can forge proofs.")
@click.option("--allow-simulated-tee", is_flag=True, help="Accept what rests on TEE evidence that no hardware stands behind.")
@options.json_option
@click.pass_context
def verify_verdict(
    ctx: click.Context, /, verdict: Path, receipt: Path, at: str | None, as_json: bool, **asked: Any
) -> None:  # fmt: skip
    """Check offline that the settled VERDICT is about RECEIPT, by a verifier that you trust, in a log that you trust.

    RECEIPT itself is not verified: what holds then is that somebody whom you named found it so, and said it in the log.

    \b
    Example:
      verifiable log verify-verdict verdict.json receipt.json --trust trust.toml
    """
    from verifiable_cli import verifying

    judged_at = moment(at)
    try:
        found = _found(verdict, receipt, judged_at, **asked)
    except Error as error:
        if as_json:
            output.result_json(verifying.rejected_json(error))
        else:
            for line in (*verifying.render_checks(getattr(error, "checks", ())), verifying.verdict(error)):
                output.result(line)
        output.fail(error)
        ctx.exit(error.exit_code)
    if as_json:
        output.result_json(_json(found))
        return
    for line in verifying.render_checks(found.checks):
        output.result(line)
    output.result("verified")


def _found(
    verdict: Path, receipt: Path, now: datetime, *, trust: Path, verifiers: tuple[Path, ...], key_events: tuple[Path, ...],
    **others: Any,
) -> VerifiedVerdict:  # fmt: skip
    import verifiable
    from verifiable import files
    from verifiable import receipt as _receipt
    from verifiable.encoding import toml
    from verifiable.keys.public import MAX_KEY_SIZE, parse_public_key_pem
    from verifiable.verify import verdicts
    from verifiable_cli.verifying import MAX_EVENT_SIZE

    root = verifiable.TrustRoot.parse(files.read(trust, what="trust root", max_size=toml.MAX_SIZE))
    pems = [(path, files.read(path, what="public key", max_size=MAX_KEY_SIZE)) for path in verifiers]
    return verdicts.read(
        files.read(verdict, what="verdict", max_size=MAX_EVENT_SIZE),
        files.read(receipt, what="receipt", max_size=_receipt.MAX_SIZE),
        root,
        now=now,
        verifiers=[parse_public_key_pem(pem, what=f"public key {path}") for path, pem in pems],
        key_events=[files.read(path, what="key event", max_size=MAX_EVENT_SIZE) for path in key_events],
        **others,
    )


def _json(found: VerifiedVerdict) -> dict[str, Any]:
    from verifiable.encoding.record import format_time
    from verifiable_cli import verifying

    return {
        "verdict": "verified",
        "checks": verifying.checks_json(found.checks),
        "entry": found.verdict.entry.hex,
        "signer": {"fingerprint": found.signer.fingerprint.hex, "name": found.signer.name},
        "verifier": found.verdict.verifier,
        "timeCreated": format_time(found.verdict.created_on),
        "properties": list(found.verdict.properties),
        "policies": [digest.hex for digest in found.verdict.policies],
        "settled": [verifying.settled_json(place) for place in found.settled],
    }
