# SPDX-License-Identifier: Apache-2.0
"""What the store lets in, what it hands out, and that no name or record makes a setup look better than it is."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from tests.zk.srs.known import SECRET, make
from tests.zk.srs.test_ceremonies import smallest_file
from verifiable.digest import Digest
from verifiable.encoding import json
from verifiable.errors import Error, FatalStateError, MalformedError, UnsupportedError, VerificationError
from verifiable.zk.srs import ceremonies, check
from verifiable.zk.srs import format as raw
from verifiable.zk.srs.ceremonies import CEREMONIES, DEV_INSECURE, PUBLIC, UNKNOWN
from verifiable.zk.srs.store import SrsInfo, SrsStore


@pytest.fixture
def store(tmp_path: Path) -> SrsStore:
    return SrsStore(tmp_path / "srs")


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """The real k = 1 file of the public ceremony."""
    path = tmp_path / "download"
    path.write_bytes(smallest_file(CEREMONIES[0]))
    return path


def generator(path: Path, logrows: int) -> None:
    path.write_bytes(make(logrows).data())


def put(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "file.srs"
    path.write_bytes(data)
    return path


def visible(store: SrsStore) -> list[str]:
    return sorted(p.name for p in store._root.iterdir()) if store._root.exists() else []


def test_an_unknown_setup_is_checked_and_kept_as_unknown(store: SrsStore, tmp_path: Path) -> None:
    data = make(3).data()
    info = store.import_file(put(tmp_path, data))
    assert (info.logrows, info.digest, info.ceremony) == (3, Digest.of(data), UNKNOWN)
    assert info.path.read_bytes() == data
    assert stat.S_IMODE(info.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store._root.stat().st_mode) == 0o700
    setup = info.setup()
    assert (setup.ceremony, setup.digest, setup.fingerprint, setup.logrows) == (UNKNOWN, info.digest, info.fingerprint, 3)
    assert not setup.insecure


def test_a_ceremonys_file_is_recognised_by_its_digest_and_points(store: SrsStore, public: Path) -> None:
    info = store.import_file(public)
    assert (info.ceremony, info.logrows) == (PUBLIC, 1)
    assert ceremonies.ceremony_of(info.fingerprint) == PUBLIC


def test_a_ceremonys_setup_of_unlisted_size_is_recognised_after_the_checks(
    store: SrsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ceremonies, "_BY_FILE", {})
    seen: list[str] = []
    info = store.import_file(put(tmp_path, smallest_file(CEREMONIES[0])), progress=lambda phase, _: seen.append(phase))
    assert info.ceremony == PUBLIC
    assert "lagrange" in seen


def test_a_ceremonys_first_points_before_other_powers_do_not_get_in(store: SrsStore, tmp_path: Path) -> None:
    """The fingerprint alone would say "ceremony"."""
    known, parts = CEREMONIES[0], make(2)
    parts.powers[1], parts.s_g2 = raw.encode_g1(known.s_g1), raw.encode_g2(known.s_g2)
    with pytest.raises(VerificationError, match="consecutive powers"):
        store.import_file(put(tmp_path, parts.data()))
    assert visible(store) == []


def test_a_listed_digest_that_holds_another_secret_is_refused(
    store: SrsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make(2).data()
    monkeypatch.setattr(ceremonies, "_BY_FILE", {Digest.of(data): PUBLIC})
    with pytest.raises(VerificationError, match="holds another secret"):
        store.import_file(put(tmp_path, data))
    assert visible(store) == []


@pytest.mark.parametrize("data", [b"", b"\1\0\0\0", make(3).data()[:-1], b"PK" + bytes(514)])
def test_a_malformed_file_leaves_nothing_behind(store: SrsStore, tmp_path: Path, data: bytes) -> None:
    with pytest.raises(MalformedError):
        store.import_file(put(tmp_path, data))
    assert visible(store) == []


def test_the_copy_is_what_is_checked(store: SrsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes while it is imported: what is in the store is what was judged."""
    path, real_check, data = put(tmp_path, make(2).data()), check.check, make(2).data()

    def swap_then_check(*args: object, **kwargs: object) -> object:
        path.write_bytes(make(2, secret=SECRET + 1, base=5).data())
        return real_check(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(check, "check", swap_then_check)
    assert store.import_file(path).path.read_bytes() == data


def test_lookups_hash_the_file_each_time(store: SrsStore, public: Path) -> None:
    info = store.import_file(public)
    before = info.path.stat()
    assert store.by_digest(info.digest) == info
    assert (store.find(1), store.list()) == (info, (info,))
    with info.path.open("r+b") as stream:
        stream.seek(200)
        stream.write(bytes([stream.read(1)[0] ^ 1]))
    os.utime(info.path, ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, time and inode
    assert store.by_digest(info.digest) is None
    assert store.find(1) is None
    assert store.list() == ()
    assert store.import_file(public) == info
    assert store.by_digest(info.digest) == info


def test_a_truncated_or_foreign_file_in_the_folder_counts_as_absent(store: SrsStore, public: Path) -> None:
    info = store.import_file(public)
    (store._root / "README").write_text("hello")
    (store._root / f"kzg-bn254-k03-{'0' * 64}.srs").write_bytes(b"\3\0\0\0")
    (store._root / f"kzg-bn254-k02-{info.digest.hex}.srs").write_bytes(info.path.read_bytes())
    assert store.list() == (info,)
    os.truncate(info.path, 5)
    assert store.list() == ()


def test_an_absent_store_is_empty(store: SrsStore) -> None:
    assert store.list() == ()
    assert store.find(1) is None
    assert store.by_digest(Digest.of(b"")) is None
    assert not store._root.exists()


def test_find_takes_the_smallest_that_fits_and_only_ceremonies_unasked(
    store: SrsStore, tmp_path: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = store.import_file(put(tmp_path, make(2, secret=SECRET + 2).data()))
    development = [store.dev_insecure(k, generator) for k in (4, 3)]
    assert store.find(1) is None
    assert store.find(1, ceremony=UNKNOWN) == unknown
    assert store.find(3, ceremony=UNKNOWN) is None
    assert store.find(2, ceremony=DEV_INSECURE) == development[1]
    assert store.find(4, ceremony=DEV_INSECURE) == development[0]
    real = store.import_file(public)
    assert store.find(1) == store.find(1, ceremony=PUBLIC) == real
    assert store.find(2) is None
    assert store.find(1, ceremony="axiom-perpetual-powers-of-tau") is None
    assert [info.logrows for info in store.list()] == [1, 2, 3, 4]


class TestDevelopment:
    def test_it_says_so_everywhere(self, store: SrsStore) -> None:
        info = store.dev_insecure(2, generator)
        assert info.path.name.startswith("dev-insecure-")
        assert info.ceremony == DEV_INSECURE
        assert info.setup().insecure
        record = json.parse(info.path.with_suffix(".json").read_bytes(), what="record", max_size=4096)
        assert record["origin"] == DEV_INSECURE

    def test_it_is_made_once_and_again_when_damaged(self, store: SrsStore) -> None:
        made: list[int] = []

        def counting(path: Path, logrows: int) -> None:
            made.append(logrows)
            generator(path, logrows)

        first = store.dev_insecure(2, counting)
        assert store.dev_insecure(2, counting) == first
        assert made == [2]
        os.truncate(first.path, 99)
        assert store.dev_insecure(2, counting) == first
        assert made == [2, 2]

    def test_a_failed_generator_leaves_nothing(self, store: SrsStore) -> None:
        def failing(path: Path, logrows: int) -> None:
            path.write_bytes(make(logrows).data()[:300])
            raise FatalStateError("out of memory")

        with pytest.raises(FatalStateError, match="out of memory"):
            store.dev_insecure(2, failing)
        with pytest.raises(MalformedError):
            store.dev_insecure(2, lambda path, k: path.write_bytes(make(k).data()[:300]) and None)
        with pytest.raises(FatalStateError, match="asked for"):
            store.dev_insecure(2, lambda path, _: generator(path, 3))
        assert visible(store) == []

    @pytest.mark.parametrize("logrows", [0, -1, 27, 10**9])
    def test_its_size_is_bounded(self, store: SrsStore, logrows: int) -> None:
        with pytest.raises(UnsupportedError):
            store.dev_insecure(logrows, generator)

    def test_importing_it_again_does_not_launder_it(self, store: SrsStore, tmp_path: Path) -> None:
        made = store.dev_insecure(2, generator)
        assert store.import_file(put(tmp_path, made.path.read_bytes())) == made

    def test_a_renamed_file_is_still_known_by_its_record(self, store: SrsStore) -> None:
        made = store.dev_insecure(2, generator)
        made.path.rename(made.path.with_name(made.path.name.removeprefix("dev-insecure-")))
        assert label(store, made) == DEV_INSECURE

    def test_a_forged_record_does_not_undo_the_name(self, store: SrsStore) -> None:
        made = store.dev_insecure(2, generator)
        record = made.path.with_suffix(".json")
        for forged in (record.read_bytes().replace(b"dev-insecure", b"imported"), b"", b"{}", b'{"a":' * 999, b"\xff"):
            record.write_bytes(forged)
            assert label(store, made) == DEV_INSECURE

    @pytest.mark.parametrize("origin", ["imported", PUBLIC, "axiom-perpetual-powers-of-tau"])
    def test_no_edit_of_name_and_record_makes_it_a_ceremonys(self, store: SrsStore, origin: str) -> None:
        made = store.dev_insecure(2, generator)
        record = made.path.with_suffix(".json")
        plain = made.path.with_name(made.path.name.removeprefix("dev-insecure-"))
        made.path.rename(plain)
        record.rename(plain.with_suffix(".json"))
        plain.with_suffix(".json").write_bytes(
            json.canonical(
                {"mediaType": "application/vnd.verifiable.srs-record.v1+json", "origin": origin, "sha256": made.digest.hex}
            )
        )
        assert label(store, made) == UNKNOWN
        assert store.find(1) is None


def label(store: SrsStore, made: SrsInfo) -> str:
    found = store.by_digest(made.digest)
    assert found is not None
    return found.ceremony


def test_a_full_disk_is_one_clear_error(store: SrsStore, public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FatalStateError, match="No space left"):
        store.import_file(public)
    monkeypatch.undo()
    assert [name for name in visible(store) if name.endswith((".srs", ".part"))] == []


def test_a_store_that_cannot_be_made_is_one_clear_error(tmp_path: Path, public: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "below", Path("a\0b")):
        with pytest.raises(Error, match="SRS store"):
            SrsStore(root).import_file(public)
