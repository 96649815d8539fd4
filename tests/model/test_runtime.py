# SPDX-License-Identifier: Apache-2.0
"""onnxruntime behind one small door."""

from __future__ import annotations

import numpy as np
import pytest

from tests.model import zoo
from verifiable.errors import MalformedError, UnsupportedError
from verifiable.model.runtime import FloatModel


def test_outputs_by_name_and_repeatable() -> None:
    model, x = FloatModel(zoo.mlp()), zoo.weight(1, 8, seed=20)
    hidden = np.maximum(x @ zoo.weight(8, 16) + zoo.weight(16, seed=1), 0)
    expected = hidden @ zoo.weight(4, 16, seed=2).T + zoo.weight(4, seed=3)
    first = model.run({"x": x})
    assert list(first) == ["y"]
    np.testing.assert_allclose(first["y"], expected, rtol=1e-5)
    assert all(model.run({"x": x})["y"].tobytes() == first["y"].tobytes() for _ in range(5))


def test_inputs_that_do_not_fit(capfd: pytest.CaptureFixture[str]) -> None:
    model, x = FloatModel(zoo.mlp()), np.zeros((1, 8), np.float32)
    for inputs, words in (
        ({}, "'x' is missing"), ({"x": x, "z": x}, "'z' is not an input"), ({"x": x[:, :7]}, "cannot run"),
        ({"x": x.astype(np.float64)}, "cannot run"), ({"x": np.array([["a"] * 8])}, "cannot run"),
    ):  # fmt: skip
        with pytest.raises(MalformedError, match=words):
            model.run(inputs)
    with pytest.raises(MalformedError, match="cannot run"):
        FloatModel(zoo.gather_integers()).run({"x": np.int64([[0, 1, 99]])})
    assert capfd.readouterr() == ("", "")  # onnxruntime's own log would be on stderr


def test_what_onnxruntime_cannot_load(capfd: pytest.CaptureFixture[str]) -> None:
    for data in (b"", b"nonsense", zoo.mlp()[:100], zoo.mlp(opset=99)):
        with pytest.raises(UnsupportedError, match="onnxruntime cannot load it"):
            FloatModel(data)
    assert capfd.readouterr() == ("", "")


def test_onnxruntime_is_imported_with_its_uploader_switched_off() -> None:
    """Its import starts sending usage data, and switching that off afterwards is too late: the variable must be there before."""
    import ast
    from pathlib import Path

    import verifiable.model.isolation as isolation
    import verifiable.model.runtime as runtime

    assert isolation.QUIET == {"ORT_DISABLE_TELEMETRY": "1"}
    assert isolation.QUIET.items() <= isolation._ENVIRONMENT.items()
    source = ast.parse(Path(runtime.__file__).read_text())
    (opening,) = [n for n in ast.walk(source) if isinstance(n, ast.FunctionDef) and n.name == "open_session"]
    lines = [ast.unparse(statement) for statement in opening.body]
    assert lines.index("os.environ.update(QUIET)") < lines.index("import onnxruntime")
