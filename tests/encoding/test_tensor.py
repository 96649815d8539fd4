# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from verifiable.encoding.dsse import pre_authentication_encoding
from verifiable.encoding.tensor import DTYPES, MAGIC, Tensor
from verifiable.errors import Error, MalformedError

arrays = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: hnp.arrays(
        np.dtype(name),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False} if name.startswith("float") else None,
    )
)


@given(arrays)
def test_round_trip_keeps_every_bit(array: np.ndarray) -> None:
    tensor = Tensor.from_array(array)
    again = Tensor.parse(tensor.encode())
    assert again == tensor
    assert again.array().dtype == array.dtype
    assert again.array().tobytes() == np.ascontiguousarray(array).tobytes()


def test_the_known_bytes() -> None:
    tensor = Tensor.from_array(np.array([[1, -2]], dtype=">i2"))
    assert (
        tensor.encode() == MAGIC + b"\x05int16\x02" + (1).to_bytes(8, "little") + (2).to_bytes(8, "little") + b"\x01\x00\xfe\xff"
    )
    assert str(tensor.digest) == "sha256:" + tensor.digest.hex


def test_shape_and_dtype_are_part_of_the_digest() -> None:
    zeros = [np.zeros(s, d) for s, d in [((4,), "i1"), ((2, 2), "i1"), ((1,), "i4"), ((1,), "f4"), ((4,), "?")]]
    assert len({Tensor.from_array(z).digest for z in zeros}) == len(zeros)


@given(st.binary(max_size=80))
def test_arbitrary_bytes_raise_only_error(data: bytes) -> None:
    for candidate in (data, MAGIC + data):
        with contextlib.suppress(Error):
            assert Tensor.parse(candidate).encode() == candidate


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "wrong magic"),
        (MAGIC, "truncated"),
        (MAGIC + b"\x05int16\x01" + b"\0" * 7, "truncated header"),
        (MAGIC + b"\x05int16\x09" + b"\0" * 72, "truncated header"),
        (MAGIC + b"\x05int16\x01" + b"\xff" * 8, "not a shape"),
        (MAGIC + b"\x05int16\x02" + b"\xff\xff\xff\x7f\0\0\0\0" * 2, "do not fill"),
        (MAGIC + b"\x06object\x00", "is none of"),
        (MAGIC + b"\x04bool\x00\x02", "neither 0 nor 1"),
        (MAGIC + b"\x07float32\x00\x00\x00\xc0\x7f", "not a finite number"),
        (MAGIC + b"\x05int16\x00\x01\x00\x00", "do not fill"),
    ],
)
def test_defects_are_named(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedError, match=re.escape(reason)):
        Tensor.parse(data)


def test_objects_and_strings_are_not_tensors() -> None:
    for array in (np.array([{}]), np.array(["x"]), np.array([1j]), np.array(["2026"], "M8[Y]")):
        with pytest.raises(MalformedError, match="is none of"):
            Tensor.from_array(array)


def test_dsse_pae_is_the_specifications_example() -> None:
    assert pre_authentication_encoding("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
