"""All bits of a recorded file turned over, within minutes: on all processors, each of which reads once what no flip changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import wraps
from multiprocessing import get_context
from typing import Any

from verifiable.errors import Error
from verifiable.tee import crl, x509
from verifiable.tee.snp import evidence

#: Bits -> those of them whose change was not refused. Pickled by its name, so not one of a test module.
Attempt = Callable[[Iterable[int]], list[int]]
_CHUNK = 1024
_MAX_KEPT = 4096


def flipped(data: bytes, bit: int) -> bytes:
    """``data`` with that bit (eight a byte) turned over."""
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def survivors(attempt: Attempt, size: int) -> list[int]:
    """What ``attempt`` lets through of all bits of a file of ``size`` bytes."""
    chunks = [range(start, min(start + _CHUNK, 8 * size)) for start in range(0, 8 * size, _CHUNK)]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"), initializer=_remember) as pool:
        return [bit for found in pool.map(attempt, chunks) for bit in found]


def _remember() -> None:
    """Pure functions of bytes, of which a flip changes one argument at most and all others are the same each time."""
    x509.load_key = remembering(x509.load_key)
    x509.verify = crl.verify = evidence.verify = remembering(x509.verify)  # type: ignore[attr-defined]
    for owner in (x509.Certificate, crl.RevocationList):
        owner.parse = classmethod(remembering(owner.parse.__func__))  # type: ignore[attr-defined,method-assign]


def remembering(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, called once for the same arguments."""
    known: dict[object, tuple[Any, Error | None]] = {}

    @wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        key = (given, tuple(named.items()))
        if key not in known:
            if len(known) >= _MAX_KEPT:
                known.clear()
            try:
                known[key] = (function(*given, **named), None)
            except Error as error:
                known[key] = (None, error)
        found, raised = known[key]
        if raised is not None:
            raise type(raised)(raised.message, hint=raised.hint)
        return found

    return call


__all__ = ["Attempt", "flipped", "remembering", "survivors"]
