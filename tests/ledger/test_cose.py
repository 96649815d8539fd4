# SPDX-License-Identifier: Apache-2.0
"""COSE receipts: ours are read by an independent implementation, its are read by us, and forged ones by neither."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import scitt_cose
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.log import FakeLog
from verifiable import settling
from verifiable.errors import Error, InclusionError, MalformedError, SignatureError, TrustError
from verifiable.ledger.checkpoint import SignedCheckpoint
from verifiable.ledger.cose import MAX_SIZE, CoseReceipt
from verifiable.ledger.note import NoteSigner
from verifiable.ledger.sigstore import log_id
from verifiable.merkle.hashing import leaf_hash


def _log(size: int) -> FakeLog:
    log = FakeLog()
    log.fill(size)
    return log


def _issue(log: FakeLog, index: int, signer: NoteSigner | None = None) -> CoseReceipt:
    place, signer = log.place(index), signer or log.signer
    return CoseReceipt.issue(
        key=signer.key,
        sign=signer.private.sign,
        leaf=leaf_hash(place.body),
        index=index,
        size=place.tree.size,
        hashes=place.hashes,
    )


def _pem(log: FakeLog) -> bytes:
    return log.signer.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _theirs(receipt: bytes, log: FakeLog, index: int) -> scitt_cose.ReceiptResult:
    return scitt_cose.verify_receipt(receipt, leaf_entry_hex=log.leaves[index].hex(), log_public_key_pem=_pem(log))


LOG = _log(7)
RECEIPT = _issue(LOG, 4)
LEAF = leaf_hash(LOG.leaves[4])


@pytest.mark.parametrize(("size", "index"), [(1, 0), (2, 1), (7, 0), (7, 6), (8, 5), (300, 299)])
def test_an_independent_implementation_accepts_it(size: int, index: int) -> None:
    log = _log(size)
    receipt = _issue(log, index)
    result = _theirs(receipt.encode(), log, index)
    assert (result.ok, result.errors) == (True, [])
    assert (result.tree_size, result.leaf_index) == (size, index)
    assert result.root == log.checkpoint().checkpoint.root.hex()
    assert result.protected_header_ext == {4: log_id(log.signer.key)}


def test_only_the_deterministic_form_is_read() -> None:
    """Theirs has its protected header in the order of the caller, which RFC 8949 does not call deterministic."""
    theirs = scitt_cose.build_receipt(
        leaf_entry_hex=LOG.leaves[4].hex(),
        leaf_index=4,
        tree_entries_hex=[leaf.hex() for leaf in LOG.leaves],
        alg="EdDSA",
        log_private_key_pem=LOG.signer.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        kid=log_id(LOG.signer.key),
    )
    assert _theirs(theirs, LOG, 4).ok
    with pytest.raises(MalformedError):
        CoseReceipt.parse(theirs)


def test_it_reads_back_and_holds() -> None:
    assert CoseReceipt.parse(RECEIPT.encode()) == RECEIPT
    assert RECEIPT.verify(LEAF, LOG.signer.key) == LOG.checkpoint().checkpoint.root


@pytest.mark.parametrize(
    ("forge", "error"),
    [
        (lambda r: replace(r, index=3), SignatureError),
        (lambda r: replace(r, hashes=(bytes(32), *r.hashes[1:])), SignatureError),
        (lambda r: replace(r, hashes=r.hashes[1:]), InclusionError),
        (lambda r: replace(r, hashes=(*r.hashes, bytes(32))), InclusionError),
        (lambda r: replace(r, index=7), InclusionError),
        (lambda r: replace(r, signature=bytes(64)), SignatureError),
        (lambda r: _issue(_log(8), 4), SignatureError),
    ],
)
def test_a_forged_one_holds_for_nobody(forge: Callable[[CoseReceipt], CoseReceipt], error: type[Error]) -> None:
    forged = forge(RECEIPT)
    with pytest.raises(error):
        forged.verify(LEAF, LOG.signer.key)
    assert not _theirs(forged.encode(), LOG, 4).ok


def test_it_is_of_one_entry_and_one_log() -> None:
    with pytest.raises(SignatureError):
        RECEIPT.verify(leaf_hash(LOG.leaves[3]), LOG.signer.key)
    other = FakeLog()
    with pytest.raises(SignatureError, match="is not by"):
        RECEIPT.verify(LEAF, other.signer.key)
    # The same key under another origin is another log.
    renamed = replace(LOG.signer, name="ledger.example/two")
    with pytest.raises(SignatureError, match="is not by"):
        RECEIPT.verify(LEAF, renamed.key)
    with pytest.raises(SignatureError):
        replace(RECEIPT, key_id=log_id(renamed.key)).verify(LEAF, renamed.key)


def test_a_key_that_is_not_the_logs_issues_nothing() -> None:
    place = LOG.place(4)
    with pytest.raises(SignatureError):
        CoseReceipt.issue(
            key=LOG.signer.key, sign=Ed25519PrivateKey.generate().sign, leaf=LEAF, index=4, size=7, hashes=place.hashes
        )


def test_a_checkpoints_signature_is_no_receipts() -> None:
    """One key signs both; neither passes for the other."""
    note = LOG.checkpoint().note.signatures[0].signature
    with pytest.raises(SignatureError):
        replace(RECEIPT, signature=note).verify(LEAF, LOG.signer.key)


DATA = RECEIPT.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        DATA[:-1],
        DATA + b"\0",
        DATA[1:],  # without the tag
        DATA.replace(b"\x27\x04\x58\x20", b"\x26\x04\x58\x20"),  # ES256
        DATA.replace(b"\x19\x01\x8b\x01", b"\x19\x01\x8b\x02"),  # another structure
        DATA.replace(b"\xf6\x58\x40", b"\x40\x58\x40"),  # a payload that is there, and empty
        DATA.replace(b"\x83\x07\x04", b"\x83\x18\x07\x04"),  # a number longer than it need be
        DATA.replace(b"\x83\x07\x04", b"\x83\x07\x24"),  # index -5
        bytes(MAX_SIZE + 1),
        b"\xd2\x84\x5b" + b"\xff" * 8,  # a string of 2^64 bytes
    ],
)
def test_nothing_else_is_read(data: bytes) -> None:
    assert data != DATA
    with pytest.raises(MalformedError):
        CoseReceipt.parse(data)


@settings(max_examples=300)
@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_each_changed_byte_is_seen(position: int, flip: int) -> None:
    changed = DATA[:position] + bytes([DATA[position] ^ flip]) + DATA[position + 1 :]
    try:
        read = CoseReceipt.parse(changed)
        read.verify(LEAF, LOG.signer.key)
    except Error:
        return
    assert replace(read, size=7) == RECEIPT  # see the next test


def test_the_size_is_not_signed() -> None:
    """A known limit of the format (docs/formats/settled.md): nothing here may judge a key by what a COSE receipt says."""
    stretched = replace(RECEIPT, size=8)
    assert stretched.verify(LEAF, LOG.signer.key) == RECEIPT.verify(LEAF, LOG.signer.key)
    assert _theirs(stretched.encode(), LOG, 4).ok


class _Recorded:
    """The log's key, and what was signed with it."""

    def __init__(self, signer: NoteSigner) -> None:
        self.key, self.private, self.signed = signer.key, self, list[bytes]()
        self.sign_with = signer.private.sign

    def sign(self, message: bytes) -> bytes:
        self.signed.append(message)
        return self.sign_with(message)


def test_a_log_signs_anew_only_a_root_that_it_has_signed() -> None:
    """Its key is asked to sign a bare root here, which is any tree's: what is exported must be under its own checkpoint."""
    place, stranger, signer = LOG.place(4), _log(7), _Recorded(LOG.signer)
    receipt = CoseReceipt.parse(settling.cose_receipt(place, signer))
    assert receipt.verify(LEAF, LOG.signer.key) == place.tree.root
    assert len(signer.signed) == 1
    forged = replace(LOG.checkpoint().note, text=stranger.checkpoint(size=8).note.text)
    for false, error in (
        (replace(place, hashes=(bytes(32), *place.hashes[1:])), InclusionError),
        (replace(place, index=5), InclusionError),
        (replace(place, body=b"another"), InclusionError),
        (stranger.place(4), TrustError),
        (replace(place, checkpoint=SignedCheckpoint.parse(forged.encode())), SignatureError),
    ):
        with pytest.raises(error):
            settling.cose_receipt(false, signer)
    assert len(signer.signed) == 1
