# SPDX-License-Identifier: Apache-2.0
"""``verifiable keys``."""

from __future__ import annotations

from pathlib import Path

import click

from verifiable import paths
from verifiable_cli import options, output


@click.group("keys")
def command() -> None:
    """Signing keys: make one, or show the public half.

    A default key is made for you on first use; you need these commands only to choose where it lives or to tell others
    which key is yours.
    """


@command.command("generate")
@click.argument("path", type=options.PATH)
@options.json_option
def generate(path: Path, as_json: bool) -> None:
    """Make a new ECDSA P-256 key in the file PATH, readable by you alone. An existing file is never touched.

    \b
    Example:
      verifiable keys generate node.pem
    """
    from verifiable.keys import signer

    _show(signer.generate(path), path, as_json=as_json)


@command.command("show")
@click.argument("uri", required=False)
@click.option("--public-key", type=options.PATH, help="PEM of the public key, for keys that are not files.")
@options.json_option
def show(uri: str | None, public_key: Path | None, as_json: bool) -> None:
    """Print the public key and fingerprint of URI (default: your own key), as a trust root wants them.

    \b
    Example:
      verifiable keys show
      verifiable keys show node.pem
    """
    from verifiable.keys import signer

    where = uri or str(paths.data_directory() / "keys" / "default.pem")
    _show(signer.load_signer(where, public_key=public_key), where, as_json=as_json)


def _show(key: object, where: object, *, as_json: bool) -> None:
    from verifiable.keys import signer

    assert isinstance(key, signer.Signer)
    pem = signer.public_key_pem(key.public_key)
    if as_json:
        output.result_json({"key": str(where), "fingerprint": key.fingerprint.hex, "publicKey": pem})
        return
    output.say(f"{where}: ECDSA P-256, fingerprint {key.fingerprint.hex}")
    output.result(pem.rstrip("\n"))
