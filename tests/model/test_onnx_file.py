# SPDX-License-Identifier: Apache-2.0
"""What a stranger's model file may do to us: nothing but be refused, in one line."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.model import zoo
from verifiable.digest import Digest, tagged
from verifiable.errors import Error, MalformedError, UnsupportedError
from verifiable.model import wire
from verifiable.model.onnx_file import MAX_SIZE, Model, TensorInfo


def edited(data: bytes, change) -> bytes:
    proto = onnx.load_from_string(data)
    change(proto)
    return proto.SerializeToString()


def refused(data: bytes, *words: str, kind: type[Error] = MalformedError) -> Error:
    with pytest.raises(kind) as caught:
        Model.parse(data)
    assert "\n" not in caught.value.message
    for word in words:
        assert word in caught.value.message
    return caught.value


def test_a_model_says_what_it_takes_and_gives(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(zoo.shape_arithmetic())
    model = Model.load(path)
    assert model.inputs == (TensorInfo(name="x", dtype="float32", shape=("N", 3, 4)),)
    assert model.outputs == (TensorInfo(name="y", dtype="float32", shape=("N", 2)),)
    assert model.digest == Digest.of(path.read_bytes())  # what sha256sum prints
    assert model.data == path.read_bytes()


def test_weights_listed_as_inputs_are_not_inputs() -> None:
    def list_weight(proto: onnx.ModelProto) -> None:
        proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 2, 3, 3]))

    assert [info.name for info in Model.parse(edited(zoo.conv_without_strides(), list_weight)).inputs] == ["x"]


def test_empty_foreign_and_truncated_files() -> None:
    refused(b"", "is empty")
    for foreign in (b"hello world, this is a text", b"\x89PNG\r\n\x1a\n" + bytes(100), bytes(200), b"PK\x03\x04" + bytes(50)):
        refused(foreign, "not an ONNX file")
    whole = zoo.mlp()
    for cut in range(0, len(whole) - 1, 7):
        refused(whole[:cut])


def test_a_sparse_five_gigabyte_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as stream:
        os.truncate(stream.fileno(), 5 << 30)
    with pytest.raises(MalformedError, match="5,368,709,120 bytes, more than"):
        Model.load(path)
    assert MAX_SIZE < 5 << 30


def test_missing_folder_and_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, words in (
        (tmp_path / "none.onnx", "no such file"),
        (tmp_path, "regular|directory"),
        (tmp_path / "fifo", "regular"),
    ):
        with pytest.raises(MalformedError, match=words):
            Model.load(path)


def test_millions_of_tiny_fields_are_refused_before_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bytes each in the file, some hundred in memory: an empty node."""
    monkeypatch.setattr(onnx.ModelProto, "FromString", lambda data: pytest.fail("the bomb reached the parser"))
    nodes = b"\x0a\x00" * 2_000_000
    refused(b"\x08\x08\x3a" + _varint(len(nodes)) + nodes, "besides the weights")


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def test_a_large_doc_string_is_refused_but_large_weights_are_not() -> None:
    def describe(proto: onnx.ModelProto) -> None:
        proto.doc_string = "x" * (wire.MAX_STRUCTURE + 1)

    refused(edited(zoo.mlp(), describe), "besides the weights")
    big = zoo.build(
        [zoo.node("MatMul", ["x", "w"], ["y"])], {"x": [1, 2048]}, {"y": [1, 2200]}, {"w": np.ones((2048, 2200), "f4")}
    )
    assert len(big) > wire.MAX_STRUCTURE
    assert Model.parse(big).inputs[0].shape == (1, 2048)


def test_deep_nesting_is_refused_without_recursion() -> None:
    """A graph in an attribute of a node of a graph, ten thousand times."""
    graph = b""
    for _ in range(10_000):
        for tag in (b"\x32", b"\x2a", b"\x0a"):  # AttributeProto.g, NodeProto.attribute, GraphProto.node
            graph = tag + _varint(len(graph)) + graph
    refused(b"\x08\x08\x3a" + _varint(len(graph)) + graph, "not an ONNX file")


def test_cycles_disorder_and_missing_values() -> None:
    cyclic = [zoo.node("Add", ["x", "b"], ["a"]), zoo.node("Relu", ["a"], ["b"]), zoo.node("Neg", ["b"], ["y"])]
    refused(zoo.build(cyclic, {"x": [1]}, {"y": [1]}), "node 'add_a'", "'b'", "cycle")
    refused(zoo.build([zoo.node("Add", ["x", "ghost"], ["y"])], {"x": [1]}, {"y": [1]}), "'ghost'", "nothing makes")
    refused(zoo.build([zoo.node("Relu", ["x"], ["y"])], {"x": [1]}, {"z": [1]}), "nothing makes output 'z'")


def test_no_outputs_and_duplicated_names() -> None:
    refused(zoo.build([zoo.node("Relu", ["x"], ["y"])], {"x": [1]}, {}), "no outputs")
    twice = [zoo.node("Relu", ["x"], ["y"]), zoo.node("Neg", ["x"], ["y"])]
    refused(zoo.build(twice, {"x": [1]}, {"y": [1]}), "two values", "'y'")
    shadow = zoo.build([zoo.node("Relu", ["x"], ["x"])], {"x": [1]}, {"x": [1]})
    refused(shadow, "two values", "'x'")

    def double(proto: onnx.ModelProto) -> None:
        proto.graph.initializer.append(proto.graph.initializer[0])

    refused(edited(zoo.mlp(), double), "two weights")
    refused(edited(zoo.mlp(), lambda p: p.graph.input.append(p.graph.input[0])), "two inputs", "'x'")
    refused(edited(zoo.mlp(), lambda p: p.graph.output.append(p.graph.output[0])), "two outputs", "'y'")


def test_versions_and_features_beyond_us() -> None:
    refused(zoo.mlp(opset=22), "operator set 22", kind=UnsupportedError)
    refused(edited(zoo.mlp(), lambda p: setattr(p, "ir_version", 99)), "IR version 99", kind=UnsupportedError)

    def no_default(proto: onnx.ModelProto) -> None:
        proto.opset_import[0].domain = "com.example"

    refused(edited(zoo.mlp(), no_default), "no version of the default operator set", kind=UnsupportedError)
    refused(edited(zoo.mlp(), lambda p: p.opset_import.append(helper.make_opsetid("ai.onnx", 13))), "imported twice")
    refused(edited(zoo.mlp(), lambda p: p.functions.add(name="f", domain="d")), "functions", kind=UnsupportedError)
    refused(edited(zoo.mlp(), lambda p: p.training_info.add()), "training", kind=UnsupportedError)

    def sparse(proto: onnx.ModelProto) -> None:
        proto.graph.sparse_initializer.add()

    refused(edited(zoo.mlp(), sparse), "sparse", kind=UnsupportedError)


def test_what_onnx_checker_refuses_is_refused() -> None:
    unknown_attribute = [zoo.node("Relu", ["x"], ["y"], bogus=1)]
    refused(zoo.build(unknown_attribute, {"x": [1]}, {"y": [1]}), "onnx.checker")
    refused(zoo.build([zoo.node("NoSuchOperator", ["x"], ["y"])], {"x": [1]}, {"y": [1]}), "onnx.checker")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_weights_that_are_not_finite_are_named(value: float, dtype: type) -> None:
    weights = np.ones((2, 3), dtype)
    weights[1, 2] = value
    data = zoo.build([zoo.node("Add", ["x", "w"], ["y"])], {"x": [2, 3]}, {"y": [2, 3]}, {"w": weights})
    refused(data, "weight 'w'", "[1, 2]", str(weights[1, 2]))


def test_not_finite_in_a_constant_node_is_named() -> None:
    constant = helper.make_node("Constant", [], ["k"], name="const", value=numpy_helper.from_array(np.float32([1, np.nan])))
    data = zoo.build([constant, zoo.node("Add", ["x", "k"], ["y"])], {"x": [2]}, {"y": [2]})
    refused(data, "attribute 'value' of node 'const'", "nan")


def test_a_weight_that_claims_more_than_it_has_allocates_nothing() -> None:
    def claim(proto: onnx.ModelProto) -> None:
        proto.graph.initializer[0].dims[:] = [1_000_000, 1_000_000]

    refused(edited(zoo.mlp(), claim), "weight 'w1'", "claims 1,000,000,000,000 values, the file holds 128")
    refused(edited(zoo.mlp(), lambda p: p.graph.initializer[0].dims.__setitem__(0, -8)), "not a shape")

    def deep(proto: onnx.ModelProto) -> None:
        proto.graph.initializer[0].dims[:] = [1] * 5000

    refused(edited(zoo.mlp(), deep), "not a shape")


def test_typed_storage_is_checked_like_raw_storage() -> None:
    def with_tensor(tensor: TensorProto) -> bytes:
        data = zoo.build([zoo.node("Cast", ["w"], ["c"], to=1), zoo.node("Add", ["x", "c"], ["y"])], {"x": [2]}, {"y": [2]})
        return edited(data, lambda p: p.graph.initializer.append(tensor))

    Model.parse(with_tensor(TensorProto(name="w", data_type=TensorProto.INT8, dims=[2], int32_data=[-128, 127])))
    for tensor, words in (
        (TensorProto(name="w", data_type=TensorProto.INT8, dims=[2], int32_data=[1, 300]), "int8 cannot hold"),
        (TensorProto(name="w", data_type=TensorProto.BOOL, dims=[2], int32_data=[1, 2]), "bool cannot hold"),
        (TensorProto(name="w", data_type=TensorProto.BOOL, dims=[2], raw_data=b"\x01\x02"), "neither 0 nor 1"),
        (TensorProto(name="w", data_type=TensorProto.FLOAT16, dims=[2], int32_data=[1, 70000]), "beyond 16 bits"),
        (TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], float_data=[1.0]), "holds 1 of them"),
        (TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], int64_data=[1, 2]), "claims 2 values"),
        (TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], raw_data=bytes(8), float_data=[1.0]), "claims 2 values"),
    ):
        refused(with_tensor(tensor), words)


def test_inputs_that_are_no_tensors() -> None:
    def sequence(proto: onnx.ModelProto) -> None:
        proto.graph.input[0].type.CopyFrom(helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [1])))

    with pytest.raises(Error):
        Model.parse(edited(zoo.identity_chain(), sequence))


# --- external data ---


def external(folder: Path, location: str = "w.bin", **entries: str) -> Path:
    """The MLP with its first weight elsewhere; the weight is written to ``folder``/w.bin."""
    proto = onnx.load_from_string(zoo.mlp())
    tensor = proto.graph.initializer[0]
    (folder / "w.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    path = folder / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_external_data_is_read_and_is_part_of_the_digest(tmp_path: Path) -> None:
    path = external(tmp_path, offset="0", length="512")
    model = Model.load(path)
    onnx_digest, weight_digest = Digest.of(path.read_bytes()), Digest.of((tmp_path / "w.bin").read_bytes())
    assert model.digest == tagged("verifiable/model/external/v1", onnx_digest.value, b"w.bin", weight_digest.value)
    assert [t.raw_data for t in onnx.load_from_string(model.data).graph.initializer] == [
        t.raw_data for t in onnx.load_from_string(zoo.mlp()).graph.initializer
    ]
    Model.parse(model.data)  # self-contained
    changed = bytearray((tmp_path / "w.bin").read_bytes())
    changed[0] ^= 1
    (tmp_path / "w.bin").write_bytes(changed)
    assert Model.load(path).digest != model.digest


def test_two_external_tensors_in_a_subfolder_written_by_onnx(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    onnx.save(
        onnx.load_from_string(zoo.mlp()),
        tmp_path / "m.onnx",
        save_as_external_data=True,
        location="sub/all.bin",
        size_threshold=0,
    )
    assert Model.load(tmp_path / "m.onnx").inputs[0].name == "x"


@pytest.mark.parametrize(
    "location",
    [
        "/etc/hostname",
        "../secret.bin",
        "sub/../../secret.bin",
        "./w.bin",
        "",
        ".",
        "a//b",
        "sub\\w.bin",
        "w.bin\0",
        "w\n.bin",
        "sub/",
        "/",
    ],
)
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(512))
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    with pytest.raises(MalformedError, match="not a plain path inside") as caught:
        Model.load(external(folder, location))
    assert "weight 'w1'" in caught.value.message


def test_external_data_through_symbolic_links_is_refused(tmp_path: Path) -> None:
    folder, outside = tmp_path / "model", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "secret.bin").write_bytes(bytes(512))
    (folder / "link.bin").symlink_to(outside / "secret.bin")
    (folder / "dir").symlink_to(outside)
    for location in ("link.bin", "dir/secret.bin"):
        with pytest.raises(MalformedError, match="cannot be read"):
            Model.load(external(folder, location))


def test_external_data_in_special_files_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dir").mkdir()
    for location in ("fifo", "dir", "none.bin"):
        with pytest.raises(MalformedError, match="external file"):
            Model.load(external(tmp_path, location))


def test_external_data_larger_than_allowed_is_refused_unread(tmp_path: Path) -> None:
    path = external(tmp_path, "huge.bin")
    with (tmp_path / "huge.bin").open("wb") as stream:
        os.truncate(stream.fileno(), 5 << 30)
    with pytest.raises(MalformedError, match="more than"):
        Model.load(path)


@pytest.mark.parametrize(
    "entries",
    [
        {"offset": "1"}, {"offset": "-1"}, {"offset": "1e3"}, {"offset": " 0"}, {"offset": "9" * 30}, {"offset": "00"},
        {"length": "511"}, {"length": "513"}, {"length": "-512"}, {"basepath": "/"},
    ],
)  # fmt: skip
def test_external_data_offsets_and_lengths(tmp_path: Path, entries: dict[str, str]) -> None:
    with pytest.raises(MalformedError):
        Model.load(external(tmp_path, **entries))


def test_one_region_claimed_by_many_weights_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that a thousand weights share would unfold to gigabytes."""
    monkeypatch.setattr("verifiable.model.onnx_file.MAX_SIZE", 4096)
    path = external(tmp_path)
    proto = onnx.load(path, load_external_data=False)
    for i in range(10):
        copy = proto.graph.initializer.add()
        copy.CopyFrom(proto.graph.initializer[0])
        copy.name = f"copy{i}"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(MalformedError, match="external weights of more than"):
        Model.load(path)


def test_bytes_alone_have_no_folder(tmp_path: Path) -> None:
    refused(external(tmp_path).read_bytes(), "another file", kind=UnsupportedError)


# --- anything whatever ---


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_only_our_errors(data: bytes) -> None:
    with pytest.raises(Error):
        Model.parse(data)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(zoo.ZOO)), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_models_raise_only_our_errors(name: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(zoo.ZOO[name][0]())
    for position, value in changes:
        data[position % len(data)] = value
    with contextlib.suppress(Error):
        Model.parse(bytes(data))
