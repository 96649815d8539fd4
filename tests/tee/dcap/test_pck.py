"""What a PCK certificate says about its processor."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.pki.authority import Authority
from tests.fakes.pki.intel import CPU_SVN, FMSPC, PCE_SVN, FakeIntel, sgx_extension, tlv
from verifiable.errors import AttestationError, Error, MalformedError
from verifiable.tee.dcap.pck import Platform

VENDOR = FakeIntel()


def _platform(extension: bytes) -> Platform:
    return Platform.of(VENDOR.processor(platform=extension).parsed)


def test_it_is_read() -> None:
    platform = _platform(sgx_extension())
    assert (platform.fmspc, platform.cpu_svn, platform.pce_svn) == (FMSPC, CPU_SVN, PCE_SVN)
    assert platform.flags == (("dynamic-platform", True), ("cached-keys", True), ("smt-enabled", True))
    assert (platform.ppid, platform.instance, platform.sgx_type) == (b"\x81" * 16, b"\x07" * 16, 1)


def test_a_processor_by_itself_has_no_platform() -> None:
    platform = _platform(sgx_extension(replace={"6": None, "7": None}))
    assert (platform.instance, platform.flags) == (b"", ())


@pytest.mark.parametrize("number", ["1", "2", "3", "4", "5"])
def test_what_is_missing_is_missed(number: str) -> None:
    with pytest.raises(MalformedError, match="missing"):
        _platform(sgx_extension(replace={number: None}))


@pytest.mark.parametrize(
    "replace",
    [
        {"1": tlv(4, bytes(15))}, {"3": tlv(4, bytes(3))}, {"4": tlv(4, bytes(7))}, {"4": tlv(2, bytes(6))}, {"5": tlv(10, b"")},
        {"5": tlv(10, b"\0\1")}, {"5": tlv(2, b"\1")}, {"2": tlv(0x30, b"")}, {"6": tlv(4, b"")}, {"8": tlv(4, b"")},
        {"7": tlv(0x30, tlv(0x30, b""))},
    ],
)  # fmt: skip
def test_other_values_are_refused(replace: dict[str, bytes]) -> None:
    with pytest.raises(MalformedError):
        _platform(sgx_extension(replace=replace))


def test_one_value_has_no_two() -> None:
    with pytest.raises(MalformedError, match="or two"):
        _platform(sgx_extension(extra=_first(sgx_extension())))


def test_a_patch_level_that_contradicts_itself_is_refused() -> None:
    """``dcap_qvl`` compares the one form with Intel's levels, Intel's own library the other."""
    good = sgx_extension()
    changed = good.replace(tlv(4, CPU_SVN), tlv(4, b"\xff" * 16))
    assert changed != good
    with pytest.raises(MalformedError, match="differ"):
        _platform(changed)


def test_another_certificate_is_none() -> None:
    with pytest.raises(AttestationError, match="no PCK certificate"):
        Platform.of(Authority.root("somebody").parsed)


@given(st.binary(max_size=40), st.integers(0, 500), st.integers(0, 40))
@settings(deadline=None)
def test_arbitrary_bytes_raise_only_errors(data: bytes, at: int, cut: int) -> None:
    good = sgx_extension()
    for each in (data, good[:at] + data + good[at + cut :]):
        try:
            _platform(each)
        except Error:
            continue


def _first(extension: bytes) -> bytes:
    """The first value in it, with its identifier."""
    body = extension[2 + (extension[1] & 0x7F) :]
    return body[: 2 + body[1]]
