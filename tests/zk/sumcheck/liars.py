# SPDX-License-Identifier: Apache-2.0
"""Provers that lie in one place, and slow references over Python integers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from verifiable.zk.sumcheck import field
from verifiable.zk.sumcheck.field import Ext
from verifiable.zk.sumcheck.transcript import Transcript
from verifiable.zk.sumcheck.writer import Writer

Change = Callable[[list[Ext]], list[Ext]]


def plus_one(scalars: list[Ext]) -> list[Ext]:
    return [field.ext_add(scalars[0], field.ONE), *scalars[1:]]


class Liar(Writer):
    """Changes its ``which``-th message with a given label before it is written and absorbed, and goes on honestly."""

    def __init__(self, label: str, which: int = 0, change: Change = plus_one) -> None:
        super().__init__(Transcript())
        self._label, self._which, self._change = label, which, change
        self.lied = False

    def scalars(self, label: str, *scalars: Ext) -> None:
        if label == self._label:
            if self._which == 0:
                changed = self._change(list(scalars))
                assert len(changed) == len(scalars)
                assert changed != list(scalars)
                scalars, self.lied = tuple(changed), True
            self._which -= 1
        super().scalars(label, *scalars)


class Forgetful(Writer):
    """Writes messages with a given label without absorbing them."""

    def __init__(self, label: str) -> None:
        super().__init__(Transcript())
        self._label = label

    def scalars(self, label: str, *scalars: Ext) -> None:
        if label == self._label:
            self.unabsorbed(field.encode(field.ext_array(scalars)))
        else:
            super().scalars(label, *scalars)


class Script(Transcript):
    """A transcript whose challenges are known in advance: what a prover could do who foresaw them."""

    def __init__(self, challenges: Sequence[Ext]) -> None:
        super().__init__()
        self._challenges = list(challenges)

    def challenges(self, label: str, count: int) -> list[Ext]:
        taken, self._challenges = self._challenges[:count], self._challenges[count:]
        assert len(taken) == count
        return taken


def eq(point: Sequence[Ext], index: int) -> Ext:
    """Over Python integers, from the definition."""
    value = field.ONE
    for position, coordinate in enumerate(point):
        bit = index >> (len(point) - 1 - position) & 1
        value = field.ext_mul(value, coordinate if bit else field.ext_sub(field.ONE, coordinate))
    return value


def extension(values: Sequence[int] | np.ndarray, point: Sequence[Ext]) -> Ext:
    """The multilinear extension of integers (of any sign) at a point, over Python integers, from the definition."""
    flat = np.asarray(values, dtype=object).reshape(-1)
    assert len(flat) == 1 << len(point)
    terms = [field.ext_mul((int(v) % field.P, 0), eq(point, i)) for i, v in enumerate(flat) if int(v)]
    return field.ext_sum(terms)


def random_ext(rng: np.random.Generator, count: int) -> list[Ext]:
    words = rng.integers(0, field.P, size=(count, 2), dtype=np.uint64)
    return [(int(a), int(b)) for a, b in words]


def random_table(rng: np.random.Generator, log_size: int) -> field.Array:
    return rng.integers(0, field.P, size=(1 << log_size, 2), dtype=np.uint64)
