# SPDX-License-Identifier: Apache-2.0
"""The second group and the pairing of BN254, by py_ecc (optimized_bn128); imported only when a setup is checked."""

from __future__ import annotations

from py_ecc.fields import optimized_bn128_FQ as FQ
from py_ecc.fields import optimized_bn128_FQ2 as FQ2
from py_ecc.fields import optimized_bn128_FQ12 as FQ12
from py_ecc.optimized_bn128.optimized_curve import b2, is_inf, is_on_curve, multiply
from py_ecc.optimized_bn128.optimized_pairing import final_exponentiate, pairing

from verifiable.zk.srs import curve
from verifiable.zk.srs.curve import ORDER, Jacobian, Twisted


def in_second_group(point: Twisted) -> bool:
    """On the twist and in its subgroup of order r (the twist has others). The identity, written as zeros, is not on it."""
    projective = _projective(point)
    return bool(is_on_curve(projective, b2) and is_inf(multiply(projective, ORDER)))


def pairings_agree(left: Jacobian, left2: Twisted, right: Jacobian, right2: Twisted) -> bool:
    """Whether ``e(left, left2) = e(right, right2)``, by one final exponentiation of the quotient."""
    product = FQ12.one()
    for point, twisted in ((left, left2), (curve.negate(right), right2)):
        (at,) = curve.affine([point])
        if at is not None:
            product *= pairing(_projective(twisted), (FQ(at[0]), FQ(at[1]), FQ.one()), final_exponentiate=False)
    return bool(final_exponentiate(product) == FQ12.one())


def _projective(point: Twisted) -> tuple[FQ2, FQ2, FQ2]:
    x0, x1, y0, y1 = point
    return FQ2([x0, x1]), FQ2([y0, y1]), FQ2.one()
