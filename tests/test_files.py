# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import pytest

from verifiable import files
from verifiable.errors import FatalStateError, MalformedError


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_write_replaces_whole_and_leaves_nothing_beside(tmp_path: Path) -> None:
    target = tmp_path / "out"
    files.write(target, b"one", what="x")
    files.write(target, b"two", what="x")
    assert target.read_bytes() == b"two"
    assert names(tmp_path) == ["out"]


def test_a_link_is_neither_followed_nor_replaced(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "out").symlink_to(victim)
    with pytest.raises(FatalStateError, match="is a symbolic link"):
        files.write(tmp_path / "out", b"evil", what="x")
    with pytest.raises(FatalStateError, match="is a symbolic link"), files.new_directory(tmp_path / "out", what="x"):
        pass
    assert victim.read_bytes() == b"precious"


def test_a_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(FatalStateError, match=r"x: cannot write .*No such file") as caught:
        files.write(tmp_path / "no" / "out", b"", what="x")
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_a_full_disk_leaves_no_partial_file(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")

    # The kernel's own always-full device stands in for the disk: the write really fails with ENOSPC.
    original = os.open

    def redirected(path: object, flags: int, mode: int = 0o777) -> int:
        if str(path).endswith(".part"):
            os.close(original(str(path), flags, mode))
            return original(full, os.O_WRONLY)
        return original(path, flags, mode)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", redirected)
        with pytest.raises(FatalStateError, match="No space left"):
            files.write(tmp_path / "out", b"data", what="x")
    assert names(tmp_path) == []


def test_reading_is_bounded_and_plain(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as stream:
        stream.truncate(5 << 30)  # sparse: 5 GB that take no room
    with pytest.raises(MalformedError, match="5,368,709,120 bytes, more than the 100 allowed"):
        files.read(big, what="x", max_size=100)
    os.mkfifo(tmp_path / "fifo")
    for path, reason in [
        (tmp_path, "regular file|directory"),
        (tmp_path / "fifo", "regular file"),
        (tmp_path / "none", "no such file"),
    ]:
        with pytest.raises(MalformedError, match=reason):
            files.read(path, what="x", max_size=100)
    with pytest.raises(MalformedError, match="cannot read"):
        files.read(Path("a\0b"), what="x", max_size=100)


def test_a_directory_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "made"

    def fill(*, fail: bool) -> None:
        with files.new_directory(target, what="x") as folder:
            (folder / "a").write_text("1")
            if fail:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(fail=True)
    assert names(tmp_path) == []
    fill(fail=False)
    assert (target / "a").read_text() == "1"
    with pytest.raises(FatalStateError, match="already exists"):
        fill(fail=False)
    with files.new_directory(target, what="x", replace="a") as folder:
        (folder / "b").write_text("2")
    assert names(target) == ["b"]
    assert names(tmp_path) == ["made"]
