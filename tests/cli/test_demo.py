# SPDX-License-Identifier: Apache-2.0
"""The demo as typed: what it says of a real run, of the log, and of the forgeries."""

from __future__ import annotations

from tests.cli.conftest import Run


def test_the_tour_ends_well_and_keeps_nothing(run: Run) -> None:
    told = run("demo")
    assert told.code == 0, told.err
    assert "the model says '5'; the true label is '5'" in told.out
    assert """entry 0 of "the demo's log" (1 entry)""" in told.out
    assert "proved, settled in" in told.out
    assert "by default: refused: nothing in the receipt stands by itself, its TEE evidence included: simulated" in told.out
    assert "evidence that stands by itself: tee" in told.out
    assert "one output changed: rejected at check 2, signature" in told.out
    assert "signed again by the forger: rejected at check 6, evidence" in told.out
    assert told.out.splitlines()[-1].endswith("nothing was kept")


def test_the_tour_as_json(run: Run) -> None:
    told = run("demo", "mlp-breast-cancer", "--json").json
    assert (told["verdict"], len(told["forgeries"])) == ("verified", 2)
    assert told["attested"]["evidence"] == ["tee"]
    assert told["settled"] == [{"origin": "demo.example/ledger", "index": 0, "size": 1}]


def test_a_model_that_is_not_in_the_catalogue(run: Run) -> None:
    told = run("demo", "nothing-of-ours")
    assert (told.code, told.out) == (1, "")
    assert "hint: " in told.err
