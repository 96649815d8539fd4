"""The collateral file: nine or ten fields in one of two layouts, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dcap_qvl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.pki.intel import FakeIntel
from verifiable.errors import Error, MalformedError, TrustError
from verifiable.tee.dcap import collateral
from verifiable.tee.dcap.collateral import MAX_SIZE, Collateral

VENDOR = FakeIntel("tdx")
FILE = VENDOR.collateral()
DOCUMENT: dict[str, Any] = json.loads(FILE)


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("layout", [{"indent": 2}, {"separators": (",", ":")}])
def test_parse_and_encode_are_inverses(layout: dict[str, Any], end: bytes) -> None:
    data = json.dumps(DOCUMENT, **layout).encode() + end
    assert Collateral.parse(data).encode() == data
    assert Collateral.parse(data) == Collateral.parse(Collateral.parse(data).encode())


@pytest.mark.parametrize("name", ["tdx_quote", "sgx_quote", "tdx_quote_outdated"])
def test_recorded_files_are_read(shared: Path, name: str) -> None:
    data = (shared / f"vectors/tdx/{name}_collateral.json").read_bytes()
    assert Collateral.parse(data).encode() == data


def test_a_file_that_dcap_qvl_writes_is_read() -> None:
    data = dcap_qvl.QuoteCollateralV3.from_json(FILE.decode()).to_json().encode()
    parsed = Collateral.parse(data)
    assert parsed.encode() == data
    assert parsed.pck_crl == bytes.fromhex(DOCUMENT["pck_crl"])


def test_the_chain_of_the_quote_may_stand_in_it() -> None:
    chain = DOCUMENT["pck_crl_issuer_chain"] + "\0"
    data = json.dumps(DOCUMENT | {"pck_certificate_chain": chain}).replace(", ", ",").replace(": ", ":").encode()
    parsed = Collateral.parse(data)
    assert parsed.pck_chain == chain
    assert parsed.encode() == data


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d | {"more": ""}, lambda d: {k: v for k, v in d.items() if k != "pck_crl"}, lambda d: dict(sorted(d.items())),
        lambda d: d | {"pck_crl": d["pck_crl"].upper()}, lambda d: d | {"pck_crl": d["pck_crl"] + "0"},
        lambda d: d | {"tcb_info_signature": d["tcb_info_signature"][2:]}, lambda d: d | {"tcb_info": 3},
        lambda d: d | {"tcb_info_signature": d["tcb_info_signature"] + "00"},
        lambda d: d | {"tcb_info_issuer_chain": d["tcb_info_issuer_chain"].replace("\n", "\r\n")},
        lambda d: d | {"tcb_info_issuer_chain": "# a comment\n" + d["tcb_info_issuer_chain"]},
        lambda d: d | {"tcb_info_issuer_chain": d["tcb_info_issuer_chain"] + d["tcb_info_issuer_chain"]},
        lambda d: d | {"pck_crl_issuer_chain": ""}, lambda d: d | {"pck_certificate_chain": None}, lambda d: [d],
        lambda d: d | {"tcb_info": "\ud800"},
    ],
)  # fmt: skip
def test_other_contents_are_refused(change: Any) -> None:
    with pytest.raises(MalformedError):
        Collateral.parse(json.dumps(change(DOCUMENT), indent=2).encode())


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b" " + data, lambda data: data + b"\n\n", lambda data: data + b"\r\n",
        lambda data: data.replace(b"\n  ", b"\n\t"),
        lambda data: data.replace(b'"pck_crl"', b'"pck_cr\\u006c"'), lambda data: data.replace(b'"{\\"id', b'"{\\u0022id'),
        lambda data: data.replace(b'": "', b'":"'), lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b'{\n  "pck_crl_issuer_chain"', b'{\n  "pck_crl": "",\n  "pck_crl_issuer_chain"'),
    ],
)  # fmt: skip
def test_another_spelling_is_refused(change: Any) -> None:
    assert change(FILE) != FILE
    with pytest.raises(MalformedError):
        Collateral.parse(change(FILE))


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(MalformedError, match="unknown field 'more'"):
        Collateral.parse(json.dumps(DOCUMENT | {"more": ""}, indent=2).encode())


def test_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(MalformedError, match="more than the"):
        Collateral.parse(b" " * (MAX_SIZE + 1))


def test_one_file_is_wanted() -> None:
    assert collateral.find((FILE,), kind="tdx") == Collateral.parse(FILE)
    with pytest.raises(TrustError, match="no collateral") as caught:
        collateral.find((), kind="tdx")
    assert "--collateral FILE" in caught.value.hint
    with pytest.raises(MalformedError, match="collateral 2: not needed"):
        collateral.find((FILE, FILE), kind="tdx")
    with pytest.raises(MalformedError, match="collateral 2"):
        collateral.find((FILE, b"\x30\x82"), kind="tdx")


@given(st.binary(max_size=60), st.integers(0, len(FILE)), st.integers(0, 60))
@settings(deadline=None)
def test_arbitrary_bytes_raise_only_errors(data: bytes, at: int, cut: int) -> None:
    for each in (data, FILE[:at] + data + FILE[at + cut :]):
        try:
            parsed = Collateral.parse(each)
        except Error:
            continue
        assert parsed.encode() == each
