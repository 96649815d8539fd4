# SPDX-License-Identifier: Apache-2.0
"""The checklist on honest receipts: what is established, what is only said, what needs the caller's word."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

import numpy as np
import pytest

from tests.fakes.proof_system import FakeSystem, ceremony_srs, derived, make_circuit, small_srs
from tests.fakes.receipts import NONCE, NOW, Honest, honest, node_key, resign
from verifiable.checklist import Check
from verifiable.claim import ClaimedTensor
from verifiable.digest import Digest
from verifiable.encoding.tensor import Tensor
from verifiable.errors import BindingError, Error, MalformedError, PolicyError, StaleError, TrustError, UnsupportedError
from verifiable.trust import Trusted, TrustRoot, Validity
from verifiable.verify.policy import Rerun
from verifiable.verify.verified import NAMES
from verifiable.verify.verifier import Verifier
from verifiable.zk.circuit import TensorType, VerifierCircuit
from verifiable.zk.srs.ceremonies import CEREMONIES

RUN = honest()


def _checks(error: pytest.ExceptionInfo[Any]) -> tuple[Check, ...]:
    return error.value.checks


def test_an_honest_receipt_is_verified_in_nine_checks() -> None:
    verified = RUN.verify(nonce=NONCE)
    assert [c.number for c in verified.checks] == list(range(1, 10))
    assert tuple(c.name for c in verified.checks) == NAMES
    assert [c.status for c in verified.checks] == ["pass"] * 6 + ["skip"] + ["pass"] * 2
    assert all(c.detail for c in verified.checks)


def test_what_is_established() -> None:
    verified = RUN.verify()
    assert verified.model == RUN.circuit.circuit.model
    assert verified.circuit == RUN.circuit.circuit
    assert (verified.signer.name, verified.signer.fingerprint) == ("the node", node_key().fingerprint)
    assert verified.evidence == ("zk",)
    assert verified.setup is not None
    assert (verified.setup.name, verified.setup.insecure) == ("the test setup", False)
    (x,), (y,) = verified.inputs, verified.outputs
    assert x.stated == RUN.inputs["x"]
    assert x.integers is not None
    assert x.integers.array().tolist() == [[2, -5, 6]]
    assert y.integers is not None
    assert y.integers.array().tolist() == [[2 - 10 + 18, -2 + 24]]
    assert y.values().tolist() == [[2.5, 5.5]]  # type: ignore[union-attr]


def test_what_only_the_node_says_is_a_caveat() -> None:
    assert "when it ran is the node's word" in RUN.verify().caveats
    assert "when it ran is the node's word" not in RUN.verify(nonce=NONCE).caveats
    assert any("audit" in caveat for caveat in RUN.verify().caveats)


def test_without_a_trusted_key_nobody_is_established() -> None:
    verified = RUN.verify(trust=replace(RUN.trust, keys=()))
    assert verified.signer.name is None
    assert verified.checks[1].status == "skip"
    assert "not established" in verified.checks[1].detail
    assert "who signed is not established" in verified.caveats


@pytest.mark.parametrize("trust", [TrustRoot(), replace(RUN.trust, circuits=())])
def test_without_a_pinned_circuit_there_is_nothing_to_judge_by(trust: TrustRoot) -> None:
    with pytest.raises(TrustError, match="no circuit is pinned") as caught:
        RUN.verify(trust=trust)
    assert "--circuit" in caught.value.hint
    assert _checks(caught)[-1].number == 3


def test_a_given_circuit_is_not_thereby_trusted() -> None:
    with pytest.raises(TrustError):
        RUN.verify(trust=replace(RUN.trust, circuits=()), circuit=RUN.circuit.verifier)


def test_a_pin_is_enough() -> None:
    trust = replace(TrustRoot.pin(str(RUN.circuit.circuit.id)), setups=RUN.trust.setups)
    assert RUN.verify(trust=trust).evidence == ("zk",)


@pytest.mark.parametrize("field", ["circuits", "setups"])
def test_trust_has_its_time(field: str) -> None:
    (entry,) = getattr(RUN.trust, field)
    past = replace(entry, validity=Validity(until=NOW))
    with pytest.raises(StaleError) as caught:
        RUN.verify(trust=replace(RUN.trust, **{field: (past,)}))
    assert _checks(caught)[-1].number == 3
    current = replace(entry, validity=Validity(since=NOW))
    assert RUN.verify(trust=replace(RUN.trust, **{field: (past, current)}))


def test_a_circuit_that_is_not_embedded_is_the_callers_to_bring() -> None:
    bare = honest(embed=False)
    with pytest.raises(TrustError, match="does not carry its circuit"):
        bare.verify()
    assert bare.verify(circuit=bare.circuit.verifier).evidence == ("zk",)
    with pytest.raises(BindingError, match="the claim is about"):
        bare.verify(circuit=make_circuit(weights=((1, 1, 1), (1, 1, 1))).verifier)


def test_an_unknown_proof_system_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="'fake' is not known"):
        Verifier(RUN.trust, {}).verify(RUN.data, now=NOW)
    with pytest.raises(UnsupportedError):
        Verifier(RUN.trust).verify(RUN.data, now=NOW)  # the systems of this installation


def test_given_inputs_and_outputs_are_compared() -> None:
    y = RUN.proved.outputs["y"]
    assert "as given" in RUN.verify(inputs=RUN.inputs, outputs={"y": y}).checks[3].detail
    other_x = Tensor.from_array(np.array([[1.0, -2.5, 3.5]], np.float32))
    with pytest.raises(BindingError, match="input 'x' is not the one that was given"):
        RUN.verify(inputs={"x": other_x})
    with pytest.raises(BindingError, match="output 'y' is not the one that was given"):
        RUN.verify(outputs={"y": Tensor.from_array(y.array() + 1)})
    with pytest.raises(MalformedError, match="'z' was given"):
        RUN.verify(inputs={"z": other_x})


def test_an_input_too_large_for_the_receipt_is_the_callers_to_bring() -> None:
    n = 20_000
    run = honest(x=np.ones((1, n)), weights=((1,) * n,))
    with pytest.raises(TrustError, match="too large") as caught:
        run.verify()
    assert "--input" in caught.value.hint
    assert _checks(caught)[-1].number == 4
    assert run.verify(inputs=run.inputs).inputs[0].stated == run.inputs["x"]
    with pytest.raises(BindingError):
        run.verify(inputs={"x": Tensor.from_array(np.zeros((1, n), np.float32))})


def test_hashed_inputs_are_known_by_commitment_or_by_value() -> None:
    run = honest(inputs="hashed")
    alone = run.verify()
    assert alone.inputs[0].stated is None
    assert "commitment alone" in alone.checks[3].detail
    assert any("'x' is known by its commitment alone" in c for c in alone.caveats)
    known = run.verify(inputs=run.inputs)
    assert known.inputs[0].stated == run.inputs["x"]
    assert not any("commitment alone" in c for c in known.caveats)
    with pytest.raises(BindingError, match="committed") as caught:
        run.verify(inputs={"x": Tensor.from_array(np.array([[1.0, -2.5, 3.5]], np.float32))})
    assert _checks(caught)[-1].number == 4


def test_hashed_outputs_likewise() -> None:
    run = honest(outputs="hashed")
    assert run.verify(outputs=run.proved.outputs).outputs[0].integers == run.proved.outputs["y"]
    with pytest.raises(BindingError):
        run.verify(outputs={"y": Tensor.from_array(run.proved.outputs["y"].array() + 1)})
    with pytest.raises(MalformedError, match="int64"):
        run.verify(outputs={"y": Tensor.from_array(np.zeros((1, 2), np.float32))})


@pytest.mark.parametrize("kind", ["inputs", "outputs"])
def test_private_values_cannot_be_compared_with_anything(kind: str) -> None:
    run = honest(**{kind: "private"})
    verified = run.verify()
    assert "private" in verified.checks[3 if kind == "inputs" else 4].detail
    with pytest.raises(BindingError, match="private"):
        run.verify(**{kind: run.inputs if kind == "inputs" else run.proved.outputs})


def test_private_weights_leave_the_model_open() -> None:
    verified = honest(visible={"weights": "private"}).verify()
    assert verified.model is None
    assert "not established" in verified.checks[2].detail
    assert "which model ran is not established" in verified.caveats


@pytest.mark.parametrize(("ceremony", "error"), [("dev-insecure", PolicyError), ("unknown", TrustError)])
def test_a_setup_that_nobody_vouches_for_is_refused(ceremony: str, error: type[Error]) -> None:
    run = honest(ceremony=ceremony)
    trust = replace(run.trust, setups=())
    with pytest.raises(error, match="whoever made it can forge proofs") as caught:
        run.verify(trust=trust)
    assert _checks(caught)[-1].number == 3
    verified = run.verify(trust=trust, allow_dev_srs=True)
    assert verified.setup is not None
    assert verified.setup.insecure
    assert "ACCEPTED ON REQUEST" in verified.checks[2].detail
    assert any("forge" in caveat for caveat in verified.caveats)


def test_another_setup_in_the_trust_root_does_not_help() -> None:
    other = make_circuit(srs=small_srs(99)).circuit.setup
    assert other is not None
    with pytest.raises(PolicyError):
        RUN.verify(trust=replace(RUN.trust, setups=(Trusted(name="other", digest=other.fingerprint),)))


def test_the_clock_of_the_node_may_be_a_little_ahead() -> None:
    finished = RUN.receipt.claim.finished_on
    assert RUN.verify(now=finished - timedelta(minutes=5))
    with pytest.raises(StaleError, match="not come yet"):
        RUN.verify(now=finished - timedelta(minutes=5, microseconds=1))
    assert RUN.verify(now=NOW + timedelta(days=36500))


def test_the_time_of_judgement_has_a_zone() -> None:
    for now in (datetime(2026, 3, 1), NOW.replace(tzinfo=_Nowhere()), "2026-03-01T00:00:00Z"):  # noqa: DTZ001
        with pytest.raises(MalformedError, match="time zone"):
            RUN.verify(now=now)
    assert RUN.verify(now=NOW.astimezone(timezone(timedelta(hours=5)))).now.tzinfo == UTC


class _Nowhere(tzinfo):
    def utcoffset(self, _moment: datetime | None) -> None:
        return None


def test_the_ends_of_the_calendar_are_times_like_others() -> None:
    assert RUN.verify(now=datetime.max.replace(tzinfo=UTC))
    with pytest.raises(StaleError, match="not come yet"):
        RUN.verify(now=datetime.min.replace(tzinfo=UTC))
    late, early = timezone(timedelta(hours=-23)), timezone(timedelta(hours=23))
    for now in (datetime.max.replace(tzinfo=late), datetime.min.replace(tzinfo=early)):
        with pytest.raises(MalformedError, match="out of range"):
            RUN.verify(now=now)


@pytest.mark.parametrize(
    "options",
    [
        {"data": "a receipt"}, {"data": bytearray(RUN.data)}, {"nonce": NONCE.hex()}, {"circuit": RUN.circuit},
        {"inputs": {"x": np.zeros((1, 3), np.float32)}}, {"inputs": [1]}, {"outputs": {"y": [[1, 2]]}},
    ],
)  # fmt: skip
def test_an_argument_of_another_type_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(MalformedError, match="is wanted, not") as caught:
        RUN.verify(**options)
    assert caught.value.hint
    with pytest.raises(MalformedError, match="trust: TrustRoot is wanted, not str"):
        Verifier("ab" * 32)  # type: ignore[arg-type]


def test_the_nonce_is_in_the_verdict_when_it_was_compared() -> None:
    assert RUN.verify(nonce=NONCE).nonce == NONCE
    assert RUN.verify().nonce is None


@pytest.mark.parametrize("inputs", ["public", "hashed"])
def test_floats_are_bound_as_far_as_they_are_rounded_and_no_further(inputs: str) -> None:
    """What a reader must not believe: that the last digits of an input are proved. Steps are 0.5 here."""
    run, near = honest(inputs=inputs), {"x": Tensor.from_array(np.array([[1.1, -2.6, 2.9]], np.float32))}
    claim = run.receipt.claim
    if inputs == "public":  # a stranger changes the digits below a step and signs again; the proof still holds
        claim = replace(claim, inputs=(ClaimedTensor.public("x", near["x"]),))
    verified = run.verify(resign(run.receipt, claim, node_key()).encode(), inputs=near)
    assert (verified.inputs[0].stated, verified.inputs[0].rounded) == (near["x"], True)
    assert verified.inputs[0].values().tolist() == [[1.0, -2.5, 3.0]]  # type: ignore[union-attr]
    assert any("'x' is bound to steps of 0.5" in caveat for caveat in verified.caveats)
    assert not verified.outputs[0].rounded
    assert not any("'y'" in caveat for caveat in verified.caveats)


def test_integers_are_bound_exactly() -> None:
    verified = honest(x=[[1, -2, 3]], input_dtype="int32").verify()
    assert not verified.inputs[0].rounded


@pytest.mark.parametrize("kind", ["tee", "collateral", "rerun"])
def test_other_evidence_is_read_and_not_believed(kind: str) -> None:
    (evidence,) = RUN.receipt.evidence
    descriptor = replace(evidence.descriptor, kind=kind)
    claim = replace(RUN.receipt.claim, evidence=(descriptor,))
    receipt = resign(replace(RUN.receipt, evidence=(replace(evidence, descriptor=descriptor),)), claim, node_key())
    with pytest.raises(BindingError, match=r"tee|collateral|re-run") as caught:
        RUN.verify(receipt.encode())
    assert _checks(caught)[-1].number == 6


def test_values_beyond_a_double_after_scaling_are_an_error_not_a_warning() -> None:
    run = honest(input_dtype="float64")
    claim = run.receipt.claim
    huge = Tensor.from_array(np.full((1, 3), 1.7e308))
    changed = replace(claim, inputs=(type(claim.inputs[0]).public("x", huge),))
    with pytest.raises(Error):
        run.verify(resign(run.receipt, changed, node_key()).encode())


def test_one_verifier_judges_many_receipts() -> None:
    verifier = Verifier(RUN.trust, {"fake": FakeSystem()})
    runs: list[Honest] = [honest(x=[[float(i), 0.0, 1.0]]) for i in range(5)]
    for i, run in enumerate(runs):
        assert verifier.verify(run.data, now=NOW).inputs[0].stated.array()[0, 0] == i  # type: ignore[union-attr]


@pytest.mark.parametrize("name", [ceremony.name for ceremony in CEREMONIES])
def test_a_known_ceremony_needs_nobodys_word(name: str) -> None:
    run = honest(srs=ceremony_srs(name), ceremony=name)
    verified = run.verify(trust=replace(run.trust, setups=()))
    assert verified.setup is not None
    assert (verified.setup.name, verified.setup.insecure) == (name, False)


def test_a_run_can_be_repeated_by_who_has_the_program() -> None:
    verified = RUN.verify(program=derived(RUN.circuit), policy=Rerun())
    assert verified.evidence == ("zk", "rerun")
    assert "run again" in verified.checks[5].detail
    assert not any("rests on whoever pinned it" in caveat for caveat in verified.caveats)
    assert any("its maker's word" in caveat for caveat in verified.caveats)


def test_a_rerun_stands_by_itself() -> None:
    bare = replace(RUN.receipt, evidence=())
    receipt = resign(bare, replace(RUN.receipt.claim, evidence=()), node_key()).encode()
    verified = RUN.verify(receipt, program=derived(RUN.circuit))
    assert verified.evidence == ("rerun",)
    assert not verified.signature_only
    assert verified.checks[5].status == "pass"
    assert verified.checks[5].detail == "the receipt has none; run again, with exactly these outputs"


def test_a_rerun_notices_a_changed_output() -> None:
    y = RUN.receipt.claim.outputs[0]
    assert y.value is not None
    wrong = type(y).public("y", Tensor.from_array(y.value.array() + 1), scale=y.scale)
    bare = replace(RUN.receipt, evidence=())
    receipt = resign(bare, replace(RUN.receipt.claim, evidence=(), outputs=(wrong,)), node_key()).encode()
    with pytest.raises(BindingError, match="not what the program gives") as caught:
        RUN.verify(receipt, program=derived(RUN.circuit))
    assert _checks(caught)[-1].number == 6


def test_another_program_is_not_run() -> None:
    with pytest.raises(BindingError, match="another program") as caught:
        RUN.verify(program=derived(RUN.circuit, program=b"[[1,1,1],[1,1,1]]"))
    assert _checks(caught)[-1].number == 3


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"model": Digest.of(b"the model that the caller holds")}, "the circuit is of model"),
        ({"inputs": (TensorType(name="granted", dtype="float32", shape=(1, 3)),)}, "inputs are not the model's: granted"),
        ({"inputs": (TensorType(name="x", dtype="float64", shape=(1, 3)),)}, "inputs are not the model's"),
        ({"outputs": (TensorType(name="y", dtype="float32", shape=(2, 1)),)}, "outputs are not the model's"),
        ({"outputs": ()}, "outputs are not the model's"),
    ],
)
def test_a_circuit_that_says_something_else_of_the_model_is_not_run(changes: dict[str, Any], match: str) -> None:
    """The attack: the honest program in a circuit of another model's digest, or under other tensor names."""
    with pytest.raises(BindingError, match=match) as caught:
        RUN.verify(program=derived(RUN.circuit, **changes))
    assert _checks(caught)[-1].number == 3


def test_swapped_tensors_of_one_type_are_not_the_models() -> None:
    a, b = (replace(RUN.circuit.circuit.inputs[0], name=name) for name in "ab")
    program = derived(RUN.circuit)
    circuit = replace(RUN.circuit.circuit, inputs=(a, b))
    swapped = replace(program, inputs=(b.type, a.type))
    with pytest.raises(BindingError, match="inputs are not the model's: b, a"):
        swapped.open(VerifierCircuit(circuit=circuit, parts=RUN.circuit.verifier.parts))


def test_a_program_alone_is_not_taken_for_a_model() -> None:
    """The attack: the circuit's own program passes for the model, and the caveat about who pinned it disappears."""
    with pytest.raises(MalformedError, match="ModelProgram is wanted") as caught:
        RUN.verify(program=RUN.circuit.program)
    assert "program_of" in caught.value.hint


def test_a_rerun_needs_inputs_and_outputs_to_compare() -> None:
    hashed, private = honest(inputs="hashed", outputs="hashed"), honest(outputs="private")
    with pytest.raises(TrustError, match="cannot be repeated") as caught:
        hashed.verify(program=derived(hashed.circuit))
    assert "--input" in caught.value.hint
    assert "rerun" in hashed.verify(program=derived(hashed.circuit), inputs=hashed.inputs).evidence
    with pytest.raises(TrustError, match="private"):
        private.verify(program=derived(private.circuit))


def test_a_system_that_only_proves_cannot_rerun() -> None:
    class OnlyProves:
        id = "fake"
        media_types = RUN.system.media_types
        verify, commit, prove = RUN.system.verify, RUN.system.commit, RUN.system.prove

    with pytest.raises(UnsupportedError, match="without proving"):
        Verifier(RUN.trust, {"fake": OnlyProves()}).verify(RUN.data, now=NOW, program=derived(RUN.circuit))
