# SPDX-License-Identifier: Apache-2.0
"""One spelling for each document, AWS's limits, and nothing else read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.pki.authority import NOW
from tests.fakes.pki.aws import MEASUREMENT, MODULE, FakeNitro, seal
from verifiable.errors import Error, MalformedError, UnsupportedError
from verifiable.tee import registry
from verifiable.tee.nitro import NitroEvidence, parse
from verifiable.tee.nitro.cbor import decode
from verifiable.tee.nitro.format import MAX_SIZE

FAKE = FakeNitro()
GOOD, _, ROOTS = FAKE.mint(report_data=bytes(range(64)), nonce=b"n" * 32, public_key=b"key")
CERTIFICATE = FAKE.leaf(NOW).der


def _document(**fields: Any) -> bytes:
    return FAKE.mint(**fields)[0]


def test_every_field_is_read_and_written_again() -> None:
    evidence = parse(GOOD, kind="nitro")
    assert (evidence.kind, evidence.module_id, evidence.digest, evidence.issued_on) == ("nitro", MODULE, "SHA384", NOW)
    assert evidence.pcrs[0] == (0, MEASUREMENT)
    assert [index for index, _ in evidence.pcrs] == list(range(16))
    assert (evidence.report_data, evidence.nonce, evidence.public_key) == (bytes(range(64)), b"n" * 32, b"key")
    assert [each.name for each in evidence.bundle] == [
        each.parsed.name for each in (FAKE.root, FAKE.region, FAKE.zone, FAKE.instance)
    ]
    assert evidence.encode() == GOOD
    assert registry.parse("nitro", GOOD) == evidence
    with pytest.raises(FrozenInstanceError):
        evidence.module_id = "other"  # type: ignore[misc]


def test_what_the_enclave_did_not_give_is_empty() -> None:
    """``null``, as the hardware writes it, and left out, as its specification has it."""
    document, signer = FAKE.document(report_data=None)
    for absent in ({}, {"public_key", "user_data", "nonce"}):
        fields = {name: value for name, value in document.items() if name not in absent}
        evidence = parse(seal(cbor2.dumps(fields), signer.key))
        assert (evidence.report_data, evidence.user_data, evidence.nonce, evidence.public_key) == (b"", None, None, None)


LIMITS: dict[str, tuple[Any, Any]] = {
    # field: (the most that is allowed, one more)
    "user_data": (b"x" * 512, b"x" * 513),
    "nonce": (b"x" * 512, b"x" * 513),
    "public_key": (b"x" * 1024, b"x" * 1025),
    "pcrs": ({index: bytes(48) for index in range(32)}, {index: bytes(48) for index in range(33)}),
    "timestamp": (253402300799999, 253402300800000),
    "module_id": ("m" * 256, "m" * 257),
    "cabundle": ([CERTIFICATE] * 8, [CERTIFICATE] * 9),
}


@pytest.mark.parametrize("name", LIMITS)
def test_the_limits(name: str) -> None:
    most, more = LIMITS[name]
    parse(_document(**{name: most}))
    with pytest.raises(MalformedError):
        parse(_document(**{name: more}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("module_id", ""), ("module_id", b"i-0"), ("module_id", None),
        ("timestamp", 0), ("timestamp", -1), ("timestamp", True), ("timestamp", 1.5), ("timestamp", None), ("timestamp", 1 << 64),
        ("digest", None), ("digest", 384),
        ("pcrs", {}), ("pcrs", None), ("pcrs", []), ("pcrs", {1: bytes(48)}),
        ("pcrs", {0: bytes(32)}), ("pcrs", {0: bytes(64)}), ("pcrs", {0: "x" * 48}), ("pcrs", {0: bytes(48), 32: bytes(48)}),
        ("pcrs", {0: bytes(48), -1: bytes(48)}), ("pcrs", {0: bytes(48), "1": bytes(48)}),
        ("pcrs", {0: bytes(48), True: bytes(48)}),
        ("certificate", None), ("certificate", b""), ("certificate", b"\x30\x00"), ("certificate", "text"),
        ("certificate", CERTIFICATE + b"\0"), ("certificate", CERTIFICATE + bytes(1025 - len(CERTIFICATE))),
        ("cabundle", []), ("cabundle", None), ("cabundle", [b""]), ("cabundle", [None]), ("cabundle", {0: CERTIFICATE}),
        ("public_key", b""), ("public_key", "text"), ("nonce", 5), ("user_data", [b"x"]), ("user_data", {}),
        ("unknown", None), ("user_data ", b"x"),
    ],
)  # fmt: skip
def test_what_a_document_may_not_hold(name: str, value: Any) -> None:
    with pytest.raises(MalformedError):
        parse(_document(**{name: value}))


@pytest.mark.parametrize("name", ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"])
def test_what_a_document_must_hold(name: str) -> None:
    document, signer = FAKE.document()
    del document[name]
    with pytest.raises(MalformedError, match=name):
        parse(seal(cbor2.dumps(document), signer.key))


def test_other_digests_and_algorithms_are_not_known_here() -> None:
    document, signer = FAKE.document()
    with pytest.raises(UnsupportedError, match="SHA512"):
        parse(seal(cbor2.dumps(document | {"digest": "SHA512"}), signer.key))
    for protected in ({1: -7}, {1: -36}, {}, {1: -35, 4: b"kid"}):
        with pytest.raises(UnsupportedError, match="ES384"):
            parse(seal(cbor2.dumps(document), signer.key, protected=cbor2.dumps(protected)))
    with pytest.raises(UnsupportedError):
        parse(GOOD, kind="tdx")


def _parts() -> list[Any]:
    return list(cbor2.loads(GOOD))


def _second_spellings() -> dict[str, bytes]:
    protected, _, payload, signature = _parts()
    head, tail = b"\x84\x44" + protected + b"\xa0", b"\x58\x60" + signature
    body = b"\x59" + len(payload).to_bytes(2, "big") + payload
    assert head + body + tail == GOOD
    long_key = payload.replace(b"\x66digest", b"\x78\x06digest", 1)
    again = payload.replace(b"\x66digest", b"\x66digest\x66SHA384\x66digest", 1)
    again = bytes([again[0] + 1]) + again[1:]
    indefinite = b"\xbf" + payload[1:] + b"\xff"
    tagged = payload.replace(b"\x66SHA384", b"\xd8\x20\x66SHA384", 1)
    key = FAKE.leaf_key
    return {
        "tagged": b"\xd2" + GOOD,
        "self-described": b"\xd9\xd9\xf7" + GOOD,
        "trailing byte": GOOD + b"\0",
        "second item": GOOD + GOOD,
        "long array head": b"\x98\x04" + GOOD[1:],
        "indefinite array": b"\x9f" + GOOD[1:] + b"\xff",
        "long protected head": b"\x84\x58\x04" + GOOD[2:],
        "long payload head": head + b"\x5a" + len(payload).to_bytes(4, "big") + payload + tail,
        "payload in chunks": head + b"\x5f" + body + b"\xff" + tail,
        "long map head": b"\x84\x44" + protected + b"\xb8\x00" + body + tail,
        "unprotected content": seal(payload, key, unprotected={4: b"kid"}, signature=signature),
        "five parts": b"\x85" + GOOD[1:] + b"\x00",
        # Signed, so nobody else could make them of one that there is; nor would the hardware.
        "signed: a long key": seal(long_key, key),
        "signed: a key twice": seal(again, key),
        "signed: an indefinite map": seal(indefinite, key),
        "signed: a tag": seal(tagged, key),
        "signed: trailing byte": seal(payload + b"\0", key),
        "signed: not a map": seal(cbor2.dumps([1]), key),
        "signed: numbered fields": seal(cbor2.dumps({1: 2}), key),
        "signed: empty": seal(b"", key),
        "short signature": seal(payload, key, signature=signature[:95]),
        "long signature": seal(payload, key, signature=signature + b"\0"),
        "signature as text": cbor2.dumps([protected, {}, payload, signature.hex()]),
        "payload as text": cbor2.dumps([protected, {}, payload.hex(), signature]),
        "no payload": cbor2.dumps([protected, {}, None, signature]),
        "a map": cbor2.dumps({0: protected}),
        "empty": b"",
    }


SPELLINGS = _second_spellings()


@pytest.mark.parametrize("name", SPELLINGS)
def test_no_second_spelling(name: str) -> None:
    with pytest.raises(MalformedError):
        parse(SPELLINGS[name])


def test_every_truncation_is_refused() -> None:
    for length in range(len(GOOD)):
        with pytest.raises(Error):
            parse(GOOD[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"\x81" * MAX_SIZE,
        b"\x9b" + b"\x7f" + b"\xff" * 7,
        b"\x5b" + b"\xff" * 8,
        b"\xbb" + b"\xff" * 8,
        b"\xc4\x82\x1b" + b"\x7f" * 8 + b"\x01",  # a decimal with that many zeroes
        b"\xd8\x23\x78\x64" + b"(" * 50 + b"a+)+" * 10 + b")" * 10,  # a regular expression
        b"\xd8\x1c\x81\xd8\x1d\x00",  # a list that holds itself
        bytes(MAX_SIZE + 1),
    ],
)
def test_bombs_are_refused_at_once(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse(data)
    with pytest.raises(MalformedError):
        parse(seal(data[:16384], FAKE.leaf_key))


def test_the_size_is_looked_at_first() -> None:
    with pytest.raises(MalformedError, match="is more than the 16,512 allowed"):
        parse(GOOD + bytes(MAX_SIZE))
    payload = GOOD[:16384].ljust(16385, b"x")
    with pytest.raises(MalformedError, match="a document of 16,385 bytes"):
        parse(seal(payload, FAKE.leaf_key))


@pytest.mark.parametrize(
    "tagged",
    [
        "c06a323032362d30362d3031",
        "c100",
        "c24101",
        "c482010a",
        "c5820103",
        "d81c00",
        "d81e820103",
        "d8236161",
        "d9010080",
        "d9d9f700",
    ],
)
def test_tags_are_never_made_into_values(tagged: str) -> None:
    """cbor2 would compile a regular expression of somebody's choice, and write it again as it was."""
    with pytest.raises(MalformedError, match="not CBOR"):
        decode(bytes.fromhex(tagged), what="test", max_depth=4)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), 1 << 63) | st.floats() | st.binary(max_size=64) | st.text(max_size=16),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 40) | st.text(max_size=12), inner, max_size=4),
    max_leaves=10,
)
_NAMES = st.sampled_from(
    ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle", "public_key", "user_data", "nonce"]
)


def _only_error(call: Callable[[], object]) -> None:
    with contextlib.suppress(Error):
        call()


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_only_error(data: bytes) -> None:
    _only_error(lambda: parse(data))
    _only_error(lambda: parse(seal(data, None, signature=bytes(96))))
    _only_error(lambda: parse(b"\x84\x44\xa1\x01\x38\x22\xa0" + data))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(_NAMES, _VALUES, max_size=3))
def test_arbitrary_fields_raise_only_error(fields: dict[str, Any]) -> None:
    document, _ = FAKE.document()
    data = seal(cbor2.dumps(document | fields), None, signature=bytes(96))
    _only_error(lambda: parse(data).verify(at=NOW, roots=ROOTS))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8), st.booleans())
def test_mutations_of_a_real_one_raise_only_error(at: int, patch: bytes, replacing: bool) -> None:
    changed = GOOD[:at] + patch + GOOD[at + len(patch) * replacing :]
    if changed == GOOD:
        return
    with pytest.raises(Error):
        parse(changed).verify(at=NOW, roots=ROOTS)


def test_equal_is_what_has_the_same_bytes() -> None:
    evidence = parse(GOOD)
    assert evidence == parse(bytes(GOOD))
    assert evidence != replace(evidence, signature=bytes(96))
    assert isinstance(evidence, NitroEvidence)
