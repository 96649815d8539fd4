# SPDX-License-Identifier: Apache-2.0
"""Is this file a sound KZG setup for *some* secret s? Who made it, and whether they kept s, no check of the file can tell.

The steps, and what each stops:

1. length and logrows (:mod:`.format`), SHA-256 of the whole file;
2. every G1 point canonical, on the curve (so in the group, whose order is prime) and not the identity;
3. the first power is the generator (1, 2) and no later power is: a secret of order below 2^k would repeat;
4. s is not within ``2^20`` of zero (baby-step giant-step, which covers s = 1 and s = -1): anybody would find it;
5. G2 is the standard generator; s.G2 is on the twist, in the subgroup of order r, not the identity;
6. ``e(sum c_i P_i, s.G2) = e(sum c_i P_{i+1}, G2)``: consecutive powers differ by the factor s;
7. ``e(sum c_j L_j - C P_{n-1}, s.G2) = e(sum c_j w^j L_j - C P_0, G2)`` with ``C = sum c_j w^j / n``, from
   ``L_j(X) (X - w^j) = (w^j / n) (X^n - 1)``: the Lagrange commitments are those of the same s and of this n.

The 128-bit coefficients come from SHAKE-128 over the file's SHA-256 (Fiat-Shamir), so a file that fails 6 or 7
in any checked place passes with probability 2^-128 per attempt. Up to :data:`COMPLETE_LOGROWS` every place is checked. Above,
6 and 7 look at the first and last :data:`EDGE` places and :data:`SAMPLES` others drawn from the digest: a file with a fraction
d of bad places passes with probability about ``(1 - d)^SAMPLES``, so *single* bad places are not excluded there; proofs
over such a file fail or, for a file made with intent, may leak what they should hide. Steps 1 to 5 are always complete.
Random linear combinations over setups: Nikolaenko et al., "Powers-of-Tau to the People", 2022, section 4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from verifiable.digest import Digest
from verifiable.errors import VerificationError
from verifiable.zk.srs import curve
from verifiable.zk.srs import format as raw
from verifiable.zk.srs.curve import GENERATOR, GENERATOR_2, ORDER, Affine, Jacobian, Twisted
from verifiable.zk.srs.format import Srs
from verifiable.zk.system import Progress, no_progress

COMPLETE_LOGROWS = 17
SAMPLES = 16384
EDGE = 1024
_COEFFICIENT_SIZE = 16
_SMALL_STEPS = 1 << 10
_CHUNK_POINTS = 1 << 14
#: Points by their index in the file; the coefficients of a random linear combination, alike.
_Lookup = Callable[[Sequence[int]], list[Affine]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """What was established of a file. ``complete``: every power and Lagrange commitment, not a sample of them."""

    logrows: int
    digest: Digest
    fingerprint: Digest
    complete: bool


def check_structure(path: Path, progress: Progress = no_progress) -> Structure:
    """Check the file at ``path`` as the module says. Raises MalformedError and VerificationError.

    ``progress`` gets the phases ``points``, ``powers`` and ``lagrange``.
    """
    with Srs.open(path) as srs:
        return check(srs, progress)


def check(srs: Srs, progress: Progress = no_progress, *, complete_logrows: int = COMPLETE_LOGROWS) -> Structure:
    """:func:`check_structure` for an open setup; ``complete_logrows``: above it, steps 6 and 7 sample."""
    from verifiable.zk.srs import pairing

    digest = _points(srs, progress)
    _refuse_small_secret(raw.decode_g1(srs.powers(1, 1), "power", 1)[0])
    s_g2 = _second_group(srs)
    indices = _indices(srs, digest, complete=srs.logrows <= complete_logrows)
    pairs = [i for i in indices if i + 1 < srs.rows]
    left, right = _powers_sides(srs, digest, pairs, progress)
    if not pairing.pairings_agree(left, s_g2, right, GENERATOR_2):
        raise VerificationError(
            "SRS: consecutive powers do not differ by the secret that s.G2 holds", hint="the file is damaged or was altered"
        )
    left, right = _lagrange_sides(srs, digest, indices, progress)
    if not pairing.pairings_agree(left, s_g2, right, GENERATOR_2):
        raise VerificationError(
            f"SRS: the Lagrange commitments are not those of its powers at logrows {srs.logrows}", hint="the file was altered"
        )
    return Structure(logrows=srs.logrows, digest=digest, fingerprint=raw.fingerprint(srs), complete=len(indices) == srs.rows)


def _points(srs: Srs, progress: Progress) -> Digest:
    """Steps 2 and 3, in constant memory, and the digest of what was seen."""
    state = hashlib.sha256(srs.logrows.to_bytes(4, "little"))
    generator = raw.encode_g1(GENERATOR)
    for part, (read, what) in enumerate(((srs.powers, "power"), (srs.lagrange, "Lagrange commitment"))):
        for start in range(0, srs.rows, _CHUNK_POINTS):
            block = read(start, min(_CHUNK_POINTS, srs.rows - start))
            state.update(block)
            raw.decode_g1(block, what, start)
            if part == 0:
                _check_generator(block, start, generator)
            progress("points", (part * srs.rows + start) / (2 * srs.rows))
    state.update(srs.g2() + srs.s_g2())
    return Digest(value=state.digest())


def _check_generator(block: bytes, start: int, generator: bytes) -> None:
    encoded = [block[i : i + raw.G1_SIZE] for i in range(0, len(block), raw.G1_SIZE)]
    if start == 0 and encoded.pop(0) != generator:
        raise VerificationError("SRS: power 0 is not the generator (1, 2)", hint="not a KZG setup of halo2 over BN254")
    if generator in encoded:
        index = encoded.index(generator) + start + (start == 0)
        raise VerificationError(f"SRS: power {index} is the generator again: s has a small order", hint="never use this file")


def _refuse_small_secret(s_g1: Affine) -> None:
    """Step 4: ``s = a * 2^10 + b`` up to sign, ``a, |b| <= 2^10``: compare x-coordinates of ``b G`` and ``(s - a 2^10) G``."""
    multiples: list[Jacobian] = [curve.IDENTITY]
    for _ in range(_SMALL_STEPS):
        multiples.append(curve.add_affine(multiples[-1], GENERATOR))
    babies = {point and point[0] for point in curve.affine(multiples)}
    (stride,) = curve.affine([curve.negate(multiples[-1])])
    assert stride is not None
    for sign in (1, -1):
        giants: list[Jacobian] = [(s_g1[0], sign * s_g1[1] % curve.FIELD, 1)]
        for _ in range(_SMALL_STEPS):
            giants.append(curve.add_affine(giants[-1], stride))
        if any((point and point[0]) in babies for point in curve.affine(giants)):
            raise VerificationError("SRS: its secret is a small number that anybody can find", hint="never use this file")


def _second_group(srs: Srs) -> Twisted:
    """Step 5."""
    from verifiable.zk.srs import pairing

    if raw.decode_g2(srs.g2(), "G2") != GENERATOR_2:
        raise VerificationError("SRS: G2 is not the generator of the second group", hint="not a KZG setup of halo2 over BN254")
    s_g2 = raw.decode_g2(srs.s_g2(), "s.G2")
    if not pairing.in_second_group(s_g2):
        raise VerificationError("SRS: s.G2 is the identity or not in the second group", hint="the file is damaged or was altered")
    return s_g2


def _indices(srs: Srs, digest: Digest, *, complete: bool) -> Sequence[int]:
    if complete or srs.rows <= 2 * EDGE:
        return range(srs.rows)
    stream = hashlib.shake_128(b"verifiable/srs-places/v1" + digest.value).digest(8 * SAMPLES)
    drawn = (int.from_bytes(stream[i : i + 8], "little") % srs.rows for i in range(0, len(stream), 8))
    return sorted({*range(EDGE), *range(srs.rows - EDGE, srs.rows), *drawn})


def _powers_sides(srs: Srs, digest: Digest, pairs: Sequence[int], progress: Progress) -> tuple[Jacobian, Jacobian]:
    """Step 6: both sums."""
    coefficients = _coefficients(digest, b"powers", len(pairs))
    left = _combine(_load(srs.powers, pairs), coefficients, 128, lambda done: progress("powers", done / 2))
    following = _load(srs.powers, [i + 1 for i in pairs])
    return left, _combine(following, coefficients, 128, lambda done: progress("powers", 0.5 + done / 2))


def _lagrange_sides(srs: Srs, digest: Digest, indices: Sequence[int], progress: Progress) -> tuple[Jacobian, Jacobian]:
    """Step 7: both sums."""
    points = _load(srs.lagrange, indices)
    coefficients = _coefficients(digest, b"lagrange", len(indices))
    rotated = [c * w % ORDER for c, w in zip(coefficients, _domain(srs.logrows, indices), strict=True)]
    scale = sum(rotated) * pow(srs.rows, -1, ORDER) % ORDER
    last, first = _load(srs.powers, [srs.rows - 1])[0], GENERATOR
    left = _combine(points, coefficients, 128, lambda done: progress("lagrange", done / 3))
    right = _combine(points, rotated, 254, lambda done: progress("lagrange", (1 + 2 * done) / 3))
    return (
        curve.add(left, curve.multiply((*last, 1), -scale)),
        curve.add(right, curve.multiply((*first, 1), -scale)),
    )


def _domain(logrows: int, indices: Iterable[int]) -> Iterable[int]:
    """``w^j`` for ascending ``j``."""
    root, value, at = curve.root_of_unity(logrows), 1, 0
    for index in indices:
        value = value * (root if index - at == 1 else pow(root, index - at, ORDER)) % ORDER
        at = index
        yield value


def _coefficients(digest: Digest, use: bytes, count: int) -> list[int]:
    stream = hashlib.shake_128(b"verifiable/srs-check/v1/" + use + digest.value).digest(_COEFFICIENT_SIZE * count)
    return [int.from_bytes(stream[i : i + _COEFFICIENT_SIZE], "little") for i in range(0, len(stream), _COEFFICIENT_SIZE)]


def _load(read: Callable[[int, int], bytes], indices: Sequence[int]) -> list[Affine]:
    if isinstance(indices, range) or indices[-1] - indices[0] + 1 == len(indices):
        return raw.decode_g1(read(indices[0], len(indices)), "point", indices[0])
    return raw.decode_g1(b"".join(read(i, 1) for i in indices), "point")


def _combine(points: Sequence[Affine], scalars: Sequence[int], bits: int, progress: Callable[[float], None]) -> Jacobian:
    partials, windows = curve.multi_scalar(points, scalars, bits), curve.window_count(len(points), bits)
    total = curve.IDENTITY
    for done, partial in enumerate(partials, 1):
        total = partial
        progress(done / windows)
    return total
