# SPDX-License-Identifier: Apache-2.0
"""Attacks on the evidence of GPUs, each refused by the numbered check that is there for it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.pki.authority import DAY, NOW, Authority, new_key, pem
from tests.fakes.pki.nvidia import (
    DRIVER,
    DRIVER_INDICES,
    FWID,
    SERIAL,
    VBIOS,
    VBIOS_INDICES,
    FakeNvidia,
    golden,
    measured,
    sign,
)
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
from verifiable.tee import binding
from verifiable.tee.evidence import MAX_COLLATERAL, VerifiedEvidence
from verifiable.tee.nvidia import NAMES, parse
from verifiable.tee.nvidia.report import SIGNATURE_SIZE
from verifiable.tee.reference import Reference, appraise
from verifiable.tee.roots import Roots, shipped

FAKE = FakeNvidia()
#: Another of NVIDIA's GPUs, of the same chip: its own boot ROM and key.
OTHER_GPU = FakeNvidia()
for each in ("device_root", "identity", "provisioner", "rim_root", "rim_chip", "rim_signers", "signer"):
    setattr(OTHER_GPU, each, getattr(FAKE, each))
GOOD, COLLATERAL, ROOTS = FAKE.mint(report_data=b"r" * 64)
CHAIN, DRIVER_VALUES, VBIOS_VALUES = COLLATERAL
#: The order of P-384 (SEC 2 v2, 2.5.1).
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
WANTED = Reference(name="ours", kind="nvidia", measurements={"driver": (DRIVER,), "vbios": (VBIOS,)}, max_age=timedelta(hours=1))


def verify(data: bytes = GOOD, collateral: Sequence[bytes] = COLLATERAL, **arguments: Any) -> VerifiedEvidence:
    return parse(data, kind="nvidia").verify(**({"at": NOW, "roots": ROOTS, "collateral": collateral} | arguments))


def refused(
    kind: type[Error], check: int, why: str, data: bytes = GOOD, collateral: Sequence[bytes] = COLLATERAL, **arguments: Any
) -> None:
    """By that kind of error, at that number, and the ones before had passed."""
    with pytest.raises(kind, match=why) as caught:
        verify(data, collateral, **arguments)
    checks = caught.value.checks  # type: ignore[attr-defined]
    assert [(each.number, each.status) for each in checks] == [(n, "pass") for n in range(1, check)] + [(check, "fail")]


def test_what_is_established() -> None:
    found = verify()
    assert (found.kind, found.at, found.report_data, found.issued_on) == ("nvidia", NOW, b"r" * 32, None)
    versions = {name: value for name, value in found.measurements.items() if not name.startswith("msr-")}
    assert versions == {
        "driver": DRIVER, "vbios": VBIOS, "gpu": "GH100", "board": "1010_0200_882", "mode": "spt", "fwid": FWID.hex()
    }  # fmt: skip
    assert found.measurements["msr-00"] == measured(0).hex()
    assert found.measurements["msr-63"] == measured(63).hex()
    assert (found.debug, found.simulated, found.tcb, found.tcb_status, found.advisories) == (False, False, {}, "", ())
    assert found.identity == {"chip": "GH100", "serial": SERIAL}
    assert found.anchor == FAKE.device_root.roots("nvidia", name="fake-device").roots[0]
    status = [(each.name, each.status) for each in found.checks]
    assert status == [(name, "pass") for name in NAMES[:-1]] + [("revocation", "skip")]
    appraise(found, WANTED, made=NOW, at=NOW, scope=None)


def test_a_blackwell() -> None:
    data, collateral, roots = FakeNvidia("GB100").mint()
    found = verify(data, collateral, roots=roots)
    assert (found.measurements["gpu"], found.measurements["mode"], found.tcb, found.debug) == ("GB100", "mpt", {"svn": 1}, False)


def test_a_certificate_in_debug_mode() -> None:
    data, collateral, roots = FAKE.mint(debug=True)
    found = verify(data, collateral, roots=roots)
    assert found.debug
    with pytest.raises(AttestationError, match="debug mode"):
        appraise(found, WANTED, made=NOW, at=NOW, scope=None)


def test_an_older_driver_is_not_what_is_wanted() -> None:
    """Rolled back, and sound by itself: NVIDIA signed golden values for it too."""
    data, collateral, roots = FAKE.mint(driver="535.00.01")
    found = verify(data, collateral, roots=roots)
    with pytest.raises(AttestationError, match=r"register driver holds 535\.00\.01"):
        appraise(found, WANTED, made=NOW, at=NOW, scope=None)


def test_an_older_security_version_is_not_what_is_wanted() -> None:
    data, collateral, roots = FakeNvidia("GB100").mint()
    found = verify(data, collateral, roots=roots)
    wanted = Reference(
        name="newer", kind="nvidia", measurements={"driver": (DRIVER,)}, max_age=DAY, minimum_tcb={"svn": 2}
    )  # fmt: skip
    with pytest.raises(AttestationError, match="svn is at version 1"):
        appraise(found, wanted, made=NOW, at=NOW, scope=None)


def test_bound_to_one_key_and_nonce() -> None:
    key, other = Digest.of(b"key"), Digest.of(b"other key")
    data, _, _ = FAKE.mint(report_data=binding.report_data(key=key, nonce=b"n"))
    report = parse(data, kind="nvidia")
    binding.check_binding("nvidia", report.report_data, binding.report_data(key=key, nonce=b"n"))
    for wrong in ({"key": other, "nonce": b"n"}, {"key": key, "nonce": b"m"}, {"key": key, "nonce": b"n", "claim": key}):
        with pytest.raises(BindingError):
            binding.check_binding("nvidia", report.report_data, binding.report_data(**wrong))  # type: ignore[arg-type]


# 1. collateral


def test_in_any_order() -> None:
    assert verify(collateral=COLLATERAL[::-1]).measurements == verify().measurements


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        (b"", "collateral 4 is nothing"),
        (b"{}", "collateral 4 is nothing"),
        (GOOD, "collateral 4 is nothing"),
        (FAKE.firmware.der, "collateral 4 is nothing"),
        (CHAIN, "a second chain"),
        (DRIVER_VALUES, "given twice"),
        (VBIOS_VALUES, "given twice"),
        (FAKE.manifest("550.90.08"), "for version 550.90.08: not needed"),
        (b"<SoftwareIdentity>", "well-formed"),
    ],
)
def test_pieces_that_do_not_belong(extra: bytes, why: str) -> None:
    refused(MalformedError, 1, why, collateral=(*COLLATERAL, extra))


def test_certificates_that_are_cut_off() -> None:
    refused(MalformedError, 1, "not a PEM file", collateral=(CHAIN[:-40], DRIVER_VALUES, VBIOS_VALUES))


def test_too_many_pieces() -> None:
    refused(MalformedError, 1, "at most 16", collateral=[CHAIN] * (MAX_COLLATERAL + 1))


@pytest.mark.parametrize(
    ("missing", "check", "hint"),
    [
        (0, 2, "the chain in PEM"),
        (1, 5, "https://rim.attestation.nvidia.com/v1/rim/NV_GPU_DRIVER_GH100_550.90.07"),
        (2, 6, "https://rim.attestation.nvidia.com/v1/rim/NV_GPU_VBIOS_1010_0200_882_96009F0001"),
    ],
)
def test_a_missing_piece(missing: int, check: int, hint: str) -> None:
    rest = [piece for number, piece in enumerate(COLLATERAL) if number != missing]
    refused(TrustError, check, "are not here", collateral=rest)
    with pytest.raises(TrustError) as caught:
        verify(collateral=rest)
    assert hint in caught.value.hint
    assert "--collateral FILE" in caught.value.hint


def test_the_name_of_a_blackwells_driver_values() -> None:
    data, collateral, roots = FakeNvidia("GB100").mint()
    refused(TrustError, 5, "NV_GPU_CC_DRIVER_GB100_550.90.07", data, collateral[:1], roots=roots)


# 2. certificates


def test_another_root() -> None:
    refused(TrustError, 2, "no root that is trusted", roots=shipped())
    refused(TrustError, 2, "no root that is trusted", roots=Roots())
    refused(TrustError, 2, "no root that is trusted", roots=FAKE.device_root.roots("nvidia-rim") + FAKE.rim_root.roots("nvidia"))


def test_a_root_of_the_trusted_ones_name() -> None:
    """The root that comes with the chain proves nothing."""
    data, (chain, _, _), _ = FakeNvidia().mint()
    refused(SignatureError, 2, "does not hold", data, (chain, DRIVER_VALUES, VBIOS_VALUES))


def test_certificates_from_whoever_signs_golden_values() -> None:
    leaf = FAKE.rim_signers.authority("GH100 FMC", ca=False)
    refused(TrustError, 2, "no root that is trusted", FAKE.report(firmware=leaf), (pem(*leaf.chain), *COLLATERAL[1:]))


@pytest.mark.parametrize("name", ["device_root", "identity", "provisioner", "boot_rom", "firmware"])
def test_judged_at_its_time(name: str) -> None:
    fake = FakeNvidia(fields={name: {"since": NOW - DAY, "until": NOW + DAY}})
    data, collateral, roots = fake.mint()
    verify(data, collateral, roots=roots)
    for at in (NOW - 2 * DAY, NOW + 2 * DAY):
        refused(StaleError, 2, "is valid from", data, collateral, roots=roots, at=at)


@pytest.mark.parametrize(
    ("name", "fields", "why"),
    [
        ("provisioner", {"ca": False}, "is no authority over"),
        ("identity", {"path_length": 0}, "is no authority over"),
        ("boot_rom", {"usage": ("digital_signature",)}, "may not be used for signing certificates"),
        ("boot_rom", {"constraints": False}, "is no authority over"),
        ("firmware", {"usage": ("key_agreement",)}, "may not be used for signing measurements"),
        ("firmware", {"constraints": True, "ca": True}, "is an authority's"),
        ("provisioner", {"extensions": [("1.2.3.4", b"\x05\0", True)]}, "critical extension 1.2.3.4"),
    ],
)
def test_certificates_for_something_else(name: str, fields: dict[str, Any], why: str) -> None:
    data, collateral, roots = FakeNvidia(fields={name: fields}).mint()
    refused(AttestationError, 2, why, data, collateral, roots=roots)


def test_the_boot_rom_signs_no_reports() -> None:
    """It is certified for certificates alone, though by the same chain."""
    chain = pem(*FAKE.boot_rom.chain)
    refused(AttestationError, 2, "is an authority's", FAKE.report(firmware=FAKE.boot_rom), (chain, *COLLATERAL[1:]))


def test_the_certificates_are_the_chain_and_nothing_more() -> None:
    chain = FAKE.firmware.chain
    assert verify(collateral=(pem(*chain[:-1]), *COLLATERAL[1:])).anchor  # the root may be left out
    again = Authority.root("Fake Device Identity CA", key=FAKE.device_root.key)
    more, mixed = (*chain, FAKE.signer.certificate), (chain[0], chain[2], chain[1], *chain[3:])
    for wrong in (more, mixed, (*chain[:-1], again.certificate)):
        refused(MalformedError, 2, "one chain in order", collateral=(pem(*wrong), *COLLATERAL[1:]))


# 3. device


def test_a_certificate_that_is_no_gpus() -> None:
    leaf = FAKE.boot_rom.authority("GH100 FMC", ca=False, constraints=False)
    refused(AttestationError, 3, "names no firmware and device", FAKE.report(firmware=leaf), (pem(*leaf.chain), *COLLATERAL[1:]))


def test_other_firmware_than_the_certificates() -> None:
    leaf = FAKE.leaf(fwid=bytes(48))
    refused(
        AttestationError, 3, "is not the one in its certificate", FAKE.report(firmware=leaf), (pem(*leaf.chain), *COLLATERAL[1:])
    )


def test_a_report_that_leaves_the_firmware_to_the_certificate() -> None:
    assert verify(FAKE.report(opaque={20: None})).measurements["fwid"] == FWID.hex()


def test_another_chip_than_the_certificates() -> None:
    refused(AttestationError, 3, "of a GB100, signed by a GH100", FAKE.report(opaque={35: b"GB100\0"}))


# 4. signature


def test_a_report_that_another_gpu_signed() -> None:
    refused(SignatureError, 4, "does not hold", OTHER_GPU.report())
    _, (chain, _, _), _ = OTHER_GPU.mint()
    refused(SignatureError, 4, "does not hold", collateral=(chain, DRIVER_VALUES, VBIOS_VALUES))


@pytest.mark.parametrize("signature", [bytes(96), b"\xff" * 96, bytes(47) + b"\x01" + bytes(47) + b"\x01"])
def test_signatures_that_are_none(signature: bytes) -> None:
    refused(SignatureError, 4, "does not hold", FAKE.report(signature=signature))


def test_request_and_response_are_signed_together() -> None:
    """The response alone, which the GPU also might sign for somebody, says nothing of the caller's nonce."""
    report = FAKE.report()
    signed = report[:-SIGNATURE_SIZE]
    for part in (signed[37:], signed[:-1], signed + b"\0"):
        refused(SignatureError, 4, "does not hold", signed + sign(part, FAKE.firmware.key))


@pytest.mark.parametrize("at", [4, 36 + 12, 60, -96 - 20, -96 - 200])
def test_every_field_is_under_the_signature(at: int) -> None:
    changed = bytearray(GOOD)
    changed[at] ^= 0x80
    with pytest.raises((SignatureError, AttestationError, MalformedError)):
        verify(bytes(changed))


def test_a_nonce_put_in_afterwards() -> None:
    refused(SignatureError, 4, "does not hold", GOOD[:4] + bytes(32) + GOOD[36:])


@pytest.mark.parametrize("kind", ["p256", "rsa"])
def test_a_key_that_is_not_on_p384(kind: str) -> None:
    leaf = FAKE.leaf(key=new_key(kind))
    data = FAKE.report(signature=bytes(96)) if kind == "rsa" else FAKE.report(firmware=leaf)
    refused(AttestationError, 4, "not on P-384", data, (pem(*leaf.chain), *COLLATERAL[1:]))


def test_a_key_on_another_curve_of_that_size() -> None:
    leaf = FAKE.leaf(key=ec.generate_private_key(ec.BrainpoolP384R1()))
    with pytest.raises(UnsupportedError, match="on brainpoolP384r1"):
        verify(FAKE.report(firmware=leaf), (pem(*leaf.chain), *COLLATERAL[1:]))


def test_the_mirrored_signature_says_the_same_and_is_another_file() -> None:
    """ECDSA: with (r, s) also (r, n - s) holds, and GPUs write either. Who names evidence names it by digest (see nvidia.md)."""
    half = SIGNATURE_SIZE // 2
    mirrored = GOOD[:-half] + (ORDER - int.from_bytes(GOOD[-half:], "big")).to_bytes(half, "big")
    assert verify() == verify(mirrored)
    assert parse(GOOD, kind="nvidia") != parse(mirrored, kind="nvidia")


# 5. driver, 6. vbios


@pytest.mark.parametrize(("check", "version", "indices"), [(5, DRIVER, DRIVER_INDICES), (6, VBIOS, VBIOS_INDICES)])
def test_golden_values_that_nobody_should_trust(check: int, version: str, indices: tuple[int, ...]) -> None:
    def given(fake: FakeNvidia, **fields: Any) -> tuple[bytes, ...]:
        data = fake.manifest(version, golden(indices), **fields)
        return (CHAIN, data, VBIOS_VALUES) if check == 5 else (CHAIN, DRIVER_VALUES, data)

    verify(collateral=given(FAKE))
    refused(SignatureError, check, "does not hold", collateral=given(FakeNvidia()))
    refused(TrustError, check, "no root that is trusted", collateral=given(FAKE, signer=FAKE.firmware))
    refused(AttestationError, check, "for a GB100, not a GH100", collateral=given(FAKE, product="GB100"))
    old = FAKE.rim_signers.authority("expired", ca=False, until=NOW - DAY)
    refused(StaleError, check, "is valid from", collateral=given(FAKE, signer=old))
    none = FAKE.manifest(version, {})
    refused(
        AttestationError, check, "none of them is active",
        collateral=(CHAIN, none, VBIOS_VALUES) if check == 5 else (CHAIN, DRIVER_VALUES, none),
    )  # fmt: skip


def test_roots_for_golden_values_are_their_own() -> None:
    """The root of devices does not stand in for that of golden values."""
    refused(TrustError, 5, "no root that is trusted", roots=FAKE.device_root.roots("nvidia"))


# 7. measurements


@pytest.mark.parametrize(("index", "source"), [(7, "driver"), (35, "driver"), (0, "vbios"), (8, "vbios")])
def test_a_measurement_that_is_not_golden(index: int, source: str) -> None:
    refused(AttestationError, 7, rf"measurements {index} \({source}\)", FAKE.report(measurements={index: bytes(48)}))


def test_all_wrong_measurements_are_named() -> None:
    wrong = {index: bytes(48) for index in (0, 21, 22)}
    refused(AttestationError, 7, r"21 \(driver\), 22 \(driver\), 0 \(vbios\)", FAKE.report(measurements=wrong))


def test_a_measurement_of_another_size() -> None:
    refused(AttestationError, 7, r"7 \(driver\)", FAKE.report(measurements={7: measured(7)[:-1]}))


def test_a_measurement_that_is_left_out() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.fakes.pki.nvidia.COUNT", 22)
        data = FAKE.report()
    assert len(parse(data, kind="nvidia").measurements) == 22
    refused(AttestationError, 7, r"22 \(driver\), 35 \(driver\)", data)


def test_measurements_that_nothing_rules_may_be_anything() -> None:
    assert verify(FAKE.report(measurements={63: bytes(48)})).measurements["msr-63"] == "00" * 48


def test_one_of_several_golden_values() -> None:
    values = golden(DRIVER_INDICES) | {21: (bytes(48), measured(21), b"\1" * 48)}
    several = (CHAIN, FAKE.manifest(DRIVER, values), VBIOS_VALUES)
    for value in values[21]:
        verify(FAKE.report(measurements={21: value}), several)
    refused(AttestationError, 7, r"21 \(driver\)", FAKE.report(measurements={21: b"\2" * 48}), several)


def test_an_index_that_both_rule() -> None:
    values = golden((*VBIOS_INDICES, 21))
    refused(AttestationError, 7, "both rule measurement 21", collateral=(CHAIN, DRIVER_VALUES, FAKE.manifest(VBIOS, values)))


def test_the_video_decoder_is_left_out_where_it_is_off() -> None:
    off = {11: b"\x55"}
    found = verify(FAKE.report(opaque=off, measurements={35: bytes(48)}))
    assert "35 not compared" in found.checks[6].detail
    assert "3 of 4 by driver" in found.checks[6].detail
    assert "not compared" not in verify(FAKE.report(opaque=off)).checks[6].detail
    refused(AttestationError, 7, r"35 \(driver\)", FAKE.report(opaque={11: None}, measurements={35: bytes(48)}))
    refused(AttestationError, 7, r"21 \(driver\)", FAKE.report(opaque=off, measurements={21: bytes(48)}))


# 8. revocation


def _lists(*, revoked: str = "", **fields: Any) -> list[bytes]:
    """Of every authority of the three chains, with one certificate on its issuer's list."""
    issuers = {
        "identity": "device_root", "provisioner": "identity", "boot_rom": "provisioner", "firmware": "boot_rom",
        "rim_chip": "rim_root", "rim_signers": "rim_chip", "signer": "rim_signers",
    }  # fmt: skip
    found = []
    for subject, issuer in issuers.items():
        serials = [getattr(LISTING, subject).certificate.serial_number] if subject == revoked else []
        found.append(getattr(LISTING, issuer).crl(serials, **fields))
    return found


#: As FAKE, but its boot ROMs may sign lists, so that every link can be revoked.
LISTING = FakeNvidia(fields={"boot_rom": {"usage": ("key_cert_sign", "crl_sign")}})
LISTED, LISTED_COLLATERAL, LISTED_ROOTS = LISTING.mint()


def _verify_listed(lists: Sequence[bytes], **arguments: Any) -> VerifiedEvidence:
    return verify(LISTED, (*LISTED_COLLATERAL, *lists), **({"roots": LISTED_ROOTS} | arguments))


def test_nothing_revoked() -> None:
    found = _verify_listed(_lists())
    assert found.checks[7].status == "pass"
    assert found.checks[7].detail.count("1 not revoked by") == 7


@pytest.mark.parametrize("name", ["identity", "provisioner", "boot_rom", "firmware", "rim_chip", "rim_signers", "signer"])
def test_a_revoked_certificate(name: str) -> None:
    with pytest.raises(AttestationError, match="is revoked by") as caught:
        _verify_listed(_lists(revoked=name))
    assert [each.status for each in caught.value.checks] == ["pass"] * 7 + ["fail"]  # type: ignore[attr-defined]


def test_a_list_that_is_not_current() -> None:
    for at in (NOW - 2 * DAY, NOW + 31 * DAY):
        with pytest.raises(StaleError, match="revocation list"):
            _verify_listed(_lists(), at=at)


def test_a_list_that_somebody_else_signed() -> None:
    with pytest.raises(SignatureError, match="revocation list"):
        _verify_listed(_lists(signing_key=new_key()))


def test_a_list_of_an_authority_that_may_not_sign_lists() -> None:
    refused(AttestationError, 8, "may not be used for signing revocation lists", collateral=(*COLLATERAL, FAKE.boot_rom.crl()))


def test_lists_that_do_not_belong() -> None:
    stranger = Authority.root("somebody else").crl()
    refused(MalformedError, 8, "no authority that stands behind", collateral=(*COLLATERAL, stranger))
    again = FAKE.identity.crl()
    refused(MalformedError, 1, "a second revocation list", collateral=(*COLLATERAL, FAKE.identity.crl(), again))
    refused(MalformedError, 1, "bytes too many", collateral=(*COLLATERAL, again + b"\0"))


# Nothing else is raised

LIST = FAKE.identity.crl()


@settings(deadline=None)
@given(st.data())
def test_arbitrary_collateral_raises_nothing_else(data: Any) -> None:
    pieces = list(COLLATERAL)
    number = data.draw(st.integers(0, 2))
    start = data.draw(st.integers(0, len(pieces[number])))
    inserted, removed = data.draw(st.binary(max_size=40)), data.draw(st.integers(0, 40))
    pieces[number] = pieces[number][:start] + inserted + pieces[number][start + removed :]
    pieces += data.draw(st.lists(st.binary(max_size=40) | st.integers(0, len(LIST)).map(lambda size: LIST[:size]), max_size=1))
    with contextlib.suppress(Error):
        verify(collateral=pieces)
