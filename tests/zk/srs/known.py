# SPDX-License-Identifier: Apache-2.0
"""Setups with a secret that the tests know, built by the definition and not by the code under test."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from py_ecc import optimized_bn128 as bn

from verifiable.zk.srs import curve
from verifiable.zk.srs import format as raw

ORDER = curve.ORDER
SECRET = 0x1F2E3D4C5B6A798897A6B5C4D3E2F100112233445566778899AABBCCDDEEFF05


@cache
def _doublings() -> list[curve.Affine]:
    point = (bn.FQ(1), bn.FQ(2), bn.FQ(1))
    found = []
    for _ in range(254):
        x, y = bn.normalize(point)
        found.append((x.n, y.n))
        point = bn.double(point)
    return found


def times_generator(scalar: int) -> bytes:
    """The encoded ``scalar * G1``; the identity as zeros."""
    total = curve.IDENTITY
    for bit, point in enumerate(_doublings()):
        if scalar % ORDER >> bit & 1:
            total = curve.add_affine(total, point)
    (at,) = curve.affine([total])
    return raw.encode_g1(at) if at else bytes(64)


@cache
def times_generator_2(scalar: int) -> bytes:
    """The encoded ``scalar * G2``; the identity as zeros."""
    if not scalar % ORDER:
        return bytes(128)
    x, y = bn.normalize(bn.multiply(bn.G2, scalar % ORDER))
    return raw.encode_g2((*(int(c) for c in x.coeffs), *(int(c) for c in y.coeffs)))


def lagrange_values(secret: int, logrows: int) -> list[int]:
    """``L_j(s)`` by the product formula's closed form, or the unit vector when s lies in the domain."""
    n, root = 1 << logrows, curve.root_of_unity(logrows)
    domain = [pow(root, j, ORDER) for j in range(n)]
    if secret in domain:
        return [int(w == secret) for w in domain]
    vanishing = (pow(secret, n, ORDER) - 1) * pow(n, -1, ORDER)
    return [w * vanishing * pow(secret - w, -1, ORDER) % ORDER for w in domain]


@dataclass
class Parts:
    """A file in pieces, to be spoiled one at a time."""

    logrows: int
    powers: list[bytes]
    lagrange: list[bytes]
    g2: bytes
    s_g2: bytes
    header: int | None = field(default=None)

    def data(self) -> bytes:
        header = (self.logrows if self.header is None else self.header).to_bytes(4, "little")
        return header + b"".join(self.powers) + b"".join(self.lagrange) + self.g2 + self.s_g2


@cache
def _made(secret: int, logrows: int, base: int, base_2: int) -> Parts:
    return Parts(
        logrows=logrows,
        powers=[times_generator(base * pow(secret, i, ORDER)) for i in range(1 << logrows)],
        lagrange=[times_generator(base * value) for value in lagrange_values(secret % ORDER, logrows)],
        g2=times_generator_2(base_2),
        s_g2=times_generator_2(base_2 * secret),
    )


def make(logrows: int = 4, *, secret: int = SECRET, base: int = 1, base_2: int = 1) -> Parts:
    """A fresh copy of the setup, sound unless the arguments are not."""
    made = _made(secret, logrows, base, base_2)
    return Parts(logrows, list(made.powers), list(made.lagrange), made.g2, made.s_g2)
