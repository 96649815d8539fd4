# SPDX-License-Identifier: Apache-2.0
"""From a signed statement and a log that holds it to the files that prove it to others (docs/formats/settled.md).

Receipts, key events and verdicts alike. Nothing leaves here that was not checked first: the leaf in the log is this
statement's, by the key that the statement names. Key events begin here too; verdicts begin in ``verifiable.verify.verdicts``.
"""

from __future__ import annotations

import re
from dataclasses import replace

from verifiable.errors import BindingError, Error, TrustError
from verifiable.keys.signer import Signer
from verifiable.ledger.client import LogClient
from verifiable.ledger.cose import CoseReceipt
from verifiable.ledger.entry import Entry
from verifiable.ledger.note import NoteKey, NoteSigner
from verifiable.ledger.sigstore import Bundle, LogEntry, log_id
from verifiable.ledger.statements import KeyEvent
from verifiable.ledger.tlogproof import TlogProof
from verifiable.merkle.hashing import leaf_hash
from verifiable.merkle.verify import verify_inclusion
from verifiable.receipt import Receipt, bundle_of

#: Likewise after somebody's pretty-printer, or with a byte order mark: no statement any more, but meant as one.
_MEANT = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"(?:dsseEnvelope|bundle)"\s*:')


def is_statement(data: bytes) -> bool:
    """Whether ``data`` begins like a receipt or the bundle of another statement, or would if its spelling were canonical."""
    return _MEANT.match(data) is not None


def leaf_of(statement: Receipt | Bundle, public_key: bytes | None = None) -> bytes:
    """What a log is to hold of it, once its signature holds; ``public_key`` (DER): who signed, which a receipt says itself.

    Raises SignatureError, TrustError when nobody says who signed, MalformedError, UnsupportedError.
    """
    key = statement.claim.public_key if isinstance(statement, Receipt) else public_key
    if key is None:
        raise TrustError("the statement does not carry the key that signed it", hint="give its PEM file: --public-key FILE")
    bundle_of(statement).verify(key)
    return bundle_of(statement).entry(key).encode()


def sign_event(event: KeyEvent, administrator: Signer) -> Bundle:
    """The event signed, in no log yet. Raises MalformedError for one that nobody could read back, and what signing raises."""
    payload = event.encode()
    KeyEvent.parse(payload)
    return Bundle.sign(payload, administrator)


def require_effect(statement: Receipt | Bundle, origin: str, size: int) -> None:
    """Return unless ``statement`` is a key event that counts for nothing in the log of ``origin`` when appended at ``size``.

    What is in a log stays there, so an administrator learns it before. Raises BindingError.
    """
    try:
        event = KeyEvent.parse(bundle_of(statement).payload)
    except Error:
        return  # another statement, which counts wherever it is
    event.require_effect(origin, size)


def index_of(statement: Receipt | Bundle, key: NoteKey) -> int:
    """Where it says that the log with this key holds it. Raises TrustError when it does not say."""
    for place in bundle_of(statement).log_entries:
        if place.log_id == log_id(key):
            return place.index
    raise TrustError(
        f"the statement does not say where it is in {key.name}", hint="give its number: --index, as `log append` printed"
    )


def place_of(statement: Receipt | Bundle, client: LogClient, key: NoteKey, index: int) -> LogEntry:
    """Where the log holds it, by its present checkpoint; the statement's signature is verified with the key in the leaf.

    Raises BindingError (entry ``index`` is of something else), SignatureError, MalformedError, and what the client raises.
    """
    seen, bundle = client.checkpoint(), bundle_of(statement)
    body = client.entry(index, seen)
    public_key = Entry.parse(body).public_key
    if bundle.entry(public_key).encode() != body:
        raise BindingError(f"entry {index} of {key.name} is of another statement")
    bundle.verify(public_key)
    return LogEntry.of(key, index=index, hashes=client.inclusion(index, seen), checkpoint=seen.note, body=body)


def settled(statement: Receipt | Bundle, place: LogEntry) -> Receipt | Bundle:
    """The statement with this place in it, instead of another in the same log."""
    others = (each for each in bundle_of(statement).log_entries if each.log_id != place.log_id)
    return replace(statement, log_entries=(*others, place))


def tlog_proof(place: LogEntry) -> bytes:
    """The place as a ``.tlog-proof`` file."""
    return TlogProof(index=place.index, hashes=place.hashes, checkpoint=place.checkpoint).encode()


def cose_receipt(place: LogEntry, signer: NoteSigner) -> bytes:
    """The place as a COSE receipt, which the log signs anew: the root is one that it has signed before.

    Raises SignatureError, TrustError, BindingError when the checkpoint is not this log's, InclusionError when the proof fails.
    """
    tree = place.checkpoint.open(place.checkpoint.encode(), signer.key)
    leaf = leaf_hash(place.body)
    # Before it is signed: what our key signs, somebody may keep.
    verify_inclusion(leaf, place.index, tree.size, place.hashes, tree.root)
    receipt = CoseReceipt.issue(
        key=signer.key, sign=signer.private.sign, leaf=leaf, index=place.index, size=tree.size, hashes=place.hashes
    )
    return receipt.encode()
