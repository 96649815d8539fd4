# SPDX-License-Identifier: Apache-2.0
"""Signers by URI: a PKCS#8 PEM file, or a key that never leaves its device or cloud KMS, through ``securesystemslib``.

Every signature is brought to its canonical form and verified with the public key before it is handed out: a KMS that
holds another key than the one it was announced with is noticed here, not by the first verifier.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from verifiable import files
from verifiable.digest import Digest
from verifiable.errors import FatalStateError, MalformedError, NetworkError, UnsupportedError
from verifiable.keys import private_file
from verifiable.keys.private_file import Secrets
from verifiable.keys.public import (
    MAX_KEY_SIZE,
    check_public_key,
    fingerprint,
    normalise_signature,
    parse_public_key_pem,
    public_key_pem,
    verify_signature,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from securesystemslib.signer import Signer as _Backend  # type: ignore[attr-defined]

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):")
_FILE_SCHEMES = ("file", "file2")
_NOT_OURS = ("gnupg",)  # its signatures are OpenPGP packets, not ECDSA over the data


class Signer:
    """A private key that can be used and not seen. ``public_key``: DER SubjectPublicKeyInfo; ``fingerprint``: its SHA-256."""

    __slots__ = ("_backend", "public_key")

    def __init__(self, backend: _Backend, public_key: bytes) -> None:
        self._backend = backend
        self.public_key = check_public_key(public_key)

    @property
    def fingerprint(self) -> Digest:
        return fingerprint(self.public_key)

    def sign(self, data: bytes) -> bytes:
        """The DER ECDSA P-256/SHA-256 signature over ``data``, with low ``s``.

        Raises NetworkError when the device or service fails, SignatureError when it signs with another key.
        """
        try:
            raw = bytes.fromhex(self._backend.sign(data).signature)
        except Exception as error:  # each backend raises its vendor's own exceptions
            raise NetworkError(f"signer {self._backend.__class__.__name__}: signing failed: {_first_line(error)}") from error
        signature = normalise_signature(raw)
        verify_signature(self.public_key, data, signature)
        return signature

    def __repr__(self) -> str:
        return f"Signer({self.fingerprint})"


def load_signer(uri: str, *, public_key: Path | None = None, secret: Secrets | None = None) -> Signer:
    """The signer that ``uri`` names.

    ``uri``: a path or ``file:PATH`` to a PKCS#8 PEM private key that its owner alone may read, or a ``securesystemslib`` URI
    (``hsm:``, ``gcpkms:``, ``awskms:``, ``azurekms:``) with the PEM file of its ``public_key``. ``secret(name)`` supplies a
    ``passphrase`` or ``pin``; by default they come from ``VERIFIABLE_KEY_PASSPHRASE`` and ``VERIFIABLE_KEY_PIN``.

    Raises MalformedError, UnsupportedError, FatalStateError (others may read the key), NetworkError (a device or service fails).
    """
    secret = secret or _from_environment
    match = _SCHEME.match(uri)
    if match is None or match[1] in _FILE_SCHEMES:
        path = Path(uri[match.end() :] if match else uri)
        return _from_file(private_file.load(path, secret), path, public_key)
    return _from_uri(uri, match[1], public_key, secret)


def generate(path: Path) -> Signer:
    """A new P-256 key in the new file ``path``, mode 0600. Raises FatalStateError; an existing file is never touched."""
    return _local(private_file.create(path))


def temporary() -> Signer:
    """A new P-256 key in memory alone, gone with the process."""
    from cryptography.hazmat.primitives.asymmetric import ec

    return _local(ec.generate_private_key(ec.SECP256R1()))


def default_signer(data_dir: Path) -> tuple[Signer, bool]:
    """The key in ``data_dir/keys/default.pem``, made on first use; True when this call made it, so that its owner can be told.

    Two processes that race end up with the same key. Raises like :func:`load_signer`.
    """
    path = data_dir / "keys" / "default.pem"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        present = os.path.lexists(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise FatalStateError(f"key: cannot create {path.parent}: {reason}", hint="set VERIFIABLE_DATA or use --key") from error
    if not present:
        try:
            return generate(path), True
        except FatalStateError:
            if not os.path.lexists(path):  # a real failure, not a lost race
                raise
    return load_signer(f"file:{path}"), False


def _from_file(key: EllipticCurvePrivateKey, path: Path, public_key: Path | None) -> Signer:
    signer = _local(key)
    if public_key is not None and _read_public(public_key) != signer.public_key:
        raise MalformedError(f"key: {public_key} is not the public key of {path}")
    return signer


def _local(key: EllipticCurvePrivateKey) -> Signer:
    from cryptography.hazmat.primitives import serialization
    from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]

    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Signer(CryptoSigner(key), der)


def _from_uri(uri: str, scheme: str, public_key: Path | None, secret: Secrets) -> Signer:
    from securesystemslib.exceptions import UnsupportedLibraryError
    from securesystemslib.signer import SIGNER_FOR_URI_SCHEME  # type: ignore[attr-defined]

    if scheme not in SIGNER_FOR_URI_SCHEME or scheme in _NOT_OURS:
        raise UnsupportedError(
            f"key: no signer for the scheme {scheme[:40]!r}",
            hint="known: file, hsm, gcpkms, awskms, azurekms; for a path with a colon in it write file:PATH",
        )
    if public_key is None:
        raise UnsupportedError(
            f"key: {scheme}: keys need their public key beside them", hint="give its PEM file: --public-key FILE"
        )
    der = _read_public(public_key)
    try:
        backend = SIGNER_FOR_URI_SCHEME[scheme].from_priv_key_uri(uri, _backend_key(der), lambda name: _asked(secret, name))  # type: ignore[attr-defined]
    except UnsupportedLibraryError as error:
        raise UnsupportedError(
            f"key: {scheme}: needs a package that is not installed", hint=f"pip install 'securesystemslib[{scheme}]'"
        ) from error
    except (ValueError, KeyError) as error:
        raise MalformedError(f"key: {scheme}: {_first_line(error)}") from error
    except Exception as error:  # each backend raises its vendor's own exceptions
        raise NetworkError(f"key: {scheme}: {_first_line(error)}") from error
    return Signer(backend, der)


def _backend_key(der: bytes) -> object:
    from cryptography.hazmat.primitives.serialization import load_der_public_key
    from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

    return SSlibKey.from_crypto(load_der_public_key(der))


def _read_public(path: Path) -> bytes:
    return parse_public_key_pem(files.read(path, what="public key", max_size=MAX_KEY_SIZE), what=f"public key {path}")


def _asked(secret: Secrets, name: str) -> str:
    value = secret(name.lower())
    if value is None:
        raise ValueError(f"the key wants a {name[:40]}; set VERIFIABLE_KEY_{name[:40].upper()}")
    return value


def _from_environment(name: str) -> str | None:
    return os.environ.get(f"VERIFIABLE_KEY_{name.upper()}")


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


__all__ = ["Signer", "default_signer", "generate", "load_signer", "public_key_pem", "temporary", "verify_signature"]
