# SPDX-License-Identifier: Apache-2.0
"""Public index maps: which input position an output position reads. They are no secret, so the verifier evaluates them itself.

A map along one axis is a list of triples (output position y, tap i, input position h). It stands for the 0/1 table M(y, i, h);
and its combination

    R(h) = sum over triples (y, i, h) of eq(r, y) eq(s, i)

is M with its output and tap variables at (r, s): what a claim on a window view at (r, s) weighs the input with. Its extension at
a point t is the sum over triples of eq(r, y) eq(s, i) eq(t, h): a few operations per triple. A convolution's view of its input is
a product of such maps, one per axis. Axes are padded to powers of two; no triple names a padded position, nor one that a window
reaches outside its input, so both contribute zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verifiable.zk.sumcheck import field
from verifiable.zk.sumcheck.evaluation import eq_list
from verifiable.zk.sumcheck.field import ZERO, Array, Ext, ext_add, ext_mul

Indices = NDArray[np.int64]
_FEW = 2048  # triples, up to which Python integers are faster than arrays


def log_padded(size: int) -> int:
    """The number of variables of an axis of ``size`` >= 1 positions: log2 of the next power of two."""
    return (size - 1).bit_length()


def regrouped(given: Sequence[int], shape: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """Of a reshape, axes of 1 aside: the leading axes that stay, those of ``given`` that follow, and what they become."""
    old, new = [d for d in given if d > 1], [d for d in shape if d > 1]
    same = next((a for a, (d, e) in enumerate(zip(old, new, strict=False)) if d != e), min(len(old), len(new)))
    return old[:same], old[same:], new[same:]


def all_powers(extents: Sequence[int]) -> bool:
    """Whether axes padded to powers of two are what they were."""
    return all(d & (d - 1) == 0 for d in extents)


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisMap:
    """Triples of one axis as three int64 arrays of one length, ordered by tap, and the logs of the padded axes."""

    outputs: Indices
    taps: Indices
    inputs: Indices
    log_outputs: int
    log_taps: int
    log_inputs: int

    def evaluate(self, outputs: Sequence[Ext], taps: Sequence[Ext] | None, inputs: Sequence[Ext]) -> Ext:
        """The map's extension at a point; with ``taps`` None, its sum over all taps (a window's sum, as pooling has it).

        Raises ValueError for a point of other numbers of coordinates.
        """
        given = (len(outputs), self.log_taps if taps is None else len(taps), len(inputs))
        if given != (self.log_outputs, self.log_taps, self.log_inputs):
            raise ValueError(
                f"a map of {self.log_outputs}, {self.log_taps}, {self.log_inputs} variables is not evaluated at {given}"
            )
        if max(len(self.outputs), *(1 << len(point) for point in (outputs, taps or (), inputs))) > _FEW:
            return self._evaluate_many(outputs, taps, inputs)
        at_outputs, at_inputs, at_taps = eq_list(outputs), eq_list(inputs), eq_list(taps or ())
        sums = [ZERO] * len(at_taps)
        tap_of = self.taps.tolist() if taps else [0] * len(self.taps)
        for output, tap, position in zip(self.outputs.tolist(), tap_of, self.inputs.tolist(), strict=True):
            sums[tap] = ext_add(sums[tap], ext_mul(at_outputs[output], at_inputs[position]))
        return field.ext_sum([ext_mul(weight, part) for weight, part in zip(at_taps, sums, strict=True)])

    def _evaluate_many(self, outputs: Sequence[Ext], taps: Sequence[Ext] | None, inputs: Sequence[Ext]) -> Ext:
        weights = weigh(self, field.eq_table(outputs), field.eq_table(taps) if taps else None)
        return field.dot_ext(weights, field.eq_table(inputs)[self.inputs])


def window(*, size: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, pad: int = 0) -> AxisMap:
    """A convolution's or a pool's axis: y reads h = y * stride + i * dilation - pad for each tap i < kernel if 0 <= h < size."""
    taps, outs = np.divmod(np.arange(kernel * outputs, dtype=np.int64), outputs)
    inputs = outs * stride + taps * dilation - pad
    inside = (inputs >= 0) & (inputs < size)
    return AxisMap(
        outputs=outs[inside],
        taps=taps[inside],
        inputs=inputs[inside],
        log_outputs=log_padded(outputs),
        log_taps=log_padded(kernel),
        log_inputs=log_padded(size),
    )


def select(sources: Sequence[int] | Indices, *, size: int, log_outputs: int | None = None) -> AxisMap:
    """Output y reads input ``sources[y]`` of ``size``, or nothing where that is negative: slices, pads, parts of a concatenation.

    On a flattened tensor this is any public re-indexing at all. ``log_outputs`` may be larger than ``sources`` needs.
    """
    wanted = np.asarray(sources, dtype=np.int64)
    outputs = np.flatnonzero(wanted >= 0).astype(np.int64)
    return AxisMap(
        outputs=outputs,
        taps=np.zeros(len(outputs), np.int64),
        inputs=wanted[outputs],
        log_outputs=log_padded(max(1, len(wanted))) if log_outputs is None else log_outputs,
        log_taps=0,
        log_inputs=log_padded(size),
    )


def block_diagonal(*, groups: int, out: int, inside: int) -> AxisMap:
    """A grouped convolution's weights as a full matrix: (o, c) reads (o, c - first) where c is one of the channels of o's group.

    ``out`` and ``inside``: channels of all groups together. Outputs are o, taps c; the inputs' variables are those of o, then
    those of the position within a group.
    """
    here, within = out // groups, inside // groups
    outs, places = np.divmod(np.arange(out * within, dtype=np.int64), within)
    taps = outs // here * within + places
    order = np.argsort(taps, kind="stable")
    return AxisMap(
        outputs=outs[order],
        taps=taps[order],
        inputs=((outs << log_padded(within)) + places)[order],
        log_outputs=log_padded(out),
        log_taps=log_padded(inside),
        log_inputs=log_padded(out) + log_padded(within),
    )


def covered(axes: Sequence[AxisMap], points: Sequence[Sequence[Ext]]) -> Ext:
    """The extension of "this output position reads something", at one point per axis (maps without taps).

    Where a constant fills what a map does not read (a Pad's value), the view is the selection plus (1 - covered) * constant.
    """
    value = field.ONE
    for axis, point in zip(axes, points, strict=True):
        weights = field.eq_table(point)[axis.outputs]
        value = field.ext_mul(value, (field.total(weights[:, 0]), field.total(weights[:, 1])))
    return value


def weigh(axis: AxisMap, outputs: Array, taps: Array | None) -> Array:
    """The triples' weights eq(r, y) eq(s, i), shape (triples, 2), from the two eq tables; ``taps`` None counts each tap once."""
    weights = outputs[axis.outputs]
    return weights if taps is None else field.mul_ext(weights, taps[axis.taps])
