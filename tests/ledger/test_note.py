# SPDX-License-Identifier: Apache-2.0
"""Notes and checkpoints: the specification's own examples, round trips, and one defect at a time."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from verifiable.errors import BindingError, Error, MalformedError, SignatureError, TrustError, UnsupportedError
from verifiable.ledger.checkpoint import Checkpoint, SignedCheckpoint
from verifiable.ledger.cosignature import CosignatureSigner, message
from verifiable.ledger.note import ED25519, Note, NoteKey, NoteSigner, verify_note
from verifiable.merkle.hashing import leaf_hash

# c2sp.org/signed-note, "Example"
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ORIGIN = "log.example/one"
CHECKPOINT = Checkpoint(origin=ORIGIN, size=7, root=leaf_hash(b"x"))


@pytest.fixture(scope="module")
def signers() -> tuple[NoteSigner, CosignatureSigner, CosignatureSigner]:
    return (
        NoteSigner(name=ORIGIN, private=Ed25519PrivateKey.from_private_bytes(b"\1" * 32)),
        CosignatureSigner(name=ORIGIN, private=MLDSA44PrivateKey.from_seed_bytes(b"\2" * 32)),
        CosignatureSigner(name="w.example/1", private=Ed25519PrivateKey.from_private_bytes(b"\3" * 32)),
    )


def test_the_specifications_example() -> None:
    key, note = NoteKey.parse(VKEY), Note.parse(NOTE)
    verify_note(note, key)
    assert (key.encode(), note.encode()) == (VKEY, NOTE)
    with pytest.raises(SignatureError):
        verify_note(replace(note, text="This is another message.\n"), key)
    with pytest.raises(TrustError):
        verify_note(note, replace(key, name="example.com/bar"))


def test_the_cosigned_example_of_the_specification_parses() -> None:
    # c2sp.org/tlog-cosignature; its keys are not published
    data = (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "— example.com/behind-the-sofa "
        "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
        "— witness.example.com/w1 "
        "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    ).encode()
    signed = SignedCheckpoint.parse(data)
    assert signed.checkpoint.size == 20852163
    assert signed.encode() == data


def test_the_signed_messages_are_the_specifications(signers) -> None:
    plain, post_quantum, witness = signers
    assert message(witness.key, CHECKPOINT, 1679315147) == b"cosignature/v1\ntime 1679315147\n" + CHECKPOINT.encode()
    assert message(post_quantum.key, CHECKPOINT, 258) == (
        b"subtree/v1\n\0" + b"\x0f" + ORIGIN.encode() + bytes(6) + b"\1\2" + b"\x0f" + ORIGIN.encode()
        + bytes(8) + bytes(7) + b"\7" + CHECKPOINT.root
    )  # fmt: skip
    with pytest.raises(UnsupportedError):
        message(plain.key, CHECKPOINT, 1)


def test_a_checkpoint_signed_with_all_three_kinds(signers) -> None:
    signed = SignedCheckpoint.sign(CHECKPOINT, signers, NOW)
    data = signed.encode()
    assert SignedCheckpoint.parse(data) == signed
    assert SignedCheckpoint.open(data, signers[0].key, signers[1].key) == CHECKPOINT
    assert [signed.signed_by(s.key) for s in signers] == [(None,), (NOW,), (NOW,)]


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("position", [0, 7, 8, 40, -1])
def test_a_signature_with_one_bit_turned_spoils_the_note(signers, kind: int, position: int) -> None:
    line = signers[kind].sign_checkpoint(CHECKPOINT, NOW)
    spoilt = bytearray(line.signature)
    spoilt[position] ^= 1
    signed = SignedCheckpoint.sign(CHECKPOINT, signers, NOW).with_signatures([replace(line, signature=bytes(spoilt))])
    with pytest.raises(SignatureError):
        signed.signed_by(signers[kind].key)
    with pytest.raises(SignatureError):
        # truncated to nothing but the time
        signed.with_signatures([replace(line, signature=line.signature[:8])]).signed_by(signers[kind].key)


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("change", [{"size": 8}, {"root": leaf_hash(b"y")}, {"origin": "log.example/two"}])
def test_a_signature_covers_every_part(signers, kind: int, change: dict) -> None:
    line = signers[kind].sign_checkpoint(CHECKPOINT, NOW)
    other = SignedCheckpoint.sign(replace(CHECKPOINT, **change), signers, NOW).with_signatures([line])
    with pytest.raises(SignatureError):
        other.signed_by(signers[kind].key)


@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize("timestamp", [253_402_300_800, (1 << 63) - 1, (1 << 64) - 1])
def test_a_time_that_no_calendar_has(signers, kind: int, timestamp: int) -> None:
    signer, line = signers[kind], signers[kind].sign_checkpoint(CHECKPOINT, NOW)
    signature = timestamp.to_bytes(8, "big") + signer.private.sign(message(signer.key, CHECKPOINT, timestamp))
    signed = SignedCheckpoint.sign(CHECKPOINT, signers, NOW).with_signatures([replace(line, signature=signature)])
    with pytest.raises(SignatureError, match="no possible time"):
        signed.signed_by(signer.key)


def test_a_second_signature_by_a_known_key_must_hold_too(signers) -> None:
    signed = SignedCheckpoint.sign(CHECKPOINT, signers, NOW)
    line = signed.note.signatures[0]
    doubled = replace(signed, note=replace(signed.note, signatures=(line, replace(line, signature=bytes(64)))))
    with pytest.raises(SignatureError):
        SignedCheckpoint.open(doubled.encode(), signers[0].key)


def test_who_did_not_sign_and_who_is_another_log(signers) -> None:
    only_plain = SignedCheckpoint.sign(CHECKPOINT, signers[:1], NOW).encode()
    with pytest.raises(TrustError, match="not signed by"):
        SignedCheckpoint.open(only_plain, signers[0].key, signers[1].key)
    with pytest.raises(BindingError, match=r"not of 'w\.example/1'"):
        SignedCheckpoint.open(only_plain, signers[2].key)
    with pytest.raises(TrustError):
        SignedCheckpoint.open(only_plain)
    # the same name and another key: an unknown key, whose signature is ignored
    stranger = NoteSigner(name=ORIGIN, private=Ed25519PrivateKey.from_private_bytes(b"\4" * 32))
    with pytest.raises(TrustError):
        SignedCheckpoint.open(only_plain, stranger.key)


def test_a_strangers_line_with_a_known_key_id_is_ignored(signers) -> None:
    """Four bytes are quickly hit: a key is name and id, and a line that shares one of them spoils nothing."""
    signed = SignedCheckpoint.sign(CHECKPOINT, signers[:1], NOW)
    line = signed.note.signatures[0]
    for strange in (replace(line, name="stranger.example"), replace(line, key_id=bytes(4))):
        spoilt = replace(strange, signature=bytes(64))
        assert SignedCheckpoint.open(signed.with_signatures([spoilt]).encode(), signers[0].key) == CHECKPOINT
        alone = replace(signed, note=replace(signed.note, signatures=(strange,)))
        with pytest.raises(TrustError, match="not signed by"):
            SignedCheckpoint.open(alone.encode(), signers[0].key)


def test_a_cosigners_key_does_not_sign_notes(signers) -> None:
    """The same Ed25519 key, of another type: its plain signature over a text is not what the type stands for."""
    witness = signers[2]
    line = NoteSigner(name=witness.name, private=witness.private).sign("text\n")
    note = Note(text="text\n", signatures=(replace(line, key_id=witness.key.key_id),))
    with pytest.raises(UnsupportedError, match="signs checkpoints, not notes"):
        verify_note(note, witness.key)


def test_extension_lines_are_kept_and_never_pass_as_signed_by_what_does_not_cover_them(signers) -> None:
    extended = replace(CHECKPOINT, extensions=("more",))
    assert Checkpoint.parse(extended.encode()) == extended
    signed = SignedCheckpoint.sign(extended, (signers[0], signers[2]), NOW)
    assert signed.signed_by(signers[2].key) == (NOW,)
    with pytest.raises(UnsupportedError):
        signers[1].sign_checkpoint(extended, NOW)
    pasted = signed.with_signatures([signers[1].sign_checkpoint(CHECKPOINT, NOW)])
    with pytest.raises(UnsupportedError):
        pasted.signed_by(signers[1].key)


@pytest.mark.parametrize(
    ("defect", "data"),
    [
        ("nothing", b""),
        ("not UTF-8", NOTE.replace(b"example", b"\xff", 1)),
        ("carriage return", NOTE.replace(b"message.\n", b"message.\r\n")),
        ("no blank line", NOTE.replace(b"\n\n", b"\n")),
        ("no signature", NOTE.split(b"\xe2")[0]),
        ("no final newline", NOTE[:-1]),
        ("no text", NOTE[NOTE.index(b"\n\n") :]),
        ("hyphen for the dash", NOTE.replace("—".encode(), b"-")),
        ("no name", NOTE.replace(b"example.com/foo ", b" ")),
        ("a plus in the name", NOTE.replace(b".com/", b".com+")),
        ("a space in the name", NOTE.replace(b".com/", "\u2003".encode())),
        ("two spaces", NOTE.replace(b"/foo ", b"/foo  ")),
        ("not base64", NOTE.replace(b"Uw2Q", b"Uw*Q")),
        ("not canonical base64", NOTE.replace(b"aQM=", b"aQN=")),
        ("key id only", b"text\n\n\xe2\x80\x94 k AAAAAA==\n"),
        ("a text line among the signatures", NOTE + b"text\n"),
        ("an empty line at the end", NOTE + b"\n"),
        ("too many signatures", NOTE + NOTE.split(b"\n\n")[1] * 100),
        ("too large", b"x" * 600_000 + NOTE),
    ],
)
def test_a_malformed_note(defect: str, data: bytes) -> None:
    with pytest.raises(MalformedError):
        Note.parse(data)


@pytest.mark.parametrize(
    ("defect", "text"),
    [
        ("two lines", "o\n0\n"),
        ("no newline", CHECKPOINT.encode().decode()[:-1]),
        ("no origin", CHECKPOINT.encode().decode().removeprefix(ORIGIN)),
        ("leading zero", CHECKPOINT.encode().decode().replace("\n7\n", "\n07\n")),
        ("signed size", CHECKPOINT.encode().decode().replace("\n7\n", "\n+7\n")),
        ("digits of another script", CHECKPOINT.encode().decode().replace("\n7\n", "\n\u0667\n")),
        ("2^63", CHECKPOINT.encode().decode().replace("\n7\n", "\n9223372036854775808\n")),
        ("short root", "o\n7\nAAAA\n"),
        ("empty extension line", CHECKPOINT.encode().decode() + "\n"),
        ("too large", CHECKPOINT.encode().decode() + "x" * 20_000 + "\n"),
    ],
)
def test_a_malformed_checkpoint(defect: str, text: str) -> None:
    with pytest.raises(MalformedError):
        Checkpoint.parse(text.encode())


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (VKEY.replace("+530d903a+", "+530d903b+"), MalformedError),
        (VKEY.replace("+530d903a+", "+530D903A+"), MalformedError),
        (VKEY.replace("foo+", "bar+"), MalformedError),
        ("foo", MalformedError),
        ("+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", MalformedError),
        ("n+00000000+", UnsupportedError),
        ("n+00000000+AQ==", MalformedError),
        ("n+00000000+AgID", UnsupportedError),
    ],
)
def test_a_malformed_verifier_key(text: str, error: type[Error]) -> None:
    with pytest.raises(error):
        NoteKey.parse(text)


def test_the_key_id_separates_the_kinds() -> None:
    signer = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
    keys = NoteSigner(name="n", private=signer).key, CosignatureSigner(name="n", private=signer).key
    assert keys[0].public == keys[1].public
    assert keys[0].key_id != keys[1].key_id
    assert keys[0].type == ED25519


def test_private_keys_are_not_shown(signers) -> None:
    assert "private" not in repr(signers).lower()


@given(st.binary(max_size=200) | st.text(alphabet="—\n oA+=", max_size=60).map(str.encode))
def test_whatever_the_bytes_only_our_errors(data: bytes) -> None:
    for parse in (Note.parse, Checkpoint.parse, SignedCheckpoint.parse, lambda d: NoteKey.parse(d.decode("latin-1"))):
        with contextlib.suppress(Error):
            parse(data)


_LINE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1)


@given(st.integers(0, (1 << 63) - 1), st.binary(min_size=32, max_size=32), _LINE)
def test_checkpoints_round_trip(size: int, root: bytes, origin: str) -> None:
    checkpoint = Checkpoint(origin=origin, size=size, root=root)
    assert Checkpoint.parse(checkpoint.encode()) == checkpoint
