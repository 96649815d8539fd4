# SPDX-License-Identifier: Apache-2.0
"""Private keys in files: made with exclusive create for their owner alone, and refused when others could have read them.

Exceptions here are raised ``from None`` where the cause has seen key material: a traceback must not carry it either.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from verifiable import files
from verifiable.errors import FatalStateError, MalformedError, UnsupportedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_MAX_SIZE = 16384
#: ``secret(name)`` returns the secret called ``passphrase`` or ``pin``, or None when it has none.
Secrets = Callable[[str], str | None]


def create(path: Path) -> EllipticCurvePrivateKey:
    """Make a P-256 key in the new file ``path`` (PKCS#8 PEM, mode 0600), whole or not at all. Raises FatalStateError."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )  # fmt: skip
    write_new(path, pem)
    return key


def write_new(path: Path, data: bytes) -> None:
    """A new file with a private key for its owner alone, whole or not at all. Raises FatalStateError.

    Written aside and hard-linked into place: unlike a rename, a link never replaces a key that is already there, and
    unlike an exclusive open at ``path`` it never shows another process half a key.
    """
    aside = path.parent / f".{path.name[:64]}.{secrets.token_hex(6)}.part"
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(aside, path, follow_symlinks=False)
        files.sync_directory(path.parent)
    except FileExistsError:
        raise FatalStateError(
            f"key: {path} already exists", hint="an existing key is never replaced; choose another name"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise FatalStateError(f"key: cannot write {path}: {reason}", hint="check the folder and its permissions") from None
    finally:
        with contextlib.suppress(OSError, ValueError):
            aside.unlink()


def load(path: Path, secret: Secrets) -> EllipticCurvePrivateKey:
    """The P-256 key in the PKCS#8 PEM file ``path``.

    Raises MalformedError (no such file, no key), UnsupportedError (another kind of key, or a passphrase that is not given),
    FatalStateError (others may read the file).
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    pem = read_owned(path)
    key = _decode(pem, path, None)
    if key is None:
        passphrase = secret("passphrase")
        if passphrase is None:
            raise UnsupportedError(
                f"key: {path} is protected by a passphrase and none was given", hint="set VERIFIABLE_KEY_PASSPHRASE"
            )
        key = _decode(pem, path, passphrase)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UnsupportedError(f"key: {path} is not a key on P-256", hint="make one with `verifiable keys generate FILE`")
    return key


def read_owned(path: Path) -> bytes:
    """The contents of a private key's file. Raises MalformedError, and FatalStateError when others may read it."""
    # Mode and contents come from one descriptor, so that no swap between the check and the read matters.
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_SIZE:
                raise MalformedError(f"key: {path} is not a private key file")
            if status.st_mode & 0o077:
                raise FatalStateError(
                    f"key: {path} can be read or written by others (mode {stat.S_IMODE(status.st_mode):04o})",
                    hint=f"if nobody has used that, `chmod 600 {path}`; if unsure, make a new key",
                )
            return stream.read(_MAX_SIZE)
    except FileNotFoundError:
        raise MalformedError(f"key: no such file: {path}", hint="make one with `verifiable keys generate FILE`") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise MalformedError(f"key: cannot read {path}: {reason}") from None


def _decode(pem: bytes, path: Path, passphrase: str | None) -> object:
    """The private key, or None when it wants a passphrase and none is given."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        return serialization.load_pem_private_key(pem, passphrase.encode() if passphrase is not None else None)
    except TypeError:  # how the library says "encrypted, and no password given", and "password given, but not encrypted"
        return None
    except UnsupportedAlgorithm:
        raise UnsupportedError(f"key: {path} is not a key on P-256") from None
    except ValueError:
        wrong = "the passphrase is wrong, or it is not a key" if passphrase is not None else "not a PKCS#8 PEM private key"
        raise MalformedError(f"key: {path}: {wrong}") from None
