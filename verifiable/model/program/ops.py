# SPDX-License-Identifier: Apache-2.0
"""The operations of a Program. All tensors hold exact integers; there are no zero points.

Every integer n stands for the real number scale·n, so an activation with zero point z is held as q - z, and padding is 0.
``source`` names a tensor: the program's inputs come first, then one tensor per operation. ``weight``, ``multiplier`` and ``bias``
name constants, ``table`` a table.
"""

from __future__ import annotations

from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """``t[..., o] = multiplier[o] · Σ_k weight[o, k] · x[..., k] + bias[o]``; weight [O, K], multiplier and bias [O]."""

    source: int
    weight: int
    multiplier: int
    bias: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv:
    """Cross-correlation of x [N, C, H, W] with weight [O, C/groups, kv, kh], dilation 1; outside of x there are zeros.

    ``t[n, o, v, h] = multiplier[o] · Σ_{c,i,j} weight[o, c, i, j] · x[n, first + c, v·sv + i - top, h·sh + j - left] + bias[o]``
    with ``first = o // (O/groups) · C/groups``. ``strides``: sv, sh; ``kernel``: kv, kh; ``pads``: top, left, bottom, right.
    Depthwise when ``groups`` is C.
    """

    source: int
    weight: int
    multiplier: int
    bias: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    groups: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SumPool:
    """``t[n, c, v, h] = multiplier · Σ_{i,j} x[n, c, v·sv + i - top, h·sh + j - left] + bias``; outside of x there are zeros."""

    source: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    multiplier: int
    bias: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Combine:
    """``t = Σ_i coefficients[i] · sources[i] + constant`` over tensors of one shape: residuals, differences, negation."""

    sources: tuple[int, ...]
    coefficients: tuple[int, ...]
    constant: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """``t = multiplier ⊙ x + bias``; both constants broadcast (as NumPy does) to the shape of x, which is the result's."""

    source: int
    multiplier: int
    bias: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Maximum:
    """``max(left, right)`` element by element; one shape. A prover may write it as ``b + relu(a - b)``."""

    left: int
    right: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Requantise:
    """``Y = t / 2^shift`` rounded half to even, then ``q = table[Y]``. A shift of 0 is a plain look-up."""

    source: int
    shift: int
    table: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transpose:
    """Axis i of the result is axis ``axes[i]`` of the source."""

    source: int
    axes: Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Reshape:
    """The same elements in row-major order; Flatten, Squeeze and Unsqueeze are reshapes."""

    source: int
    shape: Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat:
    """The sources one after the other along ``axis``."""

    sources: tuple[int, ...]
    axis: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Element i along an axis is element ``starts + i·steps`` of the source; ``sizes`` is the result's shape."""

    source: int
    starts: Shape
    steps: Shape
    sizes: Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Pad:
    """``before`` and ``after`` more elements along each axis, all equal to ``value``."""

    source: int
    before: Shape
    after: Shape
    value: int


Linear = Dense | Conv | SumPool | Combine | Scale
Structural = Transpose | Reshape | Concat | Slice | Pad
Op = Linear | Maximum | Requantise | Structural


def sources(op: Op) -> tuple[int, ...]:
    """The tensors that an operation reads."""
    if isinstance(op, Combine | Concat):
        return op.sources
    if isinstance(op, Maximum):
        return op.left, op.right
    return (op.source,)


def constants(op: Op) -> tuple[int, ...]:
    """The constants that an operation reads, its table apart."""
    if isinstance(op, Dense | Conv):
        return op.weight, op.multiplier, op.bias
    return (op.multiplier, op.bias) if isinstance(op, Scale) else ()
