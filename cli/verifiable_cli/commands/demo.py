# SPDX-License-Identifier: Apache-2.0
"""``verifiable demo``."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click

from verifiable_cli import options, output
from verifiable_cli.verifying import render_checks


@click.command()
@click.argument("name", default="digits-cnn")
@options.json_option
def command(name: str, as_json: bool) -> None:
    """Take a catalogue model and a real held-out sample through compile, prove, verify, a log and a simulated TEE; then
    catch two forgeries.

    Nothing is kept. NAME is an entry of the catalogue.

    \b
    Example:
      verifiable demo
      verifiable demo mlp-breast-cancer
    """
    from verifiable import catalogue
    from verifiable.demo import tour

    started = time.monotonic()
    entry = catalogue.find(name)
    say = (lambda _line: None) if as_json else output.result
    with (
        tempfile.TemporaryDirectory(prefix="verifiable-demo-") as folder,
        output.progress() as progress,
    ):
        steps = tour(entry, Path(folder), progress=progress)
        say(f"model    {entry.name}: {entry.title}")
        compiled = steps.compile()
        say(f"compile  circuit {compiled.circuit.id.hex} in {sum(compiled.seconds.values()):.1f} s")
        say("         proof system sumcheck: no trusted setup; new, unaudited, hides nothing")
        proved = steps.prove(compiled)
        data = proved.receipt.encode()
        say(
            f"prove    {sum(proved.seconds.values()):.2f} s; a proof of {output.size(proved.proof_size)} in a receipt of"
            f" {output.size(len(data))}"
        )
        verified = steps.verify(compiled, data)
        say("verify   knowing the circuit id and nothing else:")
        for line in render_checks(verified.checks):
            say(line)
        say(f"result   {_answer(entry, verified.outputs[0])}")
        settled = steps.settle(compiled, proved)
        say("settle   put into a new log (no cosigners here), and verified by somebody who asks that it be logged:")
        for line in render_checks(check for check in settled.checks if check.name in ("ledger", "policy")):
            say(line)
        vouched = steps.attest(compiled)
        say("attest   the same run without a proof; a TEE vouches instead, simulated in software:")
        say(f"         by default: refused: {vouched.refusal.message}")
        say("         with --allow-simulated-tee:")
        for line in render_checks(check for check in vouched.verified.checks if check.name in ("evidence", "policy")):
            say(line)
        forgeries = steps.forgeries(compiled, proved)
        for forgery in forgeries:
            failed = forgery.error.checks[-1]  # type: ignore[attr-defined]
            say(f"forgery  {forgery.description}: rejected at check {failed.number}, {failed.name}: {forgery.error.message}")
    say(f"done     in {time.monotonic() - started:.1f} s; nothing was kept")
    if as_json:
        output.result_json(
            {
                "model": entry.name, "circuit": compiled.circuit.id.hex, "verdict": "verified",
                "checks": [{"number": c.number, "name": c.name, "status": c.status, "detail": c.detail} for c in verified.checks],
                "settled": [{"origin": place.origin, "index": place.index, "size": place.size} for place in settled.settled],
                "attested": {"refusal": vouched.refusal.message, "evidence": list(vouched.verified.evidence)},
                "forgeries": [{"description": f.description, "error": f.error.message} for f in forgeries],
            }
        )  # fmt: skip


def _answer(entry: object, tensor: object) -> str:
    from verifiable.catalogue import Entry
    from verifiable.verify.verified import VerifiedTensor

    assert isinstance(entry, Entry)
    assert isinstance(tensor, VerifiedTensor)
    values = tensor.values()
    assert values is not None
    if entry.classes:
        return f"the model says {entry.classes[int(values.argmax())]!r}; the true label is {entry.expected_text!r}"
    return f"the model says {values.ravel()[0]:g}; the true value is {entry.expected_text}"
