# SPDX-License-Identifier: Apache-2.0
"""The part of a setup that a verifier needs: the generators and s·G2, 388 bytes of however many megabytes.

A KZG opening is checked by one pairing equation over G1, G2 and s·G2 (Kate, Zaverucha, Goldberg 2010); the powers in G1 are for
provers. The file is the same raw format at k = 0: ``u32le k | G1 powers (1) | G1 Lagrange (1) | G2 | s·G2``, coordinates in
Montgomery form, little-endian.
"""

from __future__ import annotations

from pathlib import Path

from verifiable.errors import FatalStateError, MalformedError

MEDIA_TYPE = "application/vnd.verifiable.ezkl.verifier-srs.v1"
SIZE = 4 + 2 * 64 + 2 * 128
_BASE = 21888242871839275222246405745257275088696311157297823662689037894645226208583
_G2 = (
    10857046999023057135944570762232829481370756359578518086990519993285655852781,
    11559732032986387107991004021392285783925812861821192530917403151452391805634,
    8495653923123431417604973247489272438418190587263600148770280649306958101930,
    4082367875863433681332203403145435568316851327593401208105741076214120093531,
)


def _montgomery(*coordinates: int) -> bytes:
    return b"".join((x * 2**256 % _BASE).to_bytes(32, "little") for x in coordinates)


_HEAD = (0).to_bytes(4, "little") + 2 * _montgomery(1, 2) + _montgomery(*_G2)


def cut(path: Path) -> bytes:
    """The verifier's part of the setup file at ``path``. Raises MalformedError, FatalStateError."""
    try:
        with path.open("rb") as stream:
            first = stream.read(4 + 64)
            stream.seek(-256, 2)
            last = stream.read(256)
    except OSError as error:
        raise FatalStateError(f"setup: cannot read {path}: {error.strerror or error}") from error
    return check((0).to_bytes(4, "little") + 2 * first[4:] + last)


def check(data: bytes) -> bytes:
    """``data`` if it is such a part with the standard generators, so that only s·G2 is the setup's own. Raises MalformedError."""
    if len(data) != SIZE or not data.startswith(_HEAD):
        raise MalformedError("verifier's setup: not the standard generators of BN254 and one more point")
    tail = [int.from_bytes(data[i : i + 32], "little") for i in range(SIZE - 128, SIZE, 32)]
    if max(tail) >= _BASE or not any(tail):
        raise MalformedError("verifier's setup: s·G2 is not a point in canonical form")
    return data
