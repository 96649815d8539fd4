# SPDX-License-Identifier: Apache-2.0
"""``--key`` and ``--public-key``: who signs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verifiable import paths
from verifiable_cli import options, output

if TYPE_CHECKING:
    from verifiable.keys.signer import Signer


def signer_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The two options; :func:`signer` reads them."""
    function = click.option("--public-key", type=options.PATH, help="PEM of the public key, for keys that are not files.")(
        function
    )
    return click.option(
        "--key", metavar="URI",
        help="The signing key: a PEM file, or a securesystemslib URI (HSM, cloud KMS). Default: your own key.",
    )(function)  # fmt: skip


def signer(uri: str | None, public_key: Path | None) -> Signer:
    """The key that ``--key`` names, or the user's own, made on first use. Raises what loading it raises."""
    from verifiable.keys.signer import default_signer, load_signer

    if uri is not None:
        return load_signer(uri, public_key=public_key)
    own, created = default_signer(paths.data_directory())
    if created:
        output.say(f"made a signing key for you: {paths.data_directory() / 'keys' / 'default.pem'} (`verifiable keys show`)")
    return own
