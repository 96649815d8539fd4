# SPDX-License-Identifier: Apache-2.0
"""What foreign libraries raise becomes one of our errors, in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from verifiable.errors import Error, MalformedError

_MAX_REASON = 300


@contextmanager
def guarded(what: str, *, kind: type[Error] = MalformedError, hint: str = "") -> Iterator[None]:
    """Run foreign code: an Error passes, every other exception is raised anew as ``kind`` with the first line of its reason.

    Everything is caught because onnx, protobuf, NumPy and onnxruntime document no exception types for hostile input.
    """
    try:
        yield
    except Error:
        raise
    except Exception as error:
        raise kind(f"{what}: {reason(error)}", hint=hint) from error


def reason(error: Exception) -> str:
    """The first telling line of an exception, printable and of bounded length."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = lines[0] if lines else type(error).__name__
    return "".join(c if c.isprintable() else "?" for c in line[:_MAX_REASON])


def shown(name: str) -> str:
    """A name from a file, quoted, escaped and of bounded length, fit for an error line."""
    return repr(name if len(name) <= 80 else name[:77] + "...")
