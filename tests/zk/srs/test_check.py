# SPDX-License-Identifier: Apache-2.0
"""One test per defect: each file is sound but for the one thing that the test's name says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc import optimized_bn128 as bn

from tests.zk.srs.known import SECRET, Parts, make, times_generator, times_generator_2
from verifiable.digest import Digest
from verifiable.errors import Error, MalformedError, VerificationError
from verifiable.zk.srs import ceremonies, check, pairing
from verifiable.zk.srs import format as raw
from verifiable.zk.srs.curve import FIELD, ORDER
from verifiable.zk.srs.format import Srs


def judged(parts: Parts) -> check.Structure:
    return check.check(Srs.parse(parts.data()))


@pytest.mark.parametrize("logrows", [1, 8])
def test_a_sound_setup_passes(tmp_path: Path, logrows: int) -> None:
    path, data = tmp_path / "k.srs", make(logrows).data()
    path.write_bytes(data)
    seen: list[tuple[str, float | None]] = []
    found = check.check_structure(path, lambda phase, fraction: seen.append((phase, fraction)))
    assert (found.logrows, found.digest, found.complete) == (logrows, Digest.of(data), True)
    assert found.fingerprint == raw.fingerprint(Srs.parse(data))
    assert list(dict.fromkeys(phase for phase, _ in seen)) == ["points", "powers", "lagrange"]
    for wanted in ("points", "powers", "lagrange"):
        fractions = [fraction for phase, fraction in seen if phase == wanted and fraction is not None]
        assert fractions == sorted(fractions)
        assert 0 <= fractions[0] <= fractions[-1] <= 1 + 1e-9


def test_length_and_header_are_checked_first(tmp_path: Path) -> None:
    path = tmp_path / "k.srs"
    for data in (make().data()[:-1], make().data() + b"\0", b"\5" + make().data()[1:]):
        path.write_bytes(data)
        with pytest.raises(MalformedError):
            check.check_structure(path)


def beyond_field(point: bytes, coordinate: int) -> bytes:
    """The same point, one coordinate spelled with the modulus added."""
    start = 32 * coordinate
    value = int.from_bytes(point[start : start + 32], "little") + FIELD
    return point[:start] + value.to_bytes(32, "little") + point[start + 32 :]


@pytest.mark.parametrize("coordinate", [0, 1])
@pytest.mark.parametrize("section", ["powers", "lagrange"])
def test_a_coordinate_beyond_the_field(section: str, coordinate: int) -> None:
    parts = make()
    getattr(parts, section)[9] = beyond_field(getattr(parts, section)[9], coordinate)
    with pytest.raises(MalformedError, match=r" 9: .*field modulus"):
        judged(parts)


@pytest.mark.parametrize("coordinate", range(4))
@pytest.mark.parametrize("piece", ["g2", "s_g2"])
def test_a_coordinate_beyond_the_field_in_the_second_group(piece: str, coordinate: int) -> None:
    parts = make()
    setattr(parts, piece, beyond_field(getattr(parts, piece), coordinate))
    with pytest.raises(MalformedError, match="field modulus"):
        judged(parts)


@pytest.mark.parametrize("section", ["powers", "lagrange"])
def test_a_point_off_the_curve(section: str) -> None:
    parts = make()
    x, y = getattr(parts, section)[7][:32], getattr(parts, section)[8][32:]
    getattr(parts, section)[7] = x + y
    with pytest.raises(VerificationError, match="7 is not on the curve"):
        judged(parts)


@pytest.mark.parametrize("section", ["powers", "lagrange"])
def test_an_identity_point(section: str) -> None:
    parts = make()
    getattr(parts, section)[15] = bytes(64)
    with pytest.raises(VerificationError, match="15 is the identity"):
        judged(parts)


def test_another_generator_with_everything_else_consistent() -> None:
    with pytest.raises(VerificationError, match="power 0 is not the generator"):
        judged(make(base=5))


def test_another_second_generator_with_everything_else_consistent() -> None:
    with pytest.raises(VerificationError, match="G2 is not the generator"):
        judged(make(base_2=5))


def test_swapped_powers() -> None:
    parts = make()
    parts.powers[5], parts.powers[6] = parts.powers[6], parts.powers[5]
    with pytest.raises(VerificationError, match="consecutive powers"):
        judged(parts)


@pytest.mark.parametrize("index", [1, 15])
def test_a_power_replaced_by_another_point(index: int) -> None:
    parts = make()
    parts.powers[index] = times_generator(123456789)
    with pytest.raises(VerificationError, match="consecutive powers"):
        judged(parts)


def test_two_errors_that_cancel_in_a_plain_sum() -> None:
    parts = make()
    for index, shift in ((4, 1), (11, -1)):
        parts.powers[index] = times_generator(pow(SECRET, index, ORDER) + shift)
    with pytest.raises(VerificationError, match="consecutive powers"):
        judged(parts)


def test_powers_of_another_secret_under_this_ceremonys_second_group() -> None:
    """The attack that matters: the maker of other powers knows their secret."""
    parts = make(secret=SECRET + 1)
    parts.s_g2 = make().s_g2
    with pytest.raises(VerificationError, match="consecutive powers"):
        judged(parts)


def test_this_ceremonys_first_powers_before_anothers() -> None:
    """Same fingerprint as the ceremony's file, other powers: only the check of all powers tells."""
    parts, real = make(secret=SECRET + 1), make()
    parts.powers[:2], parts.s_g2 = real.powers[:2], real.s_g2
    assert raw.fingerprint(Srs.parse(parts.data())) == raw.fingerprint(Srs.parse(real.data()))
    with pytest.raises(VerificationError, match="consecutive powers"):
        judged(parts)


def test_s_g2_that_is_the_identity() -> None:
    parts = make()
    parts.s_g2 = bytes(128)
    with pytest.raises(VerificationError, match=r"s\.G2 is the identity or not"):
        judged(parts)


def test_s_g2_off_the_twist() -> None:
    parts = make()
    parts.s_g2 = parts.s_g2[:64] + parts.g2[64:]
    with pytest.raises(VerificationError, match="not in the second group"):
        judged(parts)


def test_s_g2_of_the_right_order_on_another_curve() -> None:
    """The group law does not look at b: scaled by u, the point has order r on ``y^2 = x^3 + u^6 b``."""
    x0, x1, y0, y1 = raw.decode_g2(make().s_g2, "s.G2")
    u = 2
    scaled = tuple(c * u**power % FIELD for c, power in ((x0, 2), (x1, 2), (y0, 3), (y1, 3)))
    assert bn.is_inf(bn.multiply((bn.FQ2(scaled[:2]), bn.FQ2(scaled[2:]), bn.FQ2.one()), ORDER))
    parts = make()
    parts.s_g2 = raw.encode_g2(scaled)
    with pytest.raises(VerificationError, match="not in the second group"):
        judged(parts)


def outside_the_subgroup() -> tuple[int, int, int, int]:
    """A point of the twist whose order is not r: the first one with a small x, as 1 in a cofactor of 2^254 would be."""
    for n in range(1, 100):
        x = bn.FQ2([n, 1])
        square = x * x * x + bn.b2
        # square roots in F_p^2, p = 3 mod 4 (Adj and Rodriguez-Henriquez 2012, algorithm 9)
        a1 = square ** ((FIELD - 3) // 4)
        alpha, x0 = a1 * a1 * square, a1 * square
        y = bn.FQ2([0, 1]) * x0 if alpha == bn.FQ2([FIELD - 1, 0]) else (bn.FQ2.one() + alpha) ** ((FIELD - 1) // 2) * x0
        if y * y == square:
            return (*(int(c) for c in x.coeffs), *(int(c) for c in y.coeffs))
    raise AssertionError


def test_s_g2_on_the_twist_but_outside_the_subgroup() -> None:
    point = outside_the_subgroup()
    x0, x1, y0, y1 = point
    assert bn.is_on_curve((bn.FQ2([x0, x1]), bn.FQ2([y0, y1]), bn.FQ2.one()), bn.b2)
    assert not pairing.in_second_group(point)
    parts = make()
    parts.s_g2 = raw.encode_g2(point)
    with pytest.raises(VerificationError, match="not in the second group"):
        judged(parts)


def test_lagrange_of_another_logrows() -> None:
    parts = make()
    parts.lagrange = make(5).lagrange[:16]
    with pytest.raises(VerificationError, match="Lagrange commitments are not"):
        judged(parts)


def test_lagrange_of_another_secret() -> None:
    parts = make()
    parts.lagrange = make(secret=SECRET + 1).lagrange
    with pytest.raises(VerificationError, match="Lagrange commitments are not"):
        judged(parts)


def test_lagrange_over_the_inverse_root() -> None:
    """Right points, wrong places."""
    parts = make()
    parts.lagrange = parts.lagrange[:1] + parts.lagrange[:0:-1]
    with pytest.raises(VerificationError, match="Lagrange commitments are not"):
        judged(parts)


@pytest.mark.parametrize("secret", [1, 2, 3, 1024, 1025, 2**16 + 1, 2**20 - 1, 2**20, -1, -2, -(2**20) + 7])
def test_a_small_secret(secret: int) -> None:
    parts = make(1, secret=secret % ORDER)
    parts.lagrange = make(1).lagrange  # else the identity among them would tell of 1 and -1 already
    with pytest.raises(VerificationError, match="small"):
        judged(parts)


def test_a_secret_of_zero() -> None:
    with pytest.raises(VerificationError, match="power 1 is the identity"):
        judged(make(secret=0))


@pytest.mark.parametrize("order", [3, 8, 13])
def test_a_secret_of_small_order(order: int) -> None:
    secret = pow(7, (ORDER - 1) // order, ORDER)
    parts = make(secret=secret)
    parts.lagrange = make().lagrange  # else the identity among them would tell already
    with pytest.raises(VerificationError, match=f"power {order} is the generator again"):
        judged(parts)


def test_coefficients_depend_on_every_byte() -> None:
    """Fiat-Shamir: a defect cannot be fitted to coefficients that were fixed before it."""
    digests = [Digest.of(make().data()), Digest.of(make(secret=SECRET + 1).data())]
    first, second = (check._coefficients(digest, b"powers", 64) for digest in digests)
    assert len(set(first) | set(second)) == 128
    assert max(first) >> 120
    assert set(first).isdisjoint(check._coefficients(digests[0], b"lagrange", 64))


@pytest.fixture
def sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "EDGE", 4)
    monkeypatch.setattr(check, "SAMPLES", 12)


@pytest.mark.usefixtures("sampling")
class TestSampling:
    """Large setups: what a sample finds, and what it does not claim to."""

    def places(self, parts: Parts) -> set[int]:
        srs = Srs.parse(parts.data())
        return set(check._indices(srs, Digest.of(parts.data()), complete=False))

    def test_a_sound_setup_passes_and_says_that_it_was_sampled(self) -> None:
        assert check.check(Srs.parse(make(6).data()), complete_logrows=5).complete is False

    def test_the_edges_are_always_looked_at(self) -> None:
        assert self.places(make(6)) >= {0, 1, 2, 3, 60, 61, 62, 63}
        assert 12 < len(self.places(make(6))) <= 20

    def test_the_sample_depends_on_the_file(self) -> None:
        assert self.places(make(6)) != self.places(make(6, secret=SECRET + 1))

    def test_a_file_bad_in_every_place_is_found(self) -> None:
        parts = make(6)
        parts.lagrange = make(7).lagrange[:64]
        with pytest.raises(VerificationError, match="Lagrange"):
            check.check(Srs.parse(parts.data()), complete_logrows=0)

    def test_a_bad_place_in_the_sample_is_found(self) -> None:
        parts = make(6)
        parts.powers[2] = times_generator(99)
        with pytest.raises(VerificationError, match="consecutive"):
            check.check(Srs.parse(parts.data()), complete_logrows=0)

    def test_a_point_off_the_curve_is_found_anywhere(self) -> None:
        for index in range(0, 64, 9):
            parts = make(6)
            parts.lagrange[index] = parts.lagrange[index][:32] + parts.powers[index][32:]
            with pytest.raises(VerificationError, match="not on the curve"):
                check.check(Srs.parse(parts.data()), complete_logrows=0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, raw.size_of(2) - 1), st.integers(1, 255))
def test_no_byte_of_a_sound_file_can_change(position: int, difference: int) -> None:
    data = bytearray(make(2).data())
    data[position] ^= difference
    with pytest.raises(Error):
        check.check(Srs.parse(bytes(data)))


def test_the_pairing_is_bilinear_and_not_constant() -> None:
    g2, g2_6 = (raw.decode_g2(times_generator_2(n), "") for n in (1, 6))
    two, three, twelve = ((*raw.decode_g1(times_generator(n), "")[0], 1) for n in (2, 3, 12))
    assert pairing.pairings_agree(two, g2_6, twelve, g2)
    assert not pairing.pairings_agree(three, g2_6, twelve, g2)


@pytest.mark.slow
def test_a_real_ceremony_file_passes_completely(shared: Path) -> None:
    found = check.check_structure(shared / "srs" / "kzg_bn254_14.srs")
    assert found.complete
    assert (
        ceremonies.ceremony_of_file(found.digest) == ceremonies.ceremony_of(found.fingerprint) == "axiom-perpetual-powers-of-tau"
    )


@pytest.mark.slow
def test_one_wrong_power_in_a_real_file_is_found(shared: Path, tmp_path: Path) -> None:
    data = bytearray((shared / "srs" / "kzg_bn254_14.srs").read_bytes())
    place = 4 + 64 * 9999
    data[place : place + 64] = data[place + 64 : place + 128]
    (tmp_path / "k.srs").write_bytes(data)
    with pytest.raises(VerificationError, match="consecutive powers"):
        check.check_structure(tmp_path / "k.srs")
