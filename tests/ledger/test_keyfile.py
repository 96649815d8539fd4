# SPDX-License-Identifier: Apache-2.0
"""Files of private keys: round trip, owner only, never overwritten, and nothing of them in an error."""

from __future__ import annotations

import stat
import traceback
from pathlib import Path

import pytest

from tests.ledger.parties import NOW, MemoryLog
from verifiable.errors import Error, FatalStateError, MalformedError
from verifiable.ledger import keyfile


@pytest.mark.parametrize("types", [keyfile.LOG_TYPES, keyfile.COSIGNER_TYPES])
def test_keys_are_made_once_and_read_again(tmp_path: Path, types) -> None:
    path = tmp_path / "keys"
    made = keyfile.make(path, "n.example", types)
    loaded = keyfile.load(path)
    assert [s.key for s in loaded] == [s.key for s in made]
    assert [s.key.type for s in loaded] == list(types)
    assert len({s.key.public for s in loaded}) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    checkpoint = MemoryLog().add(1).checkpoint()
    for signer in loaded:
        assert checkpoint.with_signatures([signer.sign_checkpoint(checkpoint.checkpoint, NOW)]).signed_by(signer.key)
    with pytest.raises(FatalStateError, match="already exists"):
        keyfile.make(path, "n.example", types)


def test_go_reads_the_same_form(tmp_path: Path) -> None:
    # golang.org/x/mod/sumdb/note, note_test.go: its test key pair
    path = tmp_path / "keys"
    path.write_text("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n")
    path.chmod(0o600)
    (signer,) = keyfile.load(path)
    assert signer.key.encode() == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


@pytest.mark.parametrize(
    ("defect", "change"),
    [
        ("empty", lambda t: ""),
        ("no final newline", lambda t: t[:-1]),
        ("another prefix", lambda t: t.replace("PRIVATE", "PUBLIC")),
        ("another id", lambda t: t.replace("n.example", "m.example", 1)),
        ("a short seed", lambda t: t[:-5] + "\n"),
        ("two names", lambda t: t + "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n"),
        ("not text", lambda t: "\udcff\n"),
    ],
)
def test_what_is_no_key_file_is_refused_without_a_word_of_it(tmp_path: Path, defect: str, change) -> None:
    path = tmp_path / "keys"
    keyfile.make(path, "n.example", keyfile.COSIGNER_TYPES)
    text = path.read_text()
    secrets = [line.split("+", 4)[4] for line in text.splitlines()]
    path.write_bytes(change(text).encode("utf-8", "surrogateescape"))
    with pytest.raises(MalformedError) as caught:
        keyfile.load(path)
    shown = "".join(traceback.format_exception(caught.value))
    assert not any(secret[:20] in shown for secret in secrets)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    keyfile.make(path, "n.example", keyfile.LOG_TYPES)
    path.chmod(0o644)
    with pytest.raises(FatalStateError, match="by others"):
        keyfile.load(path)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "x" * 256, "\n"])
def test_a_name_that_no_key_may_have_leaves_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(Error):
        keyfile.make(tmp_path / "keys", name, keyfile.LOG_TYPES)
    assert list(tmp_path.iterdir()) == []
