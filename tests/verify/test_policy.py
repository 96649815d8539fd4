# SPDX-License-Identifier: Apache-2.0
"""Policies: what they ask, and that nothing skipped can meet them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.receipts import attacker_key, honest, node_key, resign
from verifiable.errors import Error, MalformedError, PolicyError, StaleError
from verifiable.verify.policy import AllOf, AnyOf, FresherThan, Met, Policy, ProvedBy, Rerun, SignedBy, StandsAlone, parse_policy
from verifiable.verify.verified import Verified

RUN = honest()
ID = RUN.circuit.circuit.id
OTHER = honest(weights=((1, 1, 1), (1, 1, 1))).circuit.circuit.id
SIGNED = SignedBy(key=node_key().fingerprint)


def _without_evidence() -> bytes:
    bare = replace(RUN.receipt, evidence=())
    return resign(bare, replace(RUN.receipt.claim, evidence=()), node_key()).encode()


@pytest.mark.parametrize(
    "policy",
    [
        ProvedBy(), ProvedBy(circuit=ID), SIGNED, StandsAlone(),
        AllOf((ProvedBy(), FresherThan(age=timedelta(minutes=2)))),
        AllOf((ProvedBy(), SIGNED)), AnyOf((Rerun(), ProvedBy())),
    ],
)  # fmt: skip
def test_what_an_honest_receipt_meets(policy: Policy) -> None:
    assert RUN.verify(policy=policy).checks[-1].status == "pass"


@pytest.mark.parametrize(
    ("policy", "error"),
    [
        (ProvedBy(circuit=OTHER), PolicyError),
        (Rerun(), PolicyError),
        (SignedBy(key=attacker_key().fingerprint), PolicyError),
        (AllOf((ProvedBy(), FresherThan(age=timedelta(minutes=1)))), StaleError),
        (AllOf((ProvedBy(), Rerun())), PolicyError),
        (AnyOf((Rerun(), AllOf((SIGNED, FresherThan(age=timedelta(seconds=1)))))), PolicyError),
    ],
)
def test_what_it_does_not_meet(policy: Policy, error: type[Error]) -> None:
    with pytest.raises(error) as caught:
        RUN.verify(policy=policy)
    assert caught.value.checks[-1].number == 9  # type: ignore[attr-defined]


@pytest.mark.parametrize("policy", [None, StandsAlone(), ProvedBy(), ProvedBy(circuit=ID)])
def test_a_signers_word_alone_meets_no_policy_that_asks_for_evidence(policy: Policy | None) -> None:
    with pytest.raises(PolicyError) as caught:
        RUN.verify(_without_evidence(), policy=policy)
    assert [(c.number, c.status) for c in caught.value.checks[5:]] == [(6, "skip"), (7, "skip"), (8, "pass"), (9, "fail")]  # type: ignore[attr-defined]


def test_it_is_enough_for_who_says_so() -> None:
    verified = RUN.verify(_without_evidence(), policy=SIGNED)
    assert verified.evidence == ()
    assert verified.signature_only
    assert any(caveat.startswith("signed, not proved") for caveat in verified.caveats)
    assert not any("signed, not proved" in caveat for caveat in RUN.verify(policy=SIGNED).caveats)


FINE = Met(detail="fine")
FRESH = FresherThan(age=timedelta(days=1))


@dataclass(frozen=True)
class Anything:
    """A policy of a caller's own that is met by whatever is there; ``met`` is what it answers."""

    met: Any

    def check(self, _verified: Verified) -> Any:
        return self.met


@pytest.mark.parametrize("policy", [Anything(FINE), AnyOf((AllOf((SIGNED, ProvedBy())), Anything(FINE)))])
def test_no_policy_lets_a_bare_claim_through(policy: Policy) -> None:
    """The attack: any key signs any outputs, attaches no evidence, and the policy asks about something else."""
    with pytest.raises(PolicyError, match="nothing stands for the values") as caught:
        RUN.verify(_without_evidence(), policy=policy)
    assert caught.value.checks[-1].number == 9  # type: ignore[attr-defined]
    assert RUN.verify(policy=policy).evidence == ("zk",)


@pytest.mark.parametrize(
    "policy",
    [FRESH, AllOf((FRESH, FRESH)), AnyOf((ProvedBy(), FRESH)), AnyOf((FRESH, SIGNED)), AnyOf((Rerun(), AllOf((FRESH,))))],
)
@pytest.mark.parametrize("data", [RUN.data, _without_evidence()], ids=["proved", "bare"])
def test_a_policy_that_a_bare_claim_could_meet_judges_nothing(policy: Policy, data: bytes) -> None:
    with pytest.raises(MalformedError, match="asks only for fresher-than"):
        RUN.verify(data, policy=policy)


@pytest.mark.parametrize("policy", ["proved = true", 1, object()])
def test_what_is_no_policy_is_named(policy: Any) -> None:
    with pytest.raises(MalformedError, match="is none"):
        RUN.verify(policy=policy)


def test_a_signer_of_a_callers_own_policy_must_be_the_one_who_signed() -> None:
    ours, theirs = (Anything(Met(detail="fine", signer=k.fingerprint)) for k in (node_key(), attacker_key()))
    assert RUN.verify(_without_evidence(), policy=ours).signature_only
    with pytest.raises(PolicyError, match="nothing stands for the values"):
        RUN.verify(_without_evidence(), policy=theirs)


@pytest.mark.parametrize("answer", [False, None, "fine"])
@pytest.mark.parametrize("wrap", [lambda p: p, lambda p: AllOf((p,)), lambda p: AnyOf((p, ProvedBy()))])
def test_a_policy_that_answers_anything_but_how_it_is_met_is_not_met(answer: object, wrap: Callable[[Policy], Policy]) -> None:
    with pytest.raises(MalformedError, match="not how it is met"):
        RUN.verify(policy=wrap(Anything(answer)))


@pytest.mark.parametrize(
    "text",
    [
        "fresher-than = '24h'",
        "any-of = [{proved = true}, {fresher-than = '24h'}]",
        "all-of = [{fresher-than = '24h'}, {any-of = [{rerun = true}, {fresher-than = '1h'}]}]",
        "any-of = [{all-of = [{proved = true}, {fresher-than = '24h'}]}, {all-of = [{fresher-than = '1h'}]}]",
    ],
)
def test_a_file_that_a_bare_claim_could_meet_is_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="asks only for fresher-than") as caught:
        parse_policy(text.encode())
    assert "proved, rerun, attested or signed-by" in caught.value.hint


@pytest.mark.parametrize("kind", [AllOf, AnyOf])
def test_an_empty_list_is_refused(kind: type[AllOf] | type[AnyOf]) -> None:
    with pytest.raises(MalformedError, match="empty"):
        kind(())


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("proved = true", ProvedBy()),
        (f"proved-by = '{ID}'", ProvedBy(circuit=ID)),
        ("rerun = true", Rerun()),
        (f"signed-by = '{node_key().fingerprint.hex}'", SIGNED),
        ("all-of = [{proved = true}, {fresher-than = '24h'}]", AllOf((ProvedBy(), FresherThan(age=timedelta(days=1))))),
        ("all-of = [{proved = true}, {any-of = [{rerun = true}]}]", AllOf((ProvedBy(), AnyOf((Rerun(),))))),
        (
            f"[[any-of]]\nproved = true\n[[any-of]]\nall-of=[{{fresher-than='90s'}}, {{signed-by='{SIGNED.key.hex}'}}]",
            AnyOf((ProvedBy(), AllOf((FresherThan(age=timedelta(seconds=90)), SIGNED)))),
        ),
    ],
)
def test_the_file(text: str, policy: Policy) -> None:
    assert parse_policy(text.encode()) == policy


@pytest.mark.parametrize(
    "text",
    [
        "", "proved = false", "proved = 1", "proved = true\nrerun = true", "prooved = true", "a.b = 1",
        "all-of = []", "any-of = []", "all-of = [1]", "all-of = [{}]", "all-of = {proved = true}", "proved-by = 'abc'",
        "fresher-than = 24", "fresher-than = '0h'", "fresher-than = '1w'", "fresher-than = '9999999999d'",
        "all-of = [" * 20 + "]" * 20, "all-of = [{" * 9 + "proved = true" + "}]" * 9, "all-of = [{" * 2000,
    ],
)  # fmt: skip
def test_what_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_policy(text.encode())


@given(st.binary(max_size=100) | st.text(alphabet="[]={}' \nalofnyprved-h1", max_size=60).map(str.encode))
def test_arbitrary_bytes_raise_only_errors(data: bytes) -> None:
    with contextlib.suppress(Error):
        parse_policy(data)


@pytest.mark.parametrize("text", ["logged = true", 'logged-in = "x"', "any-of = [{ proved = true }, { logged = true }]"])
def test_being_settled_says_nothing_of_the_values(text: str) -> None:
    with pytest.raises(MalformedError, match="nothing would stand for the values"):
        parse_policy(text.encode())
    parse_policy(f"all-of = [{{ proved = true }}, {{ {text} }}]".encode())


def test_only_true_asks_for_a_settled_receipt() -> None:
    with pytest.raises(MalformedError, match="only true is a demand"):
        parse_policy(b"all-of = [{ proved = true }, { logged = false }]")
