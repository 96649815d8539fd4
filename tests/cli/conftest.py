# SPDX-License-Identifier: Apache-2.0
"""A terminal for tests: the real entry point in its own process, and one circuit with its receipt for all of them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ENTRY = "mlp-breast-cancer"


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Result]


def _run(environment: dict[str, str], *arguments: object) -> Result:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "verifiable_cli.main", *map(str, arguments)],
        capture_output=True, text=True, env=environment, check=False, timeout=300,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return Result(code=done.returncode, out=done.stdout, err=done.stderr)


@contextlib.contextmanager
def serving(state: Path, *options: object) -> Iterator[str]:
    """A cosigner in a process of its own, until it is told to stop; its URL. One with options tells what it misses."""
    told = [str(option) for option in options]
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "verifiable_cli.main", "log", "cosign", "serve", str(state), "--port", "0", *told],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        *before, last = errors.splitlines()
        assert (process.returncode, last) == (0, "stopped")
        assert bool(before) == bool(told)
        assert not before or any("no statement here" in line for line in before)


@pytest.fixture
def run(isolated_home: Path) -> Run:
    """``run("verify", path)`` as typed by a user with an empty home."""
    return lambda *arguments: _run(dict(os.environ), *arguments)


@dataclass(frozen=True)
class Made:
    """What the three commands of the README leave behind."""

    home: Path
    circuit: Path
    receipt: Path
    id: str
    model: Path
    sample: Path
    calibration: Path
    prove_json: Any

    def run(self, *arguments: object) -> Result:
        """A command by the user who made them."""
        return _run(_environment(self.home), *arguments)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Made:
    home = tmp_path_factory.mktemp("maker")
    folder = checkout / "models" / ENTRY
    model, sample, calibration = folder / "model.onnx", folder / "sample.json", folder / "calibration.npz"
    circuit, receipt = home / "circuit", home / "receipt.json"
    environment = _environment(home)
    compiled = _run(
        environment, "compile", model, "--calibration", calibration, "--system", "ezkl", "--srs", "dev-insecure", "-o", circuit
    )
    assert compiled.code == 0, compiled.err
    proved = _run(environment, "prove", circuit, sample, "-o", receipt, "--nonce", "c0ffee", "--json")
    assert proved.code == 0, proved.err
    return Made(
        home=home, circuit=circuit, receipt=receipt, id=compiled.out.strip(), model=model, sample=sample, calibration=calibration,
        prove_json=proved.json,
    )  # fmt: skip


def _environment(home: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(home), "VERIFIABLE_CACHE": str(home / "cache"), "VERIFIABLE_DATA": str(home / "data")}
