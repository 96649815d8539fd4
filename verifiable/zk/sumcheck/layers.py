# SPDX-License-Identifier: Apache-2.0
"""The verifier of the linear layers: a claim on a layer's output becomes one on its weights and one on its input.

All tensors are padded to powers of two per axis; a point is the concatenation of its axes' points. The claimed value is that of
the bilinear part alone: the caller takes the bias off before (added in every position, it contributes its own extension at r_o),
and a zero point off the input, by running a layer on q - z (the value for q is then z more; what a window reaches outside is zero
there).

dense    t(b, o)          = sum_s  W(o, s) q(b, s)
matmul   c(b, m, n)       = sum_k  A(b, m, k) B(b, k, n)
conv     t(b, g o, y, x)  = sum_{c, i, j}  W(g o, c, i, j) q(b, g c, y s + i d - p, x s + j d - p)
select   t(b, ...)        = sum over taps of q at public positions: pooling sums, slices, pads, concatenations, upsampling

In a convolution the group g is shared by both sides; a depthwise one has one o and one c per group, an ordinary one has one
group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verifiable.zk.sumcheck.field import ONE, Ext, ext_mul
from verifiable.zk.sumcheck.maps import AxisMap
from verifiable.zk.sumcheck.reader import Reader
from verifiable.zk.sumcheck.sumcheck import verify_against, verify_product

Point = list[Ext]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A tensor's multilinear extension has this value at this point."""

    point: Point
    value: Ext


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution:
    """The public shape of a convolution; logs of padded sizes. Output channels are (group, out), input channels (group, inside).

    For a grouped convolution, ``out`` and ``inside`` per group must be powers of two themselves, or a tensor's channel axis would
    not split into these variables; any number of groups will do.
    """

    log_groups: int
    log_out: int
    log_in: int
    height: AxisMap
    width: AxisMap

    @property
    def log_inner(self) -> int:
        """Variables of (inside, i, j)."""
        return self.log_in + self.height.log_taps + self.width.log_taps

    @property
    def log_outputs(self) -> int:
        """Variables of (group, out, y, x)."""
        return self.log_groups + self.log_out + self.height.log_outputs + self.width.log_outputs


def verify_dense(reader: Reader, claim: Claim, *, log_out: int, log_in: int) -> tuple[Claim, Claim]:
    """A claim on t at (r_b, r_o) to claims on W at (r_o, s) and q at (r_b, s). Raises ProofError."""
    batch, out = split(claim.point, len(claim.point) - log_out, log_out)
    inner, weights, inputs = verify_product(reader, "dense", claim.value, log_in)
    return Claim(point=out + inner, value=weights), Claim(point=batch + inner, value=inputs)


def verify_matmul(reader: Reader, claim: Claim, *, log_rows: int, log_inner: int, log_cols: int) -> tuple[Claim, Claim]:
    """A claim on c at (r_b, r_m, r_n) to claims on A at (b, r_m, k) and B at (b, k, r_n). Raises ProofError."""
    log_batch = len(claim.point) - log_rows - log_cols
    batch, rows, cols = split(claim.point, log_batch, log_rows, log_cols)
    point, left, right = verify_product(reader, "matmul", claim.value, log_batch + log_inner, batch)
    shared, inner = split(point, log_batch, log_inner)
    return Claim(point=shared + rows + inner, value=left), Claim(point=shared + inner + cols, value=right)


def verify_conv(reader: Reader, claim: Claim, shape: Convolution) -> tuple[Claim, Claim]:
    """A claim on t at (r_b, r_g, r_o, r_y, r_x) to claims on W at (g, r_o, c, i, j) and q at (r_b, g, c, h, w).

    1. The sum over (g, c, i, j), weighted by eq(r_g, g), leaves a claim on W and one on the window view of q.
    2. The latter is a selection: the sum over (h, w), weighted by the public maps.

    Raises ProofError if either does not hold.
    """
    log_batch = len(claim.point) - shape.log_outputs
    height, width = shape.height, shape.width
    sizes = (log_batch, shape.log_groups, shape.log_out, height.log_outputs, width.log_outputs)
    batch, groups, out, y, x = split(claim.point, *sizes)
    point, weights, view = verify_product(reader, "conv", claim.value, shape.log_groups + shape.log_inner, groups)
    group, inside, i, j = split(point, shape.log_groups, shape.log_in, height.log_taps, width.log_taps)
    selected = Claim(point=batch + group + inside + y + x, value=view)
    kept = log_batch + shape.log_groups + shape.log_in
    inputs = verify_select(reader, selected, [height, width], [i, j], log_kept=kept)
    return Claim(point=group + out + inside + i + j, value=weights), inputs


def verify_select(
    reader: Reader, claim: Claim, axes: Sequence[AxisMap], taps: Sequence[Sequence[Ext] | None], *, log_kept: int
) -> Claim:
    """A claim on the view at (kept, r_1, ..., r_n) to one on the input at (kept, h_1, ..., h_n).

    The ``log_kept`` leading variables are the input's own. ``taps`` gives each axis' tap point, or None for the sum over its
    taps. Raises ProofError.
    """
    kept, *outputs = split(claim.point, log_kept, *(axis.log_outputs for axis in axes))

    def selection(point: Point) -> Ext:
        value = ONE
        inputs = split(point, *(axis.log_inputs for axis in axes))
        for axis, at_output, at_tap, at_input in zip(axes, outputs, taps, inputs, strict=True):
            value = ext_mul(value, axis.evaluate(at_output, at_tap, at_input))
        return value

    rounds = sum(axis.log_inputs for axis in axes)
    point, value = verify_against(reader, "select", claim.value, rounds, selection)
    return Claim(point=kept + point, value=value)


def split(point: Sequence[Ext], *sizes: int) -> list[Point]:
    """A point's parts, of these numbers of coordinates, which must use it up (or ValueError)."""
    if sum(sizes) != len(point) or min(sizes, default=0) < 0:
        raise ValueError(f"a point of {len(point)} coordinates does not split into {sizes}")
    parts, start = [], 0
    for size in sizes:
        parts.append(list(point[start : start + size]))
        start += size
    return parts
