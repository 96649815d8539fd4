# SPDX-License-Identifier: Apache-2.0
"""The public maps of the operations that move values, on padded tensors; samples and leading axes that stay come first.

Each function gives the variables of the kept axes, and one map for each of the axes that follow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verifiable.model.program.ops import Concat, Pad, Shape, Slice, SumPool
from verifiable.zk.sumcheck.layout import Layout, axis_logs
from verifiable.zk.sumcheck.maps import AxisMap, Indices, all_powers, regrouped, select, window
from verifiable.zk.sumcheck.structure import Structure


def real_cells(layout: Layout, tensor: int) -> tuple[int, list[AxisMap]]:
    """The identity on a tensor's real cells, nothing on its padding; no map where every axis is a power of two."""
    shape = layout.structure.shapes[tensor]
    first = next((a for a, extent in enumerate(shape) if extent & (extent - 1)), len(shape))
    return _kept(layout, shape, first), [select(np.arange(extent), size=extent) for extent in shape[first:]]


def pool_maps(layout: Layout, number: int) -> tuple[int, list[AxisMap]]:
    """The windows of a SumPool's two axes."""
    op = layout.structure.ops[number]
    assert isinstance(op, SumPool)
    given, shape = layout.structure.shapes[op.source], layout.structure.shapes[layout.result(number)]
    axes = [
        window(size=given[a], outputs=shape[a], kernel=op.kernel[a - 2], stride=op.strides[a - 2], pad=op.pads[a - 2])
        for a in (2, 3)
    ]
    return _kept(layout, given, 2), axes


def flat_map(layout: Layout, number: int) -> tuple[int, AxisMap | None]:
    """A Reshape as one map of flattened axes, or None where padded tensors are one and the same."""
    shape = layout.structure.shapes[layout.result(number)]
    given = layout.structure.shapes[layout.structure.ops[number].source]  # type: ignore[union-attr]
    kept, old, new = regrouped(given, shape)
    log_kept = _kept(layout, tuple(kept), len(kept))
    if all_powers((*old, *new)):
        return log_kept, None
    sources = np.full(1 << sum(axis_logs(tuple(new))), -1, np.int64)
    sources[_positions(new)] = _positions(old)
    return log_kept, select(sources, size=1 << sum(axis_logs(tuple(old))))


def part_maps(layout: Layout, number: int) -> tuple[int, list[list[AxisMap]]]:
    """For each source of a Slice, Pad or Concat its maps, from the first axis on that changes."""
    op = layout.structure.ops[number]
    shape = layout.structure.shapes[layout.result(number)]
    first = first_moved(layout.structure, number)
    if isinstance(op, Concat):
        maps, start = [], 0
        for source in op.sources:
            given = layout.structure.shapes[source]
            maps.append([_shifted(start if a == op.axis else 0, given[a], shape[a]) for a in range(first, len(shape))])
            start += given[op.axis]
        return _kept(layout, shape, first), maps
    assert isinstance(op, Slice | Pad)
    given = layout.structure.shapes[op.source]
    axes = []
    for a in range(first, len(shape)):
        if isinstance(op, Slice):
            axes.append(select(op.starts[a] + op.steps[a] * np.arange(op.sizes[a]), size=given[a]))
        else:
            axes.append(_shifted(op.before[a], given[a], shape[a]))
    return _kept(layout, shape, first), [axes]


def first_moved(structure: Structure, number: int) -> int:
    """The first axis that a Slice, Pad or Concat changes, or their number if none."""
    op = structure.ops[number]
    shape = structure.shapes[len(structure.inputs) + number]
    if isinstance(op, Concat):
        return op.axis
    assert isinstance(op, Slice | Pad)
    if isinstance(op, Slice):
        given = structure.shapes[op.source]
        changed = [start or step > 1 or d != e for start, step, d, e in zip(op.starts, op.steps, given, shape, strict=True)]
    else:
        changed = [bool(b or a) for b, a in zip(op.before, op.after, strict=True)]
    return next((a for a, moves in enumerate(changed) if moves), len(shape))


def _shifted(start: int, count: int, size: int) -> AxisMap:
    sources = np.full(size, -1, np.int64)
    sources[start : start + count] = np.arange(count)
    return select(sources, size=count)


def _positions(shape: Sequence[int]) -> Indices:
    """Where the elements of a tensor lie in its padded form, in row-major order."""
    padded = np.arange(1 << sum(axis_logs(tuple(shape))), dtype=np.int64).reshape([1 << n for n in axis_logs(tuple(shape))])
    return padded[tuple(slice(extent) for extent in shape)].ravel()


def _kept(layout: Layout, shape: Shape, count: int) -> int:
    return layout.log_samples + sum(axis_logs(shape[:count]))
