# SPDX-License-Identifier: Apache-2.0
"""Elementary functions of float64 arrays, with the same bits on every machine.

C libraries, and NumPy's vector loops, differ in the last bit of ``exp`` and its like; a table made with one could not be made
again with another. Here are only operations that IEEE 754 fixes to the last bit (+, -, ·, /, square root, scaling by powers of
two), in a fixed order. Reductions and constants are those of fdlibm; results are within a few units in the last place, powers
within a relative 2^-42.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# ln 2 and pi/2 in parts of so few bits that their products with the integers of a reduction are exact.
_LN2 = (float.fromhex("0x1.62e42fee00000p-1"), float.fromhex("0x1.a39ef35793c76p-33"))
_HALF_PI = (
    float.fromhex("0x1.921fb54400000p+0"), float.fromhex("0x1.0b4611a600000p-34"), float.fromhex("0x1.3198a2e037073p-69"),
)  # fmt: skip
_INVERSE_LN2, _TWO_OVER_PI = float.fromhex("0x1.71547652b82fep+0"), float.fromhex("0x1.45f306dc9c883p-1")
_ROOT_HALF = float.fromhex("0x1.6a09e667f3bcdp-1")
_PI_OVER_2 = float.fromhex("0x1.921fb54442d18p+0")
_TWO_OVER_ROOT_PI = float.fromhex("0x1.20dd750429b6dp+0")
_TERMS_OF_ERF = 160
_SMALL_POWER = 32


def exp(x: Floats) -> Floats:
    """e^x: 2^k · e^r with |r| <= ln 2 / 2."""
    limited = np.clip(x, -746.0, 710.0)
    k = np.rint(limited * _INVERSE_LN2)
    r = (limited - k * _LN2[0]) - k * _LN2[1]
    return np.ldexp(1.0 + r * _exp_series(r), _whole(k))


def expm1(x: Floats) -> Floats:
    """e^x - 1."""
    small = np.clip(x, -0.35, 0.35)
    return np.where(np.abs(x) <= 0.35, small * _exp_series(small), exp(x) - 1.0)


def log(x: Floats) -> Floats:
    """The natural logarithm; -inf at 0, no number below."""
    mantissa, exponent = np.frexp(x)
    low = mantissa < _ROOT_HALF
    mantissa = np.where(low, mantissa * 2.0, mantissa)
    k = exponent - np.where(low, 1.0, 0.0)
    found = k * _LN2[0] + (k * _LN2[1] + _twice_artanh((mantissa - 1.0) / (mantissa + 1.0)))
    return np.where(x == np.inf, np.inf, np.where(x == 0, -np.inf, np.where(x > 0, found, np.nan)))


def softplus(x: Floats) -> Floats:
    """log(1 + e^x)."""
    u = exp(-np.abs(x))
    return np.maximum(x, 0.0) + _twice_artanh(u / (2.0 + u))


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + e^-x)."""
    u = exp(-np.abs(x))
    return np.where(x >= 0, 1.0, u) / (1.0 + u)


def tanh(x: Floats) -> Floats:
    """The hyperbolic tangent."""
    t = expm1(-2.0 * np.abs(x))
    return np.copysign(-t / (2.0 + t), x)


def erf(x: Floats) -> Floats:
    """The error function: 2/√π · e^(-x²) · Σ 2^n x^(2n+1) / (2n+1)!! (Abramowitz and Stegun 7.1.6), whose terms have one sign."""
    limited = np.clip(x, -6.0, 6.0)
    square = 2.0 * (limited * limited)
    term, total = limited, limited
    for n in range(1, _TERMS_OF_ERF):
        term = term * (square / (2.0 * n + 1.0))
        total = total + term
    return np.clip(_TWO_OVER_ROOT_PI * exp(-0.5 * square) * total, -1.0, 1.0)


def sin(x: Floats) -> Floats:
    """The sine, of radians; accurate for |x| < 2^20."""
    return _wave(x, 0.0)


def cos(x: Floats) -> Floats:
    """The cosine, of radians; accurate for |x| < 2^20."""
    return _wave(x, 1.0)


def arctan(x: Floats) -> Floats:
    """The inverse of the tangent: two half angles, then the series."""
    a = np.abs(x)
    b = np.where(a > 1, 1.0 / np.where(a > 1, a, 1.0), a)
    for _ in range(2):
        b = b / (1.0 + np.sqrt(1.0 + b * b))
    z = b * b
    angle = 4.0 * (b * _horner(z, [(-1.0) ** n / (2 * n + 1) for n in range(14)]))
    return np.copysign(np.where(a > 1, _PI_OVER_2 - angle, angle), x)


def power(a: Floats, b: Floats) -> Floats:
    """a^b; of negative numbers for whole b only."""
    a, b = np.broadcast_arrays(a, b)
    whole = b == np.rint(b)
    odd = whole & (np.abs(np.fmod(b, 2.0)) == 1)
    general = exp(b * log(np.abs(a)))
    general = np.where((a < 0) & ~whole, np.nan, np.where(odd, np.copysign(general, a), general))
    found = np.where(whole & (np.abs(b) <= _SMALL_POWER), _multiplied(a, b), general)
    return np.where(b == 0.5, np.sqrt(a), found)


def _multiplied(a: Floats, b: Floats) -> Floats:
    """a^b for whole b up to 32 by repeated squaring."""
    left = _whole(np.clip(np.where(np.isfinite(b), np.abs(b), 0.0), 0, _SMALL_POWER))
    result, base = np.ones_like(a), a
    for _ in range(6):
        result = np.where(left & 1, result * base, result)
        base, left = base * base, left >> 1
    return np.where(b < 0, 1.0 / result, result)


def _exp_series(r: Floats) -> Floats:
    """(e^r - 1) / r."""
    return _horner(r, [1.0 / math.factorial(n + 1) for n in range(15)])


def _twice_artanh(s: Floats) -> Floats:
    """log((1 + s) / (1 - s)) for |s| <= 1/3."""
    return 2.0 * (s * _horner(s * s, [1.0 / (2 * n + 1) for n in range(18)]))


def _wave(x: Floats, quarters: float) -> Floats:
    """The sine of x plus so many quarters of a turn."""
    k = np.rint(x * _TWO_OVER_PI)
    r = ((x - k * _HALF_PI[0]) - k * _HALF_PI[1]) - k * _HALF_PI[2]
    z = r * r
    sine = r * _horner(z, [(-1.0) ** n / math.factorial(2 * n + 1) for n in range(11)])
    cosine = _horner(z, [(-1.0) ** n / math.factorial(2 * n) for n in range(11)])
    quadrant = np.fmod(np.fmod(k + quarters, 4.0) + 4.0, 4.0)
    return np.where(np.fmod(quadrant, 2.0) == 0, sine, cosine) * np.where(quadrant >= 2, -1.0, 1.0)


def _horner(x: Floats, coefficients: Sequence[float]) -> Floats:
    """Σ coefficients[n] · x^n."""
    total = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total


def _whole(k: Floats) -> NDArray[np.int64]:
    return np.where(np.isfinite(k), k, 0.0).astype(np.int64)
