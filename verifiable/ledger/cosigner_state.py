# SPDX-License-Identifier: Apache-2.0
"""What a cosigner keeps on disk: whose folder it is, and one file for each log with the last checkpoint that it signed.

Lost or older state is the one thing a cosigner cannot survive: it could sign a second history. So nothing here is
started anew, repaired or guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from verifiable import files
from verifiable.encoding.record import decode_base64, encode_base64
from verifiable.errors import BindingError, ConflictError, FatalStateError, MalformedError
from verifiable.ledger.checkpoint import SignedCheckpoint
from verifiable.ledger.cosignature import CosignatureSigner
from verifiable.ledger.lock import Lock
from verifiable.ledger.note import MAX_NOTE, NoteKey
from verifiable.merkle.compact import CompactRange

VERIFYING_SUFFIX = "/verifying"
_HEADER = "verifiable/cosigner-log/v1"
_MARKER = "verifiable/cosigner/v1"
_MAX_STATE = MAX_NOTE + 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LogState:
    """What a cosigner remembers of one log: whose signatures it takes, and the last checkpoint with its own cosignatures.

    ``edge`` are the compact range's hashes at that size for a verifying cosigner, else empty.
    """

    keys: tuple[NoteKey, ...]
    latest: SignedCheckpoint | None = None
    edge: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        return self.latest.checkpoint.size if self.latest else 0

    @property
    def root(self) -> bytes:
        return self.latest.checkpoint.root if self.latest else CompactRange().root

    @classmethod
    def parse(cls, data: bytes) -> LogState:
        """Read a state file. Raises MalformedError."""
        head, blank, note = data.partition(b"\n\n")
        try:
            header, *lines = head.decode("utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise MalformedError("cosigner state: not UTF-8") from error
        keys = tuple(NoteKey.parse(line[4:]) for line in lines if line.startswith("key "))
        edge = tuple(decode_base64(line[5:], "cosigner state") for line in lines if line.startswith("node "))
        if header != _HEADER or not blank or not keys or len({key.name for key in keys}) != 1:
            raise MalformedError(f"cosigner state: not {_HEADER!r} with the keys of one log")
        state = cls(keys=keys, latest=SignedCheckpoint.parse(note) if note else None, edge=edge)
        if state.encode() != data or (state.latest and state.latest.checkpoint.origin != keys[0].name):
            raise MalformedError("cosigner state: not in the form in which it was written")
        return state

    def encode(self) -> bytes:
        """The bytes that :meth:`parse` reads."""
        lines = (_HEADER, *(f"key {key.encode()}" for key in self.keys), *(f"node {encode_base64(each)}" for each in self.edge))
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + (self.latest.encode() if self.latest else b"")


def marker(signers: tuple[CosignatureSigner, ...], *, verifying: bool) -> bytes:
    """What a state folder says of itself. Raises BindingError when the names do not fit the kind."""
    if not signers or len({signer.name for signer in signers}) != 1:
        raise BindingError("cosigner: its keys must share one name")
    require_kind(signers[0].name, verifying=verifying)
    keys = "".join(f"{signer.key.encode()}\n" for signer in signers)
    return f"{_MARKER}\n{'verifying' if verifying else 'plain'}\n{keys}".encode()


def require_kind(name: str, *, verifying: bool) -> None:
    """Raise BindingError when ``name`` is one of the other kind."""
    if is_verifying(name) != verifying:
        raise BindingError(
            f"cosigner: {name!r} is the name of a {'plain' if verifying else 'verifying'} cosigner",
            hint=f"the name of a cosigner that re-verifies every entry, and no other, ends in {VERIFYING_SUFFIX!r}",
        )


def is_verifying(name: str) -> bool:
    """Whether it is the name of a cosigner that re-verifies every entry."""
    return name.endswith(VERIFYING_SUFFIX)


def read(path: Path) -> bytes:
    """A file of ours: that it cannot be read is our own fault, never the caller's."""
    try:
        return files.read(path, what="cosigner state", max_size=_MAX_STATE)
    except MalformedError as error:
        raise FatalStateError(error.message, hint="restore nothing from a copy: an older state could sign a fork") from error


def hold(path: Path) -> Lock:
    """The lock on a state folder, by its lock file. Raises FatalStateError."""
    if not path.is_file():
        raise FatalStateError(f"cosigner: no state folder at {path.parent}", hint="make one with `verifiable log cosign init`")
    try:
        return Lock.acquire(path)
    except ConflictError as error:
        raise FatalStateError(f"cosigner: {path.parent} is in use by another process") from error


def still_held(lock: Lock | None) -> None:
    """Raise FatalStateError when the folder may be another process's by now: of two that sign, one signs a fork."""
    if lock is None:
        raise FatalStateError("cosigner: it is closed")
    try:
        lock.check()
    except ConflictError as error:
        raise FatalStateError(error.message, hint=error.hint) from error
