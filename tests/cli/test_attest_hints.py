# SPDX-License-Identifier: Apache-2.0
"""What ``attest`` tells somebody who lost his way: one line that names the thing, and one that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.cli.conftest import Result, Run
from tests.fakes.pki.amd import FakeAmd
from tests.fakes.pki.authority import NOW
from tests.fakes.pki.aws import MEASUREMENT, FakeNitro
from tests.fakes.pki.intel import FakeIntel
from tests.fakes.pki.software import FakeSoftware
from verifiable.digest import Digest
from verifiable.encoding.record import format_time
from verifiable.tee import binding
from verifiable.tee.document import Attestation

AT = ("--at", format_time(NOW))
EVIL = "\x1b[31mred\x07\nverified\u202e\u009b2J"
Put = Callable[[str, bytes | str], Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(name: str, data: bytes | str) -> Path:
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return write


def root(put: Put, fake: FakeNitro | FakeIntel | FakeAmd) -> tuple[str, Path]:
    certificate = (fake.ark if isinstance(fake, FakeAmd) else fake.root).certificate
    return "--root", put("root.pem", certificate.public_bytes(Encoding.PEM))


def reference(put: Put, text: str = "", *, kind: str = "nitro", register: str = "pcr0", value: str = MEASUREMENT.hex()) -> Path:
    table = f"[[references]]\nname = 'ours'\nkind = '{kind}'\nmax-age = '1h'\n{text}\n"
    return put("reference.toml", f"{table}[references.measurements]\n{register} = ['{value}']\n")


def told(done: Result, code: int, message: str, hint: str) -> None:
    """The error, and beside it what to do."""
    assert (done.code, message in done.err) == (code, True), done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith("hint: ")]
    assert hint in line


@pytest.mark.parametrize("command", [("show",), ("verify", *AT), ("reference", *AT, "--from")])
def test_a_file_that_is_no_evidence(run: Run, put: Put, command: tuple[str, ...]) -> None:
    certificate = put("vcek.der", FakeAmd().certificate())
    told(run("attest", *command, certificate), 65, "cannot be told", "--kind KIND; certificates, Intel's JSON, RIM files")
    told(run("attest", *command, put("empty", b"")), 65, "the file is empty", "the file you meant")
    told(run("attest", *command, certificate.parent), 65, "Is a directory", "the file you meant")
    huge = put("huge", b"")
    with huge.open("r+b") as file:
        file.truncate(100_000_000)
    told(run("attest", *command, huge), 65, "has 100,000,000 bytes, more than", "the file you meant")


@pytest.mark.parametrize(
    ("text", "value", "message", "hint"),
    [
        ("tcb-status = ['SWHardeningNeeded']", "", "the platform is UpToDate", "listed in tcb-status"),
        ("minimum-tcb = { evaluation = 9999 }", "", "at least 9999 is wanted", "minimum-tcb in the reference values"),
        ("", "ff" * 32, "register mrenclave holds", "listed in measurements.mrenclave"),
    ],
)
def test_what_to_do_about_values_that_are_not_met(
    run: Run, put: Put, text: str, value: str, message: str, hint: str
) -> None:  # fmt: skip
    intel = FakeIntel("sgx", 3)
    evidence, (collateral,), _ = intel.mint()
    given = (put("quote", evidence), "--collateral", put("collateral.json", collateral), *root(put, intel), *AT)
    found = run("attest", "verify", *given, "--json").json["measurements"]["mrenclave"]
    wanted = reference(put, text, kind="sgx", register="mrenclave", value=value or found)
    told(run("attest", "verify", *given, "--reference", wanted), 1, message, hint)


def test_collateral_of_another_quote(run: Run, put: Put) -> None:
    ours, theirs = FakeIntel("sgx", 3), FakeIntel("sgx", 3)
    given = ("--collateral", put("collateral.json", theirs.mint()[1][0]), *root(put, ours), *AT)
    told(run("attest", "verify", put("quote", ours.mint()[0]), *given), 66, "is not that of the quote", "for this very quote")


def test_collateral_of_another_vendor(run: Run, put: Put) -> None:
    intel, amd = FakeIntel("sgx", 3), FakeAmd()
    quote, (collateral,), _ = intel.mint()
    certificate = amd.certificate()
    for evidence, foreign, hint in ((quote, certificate, "the JSON of TCB info"), (amd.report(), collateral, "a VCEK or VLEK")):
        done = run("attest", "verify", put("evidence", evidence), "--collateral", put("foreign", foreign), *AT)
        told(done, 65, "collateral 1 is nothing that a", hint)


def test_evidence_under_no_root_that_is_trusted(run: Run, put: Put) -> None:
    intel = FakeIntel("sgx", 3)
    evidence, (collateral,), _ = intel.mint()
    done = run("attest", "verify", put("quote", evidence), "--collateral", put("collateral.json", collateral), *AT)
    told(done, 66, "no root that is trusted here", "--root PEM, or [[vendors]]")
    done = run("attest", "verify", put("document.cose", FakeNitro().mint()[0]), *AT)
    told(done, 66, "no root that is trusted here", "--root PEM, or [[vendors]]")


def test_debug_mode_and_a_replayed_nonce(run: Run, put: Put) -> None:
    aws = FakeNitro()
    debug = put("debug.cose", aws.mint(debug=True)[0])
    given = (*root(put, aws), *AT)
    told(run("attest", "verify", debug, *given, "--reference", reference(put)), 1, "in debug mode", "allow-debug = true")
    old = put("old.cose", aws.mint(nonce=b"of yesterday")[0])
    told(run("attest", "verify", old, *given, "--nonce", "c0ffee"), 1, "another challenge", "made for this nonce")


def test_reference_values_of_another_kind_are_not_called_none(run: Run, put: Put) -> None:
    aws = FakeNitro()
    wanted = reference(put, kind="snp", register="measurement")
    done = run("attest", "verify", put("document.cose", aws.mint()[0]), *root(put, aws), *AT, "--reference", wanted)
    told(done, 1, "none of the reference values is for nitro", "attest reference --from")
    assert "nobody has said" not in done.out


def test_simulated_evidence_is_never_called_real(run: Run, put: Put) -> None:
    evidence = put("evidence.json", FakeSoftware().mint()[0])
    for options in ((), ("--allow-simulated-tee",)):
        done = run("attest", "verify", evidence, *AT, *options)
        assert "nobody has said what it should be" in done.out
        assert "real" not in done.out


def test_what_an_attestation_is_bound_to_is_not_passed_over(run: Run, put: Put) -> None:
    aws = FakeNitro()
    document = Attestation(kind="nitro", evidence=aws.mint()[0], scope="receipt", verified_at=NOW).encode()
    done = run("attest", "verify", put("attestation.json", document), *root(put, aws), *AT, "--reference", reference(put))
    assert (done.code, done.out.splitlines()[-1]) == (0, "verified")
    assert "note: made for a key or a receipt that was not compared: `verifiable verify RECEIPT` does" in done.out


def test_names_in_evidence_cannot_steer_a_terminal(run: Run, put: Put) -> None:
    """The hardware's own words and its certificates' names, in every command and in the errors."""
    aws = FakeNitro(root_name=EVIL)
    leaf = aws.instance.authority(EVIL, ca=False, key=aws.leaf_key)
    file = put(
        f"{EVIL[:5]}.cose", aws.mint(module_id=EVIL, leaf=leaf, report_data=binding.report_data(key=Digest.of(b"a key")))[0]
    )
    trusted = root(put, aws)
    for asked in (
        ("show", file), ("verify", file, *trusted, *AT), ("verify", file, *AT), ("verify", file, *trusted, "--nonce", "00", *AT),
        ("verify", file, *trusted, "--at", "2040-01-01T00:00:00Z"), ("reference", "--from", file, *trusted, *AT),
    ):  # fmt: skip
        done = run("attest", *asked)
        for text in (done.out, done.err):
            assert "verified" not in text.splitlines()
            assert not [c for c in text if c != "\n" and not c.isprintable()]
