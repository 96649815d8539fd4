# SPDX-License-Identifier: Apache-2.0
"""``attest`` as a user types it: evidence of fake vendors under ``--root``, software evidence, and recorded hardware."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.cli.conftest import Run
from tests.fakes.pki.amd import FakeAmd
from tests.fakes.pki.authority import NOW, pem
from tests.fakes.pki.aws import MEASUREMENT, FakeNitro
from tests.fakes.pki.software import FakeSoftware
from tests.fakes.receipts import attacker_key, node_key
from verifiable.digest import Digest
from verifiable.encoding.record import format_time
from verifiable.keys.public import public_key_pem
from verifiable.keys.signer import Signer
from verifiable.tee import binding
from verifiable.tee.attesters.software import Software
from verifiable.tee.document import Attestation
from verifiable.tee.reference import parse_references

AT = ("--at", format_time(NOW))
NONCE = b"\xc0\xff\xee"
FAKE = FakeNitro()


@dataclass(frozen=True)
class Desk:
    """A folder with the fake AWS's root and the node's public key in it."""

    folder: Path

    def put(self, name: str, data: bytes | str) -> Path:
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    @property
    def root(self) -> tuple[str, Path]:
        return "--root", self.folder / "root.pem"

    def nitro(self, **fields: Any) -> Path:
        return self.put("document.cose", FAKE.mint(**fields)[0])

    def attestation(self, scope: str = "key", **fields: Any) -> Path:
        """Of the node's key and the nonce, around a document of the fake AWS."""
        data = binding.report_data(key=node_key().fingerprint, nonce=NONCE)
        evidence = FAKE.mint(report_data=data, at=fields.pop("made", NOW))[0]
        wanted = {"kind": "nitro", "evidence": evidence, "scope": scope, "verified_at": NOW, "nonce": NONCE}
        return self.put("attestation.json", Attestation(**(wanted | fields)).encode())

    def key(self, signer: Signer) -> tuple[str, Path]:
        return "--public-key", self.put("key.pem", public_key_pem(signer.public_key))

    def reference(
        self, text: str = "", *, kind: str = "nitro", register: str = "pcr0", value: bytes = MEASUREMENT
    ) -> tuple[str, Path]:
        table = f"[[references]]\nname = 'ours'\nkind = '{kind}'\nmax-age = '1h'\n{text}\n"
        return "--reference", self.put("reference.toml", f"{table}[references.measurements]\n{register} = ['{value.hex()}']\n")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made.put("root.pem", FAKE.root.certificate.public_bytes(Encoding.PEM))
    return made


# software evidence


def test_software_evidence_from_attester_to_verdict(run: Run, desk: Desk) -> None:
    evidence = desk.put("evidence.json", Software().attest(NONCE.ljust(64, b"\0")).evidence)
    shown = run("attest", "show", evidence)
    assert (shown.code, shown.out.splitlines()[0]) == (0, f"UNVERIFIED software evidence: {evidence}")
    assert "  simulated: true" in shown.out
    refused = run("attest", "verify", evidence, "--nonce", "c0ffee")
    assert (refused.code, refused.out.splitlines()[-1]) == (1, "rejected")
    assert "no hardware stands behind it" in refused.err
    assert "--allow-simulated-tee" in refused.err
    allowed = run("attest", "verify", evidence, "--allow-simulated-tee")
    assert (allowed.code, allowed.out.splitlines()[-1]) == (0, "simulated: authentic, not appraised")
    assert "vouched for by nobody" in allowed.out
    drafted = run("attest", "reference", "--from", evidence, "-o", desk.folder / "draft.toml")
    assert (drafted.code, drafted.out) == (0, f"{desk.folder / 'draft.toml'}\n")
    judged = ("attest", "verify", evidence, "--reference", desk.folder / "draft.toml")
    assert run(*judged, "--allow-simulated-tee").out.splitlines()[-1] == "simulated: verified"
    assert run(*judged).code == 1


def test_an_old_version_of_the_library_is_refused_by_the_draft_of_a_new_one(run: Run, desk: Desk) -> None:
    new, old = (desk.put(name, FakeSoftware().mint(tcb={"library": n})[0]) for name, n in (("new", 2000), ("old", 1000)))
    draft = run("attest", "reference", "--from", new, *AT, "--name", "release two").out
    assert parse_references(draft.encode())[0].minimum_tcb == {"library": 2000}
    done = run("attest", "verify", old, *AT, "--reference", desk.put("draft.toml", draft), "--allow-simulated-tee")
    assert (done.code, "library is at version 1000, at least 2000 is wanted" in done.err) == (1, True)


# a vendor


def test_verified_under_a_root_of_ones_own(run: Run, desk: Desk) -> None:
    done = run("attest", "verify", desk.nitro(nonce=NONCE), *desk.root, *AT, "--nonce", "c0ffee", *desk.reference())
    assert (done.code, done.err) == (0, "")
    fingerprint = FAKE.roots.roots[0].fingerprint
    lines = done.out.splitlines()
    assert lines[:2] == ["evidence", "  1  signature     pass  by i-0123456789abcdef0-enc0123456789abcdef.region.fake"]
    assert f"anchor     under {desk.root[1]} ({fingerprint})" in lines
    assert "appraisal by 'ours'" in lines
    assert f"pcr0       {MEASUREMENT.hex()}" in lines
    assert lines[-1] == "verified"
    assert run("attest", "verify", desk.folder / "document.cose", *AT, "--kind", "nitro").code == 66


def test_the_same_as_json(run: Run, desk: Desk) -> None:
    found = run("attest", "verify", desk.nitro(nonce=NONCE), *desk.root, *AT, *desk.reference(), "--json").json
    assert (found["verdict"], found["kind"], found["reference"], found["simulated"]) == ("verified", "nitro", "ours", False)
    assert found["anchor"] == {"name": str(desk.root[1]), "fingerprint": FAKE.roots.roots[0].fingerprint.hex}
    assert [check["number"] for check in found["checks"]] == [1, 2, 3, 4]
    assert [check["status"] for check in found["binding"]] == ["skip", "skip"]
    assert [check["name"] for check in found["appraisal"]][:3] == ["kind", "debug", "measurements"]
    assert (found["issuedOn"], found["at"], found["measurements"]["pcr0"]) == (AT[1], AT[1], MEASUREMENT.hex())


def test_without_reference_values_it_says_so(run: Run, desk: Desk) -> None:
    done = run("attest", "verify", desk.nitro(), *desk.root, *AT)
    assert (done.code, done.out.splitlines()[-1]) == (0, "authentic, not appraised")
    assert "note: not appraised" in done.out


@pytest.mark.parametrize(
    ("fields", "options", "stage", "message"),
    [
        ({"nonce": b"other"}, ("--nonce", "c0ffee"), "binding", "another challenge"),
        ({"debug": True}, (), "appraisal", "debug mode"),
        ({"measurement": bytes(47) + b"\1"}, (), "appraisal", "register pcr0 holds"),
        ({"timestamp": int((NOW - timedelta(hours=1)).timestamp() * 1000)}, (), "checks", "its certificate was not valid"),
    ],
)
def test_rejected(
    run: Run, desk: Desk, fields: dict[str, Any], options: tuple[str, ...], stage: str, message: str
) -> None:  # fmt: skip
    done = run("attest", "verify", desk.nitro(**fields), *desk.root, *AT, *desk.reference(), *options, "--json")
    assert (done.code, done.json["verdict"]) == (1, "rejected")
    assert done.json[stage][-1]["status"] == "fail"
    assert message in done.json["error"]["message"]
    assert message in done.err


def test_now_is_the_time_unless_another_is_given(run: Run, desk: Desk) -> None:
    done = run("attest", "verify", desk.nitro(at=NOW - timedelta(days=3000)), *desk.root)
    assert (done.code, done.out.splitlines()[-1]) == (1, "rejected")
    assert "hint: judge it as of a time at which it was fresh: --at TIME" in done.err


def test_made_for_a_key(run: Run, desk: Desk) -> None:
    mine = desk.nitro(report_data=binding.report_data(key=node_key().fingerprint, nonce=NONCE))
    asked = ("attest", "verify", mine, *desk.root, *AT, *desk.reference(), "--nonce", "c0ffee")
    done = run(*asked, *desk.key(node_key()))
    assert (done.code, done.out.splitlines()[-1]) == (0, "verified")
    assert f"made for the key {node_key().fingerprint}" in done.out
    assert "7  binding       pass  to the key" in done.out
    other = run(*asked, *desk.key(attacker_key()))
    assert (other.code, "was not made for this key" in other.err) == (1, True)
    assert run(*asked[:-1], "c0ffef", *desk.key(node_key())).code == 1


def test_reference_values_of_another_kind(run: Run, desk: Desk) -> None:
    reference = desk.reference(kind="snp", register="measurement")
    done = run("attest", "verify", desk.nitro(), *desk.root, *AT, *reference)
    assert (done.code, "none of the reference values is for nitro" in done.err) == (1, True)


def test_files_that_are_none(run: Run, desk: Desk) -> None:
    junk = desk.put("junk", b"junk")
    for arguments in ((junk,), (junk, "--kind", "nitro"), (desk.nitro(), "--kind", "snp"), (desk.folder / "missing",)):
        done = run("attest", "verify", *arguments, *AT)
        assert (done.code, done.out.splitlines()) == (65, ["malformed"]), done.err
        assert run("attest", "show", *arguments).code == 65
    asked = ("attest", "verify", desk.nitro(), *desk.root, *AT)
    for option in ("--reference", "--public-key", "--root", "--collateral"):
        done = run(*asked, option, junk)
        assert (done.code, done.out.splitlines()[-1]) == (65, "malformed"), done.err
    assert "no collateral" in done.err
    assert run(*asked, "--kind", "sev").code == 2
    assert run(*asked, "--at", "yesterday").code == 2


# attestations, as receipts carry them


def test_an_attestation_is_judged_at_its_makers_time_and_its_age_now(run: Run, desk: Desk) -> None:
    asked = ("attest", "verify", desk.attestation(), *desk.root, *desk.key(node_key()), "--nonce", "c0ffee", *desk.reference())
    later = format_time(NOW + timedelta(minutes=59))
    done = run(*asked, "--at", later, "--json")
    assert (done.code, done.json["verdict"], done.json["at"]) == (0, "verified", AT[1])
    assert [check["status"] for check in done.json["binding"]] == ["pass", "pass"]
    much_later = run(*asked, "--at", format_time(NOW + timedelta(minutes=61)))
    assert (much_later.code, "is the most allowed by 'ours'" in much_later.err) == (1, True)
    unbounded = run(
        "attest", "verify", desk.folder / "attestation.json", *desk.root, "--at", format_time(NOW + timedelta(days=400))
    )
    assert (unbounded.code, unbounded.out.splitlines()[-1]) == (0, "authentic, not appraised")
    assert "note: judged as of a time that its maker states" in unbounded.out


@pytest.mark.parametrize(
    ("fields", "options", "code", "message"),
    [
        ({"verified_at": NOW + timedelta(minutes=6), "made": NOW + timedelta(minutes=6)}, (), 1, "has not come yet"),
        ({"collateral": (Digest.of(b"x"),)}, (), 66, "is not here"),
        ({"kind": "software"}, (), 65, "not UTF-8"),
        ({"nonce": b"other"}, ("key",), 1, "was not made for this key, nonce and claim"),
        ({"scope": "receipt"}, ("key",), 1, "bound to a receipt"),
        ({}, ("--nonce", "c0ffee"), 66, "no key was given"),
        ({}, ("key", "--nonce", "c0ffef"), 1, "another challenge"),
        ({}, ("--kind", "snp"), 65, "an attestation of kind nitro, not snp"),
        ({}, ("--collateral", "root.pem"), 65, "not what the attestation names"),
    ],
)
def test_attestations_that_are_not_taken(
    run: Run, desk: Desk, fields: dict[str, Any], options: tuple[str, ...], code: int, message: str
) -> None:
    replaced = [desk.folder / word if word.endswith(".pem") else word for word in options if word != "key"]
    key = desk.key(node_key()) if "key" in options else ()
    done = run("attest", "verify", desk.attestation(**fields), *desk.root, *AT, *replaced, *key)
    assert (done.code, message in done.err) == (code, True), done.err


def test_shown_with_what_is_in_it(run: Run, desk: Desk) -> None:
    found = run("attest", "show", desk.attestation(), "--json").json
    assert (found["kind"], found["verified"]) == ("nitro", False)
    assert (found["attestation"]["nonce"], found["attestation"]["scope"]) == ("c0ffee", "key")
    assert found["evidence"]["pcrs"]["0"] == MEASUREMENT.hex()
    assert found["evidence"]["bundle"][0]["sha256"] == FAKE.roots.roots[0].fingerprint.hex


def test_without_a_clock_of_the_hardwares_own_the_makers_time_counts(run: Run, desk: Desk) -> None:
    """An SEV-SNP report says no time; its collateral is found by the digests in the attestation."""
    amd = FakeAmd()
    evidence, collateral, _ = amd.mint()
    files = [desk.put(f"collateral-{index}", data) for index, data in enumerate(collateral)]
    digests = tuple(map(Digest.of, collateral))
    document = Attestation(kind="snp", evidence=evidence, scope="key", verified_at=NOW, collateral=digests).encode()
    given = [word for path in reversed(files) for word in ("--collateral", path)]
    reference = desk.reference(kind="snp", register="measurement", value=b"m" * 48)
    asked = ("attest", "verify", desk.put("attestation.json", document), "--root", desk.put("ark.pem", pem(amd.ark.certificate)))
    for minutes, code in ((59, 0), (61, 1)):
        done = run(*asked, *given, *reference, "--at", format_time(NOW + timedelta(minutes=minutes)))
        assert done.code == code, done.err
    assert "is the most allowed by 'ours'" in done.err
    assert run(*asked, *given[:2], *reference, *AT).code == 66


# drafts


def test_a_draft_is_written_of_what_holds_alone(run: Run, desk: Desk) -> None:
    out = desk.folder / "draft.toml"
    asked = ("attest", "reference", "-o", out, *AT, "--from")
    assert run(*asked, desk.nitro()).code == 66
    debug = run(*asked, desk.nitro(debug=True), *desk.root)
    assert (debug.code, "--allow-debug" in debug.err) == (1, True)
    assert not out.exists()
    assert run(*asked, desk.nitro(debug=True), *desk.root, "--allow-debug").code == 0
    assert parse_references(out.read_bytes())[0].allow_debug
    assert run(*asked, desk.nitro(), *desk.root, "--name", "ours").code == 0
    (made,) = parse_references(out.read_bytes())
    assert (made.name, made.measurements, made.max_age) == ("ours", {"pcr0": (MEASUREMENT.hex(),)}, timedelta(hours=24))
    assert run("attest", "verify", desk.nitro(), *desk.root, *AT, "--reference", out).out.splitlines()[-1] == "verified"


# inspect


def test_inspect_knows_them(run: Run, desk: Desk) -> None:
    assert run("inspect", desk.attestation(), "--json").json["content"]["scope"] == "key"
    done = run("inspect", desk.reference()[1], "--json").json
    assert (done["kind"], done["content"][0]["maxAge"]) == ("reference values", "1h")
    software = run("inspect", desk.put("evidence.json", FakeSoftware().mint()[0]), "--json").json
    assert (software["kind"], software["content"]["simulated"]) == ("software evidence", True)


# recorded hardware


@dataclass(frozen=True)
class Recorded:
    evidence: str
    at: str
    collateral: tuple[str, ...] = ()
    code: int = 0
    verdict: str = "authentic, not appraised"
    says: str = ""


RECORDED = {
    "nitro": Recorded("nitro/valid.cose", "2022-10-13T08:58:02Z", says="under aws-nitro-root-g1 (sha256:641a0321"),
    "nitro-debug": Recorded("nitro/debug_mode.cose", "2022-10-12T13:50:06Z", says="note: in debug mode"),
    "tdx": Recorded("tdx/tdx_quote", "2025-07-01T00:00:00Z", ("tdx/tdx_quote_collateral.json",), says="UpToDate"),
    "tdx-early": Recorded("tdx/tdx_quote", "2025-06-01T00:00:00Z", ("tdx/tdx_quote_collateral.json",), 1, "rejected"),
    "tdx-outdated": Recorded(
        "tdx/tdx_quote_outdated", "2026-03-01T00:00:00Z", ("tdx/tdx_quote_outdated_collateral.json",), 1, "rejected"
    ),
    "tdx-bare": Recorded("tdx/tdx_quote", "2025-07-01T00:00:00Z", (), 66, "undecided"),
    "sgx": Recorded("tdx/sgx_quote", "2025-07-01T00:00:00Z", ("tdx/sgx_quote_collateral.json",), says="INTEL-SA-00615"),
    "snp": Recorded("snp/report_v2_milan.bin", "2024-06-01T00:00:00Z", ("snp/report_v2_milan.vcek.der",), says="amd-ark-milan"),
    "snp-other-chip": Recorded("snp/report_v2_milan.bin", "2024-06-01T00:00:00Z", ("snp/wrong.vcek.der",), 1, "rejected"),
    "nvidia": Recorded(
        "nvidia/h100_report.dat", "2025-01-01T00:00:00Z",
        (
            "nvidia/h100_cert_chain.dat", "nvidia/NV_GPU_DRIVER_GH100_550.90.07.xml",
            "nvidia/NV_GPU_VBIOS_1010_0200_882_96009F0001.xml",
        ),
        says="under nvidia-device-root",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_hardware(run: Run, shared: Path, desk: Desk, name: str) -> None:
    one, vectors = RECORDED[name], shared / "vectors"
    if not (vectors / one.evidence).is_file():
        pytest.skip(f"recorded evidence is not here: {vectors / one.evidence}")
    given = [word for path in one.collateral for word in ("--collateral", vectors / path)]
    done = run("attest", "verify", vectors / one.evidence, *given, "--at", one.at)
    assert (done.code, done.out.splitlines()[-1]) == (one.code, one.verdict), done.err
    assert one.says in done.out
    if one.code == 0:
        drafted = run("attest", "reference", "--from", vectors / one.evidence, *given, "--at", one.at, "--allow-debug")
        draft = desk.put("draft.toml", drafted.out)
        judged = run("attest", "verify", vectors / one.evidence, *given, "--at", one.at, "--reference", draft)
        assert (judged.code, judged.out.splitlines()[-1]) == (0, "verified"), judged.err


def test_a_root_of_ones_own_replaces_the_vendors(run: Run, shared: Path, desk: Desk) -> None:
    one, document = RECORDED["nitro"], shared / "vectors" / RECORDED["nitro"].evidence
    if not document.is_file():
        pytest.skip(f"recorded evidence is not here: {document}")
    done = run("attest", "verify", document, "--at", one.at, *desk.root)
    assert (done.code, "no root that is trusted here" in done.err) == (66, True)
