# SPDX-License-Identifier: Apache-2.0
"""``verifiable inspect``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verifiable import files
from verifiable.errors import Error, MalformedError
from verifiable_cli import options, output

if TYPE_CHECKING:
    from verifiable.ledger.sigstore import LogEntry

_MAX_SIZE = 1 << 26


@click.command()
@click.argument("file", type=options.PATH)
@options.json_option
def command(file: Path, as_json: bool) -> None:
    """Show what is in FILE: a receipt, a circuit folder or circuit.json, a fidelity report, a trust root, a setup, a public
    key, a signed statement (key event, verdict), an attestation, TEE evidence of our own, reference values.

    Nothing is verified, and the output says so.

    \b
    Example:
      verifiable inspect receipt.json
    """
    kind, document = _read(file)
    if as_json:
        output.result_json({"kind": kind, "verified": False, "content": document})
        return
    output.result(f"UNVERIFIED {kind}: {output.one_line(str(file))}")
    for line in output.tree(document):
        output.result(line)


def _read(path: Path) -> tuple[str, Any]:
    if path.is_dir():
        from verifiable.zk.directory import load_verifier

        return "circuit folder", _circuit(load_verifier(path).circuit.encode())
    try:
        return "setup", _setup(path)
    except Error:
        data = files.read(path, what="file", max_size=_MAX_SIZE)
    for kind, read in _KINDS.items():
        try:
            return kind, read(data)
        except Error:
            continue
    raise MalformedError(
        f"{path}: not one of our files, or damaged", hint="`verifiable verify` says what is wrong with a receipt"
    )


def _receipt(data: bytes) -> Any:
    from verifiable.receipt import Receipt

    receipt = Receipt.parse(data)
    statement = json.loads(receipt.claim.encode())
    return {
        "claim": statement["predicate"],
        "signature": {"key": receipt.keyid.hex, "logEntries": [_place(entry) for entry in receipt.log_entries]},
        "evidence": [{**e.descriptor.to_json(), "embedded": e.data is not None} for e in receipt.evidence],
        "circuit": None if receipt.circuit is None else _circuit(receipt.circuit.circuit),
    }


def _place(entry: LogEntry) -> Any:
    return {"origin": entry.tree.origin, "index": entry.index, "size": entry.tree.size}


def _key_event(data: bytes) -> Any:
    from verifiable.ledger.sigstore import Bundle
    from verifiable.ledger.statements import KeyEvent

    KeyEvent.parse(Bundle.parse(data).payload)
    return _statement(data)


def _verdict(data: bytes) -> Any:
    from verifiable.ledger.sigstore import Bundle
    from verifiable.ledger.statements import Verdict

    Verdict.parse(Bundle.parse(data).payload)
    return _statement(data)


def _statement(data: bytes) -> Any:
    from verifiable.encoding.json import parse_canonical
    from verifiable.ledger.sigstore import Bundle
    from verifiable.ledger.statements import MAX_SIZE

    bundle = Bundle.parse(data)
    return {
        "statement": parse_canonical(bundle.payload, what="statement", max_size=MAX_SIZE),
        "signature": {"key": bundle.keyid.hex, "logEntries": [_place(entry) for entry in bundle.log_entries]},
    }


def _circuit(data: bytes) -> Any:
    from verifiable.zk.circuit import Circuit

    circuit = Circuit.parse(data)
    return {"id": circuit.id.hex, **json.loads(data)}


def _fidelity(data: bytes) -> Any:
    from verifiable.model.fidelity import Fidelity

    return json.loads(Fidelity.parse(data).encode())


def _trust(data: bytes) -> Any:
    from verifiable.trust import TrustRoot

    root = TrustRoot.parse(data)
    if root == TrustRoot():
        raise MalformedError("not a trust root")
    entries = {
        kind: [{"name": entry.name, "digest": entry.digest.hex, **_validity(entry)} for entry in getattr(root, kind)]
        for kind in ("keys", "circuits", "setups", "verifiers")
    }
    logs = [{"name": log.name, "vkey": log.key.encode(), "quorum": log.policy.quorum, **_validity(log)} for log in root.logs]
    return {**entries, "logs": logs}


def _attestation(data: bytes) -> Any:
    from verifiable.tee.document import Attestation

    return output.plain(Attestation.parse(data))


def _software(data: bytes) -> Any:
    from verifiable.tee.software import parse
    from verifiable_cli.findings import shown

    return shown(parse(data))


def _references(data: bytes) -> Any:
    from verifiable.tee.reference import parse_references

    return [output.plain(reference) for reference in parse_references(data)]


def _validity(entry: Any) -> dict[str, str | None]:
    from verifiable.encoding.record import format_time

    since, until = (format_time(each) if each else None for each in (entry.validity.since, entry.validity.until))
    return {"from": since, "until": until}


def _key(data: bytes) -> Any:
    from verifiable.keys.public import fingerprint, parse_public_key_pem

    der = parse_public_key_pem(data, what="public key")
    return {"algorithm": "ECDSA P-256", "fingerprint": fingerprint(der).hex}


def _setup(path: Path) -> Any:
    from verifiable.zk.srs import ceremonies
    from verifiable.zk.srs.format import Srs, fingerprint

    with Srs.open(path) as srs:
        mark = fingerprint(srs)
        return {"logrows": srs.logrows, "fingerprint": mark.hex, "ceremony": ceremonies.ceremony_of(mark) or "none that is known"}


_KINDS: dict[str, Callable[[bytes], Any]] = {
    "receipt": _receipt, "key event": _key_event, "verdict": _verdict, "statement": _statement,
    "attestation": _attestation, "software evidence": _software, "reference values": _references,
    "circuit": _circuit, "fidelity report": _fidelity, "trust root": _trust, "public key": _key,
}  # fmt: skip
