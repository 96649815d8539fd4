# SPDX-License-Identifier: Apache-2.0
"""From the interfaces of the machine to an attestation that verifies: fake hardware of each kind behind each way to ask it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.configfs_tsm import Direct, FakeTsm
from tests.fakes.nsm import FakeNsm
from tests.fakes.pki.amd import FakeAmd, certificate_table
from tests.fakes.pki.authority import DAY, NOW
from tests.fakes.pki.aws import FakeNitro
from tests.fakes.pki.intel import FakeIntel
from verifiable.digest import Digest
from verifiable.errors import BindingError, MalformedError, StaleError, TrustError, UnsupportedError
from verifiable.tee import registry
from verifiable.tee.attesters import Attester
from verifiable.tee.attesters.configfs_tsm import ConfigfsTsm
from verifiable.tee.attesters.nsm import Nsm
from verifiable.tee.attesters.registry import KINDS, find
from verifiable.tee.attesting import Attached, attest
from verifiable.tee.document import Attestation
from verifiable.tee.roots import Roots

KEY, CLAIM = Digest.of(b"a key"), Digest.of(b"a claim")
VCEK, ASK, ARK = (
    "63da758d-e664-4564-adc5-f4b93be8accd",
    "4ab7b379-bbac-4fe4-a02f-05aef327c782",
    "c0b406a4-a803-4952-9743-3fb6014cd0ae",
)
#: An attester, what its machine cannot give, and the roots that its evidence verifies under.
Machine = tuple[Attester, tuple[bytes, ...], Roots]


def tdx() -> Machine:
    fake = FakeIntel(kind="tdx")
    _, collateral, roots = fake.mint()
    model = FakeTsm("tdx_guest", lambda inblob, _: (fake.mint(report_data=inblob)[0], b""))
    return ConfigfsTsm(kind="tdx", requests=Direct(model)), collateral, roots


def snp(*, table: bool = True) -> Machine:
    fake = FakeAmd()
    certificates = certificate_table((VCEK, fake.certificate()), (ASK, fake.ask.der), (ARK, fake.ark.der)) if table else b""
    model = FakeTsm(
        "sev_guest", lambda inblob, level: (fake.report(report_data=inblob, vmpl=level), certificates), floor=0, auxiliary=True
    )
    return ConfigfsTsm(kind="snp", requests=Direct(model)), (), fake.roots


def nitro() -> Machine:
    fake = FakeNitro()
    module = FakeNsm(lambda user_data: fake.mint(report_data=user_data)[0])
    return Nsm(device=Path(os.devnull), ioctl=module.ioctl), (), fake.roots


MACHINES: dict[str, Callable[[], Machine]] = {"tdx": tdx, "snp": snp, "nitro": nitro}


def ask(machine: Machine, **options: Any) -> Attached:
    attester, collateral, roots = machine
    return attest(attester, key=KEY, **({"clock": lambda: NOW, "collateral": collateral, "roots": roots} | options))


@pytest.mark.parametrize("kind", MACHINES)
def test_what_a_machine_gives_verifies_and_is_bound(kind: str) -> None:
    machine = MACHINES[kind]()
    for claim in (None, CLAIM):
        attached = ask(machine, nonce=b"n", claim=claim)
        attestation = Attestation.parse(attached.attestation.encode())
        assert (attestation.kind, attestation.scope, attestation.nonce) == (kind, "receipt" if claim else "key", b"n")
        blobs = {Digest.of(data): data for data in attached.collateral}
        evidence = attestation.open(key=KEY, claim=claim)
        verified = evidence.verify(at=NOW, roots=machine[2], collateral=attestation.find_collateral(blobs))
        assert (verified.kind, verified.anchor) == (kind, machine[2].roots[0])
        with pytest.raises(BindingError):
            attestation.open(key=Digest.of(b"another key"), claim=claim)


def test_what_the_host_has_of_certificates_comes_along() -> None:
    assert len(ask(snp()).collateral) == 3
    with pytest.raises(TrustError, match="certificate of the key that signed"):
        ask(snp(table=False))
    assert len(ask(snp(table=False), collateral=(FakeAmd().certificate(), FakeAmd().chain)).collateral) == 2


def test_a_hosts_broken_table_is_named() -> None:
    fake = FakeAmd()
    model = FakeTsm("sev_guest", lambda inblob, _: (fake.report(report_data=inblob), b"not a table"), auxiliary=True)
    with pytest.raises(MalformedError, match="certificate table"):
        ask((ConfigfsTsm(kind="snp", requests=Direct(model)), (), fake.roots))
    assert model.requests == {}


def test_evidence_of_other_data_is_not_handed_out() -> None:
    """A host that replays a report, past the count of writes."""
    fake = FakeAmd()
    old = fake.report(report_data=b"o" * 64)
    model = FakeTsm("sev_guest", lambda *_: (old, b""), auxiliary=True)
    with pytest.raises(BindingError, match="snp evidence was not made for this key"):
        ask((ConfigfsTsm(kind="snp", requests=Direct(model)), (fake.certificate(), fake.chain), fake.roots))


def test_evidence_that_nobody_could_verify_is_not_handed_out() -> None:
    with pytest.raises(StaleError):
        ask(nitro(), clock=lambda: NOW + DAY)
    with pytest.raises(TrustError):
        ask(nitro(), roots=FakeNitro(root_name="another").roots)


@pytest.mark.parametrize("kind", KINDS)
def test_attesters_are_found_by_kind(kind: str) -> None:
    assert find(kind).kind == kind


@pytest.mark.parametrize("kind", ["sgx", "nvidia", "", "tdx\n"])
def test_kinds_that_cannot_be_asked_for(kind: str) -> None:
    with pytest.raises(UnsupportedError, match="cannot be asked for from here") as caught:
        find(kind)
    assert "tdx, snp, nitro, software" in caught.value.hint


def test_kinds_that_cannot_be_read() -> None:
    with pytest.raises(UnsupportedError, match="is not known here"):
        registry.parse("os", b"")


def test_software_is_asked_like_hardware() -> None:
    attached = attest(find("software"), key=KEY, clock=lambda: datetime.now(UTC))
    assert attached.attestation.open(key=KEY, claim=None).kind == "software"
