# SPDX-License-Identifier: Apache-2.0
"""The trust root: read strictly, because a setting that is silently ignored may be the one that was meant to forbid."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.log import FakeLog, cosigner
from tests.fakes.receipts import node_key
from verifiable.digest import Digest
from verifiable.encoding.toml import MAX_SIZE
from verifiable.errors import Error, MalformedError, UnsupportedError
from verifiable.keys.public import public_key_pem
from verifiable.trust import Trusted, TrustRoot, Validity

PEM = public_key_pem(node_key().public_key)
ID = "ab" * 32
FULL = f'''
[[keys]]
name = "node one"
valid-from = 2026-01-01T00:00:00Z
valid-until = 2027-01-01T01:00:00+01:00
public-key = """
{PEM}"""

[[circuits]]
name = "digits"
id = "sha256:{ID}"

[[setups]]
name = "our own ceremony"
fingerprint = "{ID}"
valid-until = 2030-01-01T00:00:00Z
'''


def test_everything_that_can_be_said() -> None:
    trust = TrustRoot.parse(FULL.encode())
    (key,), (circuit,), (setup,) = trust.keys, trust.circuits, trust.setups
    assert (key.name, key.public_key, key.digest) == ("node one", node_key().public_key, node_key().fingerprint)
    assert key.validity == Validity(since=datetime(2026, 1, 1, tzinfo=UTC), until=datetime(2027, 1, 1, tzinfo=UTC))
    assert (circuit.name, circuit.digest, circuit.validity) == ("digits", Digest.parse(ID), Validity())
    assert (setup.digest, setup.validity.since) == (Digest.parse(ID), None)


def test_an_empty_file_trusts_nothing() -> None:
    assert TrustRoot.parse(b"") == TrustRoot()


def test_validity_is_half_open() -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    window = Validity(since=start, until=end)
    tick = timedelta(microseconds=1)
    assert [window.holds(t) for t in (start - tick, start, end - tick, end)] == [False, True, True, False]
    assert Validity().holds(start)


def test_pinning() -> None:
    trust = TrustRoot.pin(ID, Digest.parse("cd" * 32))
    assert [c.digest.hex for c in trust.circuits] == [ID, "cd" * 32]
    with pytest.raises(MalformedError):
        TrustRoot.pin("not an id")


def test_pinning_narrows_a_trust_root_and_keeps_its_validity() -> None:
    """The attack: a receipt of another trusted circuit passes for the one asked for, or the naming revives an expired one."""
    expired = Validity(until=datetime(2026, 1, 1, tzinfo=UTC))
    one, other = (Trusted(name=n, digest=Digest.parse(i * 32), validity=expired) for n, i in (("one", "ab"), ("two", "cd")))
    root = replace(TrustRoot.parse(FULL.encode()), circuits=(one, other))
    assert root.pinning("ab" * 32).circuits == (one,)
    assert [(c.digest.hex, c.validity) for c in root.pinning("ef" * 32, "ef" * 32).circuits] == [("ef" * 32, Validity())]
    assert root.pinning("ab" * 32, "ef" * 32).circuits[0] == one
    assert (root.pinning("ef" * 32).keys, root.pinning("ef" * 32).setups) == (root.keys, root.setups)
    assert root.pinning().circuits == ()


@pytest.mark.parametrize(
    "text",
    [
        "keys = 1",
        "circuit = []",
        "[[circuits]]\nid = 'ab'\nname = 'x'",
        f"[[circuits]]\nid = '{ID}'",
        f"[[circuits]]\nname = 'x'\nid = '{ID}'\nvalid-untill = 2026-01-01T00:00:00Z",
        f"[[circuits]]\nname = 'x'\nid = '{ID}'\nvalid-until = 2026-01-01T00:00:00",
        f"[[circuits]]\nname = 'x'\nid = '{ID}'\nvalid-until = 2026-01-01",
        f"[[circuits]]\nname = 'x'\nid = '{ID}'\nvalid-until = '2026-01-01T00:00:00Z'",
        f"[[circuits]]\nname = 'x'\nid = '{ID}'\nvalid-until = 0001-01-01T00:00:00+23:00",
        f"[[circuits]]\nname = 'x'\nid = '{ID}'\nvalid-from = 2026-01-02T00:00:00Z\nvalid-until = 2026-01-01T00:00:00Z",
        f"[[circuits]]\nname = 'x'\nid = '{ID.upper()}'",
        "[[keys]]\nname = 'x'\npublic-key = 'node.pem'",
        f"[[keys]]\npublic-key = '''\n{PEM}'''",
        f"[[setups]]\nname = 'x'\nid = '{ID}'",
        "[[keys]]\n[[keys",
        "a = " + "[" * 5000,
        "a = 1" + "0" * 5000,
        "a = 1979-99-99T99:99:99Z",
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        TrustRoot.parse(text.encode())


def test_a_key_on_another_curve_is_unsupported() -> None:
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(UnsupportedError):
        TrustRoot.parse(f"[[keys]]\nname = 'x'\npublic-key = '''\n{pem}'''".encode())


def test_the_size_is_capped() -> None:
    with pytest.raises(MalformedError, match="more than"):
        TrustRoot.parse(b"#" * (MAX_SIZE + 1))


@given(st.binary(max_size=200) | st.text(alphabet="[]=\"'{},.\nabk-0129TZ:", max_size=60).map(str.encode))
def test_arbitrary_bytes_raise_only_errors(data: bytes) -> None:
    with contextlib.suppress(Error):
        TrustRoot.parse(data)


@pytest.mark.parametrize(
    "data",
    [
        b".".join([b"a"] * 60_000) + b"=1",
        b"[" + b".".join([b"a"] * 60_000) + b"]",
        b"x={" + b".".join([b"a"] * 60_000) + b"=1}",
        b".".join([b'"a"'] * 30_000) + b"=1",
    ],
    ids=["key", "table", "inline", "quoted"],
)
def test_a_key_of_a_hundred_thousand_parts_is_refused_at_once(data: bytes) -> None:
    """Without the check this takes minutes and gigabytes; the test has no clock, it simply ends."""
    with pytest.raises(MalformedError, match="dots outside quotes"):
        TrustRoot.parse(data)


LOG, WITNESS = FakeLog(), cosigner("w.example")
_VKEY = LOG.signer.key.encode()
_LOGS = """
[[logs]]
name = "our ledger"
vkey = "{vkey}"
policy = \"\"\"
{policy}
\"\"\"
{more}
"""
_QUORUM = f"witness w {WITNESS.key.encode()}\nquorum w"


def _logs(vkey: str = _VKEY, policy: str = _QUORUM, more: str = "") -> bytes:
    return _LOGS.format(vkey=vkey, policy=policy, more=more).encode()


def test_a_log_with_its_cosigners() -> None:
    (log,) = TrustRoot.parse(_logs(more=f'valid-until = 2027-01-01T00:00:00Z\nadministrator = """\n{PEM}"""')).logs
    assert (log.name, log.origin, log.key, log.keys) == ("our ledger", LOG.origin, LOG.signer.key, (LOG.signer.key,))
    assert (log.policy.quorum, log.policy.witnesses[0].key) == ("w", WITNESS.key)
    assert (log.administrator, log.validity.until) == (node_key().public_key, datetime(2027, 1, 1, tzinfo=UTC))
    assert TrustRoot.parse(_logs()).logs[0].administrator is None


def test_further_keys_of_a_log_must_all_sign() -> None:
    second = cosigner(LOG.origin, post_quantum=True)
    (log,) = TrustRoot.parse(_logs(policy=f"log {second.key.encode()}\n{_QUORUM}")).logs
    assert log.keys == (LOG.signer.key, second.key)


@pytest.mark.parametrize(
    "document",
    [
        _logs(vkey=WITNESS.key.encode()),  # a cosigner's key is no log's
        _logs(vkey=cosigner(LOG.origin, post_quantum=True).key.encode()),  # a log's, and not the one that bundles name
        _logs(vkey="x"),
        _logs(policy=f"witness w {WITNESS.key.encode()}"),  # no quorum
        _logs(policy="quorum w"),
        _logs(policy=f"log {FakeLog(origin='other.example').signer.key.encode()}\n{_QUORUM}"),  # another log
        _logs(policy=f"witness w {LOG.cosigners[0].key.encode()}\nwitness v {LOG.cosigners[0].key.encode()}\nquorum w"),
        _logs(more="witnesses = 2"),
        _logs(more="administrator = 'x'"),
        _logs() + _logs(),  # one origin twice
    ],
)
def test_a_log_that_is_not_told_right_is_refused(document: bytes) -> None:
    with pytest.raises(MalformedError):
        TrustRoot.parse(document)
