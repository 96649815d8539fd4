# SPDX-License-Identifier: Apache-2.0
"""What hardware is asked to sign is about one key, one nonce and one claim or none, and about nothing else."""

from __future__ import annotations

import hashlib
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiable.digest import Digest
from verifiable.errors import BindingError, MalformedError
from verifiable.tee.binding import MAX_NONCE_SIZE, SIZE, check_binding, for_kind, report_data
from verifiable.tee.evidence import KINDS

KEY, CLAIM = Digest(value=b"\xaa" * 32), Digest(value=b"\xbb" * 32)


def test_the_documents_example() -> None:
    """docs/formats/attestation.md"""
    assert report_data(key=KEY, nonce=bytes.fromhex("00112233")).hex() == (
        "177bfc6ae5709e038c9e623dc8d7cc5576895179333136d2b62223050bc38419"
        "4c0b1827f2d60d072640d2b6977b5c13716c671b65cbf0a7cbf42aff09d854ec"
    )


def test_with_a_claim_byte_by_byte() -> None:
    preimage = b"verifiable/tee/receipt/v1\0" + b"\xaa" * 32 + b"\3\0\0\0\0\0\0\0" + b"abc" + b"\xbb" * 32
    assert report_data(key=KEY, nonce=b"abc", claim=CLAIM) == hashlib.sha512(preimage).digest()


def test_a_key_never_passes_for_a_receipt() -> None:
    """Not even for the receipt whose digest is what stands in its place."""
    assert report_data(key=KEY) != report_data(key=KEY, claim=Digest(value=bytes(32)))


digests = st.binary(min_size=32, max_size=32).map(lambda value: Digest(value=value)) | st.sampled_from([KEY, CLAIM])
statements = st.tuples(digests, st.binary(max_size=MAX_NONCE_SIZE), st.none() | digests)


def _of(statement: tuple[Digest, bytes, Digest | None]) -> bytes:
    key, nonce, claim = statement
    return report_data(key=key, nonce=nonce, claim=claim)


@given(statements, statements)
def test_other_statements_have_other_data(
    one: tuple[Digest, bytes, Digest | None], other: tuple[Digest, bytes, Digest | None]
) -> None:
    assert (_of(one) == _of(other)) == (one == other)
    assert len(_of(one)) == SIZE


def test_no_byte_moves_between_nonce_and_claim() -> None:
    """Were the nonce's length not in it, these would be one."""
    claim = bytes(range(32))
    shifted = [(claim[:i], Digest(value=(claim[i:] + claim)[:32])) for i in range(1, 32)]
    data = {report_data(key=KEY, nonce=nonce, claim=rest) for nonce, rest in shifted}
    data |= {report_data(key=KEY, nonce=nonce) for nonce in (b"", b"\0", bytes(32), bytes(64))}
    assert len(data) == 31 + 4


def test_a_nonce_is_capped() -> None:
    assert len(report_data(key=KEY, nonce=bytes(64))) == 64
    with pytest.raises(MalformedError, match="65 bytes, at most 64"):
        report_data(key=KEY, nonce=bytes(65))


@pytest.mark.parametrize("kind", KINDS)
def test_hardware_signs_all_of_it_or_its_front(kind: str) -> None:
    data = report_data(key=KEY)
    assert for_kind(kind, data) == (data[:32] if kind == "nvidia" else data)
    check_binding(kind, for_kind(kind, data), data)


@pytest.mark.parametrize("kind", KINDS)
def test_evidence_made_for_another_statement(kind: str) -> None:
    data = [
        report_data(key=KEY), report_data(key=CLAIM), report_data(key=KEY, nonce=b"n"), report_data(key=KEY, nonce=b"m"),
        report_data(key=KEY, claim=CLAIM), report_data(key=KEY, claim=KEY), bytes(64),
    ]  # fmt: skip
    for found, expected in combinations(data, 2):
        with pytest.raises(BindingError, match=f"the {kind} evidence was not made for this key"):
            check_binding(kind, for_kind(kind, found), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_parts_and_extensions_do_not_pass(kind: str) -> None:
    data = report_data(key=KEY)
    signed = for_kind(kind, data)
    for found in (b"", signed[:-1], signed + b"\0", signed[1:], data + data, data[:32] if kind != "nvidia" else data):
        with pytest.raises(BindingError):
            check_binding(kind, found, data)
