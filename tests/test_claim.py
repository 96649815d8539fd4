# SPDX-License-Identifier: Apache-2.0
"""The claim's wire format: one spelling, and nothing in it that contradicts itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.receipts import honest
from verifiable.claim import MAX_VALUE_SIZE, Claim, ClaimedTensor, EvidenceDescriptor
from verifiable.digest import Digest
from verifiable.encoding import json as canonical_json
from verifiable.encoding.tensor import Tensor
from verifiable.errors import BindingError, Error, MalformedError

CLAIM = honest().receipt.claim
HASHED = honest(inputs="hashed", outputs="hashed").receipt.claim
PRIVATE = honest(inputs="private", outputs="private").receipt.claim
FULL = replace(CLAIM, request_id="r-1", sources=(Digest.of(b"an observation"),))


def _changed(claim: Claim, change: Callable[[dict[str, Any]], None]) -> bytes:
    document = json.loads(claim.encode())
    change(document)
    return canonical_json.canonical(document)


@pytest.mark.parametrize("claim", [CLAIM, HASHED, PRIVATE, FULL, replace(CLAIM, nonce=None, node_name=None, evidence=())])
def test_parse_and_encode_are_inverses(claim: Claim) -> None:
    assert Claim.parse(claim.encode()) == claim
    assert Claim.parse(claim.encode()).encode() == claim.encode()


def test_the_documented_shape() -> None:
    document = json.loads(FULL.encode())
    assert set(document) == {"_type", "subject", "predicateType", "predicate"}
    predicate = document["predicate"]
    assert set(predicate) == {
        "model", "circuit", "inputs", "outputs", "evidence", "sources", "nonce", "requestId", "node", "startedOn", "finishedOn",
    }  # fmt: skip
    (x,), (y,) = predicate["inputs"], predicate["outputs"]
    assert set(x) == {"name", "dtype", "shape", "sha256", "value"}
    assert set(y) == {"name", "dtype", "shape", "scale", "sha256", "value"}
    assert (x["dtype"], y["dtype"], y["scale"]) == ("float32", "int64", 0.25)
    assert np.frombuffer(base64.b64decode(x["value"]), "<f4").tolist() == [1.0, -2.5, 3.0]
    assert document["subject"] == [{"name": "y", "digest": {"sha256": y["sha256"]}}]


def test_hidden_tensors_show_what_they_may_and_no_more() -> None:
    hashed, private = (json.loads(c.encode()) for c in (HASHED, PRIVATE))
    assert set(hashed["predicate"]["inputs"][0]) == {"name", "dtype", "shape", "commitment"}
    assert set(private["predicate"]["inputs"][0]) == {"name", "dtype", "shape"}
    assert hashed["subject"] == [{"name": "y", "digest": {"poseidonBn254": hashed["predicate"]["outputs"][0]["commitment"]}}]
    assert private["subject"] == [{"name": "circuit", "digest": private["predicate"]["circuit"]}]


def test_no_input_value_leaks_from_a_hashed_or_private_claim() -> None:
    value = np.array([[1.0, -2.5, 3.0]], np.float32)
    tensor = Tensor.from_array(value)
    for claim in (HASHED, PRIVATE):
        for secret in (base64.b64encode(tensor.data), tensor.digest.hex.encode()):
            assert secret not in claim.encode()


def test_a_large_public_tensor_is_there_by_digest() -> None:
    small, large = (Tensor.from_array(np.zeros(n, np.uint8)) for n in (MAX_VALUE_SIZE, MAX_VALUE_SIZE + 1))
    assert ClaimedTensor.public("a", small).value == small
    assert ClaimedTensor.public("a", large).value is None
    with pytest.raises(MalformedError, match="64 KiB"):
        ClaimedTensor(name="a", dtype="uint8", shape=large.shape, digest=large.digest, value=large)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda d: d.update(extra=1), MalformedError),
        (lambda d: d["predicate"].update(extra=1), MalformedError),
        (lambda d: d["predicate"]["node"].update(extra=1), MalformedError),
        (lambda d: d["predicate"]["model"].update(sha512="00"), MalformedError),
        (lambda d: d["predicate"]["inputs"][0].update(extra=1), MalformedError),
        (lambda d: d["predicate"]["evidence"][0].update(data="AA=="), MalformedError),
        (lambda d: d["predicate"].pop("sources"), MalformedError),
        (lambda d: d.update(_type="https://in-toto.io/Statement/v0.1"), MalformedError),
        (lambda d: d.update(predicateType="urn:verifiable:inference:v2"), MalformedError),
        (lambda d: d["subject"].clear(), BindingError),
        (lambda d: d["subject"].append({"name": "z", "digest": {"sha256": "00" * 32}}), BindingError),
        (lambda d: d["subject"][0].update(name="z"), BindingError),
        (lambda d: d["subject"][0]["digest"].update(sha256="00" * 32), BindingError),
        (lambda d: d.update(subject="y"), BindingError),
        (lambda d: d["predicate"]["inputs"][0].update(sha256="00" * 32), BindingError),
        (lambda d: d["predicate"]["inputs"][0].update(value=base64.b64encode(bytes(12)).decode()), BindingError),
        (lambda d: d["predicate"]["inputs"][0].update(value=base64.b64encode(bytes(8)).decode()), MalformedError),
        (lambda d: d["predicate"]["inputs"][0].update(value=base64.b64encode(b"\0\0\xc0\x7f" * 3).decode()), MalformedError),
        (lambda d: d["predicate"]["inputs"][0].pop("value"), MalformedError),
        (lambda d: d["predicate"]["inputs"][0].pop("sha256"), MalformedError),
        (lambda d: d["predicate"]["inputs"][0].update(commitment="00" * 32), MalformedError),
        (lambda d: d["predicate"]["inputs"][0].update(dtype="complex64"), MalformedError),
        (lambda d: d["predicate"]["inputs"][0].update(dtype="int32"), BindingError),
        (lambda d: d["predicate"]["inputs"][0].update(shape=[3]), BindingError),
        (lambda d: d["predicate"]["inputs"][0].update(shape=[True, 3]), MalformedError),
        (lambda d: d["predicate"]["inputs"][0].update(scale=1), MalformedError),
        (lambda d: d["predicate"]["outputs"][0].update(dtype="float32"), MalformedError),
        (lambda d: d["predicate"]["outputs"][0].update(scale=0), MalformedError),
        (lambda d: d["predicate"]["outputs"][0].update(scale=-0.25), MalformedError),
        (lambda d: d["predicate"]["outputs"][0].update(scale="0.25"), MalformedError),
        (lambda d: d["predicate"]["outputs"][0].pop("scale"), MalformedError),
        (lambda d: d["predicate"].update(nonce=""), MalformedError),
        (lambda d: d["predicate"].update(nonce="AB"), MalformedError),
        (lambda d: d["predicate"].update(nonce="00" * 65), MalformedError),
        (lambda d: d["predicate"].update(startedOn="2026-03-01T11:59:00+00:00"), MalformedError),
        (lambda d: d["predicate"].update(finishedOn="2026-03-01 11:59:00Z"), MalformedError),
        (lambda d: d["predicate"].update(sources=["sha256:" + "00" * 32]), MalformedError),
        (lambda d: d["predicate"].update(sources=[1]), MalformedError),
        (lambda d: d["predicate"]["circuit"].update(sha256="sha256:" + "00" * 32), MalformedError),
        (lambda d: d["predicate"]["node"].update(publicKey="AAA"), MalformedError),
        (lambda d: d["predicate"]["node"].update(publicKey="AAB="), MalformedError),
        (lambda d: d["predicate"].update(evidence=d["predicate"]["evidence"] * 65), MalformedError),
        (lambda d: d["predicate"]["evidence"][0].update(size=1.5), MalformedError),
    ],
)  # fmt: skip
def test_what_is_refused(change: Callable[[dict[str, Any]], None], error: type[Error]) -> None:
    with pytest.raises(error):
        Claim.parse(_changed(CLAIM, change))


@pytest.mark.parametrize("size", [0, 16, 31])
def test_a_commitment_has_32_bytes(size: int) -> None:
    with pytest.raises(MalformedError):
        Claim.parse(_changed(HASHED, lambda d: d["predicate"]["inputs"][0].update(commitment="00" * size)))


def test_other_spellings_of_the_same_json_are_refused() -> None:
    data = CLAIM.encode()
    for other in (
        data + b"\n",
        b" " + data,
        json.dumps(json.loads(data)).encode(),
        data.replace(b'"scale":0.25', b'"scale":0.250'),
    ):
        assert other != data
        with pytest.raises(MalformedError):
            Claim.parse(other)


def test_duplicate_keys_are_refused() -> None:
    data = CLAIM.encode().replace(b'"nonce":', b'"nonce":"00","nonce":', 1)
    with pytest.raises(MalformedError, match="duplicate"):
        Claim.parse(data)


def test_build_refuses_what_does_not_belong_to_the_circuit() -> None:
    run = honest()
    common = {
        "circuit": run.circuit.circuit, "public_key": CLAIM.public_key,
        "started_on": CLAIM.started_on, "finished_on": CLAIM.finished_on, "evidence": CLAIM.evidence,
    }  # fmt: skip
    with pytest.raises(BindingError, match="'x' is missing"):
        Claim.build(inputs={}, public=run.proved.public, **common)  # type: ignore[arg-type]
    other = honest(name="z").proved.public
    with pytest.raises(BindingError, match="'z' stands where"):
        Claim.build(inputs=run.inputs, public=other, **common)  # type: ignore[arg-type]


def test_a_value_of_another_type_than_claimed() -> None:
    value = Tensor.from_array(np.zeros((1, 3), np.float32))
    with pytest.raises(MalformedError, match="another type"):
        ClaimedTensor(name="x", dtype="float32", shape=(3, 1), digest=value.digest, value=value)


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(MalformedError, match="statement: unknown field 'extra'"):
        Claim.parse(_changed(CLAIM, lambda d: d.update(extra=1)))


def test_descriptor() -> None:
    assert EvidenceDescriptor.of(b"abc", kind="zk", media_type="m").size == 3


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_only_errors(data: bytes) -> None:
    with pytest.raises(Error):
        Claim.parse(data)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_any_field_replaced_by_anything_raises_only_errors(data: st.DataObject) -> None:
    document = json.loads(FULL.encode())
    node: Any = document
    while isinstance(node, dict | list) and node:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            node[key] = data.draw(_JSON)
            break
        node = node[key]
    try:
        encoded = canonical_json.canonical(document)
        claim = Claim.parse(encoded)
    except Error:
        return
    assert claim.encode() == encoded


def test_what_hardware_signs_leaves_out_what_is_only_made_then_and_nothing_else() -> None:
    """The digest is that of the documented form, worked out from the JSON, and does not move when attestations are added."""
    tee, collateral = (EvidenceDescriptor.of(b"x", kind=kind, media_type="a/b") for kind in ("tee", "collateral"))
    assert replace(FULL, evidence=(*FULL.evidence, tee, collateral)).attested_digest == FULL.attested_digest
    assert FULL.attested_digest == Digest.of(FULL.encode())
    proof = EvidenceDescriptor.of(b"another proof", kind="zk", media_type="a/b")
    others = (replace(FULL, nonce=b"another"), replace(FULL, evidence=(proof,)), replace(FULL, evidence=()))
    assert len({each.attested_digest for each in (FULL, *others)}) == 4
