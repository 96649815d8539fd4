"""Quotes as bytes: strict, typed, one spelling, and read as ``dcap_qvl`` reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dcap_qvl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.pki.authority import pem
from tests.fakes.pki.intel import FakeIntel, certification
from verifiable.errors import Error, MalformedError, UnsupportedError
from verifiable.tee import registry
from verifiable.tee.dcap import parse
from verifiable.tee.dcap.pck import Platform
from verifiable.tee.dcap.quote import MAX_PADDING, MAX_SIZE
from verifiable.tee.dcap.reports import EnclaveReport, TdReport

VENDORS = {"sgx-3": FakeIntel("sgx", 3), "tdx-4": FakeIntel("tdx", 4), "tdx-5": FakeIntel("tdx", 5)}
RECORDED = (("sgx_quote", "sgx"), ("tdx_quote", "tdx"), ("tdx_quote_outdated", "tdx"))


def _quote(name: str, **fields: Any) -> bytes:
    vendor = VENDORS[name]
    return vendor.quote(vendor.report(report_data=bytes(range(64)), measurement=None, debug=False), **fields)


QUOTES = {name: _quote(name) for name in VENDORS}


@pytest.mark.parametrize("name", VENDORS)
def test_parse_and_encode_are_inverses(name: str) -> None:
    kind = VENDORS[name].kind
    quote = registry.parse(kind, QUOTES[name])
    assert quote.encode() == QUOTES[name]
    assert quote == parse(quote.encode(), kind=kind)
    assert quote.kind == kind
    assert quote.report_data == bytes(range(64))


@pytest.mark.parametrize("name", VENDORS)
def test_it_is_read_as_dcap_qvl_reads_it(name: str) -> None:
    _agree(QUOTES[name], VENDORS[name].kind)


@pytest.mark.parametrize(("name", "kind"), RECORDED)
def test_recorded_quotes_are_read_as_dcap_qvl_reads_them(shared: Path, name: str, kind: str) -> None:
    data = (shared / "vectors/tdx" / name).read_bytes()
    _agree(data, kind)
    assert parse(data, kind=kind).encode() == data


def test_a_quote_of_the_other_kind_is_none_of_this() -> None:
    with pytest.raises(MalformedError, match="of type sgx, not tdx"):
        parse(QUOTES["sgx-3"], kind="tdx")
    with pytest.raises(MalformedError, match="of type tdx, not sgx"):
        parse(QUOTES["tdx-4"], kind="sgx")


@pytest.mark.parametrize("name", VENDORS)
def test_what_is_cut_off_or_goes_on_is_refused(name: str) -> None:
    data, kind = QUOTES[name], VENDORS[name].kind
    for size in range(len(data)):
        with pytest.raises(MalformedError):
            parse(data[:size], kind=kind)
    with pytest.raises(MalformedError, match="zeros are allowed there"):
        parse(data + b"\x01", kind=kind)
    with pytest.raises(MalformedError, match="zeros are allowed there"):
        parse(data + bytes(70) + b"\x80", kind=kind)


def test_zeros_behind_it_are_kept_up_to_a_size() -> None:
    data = QUOTES["tdx-4"]
    quote = parse(data + bytes(MAX_PADDING), kind="tdx")
    assert quote.padding == MAX_PADDING
    assert quote.encode() == data + bytes(MAX_PADDING)
    assert quote.encode_unpadded() == data
    with pytest.raises(MalformedError, match="zeros are allowed there"):
        parse(data + bytes(MAX_PADDING + 1), kind="tdx")


def test_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(MalformedError, match="more than the"):
        parse(bytes(MAX_SIZE + 1), kind="tdx")


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("version", b"\3\0", UnsupportedError), ("version", b"\6\0", UnsupportedError), ("key_type", b"\3\0", UnsupportedError),
        ("tee", b"\x82\0\0\0", MalformedError), ("vendor", bytes(16), UnsupportedError),
    ],
)  # fmt: skip
def test_another_header_is_refused(field: str, value: bytes, error: type[Error]) -> None:
    with pytest.raises(error):
        parse(_quote("tdx-4", header={field: value}), kind="tdx")


@pytest.mark.parametrize("version", [4, 5])
def test_sgx_quotes_of_later_versions_are_not_known(version: int) -> None:
    with pytest.raises(UnsupportedError, match=f"version {version}"):
        parse(_quote("sgx-3", header={"version": version.to_bytes(2, "little")}), kind="sgx")


def test_another_body_is_refused() -> None:
    data = QUOTES["tdx-5"]
    for number in (1, 2, 4, 9):
        with pytest.raises((UnsupportedError, MalformedError)):
            parse(data[:48] + bytes((number,)) + data[49:], kind="tdx")
    with pytest.raises(MalformedError, match="648 are wanted"):
        parse(data[:50] + (647).to_bytes(4, "little") + data[54:], kind="tdx")


def test_a_td_report_of_version_1_0_in_a_quote_of_version_5() -> None:
    ten, five = QUOTES["tdx-4"], QUOTES["tdx-5"]
    head = five[:48] + (2).to_bytes(2, "little") + (584).to_bytes(4, "little")
    quote = parse(head + ten[48:], kind="tdx")
    assert quote.signed == head + ten[48:][:584]
    assert quote.encode() == head + ten[48:]


@pytest.mark.parametrize("number", [1, 2, 3, 4, 7])
def test_other_certification_data_is_not_supported(number: int) -> None:
    chain = certification(5, pem(*VENDORS["tdx-4"].pck.chain) + b"\0")
    data = QUOTES["tdx-4"]
    changed = data.replace(chain, bytes((number,)) + chain[1:])
    assert changed != data
    with pytest.raises(UnsupportedError, match=f"type {number}"):
        parse(changed, kind="tdx")


def test_bytes_behind_certification_data_are_refused() -> None:
    """Inside the length of the authentication data, where nothing is signed."""
    data, start = QUOTES["tdx-4"], 48 + 584
    size = int.from_bytes(data[start : start + 4], "little")
    with pytest.raises(MalformedError, match="3 bytes too many"):
        parse(data[:start] + (size + 3).to_bytes(4, "little") + data[start + 4 :] + b"abc", kind="tdx")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"\n", b"\r\n"), lambda text: b"\n" + text, lambda text: text + b"\n",
        lambda text: text + b"\0\0", lambda text: text * 2, lambda _: b"", lambda _: b"\xff" * 99,
        lambda text: text.replace(b"-----END", b"\n-----END", 1), lambda text: text.replace(b"CERTIFICATE", b"CERTIFICATES"),
        lambda text: text[: text.index(b"-----END CERTIFICATE-----\n") + 26],
        lambda text: text.replace(b"CERTIFICATE-----\nM", b"CERTIFICATE-----\nM ", 1),
    ],
)  # fmt: skip
def test_a_chain_in_another_spelling_is_refused(change: Any) -> None:
    with pytest.raises(MalformedError):
        parse(_quote("tdx-4", chain=change(pem(*VENDORS["tdx-4"].pck.chain))), kind="tdx")


def test_the_nul_behind_the_chain_may_be_missing() -> None:
    data = _quote("tdx-4", chain=pem(*VENDORS["tdx-4"].pck.chain))
    quote = parse(data, kind="tdx")
    assert not quote.terminated
    assert quote.encode() == data


def test_reserved_bytes_of_an_enclaves_report_are_zero() -> None:
    vendor = VENDORS["sgx-3"]
    for name in ("reserved1", "reserved2", "reserved3", "reserved4"):
        with pytest.raises(MalformedError, match="reserved"):
            parse(vendor.quote({name: b"\1"}), kind="sgx")
        with pytest.raises(MalformedError, match="reserved"):
            parse(_quote("tdx-4", qe={name: b"\1"}), kind="tdx")


@given(data=st.data(), name=st.sampled_from(sorted(QUOTES)))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_raise_only_errors(data: st.DataObject, name: str) -> None:
    quote, kind = QUOTES[name], VENDORS[name].kind
    at = data.draw(st.integers(0, len(quote)))
    inserted = data.draw(st.binary(max_size=40))
    for each in (inserted, quote[:at] + inserted + quote[at + data.draw(st.integers(0, 40)) :]):
        try:
            parsed = parse(each, kind=kind)
        except Error:
            continue
        assert parsed.encode() == each


def _agree(data: bytes, kind: str) -> None:
    ours, theirs = parse(data, kind=kind), dcap_qvl.parse_quote(data)
    header, report = theirs.header, theirs.report
    assert (theirs.quote_type().lower(), header.version, header.tee_type) == (kind, ours.header.version, ours.header.tee_type)
    assert (header.qe_svn, header.pce_svn, header.user_data) == (ours.header.qe_svn, ours.header.pce_svn, ours.header.user_data)
    assert theirs.cert_chain_pem_bytes().rstrip(b"\0") == ours.certification_data.encode().rstrip(b"\0")
    platform, extension = Platform.of(ours.chain[0]), theirs.pck_extension()
    for name in ("ppid", "fmspc", "pce_id", "pce_svn", "cpu_svn", "sgx_type"):
        assert getattr(platform, name) == getattr(extension, name)
    assert platform.instance == (extension.platform_instance_id or b"")
    assert report.report_data == ours.report_data
    if isinstance(ours.report, EnclaveReport):
        names = {n: n for n in ("cpu_svn", "attributes", "mr_enclave", "mr_signer")}
    else:
        assert isinstance(ours.report, TdReport)
        names = {n: n for n in (
            "tee_tcb_svn", "mr_seam", "mr_signer_seam", "seam_attributes", "td_attributes", "xfam", "mr_td", "mr_config_id",
            "mr_owner", "mr_owner_config",
        )} | {f"rt_mr{i}": f"rtmr{i}" for i in range(4)}  # fmt: skip
        if ours.report.mr_service_td:
            names |= {"mr_service_td": "mr_service_td", "tee_tcb_svn2": "tee_tcb_svn_current"}
    assert {n: getattr(report, n) for n in names} == {n: getattr(ours.report, own) for n, own in names.items()}
