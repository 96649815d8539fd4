# SPDX-License-Identifier: Apache-2.0
"""Asking the Nitro Secure Module: a driver that follows our pointers, in the place of the ioctl and behind a real one."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import fuse
from tests.fakes.nsm import FakeNsm
from verifiable.errors import ConflictError, Error, FatalStateError, MalformedError, UnsupportedError
from verifiable.tee.attesters import Attested
from verifiable.tee.attesters.nsm import RAW_IOCTL, Nsm
from verifiable.tee.nitro.messages import attestation_request, attestation_response

DATA = bytes(range(64))
Asking = Callable[..., Attested]


def module(**fields: Any) -> FakeNsm:
    return FakeNsm(**({"document": lambda user_data: b"document " + user_data} | fields))


@pytest.fixture(params=["function", "mount"])
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Asking:
    def asking(nsm: FakeNsm, data: bytes = DATA) -> Attested:
        if request.param == "function":
            return Nsm(device=Path(os.devnull), ioctl=nsm.ioctl).attest(data)
        return fuse.mounted(nsm, tmp_path, lambda root: Nsm(device=root / "nsm").attest(data))

    if request.param == "mount" and (reason := fuse.why_not()):
        pytest.skip(reason)
    return asking


def test_a_document_is_asked_for(ask: Asking) -> None:
    nsm = module()
    assert ask(nsm) == Attested(evidence=b"document " + DATA)
    assert nsm.asked == [DATA]


@pytest.mark.parametrize("size", [0, 63, 65, 512])
def test_report_data_has_64_bytes(ask: Asking, size: int) -> None:
    nsm = module()
    with pytest.raises(MalformedError, match="64 are wanted"):
        ask(nsm, bytes(size))
    assert nsm.asked == []


@pytest.mark.parametrize("size", [0, 23, 24, 255, 256, 5000, 0x3000 - 26])
def test_a_document_arrives_whole(ask: Asking, size: int) -> None:
    document = os.urandom(size)
    assert ask(module(document=lambda _: document)).evidence == document


def test_a_document_that_does_not_fit_is_refused(ask: Asking) -> None:
    """The driver cuts it off."""
    with pytest.raises(MalformedError, match="not CBOR that is read"):
        ask(module(document=lambda _: bytes(0x3000 - 25)))


@pytest.mark.parametrize("code", ["InvalidArgument", "InputTooLarge", "InternalError", "BufferTooSmall"])
def test_the_modules_errors_are_named(ask: Asking, code: str) -> None:
    with pytest.raises(FatalStateError, match=f"the secure module answers {code}"):
        ask(module(error=code))


def test_a_length_beyond_the_room_is_not_believed(ask: Asking) -> None:
    with pytest.raises(MalformedError, match="room for 12,288"):
        ask(module(claim=0x3001))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ETIMEDOUT, ConflictError), (errno.EBUSY, ConflictError), (errno.EIO, FatalStateError),
        (errno.ENODATA, FatalStateError), (errno.EMSGSIZE, FatalStateError), (errno.EFAULT, FatalStateError),
        (errno.ENOTTY, UnsupportedError), (errno.EACCES, UnsupportedError), (errno.ENODEV, UnsupportedError),
    ],
)  # fmt: skip
def test_the_drivers_errors(ask: Asking, number: int, expected: type[Error]) -> None:
    with pytest.raises(expected, match=os.strerror(number)) as caught:
        ask(module(failure=number))
    assert type(caught.value) is expected


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_errno_is_one_clear_error(number: int) -> None:
    with pytest.raises(Error, match=os.strerror(number).replace("(", r"\(").replace(")", r"\)")):
        Nsm(device=Path(os.devnull), ioctl=module(failure=number).ioctl).attest(DATA)


@pytest.mark.parametrize(
    ("device", "reason"), [("absent", "No such file"), ("file", "Inappropriate ioctl"), ("null", "Inappropriate ioctl")]
)
def test_a_machine_without_the_device(tmp_path: Path, device: str, reason: str) -> None:
    (tmp_path / "file").touch()
    path = Path(os.devnull) if device == "null" else tmp_path / device
    with pytest.raises(UnsupportedError, match=f"no nitro hardware here: {path}: {reason}") as caught:
        Nsm(device=path).attest(DATA)
    assert "Nitro enclave" in caught.value.hint


@pytest.mark.skipif(Path("/dev/nsm").exists(), reason="this machine has the device")
def test_this_machine() -> None:
    with pytest.raises(UnsupportedError, match="no nitro hardware here: /dev/nsm: No such file"):
        Nsm().attest(DATA)


def test_descriptors_are_closed() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    Nsm(device=Path(os.devnull), ioctl=module().ioctl).attest(DATA)
    for broken in (module(failure=errno.EIO), module(claim=1 << 63), module(error="InternalError")):
        with pytest.raises(Error):
            Nsm(device=Path(os.devnull), ioctl=broken.ioctl).attest(DATA)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_bytes_of_the_protocol() -> None:
    """As ``struct nsm_raw`` and serde_cbor have them."""
    assert RAW_IOCTL == 0xC0200A00
    assert attestation_request(b"abc").hex() == (
        "a16b4174746573746174696f6ea369757365725f6461746143616263656e6f6e6365f66a7075626c69635f6b6579f6"
    )
    assert attestation_response(bytes.fromhex("a16b4174746573746174696f6ea168646f63756d656e7443616263")) == b"abc"


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"\xff", cbor2.dumps("Attestation"), cbor2.dumps({}), cbor2.dumps({"Attestation": {}}),
        cbor2.dumps({"Attestation": {"document": "text"}}), cbor2.dumps({"Attestation": {"document": b"x", "more": 1}}),
        cbor2.dumps({"Attestation": {"document": b"x"}, "Error": "InternalError"}), cbor2.dumps({"Error": 3}),
        cbor2.dumps({"Attestation": {"document": b"x"}}) + b"\0",
        bytes.fromhex("a16b4174746573746174696f6ea168646f63756d656e74580178"),
        bytes.fromhex("bf6b4174746573746174696f6ea168646f63756d656e744178ff"), b"\x9f" * 4000, b"\xc2" + cbor2.dumps(bytes(3000)),
        bytes(0x3001),
    ],
)  # fmt: skip
def test_answers_that_are_none(answer: bytes) -> None:
    with pytest.raises(MalformedError):
        attestation_response(answer)


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text() | st.binary(), lambda x: st.dictionaries(st.text(), x)).map(cbor2.dumps)
)
def test_any_answer_raises_only_our_errors(answer: bytes) -> None:
    with contextlib.suppress(Error):
        assert isinstance(attestation_response(answer), bytes)
