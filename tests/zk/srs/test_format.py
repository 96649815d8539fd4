# SPDX-License-Identifier: Apache-2.0
"""Reading the file by position: what is refused before content is looked at, the fingerprint, and smaller files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.zk.srs.known import SECRET, make
from verifiable.errors import Error, MalformedError, UnsupportedError, VerificationError
from verifiable.zk.srs import ceremonies, check
from verifiable.zk.srs import format as raw
from verifiable.zk.srs.format import Srs


def test_the_pieces_are_where_they_belong() -> None:
    parts = make(3)
    srs = Srs.parse(parts.data())
    assert (srs.logrows, srs.rows) == (3, 8)
    assert srs.powers(0, 8) == b"".join(parts.powers)
    assert srs.powers(5, 1) == parts.powers[5]
    assert srs.lagrange(7, 1) == parts.lagrange[7]
    assert (srs.g2(), srs.s_g2()) == (parts.g2, parts.s_g2)


def test_points_round_trip() -> None:
    data = b"".join(make(3).powers)
    assert b"".join(map(raw.encode_g1, raw.decode_g1(data, "power"))) == data
    assert raw.encode_g2(raw.decode_g2(make(3).s_g2, "s.G2")) == make(3).s_g2
    assert raw.decode_g1(data[:64], "power") == [(1, 2)]


@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: d + b"\0", lambda d: d[:600], lambda d: b"", lambda d: d[:3]])
def test_a_wrong_length_is_refused(change: object) -> None:
    with pytest.raises(MalformedError, match="bytes"):
        Srs.parse(change(make(3).data()))  # type: ignore[operator]


@pytest.mark.parametrize("header", [0, 2, 4, 27, 28, 2**32 - 1])
def test_logrows_that_lie_are_refused(header: int) -> None:
    parts = make(3)
    parts.header = header
    with pytest.raises(MalformedError, match="logrows"):
        Srs.parse(parts.data())


def test_a_huge_file_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "huge.srs"
    with path.open("wb") as stream:
        stream.truncate(raw.MAX_SIZE + 1)
    with pytest.raises(MalformedError, match="cannot be a KZG setup"), Srs.open(path):
        pass


def test_what_is_not_a_regular_file_is_refused_without_blocking(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, reason in (
        (fifo, "not a regular file"),
        (tmp_path, "not a regular file"),
        (tmp_path / "none", "No such file"),
        (Path("a\0b"), "null"),
    ):
        with pytest.raises(MalformedError, match=reason), Srs.open(path):
            pass


def test_a_file_that_shrinks_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "k.srs"
    path.write_bytes(make(6).data())
    with Srs.open(path) as srs:
        os.truncate(path, 100)
        with pytest.raises(MalformedError, match="shrank"):
            srs.lagrange(0, 1)


def test_the_fingerprint_is_the_secrets_and_not_the_sizes() -> None:
    prints = {raw.fingerprint(Srs.parse(make(k).data())) for k in (1, 2, 5)}
    assert len(prints) == 1
    other = raw.fingerprint(Srs.parse(make(2, secret=SECRET + 1).data()))
    assert other not in prints


@pytest.mark.parametrize("piece", ["g1", "s_g1", "g2", "s_g2"])
def test_every_point_of_the_fingerprint_counts(piece: str) -> None:
    """A verifier's file with one foreign point must not pass for the ceremony's."""
    ours, theirs = make(1), make(1, secret=SECRET + 1, base=3, base_2=3)
    before = raw.fingerprint(Srs.parse(ours.data()))
    if piece in {"g1", "s_g1"}:
        ours.powers[piece == "s_g1"] = theirs.powers[piece == "s_g1"]
    else:
        setattr(ours, piece, getattr(theirs, piece))
    assert raw.fingerprint(Srs.parse(ours.data())) != before


@pytest.mark.parametrize("logrows", [1, 2, 3, 5, 6])
def test_a_cut_is_the_file_of_that_size(logrows: int) -> None:
    assert raw.cut(Srs.parse(make(6).data()), logrows) == make(logrows).data()


@pytest.mark.parametrize("logrows", [0, -1, 5, 9, 100])
def test_a_cut_cannot_grow_or_vanish(logrows: int) -> None:
    with pytest.raises(UnsupportedError, match="cannot cut"):
        raw.cut(Srs.parse(make(4).data()), logrows)


def test_a_cut_looks_at_the_points_it_uses() -> None:
    parts = make(4)
    parts.powers[1] = bytes(64)
    with pytest.raises(VerificationError, match="power 1 is the identity"):
        raw.cut(Srs.parse(parts.data()), 2)


def test_a_cut_of_a_root_of_unity_is_refused() -> None:
    with pytest.raises(VerificationError, match="root of unity"):
        raw.cut(Srs.parse(make(2, secret=-1).data()), 1)


def test_the_ceremonys_own_smaller_files_are_what_cutting_gives(shared: Path) -> None:
    """SHA-256 of cuts of a real ceremony file, as ``ceremonies`` lists them."""
    with Srs.open(shared / "srs" / "kzg_bn254_14.srs") as srs:
        for logrows in range(1, 6):
            parsed = Srs.parse(raw.cut(srs, logrows))
            assert ceremonies.ceremony_of(raw.fingerprint(parsed)) == "axiom-perpetual-powers-of-tau"
            digest = raw.Digest.of(parsed.read(0, raw.size_of(logrows)))
            assert digest == ceremonies.file_digest("axiom-perpetual-powers-of-tau", logrows)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=600), st.binary(min_size=512, max_size=512).map(lambda b: b"\1\0\0\0" + b)))
def test_arbitrary_bytes_raise_only_our_errors(data: bytes) -> None:
    try:
        srs = Srs.parse(data)
        raw.fingerprint(srs)
        raw.cut(srs, 1)
        check.check(srs)
    except Error:
        return
    pytest.fail("random bytes passed for a setup")
