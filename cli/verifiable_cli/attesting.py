# SPDX-License-Identifier: Apache-2.0
"""``prove --attest``: which hardware is asked, for what, with which collateral beside its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verifiable import files
from verifiable.tee.attesters.registry import KINDS
from verifiable.tee.binding import SCOPES

if TYPE_CHECKING:
    from verifiable.digest import Digest
    from verifiable.keys.signer import Signer
    from verifiable.tee.attesting import Attached


def attest_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--attest`` and what goes with it."""
    for option in reversed((
        click.option(
            "--attest", "kinds", multiple=True, type=click.Choice(KINDS),
            help="Have this machine's hardware vouch, too. Repeatable: all for the same key, nonce and scope.",
        ),
        click.option(
            "--attest-scope", "scope", type=click.Choice(SCOPES), default="receipt", show_default=True,
            help="What the hardware signs: this very claim, or only whose key it is.",
        ),
        click.option(
            "--attest-collateral", "collateral", multiple=True, metavar="KIND=FILE",
            help="What evidence of KIND is verified with, where the machine has not got it (tdx: Intel's JSON). Repeatable.",
        ),
    )):  # fmt: skip
        function = option(function)
    return function


def attestations(
    signer: Signer, kinds: Iterable[str], scope: str, collateral: Iterable[str], nonce: bytes | None
) -> dict[str, Any]:  # fmt: skip
    """Those arguments of ``verifiable.prove`` that :func:`attest_options` decide. Raises Error."""
    from verifiable.tee.attesters.registry import find
    from verifiable.tee.attesting import attest

    attesters, given = [find(kind) for kind in dict.fromkeys(kinds)], _collateral(collateral)

    def ask(key: Digest, nonce: bytes, claim: Digest | None) -> list[Attached]:
        return [
            attest(
                each, key=key, nonce=nonce, claim=claim, collateral=given.get(each.kind, ()), clock=lambda: datetime.now(UTC)
            )
            for each in attesters
        ]  # fmt: skip

    if not attesters:
        return {}
    return {"attest": ask} if scope == "receipt" else {"attestations": ask(signer.fingerprint, nonce or b"", None)}


def _collateral(pairs: Iterable[str]) -> dict[str, list[bytes]]:
    from verifiable.tee.evidence import KINDS as ALL
    from verifiable.tee.evidence import MAX_SIZE

    found: dict[str, list[bytes]] = {}
    for pair in pairs:
        kind, _, name = pair.partition("=")
        if kind not in ALL or not name:
            raise click.BadParameter(f"{pair[:80]!r} is not KIND=FILE", param_hint="--attest-collateral")
        found.setdefault(kind, []).append(files.read(Path(name), what="collateral", max_size=MAX_SIZE))
    return found


__all__ = ["attest_options", "attestations"]
