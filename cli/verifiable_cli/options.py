# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, and the types that read them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import click

from verifiable.digest import Digest
from verifiable.errors import Error, MalformedError
from verifiable.zk.circuit import VALUE_VISIBILITIES, WEIGHT_VISIBILITIES, Visibility
from verifiable.zk.registry import DEFAULT_SYSTEM, SYSTEMS
from verifiable.zk.system import Limits

_NUMBER = re.compile(r"[0-9]{1,18}(\.[0-9]{0,9})?")
_COUNT = re.compile(r"[1-9][0-9]{0,8}")
PATH = click.Path(path_type=Path)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
system_option = click.option(
    "--system",
    type=click.Choice(SYSTEMS),
    default=DEFAULT_SYSTEM,
    show_default=True,
    help="The proof system: sumcheck (fast, no setup, hides nothing) or ezkl (slow, can hide, proofs of 3 kB).",
)
dim_option = click.option(
    "--dim", "dims", multiple=True, metavar="NAME=N", help="Bind a dynamic axis of the model, e.g. --dim batch=1. Repeatable."
)


class HexBytes(click.ParamType):  # type: ignore[type-arg]
    """Bytes as hexadecimal digits."""

    name = "hex"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        try:
            return bytes.fromhex(value)
        except ValueError:
            self.fail(f"{value!r} is not hexadecimal", param, ctx)


class Finite(click.FloatRange):
    """A number: neither NaN, which no comparison refuses, nor infinite."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class Size(click.ParamType):  # type: ignore[type-arg]
    """A number of bytes: ``8000000000``, ``8GB``, ``512MiB``."""

    name = "size"
    _UNITS: ClassVar = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        digits = value.rstrip("bBiIkKmMgG ")
        unit = self._UNITS.get(value[len(digits) :].strip().lower())
        if unit is None or not _NUMBER.fullmatch(digits):
            self.fail(f"{value[:40]!r} is not a size like 8GB", param, ctx)
        return int(float(digits) * unit)


def visibility_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--input``, ``--output`` and ``--weights``: who sees what."""
    for name, choices, default, help_text in (
        ("weights", WEIGHT_VISIBILITIES, None, "How the weights are bound.  [default: committed (sumcheck), fixed (ezkl)]"),
        ("output", VALUE_VISIBILITIES, "public", "Who sees the outputs."),
        ("input", VALUE_VISIBILITIES, "public", "Who sees the inputs."),
    ):
        function = click.option(
            f"--{name}", f"{name}_visibility", type=click.Choice(choices), default=default, show_default=default is not None,
            help=help_text,
        )(function)  # fmt: skip
    return function


def limit_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--memory`` and ``--timeout``: what the prover's process may cost."""
    function = click.option(
        "--timeout",
        type=click.FloatRange(min=0.1),
        help="Give up after this many seconds (default: many times the prediction).",
    )(function)
    return click.option("--memory", type=Size(), help="Memory limit of the proving process, e.g. 8GB.")(function)


def judging_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a receipt is judged by, in every command that verifies one; ``verifying.question`` reads them."""
    for option in reversed((
        click.option(
            "--circuit", "circuits", multiple=True, metavar="DIR|ID",
            help="The circuit you expect: its id or its folder. Repeatable.",
        ),
        click.option(
            "--trust", type=PATH, help="A trust root (TOML): keys, circuits, setups and logs that you trust, with their validity."
        ),
        click.option("--policy", type=PATH, help="A policy (TOML) to hold instead of the default one."),
        click.option(
            "--input", "input_file", type=PATH, help="The inputs you expect; needed when the receipt has only their digests."
        ),
        click.option("--output", "output_file", type=PATH, help="The outputs you expect: exact integers."),
        click.option("--model", type=PATH, help="The ONNX file: re-derive the circuit and run it again, besides the proof."),
        dim_option,
        click.option("--nonce", type=HexBytes(), help="The challenge that the claim must carry."),
        click.option(
            "--key-event", "key_events", multiple=True, type=PATH, metavar="FILE",
            help="A settled key event (add, retire, revoke) to judge keys by. Repeatable.",
        ),
        click.option(
            "--reference", "references", multiple=True, type=PATH, metavar="FILE",
            help="Reference values (TOML) that TEE evidence is held to, besides those of the trust root. Repeatable.",
        ),
        click.option(
            "--collateral", multiple=True, type=PATH, metavar="FILE",
            help="What TEE evidence is judged with, where the receipt only names it. Repeatable.",
        ),
        click.option("--allow-dev-srs", is_flag=True, help="Accept a development setup; whoever made it can forge proofs."),
        click.option("--allow-simulated-tee", is_flag=True, help="Let TEE evidence count that no hardware stands behind."),
    )):  # fmt: skip
        function = option(function)
    return function


def visibility(system: str, inputs: str, outputs: str, weights: str | None) -> Visibility:
    """What :func:`visibility_options` read."""
    from verifiable.compiling import default_visibility

    return Visibility(inputs=inputs, outputs=outputs, weights=weights or default_visibility(system).weights)


def limits(memory: int | None, timeout: float | None) -> Limits:
    """What :func:`limit_options` read."""
    return Limits(memory=memory, seconds=timeout)


def dims(pairs: tuple[str, ...]) -> dict[str, int]:
    """``("batch=1",)`` -> ``{"batch": 1}``; a usage error otherwise."""
    bound = {}
    for pair in pairs:
        name, _, number = pair.partition("=")
        if not name or not _COUNT.fullmatch(number):
            raise click.BadParameter(f"{pair[:80]!r} is not NAME=N with N from 1 to 999999999", param_hint="--dim")
        bound[name] = int(number)
    return bound


def circuit_reference(text: str) -> Path | Digest:
    """A circuit id, in either case, or a circuit folder. 64 hex digits are an id: no folder of that name takes its place.

    Raises MalformedError.
    """
    if not text:
        raise click.BadParameter("is empty", param_hint="--circuit")
    try:
        return Digest.parse(text.lower())
    except Error as error:
        if Path(text).is_dir():
            return Path(text)
        raise MalformedError(
            f"--circuit: {text[:80]!r} is neither a circuit folder nor a circuit id",
            hint="an id is 64 hex digits, printed by `compile`",
        ) from error
