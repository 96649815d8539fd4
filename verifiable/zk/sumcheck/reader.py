# SPDX-License-Identifier: Apache-2.0
"""Reading a proof front to back, the exact inverse of :mod:`.writer`: every length is known before a byte of it is looked at.

What is read is absorbed as it is read, so that no later challenge can be drawn without it; nothing may be left over.
"""

from __future__ import annotations

from verifiable.errors import MalformedError
from verifiable.zk.sumcheck import field
from verifiable.zk.sumcheck.field import Array, Ext
from verifiable.zk.sumcheck.transcript import Transcript


class Reader:
    """A cursor over the bytes of one proof, with the verifier's transcript."""

    def __init__(self, data: bytes, transcript: Transcript) -> None:
        self.transcript = transcript
        self._data = data
        self._position = 0

    def scalar(self, label: str) -> Ext:
        """The next element of E."""
        return self.scalars(label, 1)[0]

    def scalars(self, label: str, count: int) -> list[Ext]:
        """The next ``count`` elements of E, 16 bytes each. Raises MalformedError for one that is not canonical."""
        values = field.decode(self.unabsorbed(16 * count, label), label)
        scalars = [(int(a), int(b)) for a, b in values.reshape(count, 2)]
        self.transcript.absorb_scalars(label, *scalars)
        return scalars

    def array(self, label: str, *shape: int) -> Array:
        """The next elements of F, row-major; E is a last axis of 2. Raises MalformedError for one that is not below p."""
        count = 1
        for extent in shape:
            count *= extent
        values = field.decode(self.unabsorbed(8 * count, label), label).reshape(shape)
        self.transcript.absorb_array(label, values)
        return values

    def data(self, label: str, size: int) -> bytes:
        """The next ``size`` bytes (a digest, say)."""
        data = self.unabsorbed(size, label)
        self.transcript.absorb(label, data)
        return data

    def unabsorbed(self, size: int, what: str) -> bytes:
        """The next ``size`` bytes, bound by something else than the transcript. Raises MalformedError when there are fewer."""
        end = self._position + size
        if end > len(self._data):
            raise MalformedError(f"{what}: {size} bytes expected, {len(self._data) - self._position} left")
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def done(self) -> None:
        """Raises MalformedError for trailing bytes: they would be a second spelling of the same proof."""
        if self._position != len(self._data):
            raise MalformedError(f"proof: {len(self._data) - self._position} bytes too many")
