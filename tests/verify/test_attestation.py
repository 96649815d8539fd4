# SPDX-License-Identifier: Apache-2.0
"""What hardware says of a receipt (check 6): each rule of docs/formats/attestation.md, "In a receipt", and the attack that it
stops.

The vendors' own formats are attacked in tests/tee; here the evidence is sound and used for what it does not say.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache, partial

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fakes.attested import Attested, Mint, attest, wanting
from tests.fakes.log import COSIGNED, FakeLog
from tests.fakes.pki.amd import FakeAmd
from tests.fakes.pki.authority import new_key, pem
from tests.fakes.pki.aws import MEASUREMENT, FakeNitro
from tests.fakes.pki.intel import FakeIntel
from tests.fakes.pki.nvidia import DRIVER, FakeNvidia
from tests.fakes.receipts import NONCE, NOW, Honest, attacker_key, honest, node_key, resign
from verifiable.digest import Digest
from verifiable.errors import (
    BindingError,
    Error,
    MalformedError,
    PolicyError,
    SignatureError,
    StaleError,
    TrustError,
    UnsupportedError,
)
from verifiable.receipt import Evidence
from verifiable.tee import binding
from verifiable.tee.attesters.software import Software, measure
from verifiable.tee.attesting import Attached
from verifiable.tee.evidence import MAX_SIZE
from verifiable.tee.reference import Reference
from verifiable.tee.roots import Roots
from verifiable.verify.attestation import MAX_COLLATERAL_SIZE
from verifiable.verify.policy import AllOf, AttestedBy, ProvedBy, parse_policy
from verifiable.verify.verdicts import INSECURE_TEE, properties

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
OURS = wanting("nitro", "pcr0", MEASUREMENT.hex())
ATTESTED = AttestedBy(kind="nitro", reference="ours")


@cache
def run() -> Honest:
    return honest()


@cache
def aws() -> FakeNitro:
    return FakeNitro()


def mint(data: bytes, **fields: object) -> tuple[bytes, tuple[bytes, ...], Roots]:
    return aws().mint(report_data=data, **({"at": NOW - MINUTE} | fields))


def nitro(**options: object) -> Attested:
    return attest(run(), [("nitro", mint)], **({"references": [OURS]} | options))


def refused(receipt: Attested, error: type[Error], match: str, **options: object) -> Error:
    """Refused at check 6, whatever the policy."""
    with pytest.raises(error, match=match) as caught:
        receipt.verify(**options)
    assert caught.value.checks[-1].number == 6  # type: ignore[attr-defined]
    return caught.value


@pytest.mark.parametrize("scope", ["key", "receipt"])
def test_hardware_alone_satisfies_the_default_policy_and_the_verdict_says_whose_word_it_is(scope: str) -> None:
    verified = nitro(scope=scope).verify()
    assert verified.evidence == ("tee",)
    assert not verified.signature_only
    (attested,) = verified.attested
    assert attested.counts
    assert (attested.scope, attested.later) == (scope, None)
    assert attested.stands_for == NOW
    assert attested.evidence is not None
    assert attested.evidence.anchor == aws().roots.roots[0]
    assert any("attested, not proved" in caveat for caveat in verified.caveats)


def test_proof_and_hardware_can_both_be_asked_for() -> None:
    both = nitro(proof=True)
    policy = AllOf((ProvedBy(), ATTESTED))
    verified = both.verify(policy=policy)
    assert verified.evidence == ("zk", "tee")
    assert not any("not proved" in caveat for caveat in verified.caveats)
    for one in (nitro(), Attested(run(), run().receipt, both.trust)):
        with pytest.raises(PolicyError):
            one.verify(policy=policy)


# What the hardware signed is about this key, nonce and claim, and about nothing else.


def test_evidence_of_another_key_is_refused() -> None:
    stolen = nitro(scope="key")
    thief = attacker_key()
    receipt = resign(stolen.receipt, stolen.receipt.claim, thief)
    refused(replace(stolen, receipt=receipt, trust=replace(stolen.trust, keys=())), BindingError, "not made for this key")


def test_evidence_of_another_claim_is_refused() -> None:
    first = nitro()
    other = honest(x=[[0.5, 0.5, 0.5]])
    claim = replace(other.receipt.claim, evidence=first.receipt.claim.evidence)
    receipt = resign(replace(other.receipt, evidence=first.receipt.evidence), claim, node_key())
    refused(Attested(other, receipt, first.trust), BindingError, "not made for this key, nonce and claim")


def test_evidence_of_a_key_does_not_pass_for_evidence_of_a_claim() -> None:
    def forged(attached: Attached) -> Attached:
        return replace(attached, attestation=replace(attached.attestation, scope="receipt", nonce=NONCE))

    refused(nitro(scope="key", nonce=NONCE, change=forged), BindingError, "not made for this key, nonce and claim")


def test_a_replayed_nonce_is_refused() -> None:
    old = bytes(16)

    def forged(attached: Attached) -> Attached:
        return replace(attached, attestation=replace(attached.attestation, nonce=NONCE))

    refused(nitro(nonce=old), BindingError, "another challenge than the claim")
    refused(nitro(nonce=old, change=forged), BindingError, "not made for this key, nonce and claim")


def test_report_data_that_is_cut_short_is_refused() -> None:
    short = nitro(bound_to=lambda key, nonce, claim: binding.report_data(key=key, nonce=nonce, claim=claim)[:32])
    refused(short, BindingError, "not made for this key")


def test_attestations_of_one_receipt_are_bound_alike() -> None:
    one, other = nitro(scope="key", nonce=b"one"), nitro(scope="key", nonce=b"other")
    pieces = (*one.receipt.evidence, *other.receipt.evidence)
    claim = replace(one.receipt.claim, evidence=tuple(each.descriptor for each in pieces))
    receipt = resign(replace(one.receipt, evidence=pieces), claim, node_key())
    refused(replace(one, receipt=receipt), BindingError, "one nonce in one scope")


# What is false fails the receipt, even beside a proof.


def test_evidence_that_was_changed_fails_the_receipt() -> None:
    def flipped(attached: Attached) -> Attached:
        evidence = bytearray(attached.attestation.evidence)
        evidence[-1] ^= 1
        return replace(attached, attestation=replace(attached.attestation, evidence=bytes(evidence)))

    refused(nitro(proof=True, change=flipped), SignatureError, "does not hold")


def test_an_attestation_that_is_none_fails_the_receipt() -> None:
    sound = nitro(proof=True)
    data = b"{}"
    piece = Evidence(descriptor=replace(sound.receipt.evidence[-1].descriptor, digest=Digest.of(data), size=len(data)), data=data)
    pieces = (*sound.receipt.evidence[:-1], piece)
    claim = replace(sound.receipt.claim, evidence=tuple(each.descriptor for each in pieces))
    receipt = resign(replace(sound.receipt, evidence=pieces), claim, node_key())
    refused(replace(sound, receipt=receipt), MalformedError, "attestation")


def test_evidence_is_judged_at_its_own_time() -> None:
    refused(nitro(at=NOW - DAY), StaleError, "valid from")


def test_evidence_from_the_future_is_refused() -> None:
    late = nitro(at=NOW + timedelta(hours=1))
    refused(late, StaleError, "has not come yet")
    assert late.verify(now=NOW + timedelta(hours=1)).attested[0].counts


def test_collateral_that_no_attestation_names_is_refused_and_so_is_the_lack_of_what_one_names() -> None:
    def more(attached: Attached) -> Attached:
        return replace(attached, collateral=(*attached.collateral, b"smuggled"))

    def fewer(attached: Attached) -> Attached:
        return replace(attached, attestation=replace(attached.attestation, collateral=(Digest.of(b"elsewhere"),)))

    for change in (more, fewer):
        refused(nitro(change=change), BindingError, "is not what its attestations name")


# What cannot be judged, or nobody wanted, fails nothing and counts for nothing.


def does_not_count(receipt: Attested, match: str, **options: object) -> None:
    with pytest.raises(PolicyError, match=match):
        receipt.verify(**options)
    with pytest.raises(PolicyError, match=match):
        receipt.verify(policy=AttestedBy(), **options)
    proved = replace(receipt, receipt=_with_proof(receipt))
    verified = proved.verify(**options)
    assert verified.evidence == ("zk",)
    assert not verified.attested[0].counts
    assert any(re.search(match, caveat) for caveat in verified.caveats)


def _with_proof(receipt: Attested) -> object:
    """The same attestations beside a proof: possible with scope ``key`` alone."""
    assert receipt.receipt.evidence
    pieces = (*run().receipt.evidence, *receipt.receipt.evidence)
    claim = replace(receipt.receipt.claim, evidence=tuple(each.descriptor for each in pieces))
    return resign(replace(receipt.receipt, evidence=pieces), claim, node_key())


def test_evidence_under_a_root_that_nobody_trusts_does_not_count() -> None:
    sound = nitro(scope="key")
    does_not_count(replace(sound, trust=replace(sound.trust, vendors=Roots())), "no root that is trusted")


def test_evidence_does_not_count_without_reference_values() -> None:
    does_not_count(nitro(scope="key", references=[]), "no reference values")


def test_evidence_of_other_code_does_not_count() -> None:
    does_not_count(nitro(scope="key", references=[wanting("nitro", "pcr0", bytes(48).hex())]), "not among those allowed")


def test_reference_values_of_another_kind_are_not_met() -> None:
    does_not_count(
        nitro(scope="key", references=[wanting("snp", "measurement", MEASUREMENT.hex())]), "no reference values for nitro"
    )


def test_debug_mode_does_not_count() -> None:
    def debug(data: bytes) -> tuple[bytes, tuple[bytes, ...], Roots]:
        return mint(data, debug=True)

    zero = wanting("nitro", "pcr0", bytes(48).hex())
    does_not_count(attest(run(), [("nitro", debug)], scope="key", references=[zero]), "debug mode")


def test_debug_mode_that_a_reference_allows_is_told_to_everybody() -> None:
    """The reader of a verdict has not written the reference; and a debugger can make the code sign whatever it likes."""
    zero = wanting("nitro", "pcr0", bytes(48).hex(), allow_debug=True)
    verified = attest(run(), [("nitro", partial(mint, debug=True))], references=[zero]).verify()
    assert verified.attested[0].counts
    assert any("nitro evidence is of debug mode" in caveat for caveat in verified.caveats)
    assert {"VERIFIABLE_EVIDENCE_TEE", INSECURE_TEE} <= set(properties(verified))
    sound = nitro(references=[OURS, replace(zero, name="debug")]).verify()
    assert not any("debug mode" in caveat for caveat in sound.caveats)
    assert INSECURE_TEE not in properties(sound)


def test_hardware_without_a_clock_is_said_to_have_none() -> None:
    """Old evidence of an SNP machine verifies today as well, and ``verifiedAt`` is whatever its holder writes there."""
    old = attest(run(), [("snp", snp)], scope="key", at=NOW, references=[SNP])
    assert any("how old the snp evidence is" in caveat for caveat in old.verify().caveats)
    assert not any("how old" in caveat for caveat in nitro(scope="key").verify().caveats)
    bound = attest(run(), [("snp", snp)], references=[SNP])
    assert any("how old" in caveat for caveat in bound.verify().caveats)  # nobody asked with a nonce of his own
    assert not any("how old" in caveat for caveat in bound.verify(nonce=NONCE).caveats)


def test_a_reference_that_asks_for_evidence_of_each_receipt_is_not_met_by_evidence_of_the_key() -> None:
    strict = replace(OURS, binding="receipt")
    does_not_count(nitro(scope="key", references=[strict]), "asks for evidence of each receipt")
    assert nitro(scope="receipt", references=[strict]).verify().attested[0].counts


def test_old_evidence_does_not_count() -> None:
    old = nitro(scope="key")
    does_not_count(old, "1d is the most allowed", now=NOW + 2 * DAY)


def test_another_reference_may_be_met() -> None:
    other = wanting("nitro", "pcr0", bytes(48).hex(), name="theirs")
    verified = nitro(references=[other, OURS]).verify(policy=ATTESTED)
    assert [each.reference.name for each in verified.attested[0].appraisals] == ["ours"]
    with pytest.raises(PolicyError, match="'theirs' wants it"):
        nitro(references=[other, OURS]).verify(policy=AttestedBy(reference="theirs"))


def test_another_kind_is_not_met() -> None:
    with pytest.raises(PolicyError, match="asks for snp evidence, and the receipt has none"):
        nitro().verify(policy=AttestedBy(kind="snp"))


# The time that evidence stands for.

LATER = NOW.replace(year=NOW.year + 10)


def settled(receipt: Attested, *, time: datetime = COSIGNED, quorum: int = 2) -> Attested:
    log = FakeLog()
    log.fill(2)
    index = log.append(receipt.receipt.entry.encode())
    place = log.place(index, log.checkpoint(time=time))
    trust = replace(receipt.trust, logs=(log.trusted(quorum=quorum),))
    return replace(receipt, receipt=replace(receipt.receipt, log_entries=(place,)), trust=trust)


def test_a_settled_receipt_verifies_ten_years_later_at_its_time_and_says_that_it_would_not_be_accepted_now() -> None:
    verified = settled(nitro()).verify(now=LATER)
    (attested,) = verified.attested
    assert attested.counts
    assert (attested.at, attested.stands_for) == (NOW, COSIGNED)
    assert attested.later is not None
    assert "valid from" in attested.later
    assert any("would not be accepted now" in caveat for caveat in verified.caveats)


def test_ten_years_later_a_receipt_that_is_not_settled_only_verifies_as_of_then() -> None:
    receipt = nitro()
    with pytest.raises(PolicyError, match="1d is the most allowed"):
        receipt.verify(now=LATER)
    assert receipt.verify(now=NOW).attested[0].counts


def test_whoever_comes_into_a_key_later_cannot_speak_for_the_past() -> None:
    """The evidence and every date in the receipt are of the past; the log's cosigners saw it when it was made."""
    late = settled(nitro(), time=LATER - DAY)
    with pytest.raises(PolicyError, match=r"to stand for 2036-02-29T12:00:00Z"):
        late.verify(now=LATER)


def test_a_log_without_a_quorum_dates_nothing() -> None:
    alone = settled(nitro(), quorum=0)
    assert alone.verify().attested[0].stands_for == NOW
    with pytest.raises(PolicyError, match="1d is the most allowed"):
        alone.verify(now=LATER)


# Bytes that are elsewhere.


def test_an_attestation_that_is_kept_elsewhere_is_taken_by_its_digest() -> None:
    sound = nitro()
    (piece,) = sound.receipt.evidence
    elsewhere = replace(sound, receipt=replace(sound.receipt, evidence=(replace(piece, data=None),)))
    error = refused(elsewhere, TrustError, "is not in the receipt")
    assert "--collateral" in error.hint
    assert elsewhere.verify(collateral=[piece.data]).attested[0].counts
    refused(elsewhere, TrustError, "is not in the receipt", collateral=[b"something else"])


@cache
def _amd() -> FakeAmd:
    return FakeAmd()


@cache
def _intel() -> FakeIntel:
    return FakeIntel()


@cache
def _nvidia() -> FakeNvidia:
    return FakeNvidia()


def snp(data: bytes) -> tuple[bytes, tuple[bytes, ...], Roots]:
    return _amd().mint(report_data=data, measurement=MEASUREMENT)


def tdx(data: bytes) -> tuple[bytes, tuple[bytes, ...], Roots]:
    return _intel().mint(report_data=data, measurement=MEASUREMENT, at=NOW)


def gpu(data: bytes) -> tuple[bytes, tuple[bytes, ...], Roots]:
    return _nvidia().mint(report_data=data)


def software(data: bytes) -> tuple[bytes, tuple[bytes, ...], Roots]:
    return Software(clock=lambda: NOW).attest(data).evidence, (), Roots()


SNP, TDX = wanting("snp", "measurement", MEASUREMENT.hex(), name="cpu"), wanting("tdx", "mrtd", MEASUREMENT.hex(), name="td")
GPU = wanting("nvidia", "driver", DRIVER, name="gpu")
ANY_SOFTWARE = wanting("software", "measurement", measure(Software().root).hex(), name="this library")


@pytest.mark.parametrize(("kind", "make", "reference"), [("snp", snp, SNP), ("tdx", tdx, TDX)])
@pytest.mark.parametrize("scope", ["key", "receipt"])
def test_every_kind_of_processor_stands_by_itself_with_its_collateral(
    kind: str, make: Mint, reference: Reference, scope: str
) -> None:
    sound = attest(run(), [(kind, make)], scope=scope, references=[reference])
    assert sound.verify().evidence == ("tee",)
    bare = tuple(
        replace(each, data=None) if each.descriptor.kind == "collateral" else each for each in sound.receipt.evidence
    )  # fmt: skip
    named = replace(sound, receipt=replace(sound.receipt, evidence=bare))
    with pytest.raises(PolicyError, match=r"its collateral sha256:[0-9a-f]{64} is not here"):
        named.verify()
    blobs = [each.data for each in sound.receipt.evidence if each.descriptor.kind == "collateral"]
    assert named.verify(collateral=blobs).attested == sound.verify().attested


def test_collateral_in_a_receipt_that_is_not_what_it_names_is_refused() -> None:
    sound = attest(run(), [("snp", snp)], references=[SNP])
    (_, certificate, *_rest) = sound.receipt.evidence
    swapped = tuple(replace(each, data=b"swapped") if each is certificate else each for each in sound.receipt.evidence)
    refused(
        replace(sound, receipt=replace(sound.receipt, evidence=swapped)), BindingError, "not the one that the claim describes"
    )


def test_collateral_is_called_what_it_is() -> None:
    sound = attest(run(), [("snp", snp)], references=[SNP])
    head, *rest = sound.receipt.evidence
    called = tuple(replace(each, descriptor=replace(each.descriptor, media_type="text/html")) for each in rest)
    claim = replace(sound.receipt.claim, evidence=(head.descriptor, *(each.descriptor for each in called)))
    receipt = resign(replace(sound.receipt, evidence=(head, *called)), claim, node_key())
    refused(replace(sound, receipt=receipt), BindingError, "collateral is called 'text/html'")


# What is read before it is believed stays small, whatever a stranger puts into a receipt.


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_piece_of_collateral_is_capped(elsewhere: bool) -> None:
    huge = bytes(MAX_SIZE + 1)

    def more(attached: Attached) -> Attached:
        named = replace(attached.attestation, collateral=(*attached.attestation.collateral, Digest.of(huge)))
        return replace(attached, attestation=named, collateral=(*attached.collateral, huge))

    large = attest(run(), [("snp", snp)], references=[SNP], change=more)
    if elsewhere:  # and described as small
        (*pieces, last) = large.receipt.evidence
        pieces.append(replace(last, data=None, descriptor=replace(last.descriptor, size=1)))
        claim = replace(large.receipt.claim, evidence=tuple(each.descriptor for each in pieces))
        large = replace(large, receipt=resign(replace(large.receipt, evidence=tuple(pieces)), claim, node_key()))
    refused(large, MalformedError, "more than the 1,048,576 bytes allowed", collateral=[huge] if elsewhere else [])


def test_all_collateral_together_is_capped_by_how_often_it_is_read() -> None:
    """Under a root that nobody trusts nothing fails the receipt, so all attestations would be looked at with all of it."""
    filler = tuple(bytes((number,)) * (MAX_COLLATERAL_SIZE // 8) for number in range(4))
    number = iter(range(8))

    def more(attached: Attached) -> Attached:
        named = tuple(map(Digest.of, filler))
        changed = replace(attached.attestation, collateral=named, verified_at=NOW - next(number) * MINUTE)
        return replace(attached, attestation=changed, collateral=filler)

    refused(attest(run(), [("snp", snp)] * 2, change=more), MalformedError, "collateral 1")
    refused(attest(run(), [("snp", snp)] * 3, change=more), MalformedError, "for all attestations, 2,097,152 are allowed")


def test_a_key_too_small_to_sign_fails_like_everything_that_is_not_supported() -> None:
    """Found by hand: cryptography's ValueError for it left the verifier."""

    def weak(data: bytes) -> tuple[bytes, tuple[bytes, ...], Roots]:
        amd = _amd()
        small = rsa.RSAPublicNumbers(65537, (1 << 256) - 1).public_key()
        authority = amd.ark.issue("SEV-Milan", small, ca=True)
        return amd.report(report_data=data), (amd.certificate(), pem(authority)), amd.roots

    refused(attest(run(), [("snp", weak)], references=[SNP]), UnsupportedError, "an RSA key of 256 bits")


# Several in one receipt.


def test_a_processor_and_its_gpu_vouch_together() -> None:
    both = attest(run(), [("snp", snp), ("nvidia", gpu)], references=[SNP, GPU])
    policy = AllOf((AttestedBy(kind="snp", reference="cpu"), AttestedBy(kind="nvidia", reference="gpu")))
    verified = both.verify(policy=policy)
    assert [(each.kind, each.counts) for each in verified.attested] == [("snp", True), ("nvidia", True)]
    assert len({(each.scope, each.nonce) for each in verified.attested}) == 1


def test_a_processor_and_eight_gpus_vouch_together() -> None:
    def one(number: int) -> Mint:
        firmware = _nvidia().leaf(device=f"NVIDIA:GH100:{number:016X}", key=new_key())
        return lambda data: _nvidia().mint(report_data=data, firmware=firmware)

    mints = [("nvidia", one(number)) for number in range(8)]
    whole = attest(run(), [("tdx", tdx), *mints], references=[TDX, GPU])
    verified = whole.verify(policy=AllOf((AttestedBy(kind="tdx"), AttestedBy(kind="nvidia"))))
    assert [each.counts for each in verified.attested] == [True] * 9


def test_more_attestations_than_anybody_has_are_refused() -> None:
    mints = [("software", software)] * 17
    refused(attest(run(), mints, references=[ANY_SOFTWARE]), MalformedError, "17 attestations, at most 16")


def test_a_gpu_alone_counts_for_nothing() -> None:
    does_not_count(attest(run(), [("nvidia", gpu)], scope="key", references=[GPU]), "only beside a CPU's TEE")


def test_a_gpu_beside_a_processor_that_does_not_count_counts_for_nothing() -> None:
    other = replace(SNP, measurements={"measurement": (bytes(48).hex(),)})
    both = attest(run(), [("snp", snp), ("nvidia", gpu)], scope="key", references=[other, GPU])
    with pytest.raises(PolicyError, match="only beside a CPU's TEE"):
        both.verify(policy=AttestedBy(kind="nvidia"))


def test_a_gpu_of_another_nonce_is_refused() -> None:
    one, other = (
        attest(run(), [(kind, make)], scope="key", nonce=nonce)
        for kind, make, nonce in (("snp", snp, b"one"), ("nvidia", gpu, b"other"))
    )
    pieces = (*one.receipt.evidence, *other.receipt.evidence)
    claim = replace(one.receipt.claim, evidence=tuple(each.descriptor for each in pieces))
    receipt = resign(replace(one.receipt, evidence=pieces), claim, node_key())
    refused(replace(one, receipt=receipt), BindingError, "one nonce in one scope")


def test_threads_do_not_disturb_each_other() -> None:
    """Parsers of XML and what was read of certificates are shared among them."""
    receipts = (
        attest(run(), [("snp", snp), ("nvidia", gpu)], references=[SNP, GPU]),
        attest(run(), [("tdx", tdx)], references=[TDX]),
        nitro(),
    )
    broken = [replace(each, trust=replace(each.trust, vendors=Roots())) for each in receipts]

    def judge(each: Attested) -> object:
        try:
            return each.verify().attested
        except Error as error:
            return type(error), error.message

    alone = [judge(each) for each in (*receipts, *broken)]
    assert sum(isinstance(each[0], type) for each in alone) == len(broken)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(judge, (*receipts, *broken) * 8)) == alone * 8


# Simulated.


def test_simulated_evidence_counts_where_it_is_allowed_and_only_there() -> None:
    simulated = attest(run(), [("software", software)], scope="key", references=[ANY_SOFTWARE])
    does_not_count(simulated, "simulated: no hardware stands behind it")
    with pytest.raises(PolicyError) as caught:
        simulated.verify()
    assert "--allow-simulated-tee" in caught.value.hint
    verified = simulated.verify(allow_simulated_tee=True)
    assert verified.evidence == ("tee",)
    assert any("simulated" in caveat for caveat in verified.caveats)


def test_allowing_simulated_evidence_allows_nothing_else() -> None:
    other = replace(ANY_SOFTWARE, measurements={"measurement": (bytes(48).hex(),)})
    for references in ([], [other]):
        simulated = attest(run(), [("software", software)], references=references)
        with pytest.raises(PolicyError):
            simulated.verify(allow_simulated_tee=True)


def test_simulated_evidence_does_not_pass_as_of_another_kind() -> None:
    def renamed(attached: Attached) -> Attached:
        return replace(attached, attestation=replace(attached.attestation, kind="nitro"))

    refused(attest(run(), [("software", software)], references=[OURS], change=renamed), MalformedError, "nitro")


def test_an_attestation_by_another_media_type_is_refused() -> None:
    sound = nitro()
    (piece,) = sound.receipt.evidence
    called = replace(piece, descriptor=replace(piece.descriptor, media_type="application/cose"))
    claim = replace(sound.receipt.claim, evidence=(called.descriptor,))
    receipt = resign(replace(sound.receipt, evidence=(called,)), claim, node_key())
    refused(replace(sound, receipt=receipt), BindingError, "is called 'application/cose'")


# In the file of a policy.


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("attested = true", AttestedBy()),
        ("attested-by = { kind = 'nitro' }", AttestedBy(kind="nitro")),
        ("attested-by = { reference = 'ours' }", AttestedBy(reference="ours")),
        ("attested-by = { kind = 'nitro', reference = 'ours' }", ATTESTED),
        ("all-of = [{ proved = true }, { attested = true }]", AllOf((ProvedBy(), AttestedBy()))),
    ],
)
def test_policies_are_read(text: str, policy: object) -> None:
    assert parse_policy(text.encode()) == policy


@pytest.mark.parametrize(
    "text", ["attested = false", "attested-by = {}", "attested-by = 'nitro'", "attested-by = { kind = 'abacus' }"]
)
def test_policies_that_say_nothing_are_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_policy(text.encode())
