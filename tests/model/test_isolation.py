# SPDX-License-Identifier: Apache-2.0
"""A model that crashes the libraries costs one answer, not the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.model import zoo
from verifiable.errors import Error, MalformedError, UnsupportedError
from verifiable.model import isolation
from verifiable.model.normalise import normalise
from verifiable.model.onnx_file import Model
from verifiable.model.preflight import preflight


def crashing() -> dict[str, bytes]:
    """Well-formed for onnx.checker, and the end of the process that infers their shapes."""
    index = {"i": np.int64([[-2]])}
    gather = zoo.build([zoo.node("GatherND", ["i", "i"], ["y"], batch_dims=-(2**31))], {"x": [3, 4]}, {"y": [None, None]}, index)
    split = zoo.build(
        [zoo.node("Split", ["x"], ["y", "z"], axis=0, num_outputs=1)], {"x": [4, 3]}, {"y": [2, 3], "z": [2, 3]}, opset=18
    )  # fmt: skip
    return {"gather": gather, "split": split}


@pytest.mark.parametrize("name", sorted(crashing()))
def test_a_crash_is_one_error_and_the_next_model_is_served(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    model = Model.parse(crashing()[name])
    for attempt in (lambda: normalise(model), lambda: preflight(model, operators={})):
        with pytest.raises(MalformedError, match="crashes the libraries that read it") as caught:
            attempt()
        assert "export the model again" in caught.value.hint
        assert normalise(Model.parse(zoo.mlp()))
    assert capfd.readouterr() == ("", "")


def test_a_worker_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    normalise(Model.parse(zoo.mlp()))
    assert isolation._current is not None
    monkeypatch.setattr(isolation, "_WALL_SECONDS", 0.5)
    os.kill(isolation._current._process.pid, signal.SIGSTOP)
    with pytest.raises(Error, match="no answer within"):
        normalise(Model.parse(zoo.mlp()))
    monkeypatch.undo()
    assert normalise(Model.parse(zoo.mlp()))


def test_a_worker_that_died_is_replaced() -> None:
    normalise(Model.parse(zoo.mlp()))
    assert isolation._current is not None
    os.kill(isolation._current._process.pid, signal.SIGKILL)
    isolation._current._process.wait()
    assert normalise(Model.parse(zoo.mlp()))


def test_errors_keep_their_kind_and_hint() -> None:
    with pytest.raises(UnsupportedError) as caught:
        normalise(Model.parse(zoo.shape_arithmetic()))
    assert "--dim N=1" in caught.value.hint


def test_many_threads_each_get_their_own_answer() -> None:
    models = {name: Model.parse(zoo.ZOO[name][0]()) for name in ("mlp", "softmax", "conv + batchnorm", "dropout")}
    expected = {name: normalise(model) for name, model in models.items()}
    found: list[bool] = []

    def work(name: str) -> None:
        found.append(normalise(models[name]) == expected[name])

    threads = [threading.Thread(target=work, args=(name,)) for name in models for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 12


def test_nothing_in_the_working_folder_is_imported_and_no_process_stays(tmp_path: Path, checkout: Path) -> None:
    """A folder with a model may also hold an onnx.py."""
    for name in ("onnx", "numpy", "json", "verifiable"):
        (tmp_path / f"{name}.py").write_text(f"open('imported-{name}', 'w').close()")
    (tmp_path / "mlp.onnx").write_bytes(zoo.mlp())
    program = (
        "import sys; sys.path[:] = [p for p in sys.path if p] + [sys.argv[1]]\n"
        "from pathlib import Path\n"
        "from verifiable.model.onnx_file import Model\n"
        "from verifiable.model.normalise import normalise\n"
        "from verifiable.model import isolation\n"
        "normalise(Model.load(Path('mlp.onnx')))\n"
        "print(isolation._current._process.pid)\n"
    )
    command = [sys.executable, "-P", "-W", "error", "-c", program, str(checkout)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert not list(tmp_path.glob("imported-*"))
    with pytest.raises(ProcessLookupError):
        os.kill(int(result.stdout), 0)
