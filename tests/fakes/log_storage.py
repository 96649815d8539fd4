# SPDX-License-Identifier: Apache-2.0
"""A log's storage in memory, and a wrapper that crashes at a chosen step with a chosen part of it persisted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from verifiable.errors import ConflictError, MalformedError
from verifiable.ledger.storage import Storage


@dataclass
class MemoryStorage:
    """The contract of verifiable.ledger.storage.Storage over a dict."""

    objects: dict[str, bytes] = field(default_factory=dict)

    def read(self, path: str, *, max_size: int) -> bytes | None:
        data = self.objects.get(path)
        if data is not None and len(data) > max_size:
            raise MalformedError(f"{path}: {len(data):,} bytes, more than the {max_size:,} allowed")
        return data

    def create(self, objects: Mapping[str, bytes]) -> None:
        for path, data in objects.items():
            if self.objects.setdefault(path, data) != data:
                raise ConflictError(f"{path} exists with other contents")

    def replace(self, path: str, data: bytes, *, expected: bytes | None) -> None:
        if self.objects.get(path) != expected:
            raise ConflictError(f"{path} is not what it was")
        self.objects[path] = data

    def discard(self, path: str) -> None:
        for each in [p for p in self.objects if p == path or p.startswith(path + "/")]:
            del self.objects[each]


class Crash(Exception):
    """The machine is gone. Not one of our errors: nothing may handle it."""


@dataclass
class Plan:
    """Crash at write number ``step``. ``kept``: how many of its objects are persisted (all of them where there are fewer)."""

    step: int
    kept: int
    count: int = 0
    crashed: bool = False
    width: int = 0  # objects in the step that crashed

    def next(self) -> bool:
        if self.crashed:
            raise Crash("after the crash")
        self.count += 1
        self.crashed = self.count - 1 == self.step
        return self.crashed


@dataclass
class CrashingStorage:
    """Writes go to ``inner`` until the plan's step, and none after it."""

    inner: Storage
    plan: Plan

    def read(self, path: str, *, max_size: int) -> bytes | None:
        return self.inner.read(path, max_size=max_size)

    def create(self, objects: Mapping[str, bytes]) -> None:
        if self.plan.next():
            self.plan.width = len(objects)
            for path, data in [*objects.items()][: self.plan.kept]:
                self.inner.create({path: data})
            raise Crash("create")
        self.inner.create(objects)

    def replace(self, path: str, data: bytes, *, expected: bytes | None) -> None:
        if self.plan.next():
            self.plan.width = 1
            if self.plan.kept:
                self.inner.replace(path, data, expected=expected)
            raise Crash("replace")
        self.inner.replace(path, data, expected=expected)

    def discard(self, path: str) -> None:
        if self.plan.next():
            self.plan.width = 1
            if self.plan.kept:
                self.inner.discard(path)
            raise Crash("discard")
        self.inner.discard(path)


def plans(used: list[Plan]) -> Iterator[Plan]:
    """Every step, with nothing of it persisted, then one object, and so on to all of them; ends when a run has no such step.

    The caller runs each plan before it asks for the next.
    """
    step = kept = 0
    while True:
        plan = Plan(step, kept)
        yield plan
        if not plan.crashed:
            return
        used.append(plan)
        step, kept = (step, kept + 1) if kept < plan.width else (step + 1, 0)
