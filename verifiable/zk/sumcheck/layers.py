# SPDX-License-Identifier: Apache-2.0
"""The verifier of the linear layers: a claim on a layer's output becomes one on its weights and one on its input.

All tensors are padded to powers of two per axis; a point is the concatenation of its axes' points. The claimed value is that of
the bilinear part alone: the caller takes the bias off before (added in every position, it contributes its own extension at r_o),
and a zero point off the input, by running a layer on q - z (the value for q is then z more; what a window reaches outside is zero
there).

dense    t(b, o)          = sum_s  W(o, s) q(b, s)
matmul   c(b, m, n)       = sum_k  A(b, m, k) B(b, k, n)
conv     t(b, o, y, x)    = sum_{c, i, j}  W(o, c, i, j) q(b, c, y s + i d - p, x s + j d - p)
select   t(b, ...)        = sum over taps of q at public positions: pooling sums, slices, pads, concatenations, upsampling
merge    several claims on one tensor to one: without it, claims would double wherever a sum reads a tensor twice

A grouped convolution is one whose W is zero where o and c are of two groups. Only the rest is committed, [o, c of the group];
the full W is a selection of it. A depthwise convolution has one o and one c per group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verifiable.zk.sumcheck.field import ONE, Ext, eq_point, ext_mul, ext_sum
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
    """The public shape of a convolution; logs of padded sizes. ``groups``: :func:`.maps.block_diagonal`, None for one group."""

    log_out: int
    log_in: int
    height: AxisMap
    width: AxisMap
    groups: AxisMap | None = None

    @property
    def log_inner(self) -> int:
        """Variables of (inside, i, j)."""
        return self.log_in + self.height.log_taps + self.width.log_taps

    @property
    def log_outputs(self) -> int:
        """Variables of (out, y, x)."""
        return self.log_out + self.height.log_outputs + self.width.log_outputs

    @property
    def log_weights(self) -> int:
        """Variables of (out, inside of one group, i, j)."""
        channels = self.log_out + self.log_in if self.groups is None else self.groups.log_inputs
        return channels + self.height.log_taps + self.width.log_taps


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
    """A claim on t at (r_b, r_o, r_y, r_x) to claims on W at (o, c, i, j) and q at (r_b, c, h, w).

    1. The sum over (c, i, j) leaves a claim on the full W and one on the window view of q.
    2. With groups, the former is a selection of the committed W: a sum over (o, c), weighted by a public map.
    3. The latter is a selection of q: a sum over (h, w), weighted by public maps.

    Raises ProofError if one does not hold.
    """
    log_batch = len(claim.point) - shape.log_outputs
    height, width = shape.height, shape.width
    batch, out, y, x = split(claim.point, log_batch, shape.log_out, height.log_outputs, width.log_outputs)
    point, weights, view = verify_product(reader, "conv", claim.value, shape.log_inner)
    inside, i, j = split(point, shape.log_in, height.log_taps, width.log_taps)
    channels = Claim(point=out + inside, value=weights)
    if shape.groups is not None:
        full = Claim(point=out, value=weights)
        channels = verify_select(reader, full, [shape.groups], [inside], log_kept=0)
    selected = Claim(point=batch + inside + y + x, value=view)
    inputs = verify_select(reader, selected, [height, width], [i, j], log_kept=log_batch + shape.log_in)
    return Claim(point=channels.point + i + j, value=channels.value), inputs


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


def verify_merge(reader: Reader, claims: Sequence[Claim]) -> Claim:
    """Several claims on one tensor to one: weighted by powers of a challenge they add up to one sum over the tensor.

    Raises ProofError.
    """
    powers = powers_of(reader.transcript.challenge("merge claims"), len(claims))
    total = ext_sum([ext_mul(power, claim.value) for power, claim in zip(powers, claims, strict=True)])

    def combined(at: Point) -> Ext:
        return ext_sum([ext_mul(power, eq_point(claim.point, at)) for power, claim in zip(powers, claims, strict=True)])

    point, value = verify_against(reader, "merge", total, len(claims[0].point), combined)
    return Claim(point=point, value=value)


def powers_of(base: Ext, count: int) -> list[Ext]:
    """1, base, base^2, ... (count of them)."""
    powers = [ONE]
    for _ in range(count):
        powers.append(ext_mul(powers[-1], base))
    return powers[:count]


def split(point: Sequence[Ext], *sizes: int) -> list[Point]:
    """A point's parts, of these numbers of coordinates, which must use it up (or ValueError)."""
    if sum(sizes) != len(point) or min(sizes, default=0) < 0:
        raise ValueError(f"a point of {len(point)} coordinates does not split into {sizes}")
    parts, start = [], 0
    for size in sizes:
        parts.append(list(point[start : start + size]))
        start += size
    return parts
