# SPDX-License-Identifier: Apache-2.0
"""A numbered checklist being worked through: what was checked, in order, and how it came out.

Whoever verifies something does it in such a list, so that code, documents and output number the same checks alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from verifiable.errors import Error


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the checklist. ``status``: ``pass``, ``fail``, or ``skip`` (not established; ``detail`` says why)."""

    number: int
    name: str
    status: str
    detail: str


class Checklist:
    """The checks of these ``names`` as they are done, in order. A failing one ends the list, and the error carries it."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._checks: list[Check] = []

    @property
    def checks(self) -> tuple[Check, ...]:
        return tuple(self._checks)

    @contextmanager
    def step(self, number: int) -> Iterator[Step]:
        """Check ``number`` passes when the block ends, fails when an Error leaves it, is skipped when the block says so."""
        assert number == len(self._checks) + 1, "checks run in the order of the list"
        step = Step()
        try:
            yield step
        except Error as error:
            self._end(number, "fail", error.message)
            error.checks = self.checks  # type: ignore[attr-defined]
            raise
        self._end(number, step.status, "; ".join(step.details))

    def _end(self, number: int, status: str, detail: str) -> None:
        self._checks.append(Check(number=number, name=self._names[number - 1], status=status, detail=detail))


class Step:
    """The check being done: say what was established, or why it could not be looked at."""

    def __init__(self) -> None:
        self.status = "pass"
        self.details: list[str] = []

    def note(self, detail: str) -> None:
        self.details.append(detail)

    def skip(self, detail: str) -> None:
        self.status = "skip"
        self.details.append(detail)
