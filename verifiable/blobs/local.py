# SPDX-License-Identifier: Apache-2.0
"""A directory of blobs: ``sha256/<first two digits>/<digest>``."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from verifiable import files
from verifiable.digest import Digest
from verifiable.errors import FatalStateError


class LocalBlobs:
    """Blobs under ``root``. Durable on return; a crash leaves at most a stray ``.part`` file that no lookup sees."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, digest: Digest) -> Path | None:
        """The blob's path if it is here and its bytes still have this digest; a damaged one is removed and counts as absent.

        The whole file is hashed each time: a cache that is trusted by name is a way in.
        """
        path = self._path(digest)
        try:
            with path.open("rb") as stream:
                actual = Digest.of_stream(stream)
        except OSError:
            return None
        if actual == digest:
            return path
        with contextlib.suppress(OSError):
            path.unlink()
        return None

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        """A path to write a new blob to, on the same file system; whatever is left there after the block is removed."""
        aside = self._root / "incoming" / f"{secrets.token_hex(8)}.part"
        try:
            aside.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            yield aside
        except OSError as error:
            raise FatalStateError(f"blob store {self._root}: {error.strerror or error}", hint="check free space") from error
        finally:
            with contextlib.suppress(OSError):
                aside.unlink()

    def adopt(self, path: Path) -> Digest:
        """Move a finished file from :meth:`incoming` into place under its digest. Raises FatalStateError."""
        try:
            with path.open("rb") as stream:
                digest = Digest.of_stream(stream)
                os.fsync(stream.fileno())
            target = self._path(digest)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.replace(target)
            files.sync_directory(target.parent)
        except OSError as error:
            raise FatalStateError(f"blob store {self._root}: {error.strerror or error}", hint="check free space") from error
        return digest

    def put(self, data: bytes) -> Digest:
        """Store ``data``. Raises FatalStateError."""
        with self.incoming() as aside:
            aside.write_bytes(data)
            return self.adopt(aside)

    def _path(self, digest: Digest) -> Path:
        return self._root / "sha256" / digest.hex[:2] / digest.hex
