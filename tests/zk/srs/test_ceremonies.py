# SPDX-License-Identifier: Apache-2.0
"""The built-in lists: bound to one another by hashing and by the pairing, not by anybody's word."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.zk.srs.known import make
from verifiable.digest import Digest
from verifiable.zk.srs import ceremonies, curve, pairing
from verifiable.zk.srs import format as raw
from verifiable.zk.srs.ceremonies import CEREMONIES, Ceremony
from verifiable.zk.srs.curve import GENERATOR, GENERATOR_2
from verifiable.zk.srs.format import Srs

each = pytest.mark.parametrize("ceremony", CEREMONIES, ids=lambda c: c.name)


def smallest_file(ceremony: Ceremony) -> bytes:
    """The k = 1 file, which G, s.G1, G2 and s.G2 determine: its Lagrange commitments are (G + s.G1)/2 and (G - s.G1)/2."""
    half, g, s = pow(2, -1, curve.ORDER), (*GENERATOR, 1), (*ceremony.s_g1, 1)
    basis = curve.affine([curve.multiply(curve.add(g, other), half) for other in (s, curve.negate(s))])
    points = [GENERATOR, ceremony.s_g1, *(point for point in basis if point)]
    second = raw.encode_g2(GENERATOR_2) + raw.encode_g2(ceremony.s_g2)
    return b"\1\0\0\0" + b"".join(map(raw.encode_g1, points)) + second


@pytest.mark.parametrize("name", [ceremonies.PUBLIC, "axiom-perpetual-powers-of-tau"])
def test_the_points_hash_to_the_listed_file(name: str) -> None:
    """For the public list this ties the fingerprint to the digest that ezkl builds in for k = 1."""
    (ceremony,) = (c for c in CEREMONIES if c.name == name)
    data = smallest_file(ceremony)
    assert Digest.of(data) == ceremony.files[1]
    assert ceremonies.ceremony_of_file(Digest.of(data)) == name


@each
def test_the_fingerprint_is_that_of_a_file(ceremony: Ceremony) -> None:
    found = raw.fingerprint(Srs.parse(smallest_file(ceremony)))
    assert found == ceremony.fingerprint
    assert ceremonies.ceremony_of(found) == ceremony.name


@each
def test_both_groups_hold_one_secret(ceremony: Ceremony) -> None:
    assert pairing.in_second_group(ceremony.s_g2)
    assert pairing.pairings_agree((*GENERATOR, 1), ceremony.s_g2, (*ceremony.s_g1, 1), GENERATOR_2)


def test_ceremonies_share_nothing() -> None:
    for one, other in itertools.combinations(CEREMONIES, 2):
        assert one.name != other.name
        assert one.fingerprint != other.fingerprint
        assert not set(one.files.values()) & set(other.files.values())
    for ceremony in CEREMONIES:
        assert ceremony.name not in {ceremonies.UNKNOWN, ceremonies.DEV_INSECURE}
        assert len(ceremony.name) <= 64
        assert len(set(ceremony.files.values())) == len(ceremony.files)


def test_the_public_list_is_complete(shared: Path) -> None:
    lines = (shared / "srs" / "ezkl_public_srs_sha256.txt").read_text().split("\n")
    listed = {int(k): digest for k, digest in (line.split() for line in lines if line)}
    assert {k: ceremonies.file_digest(ceremonies.PUBLIC, k) for k in listed} == {k: Digest.parse(d) for k, d in listed.items()}
    assert len(listed) == 26


def test_a_setup_made_here_is_no_ceremonys() -> None:
    srs = make(1)
    assert ceremonies.ceremony_of(raw.fingerprint(Srs.parse(srs.data()))) is None
    assert ceremonies.ceremony_of_file(Digest.of(srs.data())) is None
    assert ceremonies.file_digest(ceremonies.PUBLIC, 27) is None
    assert ceremonies.file_digest("nobody's", 1) is None
