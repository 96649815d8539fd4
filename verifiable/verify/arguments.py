# SPDX-License-Identifier: Apache-2.0
"""What a caller hands over, checked for its type at the door: a mistake there must not look like a verdict, nor like a crash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from verifiable.encoding.tensor import Tensor
from verifiable.errors import MalformedError
from verifiable.zk.circuit import VerifierCircuit
from verifiable.zk.system import ModelProgram


def check(
    *, receipt: object, circuit: object, program: object, nonce: object, inputs: object, outputs: object, collateral: object
) -> None:
    """Raises MalformedError naming the argument, and what to pass instead."""
    wanted("receipt", receipt, bytes, hint="read the file: Path(...).read_bytes()")
    for name, value, kind, hint in (
        ("circuit", circuit, VerifierCircuit, "verifiable.zk.directory.load_verifier(folder)"),
        ("program", program, ModelProgram, "verifiable.compiling.program_of(model, circuit=circuit)"),
        ("nonce", nonce, bytes, "bytes.fromhex(...)"),
    ):
        if value is not None:
            wanted(name, value, kind, hint=hint)
    wanted("collateral", collateral, Sequence, hint="[Path(...).read_bytes(), ...]")
    for data in collateral:  # type: ignore[attr-defined]
        wanted("collateral", data, bytes, hint="[Path(...).read_bytes(), ...]")
    for name, tensors in (("inputs", inputs), ("outputs", outputs)):
        if tensors is not None:
            wanted(name, tensors, Mapping, hint="{name: Tensor.from_array(array)}")
            for tensor in tensors.values():  # type: ignore[attr-defined]
                wanted(name, tensor, Tensor, hint="{name: Tensor.from_array(array)}")


def aware(now: object) -> datetime:
    """The time of judgement in UTC. Raises MalformedError."""
    if not isinstance(now, datetime) or now.utcoffset() is None:
        raise MalformedError("the time of judgement has no time zone, or is no time", hint="datetime.now(UTC)")
    try:
        return now.astimezone(UTC)
    except OverflowError as error:
        raise MalformedError("the time of judgement is out of range in UTC") from error


def wanted(name: str, value: object, kind: type, *, hint: str) -> None:
    """Raises MalformedError unless ``value`` is a ``kind``."""
    if not isinstance(value, kind):
        raise MalformedError(f"{name}: {kind.__name__} is wanted, not {type(value).__name__}", hint=hint)
