# SPDX-License-Identifier: Apache-2.0
"""``verifiable log key-event``; part of the group in ``log.py``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from verifiable_cli import options, output, signing


@click.group("key-event")
def command() -> None:
    """Say in a log who may sign: add a key, retire it, revoke it from a position on.

    A key event is signed by the log's administrator, as trust roots name them, and counts once it is settled in that log:
    `log append`, cosigned, `log export`. Whoever verifies is given it with `verify --key-event`.
    """


def _subject(function: Callable[..., Any]) -> Callable[..., Any]:
    """What each of the three says, and who says it."""
    for option in reversed((
        click.argument("subject", metavar="KEY", type=options.PATH),
        click.option("--name", required=True, help="What the key is called, e.g. whose it is."),
        click.option("--origin", required=True, help="The log that this is about, by its origin; it counts in no other."),
        click.option("-o", "--output", "out", type=options.PATH, required=True, help="The bundle to write."),
        signing.signer_options,
        options.json_option,
    )):  # fmt: skip
        function = option(function)
    return function


@command.command("add")
@_subject
def add(**asked: Any) -> None:
    """Let the public key in the PEM file KEY sign from this event's place in the log on.

    \b
    Example:
      verifiable log key-event add node.pub --name "node one" --origin log.example.org/receipts \\
          --key admin.pem -o added.json
    """
    _write("add", None, **asked)


@command.command("retire")
@_subject
def retire(**asked: Any) -> None:
    """Let the public key in the PEM file KEY sign nothing from this event's place in the log on.

    \b
    Example:
      verifiable log key-event retire node.pub --name "node one" --origin log.example.org/receipts \\
          --key admin.pem -o retired.json
    """
    _write("retire", None, **asked)


@command.command("revoke")
@click.option(
    "--position", type=click.IntRange(min=0), required=True, help="Nothing signed with the key from this entry on is believed."
)
@_subject
def revoke(position: int, **asked: Any) -> None:
    """Let nobody believe what is signed with the public key in the PEM file KEY from a position in the log on.

    A theft is noticed after it happened, so the position reaches back; what stands before it stays true.

    \b
    Example:
      verifiable log key-event revoke node.pub --name "node one" --origin log.example.org/receipts \\
          --position 17 --key admin.pem -o revoked.json
    """
    _write("revoke", position, **asked)


def _write(
    action: str, position: int | None, *, subject: Path, name: str, origin: str, out: Path, key: str | None,
    public_key: Path | None, as_json: bool,
) -> None:  # fmt: skip
    from verifiable import files, settling
    from verifiable.keys.public import MAX_KEY_SIZE, fingerprint, parse_public_key_pem
    from verifiable.ledger.statements import KeyEvent

    files.require_writable(out, what="key event")
    pem = files.read(subject, what="public key", max_size=MAX_KEY_SIZE)
    event = KeyEvent(
        action=action, log=origin, name=name, public_key=parse_public_key_pem(pem, what=f"public key {subject}"),
        issued_on=datetime.now(UTC), position=position,
    )  # fmt: skip
    administrator = signing.signer(key, public_key)
    files.write(out, settling.sign_event(event, administrator).encode(), what="key event")
    if as_json:
        output.result_json(
            {
                "output": str(out), "action": action, "log": origin, "name": name, "position": position,
                "key": fingerprint(event.public_key).hex, "administrator": administrator.fingerprint.hex,
            }
        )  # fmt: skip
        return
    output.say(f"signed by {administrator.fingerprint}; it counts once it is settled: `verifiable log append --public-key`")
    output.result(str(out))
