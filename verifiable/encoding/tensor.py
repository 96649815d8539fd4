# SPDX-License-Identifier: Apache-2.0
"""Tensors as values: one canonical byte form, hence one digest (docs/formats/tensor.md).

``encode`` is ``verifiable/tensor/v1 NUL · u8 len(dtype) · dtype · u8 rank · rank x u64le dims · contents``, contents in row-major
order, little-endian. NaN and infinities are refused: NaN has 2^52 spellings, so no digest of it could be canonical.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from verifiable.digest import Digest
from verifiable.errors import MalformedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAGIC = b"verifiable/tensor/v1\0"
MAX_RANK = 8
#: dtype name -> bytes per element
DTYPES = {
    "bool": 1, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4, "uint64": 8, "int64": 8,
    "float16": 2, "float32": 4, "float64": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A dense tensor: ``dtype`` (a key of :data:`DTYPES`), ``shape``, ``data`` (row-major, little-endian)."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise MalformedError(f"tensor: dtype {self.dtype[:40]!r} is none of {', '.join(DTYPES)}")
        if len(self.shape) > MAX_RANK or any(d < 0 or d >= 2**63 for d in self.shape):
            raise MalformedError(f"tensor: not a shape of at most {MAX_RANK} dimensions: {self.shape}")
        if math.prod(self.shape) * DTYPES[self.dtype] != len(self.data):
            raise MalformedError(f"tensor: {len(self.data)} bytes do not fill {self.dtype}{list(self.shape)}")
        self._check_contents()

    def _check_contents(self) -> None:
        import numpy as np

        if self.dtype == "bool" and self.data.strip(b"\0\1"):
            if np.frombuffer(self.data, "u1").max(initial=0) > 1:
                raise MalformedError("tensor: a boolean that is neither 0 nor 1")
        elif self.dtype.startswith("float") and not np.isfinite(self.array()).all():
            position = int(np.flatnonzero(~np.isfinite(self.array()).ravel())[0])
            raise MalformedError(f"tensor: element {position} is {self.array().ravel()[position]}, not a finite number")

    @classmethod
    def from_array(cls, array: NDArray[np.generic]) -> Tensor:
        """From a NumPy array of a supported dtype, any byte order or strides. Raises MalformedError."""
        import numpy as np

        name = array.dtype.name
        if name not in DTYPES:
            raise MalformedError(f"tensor: dtype {name!r} is none of {', '.join(DTYPES)}")
        contiguous = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        return cls(dtype=name, shape=tuple(array.shape), data=contiguous.tobytes())

    def array(self) -> NDArray[np.generic]:
        """A read-only NumPy view, in this machine's byte order."""
        import numpy as np

        dtype = np.dtype(self.dtype).newbyteorder("<")
        return np.frombuffer(self.data, dtype).reshape(self.shape)

    @property
    def digest(self) -> Digest:
        return Digest.of(self.encode())

    def encode(self) -> bytes:
        name = self.dtype.encode("ascii")
        dims = b"".join(d.to_bytes(8, "little") for d in self.shape)
        return MAGIC + bytes([len(name)]) + name + bytes([len(self.shape)]) + dims + self.data

    @classmethod
    def parse(cls, data: bytes, *, max_size: int = 1 << 32) -> Tensor:
        """The inverse of :meth:`encode`. Raises MalformedError for anything it would not have written."""
        if len(data) > max_size:
            raise MalformedError(f"tensor: {len(data):,} bytes is more than the {max_size:,} allowed")
        if not data.startswith(MAGIC):
            raise MalformedError("tensor: wrong magic")
        rest = data[len(MAGIC) :]
        length = rest[0] if rest else 0
        name, rest = rest[1 : 1 + length], rest[1 + length :]
        rank = rest[0] if rest else MAX_RANK + 1
        if rank > MAX_RANK or len(rest) < 1 + 8 * rank:
            raise MalformedError("tensor: truncated header")
        shape = tuple(int.from_bytes(rest[1 + 8 * i : 9 + 8 * i], "little") for i in range(rank))
        return cls(dtype=name.decode("ascii", "replace"), shape=shape, data=rest[1 + 8 * rank :])
