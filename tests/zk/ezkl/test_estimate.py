# SPDX-License-Identifier: Apache-2.0
"""What `check` predicts without calibration data is near what the tuner predicts with it, and costs little to find out."""

from __future__ import annotations

import math

import pytest

from tests.zk.ezkl import small
from verifiable.errors import Error, FatalStateError
from verifiable.zk.circuit import Visibility
from verifiable.zk.ezkl import estimate as module
from verifiable.zk.ezkl.estimate import OVERHEAD_SECONDS, estimate
from verifiable.zk.ezkl.tuner import tune
from verifiable.zk.system import Limits


@pytest.mark.parametrize(
    ("options", "factor"),
    [({}, 2), ({"activation": "Sigmoid"}, 2), ({"activation": "Tanh"}, 4), ({"last": "Softmax"}, 32)],
    ids=str,
)
def test_near_what_the_tuner_finds(options: dict[str, str], factor: int) -> None:
    """A table function is bounded for inputs in [-1, 1]: a table for any 16-bit value was fifty times too large.

    With calibration data its table must hold every admissible argument, at a scale that is accurate enough: it can be larger.
    """
    net = small.mlp(**options)  # type: ignore[arg-type]
    predicted = estimate(net.program, visibility=Visibility())
    tuned = tune(program=net.program, visibility=Visibility(), calibration=net.samples, float_outputs=net.floats).predicted
    assert predicted is not None
    assert 1 / factor < (predicted.seconds - OVERHEAD_SECONDS) / tuned.seconds < 2
    assert 1 / factor < predicted.memory / tuned.memory < 2
    assert abs(predicted.logrows - tuned.logrows) <= 1 + math.log2(factor)


@pytest.mark.parametrize("net", [small.mlp((64, 128, 64, 10)), small.cnn()], ids=["dense", "convolutional"])
def test_the_count_of_products_stands_in_for_ezkls_own(net: small.Net, monkeypatch: pytest.MonkeyPatch) -> None:
    from verifiable.model.onnx_file import Model
    from verifiable.model.preflight import preflight
    from verifiable.zk.ezkl.operators import OPERATORS

    report = preflight(Model.parse(net.program), operators=OPERATORS)
    asked = estimate(net.program, visibility=Visibility())
    monkeypatch.setattr(module, "MAX_ASKED", 1)
    counted = estimate(b"", visibility=Visibility(), multiply_adds=report.multiply_adds, activations=report.activations)
    assert asked is not None
    assert counted is not None
    assert 0.5 < counted.memory / asked.memory < 2
    assert 0.5 < counted.seconds / asked.seconds < 2


def test_a_large_model_is_not_laid_out() -> None:
    """ezkl would take minutes and gigabytes; here there is not even a program that it could look at."""
    costs = [estimate(b"", visibility=Visibility(), multiply_adds=1 << k, activations=1 << 12) for k in (22, 24, 26)]
    seconds = [cost.seconds for cost in costs if cost is not None]
    assert len(seconds) == 3
    assert seconds == sorted(seconds)
    assert estimate(b"", visibility=Visibility(), multiply_adds=1 << 36) is None


def test_limits_are_kept() -> None:
    with pytest.raises(FatalStateError, match="deadline"):
        estimate(small.mlp().program, visibility=Visibility(), limits=Limits(seconds=0.01))


def test_no_hint_leads_back_to_check() -> None:
    with pytest.raises(Error) as caught:
        estimate(b"no model", visibility=Visibility())
    assert "check" not in caught.value.hint
