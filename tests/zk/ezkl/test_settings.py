# SPDX-License-Identifier: Apache-2.0
"""Settings are canonical, strictly read, and refused where they are unsound or not those of the circuit."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.zk.ezkl.workshop import Workshop
from verifiable.encoding import json
from verifiable.errors import BindingError, Error, MalformedError, UnsupportedError
from verifiable.zk.circuit import VerifierCircuit, Visibility
from verifiable.zk.ezkl import verifier_srs
from verifiable.zk.ezkl.instances import ProofFormat
from verifiable.zk.ezkl.parameters import EzklParameters
from verifiable.zk.ezkl.settings import EzklSettings, canonicalise, expected_run_args
from verifiable.zk.system import ProverCircuit


@pytest.fixture
def document(circuit: ProverCircuit) -> dict[str, Any]:
    found: dict[str, Any] = json.parse(circuit.verifier.parts["settings"], what="settings", max_size=1 << 20)
    return found


def test_canonical_settings_round_trip(circuit: ProverCircuit) -> None:
    data = circuit.verifier.parts["settings"]
    parsed = EzklSettings.parse(data)
    assert parsed.data == data
    assert canonicalise(data) == data
    assert parsed.parameters == EzklParameters(decomp_base=128, decomp_legs=3, logrows=10)
    assert (parsed.input_scales, parsed.output_scales, parsed.instance_sizes, parsed.hashes) == ((7,), (7,), (8, 4), 0)


def test_the_order_and_the_time_that_ezkl_writes_are_dropped(document: dict[str, Any]) -> None:
    """Trap 7."""
    shuffled = document | {"timestamp": 1_700_000_000, "required_range_checks": document["required_range_checks"][::-1]}
    assert shuffled["required_range_checks"] != document["required_range_checks"]
    assert canonicalise(json.canonical(shuffled)) == json.canonical(document)


def test_freivalds_is_always_off(document: dict[str, Any]) -> None:
    """Trap 1: the randomised matrix product does not tie its result to the next layer."""
    assert document["run_args"]["disable_freivalds"] is True
    assert "freivalds" not in " ".join(field.name for field in dataclasses.fields(EzklParameters))
    on = document | {"run_args": document["run_args"] | {"disable_freivalds": False}}
    with pytest.raises(UnsupportedError, match="disable_freivalds is false"):
        EzklSettings.parse(json.canonical(on))


def test_settings_with_randomised_products_are_refused(document: dict[str, Any]) -> None:
    """Trap 1: also when only the columns for it are there, and both when a circuit is made and when it is read."""
    for params in (
        {"equations": [], "total_einsum_col_size": 64},
        {"equations": [["mk,nk->n", {"m": 1, "k": 8, "n": 4}]], "total_einsum_col_size": 64},
    ):
        data = json.canonical(document | {"einsum_params": params})
        for read in (EzklSettings.parse, canonicalise):
            with pytest.raises(UnsupportedError, match="Freivalds"):
                read(data)


def test_a_verifier_refuses_them_before_it_asks_ezkl(
    workshop: Workshop, circuit: ProverCircuit, proved: Any, document: dict[str, Any]
) -> None:
    from verifiable.zk.circuit import Part

    data = json.canonical(document | {"einsum_params": {"equations": [], "total_einsum_col_size": 8}})
    parts = dict(circuit.verifier.parts) | {"settings": data}
    named = dict(circuit.circuit.parts) | {"settings": Part.of(data, circuit.circuit.parts["settings"].media_type)}
    unsound = VerifierCircuit(circuit=dataclasses.replace(circuit.circuit, parts=named), parts=parts)
    with pytest.raises(UnsupportedError, match="Freivalds"):
        workshop.system.verify(unsound, proved.public, proved.proof)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"version": "23.0.4"}, UnsupportedError),
        ({"version": "22.0.0"}, UnsupportedError),
        ({"check_mode": "UNSAFE"}, MalformedError),
        ({"timestamp": 1}, MalformedError),
        ({"num_blinding_factors": 0}, MalformedError),
        ({"module_sizes": {"polycommit": [8], "poseidon": [0, [0]]}}, UnsupportedError),
        ({"module_sizes": {"polycommit": [], "poseidon": [0, 0]}}, MalformedError),
        ({"module_sizes": {"polycommit": [], "poseidon": [0, [0, 0]]}}, MalformedError),
        ({"num_rows": -1}, MalformedError),
        ({"num_rows": "960"}, MalformedError),
        ({"required_range_checks": [[0, 127], [-1, 1]]}, MalformedError),
        ({"model_input_scales": [True]}, MalformedError),
        ({"model_instance_shapes": [[1, -8]]}, MalformedError),
        ({"model_instance_shapes": "none"}, MalformedError),
        ({"input_types": [1]}, MalformedError),
        ({"unknown": 1}, MalformedError),
    ],
)
def test_unsound_or_malformed_settings_are_refused(document: dict[str, Any], changes: dict[str, Any], error: type[Error]) -> None:
    with pytest.raises(error):
        EzklSettings.parse(json.canonical(document | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"ignore_range_check_inputs_outputs": True}, {"check_mode": "UNSAFE"}, {"bounded_log_lookup": True},
        {"rebase_frac_zero_constants": True}, {"epsilon": 0.5}, {"rebase_scale": 3}, {"variables": [["batch_size", 2]]},
        {"input_visibility": {"Hashed": {"hash_is_public": False, "outlets": []}}}, {"output_visibility": "Fixed"},
        {"param_visibility": "Public"}, {"input_visibility": "KZGCommit"}, {"unknown": 1},
    ],
    ids=str,
)  # fmt: skip
def test_run_arguments_that_we_never_choose_are_refused(document: dict[str, Any], changes: dict[str, Any]) -> None:
    """Trap 8: among them the one that leaves the ranges of inputs and outputs unchecked."""
    with pytest.raises((UnsupportedError, MalformedError)):
        EzklSettings.parse(json.canonical(document | {"run_args": document["run_args"] | changes}))


def test_every_field_is_needed(document: dict[str, Any]) -> None:
    for name in document:
        with pytest.raises((MalformedError, UnsupportedError)):
            EzklSettings.parse(json.canonical({k: v for k, v in document.items() if k != name}))


def test_settings_in_any_other_spelling_are_refused(circuit: ProverCircuit) -> None:
    data = circuit.verifier.parts["settings"]
    for other in (
        data + b"\n",
        data.replace(b",", b", ", 1),
        data[:-1],
        data.replace(b'"num_rows":', b'"num_rows":0,"num_rows":', 1),
    ):
        with pytest.raises(MalformedError):
            EzklSettings.parse(other)


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    for read in (EzklSettings.parse, canonicalise, ProofFormat.parse):
        with pytest.raises((MalformedError, UnsupportedError)):
            read(data)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(
        ["run_args", "module_sizes", "einsum_params", "model_instance_shapes", "required_lookups", "version", "num_rows"]
    ),
    value=st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=8,
    ),
)
def test_any_value_in_any_field_gives_our_errors_only(circuit: ProverCircuit, name: str, value: Any) -> None:
    document = json.parse(circuit.verifier.parts["settings"], what="settings", max_size=1 << 20)
    with contextlib.suppress(MalformedError, UnsupportedError):
        EzklSettings.parse(json.canonical(document | {name: value}))


# --- agreement with circuit.json


def test_settings_of_another_visibility_are_refused(circuit: ProverCircuit) -> None:
    parsed = EzklSettings.parse(circuit.verifier.parts["settings"])
    for visibility in (Visibility(inputs="private"), Visibility(outputs="hashed"), Visibility(weights="private")):
        with pytest.raises(BindingError, match="visibility"):
            parsed.check(dataclasses.replace(circuit.circuit, visibility=visibility))


def test_settings_of_other_tensors_are_refused(circuit: ProverCircuit) -> None:
    parsed = EzklSettings.parse(circuit.verifier.parts["settings"])
    spec = circuit.circuit.inputs[0]
    for inputs in (
        (dataclasses.replace(spec, shape=(1, 7)),),
        (spec, dataclasses.replace(spec, name="z")),
        (dataclasses.replace(spec, scale=2.0**-8),),
        (dataclasses.replace(spec, low=-(128**3)),),
    ):
        with pytest.raises(BindingError):
            parsed.check(dataclasses.replace(circuit.circuit, inputs=inputs))


def test_a_setup_that_is_too_small_or_absent_is_refused(circuit: ProverCircuit) -> None:
    parsed = EzklSettings.parse(circuit.verifier.parts["settings"])
    assert circuit.circuit.setup is not None
    for setup in (None, dataclasses.replace(circuit.circuit.setup, logrows=9)):
        with pytest.raises(BindingError, match="too small"):
            parsed.check(dataclasses.replace(circuit.circuit, setup=setup))


# --- parameters


def test_every_choice_is_written_out() -> None:
    given = EzklParameters().run_args(Visibility(inputs="hashed", outputs="private", weights="private"))
    assert (given["input_visibility"], given["output_visibility"], given["param_visibility"]) == ("hashed", "private", "private")
    assert given["disable_freivalds"] is True
    assert given["ignore_range_check_inputs_outputs"] is False
    assert expected_run_args(EzklParameters(), Visibility())["param_visibility"] == "Fixed"


@pytest.mark.parametrize(
    "fields",
    [{"input_scale": -1}, {"param_scale": 31}, {"decomp_base": 1}, {"decomp_legs": 0}, {"num_inner_cols": 0}, {"logrows": 5},
     {"logrows": 27}, {"scale_rebase_multiplier": 0}, {"lookup_low": 1}],
    ids=str,
)  # fmt: skip
def test_parameters_out_of_range_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(MalformedError):
        EzklParameters(**fields)


def test_outputs_wider_than_64_bits_are_refused() -> None:
    assert EzklParameters(decomp_base=2, decomp_legs=62).bound == 2**62 - 1
    with pytest.raises(UnsupportedError, match="64-bit"):
        EzklParameters(decomp_base=256, decomp_legs=8)


# --- the small parts


def test_the_proof_format_is_strict() -> None:
    for known in (ProofFormat(size=3296), ProofFormat(size=3296, divisions=12, drift=(0, 7))):
        assert ProofFormat.parse(known.encode()) == known
    assert ProofFormat(size=1).encode() == b'{"divisions":0,"size":1}'
    bad = [b'{"divisions":2,"size":1}', b'{"divisions":0,"drift":[1],"size":1}', b'{"divisions":2,"drift":[-1],"size":1}']
    bad += [b'{"divisions":2,"drift":[true],"size":1}', b'{"divisions":2,"drift":7,"size":1}']
    bad += [b"{}", b'{"divisions":0,"size":0}', b'{"divisions":0,"size":true}', b'{"size":1}', b'{"size":1,"divisions":0}']
    bad += [b'{"divisions":0,"size":1,"x":1}', b'{"divisions":0,"size":9999999}', b"[]", b"null"]
    for data in bad:
        with pytest.raises(MalformedError):
            ProofFormat.parse(data)


def test_the_verifiers_setup_is_strict(circuit: ProverCircuit) -> None:
    data, setup = circuit.verifier.parts["srs"], circuit.circuit.setup
    assert setup is not None
    assert len(data) == 516
    verifier_srs.check(data, setup)
    changed = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in (0, 4, 100, 132, 200, 260, 388, 515)]
    for bad in (b"", data[:-1], data + b"\0", bytes(516), *changed):
        with pytest.raises(Error) as caught:
            verifier_srs.check(bad, setup)
        assert isinstance(caught.value, (MalformedError, BindingError)) or "SRS" in caught.value.message
