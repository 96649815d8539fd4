# SPDX-License-Identifier: Apache-2.0
"""The Fiat-Shamir transcript: a SHA-256 chain that absorbs labelled messages and yields challenges (docs/formats/sumcheck.md).

``state = SHA-256(tag)``; absorbing sets ``state = SHA-256(0x00 · state · u32(len(label)) · label · u64(len(data)) · data)``;
squeezing takes ``SHA-256(0x01 · state · u64(counter))`` for counter = 0, 1, ... and then absorbs ``"squeezed " + label`` with
the count. Everything that a challenge must depend on is absorbed before it; what is not absorbed can be chosen after it.
Integers are little-endian.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from verifiable.zk.sumcheck import field
from verifiable.zk.sumcheck.field import Array, Ext

TAG = b"verifiable/sumcheck/v1"


class Transcript:
    """One prover's or verifier's view; both make the same calls in the same order."""

    def __init__(self) -> None:
        self._state = hashlib.sha256(TAG).digest()

    def absorb(self, label: str, data: bytes) -> None:
        """Bind everything after this call to ``data``."""
        name = label.encode("ascii")
        self._state = hashlib.sha256(
            b"\0" + self._state + len(name).to_bytes(4, "little") + name + len(data).to_bytes(8, "little") + data
        ).digest()

    def absorb_scalars(self, label: str, *scalars: Ext) -> None:
        """Elements of E, 16 bytes each."""
        self.absorb(label, b"".join(a.to_bytes(8, "little") + b.to_bytes(8, "little") for a, b in scalars))

    def absorb_array(self, label: str, values: Array) -> None:
        """An array of F or E, by its canonical encoding."""
        self.absorb(label, field.encode(values))

    def challenge(self, label: str) -> Ext:
        """A uniform element of E."""
        return self.challenges(label, 1)[0]

    def challenges(self, label: str, count: int) -> list[Ext]:
        """``count`` independent uniform elements of E; a 64-bit word at or above p (chance 2^-32) is passed over, not reduced."""
        words: list[int] = []
        for block in self._blocks():
            words += [w for i in range(0, 32, 8) if (w := int.from_bytes(block[i : i + 8], "little")) < field.P]
            if len(words) >= 2 * count:
                break
        self.absorb("squeezed " + label, count.to_bytes(8, "little"))
        return [(words[2 * i], words[2 * i + 1]) for i in range(count)]

    def indices(self, label: str, count: int, log_range: int) -> list[int]:
        """``count`` independent uniform integers below 2^log_range (with repetition), log_range <= 64."""
        indices: list[int] = []
        for block in self._blocks():
            indices += [int.from_bytes(block[i : i + 8], "little") & ((1 << log_range) - 1) for i in range(0, 32, 8)]
            if len(indices) >= count:
                break
        self.absorb("squeezed " + label, count.to_bytes(8, "little"))
        return indices[:count]

    def _blocks(self) -> Iterator[bytes]:
        counter = 0
        while True:
            yield hashlib.sha256(b"\1" + self._state + counter.to_bytes(8, "little")).digest()
            counter += 1
