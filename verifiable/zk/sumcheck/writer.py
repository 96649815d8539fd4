# SPDX-License-Identifier: Apache-2.0
"""The prover's end of the conversation: the exact inverse of :mod:`.reader`. What is written is absorbed as it is written."""

from __future__ import annotations

from verifiable.zk.sumcheck import field
from verifiable.zk.sumcheck.field import Array, Ext
from verifiable.zk.sumcheck.transcript import Transcript


class Writer:
    """Collects a proof's messages in the order in which the verifier reads them."""

    def __init__(self, transcript: Transcript) -> None:
        self.transcript = transcript
        self._parts: list[bytes] = []

    def scalars(self, label: str, *scalars: Ext) -> None:
        """Elements of E, 16 bytes each, absorbed under ``label``."""
        self._parts += [part.to_bytes(8, "little") for scalar in scalars for part in scalar]
        self.transcript.absorb_scalars(label, *scalars)

    def array(self, label: str, values: Array) -> None:
        """Elements of F in row-major order, absorbed; E is a last axis of 2."""
        self._parts.append(field.encode(values))
        self.transcript.absorb_array(label, values)

    def data(self, label: str, data: bytes) -> None:
        """Bytes (a digest, say), absorbed."""
        self._parts.append(data)
        self.transcript.absorb(label, data)

    def unabsorbed(self, data: bytes) -> None:
        """Bytes that no challenge may depend on: only what comes after the last one."""
        self._parts.append(data)

    def getvalue(self) -> bytes:
        """The proof so far."""
        return b"".join(self._parts)
