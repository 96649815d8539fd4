# SPDX-License-Identifier: Apache-2.0
"""The vendors' roots that come with the package, by their fingerprints, and who may stand behind what."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fakes.pki.authority import NOW, Authority, pem
from verifiable.digest import Digest
from verifiable.errors import MalformedError
from verifiable.tee.evidence import KINDS
from verifiable.tee.roots import Roots, read_shipped, shipped
from verifiable.tee.x509 import CERT_SIGN, follow, parse_pem_chain

#: As the vendors publish them.
FINGERPRINTS = {
    "intel-sgx-root": "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3",
    "aws-nitro-root-g1": "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b",
    "amd-ark-milan": "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
    "amd-ark-genoa": "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
    "amd-ark-turin": "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
    "nvidia-device-root": "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48",
    "nvidia-rim-root": "12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1",
}
INTERMEDIATES = ("amd-ask-milan", "amd-ask-genoa", "amd-ask-turin", "amd-asvk-milan")
BY_KIND = {
    "tdx": {"intel-sgx-root"},
    "sgx": {"intel-sgx-root"},
    "nitro": {"aws-nitro-root-g1"},
    "snp": {"amd-ark-milan", "amd-ark-genoa", "amd-ark-turin"},
    "nvidia": {"nvidia-device-root"},
    "nvidia-rim": {"nvidia-rim-root"},
    "software": set(),
    "": set(),
}


def test_the_shipped_roots_are_these() -> None:
    assert {root.name: root.fingerprint.hex for root in shipped().roots} == FINGERPRINTS
    assert shipped() is shipped()


@pytest.mark.parametrize("kind", BY_KIND)
def test_who_stands_behind_what(kind: str) -> None:
    assert {root.name for root in shipped().of(kind)} == BY_KIND[kind]
    assert set(KINDS) < set(BY_KIND)


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_a_root_is_an_authority_that_signed_itself(name: str) -> None:
    root = next(root for root in shipped().roots if root.name == name).certificate
    root.verify_signature(root)
    root.require_current(NOW)
    root.require_usage(CERT_SIGN, what="signing certificates")
    assert root.issuer == root.subject
    assert root.path_length is None or root.path_length > 0


@pytest.mark.parametrize("name", INTERMEDIATES)
def test_amds_intermediate_keys_are_no_roots_but_lead_to_one(name: str) -> None:
    (certificate,) = parse_pem_chain(read_shipped(name), what=name)
    anchors = [root.certificate for root in shipped().of("snp")]
    assert certificate not in anchors
    chain = follow(certificate, [], anchors, at=NOW, what=name)
    assert next(root.name for root in shipped().of("snp") if root.certificate == chain[-1]) == f"amd-ark-{name.split('-')[2]}"


def test_nothing_else_is_shipped(checkout: Path) -> None:
    files = {
        path.stem for path in (checkout / "verifiable" / "tee" / "roots").glob("*") if path.suffix != ".py" and path.is_file()
    }
    assert files == set(FINGERPRINTS) | set(INTERMEDIATES)


def test_the_document_lists_each_fingerprint(checkout: Path) -> None:
    text = (checkout / "docs" / "formats" / "attestation.md").read_text()
    for name, fingerprint in FINGERPRINTS.items():
        line = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
        assert f"`{fingerprint}`" in line


def test_every_fingerprint_in_the_documents_is_of_the_file_beside_it(checkout: Path) -> None:
    """Wherever one stands in a table, intermediate keys included; and each of those stands somewhere."""
    told = set()
    for document in (checkout / "docs").rglob("*.md"):
        for name, fingerprint in re.findall(r"^\| `([a-z0-9-]+)` \|.*`([0-9a-f]{64})` \|$", document.read_text(), re.MULTILINE):
            (certificate,) = parse_pem_chain(read_shipped(name), what=name)
            assert Digest.of(certificate.der).hex == fingerprint, f"{document}: {name}"
            told.add(name)
    assert told == set(FINGERPRINTS) | set(INTERMEDIATES)


def test_roots_of_ones_own() -> None:
    one, other = Authority.root("one"), Authority.root("other")
    roots = Roots.given("mine", ["snp", "tdx"], pem(one.certificate, other.certificate))
    assert [root.certificate for root in roots.of("snp")] == [one.parsed, other.parsed]
    assert roots.of("tdx") == roots.of("snp") != roots.of("nitro") == ()
    both = shipped() + roots
    assert len(both.of("snp")) == 5
    assert len(shipped().of("snp")) == 3


@pytest.mark.parametrize("data", [b"", b"not a certificate", Authority.root("one").der])
def test_roots_that_cannot_be_read(data: bytes) -> None:
    with pytest.raises(MalformedError, match="root 'mine'"):
        Roots.given("mine", ["snp"], data)
