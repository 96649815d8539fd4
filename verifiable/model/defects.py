# SPDX-License-Identifier: Apache-2.0
"""What stands between a model and its proof: collected, so that one report names all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verifiable.errors import Error, MalformedError, UnsupportedError
from verifiable.model.guard import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """``where``: the node, input or output, empty for all of it; ``op``: its operator, or empty.

    ``malformed``: wrong in itself, not beyond us."""

    where: str
    op: str = ""
    reason: str
    fix: str = ""
    malformed: bool = False

    def to_json(self) -> dict[str, str]:
        return {"where": self.where, "op": self.op, "reason": self.reason, "fix": self.fix}

    def __str__(self) -> str:
        if not self.where:
            return self.reason
        name = f"{shown(self.where)} ({self.op})" if self.op else shown(self.where)
        return f"{name}: {self.reason}"


def refusal(defects: Sequence[Defect]) -> Error:
    """The error for a non-empty list of defects: the first one, malformed ones before the rest, and how many more there are."""
    first = min(defects, key=lambda defect: not defect.malformed)
    more = f" (and {len(defects) - 1} more)" if len(defects) > 1 else ""
    kind = MalformedError if first.malformed else UnsupportedError
    return kind(f"model: {first}{more}", hint=first.fix)
