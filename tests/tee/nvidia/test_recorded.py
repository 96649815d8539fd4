# SPDX-License-Identifier: Apache-2.0
"""A report that an H100 made, with NVIDIA's golden values for it, under the roots that come with the package; and every bit of
them turned over.

Of the report and the certificates each must be refused by the fourth check at the latest, so that no later one is needed.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.tee.nvidia.flips import Golden, Signed
from verifiable.errors import StaleError, TrustError
from verifiable.tee.nvidia import parse
from verifiable.tee.reference import Reference, appraise
from verifiable.tee.roots import Roots, shipped

AT = datetime(2025, 1, 1, tzinfo=UTC)
REPORT, CHAIN = "h100_report.dat", "h100_cert_chain.dat"
DRIVER, VBIOS = "NV_GPU_DRIVER_GH100_550.90.07.xml", "NV_GPU_VBIOS_1010_0200_882_96009F0001.xml"
NONCE = "931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb"
WANTED = Reference(
    name="recorded",
    kind="nvidia",
    measurements={"driver": ("550.90.07",), "vbios": ("96.00.9F.00.01",)},
    max_age=timedelta(hours=1),
)


def _read(shared: Path, *names: str) -> list[bytes]:
    paths = [shared / "vectors" / "nvidia" / name for name in names]
    for path in paths:
        if not path.is_file():
            pytest.skip(f"recorded evidence is not here: {path}")
    return [path.read_bytes() for path in paths]


def test_a_real_report(shared: Path) -> None:
    data, *collateral = _read(shared, REPORT, CHAIN, DRIVER, VBIOS)
    report = parse(data, kind="nvidia")
    assert report.encode() == data
    found = report.verify(at=AT, roots=shipped(), collateral=collateral)
    assert [(each.number, each.status) for each in found.checks] == [(n, "pass") for n in range(1, 8)] + [(8, "skip")]
    assert found.checks[6].detail == "21 of 21 by driver; 12 of 12 by vbios; 31 that nothing rules"
    assert found.report_data.hex() == NONCE
    assert found.identity == {"chip": "GH100", "serial": "48B02D92494BADF4"}
    assert [found.measurements[name] for name in ("gpu", "board", "mode")] == ["GH100", "1010_0200_882", "spt"]
    assert found.measurements["msr-01"].startswith("8048dfd18fe229bf")
    assert found.anchored.startswith("under nvidia-device-root (sha256:102bf659d5419614")
    assert not found.debug
    appraise(found, WANTED, made=AT, at=AT, scope=None)


def test_outside_the_validity_of_the_golden_values(shared: Path) -> None:
    """The device's certificates never expire; the one that signed the driver's golden values is good for two years."""
    data, *collateral = _read(shared, REPORT, CHAIN, DRIVER, VBIOS)
    for at in (datetime(2024, 5, 31, tzinfo=UTC), datetime(2026, 6, 2, tzinfo=UTC)):
        with pytest.raises(StaleError) as caught:
            parse(data, kind="nvidia").verify(at=at, roots=shipped(), collateral=collateral)
        assert [each.status for each in caught.value.checks] == ["pass"] * 4 + ["fail"]  # type: ignore[attr-defined]


def test_without_a_root(shared: Path) -> None:
    data, *collateral = _read(shared, REPORT, CHAIN, DRIVER, VBIOS)
    devices = Roots(roots=shipped().of("nvidia"))
    for roots, check in ((Roots(), 2), (devices, 5)):
        with pytest.raises(TrustError) as caught:
            parse(data, kind="nvidia").verify(at=AT, roots=roots, collateral=collateral)
        assert len(caught.value.checks) == check  # type: ignore[attr-defined]


def test_with_the_golden_values_of_one_alone(shared: Path) -> None:
    data, chain, driver, vbios = _read(shared, REPORT, CHAIN, DRIVER, VBIOS)
    for given, name in (((chain, vbios), "NV_GPU_DRIVER_GH100_550.90.07"), ((chain, driver), Path(VBIOS).stem)):
        with pytest.raises(TrustError, match=name):
            parse(data, kind="nvidia").verify(at=AT, roots=shipped(), collateral=given)


def _signed(shared: Path) -> Signed:
    report, chain = _read(shared, REPORT, CHAIN)
    return Signed(report=report, chain=chain, at=AT)


def _golden(shared: Path, name: str) -> Golden:
    (manifest,) = _read(shared, name)
    return Golden(manifest=manifest, at=AT)


@pytest.mark.parametrize("piece", ["report", "chain"])
def test_some_bits_turned_over(shared: Path, piece: str) -> None:
    signed = _signed(shared)
    assert signed.survivors(piece, random.Random(piece).sample(range(len(getattr(signed, piece)) * 8), 300)) == []


@pytest.mark.parametrize("name", [DRIVER, VBIOS])
def test_some_bits_of_golden_values_turned_over(shared: Path, name: str) -> None:
    golden = _golden(shared, name)
    assert golden.survivors(random.Random(name).sample(range(len(golden.manifest) * 8), 200)) == []


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["report", "chain"])
def test_every_bit_turned_over(shared: Path, piece: str) -> None:
    """No byte is without meaning: there is no list of exceptions."""
    assert _signed(shared).every_survivor(piece) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [DRIVER, VBIOS])
def test_every_bit_of_golden_values_turned_over(shared: Path, name: str) -> None:
    assert _golden(shared, name).every_survivor() == []
