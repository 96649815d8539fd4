# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from verifiable.blobs import LocalBlobs
from verifiable.digest import Digest
from verifiable.errors import FatalStateError


def test_what_is_put_is_found_by_its_content(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "b")
    digest = blobs.put(b"hello")
    assert digest == Digest.of(b"hello")
    found = blobs.find(digest)
    assert found is not None
    assert found.read_bytes() == b"hello"
    assert blobs.find(Digest.of(b"other")) is None


def test_a_poisoned_cache_entry_counts_as_absent(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    digest = blobs.put(b"the real key")
    found = blobs.find(digest)
    assert found is not None
    found.write_bytes(b"a forged key")
    assert blobs.find(digest) is None
    assert not found.exists()


def test_an_abandoned_write_leaves_nothing(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)

    def interrupted() -> None:
        with blobs.incoming() as aside:
            aside.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not any(p.is_file() for p in tmp_path.rglob("*"))


def test_an_unusable_folder_is_our_error(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("a file where the folder should be")
    with pytest.raises(FatalStateError, match="blob store"):
        LocalBlobs(tmp_path / "b").put(b"x")
