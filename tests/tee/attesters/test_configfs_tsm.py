# SPDX-License-Identifier: Apache-2.0
"""Asking Linux for TDX quotes and SNP reports: upon a model of its interface, and upon that model behind a real mount."""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import fuse
from tests.fakes.configfs_tsm import Direct, FakeTsm, fail
from verifiable.errors import ConflictError, Error, FatalStateError, MalformedError, UnsupportedError
from verifiable.tee.attesters import Attested
from verifiable.tee.attesters.configfs_tsm import ROOT, Configfs, ConfigfsTsm, Requests

DATA = bytes(range(64))
Asking = Callable[..., Attested]


def evidence(inblob: bytes, level: int) -> tuple[bytes, bytes]:
    return b"quote " + bytes([level]) + inblob, b""


def tdx(**fields: Any) -> FakeTsm:
    return FakeTsm(**({"provider": "tdx_guest", "answer": evidence} | fields))


@pytest.fixture(params=["model", "mount"])
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Asking:
    """``ask(model, kind="tdx", data=DATA, pauses=[])``: attest upon the model, directly or through the kernel."""

    def asking(model: FakeTsm, *, kind: str = "tdx", data: bytes = DATA, pauses: list[float] | None = None) -> Attested:
        noted: list[float] = [] if pauses is None else pauses

        def attest(requests: Requests) -> Attested:
            return ConfigfsTsm(kind=kind, requests=requests, pause=noted.append).attest(data)

        if request.param == "model":
            return attest(Direct(model))
        return fuse.mounted(model, tmp_path, lambda root: attest(Configfs(root=root)))

    if request.param == "mount" and (reason := fuse.why_not()):
        pytest.skip(reason)
    return asking


def test_a_quote_is_asked_for_and_the_request_removed(ask: Asking) -> None:
    model = tdx()
    assert ask(model) == Attested(evidence=b"quote \0" + DATA)
    assert model.signed == [(DATA, 0)]
    assert (len(model.made), model.requests) == (1, {})


def test_no_two_requests_have_one_name(ask: Asking) -> None:
    model = tdx()
    for _ in range(3):
        ask(model)
    assert len(set(model.made)) == 3


@pytest.mark.parametrize("size", [1, 7, 8192, 1 << 20])
def test_a_report_arrives_whole(ask: Asking, size: int) -> None:
    report = os.urandom(size)
    assert ask(tdx(answer=lambda *_: (report, b""))).evidence == report


@pytest.mark.parametrize("size", [0, 1, 32, 63, 65, 128])
def test_report_data_has_64_bytes(ask: Asking, size: int) -> None:
    model = tdx()
    with pytest.raises(MalformedError, match="64 are wanted"):
        ask(model, data=bytes(size))
    assert model.made == []


@pytest.mark.parametrize(
    ("provider", "kind"), [("sev_guest", "tdx"), ("tdx_guest", "snp"), ("arm_cca_guest", "tdx"), ("", "snp")]
)
def test_other_hardware_is_not_asked(ask: Asking, provider: str, kind: str) -> None:
    model = tdx(provider=provider)
    with pytest.raises(UnsupportedError, match=f"gives no {kind} evidence"):
        ask(model, kind=kind)
    assert (model.signed, model.requests) == ([], {})


def test_the_privilege_level_is_the_highest_that_is_ours(ask: Asking) -> None:
    model = tdx(provider="sev_guest", floor=2)
    assert ask(model, kind="snp").evidence == b"quote \2" + DATA
    level_0 = tdx(provider="sev_guest", floor=0)
    assert ask(level_0, kind="snp").evidence == b"quote \0" + DATA


def _intruder(attribute: str, what: tuple[str, bytes], *, once: bool = True) -> Callable[[FakeTsm, str, str, bool], None]:
    """Another program that writes into our request just before we open ``attribute``."""
    left = [1]

    def before(model: FakeTsm, name: str, opened: str, writing: bool) -> None:
        if opened == attribute and left[0] and (not once or left.pop() or left.append(0) is None):
            model.store(model.requests[name], *what)

    return before


@pytest.mark.parametrize(
    ("attribute", "what"),
    [("outblob", ("inblob", b"theirs" * 10)), ("outblob", ("privlevel", b"3")), ("auxblob", ("inblob", b"x"))],
)
def test_what_another_program_had_signed_is_not_taken(ask: Asking, attribute: str, what: tuple[str, bytes]) -> None:
    model = tdx(provider="sev_guest", floor=0, auxiliary=True, before=_intruder(attribute, what))
    with pytest.raises(ConflictError, match="another program wrote into the request") as caught:
        ask(model, kind="snp")
    assert "try again" in caught.value.hint
    assert model.requests == {}


def test_a_write_that_was_dropped_is_noticed(ask: Asking) -> None:
    """The kernel says nothing: it takes inblob when its file is closed."""

    def before(model: FakeTsm, name: str, attribute: str, writing: bool) -> None:
        request = model.requests[name]
        if attribute == "inblob":  # as many writes without a read as there are numbers
            request.inblob, request.written, request.read = b"theirs", 9, 10
        if attribute == "outblob":
            assert request.inblob == b"theirs"

    with pytest.raises(ConflictError, match=r"\(9 writes, 1 are ours\)"):
        ask(tdx(before=before))


def test_busy_hardware_is_asked_again(ask: Asking) -> None:
    busy = [fail(errno.EBUSY), fail(errno.EAGAIN), fail(errno.EBUSY)]

    def answer(inblob: bytes, level: int) -> tuple[bytes, bytes]:
        if busy:
            raise busy.pop()
        return evidence(inblob, level)

    pauses: list[float] = []
    assert ask(tdx(answer=answer), pauses=pauses).evidence == b"quote \0" + DATA
    assert pauses == [0.05, 0.1, 0.2]


@pytest.mark.parametrize(
    ("number", "expected", "attempts"),
    [
        (errno.EBUSY, ConflictError, 5), (errno.EAGAIN, ConflictError, 5), (errno.ETIMEDOUT, ConflictError, 1),
        (errno.EIO, FatalStateError, 1), (errno.EFBIG, FatalStateError, 1), (errno.ENOMEM, FatalStateError, 1),
        (errno.EINVAL, FatalStateError, 1), (errno.ENXIO, UnsupportedError, 1),
    ],
)  # fmt: skip
def test_hardware_that_fails(ask: Asking, number: int, expected: type[Error], attempts: int) -> None:
    def answer(inblob: bytes, level: int) -> tuple[bytes, bytes]:
        raise fail(number)

    model = tdx(answer=answer)
    with pytest.raises(expected, match=os.strerror(number)) as caught:
        ask(model)
    assert type(caught.value) is expected
    assert (len(model.signed), model.requests) == (attempts, {})


def test_a_machine_without_the_module(ask: Asking) -> None:
    with pytest.raises(UnsupportedError, match="no tdx hardware here") as caught:
        ask(tdx(provider=None))
    assert "confidential guest" in caught.value.hint


def test_a_machine_without_the_interface(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=f"no snp hardware here.*{tmp_path}.*No such file"):
        ConfigfsTsm(kind="snp", requests=Configfs(root=tmp_path / "absent")).attest(DATA)


@pytest.mark.skipif(ROOT.exists(), reason="this machine has the interface")
def test_this_machine() -> None:
    with pytest.raises(UnsupportedError, match="no tdx hardware here that Linux can ask: /sys/kernel/config/tsm/report"):
        ConfigfsTsm(kind="tdx").attest(DATA)


def test_a_request_that_is_taken_away(ask: Asking) -> None:
    def before(model: FakeTsm, name: str, attribute: str, writing: bool) -> None:
        if attribute == "outblob":
            del model.requests[name]

    with pytest.raises(ConflictError, match="another program removed the request"):
        ask(tdx(before=before))


@pytest.mark.parametrize(
    ("answer", "expected", "message"),
    [(b"", FatalStateError, "empty report"), (bytes((1 << 20) + 1), MalformedError, "more than the 1,048,576 bytes")],
)
def test_reports_of_no_sensible_size(ask: Asking, answer: bytes, expected: type[Error], message: str) -> None:
    with pytest.raises(expected, match=message):
        ask(tdx(answer=lambda *_: (answer, b"")))


class _Failing:
    """The n-th operation fails with that errno, before it is done or after."""

    def __init__(self, requests: Direct, at: int, number: int, *, after: bool) -> None:
        self.requests, self.at, self.number, self.after, self.count = requests, at, number, after, 0

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.count == self.at and not self.after:
                raise fail(self.number)
            result = getattr(self.requests, operation)(*arguments, **options)
            if self.count == self.at:
                raise fail(self.number)
            return result

        return call


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_whatever_fails_is_one_clear_error_and_nothing_stays_behind(number: int) -> None:
    for after, at in itertools.product((False, True), range(1, 12)):
        model = tdx(provider="sev_guest", floor=1)
        failing = _Failing(Direct(model), at, number, after=after)
        try:
            attested = ConfigfsTsm(kind="snp", requests=failing, pause=lambda _: None).attest(DATA)  # type: ignore[arg-type]
        except Error as error:
            told = error.message
        else:
            told = os.strerror(number) if attested.evidence == b"quote \1" + DATA else ""
        assert os.strerror(number) in told or number == errno.ENOENT  # which has its own words
        made_all_the_same, not_removed = at == 1 and after, at == failing.count and not after
        assert model.requests == {} or made_all_the_same or not_removed


@pytest.mark.parametrize("text", [b"", b"\n", b"-1\n", b"1 2\n", b"0x10\n", b"9" * 21, "\u0663".encode()])
def test_a_generation_that_is_no_number(text: bytes) -> None:
    class Odd(FakeTsm):
        def show(self, request: Any, attribute: str) -> bytes:
            return text if attribute == "generation" else super().show(request, attribute)

    model = Odd(provider="tdx_guest", answer=evidence)
    with pytest.raises(FatalStateError, match="generation of the kernel's request is no number"):
        ConfigfsTsm(kind="tdx", requests=Direct(model)).attest(DATA)
    assert model.requests == {}


@pytest.mark.skipif(bool(fuse.why_not()), reason=fuse.why_not() or "-")
def test_the_mount_behaves_as_the_model_says(tmp_path: Path) -> None:
    """What the attester relies on, seen from a program: modes, what is written when, what is made when."""
    model = tdx()

    def session(root: Path) -> None:
        folder = root / "mine"
        folder.mkdir()
        assert stat.S_IMODE((folder / "inblob").stat().st_mode) == 0o222
        assert (folder / "generation").read_bytes() == b"0\n"
        assert (folder / "provider").read_bytes() == b"tdx_guest\n"
        with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
            (folder / "outblob").read_bytes()
        with pytest.raises(PermissionError):
            (folder / "inblob").read_bytes()
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            (folder / "inblob").write_bytes(bytes(65))
        descriptor = os.open(folder / "inblob", os.O_WRONLY)
        os.write(descriptor, b"abc")
        assert (folder / "generation").read_bytes() == b"0\n"
        os.close(descriptor)
        assert (folder / "generation").read_bytes() == b"1\n"
        assert (folder / "outblob").read_bytes() == (folder / "outblob").read_bytes() == b"quote \0abc"
        with pytest.raises(FileExistsError):
            folder.mkdir()
        with pytest.raises(FileNotFoundError):
            (folder / "auxblob").read_bytes()
        folder.rmdir()

    fuse.mounted(model, tmp_path, session)
    assert model.signed == [(b"abc", 0)]
    assert not any(tmp_path.iterdir())
