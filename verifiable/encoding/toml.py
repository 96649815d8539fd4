# SPDX-License-Identifier: Apache-2.0
"""TOML 1.0 as people write it for us: trust roots, policies, reference values. Bounded before it is parsed."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from verifiable.errors import MalformedError

MAX_SIZE = 1 << 18
_MAX_DOTS = 64
_QUOTED = re.compile(rb"\"[^\"\n]*\"|'[^'\n]*'")


def read_toml(data: bytes, *, what: str) -> dict[str, Any]:
    """A TOML document that a person wrote; ``what`` names it in errors. Raises MalformedError."""
    if len(data) > MAX_SIZE:
        raise MalformedError(f"{what}: {len(data):,} bytes is more than the {MAX_SIZE:,} allowed")
    # tomllib walks a dotted key from the root for each of its parts: 130,000 dots are an hour, and ours have two.
    if any(line.count(b".") > _MAX_DOTS for line in _QUOTED.sub(b"", data).splitlines()):
        raise MalformedError(f"{what}: a line with more than {_MAX_DOTS} dots outside quotes")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MalformedError(f"{what}: not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise MalformedError(f"{what}: nested too deeply") from error
    except (ValueError, OverflowError) as error:
        raise MalformedError(f"{what}: not TOML: {str(error)[:200]}") from error
