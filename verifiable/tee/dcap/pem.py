# SPDX-License-Identifier: Apache-2.0
"""Certificate chains as Intel writes them: PEM of one spelling (RFC 7468 §3, strict: 64 characters a line, a line feed after
each), so that no byte of one is without meaning.
"""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import NoReturn

from verifiable.errors import MalformedError
from verifiable.tee.x509 import Certificate

_BEGIN, _END = "-----BEGIN CERTIFICATE-----\n", "\n-----END CERTIFICATE-----\n"
_LINE = 64


def parse_chain(text: str, *, length: int, what: str) -> tuple[Certificate, ...]:
    """A chain of exactly ``length`` certificates, leaf first. ``encode_chain`` gives the same text again. Raises
    MalformedError.
    """
    blocks = text.split(_BEGIN)
    if len(blocks) != length + 1 or blocks[0]:
        _fail(what, f"not a chain of {length} certificates in PEM")
    chain = tuple(_certificate(_decode(block, what), what) for block in blocks[1:])
    if encode_chain(chain) != text:
        _fail(what, "not PEM as Intel writes it: 64 characters a line, a line feed after each")
    return chain


def encode_chain(chain: tuple[Certificate, ...]) -> str:
    """PEM, leaf first."""
    return "".join(_BEGIN + "\n".join(_lines(certificate.der)) + _END for certificate in chain)


@lru_cache(maxsize=64)
def _certificate(der: bytes, what: str) -> Certificate:
    """Intel's own come again in every file; what is kept is how they are read, not whether they are believed."""
    return Certificate.parse(der, what=what)


def _lines(der: bytes) -> list[str]:
    text = base64.b64encode(der).decode()
    return [text[i : i + _LINE] for i in range(0, len(text), _LINE)]


def _decode(block: str, what: str) -> bytes:
    try:
        return base64.b64decode(block.removesuffix(_END).replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        _fail(what, "not PEM")


def _fail(what: str, why: str) -> NoReturn:
    raise MalformedError(f"{what}: {why}")


__all__ = ["encode_chain", "parse_chain"]
