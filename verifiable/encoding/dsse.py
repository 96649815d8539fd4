# SPDX-License-Identifier: Apache-2.0
"""DSSE v1 (github.com/secure-systems-lab/dsse): the bytes that are signed, and nothing about keys."""

from __future__ import annotations


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """PAE: ``"DSSEv1" SP len(type) SP type SP len(payload) SP payload`` (DSSE v1.0.2, protocol.md).

    Signing the type beside the payload keeps a document of one kind from being replayed as another.
    """
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
