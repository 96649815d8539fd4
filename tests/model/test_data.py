# SPDX-License-Identifier: Apache-2.0
"""Inputs go in exactly, or not at all and with the reason."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from verifiable.encoding.tensor import DTYPES, Tensor
from verifiable.errors import Error, MalformedError
from verifiable.model import data as data_module
from verifiable.model.conversion import exact
from verifiable.model.data import FORMATS, parse_samples, parse_tensors, read_samples, read_tensors
from verifiable.model.onnx_file import TensorInfo


def info(dtype: str = "float32", *shape: int | str | None, name: str = "x") -> TensorInfo:
    return TensorInfo(name=name, dtype=dtype, shape=shape)


X23 = [info("float32", 2, 3)]
X3 = [info("float32", 3)]
VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def as_bytes(array: np.ndarray, suffix: str) -> bytes:
    if suffix == ".npy":
        return npy(array)
    if suffix == ".npz":
        return npz(x=array)
    if suffix == ".safetensors":
        return safetensors.numpy.save({"x": np.array(array, order="C")})
    return json.dumps({"x": array.tolist()}).encode()


def refused(data: bytes | str | object, infos: list[TensorInfo], *words: str, suffix: str = ".json", hint: str = "") -> None:
    raw = data if isinstance(data, bytes) else (data if isinstance(data, str) else json.dumps(data)).encode()
    with pytest.raises(MalformedError) as caught:
        parse_tensors(raw, suffix, infos)
    assert "\n" not in caught.value.message
    for word in words:
        assert word in caught.value.message, caught.value.message
    assert hint in caught.value.hint, caught.value.hint


# --- what goes in comes out ---


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_every_dtype_through_every_format(dtype: str, suffix: str, tmp_path: Path) -> None:
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    if dtype != "bool":
        high = 2**53 - 1 if suffix == ".json" and dtype.endswith("int64") else None
        limits = np.finfo(dtype) if dtype.startswith("float") else np.iinfo(dtype)
        array[0] = [limits.max if high is None else high, limits.min if high is None or dtype[0] == "u" else -high, 1]
    path = tmp_path / f"input{suffix}"
    path.write_bytes(as_bytes(array, suffix))
    assert read_tensors(path, [info(dtype, 2, 3)]) == {"x": Tensor.from_array(array)}


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
def test_shapes_of_all_kinds(suffix: str) -> None:
    for array in (np.float32(3.5).reshape(()), np.zeros((1,) * 8, np.float32), VALUES[:, ::-1], np.asfortranarray(VALUES)):
        found = parse_tensors(as_bytes(array, suffix), suffix, [info("float32", *array.shape)])
        np.testing.assert_array_equal(found["x"].array(), array)


def test_fortran_order_and_big_endian() -> None:
    for array in (np.asfortranarray(VALUES), VALUES.astype(">f4"), VALUES.T.astype(">f8").T):
        np.testing.assert_array_equal(parse_tensors(npy(array), ".npy", X23)["x"].array(), VALUES)


def test_two_inputs_by_name() -> None:
    infos = [info("float32", 2, name="a"), info("int64", 1, name="b")]
    a, b = np.float32([1, 2]), np.int64([2**62 + 1])
    for suffix, raw in ((".npz", npz(b=b, a=a)), (".safetensors", safetensors.numpy.save({"a": a, "b": b}))):
        found = parse_tensors(raw, suffix, infos)
        assert list(found) == ["a", "b"]
        assert found["b"].array()[0] == 2**62 + 1
    assert parse_tensors(b'{"b":[7],"a":[1,2.5]}', ".json", infos)["a"].array().tolist() == [1, 2.5]


def test_json_decimals_become_the_nearest_value() -> None:
    found = parse_tensors(b"[0.1, 1e-60, -3]", ".json", X3)["x"].array()
    assert found.tolist() == [np.float32(0.1), 0.0, -3.0]
    assert parse_tensors(b"[0.1, 1, 2]", ".json", [info("float64", 3)])["x"].array()[0] == 0.1


def test_scalars_and_free_axes() -> None:
    assert parse_tensors(b"2.5", ".json", [info("float32")])["x"].array() == 2.5
    assert parse_tensors(b"[[1,2,3]]", ".json", [info("float32", "N", None)])["x"].shape == (1, 3)


# --- conversions ---


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.float16([0.5, 65504]), "float32"), (np.float16([6e-8]), "float64"), (np.float64([0.5, 2**100]), "float32"),
        (np.float64([2**-24]), "float16"), (np.int64([2**24, -(2**40), 3]), "float32"), (np.int64([-(2**63)]), "float64"),
        (np.int64([2048, 65504, -65504]), "float16"), (np.uint64([2**63]), "float32"), (np.int64([0, 255]), "uint8"),
        (np.uint64([2**63 - 1]), "int64"), (np.uint8([0, 127]), "int8"), (np.int8([-1]), "int64"),
        (np.float64([-0.0, 0.0]), "float32"),
    ],
)  # fmt: skip
def test_conversions_that_keep_every_value(array: np.ndarray, dtype: str) -> None:
    found = parse_tensors(npy(array), ".npy", [info(dtype, *array.shape)])["x"].array()
    assert [int(v) if array.dtype.kind in "iu" else float(v) for v in found] == array.tolist()


@pytest.mark.parametrize(
    ("array", "dtype", "at"),
    [
        (np.float64([0.5, 0.1]), "float32", "[1]"), (np.float64([1e300]), "float32", "[0]"),
        (np.float64([1e-300]), "float32", "[0]"), (np.int64([2**53 + 1]), "float64", "[0]"),
        (np.float32([65520]), "float16", "[0]"), (np.int64([1, 2**24 + 1]), "float32", "[1]"),
        (np.int64([2**63 - 1]), "float64", "[0]"), (np.int64([65536]), "float16", "[0]"), (np.int64([-1]), "uint64", "[0]"),
        (np.int64([256]), "uint8", "[0]"), (np.uint64([2**63]), "int64", "[0]"), (np.int16([-129]), "int8", "[0]"),
    ],
)  # fmt: skip
def test_conversions_that_would_lose_are_refused_by_element(array: np.ndarray, dtype: str, at: str) -> None:
    refused(
        npy(array),
        [info(dtype, *array.shape)],
        "input 'x'",
        f"element {at}",
        dtype,
        suffix=".npy",
        hint=f".astype(numpy.{dtype})",
    )


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.array([True]), "int64"), (np.array([True]), "float32"), (np.int64([1]), "bool"), (np.float32([1]), "int64"),
        (np.float32([1]), "bool"), (np.complex64([1]), "float32"), (np.longdouble([1]), "float64"), (np.array(["a"]), "float32"),
    ],
)  # fmt: skip
def test_kinds_do_not_mix(array: np.ndarray, dtype: str) -> None:
    refused(npy(array), [info(dtype, 1)], suffix=".npy")


@given(
    hnp.arrays(st.sampled_from([np.dtype(d) for d in DTYPES]), st.integers(0, 4)), st.sampled_from(sorted(DTYPES))
)  # fmt: skip
def test_a_conversion_is_exact_or_refused(array: np.ndarray, dtype: str) -> None:
    try:
        found = exact(array, dtype, "x").array()
    except Error:
        return
    assert (array.dtype.kind == "b") == (dtype == "bool")
    assert [v.item() for v in found] == [v.item() for v in array]  # Python compares int and float exactly


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_not_finite_is_named(bad: float, suffix: str, dtype: str) -> None:
    array = VALUES.astype(dtype)
    array[1, 2] = bad
    refused(as_bytes(array, suffix), X23, "input 'x'", "element [1, 2]", str(array[1, 2]), suffix=suffix)


# --- JSON ---


def test_json_that_is_no_tensor() -> None:
    refused('{"x": [1, 2], "x": [1, 2, 3]}', X3, "duplicate key 'x'")
    refused("[1, 2, NaN]", X3, "NaN")
    refused("[1, 2, Infinity]", X3, "Infinity")
    refused("[1, 2, 1e999]", X3, "overflows")
    refused("[1, 2, 1e39]", X3, "input 'x'", "element [2]", "beyond the range of float32")
    refused([[1, 2, 3], [4, 5]], X23, "input 'x'", "differ in length or depth at level 1")
    refused([[1, 2, 3], 4], X23, "differ in length or depth")
    refused([1, "2", 3], X3, "element [1] is a string", "a number")
    refused([1, None, 3], X3, "element [1] is null")
    refused([1, True, 3], X3, "element [1] is a boolean")
    refused([1, {}, 3], X3, "element [1] is an object")
    refused([], X3, "shape [0]", "[3]")
    refused("", X3, "not JSON")
    refused("null", X3, "shape []")
    refused("[" * 100_000, X3, "nested deeper")
    refused("[" * 20 + "1" + "]" * 20, X3, "shape")
    refused("1" * 5000, X3, "beyond 2^53")
    refused(b"\xff\xfe", X3, "UTF-8")
    refused([16777217, 1, 2], X3, "element [0]", "exactly")
    refused([9007199254740993, 1, 2], X3, "beyond 2^53", hint=".npz")


def test_json_integers_and_booleans_stay_what_they_are() -> None:
    refused([1.0, 2, 3], [info("int64", 3)], "element [0] is the number 1.0", "an integer (int64)")
    refused([1, 2, 300], [info("uint8", 3)], "element [2] is 300")
    refused([1, 0, 1], [info("bool", 3)], "element [0] is an integer", "true or false")
    refused([True, 2, 3], [info("int8", 3)], "element [0] is a boolean")
    assert parse_tensors(b"[true,false]", ".json", [info("bool", 2)])["x"].array().tolist() == [True, False]


# --- names and shapes ---


def test_missing_extra_and_unnamed_inputs() -> None:
    two = [info("float32", 1, name="a"), info("float32", 1, name="b")]
    refused({"a": [1]}, two, "'b' is missing", hint="'a', 'b'")
    refused({"a": [1], "b": [1], "c": [1]}, two, "'c' is not known", hint="'a', 'b'")
    refused([1], two, "2 tensors", hint="'a', 'b'")
    one = np.float32([1])
    refused(npy(one), two, "2 tensors", suffix=".npy")
    refused(npz(a=one), two, "'b' is missing", suffix=".npz")
    refused(npz(a=one, b=one, c=one), two, "'c' is not known", suffix=".npz")
    refused(safetensors.numpy.save({"a": one}), two, "'b' is missing", suffix=".safetensors")
    refused(safetensors.numpy.save({"a": one, "b": one, "c": one}), two, "'c' is not known", suffix=".safetensors")


@pytest.mark.parametrize("suffix", FORMATS)
def test_wrong_shapes_are_refused_with_the_right_one(suffix: str) -> None:
    for shape in ((6,), (3, 2), (1, 2, 3), (2, 3, 1)):
        refused(
            as_bytes(VALUES.reshape(shape), suffix),
            X23,
            "input 'x'",
            str(list(shape)),
            suffix=suffix,
            hint="reshape it to [2, 3]",
        )
    refused(as_bytes(np.zeros(3, np.float32), suffix), [info("float32", 1, 3)], "[3]", suffix=suffix, hint="reshape it to [1, 3]")


def test_other_endings_and_files_that_are_not_there(tmp_path: Path) -> None:
    for name in ("input.csv", "input", "input.pkl", "input.NPY"):
        with pytest.raises(MalformedError, match="none of"):
            read_tensors(tmp_path / name, X3)
    with pytest.raises(MalformedError, match="no such file"):
        read_tensors(tmp_path / "none.json", X3)
    for suffix in FORMATS:
        path = tmp_path / f"huge{suffix}"
        with path.open("wb") as stream:
            os.truncate(stream.fileno(), 5 << 30)
        with pytest.raises(MalformedError, match="5,368,709,120 bytes"):
            read_tensors(path, X3)


# --- hostile array files ---


class Bomb:
    def __reduce__(self) -> tuple:
        return (os.mkdir, ("pickled",))


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stream = io.BytesIO()
    np.save(stream, np.array([Bomb()], dtype=object), allow_pickle=True)
    for raw, suffix in (
        (stream.getvalue(), ".npy"), (pickle.dumps(Bomb()), ".npy"), (pickle.dumps(Bomb()), ".npz"),
        (zipped(x=stream.getvalue()), ".npz"),
    ):  # fmt: skip
        refused(raw, X3, suffix=suffix)
    assert not list(tmp_path.iterdir())


def zipped(compression: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def header(text: str, version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text.encode()


def test_npy_headers_are_believed_only_as_far_as_the_bytes_go() -> None:
    for text in (
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (True,), }",
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'1,' * 300}), }}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'extra': 1, }",
        "{'descr': '<f4', 'fortran_order': 7, 'shape': (3,), }",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<M8[s]', 'fortran_order': False, 'shape': (3,), }",
        "(" * 900,
        "[" * 900 + "]" * 900,
        "{'descr': __import__('os').mkdir('called'), 'fortran_order': False, 'shape': (3,), }",
        " " * 60_000,
        "",
    ):
        refused(header(text) + bytes(12), X3, suffix=".npy")
    good = npy(np.zeros(3, np.float32))
    parse_tensors(good, ".npy", X3)
    refused(good + b"\0", X3, "do not fill", suffix=".npy")
    refused(good[:-1], X3, "do not fill", suffix=".npy")
    refused(header("{}", b"\x03\x00"), X3, "version 3.0", suffix=".npy")


def test_booleans_are_zero_or_one() -> None:
    raw = npy(np.array([True, False]))
    refused(raw[:-1] + b"\x02", [info("bool", 2)], "neither 0 nor 1", suffix=".npy")
    tensors = safetensors.numpy.save({"x": np.array([True, False])})
    refused(tensors[:-1] + b"\x07", [info("bool", 2)], "neither 0 nor 1", suffix=".safetensors")


def test_zip_bombs_are_refused_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_module, "MAX_SIZE", 1 << 20)
    bomb = zipped(zipfile.ZIP_DEFLATED, x=bytes(4 << 20))
    assert len(bomb) < 8192
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *a: pytest.fail("the bomb was unpacked"))
    refused(bomb, X3, "unpacks to 4,194,304 bytes", suffix=".npz")
    refused(zipped(zipfile.ZIP_DEFLATED, y=bytes(1 << 10)), X3, "'x' is missing", suffix=".npz")


def test_a_zip_that_unpacks_to_more_than_it_declares() -> None:
    bomb = bytearray(zipped(zipfile.ZIP_DEFLATED, x=npy(np.zeros(100_000, np.float32))))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = bomb.index(signature) + offset
        bomb[at : at + 4] = struct.pack("<I", 140)
    refused(bytes(bomb), X3, suffix=".npz")


def traced(run: Callable[[], object]) -> int:
    """The most memory that ``run`` takes at a time, in bytes."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("declared", [64 << 20, 300], ids=["declared", "hidden"])
def test_a_zip_costs_no_more_than_the_tensor_that_is_wanted(declared: int) -> None:
    """A member that unpacks to 64 MiB, said openly or not; three numbers are wanted."""
    bomb = bytearray(zipped(zipfile.ZIP_DEFLATED, x=npy(np.zeros(16 << 20, np.float32))))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = bomb.index(signature) + offset
        bomb[at : at + 4] = struct.pack("<I", declared)
    assert traced(lambda: refused(bytes(bomb), X3, suffix=".npz")) < 8 << 20


def test_two_spellings_of_one_name_are_two_arrays() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x", npy(np.full(3, 1, np.float32)))
        archive.writestr("x.npy", npy(np.full(3, 2, np.float32)))
    refused(stream.getvalue(), X3, "two arrays of one name", suffix=".npz")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_far_larger_than_its_tensors_is_not_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"large{suffix}"
    path.write_bytes(b" " * (16 << 20))
    with pytest.raises(MalformedError, match="16,777,216 bytes, more than the"):
        read_tensors(path, X3)
    with pytest.raises(MalformedError) as caught:
        read_tensors(path, [info("float32", 8 << 20)])
    assert "more than the" not in caught.value.message


def test_json_has_no_more_values_than_the_tensors() -> None:
    empty = b"[" + b"[]," * (1 << 20) + b"[]]"
    assert traced(lambda: refused(empty, X3, "too many values")) < 1 << 20
    with pytest.raises(MalformedError, match="too many values"):
        parse_samples(b"[" + b"[]," * (6 << 20) + b"[]]", ".json", X3)
    many = json.dumps([[0.5]] * 300_000).encode()
    assert parse_tensors(many, ".json", [info("float32", 300_000, 1)])["x"].shape == (300_000, 1)


def test_errors_name_the_file(tmp_path: Path) -> None:
    for name, contents in (("a.json", b"[1,"), ("b.npy", b"x"), ("c.npz", b"x"), ("d.safetensors", b"x"), ("e.json", b"[1]")):
        (tmp_path / name).write_bytes(contents)
        for read in (read_tensors, read_samples):
            with pytest.raises(MalformedError, match=f"{tmp_path}/{name}"):
                read(tmp_path / name, X3)


def test_zip_directories_are_bounded_and_names_unique() -> None:
    good = npz(x=np.zeros(3, np.float32))
    parse_tensors(good, ".npz", X3)
    refused(good + b"trailing", X3, "cut short", suffix=".npz")
    refused(good[:-5], X3, "cut short", suffix=".npz")
    huge = bytearray(good)
    huge[-10:-6] = struct.pack("<I", 1 << 30)
    refused(bytes(huge), X3, "zip directory", suffix=".npz")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x.npy", npy(np.full(3, 1, np.float32)))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("x.npy", npy(np.full(3, 2, np.float32)))
    refused(stream.getvalue(), X3, "two arrays of one name", suffix=".npz")
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        refused(zipped(method, x=npy(np.zeros(3, np.float32))), X3, "unusual", suffix=".npz")


def tensors_file(header_text: str, contents: bytes = bytes(12)) -> bytes:
    return struct.pack("<Q", len(header_text)) + header_text.encode() + contents


def test_safetensors_headers_are_strict() -> None:
    good = '{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}'
    parse_tensors(tensors_file(good), ".safetensors", X3)
    parse_tensors(tensors_file('{"__metadata__":{"a":"b"},' + good[1:]), ".safetensors", X3)
    for text in (
        '{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"x":{"dtype":"I32","shape":[3],"data_offsets":[0,12]}}',
        good.replace("[0,12]", "[0,13]"), good.replace("[0,12]", "[4,16]"), good.replace("[0,12]", "[12,0]"),
        good.replace("[0,12]", "[0]"), good.replace("[0,12]", '["0",12]'), good.replace("[0,12]", "[false,12]"),
        good.replace("[3]", "[4]"), good.replace("[3]", "[-3]"), good.replace("[3]", "[3.0]"),
        good.replace("[3]", "[1000000,1000000]"),
        good.replace("F32", "F8_E4M3"), good.replace("F32", "BF16"), good.replace('"dtype":"F32",', ""),
        good.replace('"dtype"', '"more":1,"dtype"'), "[]", "{}", good[:-1], good.replace("[3]", "[" * 50 + "]" * 50),
    ):  # fmt: skip
        refused(tensors_file(text), X3, suffix=".safetensors")
    refused(tensors_file(good, bytes(13)), X3, "after the last", suffix=".safetensors")
    refused(tensors_file(good, bytes(11)), X3, "do not fill", suffix=".safetensors")
    for raw in (b"", bytes(8), struct.pack("<Q", 2**63) + bytes(20), struct.pack("<Q", 100) + b"{}"):
        refused(raw, X3, "not a .safetensors file", suffix=".safetensors")


# --- samples ---


@pytest.mark.parametrize("suffix", FORMATS)
def test_samples_have_one_more_axis(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"calibration{suffix}"
    stacked = np.stack([VALUES, VALUES + 1, VALUES + 2])
    path.write_bytes(as_bytes(stacked, suffix))
    assert [s["x"].array().tolist() for s in read_samples(path, X23)] == stacked.tolist()
    path.write_bytes(as_bytes(VALUES, suffix))
    assert [s["x"].array().tolist() for s in read_samples(path, X23)] == [VALUES.tolist()]


def test_answers_beside_the_inputs_are_left_aside_and_nothing_else_is() -> None:
    def npz(**arrays: np.ndarray[Any, Any]) -> bytes:
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        return stream.getvalue()

    stacked = np.stack([VALUES, VALUES])
    for name, answers in (("label", np.arange(2)), ("target", np.ones(2)), ("labels", np.array(["a", "b"]))):
        assert len(parse_samples(npz(x=stacked, **{name: answers}), ".npz", X23)) == 2
    refused(npz(x=VALUES, label=np.arange(2)), X23, "'label' is not known", suffix=".npz")
    for other in ("Label", "weights"):
        with pytest.raises(MalformedError, match="is not known to the model"):
            parse_samples(npz(x=stacked, **{other: np.arange(2)}), ".npz", X23)
    named = [info("int64", 1, name="label")]
    assert len(parse_samples(npz(label=np.zeros((3, 1), np.int64)), ".npz", named)) == 3
    with pytest.raises(MalformedError, match="'label' is missing"):
        parse_samples(npz(target=np.zeros((3, 1), np.int64)), ".npz", named)


def test_json_samples_as_a_list() -> None:
    two = [info("float32", 2, name="a"), info("int64", 1, name="b")]
    samples = [{"a": [1, 2], "b": [3]}, {"a": [4, 5], "b": [6]}]
    found = parse_samples(json.dumps(samples).encode(), ".json", two)
    assert [{name: t.array().tolist() for name, t in s.items()} for s in found] == samples
    columns = {"a": [[1, 2], [4, 5]], "b": [[3], [6]]}
    assert parse_samples(json.dumps(columns).encode(), ".json", two) == found
    assert parse_samples(json.dumps(samples[0]).encode(), ".json", two) == found[:1]
    assert len(parse_samples(b"[[[1,2,3],[4,5,6]],[[1,2,3],[4,5,6]]]", ".json", X23)) == 2
    assert len(parse_samples(b"[[1,2,3],[4,5,6]]", ".json", X23)) == 1


def test_bad_samples_are_named() -> None:
    for raw, suffix, words in (
        (b"[]", ".json", "sample|shape"), (b"[[[1,2,3],[4,5,6]],[[1,2,3],[4,5]]]", ".json", "sample 1 'x'"),
        (b"{}", ".json", "'x' is missing"),
        (npy(np.zeros((0, 2, 3), np.float32)), ".npy", "0 samples"),
        (npy(np.zeros((2, 2, 4), np.float32)), ".npy", "sample 0 'x'"),
        (npy(np.float32(1)), ".npy", "number|shape"),
    ):  # fmt: skip
        with pytest.raises(MalformedError, match=words):
            parse_samples(raw, suffix, X23)
    two = [info("float32", 1, name="a"), info("float32", 1, name="b")]
    uneven = npz(a=np.zeros((2, 1), np.float32), b=np.zeros((3, 1), np.float32))
    with pytest.raises(MalformedError, match="different numbers of samples"):
        parse_samples(uneven, ".npz", two)
    with pytest.raises(MalformedError, match="different numbers of samples"):
        parse_samples(b'{"a":[[1],[2]],"b":[[1]]}', ".json", two)


# --- anything whatever ---

SEEDS = {suffix: as_bytes(VALUES, suffix) for suffix in FORMATS}
INFOS = st.sampled_from([X23, X3, [info("bool", 2)], [info("int64")], [info(), info(name="y")], [info("float32", "N", None)]])


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(FORMATS),
    st.binary(max_size=200) | st.text('[]{},:"x0123456789.eE+-truefalsn ', max_size=60).map(str.encode),
    INFOS,
)
def test_arbitrary_bytes_raise_only_our_errors(suffix: str, raw: bytes, infos: list[TensorInfo]) -> None:
    for parse in (parse_tensors, parse_samples):
        with contextlib.suppress(Error):
            parse(raw, suffix, infos)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(FORMATS), st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 255)), min_size=1, max_size=4), INFOS)
def test_damaged_files_raise_only_our_errors(suffix: str, changes: list[tuple[int, int]], infos: list[TensorInfo]) -> None:
    raw = bytearray(SEEDS[suffix])
    for position, value in changes:
        raw[position % len(raw)] = value
    for parse in (parse_tensors, parse_samples):
        with contextlib.suppress(Error):
            parse(bytes(raw), suffix, infos)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(json_values, INFOS)
def test_arbitrary_json_raises_only_our_errors(value: object, infos: list[TensorInfo]) -> None:
    for parse in (parse_tensors, parse_samples):
        with contextlib.suppress(Error):
            parse(json.dumps(value).encode(), ".json", infos)


def test_samples_may_lie_along_the_batch_axis_of_a_model_that_takes_one(tmp_path: Path) -> None:
    path = tmp_path / "samples.npy"
    np.save(path, np.arange(24, dtype=np.float32).reshape(3, 8))
    info = TensorInfo(name="x", dtype="float32", shape=(1, 8))
    samples = read_samples(path, [info])
    assert [sample["x"].shape for sample in samples] == [(1, 8)] * 3
    assert samples[1]["x"].array().tolist() == [list(range(8, 16))]
    with pytest.raises(MalformedError):  # a batch of two is not two samples of one
        read_samples(path, [TensorInfo(name="x", dtype="float32", shape=(2, 8))])
