# SPDX-License-Identifier: Apache-2.0
"""The public tables that a trace is looked up in: their columns, and the columns' extensions, which a verifier evaluates itself.

A tie, t = (n + 1/2) 2^shift, is rounded to the even neighbour: Y = floor(t / 2^shift + 1/2) becomes Y - 1 where the remainder is
zero and Y is odd. That the remainder is zero is passed on from digit to digit, z_0 = [d_0 = 0], z_j = z_(j-1) [d_j = 0], each
looked up together with its digit; the last one is looked up beside Y. Each integer has a column of its own. Packed into one, as
2 Y + z say, half an integer would be found too: modulo p there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from verifiable.zk.sumcheck import field
from verifiable.zk.sumcheck.evaluation import of_counter, of_integers
from verifiable.zk.sumcheck.field import ONE, Ext, ext_add, ext_mul, ext_sub
from verifiable.zk.sumcheck.structure import Table

Integers = NDArray[np.int64]


class Lookup(Protocol):
    """2^log_size rows of ``width`` columns."""

    width: ClassVar[int]

    @property
    def log_size(self) -> int:
        """Variables of a column."""

    def columns(self) -> tuple[Integers, ...]:
        """The columns, whole."""

    def evaluate(self, point: list[Ext]) -> list[Ext]:
        """The columns' extensions at a point."""

    def rows(self, columns: Sequence[Integers]) -> Integers:
        """The number of the row that each looked-up row is; what is not in the table has no proper one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """0, 1, ..., 2^log_size - 1."""

    width: ClassVar[int] = 1
    log_size: int

    def columns(self) -> tuple[Integers, ...]:
        return (np.arange(1 << self.log_size, dtype=np.int64),)

    def evaluate(self, point: list[Ext]) -> list[Ext]:
        return [of_counter(point)]

    def rows(self, columns: Sequence[Integers]) -> Integers:
        return columns[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """(Y, value): a table as the structure has it."""

    width: ClassVar[int] = 2
    table: Table

    @property
    def log_size(self) -> int:
        return self.table.log_size

    def columns(self) -> tuple[Integers, ...]:
        return self.table.keys, self.table.values

    def evaluate(self, point: list[Ext]) -> list[Ext]:
        return [_keys(self.table, point), of_integers(self.table.values, point)]

    def rows(self, columns: Sequence[Integers]) -> Integers:
        return columns[0] - self.table.low


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedEven:
    """(Y, value, z), first all rows with z = 0, then those of ties, where the value is that of the even one of Y - 1 and Y."""

    width: ClassVar[int] = 3
    table: Table

    @property
    def log_size(self) -> int:
        return self.table.log_size + 1

    def columns(self) -> tuple[Integers, ...]:
        tie = np.repeat(np.arange(2), len(self.table.values))
        return np.tile(self.table.keys, 2), self._values(), tie

    def evaluate(self, point: list[Ext]) -> list[Ext]:
        return [_keys(self.table, point[1:]), of_integers(self._values(), point), point[0]]

    def rows(self, columns: Sequence[Integers]) -> Integers:
        return columns[0] - self.table.low + columns[2] * len(self.table.values)

    def _values(self) -> Integers:
        # No real cell meets a tie at a lowest key that is odd: the rounded value would lie outside of the proved range.
        even = np.maximum(self.table.keys & ~1, self.table.low) - self.table.low
        return np.concatenate([self.table.values, self.table.values[even]])


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstDigit:
    """(d, [d = 0])."""

    width: ClassVar[int] = 2
    log_size: int

    def columns(self) -> tuple[Integers, ...]:
        digits = np.arange(1 << self.log_size, dtype=np.int64)
        return digits, (digits == 0).astype(np.int64)

    def evaluate(self, point: list[Ext]) -> list[Ext]:
        return [of_counter(point), _at_zero(point)]

    def rows(self, columns: Sequence[Integers]) -> Integers:
        return columns[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class NextDigit:
    """(d, z [d = 0], z), first all rows with z = 0."""

    width: ClassVar[int] = 3
    log_digits: int

    @property
    def log_size(self) -> int:
        return self.log_digits + 1

    def columns(self) -> tuple[Integers, ...]:
        row = np.arange(1 << self.log_size, dtype=np.int64)
        return row & ((1 << self.log_digits) - 1), (row == 1 << self.log_digits).astype(np.int64), row >> self.log_digits

    def evaluate(self, point: list[Ext]) -> list[Ext]:
        return [of_counter(point[1:]), ext_mul(point[0], _at_zero(point[1:])), point[0]]

    def rows(self, columns: Sequence[Integers]) -> Integers:
        return columns[0] + (columns[2] << self.log_digits)


def _keys(table: Table, point: Sequence[Ext]) -> Ext:
    return ext_add((table.low % field.P, 0), of_counter(point))


def _at_zero(point: Sequence[Ext]) -> Ext:
    """eq(point, 0)."""
    value = ONE
    for coordinate in point:
        value = ext_mul(value, ext_sub(ONE, coordinate))
    return value
