# SPDX-License-Identifier: Apache-2.0
"""Bit rot anywhere is found, and the right file is named."""

from __future__ import annotations

from functools import lru_cache

import pytest

from tests.fakes.log_storage import MemoryStorage
from tests.ledger.conftest import make_identity
from verifiable.errors import FatalStateError
from verifiable.ledger.checkpoint import Checkpoint
from verifiable.ledger.fsck import Report, fsck
from verifiable.ledger.identity import Identity
from verifiable.ledger.tree import Edge
from verifiable.ledger.writer import Writer, initialise

SMALL = 256 * 3 + 7
LARGE = 256 * 258 + 7  # three levels, each with a partial tile; levels 0 and 1 with full ones


@lru_cache(maxsize=2)
def _log(size: int) -> tuple[dict[str, bytes], bytes]:
    public, private = MemoryStorage(), MemoryStorage()
    identity = make_identity()
    initialise(public, private, identity)
    writer = Writer(public, private, identity, lambda: None)
    entries = [b"entry %d" % i for i in range(size)]
    last = size - 3  # the checkpoint before, whose partial tiles are still served
    for start in range(0, last, 16_384):
        writer.commit(entries[start : min(start + 16_384, last)])
    writer.commit(entries[last:])
    return public.objects, private.objects["head"]


# One of each kind: full and partial, first and last, each level, current and older partial, the checkpoint.
PATHS = {
    SMALL: (
        "checkpoint", "tile/0/000", "tile/0/002", "tile/0/003.p/7", "tile/0/003.p/4", "tile/1/000.p/3",
        "tile/entries/000", "tile/entries/002", "tile/entries/003.p/7", "tile/entries/003.p/4",
    ),
    LARGE: ("tile/0/257", "tile/1/000", "tile/1/001.p/2", "tile/2/000.p/1", "tile/entries/255"),
}  # fmt: skip
HOW = {SMALL: ("first bit", "middle bit", "last bit", "cut", "longer", "lost"), LARGE: ("middle bit", "lost")}


def _check(objects: dict[str, bytes], identity: Identity, head: bytes | None = None) -> Report:
    return fsck(MemoryStorage(objects), identity.open, head=head)


def test_a_sound_log(identity: Identity) -> None:
    for size, paths in PATHS.items():
        objects, head = _log(size)
        assert set(paths) <= objects.keys()
        report = _check(dict(objects), identity, head)
        assert report.damage == ()
        assert report.checkpoint is not None
        assert report.checkpoint.size == size
        report.require_sound()


@pytest.mark.parametrize(
    ("size", "path", "where"), [(size, path, how) for size, paths in PATHS.items() for path in paths for how in HOW[size]]
)
def test_bit_rot_is_found_and_named(size: int, path: str, where: str, identity: Identity) -> None:
    objects, head = _log(size)
    objects = dict(objects)
    data = objects.pop(path)
    at = {"first bit": 0, "middle bit": len(data) // 2, "last bit": len(data) - 1}.get(where)
    if at is not None:
        objects[path] = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    elif where != "lost":
        objects[path] = data[:-1] if where == "cut" else data + b"x"
    report = _check(objects, identity, head)
    if where == "lost" and path.endswith(".p/4"):  # an older partial tile may go
        report.require_sound()
        return
    assert {each.path for each in report.damage} == {path}, report.damage
    with pytest.raises(FatalStateError, match=path.replace(".", r"\.")):
        report.require_sound()


def test_several_damaged_files_are_all_named(identity: Identity) -> None:
    objects, head = _log(SMALL)
    broken = dict(objects)
    victims = {"tile/0/000", "tile/entries/001", "tile/1/000.p/3", "tile/entries/003.p/7"}
    for path in victims:
        broken[path] = bytes(len(broken[path]))
    assert {each.path for each in _check(broken, identity, head).damage} >= victims


def test_a_rewritten_branch_is_found(identity: Identity) -> None:
    """Entry, leaf tile and all that follows from them are consistent among themselves, but the log has signed another tree."""
    objects, head = _log(SMALL)
    forged = dict(objects)
    _, some = Edge().extend([b"entry %d" % i if i != 5 else b"forged" for i in range(256)])
    forged.update({path: some[path] for path in ("tile/0/000", "tile/entries/000")})
    assert {each.path for each in _check(forged, identity, head).damage} == {"tile/0/000"}
    whole, everything = Edge().extend([b"entry %d" % i if i != 5 else b"forged" for i in range(SMALL)])
    assert whole.size == SMALL
    assert "checkpoint" in {each.path for each in _check({**objects, **everything}, identity, head).damage}


def test_the_logs_own_record_is_compared(identity: Identity) -> None:
    objects, head = _log(SMALL)
    other = make_identity(seed=3)
    report = _check(dict(objects), identity, other.sign(identity.open(head)))
    assert [each.path for each in report.damage] == ["head"]
    older = MemoryStorage()
    private = MemoryStorage()
    initialise(older, private, identity)
    report = _check({**objects, "checkpoint": older.objects["checkpoint"]}, identity, head)
    assert "but the log has signed another" in report.damage[0].reason


def test_no_checkpoint_at_all(identity: Identity) -> None:
    report = _check({}, identity)
    assert report.checkpoint is None
    with pytest.raises(FatalStateError, match="checkpoint: missing"):
        report.require_sound()


def test_a_log_that_signs_for_more_than_it_shows_fills_nobodys_memory(identity: Identity) -> None:
    note = identity.sign(Checkpoint(origin=identity.origin, size=1 << 62, root=bytes(32)))
    report = _check({"checkpoint": note}, identity)
    assert 1000 <= len(report.damage) <= 1010
    assert report.damage[0].path == "tile/entries/000"
    assert "not looked at after" in report.damage[-1].reason
