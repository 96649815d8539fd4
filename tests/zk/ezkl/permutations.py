# SPDX-License-Identifier: Apache-2.0
"""Which cells of a circuit must be equal, read from the permutation polynomials in a proving key (halo2's raw format).

The permutation argument (Gabizon, Williamson, Ciobotaru 2019, section 5) holds cells equal along the cycles of one permutation.
Cell (column i, row j) is written as delta^i * omega^j, and the polynomial of its column holds, at its row, the next cell.
"""

from __future__ import annotations

import struct

from verifiable.zk.ezkl.instances import FIELD

Cell = tuple[int, int]
_MONTGOMERY = (1 << 256) % FIELD
_TWO_ADICITY = 28
_GENERATOR = 7
_MAX_COLUMNS = 24
#: ezkl with commitments: advice of the model, its constants, advice of Poseidon, then instances.
MODEL, HASHER = range(6), range(7, 10)


def cycles(key: bytes, logrows: int) -> list[list[Cell]]:
    """All cycles of two cells or more. Fails where the key does not hold the polynomials as expected."""
    following = _permutations(key, logrows)
    seen: set[Cell] = set()
    found = []
    for start in ((column, row) for column in range(len(following)) for row in range(1 << logrows)):
        cycle, cell = [], start
        while cell not in seen:
            seen.add(cell)
            cycle.append(cell)
            cell = following[cell[0]][cell[1]]
        if len(cycle) > 1:
            found.append(cycle)
    return found


def joined(key: bytes, logrows: int) -> int:
    """In how many cycles a cell that is hashed meets one that the model computes with."""
    columns = [{column for column, _ in cycle} for cycle in cycles(key, logrows)]
    return sum(bool(found & set(MODEL) and found & set(HASHER)) for found in columns)


def _permutations(key: bytes, logrows: int) -> list[list[Cell]]:
    """The polynomials in Lagrange form: runs of 2^logrows numbers that all name cells, each behind its length."""
    rows, names = 1 << logrows, _names(logrows)
    size, mark, at = 32 * rows, struct.pack(">I", rows), 0
    found = []
    while (at := key.find(mark, at)) != -1:
        numbers = [names.get(key[i : i + 32]) for i in range(at + 4, min(at + 4 + size, len(key)), 32)]
        cells = [cell for cell in numbers if cell is not None]
        if len(cells) == rows:
            found.append(cells)
            at += size
        else:
            at += 1
    assert len(found) > max(MODEL), "no permutation polynomials in this proving key"
    return found


def _names(logrows: int) -> dict[bytes, Cell]:
    omega = pow(_GENERATOR, (FIELD - 1) >> logrows, FIELD)
    delta = pow(_GENERATOR, 1 << _TWO_ADICITY, FIELD)
    names, first = {}, _MONTGOMERY
    for column in range(_MAX_COLUMNS):
        value = first
        for row in range(1 << logrows):
            names[value.to_bytes(32, "little")] = column, row
            value = value * omega % FIELD
        first = first * delta % FIELD
    return names
