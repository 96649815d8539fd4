# SPDX-License-Identifier: Apache-2.0
"""Compiled loops are code: they are only taken from where nobody else can have put them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from verifiable.zk.sumcheck import native


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A file of ours, in a folder of ours."""
    folder = tmp_path / "loops"
    folder.mkdir(mode=0o700)
    path = folder / "kernels.loops"
    path.write_bytes(b"code")
    path.chmod(0o600)
    return path


def test_what_is_ours_is_read(place: Path) -> None:
    assert native._trusted(place) == b"code"


def test_a_link_is_not_followed(place: Path) -> None:
    """Any bytes that the victim owns, a download say, under the predictable name."""
    download = place.with_name("download")
    place.rename(download)
    place.symlink_to(download)
    assert native._trusted(place) is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_not_read(place: Path, mode: int) -> None:
    place.chmod(mode)
    assert native._trusted(place) is None


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_can_write_is_not_believed(place: Path, mode: int) -> None:
    place.parent.chmod(mode)
    assert native._trusted(place) is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_another_users_file_is_not_read(place: Path) -> None:
    os.chown(place, 65534, 65534)
    assert native._trusted(place) is None


def test_neither_a_pipe_nor_a_folder_is_waited_for(place: Path) -> None:
    place.unlink()
    os.mkfifo(place, 0o600)
    assert native._trusted(place) is None
    place.unlink()
    place.mkdir()
    assert native._trusted(place) is None
    assert native._trusted(place.with_name("none")) is None


def test_the_cache_is_made_for_this_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With any umask; and an installation that others can write to is passed over."""
    pytest.importorskip("numba")
    import llvmlite.binding as llvm

    shared, own = tmp_path / "__pycache__", tmp_path / "cache" / "loops"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setattr(native, "_places", lambda *_: [shared / "x.loops", own / "x.loops"])
    before = os.umask(0)
    try:
        built = native._build("verifiable.zk.sumcheck.kernels", llvm)
    finally:
        os.umask(before)
    assert not list(shared.iterdir())
    assert own.stat().st_mode & 0o777 == 0o700
    assert native._read("verifiable.zk.sumcheck.kernels", llvm) == built
