# SPDX-License-Identifier: Apache-2.0
"""``verifiable compile``."""

from __future__ import annotations

from pathlib import Path

import click

import verifiable
from verifiable import files
from verifiable_cli import options, output


@click.command()
@click.argument("model", type=options.PATH)
@click.option("-o", "--out", "target", type=options.PATH, required=True, help="The circuit folder to write.")
@options.system_option
@click.option(
    "--calibration", type=options.PATH, help="Typical inputs (.npz, .npy, .json, .safetensors): sets range and precision."
)
@click.option("--max-error", type=options.Finite(min=0), help="Largest output error accepted over the calibration inputs.")
@options.visibility_options
@click.option(
    "--bits",
    type=click.Choice(("8", "10", "12", "16")),
    help="sumcheck: the width of activations.  [default: the fewest that are accurate enough]",
)
@click.option(
    "--srs",
    metavar="FILE|ceremony|dev-insecure",
    help="ezkl: the setup to prove on (see `verifiable srs`).  [default: ceremony]",
)
@click.option("--max-logrows", type=click.IntRange(8, 26), help="ezkl: largest circuit, as log2 of its rows.  [default: 22]")
@options.dim_option
@options.limit_options
@click.option("--force", is_flag=True, help="Replace an existing circuit folder.")
@options.json_option
def command(
    model: Path,
    target: Path,
    system: str,
    calibration: Path | None,
    max_error: float | None,
    input_visibility: str,
    output_visibility: str,
    weights_visibility: str | None,
    bits: str | None,
    srs: str | None,
    max_logrows: int | None,
    dims: tuple[str, ...],
    memory: int | None,
    timeout: float | None,
    force: bool,
    as_json: bool,
) -> None:
    """Turn the ONNX file MODEL into a circuit: what a prover proves and a verifier pins.

    The circuit's id is printed; it is all that a verifier needs to know. Give real inputs with --calibration, stacked
    along a new first axis (or, for a model of batch 1, along that axis): they set
    the range of inputs that the circuit takes and how precise it must be. Of the layouts that serve, the fastest is
    taken by predicted cost; within 10 % of it, the one with fewer roundings and smaller proofs.

    \b
    Example:
      verifiable compile model.onnx --calibration samples.npz -o circuit
      verifiable compile model.onnx -o circuit --system ezkl --srs dev-insecure --input hashed
    """
    files.require_new_directory(target, what="circuit", replace="circuit.json" if force else "")
    with output.progress() as progress:
        compiled = verifiable.compile(
            model, system=system, calibration=calibration, max_error=max_error, bits=None if bits is None else int(bits),
            srs=srs, max_logrows=max_logrows,
            visibility=options.visibility(system, input_visibility, output_visibility, weights_visibility),
            dims=options.dims(dims), limits=options.limits(memory, timeout), progress=progress,
        )  # fmt: skip
        compiled.save(target, replace=force)
    if as_json:
        output.result_json(
            {
                "circuit": compiled.circuit.id.hex, "path": str(target), "model": compiled.circuit.model.hex,
                "explanation": list(compiled.explanation),
                "fidelity": [one.to_json() for one in compiled.fidelity.outputs],
                "seconds": dict(compiled.seconds),
            }
        )  # fmt: skip
        return
    for line in compiled.explanation:
        output.say(output.one_line(line))
    for one in compiled.fidelity.outputs:
        agreement = "" if one.argmax_agreement is None else f", arg-max agreement {one.argmax_agreement:.1%}"
        output.say(
            f"fidelity of {output.one_line(one.name)}: largest error {one.max_abs_error:.3g} over a range of"
            f" [{one.range[0]:.3g}, {one.range[1]:.3g}]{agreement} ({compiled.fidelity.samples} samples)"
        )
    if compiled.circuit.visibility.weights == "private":
        output.say(f"warning: {target}/program holds the weights in the clear; give verifiers the receipt, never this folder")
    if (setup := compiled.circuit.setup) and setup.insecure:
        output.say("warning: this circuit rests on a development setup; whoever made it can forge proofs")
    output.say(f"wrote {target} in {sum(compiled.seconds.values()):.1f} s")
    output.result(compiled.circuit.id.hex)
