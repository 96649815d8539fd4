# SPDX-License-Identifier: Apache-2.0
"""Reports: every byte a field or zero, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.pki.amd import FIELDS, FakeAmd, assemble
from verifiable.errors import Error, MalformedError, UnsupportedError
from verifiable.tee import registry
from verifiable.tee.snp import Report
from verifiable.tee.snp.report import FROM_HOST

AMD = FakeAmd()
REPORT = AMD.report()
RESERVED = [name for name in FIELDS if name.startswith("reserved")]


def test_every_field_is_read_from_its_place() -> None:
    report = Report.parse(
        assemble(
            version=5, guest_svn=7, policy=0x1E301F | 1 << 17, family_id=b"f" * 16, image_id=b"g" * 16, vmpl=2, signature_algo=1,
            current_tcb=b"12345678", platform_info=0xA5, flags=0b00111, report_data=b"d" * 64, measurement=b"m" * 48,
            host_data=b"h" * 32, id_key_digest=b"k" * 48, author_key_digest=b"a" * 48, report_id=b"i" * 32,
            report_id_ma=b"j" * 32, reported_tcb=b"abcdefgh", cpuid=b"\x1a\x02\x01", chip_id=b"c" * 64, committed_tcb=b"ABCDEFGH",
            current_version=b"\x01\x02\x03", committed_version=b"\x04\x05\x06", launch_tcb=b"ijklmnop",
            launch_mit_vector=0x1122334455667788, current_mit_vector=0x99AABBCCDDEEFF00, r=258, s=1 << 383,
        )
    )  # fmt: skip
    assert report == Report(
        version=5, guest_svn=7, policy=0x1E301F | 1 << 17, family_id=b"f" * 16, image_id=b"g" * 16, vmpl=2,
        current_tcb=b"12345678", platform_info=0xA5, author_key_enabled=True, mask_chip_key=True, signing_key="vlek",
        report_data=b"d" * 64, measurement=b"m" * 48, host_data=b"h" * 32, id_key_digest=b"k" * 48,
        author_key_digest=b"a" * 48, report_id=b"i" * 32, report_id_ma=b"j" * 32, reported_tcb=b"abcdefgh",
        cpuid=(0x1A, 2, 1), chip_id=b"c" * 64, committed_tcb=b"ABCDEFGH", firmware=(3, 2, 1), committed_firmware=(6, 5, 4),
        launch_tcb=b"ijklmnop", launch_mitigations=0x1122334455667788, current_mitigations=0x99AABBCCDDEEFF00, r=258, s=1 << 383,
    )  # fmt: skip
    assert Report.parse(report.encode()) == report


@pytest.mark.parametrize("version", [2, 3, 4, 5])
@pytest.mark.parametrize("generation", ["Milan", "Genoa", "Turin"])
def test_encode_is_the_inverse(version: int, generation: str) -> None:
    data = FakeAmd(generation=generation).report(version=version)
    evidence = registry.parse("snp", data)
    assert evidence.encode() == data
    assert registry.parse("snp", evidence.encode()) == evidence
    assert evidence != registry.parse("snp", FakeAmd(generation=generation).report(version=version, guest_svn=1))


def test_only_later_versions_name_the_processor_and_the_mitigations() -> None:
    by_version = {version: Report.parse(AMD.report(version=version)) for version in (2, 3, 5)}
    assert [by_version[v].cpuid for v in (2, 3, 5)] == [None, (0x19, 1, 1), (0x19, 1, 1)]
    assert [by_version[v].current_mitigations for v in (2, 3, 5)] == [None, None, 0]


@pytest.mark.parametrize("size", [0, 1, 0x2A0, 0x49F, 0x4A1, 0x4A0 * 2])
def test_another_size_is_refused(size: int) -> None:
    with pytest.raises(MalformedError, match=r"1,184 are wanted"):
        Report.parse((REPORT * 2)[:size])


@pytest.mark.parametrize("name", RESERVED)
def test_reserved_bytes_are_zero(name: str) -> None:
    offset, size = FIELDS[name]
    for at in {offset, offset + size - 1}:
        with pytest.raises(MalformedError, match="reserved bytes"):
            Report.parse(_with(REPORT, at, 1))


def test_what_a_version_does_not_have_yet_is_zero() -> None:
    for version, name in ((2, "cpuid"), (3, "launch_mit_vector"), (4, "current_mit_vector")):
        with pytest.raises(MalformedError, match="reserved bytes"):
            Report.parse(_with(AMD.report(version=version), FIELDS[name][0], 1))


@pytest.mark.parametrize("at", [0x2A0 + 48, 0x2A0 + 71, 0x2E8 + 48, 0x2E8 + 71])
def test_a_signature_has_no_more_bytes_than_the_curve(at: int) -> None:
    with pytest.raises(MalformedError, match="reserved bytes"):
        Report.parse(_with(REPORT, at, 1))


@pytest.mark.parametrize(
    ("fields", "error", "match"),
    [
        ({"version": 1}, UnsupportedError, "version 1"),
        ({"version": 6}, UnsupportedError, "version 6"),
        ({"signature_algo": 0}, UnsupportedError, "algorithm 0"),
        ({"signature_algo": 2}, UnsupportedError, "algorithm 2"),
        ({"policy": 0x10000}, MalformedError, "bit 17"),
        ({"policy": 1 << 26 | 1 << 17}, UnsupportedError, "policy"),
        ({"platform_info": 1 << 6}, UnsupportedError, "platform"),
        ({"platform_info": 1 << 8}, UnsupportedError, "platform"),
        ({"flags": 1 << 5}, UnsupportedError, "signing key's flags"),
        ({"flags": 2 << 2}, MalformedError, "signing key 2 is reserved"),
        ({"flags": 6 << 2}, MalformedError, "signing key 6 is reserved"),
        ({"vmpl": 4}, MalformedError, "privilege level"),
        ({"vmpl": FROM_HOST - 1}, MalformedError, "privilege level"),
    ],
)
def test_values_that_are_not_known_are_refused(fields: dict[str, int | bytes], error: type[Error], match: str) -> None:
    with pytest.raises(error, match=match):
        Report.parse(AMD.report(**fields))


@given(st.binary(max_size=2000))
def test_arbitrary_bytes_raise_only_errors(data: bytes) -> None:
    with pytest.raises(Error):
        Report.parse(data)


@given(st.integers(0, len(REPORT) - 1), st.binary(min_size=1, max_size=80))
def test_a_changed_report_reads_as_itself_or_not_at_all(at: int, patch: bytes) -> None:
    changed = (REPORT[:at] + patch + REPORT[at + len(patch) :])[: len(REPORT)]
    try:
        report = Report.parse(changed)
    except Error:
        return
    assert report.encode() == changed


def _with(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + bytes([value]) + data[at + 1 :]
