# SPDX-License-Identifier: Apache-2.0
"""Documents that AWS's hardware made, under the root that comes with the package; and every bit of them turned over."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.tee.nitro.flips import Document
from verifiable.errors import AttestationError, StaleError, TrustError
from verifiable.tee.nitro import parse
from verifiable.tee.reference import Reference, appraise
from verifiable.tee.roots import Roots, shipped

RECORDED = {
    "valid": datetime(2022, 10, 13, 8, 58, 2, tzinfo=UTC),
    "debug_mode": datetime(2022, 10, 12, 13, 50, 6, tzinfo=UTC),
}
PCR0 = "f4d48b81a460c9916d1e685119074bf24660afd3e34fae9fca0a0d28d9d5599936332687e6f66fc890ac8cf150142d8b"
WANTED = Reference(name="recorded", kind="nitro", measurements={"pcr0": (PCR0,)}, max_age=timedelta(hours=1))


def _read(shared: Path, name: str) -> bytes:
    path = shared / "vectors" / "nitro" / f"{name}.cose"
    if not path.is_file():
        pytest.skip(f"recorded document is not here: {path}")
    return path.read_bytes()


def test_a_real_document(shared: Path) -> None:
    data, at = _read(shared, "valid"), RECORDED["valid"]
    evidence = parse(data)
    assert evidence.encode() == data
    found = evidence.verify(at=at, roots=shipped())
    assert found.measurements["pcr0"] == PCR0
    assert found.identity["module-id"] == "i-020b6af9246d90e92-enc0183d09086c24190"
    assert found.anchored.startswith("under aws-nitro-root-g1 (sha256:641a0321a3e244ef")
    assert (found.debug, found.report_data) == (False, b"")
    assert len(found.identity["nonce"]) == 2 * 256
    assert found.issued_on == datetime(2022, 10, 13, 8, 58, 2, 136000, tzinfo=UTC)
    appraise(found, WANTED, made=at, at=at, scope=None)


def test_a_real_document_in_debug_mode(shared: Path) -> None:
    data, at = _read(shared, "debug_mode"), RECORDED["debug_mode"]
    found = parse(data).verify(at=at, roots=shipped())
    assert found.debug
    assert found.report_data == b"hello, world!"
    assert bytes.fromhex(found.identity["public-key"]) == b"my super secret key"
    with pytest.raises(AttestationError, match="debug mode"):
        appraise(found, WANTED, made=at, at=at, scope=None)


@pytest.mark.parametrize("name", RECORDED)
def test_outside_its_three_hours(shared: Path, name: str) -> None:
    evidence = parse(_read(shared, name))
    for at in (RECORDED[name] - timedelta(seconds=30), RECORDED[name] + timedelta(hours=3, seconds=1), datetime.now(UTC)):
        with pytest.raises(StaleError):
            evidence.verify(at=at, roots=shipped())


def test_under_no_root(shared: Path) -> None:
    with pytest.raises(TrustError):
        parse(_read(shared, "valid")).verify(at=RECORDED["valid"], roots=Roots())


@pytest.mark.parametrize("name", RECORDED)
def test_some_bits_turned_over(shared: Path, name: str) -> None:
    document = Document(data=_read(shared, name), at=RECORDED[name])
    assert document.survivors(random.Random(name).sample(range(len(document.data) * 8), 600)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDED)
def test_every_bit_turned_over(shared: Path, name: str) -> None:
    """No byte of a document is without meaning: there is no list of exceptions."""
    assert Document(data=_read(shared, name), at=RECORDED[name]).every_survivor() == []
