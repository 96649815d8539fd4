# SPDX-License-Identifier: Apache-2.0
"""``verifiable srs``."""

from __future__ import annotations

from pathlib import Path

import click

from verifiable.zk.registry import Stores
from verifiable.zk.srs import ceremonies
from verifiable_cli import options, output


@click.group("srs")
def command() -> None:
    """Setups (structured reference strings) that ezkl circuits rest on.

    A setup has a secret. Whoever knows it can forge any proof, so proofs are accepted only on setups from public
    ceremonies, where one honest contributor among many is enough.
    """


@command.command("fetch")
@click.argument("logrows", type=click.IntRange(1, 26))
@click.option(
    "--ceremony",
    type=click.Choice([one.name for one in ceremonies.CEREMONIES]),
    help=f"The ceremony whose file it must be. Default: whichever is here, else {ceremonies.PUBLIC}.",
)
@click.option("--mirror", help="Where to fetch from, with {k} in place of the size, e.g. https://mirror.example/kzg-{k}.srs")
@options.json_option
def fetch(logrows: int, ceremony: str | None, mirror: str | None, as_json: bool) -> None:
    """Download the ceremony file for circuits of up to 2^LOGROWS rows; its SHA-256 must be on the built-in list.

    Nothing is downloaded when a known ceremony's file of this size is on this machine.

    \b
    Example:
      verifiable srs fetch 17
    """
    from verifiable.zk.srs.fetch import MIRRORS
    from verifiable.zk.srs.fetch import fetch as download

    store = Stores.default().srs
    here = None if ceremony else store.find(logrows)
    if here is not None and here.logrows == logrows:
        output.say(f"already here, from {here.ceremony}; --ceremony NAME asks for another ceremony's")
        _show([here], as_json=as_json)
        return
    with output.progress() as progress:
        info = download(
            logrows, store, ceremony=ceremony or ceremonies.PUBLIC, mirrors=(mirror,) if mirror else MIRRORS, progress=progress
        )
    _show([info], as_json=as_json)


@command.command("import")
@click.argument("file", type=options.PATH)
@options.json_option
def import_file(file: Path, as_json: bool) -> None:
    """Check the structure of a setup FILE and keep it; says whether it is a known ceremony's.

    \b
    Example:
      verifiable srs import kzg_bn254_14.srs
    """
    with output.progress() as progress:
        info = Stores.default().srs.import_file(file, progress=progress)
    _show([info], as_json=as_json)


@command.command("dev-insecure")
@click.argument("logrows", type=click.IntRange(1, 22))
@options.json_option
def dev_insecure(logrows: int, as_json: bool) -> None:
    """Make a setup on this machine, for development only: you could forge proofs on it, and so can whoever takes it.

    \b
    Example:
      verifiable srs dev-insecure 12
    """
    from verifiable.compiling.ezkl import development_srs

    with output.progress() as progress:
        info = development_srs(logrows, Stores.default(), progress=progress)
    _show([info], as_json=as_json)


@command.command("list")
@options.json_option
def list_all(as_json: bool) -> None:
    """List the setups on this machine, each with the fingerprint that a trust root wants and the file's path."""
    _show(Stores.default().srs.list(), as_json=as_json)


def _show(infos: object, *, as_json: bool) -> None:
    rows = [
        {
            "logrows": info.logrows, "ceremony": info.ceremony, "sha256": info.digest.hex, "fingerprint": info.fingerprint.hex,
            "path": str(info.path),
        }
        for info in infos  # type: ignore[attr-defined]
    ]  # fmt: skip
    if as_json:
        output.result_json(rows)
        return
    for row in rows:
        output.result(f"k={row['logrows']:<2}  {row['ceremony']:<32}  fingerprint sha256:{row['fingerprint']}")
        output.result(f"      {row['path']}")
    if not rows:
        output.say("no setup on this machine; get one with `verifiable srs fetch K` or `verifiable srs import FILE`")
