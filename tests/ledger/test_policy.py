# SPDX-License-Identifier: Apache-2.0
"""Policies, quorums, and the proof file that they judge."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.parties import NOW, MemoryLog, cosigner, log_signers
from verifiable.errors import Error, InclusionError, MalformedError, PolicyError, SignatureError, TrustError, UnsupportedError
from verifiable.ledger.checkpoint import SignedCheckpoint
from verifiable.ledger.policy import Policy
from verifiable.ledger.tlogproof import TlogProof
from verifiable.merkle.hashing import leaf_hash

X1, X2, X3, Y1, Y2 = (cosigner(i, post_quantum=i % 2 == 0) for i in range(1, 6))
LOG = MemoryLog().add(11)
LOG_KEY = LOG.signers[0].key.encode()

# The shape of the example in c2sp.org/tlog-policy, with keys.
EXAMPLE = f"""\
# who may say so
log {LOG_KEY} https://log.example/one/

witness X1 {X1.key.encode()}
witness X2 {X2.key.encode()}  https://w2.example/
\twitness\tX3\t{X3.key.encode()}
group X-witnesses 2 X1 X2 X3

witness Y1 {Y1.key.encode()}
witness Y2 {Y2.key.encode()}
group Y-witnesses any Y1 Y2

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""
POLICY = Policy.parse(EXAMPLE.encode())


def _cosigned(*cosigners, log: MemoryLog = LOG) -> SignedCheckpoint:
    signed = log.checkpoint()
    return signed.with_signatures(c.sign_checkpoint(signed.checkpoint, NOW) for c in cosigners)


def test_the_example_is_read() -> None:
    assert POLICY.witnesses[1].url == "https://w2.example/"
    assert [(g.name, g.threshold, len(g.members)) for g in POLICY.groups] == [
        ("X-witnesses", 2, 3), ("Y-witnesses", 1, 2), ("X-and-Y", 2, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("who", [(X1, X2, Y1), (X2, X3, Y2), (X1, X2, X3, Y1, Y2)])
def test_a_quorum_is_reached(who) -> None:
    assert "X-and-Y" in POLICY.check(_cosigned(*who))


@pytest.mark.parametrize("who", [(), (X1, Y1), (X1, X2, X3), (Y1, Y2), (X1, X1, Y1)])
def test_a_quorum_is_not_reached(who) -> None:
    with pytest.raises(PolicyError, match="quorum 'X-and-Y' is not reached"):
        POLICY.check(_cosigned(*who))


@pytest.mark.parametrize("k", range(4))
def test_k_of_n(k: int) -> None:
    names = {"a": X1, "b": X2, "c": X3}
    policy = Policy.k_of_n([LOG.signers[1].key], {n: c.key for n, c in names.items()}, k)
    for count in range(4):
        signed = _cosigned(*list(names.values())[:count])
        if count >= k:
            assert set("abc"[:count]) <= set(policy.check(signed))
        else:
            with pytest.raises(PolicyError):
                policy.check(signed)
    with pytest.raises(MalformedError):
        Policy.k_of_n([LOG.signers[0].key], {"a": X1.key}, 2)


def test_cosigners_nobody_knows_count_for_nothing() -> None:
    strangers = [cosigner(i) for i in range(10, 14)]
    impostor = cosigner(20, X1.name)  # the name of a known one, and its own key
    with pytest.raises(PolicyError):
        POLICY.check(_cosigned(X1, Y1, impostor, *strangers))
    assert POLICY.check(_cosigned(X1, X2, Y1, impostor, *strangers))


@pytest.mark.parametrize("victim", [X1, X2])
def test_a_forged_cosignature_spoils_what_would_suffice_without_it(victim) -> None:
    signed = _cosigned(X1, X2, X3, Y1)
    other = LOG.fork(3, 8).checkpoint().checkpoint
    for forged in (
        replace(victim.sign_checkpoint(signed.checkpoint, NOW), signature=bytes(8 + 2420)),
        victim.sign_checkpoint(other, NOW),  # a true cosignature, on another tree
        replace(cosigner(9, victim.name).sign_checkpoint(signed.checkpoint, NOW), key_id=victim.key.key_id),
    ):
        with pytest.raises(SignatureError):
            POLICY.check(signed.with_signatures([forged]))


def test_a_cosignature_without_a_time_does_not_count() -> None:
    from verifiable.ledger import cosignature

    signed = _cosigned(X1, Y1)
    timeless = bytes(8) + X2.private.sign(cosignature.message(X2.key, signed.checkpoint, 0))
    line = replace(X2.sign_checkpoint(signed.checkpoint, NOW), signature=timeless)
    with pytest.raises(PolicyError):
        POLICY.check(signed.with_signatures([line]))


def test_another_log_and_another_logs_key() -> None:
    other = MemoryLog(LOG.entries, log_signers(name="log.example/two"), "log.example/two")
    with pytest.raises(TrustError, match="names no such log"):
        POLICY.check(_cosigned(X1, X2, Y1, log=other))
    unsigned = MemoryLog(LOG.entries, log_signers(2))
    with pytest.raises(TrustError, match="not signed by any key"):
        POLICY.check(_cosigned(X1, X2, Y1, log=unsigned))
    forged = replace(LOG.signers[0].sign("text"), signature=bytes(64))
    with pytest.raises(SignatureError):
        POLICY.check(_cosigned(X1, X2, Y1).with_signatures([forged]))


def test_a_policy_without_logs_trusts_none() -> None:
    with pytest.raises(TrustError):
        Policy.parse(b"quorum none\n").check(LOG.checkpoint())


def test_one_cosigner_with_two_keys_does_not_count_twice() -> None:
    """`log cosign init` prints two keys of one name: both in a group of three, one cosigner would make up two of three."""
    first, second = cosigner(8, "w.example"), cosigner(8, "w.example", post_quantum=False)
    lines = f"witness a {first.key.encode()}\nwitness b {second.key.encode()}\nwitness c {X3.key.encode()}\n"
    log = f"log {LOG_KEY}\n"
    for groups in ("group g 2 a b c\n", "group h all a c\ngroup g 2 h b a2\n", "group h any a c\ngroup g 2 h b a2\n"):
        other = f"witness a2 {X1.key.encode()}\n" if "a2" in groups else ""
        with pytest.raises(MalformedError, match=r"'w\.example' could count twice"):
            Policy.parse(f"{log}{lines}{other}{groups}quorum g\n".encode())
    two = Policy.parse(f"{log}{lines}witness d {X1.key.encode()}\ngroup w any a b\ngroup g 2 w c d\nquorum g\n".encode())
    with pytest.raises(PolicyError):
        two.check(_cosigned(first, second))
    assert "g" in two.check(_cosigned(second, X3))
    assert Policy.parse(f"{log}{lines}group w all a b\nquorum w\n".encode()).check(_cosigned(first, second)) == ("a", "b", "w")
    with pytest.raises(MalformedError, match="count twice"):
        Policy.k_of_n([LOG.signers[0].key], {"a": first.key, "b": second.key, "c": X3.key}, 2)


W = f"witness a {X1.key.encode()}\nwitness b {X2.key.encode()}\n"


@pytest.mark.parametrize(
    ("defect", "text"),
    [
        ("empty", ""),
        ("no quorum", W),
        ("two quorums", W + "quorum a\nquorum b\n"),
        ("cut short", W + "quorum a"),
        ("unknown quorum", W + "quorum c\n"),
        ("quorum before its name", "quorum a\n" + W),
        ("group before its member", "group g any a\n" + W + "quorum g\n"),
        ("group of itself", W + "group g any g\nquorum g\n"),
        ("none as a member", W + "group g any none\nquorum g\n"),
        ("none as a name", W.replace(" a ", " none ") + "quorum none\n"),
        ("no members", W + "group g any\nquorum g\n"),
        ("zero of two", W + "group g 0 a b\nquorum g\n"),
        ("three of two", W + "group g 3 a b\nquorum g\n"),
        ("minus one", W + "group g -1 a b\nquorum g\n"),
        ("leading zero", W + "group g 01 a b\nquorum g\n"),
        ("other digits", W + "group g \u0661 a b\nquorum g\n"),
        ("a member twice", W + "group g 2 a a\nquorum g\n"),
        ("a member of two groups", W + "group g any a\ngroup h any a\ngroup i all g h\nquorum i\n"),
        ("a name twice", W + f"witness a {X3.key.encode()}\nquorum a\n"),
        ("a witness twice", W + f"witness c {X1.key.encode()}\nquorum a\n"),
        ("a witness twice, renamed", W + f"witness c {replace(X1.key, name='other').encode()}\nquorum a\n"),
        ("a log twice", f"log {LOG_KEY}\nlog {LOG_KEY}\nquorum none\n"),
        ("a log as its own witness", f"log {LOG.signers[1].key.encode()}\nwitness a {LOG.signers[1].key.encode()}\nquorum a\n"),
        ("a plain key as a witness", f"witness a {LOG_KEY}\nquorum a\n"),
        ("an Ed25519 cosigner as a log", f"log {X1.key.encode()}\nquorum none\n"),
        ("unknown line", "logs x\nquorum none\n"),
        ("too many words", "quorum none none\n"),
        ("no key", "log x\nquorum none\n"),
        ("carriage return", "quorum none\r\n"),
        ("other white space", "quorum\u00a0none\n"),
        ("too many lines", "\n" * 2000 + "quorum none\n"),
    ],
)
def test_a_policy_with_one_defect(defect: str, text: str) -> None:
    with pytest.raises(MalformedError):
        Policy.parse(text.encode())


def test_a_key_type_that_nobody_here_verifies() -> None:
    with pytest.raises(UnsupportedError):
        Policy.parse(b"log n+00000000+AgID\nquorum none\n")


@pytest.mark.parametrize("extra", [None, b"", b"salt"])
@pytest.mark.parametrize("index", [0, 10])
def test_a_proof_of_logging(index: int, extra: bytes | None) -> None:
    proof = TlogProof(index=index, hashes=LOG.inclusion(index, 11), checkpoint=_cosigned(X1, X2, Y1), extra=extra)
    data = proof.encode()
    assert data.startswith(b"c2sp.org/tlog-proof@v1\n")
    assert TlogProof.parse(data) == proof
    assert TlogProof.parse(data).encode() == data
    assert "X-and-Y" in proof.verify(leaf_hash(LOG.entries[index]), POLICY)
    with pytest.raises(InclusionError):
        proof.verify(leaf_hash(b"another entry"), POLICY)
    with pytest.raises(InclusionError):
        replace(proof, index=index + 1).verify(leaf_hash(LOG.entries[index]), POLICY)
    with pytest.raises(PolicyError):
        replace(proof, checkpoint=_cosigned(X1, Y1)).verify(leaf_hash(LOG.entries[index]), POLICY)
    forked = replace(proof, checkpoint=_cosigned(X1, X2, Y1, log=LOG.fork(index, 11)))
    with pytest.raises(InclusionError):
        forked.verify(leaf_hash(LOG.entries[index]), POLICY)


def _proof() -> bytes:
    return TlogProof(index=3, hashes=LOG.inclusion(3, 11), checkpoint=_cosigned(X1), extra=b"x").encode()


@pytest.mark.parametrize(
    ("defect", "old", "new"),
    [
        ("another version", b"@v1", b"@v2"),
        ("no index", b"index 3\n", b""),
        ("leading zero", b"index 3", b"index 03"),
        ("extra after the index", b"extra eA==\nindex 3\n", b"index 3\nextra eA==\n"),
        ("extra twice", b"extra eA==\n", b"extra eA==\nextra eA==\n"),
        ("short hash", b"index 3\n", b"index 3\nAAAA\n"),
        ("not base64", b"index 3\n", b"index 3\n!\n"),
        ("too many hashes", b"index 3\n", b"index 3\n" + b"A" * 43 + b"=\n" * 64),
        ("no checkpoint", b"\n\n", b"\n"),
        ("carriage return", b"@v1\n", b"@v1\r\n"),
    ],
)
def test_a_malformed_proof(defect: str, old: bytes, new: bytes) -> None:
    data = _proof()
    assert old in data
    with pytest.raises(MalformedError):
        TlogProof.parse(data.replace(old, new, 1))


@given(st.binary(max_size=100), st.integers(0, 1000))
def test_whatever_the_bytes_only_our_errors(junk: bytes, at: int) -> None:
    for parse, sample in ((Policy.parse, EXAMPLE.encode()), (TlogProof.parse, _proof())):
        for data in (junk, sample[:at] + junk, sample[:at] + junk + sample[at + len(junk) :]):
            with contextlib.suppress(Error):
                parse(data)
