# SPDX-License-Identifier: Apache-2.0
"""``verifiable prove``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import verifiable
from verifiable import files
from verifiable_cli import options, output, signing
from verifiable_cli.attesting import attest_options, attestations

if TYPE_CHECKING:
    from verifiable.proving import ProvedReceipt


@click.command()
@click.argument("circuit", type=options.PATH)
@click.argument("input", type=options.PATH)
@click.option("-o", "--output", "target", type=options.PATH, required=True, help="The receipt to write.")
@signing.signer_options
@click.option("--nonce", type=options.HexBytes(), help="The verifier's challenge, copied into the signed claim.")
@click.option("--node", help="A name for this machine, copied into the signed claim.")
@click.option("--request-id", help="An id for this request, copied into the signed claim.")
@click.option(
    "--embed/--no-embed", default=True, show_default=True, help="Put the verifier's part of the circuit into the receipt."
)
@click.option(
    "--evidence",
    type=click.Choice(("zk", "rerun", "none")),
    default="zk",
    show_default=True,
    help="A proof; or an offer to those who have the model to run it again; or nothing, besides what hardware says.",
)
@attest_options
@options.limit_options
@options.json_option
def command(
    circuit: Path,
    input: Path,
    target: Path,
    key: str | None,
    public_key: Path | None,
    nonce: bytes | None,
    node: str | None,
    request_id: str | None,
    embed: bool,
    evidence: str,
    kinds: tuple[str, ...],
    scope: str,
    collateral: tuple[str, ...],
    memory: int | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Run the circuit folder CIRCUIT on INPUT, prove the run, and write a signed receipt.

    INPUT is .json ({"name": nested list}, or a bare list for a single input), .npz, .npy or .safetensors.

    \b
    Example:
      verifiable prove circuit input.json -o receipt.json
      verifiable prove circuit input.json -o receipt.json --evidence rerun
      verifiable prove circuit input.json -o receipt.json --evidence none --attest snp
    """
    files.require_writable(target, what="receipt")
    signer = signing.signer(key, public_key)
    with output.progress() as progress:
        proved = verifiable.prove(
            circuit, input, signer=signer, nonce=nonce, node=node, request_id=request_id, embed_circuit=embed,
            evidence=evidence, **attestations(signer, kinds, scope, collateral, nonce),
            limits=options.limits(memory, timeout), progress=progress,
        )  # fmt: skip
        data = proved.receipt.encode()
        files.write(target, data, what="receipt")
    if as_json:
        output.result_json(
            {
                "receipt": str(target), "circuit": proved.circuit.id.hex, "proofBytes": proved.proof_size,
                "receiptBytes": len(data),
                "outputs": {name: tensor.array().tolist() for name, tensor in proved.outputs.items()},
                "seconds": dict(proved.seconds),
            }
        )  # fmt: skip
        return
    phases = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in proved.seconds.items())
    output.say(f"circuit {proved.circuit.id.hex}")
    output.say(f"{_made(proved)}, receipt of {output.size(len(data))}; {phases}")
    output.result(str(target))


def _made(proved: ProvedReceipt) -> str:
    """What stands for the values, in a few words."""
    kinds = [descriptor.kind for descriptor in proved.receipt.claim.evidence]
    if "zk" in kinds:
        made = f"proof of {output.size(proved.proof_size)}"
    else:
        made = "no proof: whoever has the model runs it again" if "rerun" in kinds else "no proof"
    return f"{made}, attested" if "tee" in kinds else made
