"""The nine checks of a quote: what holds passes each, and each attack is refused by the check that is there for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import dcap_qvl
import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.pki import intel
from tests.fakes.pki.authority import DAY, NOW, Authority, new_key, pem
from tests.fakes.pki.intel import CPU_SVN, PCK, PLATFORM_CA, PROCESSOR_CA, SIGNER, FakeIntel, sgx_extension
from verifiable.digest import Digest
from verifiable.errors import (
    AttestationError,
    BindingError,
    Error,
    MalformedError,
    SignatureError,
    StaleError,
    TrustError,
    UnsupportedError,
)
from verifiable.tee import binding, registry
from verifiable.tee.dcap.verifying import NAMES
from verifiable.tee.evidence import VerifiedEvidence
from verifiable.tee.reference import Reference, appraise, parse_references
from verifiable.tee.roots import Roots, shipped


def _bits(*numbers: int) -> bytes:
    return sum(1 << number for number in numbers).to_bytes(8, "little")


KINDS = [("sgx", 3), ("tdx", 4), ("tdx", 5)]
TDX, SGX, TDX15 = FakeIntel("tdx"), FakeIntel("sgx"), FakeIntel("tdx", 5)
LONG_AGO = {"since": NOW - 800 * DAY, "until": NOW - 400 * DAY}


def verify(minted: tuple[bytes, tuple[bytes, ...], Roots], *, kind: str = "tdx", at: datetime = NOW) -> VerifiedEvidence:
    evidence, collateral, roots = minted
    return registry.parse(kind, evidence).verify(at=at, roots=roots, collateral=collateral)


def refused(
    error: type[Error], number: int, minted: tuple[bytes, tuple[bytes, ...], Roots], match: str = "", **fields: Any
) -> Error:
    """``minted`` is refused with this error, at this check."""
    with pytest.raises(error, match=match or None) as caught:
        verify(minted, **fields)
    assert type(caught.value) is error
    last = caught.value.checks[-1]  # type: ignore[attr-defined]
    assert (last.number, last.name, last.status) == (number, NAMES[number - 1], "fail"), caught.value
    return caught.value


class TestWhatHolds:
    @pytest.mark.parametrize(("kind", "version"), KINDS)
    def test_it_passes_every_check(self, kind: str, version: int) -> None:
        data = bytes(range(64))
        found = verify(
            FakeIntel(kind, version).mint(report_data=data, measurement=b"\x2a" * (32 if kind == "sgx" else 48)), kind=kind
        )
        assert [(c.number, c.name, c.status) for c in found.checks] == [(i, n, "pass") for i, n in enumerate(NAMES, 1)]
        assert (found.kind, found.at, found.report_data) == (kind, NOW, data)
        assert found.measurements["mrenclave" if kind == "sgx" else "mrtd"] == "2a" * (32 if kind == "sgx" else 48)
        assert (found.tcb_status, found.advisories, found.debug, found.issued_on) == ("UpToDate", (), False, None)
        assert found.anchor.name == "fake-intel-root"
        assert found.identity["fmspc"] == intel.FMSPC.hex()

    def test_registers_of_a_trust_domain(self) -> None:
        registers = {f"rtmr{i}": bytes((i,)) * 48 for i in range(4)} | {
            "mr_config_id": b"\x10" * 48, "mr_owner": b"\x11" * 48, "mr_owner_config": b"\x12" * 48, "mr_seam": b"\x13" * 48,
        }  # fmt: skip
        found = verify(TDX.mint(report=registers)).measurements
        assert {name.replace("_", ""): value.hex() for name, value in registers.items()}.items() <= found.items()
        assert found["tdattributes"] == "0000001000000000"
        assert "mrservicetd" not in found
        assert verify(TDX15.mint()).measurements["mrservicetd"] == "00" * 48

    def test_registers_of_an_enclave(self) -> None:
        report = {"mr_signer": b"\x21" * 32, "isv_prod_id": b"\x02\x01", "isv_svn": b"\x07\0", "config_svn": b"\x03\0"}
        found = verify(SGX.mint(report=report), kind="sgx")
        assert found.measurements["mrsigner"] == "21" * 32
        assert (found.measurements["isvprodid"], found.measurements["configsvn"]) == ("258", "3")
        assert found.tcb == {"isvsvn": 7, "pcesvn": 11, "qesvn": 6, "evaluation": 20}

    def test_versions_of_a_platform(self) -> None:
        assert verify(TDX.mint()).tcb == {
            "tdx-module": 6, "tdx-module-version": 1, "tdx-microcode": 3, "pcesvn": 11, "qesvn": 6, "evaluation": 20,
        }  # fmt: skip

    def test_every_value_can_be_asked_for(self) -> None:
        """What verifying fills in has the form that reference values have."""
        for vendor in (TDX15, SGX):
            found = verify(vendor.mint(), kind=vendor.kind)
            wanted = _reference(found, minimum_tcb=found.tcb)
            text = wanted.to_toml()
            assert parse_references(text.encode()) == (wanted,)
            appraise(found, wanted, made=NOW, at=NOW, scope="key")

    def test_the_chain_of_the_quote_may_stand_in_the_file(self) -> None:
        chain = pem(*TDX.pck.chain).decode() + "\0"
        verify(TDX.mint(file={"pck_certificate_chain": chain}))

    def test_a_processor_of_the_other_authority(self) -> None:
        root = Authority.root(intel.ROOT, kind="p256")
        vendor = FakeIntel(given={"root": root, "ca": root.authority(PROCESSOR_CA, kind="p256", path_length=0)})
        assert verify(vendor.mint()).identity["authority"] == "processor"

    def test_another_signature_under_the_same_key_establishes_the_same(self) -> None:
        """ECDSA has two for each: (r, s) and (r, n - s). Neither names anything else."""
        evidence, collateral, roots = TDX.mint()
        quote = registry.parse("tdx", evidence)
        n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        s = int.from_bytes(quote.signature[32:], "big")  # type: ignore[attr-defined]
        other = replace(quote, signature=quote.signature[:32] + (n - s).to_bytes(32, "big"))  # type: ignore[type-var, attr-defined]
        assert verify((other.encode(), collateral, roots)) == verify((evidence, collateral, roots))  # type: ignore[attr-defined]
        for r_and_s in (quote.signature[:32] + n.to_bytes(32, "big"), bytes(64), b"\xff" * 64):  # type: ignore[attr-defined]
            wrong = replace(quote, signature=r_and_s)  # type: ignore[type-var]
            refused(SignatureError, 7, (wrong.encode(), collateral, roots))  # type: ignore[attr-defined]


class TestCollateral:
    def test_without_it_there_is_nothing_to_judge_by(self) -> None:
        evidence, _, roots = TDX.mint()
        error = refused(TrustError, 1, (evidence, (), roots))
        assert "--collateral FILE" in error.hint

    def test_what_is_not_collateral_is_named(self) -> None:
        evidence, collateral, roots = TDX.mint()
        refused(MalformedError, 1, (evidence, (b"\x30\x03abc",), roots), "collateral 1")
        refused(MalformedError, 1, (evidence, (*collateral, pem(TDX.root.certificate)), roots), "collateral 2")

    def test_another_root_is_not_trusted(self) -> None:
        evidence, collateral, _ = TDX.mint()
        for roots in (FakeIntel().roots, shipped(), Roots(), TDX.root.roots("sgx")):
            refused(TrustError, 1, (evidence, collateral, roots), "no root that is trusted here")

    @pytest.mark.parametrize("name", ["pck_crl", "tcb_info", "qe_identity"])
    def test_each_chain_ends_in_the_root_of_the_quote(self, name: str) -> None:
        """A root of the same name and key is another: its bytes would be of no account."""
        again = Authority.root(intel.ROOT, kind="p256", key=TDX.root.key)
        own = TDX.ca if name == "pck_crl" else TDX.signer
        minted = TDX.mint(file={f"{name}_issuer_chain": pem(own.certificate, again.certificate).decode()})
        refused(TrustError, 1, minted, "is not that of the quote")

    def test_of_another_authority(self) -> None:
        other = FakeIntel(given={"root": TDX.root, "ca": TDX.root.authority(PROCESSOR_CA, kind="p256", path_length=0)})
        evidence, _, roots = TDX.mint()
        refused(AttestationError, 1, (evidence, other.mint()[1], roots), "not of the quote's own PCK authority")

    def test_the_chain_in_the_file_is_that_of_the_quote(self) -> None:
        chain = pem(*TDX.processor().chain).decode() + "\0"
        refused(AttestationError, 1, TDX.mint(file={"pck_certificate_chain": chain}), "not of the quote")


class TestPlatformCertificate:
    @pytest.mark.parametrize(
        ("fields", "error", "match"),
        [
            (LONG_AGO, StaleError, "valid from"), ({"since": NOW + DAY}, StaleError, "valid from"),
            ({"name": "Intel SGX PCK Impostor"}, AttestationError, "not one for"),
            ({"ca": True}, AttestationError, "an authority's"),
            ({"usage": ("key_agreement",)}, AttestationError, "may not be used"),
            ({"extensions": ()}, AttestationError, "not one for"),
            ({"signing_key": new_key("p256")}, SignatureError, "does not hold"),
            ({"extensions": [(intel.SGX_OID, sgx_extension(), True)]}, AttestationError, "critical extension"),
            ({"platform": sgx_extension(replace={"4": None})}, MalformedError, "missing"),
            ({"issuer": Authority.root("Intel SGX PCK Platform CA", kind="p256")}, None, ""),
        ],
    )  # fmt: skip
    def test_one_that_is_wrong(self, fields: dict[str, Any], error: type[Error] | None, match: str) -> None:
        vendor = FakeIntel(given={"root": TDX.root, "ca": TDX.ca, "signer": TDX.signer, "pck": TDX.processor(**fields)})
        if error is None:  # by an authority of the right name that leads nowhere
            above = (TDX.ca.certificate, TDX.root.certificate)
            vendor.given["pck"] = replace(vendor.pck, above=above)
            vendor = FakeIntel(given=vendor.given)
            error, match = SignatureError, "does not hold"
        refused(error, 2, vendor.mint(), match)

    @pytest.mark.parametrize(
        ("name", "fields", "error", "match"),
        [
            (PLATFORM_CA, LONG_AGO, StaleError, "valid from"), (PLATFORM_CA, {"ca": False}, AttestationError, "no authority"),
            (PLATFORM_CA, {"usage": ("digital_signature",)}, AttestationError, "signing certificates"),
            (PLATFORM_CA, {"signing_key": new_key("p256")}, SignatureError, "does not hold"),
            ("Intel SGX PCK Other CA", {}, AttestationError, "not by an authority for PCK"),
            (SIGNER, {}, AttestationError, "not by an authority for PCK"),
        ],
    )  # fmt: skip
    def test_an_authority_that_is_wrong(self, name: str, fields: dict[str, Any], error: type[Error], match: str) -> None:
        root = Authority.root(intel.ROOT, kind="p256")
        ca = root.authority(name, **({"kind": "p256", "path_length": None if fields.get("ca") is False else 0} | fields))
        refused(error, 2, FakeIntel(given={"root": root, "ca": ca}).mint(), match)

    def test_the_root_may_be_past(self) -> None:
        root = Authority.root(intel.ROOT, kind="p256", **LONG_AGO)
        refused(StaleError, 2, FakeIntel(given={"root": root}).mint(), "Root CA is valid from")

    def test_no_authority_is_left_out(self) -> None:
        """A certificate that the root itself issued is no PCK certificate, whatever stands between them in the file."""
        pck = replace(TDX.processor(issuer=TDX.root), above=(TDX.ca.certificate, TDX.root.certificate))
        vendor = FakeIntel(given={"root": TDX.root, "ca": TDX.ca, "signer": TDX.signer, "pck": pck})
        refused(AttestationError, 2, vendor.mint(), "not by an authority for PCK")


class TestRevocation:
    def test_of_the_platform(self) -> None:
        refused(AttestationError, 3, TDX.mint(revoked_by_ca=[1, TDX.pck.parsed.serial]), "PCK Certificate is revoked")

    def test_of_the_authority(self) -> None:
        refused(AttestationError, 3, TDX.mint(revoked_by_root=[TDX.ca.parsed.serial]), "Platform CA is revoked")

    def test_of_the_root(self) -> None:
        refused(AttestationError, 3, TDX.mint(revoked_by_root=[TDX.root.parsed.serial]), "Root CA is revoked")

    @pytest.mark.parametrize("name", ["root_ca_crl", "pck_crl"])
    def test_a_list_that_is_wrong(self, name: str) -> None:
        own, other = (TDX.root, TDX.ca) if name == "root_ca_crl" else (TDX.ca, TDX.root)
        for error, data, match in (
            (SignatureError, own.crl(signing_key=new_key("p256")), "does not hold"),
            (AttestationError, other.crl(), "it is that of"),
            (StaleError, own.crl(at=NOW - 90 * DAY), "revocation list"),
            (StaleError, own.crl(at=NOW + 5 * DAY), "revocation list"),
            (MalformedError, own.der, ""),
            (MalformedError, own.crl() + b"\0", "too many"),
            (MalformedError, b"", ""),
        ):
            refused(error, 3, TDX.mint(file={name: data.hex()}), match)


STATEMENTS = [("tcb_info", 4), ("qe_identity", 5)]


class TestStatements:
    """TCB info and QE identity: who may sign them, when they hold, and what for."""

    @pytest.mark.parametrize(("name", "number"), STATEMENTS)
    def test_signed_by_another_key(self, name: str, number: int) -> None:
        _, signature = TDX.sign_statement({"id": "something else"})
        refused(SignatureError, number, TDX.mint(file={f"{name}_signature": signature}), "does not hold")

    @pytest.mark.parametrize(("name", "number"), STATEMENTS)
    def test_swapped_for_the_other(self, name: str, number: int) -> None:
        other = TDX.sign_statement(TDX.qe_identity() if name == "tcb_info" else TDX.tcb_info())
        refused(AttestationError, number, TDX.mint(file={name: other[0], f"{name}_signature": other[1]}), "it is T")

    @pytest.mark.parametrize(("name", "number"), STATEMENTS)
    @pytest.mark.parametrize(
        ("fields", "error", "match"),
        [
            ({"name": "Intel SGX Other Signing"}, AttestationError, "not one for"),
            ({"ca": True}, AttestationError, "an authority's"),
            ({"usage": ("key_agreement",)}, AttestationError, "may not be used"), (LONG_AGO, StaleError, "valid from"),
            ({"signing_key": new_key("p256")}, SignatureError, "does not hold"), ({"name": PCK}, AttestationError, "not one for"),
            ({"extensions": [(intel.SGX_OID, sgx_extension(), False)]}, AttestationError, "not one for"),
        ],
    )  # fmt: skip
    def test_by_a_certificate_that_may_not(
        self, name: str, number: int, fields: dict[str, Any], error: type[Error], match: str
    ) -> None:
        signer = TDX.root.authority(**({"name": SIGNER, "kind": "p256", "ca": False} | fields))
        refused(error, number, _signed_by(signer, name), match)

    @pytest.mark.parametrize(("name", "number"), STATEMENTS)
    def test_a_platform_does_not_speak_of_platforms(self, name: str, number: int) -> None:
        """Keys of processors have been read out by those who own them; what they sign is believed of nothing but a quote."""
        refused(TrustError, number, _signed_by(TDX.pck, name, chain=(TDX.pck.certificate, TDX.root.certificate)))
        refused(AttestationError, number, _signed_by(TDX.ca, name), "not one for Intel SGX TCB Signing")
        below = TDX.ca.authority(SIGNER, kind="p256", ca=False)
        refused(TrustError, number, _signed_by(below, name, chain=(below.certificate, TDX.root.certificate)))
        refused(MalformedError, 1, _signed_by(TDX.pck, name), "not a chain of 2")  # which dcap_qvl takes for Intel's word

    def test_the_signer_may_be_revoked(self) -> None:
        refused(AttestationError, 4, TDX.mint(revoked_by_root=[TDX.signer.parsed.serial]), "TCB Signing is revoked")
        other = TDX.root.authority(SIGNER, kind="p256", ca=False)
        evidence, _, roots = _signed_by(other, "qe_identity")
        file = json.loads(TDX.collateral(revoked_by_root=[other.parsed.serial]))
        mixed = file | {k: v for k, v in json.loads(_signed_by(other, "qe_identity")[1][0]).items() if k.startswith("qe_")}
        refused(AttestationError, 5, (evidence, (json.dumps(mixed, indent=2).encode(),), roots), "TCB Signing is revoked")

    @pytest.mark.parametrize(("name", "number"), STATEMENTS)
    def test_outside_their_window(self, name: str, number: int) -> None:
        for window in ({"nextUpdate": _time(NOW - timedelta(seconds=1))}, {"issueDate": _time(NOW + timedelta(seconds=1))}):
            refused(StaleError, number, TDX.mint(**{name: window}), "is for")
        verify(TDX.mint(**{name: {"issueDate": _time(NOW), "nextUpdate": _time(NOW)}}))

    def test_collateral_of_another_time(self) -> None:
        minted = TDX.mint()
        for at in (NOW - 2 * DAY, NOW + 31 * DAY):
            refused(StaleError, 3, minted, at=at)

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"id": "SGX"}, AttestationError), ({"version": 2}, AttestationError), ({"tcbType": 1}, UnsupportedError),
            ({"fmspc": "00A067110000"}, AttestationError), ({"pceId": "0100"}, AttestationError), ({"fmspc": 3}, MalformedError),
            ({"issueDate": "yesterday"}, MalformedError), ({"tcbEvaluationDataNumber": -1}, MalformedError),
            ({"id": None}, MalformedError),
        ],
    )  # fmt: skip
    def test_tcb_info_for_something_else(self, fields: dict[str, Any], error: type[Error]) -> None:
        refused(error, 4, TDX.mint(tcb_info=fields), "TCB info")

    @pytest.mark.parametrize("fields", [{"id": "QE"}, {"id": "QVE"}, {"version": 1}])
    def test_qe_identity_for_something_else(self, fields: dict[str, Any]) -> None:
        refused(AttestationError, 5, TDX.mint(qe_identity=fields), "QE identity: it is")

    def test_a_key_that_stands_twice(self) -> None:
        text = json.dumps(TDX.tcb_info(), separators=(",", ":"))
        text = text.replace('"fmspc":', '"fmspc":"00A067110000","fmspc":')
        signature = intel.sign(text.encode(), TDX.signer.key).hex()
        refused(MalformedError, 4, TDX.mint(file={"tcb_info": text, "tcb_info_signature": signature}), "duplicate key")

    def test_the_lower_evaluation_counts(self) -> None:
        assert verify(TDX.mint(qe_identity={"tcbEvaluationDataNumber": 18})).tcb["evaluation"] == 18


class TestQuote:
    def test_a_report_of_another_quoting_enclave(self) -> None:
        """Signed by another processor's key."""
        other = FakeIntel(given={"root": TDX.root, "ca": TDX.ca, "signer": TDX.signer})
        chain = pem(*TDX.pck.chain) + b"\0"
        report = other.report(report_data=bytes(64), measurement=None, debug=False)
        evidence, (_, collateral, roots) = other.quote(report, chain=chain), TDX.mint()
        refused(SignatureError, 6, (evidence, collateral, roots), "quoting enclave")

    def test_another_attestation_key(self) -> None:
        for data in (b"\x01" * 32, bytes(64)):
            refused(AttestationError, 6, TDX.mint(qe={"report_data": data}), "another attestation key")

    def test_the_rest_of_its_report_data_is_zero(self) -> None:
        evidence, _, _ = TDX.mint()
        named = registry.parse("tdx", evidence).qe_report.report_data  # type: ignore[attr-defined]
        refused(AttestationError, 6, TDX.mint(qe={"report_data": named[:32] + b"\1"}), "another attestation key")

    @pytest.mark.parametrize(("kind", "version"), KINDS)
    def test_every_part_that_it_signs(self, kind: str, version: int) -> None:
        evidence, collateral, roots = FakeIntel(kind, version).mint()
        size = {3: 432, 4: 632, 5: 702}[version]
        for position in (10, 30, 60, 100, size - 1):
            changed = bytearray(evidence)
            changed[position] ^= 1
            refused(SignatureError, 7, (bytes(changed), collateral, roots), kind=kind)

    def test_an_attestation_key_that_is_none(self) -> None:
        evidence, collateral, roots = TDX.mint()
        quote = registry.parse("tdx", evidence)
        other = replace(quote, attestation_key=b"\1" * 64)  # type: ignore[type-var]
        refused(AttestationError, 6, (other.encode(), collateral, roots), "another attestation key")  # type: ignore[attr-defined]

    @pytest.mark.parametrize("vendor", [TDX, TDX15, SGX], ids=["tdx-4", "tdx-5", "sgx"])
    def test_debug_is_refused(self, vendor: FakeIntel) -> None:
        refused(AttestationError, 8, vendor.mint(debug=True), "debug mode", kind=vendor.kind)


class TestLevels:
    """What is left to ``dcap_qvl``."""

    @pytest.mark.parametrize("status", ["OutOfDate", "SWHardeningNeeded", "ConfigurationNeeded", "OutOfDateConfigurationNeeded"])
    def test_intels_word_is_passed_on(self, status: str) -> None:
        found = verify(TDX.mint(status=status, advisories=["INTEL-SA-00001"]))
        assert (found.tcb_status, found.advisories) == (status, ("INTEL-SA-00001",))

    def test_revoked_is_refused(self) -> None:
        refused(AttestationError, 9, TDX.mint(status="Revoked"), "Revoked")

    @pytest.mark.parametrize("older", [{"cpu_svn": bytes((3, 2, *CPU_SVN[2:]))}, {"pce_svn": intel.PCE_SVN - 1}])
    def test_a_platform_below_every_level(self, older: dict[str, Any]) -> None:
        """Rolled back: an older patch level, or an older certifying enclave."""
        refused(AttestationError, 9, _on(TDX, sgx_extension(**older)).mint(), "No matching TCB level")

    def test_a_tdx_module_that_is_old(self) -> None:
        old = {"tee_tcb_svn": bytes((4, 1, 3, *bytes(13)))}
        assert verify(TDX.mint(report=old)).tcb_status == "OutOfDate"
        refused(AttestationError, 9, TDX.mint(report={"tee_tcb_svn": bytes((3, 1, 3, *bytes(13)))}), "below minimum")
        refused(AttestationError, 9, TDX.mint(report={"tee_tcb_svn": bytes((6, 2, 3, *bytes(13)))}), "module")
        refused(AttestationError, 9, TDX.mint(report={"tee_tcb_svn": bytes((6, 1, 2, *bytes(13)))}), "No matching TCB level")

    def test_a_tdx_module_that_was_replaced_under_a_running_domain(self) -> None:
        found = verify(TDX15.mint(report={"tee_tcb_svn": bytes((4, 1, 3, *bytes(13)))}))
        assert found.tcb_status == "TDRelaunchAdvised"
        assert (found.tcb["tdx-module"], found.tcb["tdx-module-current"]) == (4, 6)

    @pytest.mark.parametrize(
        ("report", "match"),
        [
            ({"mr_signer_seam": b"\1" * 48}, "MRSIGNER"), ({"seam_attributes": b"\1"}, "SEAMATTRIBUTES"),
            ({"td_attributes": _bits(28, 29)}, "migration"), ({"td_attributes": _bits()}, "SEPT_VE_DISABLE"),
            ({"td_attributes": _bits(28, 1)}, "Reserved"), ({"td_attributes": _bits(28, 4)}, "profiling"),
            ({"td_attributes": _bits(28, 17)}, "SERVTD_EXT"), ({"mr_service_td": b"\1" * 48}, "service TD"),
        ],
    )  # fmt: skip
    def test_a_trust_domain_in_a_state_that_is_not_trusted(self, report: dict[str, bytes], match: str) -> None:
        refused(AttestationError, 9, TDX15.mint(report=report), match)

    @pytest.mark.parametrize(
        ("qe", "match"),
        [
            ({"mr_signer": b"\1" * 32}, "MRSIGNER"), ({"isv_prod_id": b"\x09\0"}, "ISVPRODID"),
            ({"misc_select": b"\1"}, "MISCSELECT"),
            ({"attributes": bytes((0x15 | 2, *bytes(15)))}, "Debug"), ({"attributes": bytes((0x05, *bytes(15)))}, "ATTRIBUTES"),
            ({"isv_svn": b"\3\0"}, "below minimum"),
        ],
    )  # fmt: skip
    def test_another_quoting_enclave(self, qe: dict[str, bytes], match: str) -> None:
        refused(AttestationError, 9, TDX.mint(qe=qe), match)

    def test_an_old_quoting_enclave(self) -> None:
        found = verify(TDX.mint(qe={"isv_svn": b"\4\0"}))
        assert (found.tcb_status, found.tcb["qesvn"]) == ("OutOfDate", 4)

    def test_statements_without_levels(self) -> None:
        refused(AttestationError, 9, TDX.mint(tcb_info={"tcbLevels": []}), "No matching TCB level")
        refused(AttestationError, 9, TDX.mint(tcb_info={"tcbLevels": 3}), "TcbInfo")
        refused(AttestationError, 9, TDX.mint(qe_identity={"tcbLevels": []}), "No TCB levels")

    def test_a_panic_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class PanicException(BaseException):
            """As pyo3's: no Exception."""

        def panic(*_: object) -> None:
            raise PanicException("index out of bounds\n  at src/verify.rs")

        monkeypatch.setattr(dcap_qvl, "verify_with_root_ca", panic)
        refused(AttestationError, 9, TDX.mint(), "index out of bounds at")


class TestAppraisal:
    def test_an_older_evaluation_is_a_rollback(self) -> None:
        found = verify(TDX.mint(tcb_info={"tcbEvaluationDataNumber": 19}))
        wanted = _reference(found, minimum_tcb={"evaluation": 20})
        with pytest.raises(AttestationError, match="evaluation is at version 19"):
            appraise(found, wanted, made=NOW, at=NOW, scope="key")

    def test_a_status_or_an_advisory_that_is_not_allowed(self) -> None:
        wanted = _reference(verify(TDX.mint()))
        for fields, match in (({"status": "OutOfDate"}, "OutOfDate"), ({"advisories": ["INTEL-SA-1"]}, "INTEL-SA-1")):
            with pytest.raises(AttestationError, match=match):
                appraise(verify(TDX.mint(**fields)), wanted, made=NOW, at=NOW, scope="key")  # type: ignore[arg-type]

    def test_another_measurement(self) -> None:
        wanted = _reference(verify(TDX.mint()))
        with pytest.raises(AttestationError, match="register mrtd"):
            appraise(verify(TDX.mint(measurement=b"\1" * 48)), wanted, made=NOW, at=NOW, scope="key")

    @pytest.mark.parametrize("other", [{"key": Digest.of(b"another")}, {"nonce": b"another"}, {"claim": Digest.of(b"claim")}])
    def test_evidence_for_another_key_nonce_or_claim(self, other: Mapping[str, Any]) -> None:
        own: dict[str, Any] = {"key": Digest.of(b"key"), "nonce": b"nonce"}
        for vendor in (TDX, SGX):
            found = verify(vendor.mint(report_data=binding.report_data(**own)), kind=vendor.kind)
            binding.check_binding(found.kind, found.report_data, binding.report_data(**own))
            with pytest.raises(BindingError):
                binding.check_binding(found.kind, found.report_data, binding.report_data(**(own | dict(other))))


@given(data=st.data(), vendor=st.sampled_from([TDX, TDX15, SGX]))
@settings(max_examples=150, deadline=None)
def test_arbitrary_bytes_raise_only_errors(data: st.DataObject, vendor: FakeIntel) -> None:
    evidence, (file,), roots = MINTED[vendor.kind, vendor.version]
    pieces = [evidence, file]
    chosen = data.draw(st.integers(0, 1))
    piece, at, length = pieces[chosen], data.draw(st.integers(0, 20_000)), data.draw(st.integers(0, 8))
    at %= len(piece)
    pieces[chosen] = piece[:at] + data.draw(st.binary(min_size=length, max_size=length)) + piece[at + length :]
    try:
        verify((pieces[0], (pieces[1],), roots), kind=vendor.kind)
    except Error:
        return
    assert pieces == [evidence, file]


MINTED = {(v.kind, v.version): v.mint() for v in (TDX, TDX15, SGX)}


def _signed_by(
    signer: Authority, name: str, *, chain: tuple[x509.Certificate, ...] = ()
) -> tuple[bytes, tuple[bytes, ...], Roots]:
    """One statement signed by ``signer``, the rest as it should be."""
    text = json.dumps(TDX.tcb_info() if name == "tcb_info" else TDX.qe_identity(), separators=(",", ":"))
    shown = pem(*(chain or signer.chain)).decode()
    file = {name: text, f"{name}_signature": intel.sign(text.encode(), signer.key).hex(), f"{name}_issuer_chain": shown}
    return TDX.mint(file=file)


def _on(vendor: FakeIntel, platform: bytes) -> FakeIntel:
    """The same vendor, on another processor."""
    given = {"root": vendor.root, "ca": vendor.ca, "signer": vendor.signer, "pck": vendor.processor(platform=platform)}
    return FakeIntel(vendor.kind, vendor.version, given=given)


def _reference(found: VerifiedEvidence, **fields: Any) -> Reference:
    measurements = {register: (value,) for register, value in found.measurements.items()}
    return Reference(name="wanted", kind=found.kind, measurements=measurements, max_age=timedelta(days=1), **fields)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
