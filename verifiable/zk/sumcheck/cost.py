# SPDX-License-Identifier: Apache-2.0
"""What a structure costs its verifier besides reading the proof: public maps and public values, judged before any is built.

A map along an axis has a triple for each tap of each output, so a few bytes of a structure can ask for more than a machine has.
Programs that would are refused when they are compiled, by the same function that refuses a stranger's structure.
"""

from __future__ import annotations

import math

from verifiable.errors import UnsupportedError
from verifiable.model.program.ops import Concat, Conv, Pad, Reshape, Shape, Slice, SumPool, sources
from verifiable.zk.sumcheck.maps import all_powers, log_padded, regrouped
from verifiable.zk.sumcheck.structure import Structure

#: Positions and triples of one operation's maps, and of all: some 100 bytes and a microsecond or two each.
MAX_MAP = 1 << 22
MAX_MAPS = 1 << 23
#: Variables of an input or output, samples among them: its extension is evaluated from the padded values.
MAX_LOG_PUBLIC = 25


def require_bounded(structure: Structure) -> None:
    """Raises UnsupportedError, naming the operation, input or output, for one that costs a verifier too much."""
    ends = [(f"input {e.name[:80]!r}", e.shape) for e in structure.inputs]
    ends += [(f"output {e.name[:80]!r}", structure.shapes[e.tensor]) for e in structure.outputs]
    total = 0
    for where, shape in ends:
        require_public(where, shape)
        total += sum(shape)
    for number, op in enumerate(structure.ops):
        cost = _maps(structure, number)
        total += cost
        if cost > MAX_MAP:
            raise UnsupportedError(
                f"program: operation {number} ({type(op).__name__}): a map of {cost:,} positions, at most {MAX_MAP:,} are read",
                hint="use smaller tensors",
            )
    if total > MAX_MAPS:
        raise UnsupportedError(f"program: maps of {total:,} positions in all, at most {MAX_MAPS:,} are read")


def require_public(where: str, shape: Shape) -> None:
    """Raises UnsupportedError for an input or output of more than 2^MAX_LOG_PUBLIC padded cells."""
    if sum(map(log_padded, shape)) > MAX_LOG_PUBLIC:
        raise UnsupportedError(f"program: {where}: {list(shape)} padded is more than 2^{MAX_LOG_PUBLIC} values")


def _maps(structure: Structure, number: int) -> int:
    """Triples of the operation's maps and positions of their padded axes."""
    op, shape = structure.ops[number], structure.shapes[len(structure.inputs) + number]
    given = [structure.shapes[source] for source in sources(op)]
    if isinstance(op, Conv | SumPool):
        windows = sum(k * o for k, o in zip(op.kernel, shape[2:], strict=True)) + _padded(*shape[2:], *given[0][2:])
        return windows + (_channels(shape[1], given[0][1], op.groups) if isinstance(op, Conv) else 0)
    if isinstance(op, Reshape):
        _, old, new = regrouped(given[0], shape)
        return 0 if all_powers((*old, *new)) else sum(math.prod(1 << log_padded(d) for d in axes) for axes in (old, new))
    return sum(_padded(*shape, *source) for source in given) if isinstance(op, Slice | Pad | Concat) else 0


def _channels(out: int, inside: int, groups: int) -> int:
    within = inside // groups
    return 0 if groups == 1 else out * within + _padded(out, inside) + (1 << log_padded(out) + log_padded(within))


def _padded(*extents: int) -> int:
    return sum(1 << log_padded(extent) for extent in extents)
