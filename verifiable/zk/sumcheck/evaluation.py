# SPDX-License-Identifier: Apache-2.0
"""Extensions of public tables: what a verifier evaluates by itself, exactly and fast enough without compiled code."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from verifiable.zk.sumcheck import field
from verifiable.zk.sumcheck.field import ONE, Array, Ext, ext_add, ext_mul, ext_sub

_LIMB = 16
_EXACT = 2**53  # below it, sums of integers in double precision are exact in any order


def eq_list(point: Sequence[Ext]) -> list[Ext]:
    """As :func:`.field.eq_table`, in Python integers: faster up to some thousand entries."""
    table = [ONE]
    for coordinate in point:
        high = [ext_mul(value, coordinate) for value in table]
        table = [part for low, upper in zip(table, high, strict=True) for part in (ext_sub(low, upper), upper)]
    return table


def of_counter(point: Sequence[Ext]) -> Ext:
    """The extension of the table 0, 1, ..., 2^n - 1: the coordinates as binary digits."""
    first = second = 0
    for a, b in point:
        first, second = 2 * first + a, 2 * second + b
    return first % field.P, second % field.P


def of_integers(values: NDArray[np.signedinteger], point: Sequence[Ext]) -> Ext:
    """The extension of a table of signed integers above -2^63, of any shape that flattens to (2^n,), at a point of n coordinates.

    Small integers (up to some 2^28) go as one exact product in double precision with the 16-bit limbs of an eq table, others over
    F. Raises ValueError for a table of another size.
    """
    flat = np.asarray(values).reshape(-1)
    if flat.size != 1 << len(point):
        raise ValueError(f"a table of {flat.size} has no extension in {len(point)} variables")
    rows = 1 << (len(point) // 2)
    matrix = flat.reshape(rows, -1)
    largest = max(abs(int(flat.max())), abs(int(flat.min())))
    if largest * matrix.shape[1] << _LIMB >= _EXACT:
        return of_elements(field.from_signed(flat.astype(np.int64)), point)
    low, high = eq_list(point[len(point) // 2 :]), eq_list(point[: len(point) // 2])
    # (cols, 8): four limbs of each of an entry's two words, lowest first.
    limbs = field.ext_array(low).astype("<u8").view("<u2").astype(np.float64)
    sums = (matrix.astype(np.float64) @ limbs).astype(np.int64).tolist()
    return field.ext_sum([ext_mul(weight, (_joined(row[:4]), _joined(row[4:]))) for weight, row in zip(high, sums, strict=True)])


def of_elements(values: Array, point: Sequence[Ext]) -> Ext:
    """The extension of a table over F, shape (2^n,), or E, (2^n, 2), at a point of n coordinates.

    Raises ValueError for a table of another size.
    """
    if len(values) != 1 << len(point):
        raise ValueError(f"a table of {len(values)} has no extension in {len(point)} variables")
    high, low = field.eq_table(point[: len(point) // 2]), field.eq_table(point[len(point) // 2 :])
    matrix = values.reshape(len(high), len(low), -1).swapaxes(1, 2).reshape(-1, len(low))
    rows = field.matmul(matrix, low).reshape(len(high), -1, 2)
    parts = [field.dot_ext(rows[:, word], high) for word in range(rows.shape[1])]
    return ext_add(parts[0], ext_mul((0, 1), parts[1])) if len(parts) == 2 else parts[0]


def _joined(limbs: list[int]) -> int:
    return sum(limb << (_LIMB * place) for place, limb in enumerate(limbs)) % field.P
