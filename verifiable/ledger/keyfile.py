# SPDX-License-Identifier: Apache-2.0
"""The private keys of logs and cosigners: a file of lines ``PRIVATE+KEY+name+id+base64(type || seed)``, for its owner alone.

It is the form of Go's ``sumdb/note``, extended to the two cosignature types; a seed is 32 bytes for each of them. One file
holds all the keys of one role: a log's Ed25519 and ML-DSA-44 keys, or a cosigner's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from verifiable.encoding.record import decode_base64, encode_base64
from verifiable.errors import BindingError, MalformedError, UnsupportedError
from verifiable.keys import private_file
from verifiable.ledger.cosignature import CosignatureSigner
from verifiable.ledger.note import COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44, ED25519, NoteSigner

Signer = NoteSigner | CosignatureSigner
#: What a log signs its checkpoints with, and what a cosigner adds to them.
LOG_TYPES = (ED25519, COSIGNATURE_ML_DSA_44)
COSIGNER_TYPES = (COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44)
_PREFIX = "PRIVATE+KEY+"
_SEED = 32
_MAX_KEYS = 8


def make(path: Path, name: str, types: tuple[int, ...], random: Callable[[int], bytes] = os.urandom) -> tuple[Signer, ...]:
    """New keys of ``types`` called ``name`` in the new file ``path`` (mode 0600); each from a seed of its own.

    Raises MalformedError (no key name), FatalStateError (the file exists, or cannot be written).
    """
    seeds = [random(_SEED) for _ in types]
    signers = tuple(_signer(name, kind, seed) for kind, seed in zip(types, seeds, strict=True))
    lines = (
        f"{_PREFIX}{name}+{signer.key.key_id.hex()}+{encode_base64(bytes([signer.key.type]) + seed)}\n"
        for signer, seed in zip(signers, seeds, strict=True)
    )
    private_file.write_new(path, "".join(lines).encode())
    return signers


def load(path: Path) -> tuple[Signer, ...]:
    """The keys in ``path``, all of one name. Raises MalformedError, UnsupportedError, FatalStateError (others may read it)."""
    data = private_file.read_owned(path)
    try:
        lines = data.decode().split("\n")
        signers = tuple(map(_parse, lines[:-1]))
    except (UnicodeDecodeError, MalformedError):
        lines = []
    if not 1 < len(lines) <= 1 + _MAX_KEYS or lines[-1]:
        # Raised here, without a cause: what could not be read is key material, and must not travel in a traceback.
        raise MalformedError(f"key: {path} is not a file of log or cosigner keys", hint="`verifiable log init` makes a log's")
    if len({signer.name for signer in signers}) != 1:
        raise MalformedError(f"key: {path} holds keys of several names", hint="one file for each name")
    return signers


def cosigners(signers: tuple[Signer, ...]) -> tuple[CosignatureSigner, ...]:
    """``signers``, when all of them are cosigners' keys. Raises BindingError."""
    kept = tuple(signer for signer in signers if isinstance(signer, CosignatureSigner))
    if len(kept) != len(signers):
        raise BindingError(f"key {signers[0].name!r}: a log's key, not a cosigner's", hint="one file for each role")
    return kept


def _parse(line: str) -> Signer:
    name, key_id, encoded = line.removeprefix(_PREFIX).split("+", 2) if line.count("+") >= 4 else ("", "", "")
    blob = decode_base64(encoded, "seed")
    if not line.startswith(_PREFIX) or len(blob) != 1 + _SEED:
        raise MalformedError("not a private key")
    signer = _signer(name, blob[0], blob[1:])
    if signer.key.key_id.hex() != key_id:
        raise MalformedError("the id is another key's")
    return signer


def _signer(name: str, kind: int, seed: bytes) -> Signer:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

    signer: Signer
    if kind == ED25519:
        signer = NoteSigner(name=name, private=Ed25519PrivateKey.from_private_bytes(seed))
    elif kind == COSIGNATURE_ED25519:
        signer = CosignatureSigner(name=name, private=Ed25519PrivateKey.from_private_bytes(seed))
    elif kind == COSIGNATURE_ML_DSA_44:
        signer = CosignatureSigner(name=name, private=MLDSA44PrivateKey.from_seed_bytes(seed))
    else:
        raise UnsupportedError(f"key {name!r}: signature type 0x{kind:02x} is not supported")
    _ = signer.key  # a name that no key may have is refused before it is written anywhere
    return signer
