# SPDX-License-Identifier: Apache-2.0
"""Reports of GPUs, read to the last byte; and what their certificates say of them."""

from __future__ import annotations

import contextlib
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.pki.nvidia import (
    COMPOSITE,
    COUNT,
    DRIVER,
    FWID,
    SERIAL,
    TCB_INFO,
    VBIOS,
    FakeNvidia,
    composite,
    der,
    measured,
    tcb_info,
    transcript,
)
from verifiable.errors import AttestationError, Error, MalformedError, UnsupportedError
from verifiable.tee import registry
from verifiable.tee.nvidia import Field, Measurement, parse
from verifiable.tee.nvidia.dice import Device
from verifiable.tee.nvidia.report import MAX_SIZE

HOPPER, BLACKWELL = FakeNvidia(), FakeNvidia("GB100")
NONCE = bytes(range(32))
GOOD = HOPPER.report(report_data=NONCE)


def test_every_field_is_read_and_written_again() -> None:
    report = parse(GOOD, kind="nvidia")
    assert (report.kind, report.report_data, report.nonce, report.slot) == ("nvidia", NONCE, NONCE, 0)
    assert [each.index for each in report.measurements] == list(range(1, COUNT + 1))
    assert report.measurements[35] == Measurement(index=36, type=1, value=measured(35))
    said = report.opaque
    assert (said.driver, said.vbios, said.project, said.project_sku, said.chip_sku) == (DRIVER, VBIOS, "1010", "0200", "882")
    assert (said.chip, said.fwid, said.nvdec0, said.mode) == ("", FWID, True, "spt")
    assert Field(type=14, value=b"\x01\x03\0\0") in said.fields
    assert report.signed + report.signature == report.encode() == GOOD
    assert registry.parse("nvidia", GOOD) == report
    with pytest.raises(FrozenInstanceError):
        report.slot = 1  # type: ignore[misc]


def test_a_blackwell_names_its_chip_and_mode() -> None:
    said = parse(BLACKWELL.report(), kind="nvidia").opaque
    assert (said.chip, said.mode) == ("GB100", "mpt")


@pytest.mark.parametrize(
    ("opaque", "mode"),
    [
        ({21: b"\xaa"}, "ppcie"),
        ({21: None}, ""),
        ({36: b"\0\0"}, "spt"),
        ({21: b"\xaa", 36: b"\x02\0"}, "ppcie"),
        ({21: None, 36: b"\x01\0"}, "mpt"),
    ],
)
def test_modes(opaque: dict[int, bytes | None], mode: str) -> None:
    assert parse(HOPPER.report(opaque=opaque), kind="nvidia").opaque.mode == mode


def test_an_unknown_mode_is_not_guessed() -> None:
    with pytest.raises(UnsupportedError, match="mode 7"):
        parse(HOPPER.report(opaque={36: b"\x07\0"}), kind="nvidia")


@pytest.mark.parametrize("size", [*range(0, len(GOOD), 61), 36, 37, len(GOOD) - 1])
def test_a_report_that_is_cut_off(size: int) -> None:
    with pytest.raises(MalformedError):
        parse(GOOD[:size], kind="nvidia")


def test_bytes_behind_a_report() -> None:
    with pytest.raises(MalformedError, match="1 bytes too many"):
        parse(GOOD + b"\0", kind="nvidia")
    with pytest.raises(MalformedError, match="is more than"):
        parse(GOOD + bytes(MAX_SIZE), kind="nvidia")


@pytest.mark.parametrize(
    ("at", "value", "kind", "why"),
    [
        (0, 0x12, UnsupportedError, "SPDM version 1.2"),
        (1, 0xE1, MalformedError, "does not begin with the request"),
        (2, 0x00, UnsupportedError, "not all measurements"),
        (3, 0x05, UnsupportedError, "not all measurements"),
        (36, 0x08, MalformedError, "certificate slot 8"),
        (36, 0x01, MalformedError, "from the same slot"),
        (37, 0x12, MalformedError, "in the same version"),
        (38, 0x7F, MalformedError, "not one of measurements"),
        (39, 0x01, MalformedError, "not one of measurements"),
        (41, 0x3F, MalformedError, "bytes too many"),
        (41, 0x41, MalformedError, "cut off"),
        (45, 0x00, MalformedError, "measurement 0"),
        (45, 0x02, MalformedError, "stands in it twice"),
        (46, 0x02, MalformedError, "DMTF's form"),
        (47, 0x34, MalformedError, "two sizes"),
        (50, 0x31, MalformedError, "two sizes"),
    ],
)
def test_one_byte_that_makes_it_something_else(at: int, value: int, kind: type[Error], why: str) -> None:
    with pytest.raises(kind, match=why):
        parse(GOOD[:at] + bytes((value,)) + GOOD[at + 1 :], kind="nvidia")


def test_a_report_of_no_measurements() -> None:
    fields = parse(GOOD, kind="nvidia").opaque.fields
    with pytest.raises(MalformedError, match="no measurements"):
        parse(transcript(NONCE, [], fields) + bytes(96), kind="nvidia")


@pytest.mark.parametrize(
    ("opaque", "why"),
    [
        ({3: None}, "driver version"),
        ({3: b"\0\0"}, "driver version"),
        ({3: b"550 \0"}, "driver version"),
        ({3: b"550\0001"}, "driver version"),
        ({6: None}, "VBIOS version"),
        ({6: bytes(7)}, "VBIOS version"),
        ({6: b"\0\x9f\0\x96\x01\0\0\x01"}, "VBIOS version"),
        ({11: b"\x01"}, "NVDEC0"),
        ({17: b"\xff"}, "project"),
        ({20: bytes(47)}, "firmware id"),
        ({21: b"\0"}, "protected PCIe"),
        ({21: b"\xaa", 36: b"\x01\0"}, "contradicts itself"),
    ],
)
def test_opaque_fields_that_cannot_be(opaque: dict[int, bytes | None], why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        parse(HOPPER.report(opaque=opaque), kind="nvidia")


def test_an_opaque_field_twice_or_cut_off() -> None:
    fields = [*parse(GOOD, kind="nvidia").opaque.fields, Field(type=3, value=b"1.0\0")]
    blocks = [Measurement(index=1, type=1, value=bytes(48))]
    with pytest.raises(MalformedError, match="twice"):
        parse(transcript(NONCE, blocks, fields) + bytes(96), kind="nvidia")
    whole = transcript(NONCE, blocks, fields[:-1])
    start = len(whole) - sum(4 + len(field.value) for field in fields[:-1]) - 2
    size = int.from_bytes(whole[start : start + 2], "little")
    for less in (1, len(fields[-2].value) + 1):
        data = whole[:start] + (size - less).to_bytes(2, "little") + whole[start + 2 : len(whole) - less] + bytes(96)
        with pytest.raises(MalformedError, match="cut off"):
            parse(data, kind="nvidia")


def test_fields_of_unknown_number_are_kept() -> None:
    data = HOPPER.report(opaque={0xABCD: b"later"})
    report = parse(data, kind="nvidia")
    assert Field(type=0xABCD, value=b"later") in report.opaque.fields
    assert report.encode() == data


@settings(deadline=None)
@given(st.data())
def test_arbitrary_changes_raise_nothing_else(data: Any) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 64)))
    changed = GOOD[:start] + data.draw(st.binary(max_size=80)) + GOOD[end:]
    with contextlib.suppress(Error):
        assert parse(changed, kind="nvidia").encode() == changed


@settings(deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_arbitrary_bytes_raise_nothing_else(data: bytes, started: bool) -> None:
    with contextlib.suppress(Error):
        parse(GOOD[: 45 if started else 0] + data, kind="nvidia")


# The signing certificate


def _device(fake: FakeNvidia = HOPPER, **fields: Any) -> Device:
    return Device.of(fake.leaf(**fields).parsed)


def test_what_a_hopper_certificate_says() -> None:
    assert _device() == Device(fwid=FWID, chip="GH100", serial=SERIAL, debug=False, svn=None)


def test_what_a_blackwell_certificate_says() -> None:
    assert _device(BLACKWELL) == Device(fwid=FWID, chip="GB100", serial=SERIAL, debug=False, svn=1)
    assert _device(BLACKWELL, debug=True).debug
    assert _device(BLACKWELL, dice=(TCB_INFO, tcb_info(FWID, svn=9))).svn == 9


@pytest.mark.parametrize("oid", [COMPOSITE, TCB_INFO])
@pytest.mark.parametrize("value", [b"", b"\x30\x00", b"\x30\x03\x02\x01\x01", b"\x30\x02\xa6\x00", bytes(189), FWID])
def test_firmware_ids_that_are_none(oid: str, value: bytes) -> None:
    with pytest.raises((MalformedError, AttestationError)):
        _device(dice=(oid, value))


def test_a_firmware_id_is_read_from_its_place() -> None:
    """The last 48 bytes are it in what Hopper writes, and are not in what follows the digest with more."""
    value = composite(FWID, HOPPER.boot_rom.key)
    assert value.endswith(FWID)
    with pytest.raises(MalformedError):
        _device(dice=(COMPOSITE, value + FWID))
    with pytest.raises(MalformedError, match="another version"):
        _device(dice=(COMPOSITE, composite(FWID, HOPPER.boot_rom.key, version=2)))
    with pytest.raises(MalformedError, match="not SHA-384"):
        _device(dice=(COMPOSITE, composite(FWID[:32], HOPPER.boot_rom.key)))


def test_tcb_info_has_its_fields_in_order_and_once() -> None:
    fields = [der(0x83, b"\x01"), der(0xA6, der(0x30, bytes.fromhex("0609608648016503040202"), der(4, FWID)))]
    assert _device(dice=(TCB_INFO, der(0x30, *fields))).fwid == FWID
    for wrong in (fields[::-1], [*fields, fields[1]], [*fields, der(0x8A, b"")], [*fields, der(0xA7, b"\0\x10")]):
        with pytest.raises(MalformedError, match="unknown or out of order"):
            _device(dice=(TCB_INFO, der(0x30, *wrong)))
    with pytest.raises(AttestationError, match="names no firmware"):
        _device(dice=(TCB_INFO, der(0x30, fields[0])))


@pytest.mark.parametrize(
    "device", ["NVIDIA:GH100", "NVIDIA:GH100:1:2", "NVIDIA::1", "NVIDIA:GH100:", "NVIDIA:GH 100:1", "NVIDIA:Gü:1"]
)
def test_device_infos_that_are_none(device: str) -> None:
    with pytest.raises(MalformedError, match="device info"):
        _device(device=device)


def test_another_makers_device() -> None:
    with pytest.raises(AttestationError, match="for a device of 'Other'"):
        _device(device="Other:GH100:1")


@settings(deadline=None, max_examples=50)
@given(st.sampled_from([COMPOSITE, TCB_INFO]), st.integers(0, 189), st.binary(max_size=6))
def test_arbitrary_extensions_raise_nothing_else(oid: str, at: int, inserted: bytes) -> None:
    value = composite(FWID, HOPPER.boot_rom.key) if oid == COMPOSITE else tcb_info(FWID)
    with contextlib.suppress(Error):
        _device(dice=(oid, value[:at] + inserted + value[at + len(inserted) :]))
