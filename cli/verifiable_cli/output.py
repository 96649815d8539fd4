# SPDX-License-Identifier: Apache-2.0
"""Results on stdout, everything for people on stderr; progress only on a terminal and only when it takes a while."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any

import click

from verifiable.digest import Digest
from verifiable.encoding.record import format_duration, format_time
from verifiable.errors import Error, MalformedError

_QUIET_SECONDS = 1.0
_CAMEL = re.compile(r"_([a-z0-9])")
_FRAMES = "|/-\\"


def fail(error: Error) -> None:
    """``verifiable: error: ...`` and ``hint: ...``, one line each, on stderr."""
    click.echo(f"verifiable: error: {one_line(str(error))}", err=True)
    # Something that cannot be read, and nothing better to say: most often it is another file than was meant, or half of one.
    hint = error.hint or ("check that it is the file you meant, whole and unedited" if isinstance(error, MalformedError) else "")
    if hint:
        click.echo(f"hint: {one_line(hint)}", err=True)


def one_line(text: str) -> str:
    """No line breaks and no control characters: names out of untrusted files end up in messages and on terminals."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def say(text: str = "") -> None:
    """A line for people, on stderr."""
    click.echo(text, err=True)


def result(text: str) -> None:
    """A line of the result, on stdout."""
    click.echo(text)


def result_json(value: Any) -> None:
    """The whole result as one JSON document on stdout; what is not finite as the strings of the protobuf JSON mapping."""
    click.echo(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def table(rows: Iterable[Sequence[str]], *, indent: int = 2) -> list[str]:
    """Left-aligned columns two spaces apart; the last one is not padded."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max((len(row[i]) for row in cells if i < len(row)), default=0) for i in range(max(map(len, cells), default=0))]
    return [" " * indent + "  ".join(cell.ljust(widths[i]) for i, cell in enumerate(row)).rstrip() for row in cells]


def plain(value: Any) -> Any:
    """A value of the library as JSON has it: its public fields in camel case, bytes as hex, times as RFC 3339, certificates by
    what people know them by.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        from verifiable.tee.x509 import Certificate

        if isinstance(value, Digest):
            return value.hex
        if isinstance(value, Certificate):
            window = f"{format_time(value.not_before)} to {format_time(value.not_after)}"
            return {"subject": value.name, "serial": str(value.serial), "valid": window, "sha256": Digest.of(value.der).hex}
        names = [field.name for field in dataclasses.fields(value) if not field.name.startswith("_")]
        return {_CAMEL.sub(lambda match: match[1].upper(), name): plain(getattr(value, name)) for name in names}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, tuple) and value and all(isinstance(each, tuple) and len(each) == 2 for each in value):
        return {str(name): plain(item) for name, item in value}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def tree(value: Any, indent: str = "") -> list[str]:
    """Nested objects and lists as indented lines of ``name: value``, long values cut."""
    lines: list[str] = []
    pairs = value.items() if isinstance(value, dict) else ((f"[{i}]", item) for i, item in enumerate(value))
    for name, item in pairs:
        nested = bool(item) and (
            isinstance(item, dict) or (isinstance(item, list) and any(isinstance(each, dict | list) for each in item))
        )
        if nested:
            lines += [f"{indent}{one_line(str(name))}:", *tree(item, indent + "  ")]
        else:
            text = one_line(item if isinstance(item, str) else json.dumps(item))
            lines.append(f"{indent}{one_line(str(name))}: {text if len(text) <= 100 else text[:100] + '…'}")
    return lines


class Progress:
    """A one-line display of the current phase, on a terminal, from one second on. Call it as ``progress(phase, fraction)``."""

    def __init__(self) -> None:
        self._on = sys.stderr.isatty()
        self._phase, self._fraction = "", None  # type: str, float | None
        self._started = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._draw, daemon=True)

    def __call__(self, phase: str, fraction: float | None) -> None:
        self._phase, self._fraction = phase, fraction

    def __enter__(self) -> Progress:
        if self._on:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._on:
            self._stop.set()
            self._thread.join()
            click.echo("\r\x1b[K", nl=False, err=True)

    def _draw(self) -> None:
        for frame in self._frames():
            elapsed = time.monotonic() - self._started
            if elapsed > _QUIET_SECONDS:
                share = "" if self._fraction is None else f" {self._fraction:4.0%}"
                click.echo(f"\r\x1b[K{frame} {one_line(self._phase)}{share}  {elapsed:.0f} s", nl=False, err=True)

    def _frames(self) -> Iterator[str]:
        count = 0
        while not self._stop.wait(0.2):
            yield _FRAMES[count % len(_FRAMES)]
            count += 1


@contextmanager
def progress() -> Iterator[Progress]:
    """``with progress() as p: library_call(progress=p)``."""
    with Progress() as display:
        yield display


def size(count: float) -> str:
    """Bytes for people: ``3,072 B``, ``4.2 MB``."""
    if count < 10_000:
        return f"{count:,.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000 or unit == "GB":
            break
    return f"{count:.1f} {unit}"


def shape(dtype: str, dims: Iterable[object]) -> str:
    """``float32[1, 28, 28]``."""
    return f"{dtype}{[*dims]}"
