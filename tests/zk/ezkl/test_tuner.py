# SPDX-License-Identifier: Apache-2.0
"""The tuner: what it chooses can be proved for every admissible input, is accurate, is repeatable, and bad input is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.zk.ezkl import small
from verifiable.encoding.tensor import Tensor
from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.fidelity import measure
from verifiable.model.normalise import normalise
from verifiable.model.onnx_file import Model
from verifiable.zk.circuit import TensorSpec, Visibility
from verifiable.zk.ezkl import steps
from verifiable.zk.ezkl.drift import analyse
from verifiable.zk.ezkl.intervals import Bounds, bound
from verifiable.zk.ezkl.process import job
from verifiable.zk.ezkl.tuner import Tuning, tune
from verifiable.zk.system import Limits, no_progress

PUBLIC = Visibility()


def tuned(net: Any, **options: Any) -> Tuning:
    options = {"visibility": PUBLIC, "calibration": net.samples, "float_outputs": net.floats, **options}
    return tune(program=net.program, **options)


def run(
    net: Any, tuning: Tuning, inputs: list[np.ndarray[Any, Any]], visibility: Visibility = PUBLIC
) -> list[np.ndarray[Any, Any]]:
    """The chosen circuit's outputs on integers, without a proof."""
    bound = tuning.parameters.bound
    (low, high), scale = tuning.input_ranges["x"], tuning.input_scales["x"]
    spec = TensorSpec(name="x", dtype="float32", shape=inputs[0].shape, scale=scale, low=low, high=high)
    out = TensorSpec(
        name="y", dtype="float32", shape=net.floats[0]["y"].shape, scale=tuning.output_scales["y"], low=-bound, high=bound
    )
    with job(limits=Limits(), progress=no_progress) as child:
        settings, _ = steps.make_settings(child, net.program, tuning.parameters, visibility)
        steps.compile_circuit(child, net.program, settings)
        return [
            np.asarray(steps.witness(child, [spec], [out], {"x": Tensor.from_array(x.astype(np.int64))}).outputs["y"].array())
            for x in inputs
        ]


@pytest.fixture(scope="module")
def mlp() -> Any:
    return small.mlp()


@pytest.fixture(scope="module")
def mlp_tuning(mlp: Any) -> Tuning:
    return tuned(mlp)


def test_the_small_mlp_is_small(mlp_tuning: Tuning) -> None:
    assert mlp_tuning.parameters.logrows <= 10
    assert mlp_tuning.predicted.proving_key < 5_000_000


def test_it_is_repeatable(mlp: Any, mlp_tuning: Tuning) -> None:
    again = tuned(mlp)
    assert (again.parameters, again.input_ranges, again.explanation) == (
        mlp_tuning.parameters, mlp_tuning.input_ranges, mlp_tuning.explanation,
    )  # fmt: skip
    assert all((a["y"] == b["y"]).all() for a, b in zip(again.integer_outputs, mlp_tuning.integer_outputs, strict=True))


def test_the_order_of_samples_does_not_matter_for_the_range(mlp: Any, mlp_tuning: Tuning) -> None:
    again = tuned(mlp, calibration=mlp.samples[::-1], float_outputs=mlp.floats[::-1])
    assert again.input_ranges == mlp_tuning.input_ranges


def test_outputs_are_those_of_the_chosen_circuit(mlp: Any, mlp_tuning: Tuning) -> None:
    scale = mlp_tuning.input_scales["x"]
    exact = [np.rint(sample["x"].astype(np.float64) / scale) for sample in mlp.samples]
    for found, recorded in zip(run(mlp, mlp_tuning, exact), mlp_tuning.integer_outputs, strict=True):
        assert (found == recorded["y"]).all()


@pytest.mark.parametrize(
    "make",
    [
        small.mlp,
        lambda: small.mlp(activation="LeakyRelu"),
        lambda: small.mlp(activation="Sigmoid"),
        small.cnn,
        lambda: small.cnn("MaxPool"),
    ],
    ids=["relu", "leaky", "sigmoid", "average-pool", "max-pool"],
)
def test_every_admissible_input_can_be_run(make: Any) -> None:
    """Corners of the admissible box, far beyond the samples: with digits for the calibrated values only, some would fail."""
    net = make()
    tuning = tuned(net)
    assert any("interval arithmetic" in line for line in tuning.explanation)
    low, high = tuning.input_ranges["x"]
    shape = net.samples[0]["x"].shape
    rng = np.random.Generator(np.random.PCG64(0))
    corners = [np.full(shape, low), np.full(shape, high)] + [rng.choice([low, high], shape) for _ in range(4)]
    assert len(run(net, tuning, corners)) == len(corners)


def test_the_bound_is_that_of_the_worst_input() -> None:
    """One affine layer attains its bound, at the corner that has the weights' signs: not exceeded, and not far from it."""
    net = small.mlp((6, 1))
    tuning = tuned(net)
    low, high = tuning.input_ranges["x"]
    corners = [np.where(sign * _weights(net) > 0, high, low).reshape(1, 6) for sign in (1, -1)]
    worst = max(abs(int(output[0, 0])) for output in run(net, tuning, corners))
    bits = -int(np.log2(tuning.input_scales["x"]))
    found = bound(
        analyse(net.program), inputs={"x": (low, high)}, input_scales={"x": bits}, param_scale=tuning.parameters.param_scale,
        rebase_multiplier=tuning.parameters.scale_rebase_multiplier, global_scale=bits,
    )  # fmt: skip
    assert isinstance(found, Bounds)
    assert found.decomposed - 3 <= worst <= found.decomposed <= tuning.parameters.bound


def _weights(net: Any) -> Any:
    from verifiable.model.onnx_file import parse_proto
    from verifiable.model.tensors import to_array

    arrays = [to_array(t, "w") for t in parse_proto(net.program).graph.initializer]
    return max(arrays, key=lambda a: a.size).ravel()


def test_default_accuracy(mlp: Any, mlp_tuning: Tuning) -> None:
    report = measure(mlp.floats, mlp_tuning.outputs)
    report.require(None)
    assert report.outputs[0].argmax_agreement == 1.0


def test_a_smaller_error_gives_finer_numbers(mlp: Any, mlp_tuning: Tuning) -> None:
    finer = tuned(mlp, max_error=1e-4)
    measure(mlp.floats, finer.outputs).require(1e-4)
    assert finer.parameters.param_scale > mlp_tuning.parameters.param_scale


def test_an_error_that_cannot_be_had_names_the_output_and_what_was_reached(mlp: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"output 'y' is off by .* with scale \d+ and rebase multiplier \d+") as caught:
        tuned(mlp, max_error=0.0)
    assert "--max-error" in caught.value.hint


@pytest.mark.parametrize("value", [float("nan"), -1.0, float("inf")])
def test_an_allowed_error_that_is_none(mlp: Any, value: float) -> None:
    with pytest.raises(MalformedError, match="allowed error"):
        tuned(mlp, max_error=value)


def test_too_few_rows_allowed_names_what_is_needed(mlp: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"needs 2\^\d+ rows and about .* GB .* 2\^6 rows"):
        tuned(small.mlp((64, 64, 4)), max_logrows=6)
    del mlp


def test_too_little_memory_allowed_names_what_is_needed(mlp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from verifiable.zk.ezkl import tuner

    # The limit is for proving; the child that only lays circuits out is given none here, so that the prediction is what refuses.
    real = tuner.job
    monkeypatch.setattr(tuner, "job", lambda *, limits, progress: real(limits=Limits(), progress=progress))
    with pytest.raises(UnsupportedError, match=r"about .* GB of memory .* 0\.0 GB are allowed"):
        tuned(mlp, limits=Limits(memory=1 << 20))


def _without_x(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"z": sample["x"]} for sample in samples]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: [], "no samples"),
        (_without_x, "'x' is missing|'z' is not an input"),
        (lambda s: [s[0] | {"x": np.full((1, 8), np.nan, np.float32)}, *s[1:]], "not finite"),
        (lambda s: [s[0] | {"x": np.full((1, 8), np.inf, np.float32)}, *s[1:]], "not finite"),
        (lambda s: [{"x": a["x"][:, :7]} for a in s], "the model takes"),
        (lambda s: [{"x": a["x"].astype(np.float64)} for a in s], "the model takes"),
        (lambda s: [*s[:-1], {"x": s[0]["x"], "w": s[0]["x"]}], "other inputs"),
        (lambda s: [*s[:-1], {"x": s[0]["x"][:, :3]}], "differs from sample 0"),
    ],
)
def test_calibration_data_that_do_not_fit(mlp: Any, change: Any, message: str) -> None:
    samples = change(list(mlp.samples))
    with pytest.raises(MalformedError, match=message):
        tuned(mlp, calibration=samples, float_outputs=mlp.floats[: len(samples)])


def test_float_outputs_that_do_not_fit(mlp: Any) -> None:
    with pytest.raises(MalformedError, match="results of the float model"):
        tuned(mlp, float_outputs=mlp.floats[:-1])
    with pytest.raises(MalformedError, match="not the model's"):
        tuned(mlp, float_outputs=[{"z": f["y"]} for f in mlp.floats])
    with pytest.raises(MalformedError, match="not finite"):
        tuned(mlp, float_outputs=[{"y": np.full((1, 4), np.nan, np.float32)}, *mlp.floats[1:]])


def test_without_divisions_where_they_can_be_avoided(mlp_tuning: Tuning) -> None:
    """Every quotient may be rounded either way by the prover, so a choice without any is taken where it costs no more."""
    assert "no quotient is left to the prover's rounding" in mlp_tuning.explanation


def test_an_operator_without_bounds_is_told() -> None:
    tuning = tuned(small.mlp((6, 5, 3), last="Softmax"))
    assert any("measured on" in line and "Softmax" in line for line in tuning.explanation)


def test_hashed_inputs() -> None:
    net = small.mlp((6, 5, 3))
    visibility = Visibility(inputs="hashed")
    tuning = tuned(net, visibility=visibility)
    low, high = tuning.input_ranges["x"]
    assert run(net, tuning, [np.full((1, 6), low), np.full((1, 6), high)], visibility)


def test_integer_inputs_are_not_widened_and_not_said_to_be() -> None:
    node = helper.make_node("Mul", ["x", "x"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.INT64, [2]) for name in ("x", "y")]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    samples = [{"x": np.array([i, 9 - i])} for i in range(4)]
    floats = [{"y": sample["x"] ** 2} for sample in samples]
    tuning = tune(
        program=normalise(Model.parse(model.SerializeToString())), visibility=Visibility(), calibration=samples,
        float_outputs=floats,
    )  # fmt: skip
    assert "calibrated on 4 samples: x in [0, 9]" in tuning.explanation


def test_float_inputs_are_said_to_be_widened(mlp_tuning: Tuning) -> None:
    assert any(line.endswith("widened by a quarter of its span") for line in mlp_tuning.explanation)


def test_the_explanation_shows_the_choice_among_its_rivals(mlp_tuning: Tuning) -> None:
    lines = mlp_tuning.explanation
    assert sum(line.startswith("chosen  ") for line in lines) == 1
    assert {"rebase", "columns", "digits", "rows", "2^k", "seconds", "memory"} <= set(lines[1].split())
    assert len(lines) >= 8


def test_weights_that_ezkl_cannot_commit_to(mlp: Any) -> None:
    with pytest.raises(UnsupportedError, match="committed"):
        tuned(mlp, visibility=Visibility(weights="committed"))
